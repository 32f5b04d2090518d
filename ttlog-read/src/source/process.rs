//! Whether a process is still running, and what it has mapped.

use std::fs::File;

/// State of a process, as far as known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Liveness {
    /// The process is running, and has the ring.
    Running,
    /// A process has the ring, but none that can be seen here: it is in another pid namespace, as in another container,
    /// or on another host that shares the file system.
    Elsewhere,
    /// The process is running, but no longer has the ring: it has run another program since (`exec`), or this is a
    /// copy.
    LetGo,
    /// The process is gone, or its id now belongs to another process.
    Gone,
    /// Unknown: no process item, another host, or a system without `/proc`.
    Unknown,
}

impl Liveness {
    /// Returns whether the process is running and has the ring.
    #[must_use]
    pub const fn is_running(self) -> bool {
        matches!(self, Liveness::Running | Liveness::Elsewhere)
    }
}

/// Returns the state of the process with this id that started at `start` (docs/format.md §3.1, key 8; 0: unknown), as
/// it appears in the pid namespace of this program.
///
/// The id alone does not show whether a ring is from another host. If `host` is not this host, the result is
/// `Unknown`. Nor does it show whether the id is from another namespace: only the lock of the ring's file does (see
/// [`holder`](super::holder)).
#[must_use]
pub fn liveness(pid: u64, start: u64, host: &str) -> Liveness {
    if pid == 0 || start == 0 || !cfg!(target_os = "linux") {
        return Liveness::Unknown;
    }
    if !host.is_empty() && !is_of_this_host(host) {
        return Liveness::Unknown;
    }
    if start_of(pid) == Some(start) { Liveness::Running } else { Liveness::Gone }
}

/// Returns whether this is the name of this host.
pub(super) fn is_of_this_host(host: &str) -> bool {
    let own_host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    !host.is_empty() && host == own_host.trim_end()
}

/// Returns when the process with this id started, in the units of the ring's process item; `None` if there is none, or
/// it has ended.
#[must_use]
pub fn start_of(pid: u64) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    start_and_state(&stat).filter(|(_, state)| !matches!(*state, "Z" | "X")).map(|(start, _)| start)
}

/// Returns the state of the process, as the letter in `/proc/PID/stat`; `None`: unknown.
#[must_use]
pub fn state_of(pid: u64) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    start_and_state(&stat)?.1.chars().next()
}

/// Returns whether the process has the file mapped; `None`: unknown.
#[cfg(unix)]
pub(super) fn maps_file(pid: u64, file: &File) -> Option<bool> {
    use std::os::unix::fs::MetadataExt as _;
    let inode = file.metadata().ok()?.ino();
    let maps = std::fs::read(format!("/proc/{pid}/maps")).ok()?;
    Some(String::from_utf8_lossy(&maps).lines().filter_map(Mapping::parse).any(|mapping| mapping.inode == inode))
}

#[cfg(not(unix))]
pub(super) fn maps_file(_pid: u64, _file: &File) -> Option<bool> {
    None
}

/// A file that a process has mapped, from a line of `/proc/PID/maps`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapping<'m> {
    /// Address range in hexadecimal: the name of the mapping in `/proc/PID/map_files`.
    pub range: &'m str,
    /// Whether stores go to the file.
    pub shared: bool,
    /// Byte offset of the mapping in the file.
    pub offset: u64,
    /// Inode of the file. (On some file systems the device number differs from that of `stat`.)
    pub inode: u64,
    /// Path, with `\012` for a line break.
    pub path: &'m str,
    /// Whether the path has been deleted.
    pub deleted: bool,
}

impl<'m> Mapping<'m> {
    /// Parses a line. Returns `None` for memory that is not a file.
    #[must_use]
    pub fn parse(line: &'m str) -> Option<Self> {
        let mut rest = line;
        let mut field = || {
            let (field, after) = rest.trim_start().split_once(' ')?;
            rest = after;
            Some(field)
        };
        let (range, modes, offset, _device, inode) = (field()?, field()?, field()?, field()?, field()?);
        let path = rest.trim_start();
        let (path, deleted) = path.strip_suffix(" (deleted)").map_or((path, false), |path| (path, true));
        let inode = inode.parse().ok()?;
        (inode != 0 && path.starts_with('/')).then_some(Mapping {
            range,
            shared: modes.ends_with('s'),
            offset: u64::from_str_radix(offset, 16).ok()?,
            inode,
            path,
            deleted,
        })
    }
}

/// Returns the start time and state from a line of `/proc/PID/stat` (fields 22 and 3; field 2 can hold anything in
/// parentheses).
fn start_and_state(stat: &str) -> Option<(u64, &str)> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?;
    Some((fields.nth(18)?.parse().ok()?, state))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn own_process_runs_and_another_start_does_not() {
        let stat = std::fs::read_to_string("/proc/self/stat").expect("this is Linux");
        let (start, _) = start_and_state(&stat).expect("the fields are there");
        let pid = u64::from(std::process::id());
        assert_eq!(liveness(pid, start, ""), Liveness::Running);
        assert_eq!(liveness(pid, start + 1, ""), Liveness::Gone);
        assert_eq!(liveness(pid, 0, ""), Liveness::Unknown);
        assert_eq!(liveness(pid, start, "another host"), Liveness::Unknown);
    }

    #[test]
    fn mappings_are_told_from_memory() {
        let line = "7f00-7f10 rw-s 00001000 00:1b 4711                       /dev/shm/a b/x.ring (deleted)";
        let mapping = Mapping {
            range: "7f00-7f10",
            shared: true,
            offset: 4096,
            inode: 4711,
            path: "/dev/shm/a b/x.ring",
            deleted: true,
        };
        assert_eq!(Mapping::parse(line), Some(mapping));
        for line in
            ["", "7f00", "7f00-7f10 rw-p 00000000 00:00 0 ", "7f00-7f10 rw-p 00000000 00:00 0   [heap]", "a b c d e f"]
        {
            assert_eq!(Mapping::parse(line), None, "{line}");
        }
    }

    #[test]
    fn names_with_parentheses_do_not_confuse() {
        let stat = "7 (a) b (c) R 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4242 20";
        assert_eq!(start_and_state(stat), Some((4242, "R")));
    }
}

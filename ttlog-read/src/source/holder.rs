//! Holder of a ring: the process that has it.
//!
//! Process ids mean nothing in another pid namespace: in containers, every process is number 1. So the process that the
//! ring names counts only if it can be seen to have the file mapped. Otherwise the lock of the file decides, which the
//! recorder holds until it ends, and which is the same in all namespaces. It is tested by taking it for a moment,
//! shared, so that readers do not get into each other's way.

use std::fs::File;
use std::time::SystemTime;

use ttlog_core::ring::RingImage;
use ttlog_core::ring::file_lock::free_lock_is_proof;

use super::process::{Liveness, is_of_this_host, liveness, maps_file};
use crate::text::time::since_ns;

/// Holder of a ring, as far as known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    /// State of the process.
    pub liveness: Liveness,
    /// Id of the process in the pid namespace of this program, if it is running and can be seen. (The ring names its id
    /// in its own namespace.)
    pub local_pid: Option<u64>,
    /// Whether the ring is certainly not in use: its lock is free, and that is proof.
    pub is_free: bool,
}

impl Holder {
    /// Nothing is known.
    pub const UNKNOWN: Self = Holder { liveness: Liveness::Unknown, local_pid: None, is_free: false };

    /// The process with this id, which has the ring mapped.
    #[must_use]
    pub const fn running(pid: u64) -> Self {
        Holder { liveness: Liveness::Running, local_pid: Some(pid), is_free: false }
    }

    const fn not_running(liveness: Liveness, is_free: bool) -> Self {
        Holder { liveness, local_pid: None, is_free }
    }
}

/// State of the lock of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(unix), allow(dead_code, reason = "only Unix has these locks"))]
enum Lock {
    /// Somebody holds it.
    Held,
    /// Nobody that can be seen holds it.
    Free,
    /// The system or the file system has no locks.
    Unsupported,
}

/// Returns which process has the ring `image`, whose file is `file`.
///
/// The lock of the file is taken for a moment; the caller must not hold it.
#[must_use]
pub fn holder(image: &RingImage<'_>, file: &File) -> Holder {
    of(image, file, None)
}

/// Like [`holder`], for a caller who holds the lock of the file.
#[must_use]
pub fn holder_besides_us(image: &RingImage<'_>, file: &File) -> Holder {
    of(image, file, Some(Lock::Free))
}

fn of(image: &RingImage<'_>, file: &File, lock: Option<Lock>) -> Holder {
    let process = image.process().unwrap_or_default();
    let named = liveness(process.pid, process.process_start, process.host);
    let maps = if named == Liveness::Running { maps_file(process.pid, file) } else { None };
    if (named, maps) == (Liveness::Running, Some(true)) {
        return Holder::running(process.pid);
    }
    let lock = match lock.unwrap_or_else(|| lock_of(file)) {
        Lock::Held => match visible_holder(file, process.pid) {
            Visible::Pid(pid) => return Holder::running(pid),
            Visible::None => return Holder::not_running(Liveness::Elsewhere, false),
            // Somebody recovers the ring, or looks at it.
            Visible::Reader => Lock::Free,
        },
        other => other,
    };
    let is_free = lock == Lock::Free && is_proof(image, file, process.host);
    match (named, maps) {
        // The process is visible, but not its mappings.
        (Liveness::Running, None) if lock == Lock::Unsupported => Holder::running(process.pid),
        (Liveness::Running, _) => Holder::not_running(Liveness::LetGo, is_free),
        (other, _) => Holder::not_running(other, is_free),
    }
}

/// Returns whether a free lock of this ring proves that it is not in use.
fn is_proof(image: &RingImage<'_>, file: &File, host: &str) -> bool {
    let is_shared = shared_file_system(file).is_some();
    free_lock_is_proof(is_shared, is_of_this_host(host), silent_s(image, file))
}

/// Returns the time since the latest sign of life of a ring, in seconds.
fn silent_s(image: &RingImage<'_>, file: &File) -> u64 {
    let modified = file.metadata().and_then(|metadata| metadata.modified());
    let written = modified.ok().and_then(|at| SystemTime::now().duration_since(at).ok());
    let written = written.map_or(0, |age| age.as_secs());
    match image.header().heartbeat_unix_ns {
        0 => written,
        beat => written.min(since_ns(beat) / 1_000_000_000),
    }
}

/// Returns the name of the file system of a file, if several hosts can share it.
#[cfg(target_os = "linux")]
#[must_use]
pub fn shared_file_system(file: &File) -> Option<&'static str> {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the numbers have 32 bits")]
    let number = rustix::fs::fstatfs(file).ok()?.f_type as u32;
    ttlog_core::ring::file_lock::shared_file_system(number)
}

/// Returns `None`: unknown on this system.
#[cfg(not(target_os = "linux"))]
#[must_use]
pub fn shared_file_system(_file: &File) -> Option<&'static str> {
    None
}

/// Tests the lock of a file by taking it for a moment.
#[cfg(unix)]
fn lock_of(file: &File) -> Lock {
    use rustix::fs::{FlockOperation, flock};
    match flock(file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => {
            // If that failed, closing the file would do it.
            let _ = flock(file, FlockOperation::NonBlockingUnlock);
            Lock::Free
        }
        Err(rustix::io::Errno::WOULDBLOCK) => Lock::Held,
        Err(_) => Lock::Unsupported,
    }
}

#[cfg(not(unix))]
fn lock_of(_file: &File) -> Lock {
    Lock::Unsupported
}

/// Visible processes among those that hold the lock of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(unix), allow(dead_code, reason = "only Unix has these locks"))]
enum Visible {
    /// This one, which has the file mapped, as recorders have, or is the process that the ring names and does not show
    /// its mappings.
    Pid(u64),
    /// One that does not have it mapped.
    Reader,
    /// None.
    None,
}

/// Returns which visible process holds the lock of a file. (The kernel leaves out those of other pid namespaces, except
/// for those below the own one, which it lists by their number here.)
#[cfg(unix)]
fn visible_holder(file: &File, named_pid: u64) -> Visible {
    use std::os::unix::fs::MetadataExt as _;
    let Ok(metadata) = file.metadata() else { return Visible::None };
    let locks = std::fs::read_to_string("/proc/locks").unwrap_or_default();
    let mut visible = Visible::None;
    for pid in locks.lines().filter_map(|line| holder_in(line, metadata.ino())) {
        match maps_file(pid, file) {
            Some(true) => return Visible::Pid(pid),
            None if pid == named_pid => return Visible::Pid(pid),
            Some(false) => visible = Visible::Reader,
            None => {}
        }
    }
    visible
}

#[cfg(not(unix))]
fn visible_holder(_file: &File, _named_pid: u64) -> Visible {
    Visible::None
}

/// Returns the process in a line of `/proc/locks`, if it is about an exclusive `flock` of the file with this inode. (On
/// some file systems the device number differs from that of `stat`.)
#[cfg(unix)]
fn holder_in(line: &str, inode: u64) -> Option<u64> {
    // 1: FLOCK  ADVISORY  WRITE 4711 00:1b:815 0 EOF; one that waits has an arrow after the number.
    let mut fields = line.split_ascii_whitespace().skip(1);
    let (kind, _, access) = (fields.next()?, fields.next()?, fields.next()?);
    let (pid, file) = (fields.next()?, fields.next()?);
    let is_it = kind == "FLOCK" && access == "WRITE" && file.rsplit(':').next()?.parse() == Ok(inode);
    is_it.then(|| pid.parse().ok()).flatten()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_lock_table() {
        let held = "1: FLOCK  ADVISORY  WRITE 4711 00:1b:815 0 EOF";
        assert_eq!(holder_in(held, 815), Some(4711));
        for line in [
            "",
            "1:",
            "1: FLOCK  ADVISORY  WRITE 4711",
            "1: FLOCK  ADVISORY  WRITE 4711 00:1b:816 0 EOF",
            "1: FLOCK  ADVISORY  READ 4711 00:1b:815 0 EOF",
            "1: -> FLOCK  ADVISORY  WRITE 4711 00:1b:815 0 EOF",
            "1: POSIX  ADVISORY  WRITE 4711 00:1b:815 0 EOF",
            "1: FLOCK  ADVISORY  WRITE -1 00:1b:815 0 EOF",
        ] {
            assert_eq!(holder_in(line, 815), None, "{line}");
        }
    }

    #[test]
    fn lock_is_asked_without_being_kept() {
        let path = std::env::temp_dir().join(format!("ttlog-holder-{}", std::process::id()));
        let open = || File::options().read(true).write(true).create(true).truncate(false).open(&path).expect("a file");
        let (first, second) = (open(), open());
        assert_eq!((lock_of(&first), lock_of(&second)), (Lock::Free, Lock::Free));
        rustix::fs::flock(&second, rustix::fs::FlockOperation::NonBlockingLockExclusive).expect("nobody has it");
        assert_eq!(lock_of(&first), Lock::Held);
        // This process holds it and has nothing mapped.
        assert_eq!(visible_holder(&first, 1), Visible::Reader);
        drop(second);
        assert_eq!(lock_of(&first), Lock::Free);
        std::fs::remove_file(path).expect("our own file");
    }
}

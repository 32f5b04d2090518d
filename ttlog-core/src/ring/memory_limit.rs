//! Where the limits stand on the memory that a process, and thus its ring, can have.
//!
//! A limit holds for a cgroup and everything below it, so each level from the cgroup of the process up to the mount
//! point counts. A container sees its own part of the tree only; limits above it cannot be read.
//!
//! Source: the kernel's documentation, cgroup-v1/memory and cgroup-v2; proc(5), `/proc/PID/mountinfo`.

/// A limit of this or more is none: version 1 of cgroups writes the largest number of pages.
pub const UNLIMITED_MIN: u64 = 1 << 60;
/// Name of the file with the kinds of memory in use, one `key number` per line.
pub const KINDS_FILE: &str = "memory.stat";

/// Version of cgroups, which have different files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

/// The cgroup that limits the memory of a process. Each level has the files that are named here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryCgroup<'a> {
    /// Directory where the tree is mounted, without the slash at its start.
    pub mount_point: &'a str,
    /// Path of the cgroup below it, without a slash at its start; empty: the mount point itself.
    pub below: &'a str,
    version: Version,
}

impl<'a> MemoryCgroup<'a> {
    /// Finds it in the contents of `/proc/PID/cgroup` and `/proc/self/mountinfo`. Returns `None` if there is none.
    ///
    /// Where version 1 has the controller of memory, version 2 has no limits.
    #[must_use]
    pub fn find(cgroups: &'a str, mounts: &'a str) -> Option<Self> {
        let found = cgroups.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'));
        let first = found.clone().find(|(controllers, _)| controllers.split(',').any(|name| name == "memory"));
        let second = || found.clone().find(|(controllers, _)| controllers.is_empty());
        let (version, within) = match first {
            Some((_, path)) => (Version::One, path),
            None => (Version::Two, second()?.1),
        };
        let (root, point) = mounts.lines().find_map(|line| mount_of(version, line))?;
        // Without a namespace of cgroups, a container sees the whole path, but only the part below the mounted root.
        let below =
            within.strip_prefix(root.trim_end_matches('/')).filter(|rest| rest.is_empty() || rest.starts_with('/'));
        let below = below.unwrap_or("").trim_start_matches('/');
        Some(MemoryCgroup { mount_point: point.trim_start_matches('/'), below, version })
    }

    /// Returns the names of the files with limits in bytes, of which the smallest counts.
    #[must_use]
    pub const fn limit_files(&self) -> &'static [&'static str] {
        match self.version {
            Version::One => &["memory.limit_in_bytes"],
            Version::Two => &["memory.max", "memory.high"],
        }
    }

    /// Returns the name of the file with the bytes in use.
    #[must_use]
    pub const fn usage_file(&self) -> &'static str {
        match self.version {
            Version::One => "memory.usage_in_bytes",
            Version::Two => "memory.current",
        }
    }

    /// Returns the keys, in [`KINDS_FILE`], of the bytes that the kernel can give up: pages of files.
    #[must_use]
    pub const fn reclaimable_keys(&self) -> [&'static str; 2] {
        match self.version {
            Version::One => ["total_inactive_file ", "total_active_file "],
            Version::Two => ["inactive_file ", "active_file "],
        }
    }
}

/// Returns the mounted directory of the hierarchy and the mount point, if this line of `/proc/self/mountinfo` mounts
/// the controller of memory in version 1, or version 2.
fn mount_of(version: Version, line: &str) -> Option<(&str, &str)> {
    let (place, kind) = line.split_once(" - ")?;
    let mut place = place.split(' ').skip(3);
    let (root, point) = (place.next()?, place.next()?);
    let mut kind = kind.split(' ');
    let is_it = match (kind.next()?, version) {
        ("cgroup", Version::One) => kind.nth(1)?.split(',').any(|option| option == "memory"),
        ("cgroup2", Version::Two) => true,
        _ => false,
    };
    is_it.then_some((root, point))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n\
                          34 31 0:31 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
                          35 31 0:32 /docker/abc /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory\n";

    fn place<'t>(cgroups: &'t str, mounts: &'t str) -> Option<(&'t str, &'t str, &'static str)> {
        MemoryCgroup::find(cgroups, mounts).map(|found| (found.mount_point, found.below, found.usage_file()))
    }

    #[test]
    fn controller_of_version_1_beats_version_2() {
        let first = |below| Some(("sys/fs/cgroup/memory", below, "memory.usage_in_bytes"));
        assert_eq!(place("8:pids:/x\n4:cpu,memory:/docker/abc\n0::/\n", MOUNTS), first(""));
        assert_eq!(place("4:memory:/docker/abc/inner\n", MOUNTS), first("inner"));
        assert_eq!(place("4:memory:/docker/abcdef\n", MOUNTS), first(""), "elsewhere, seen from this mount");
        assert_eq!(place("0::/a/b\n", MOUNTS), Some(("sys/fs/cgroup/unified", "a/b", "memory.current")));
    }

    #[test]
    fn nonsense_is_no_cgroup() {
        for (cgroups, mounts) in [("", ""), ("::", " - "), ("0::", "a b c d - cgroup2"), ("4:memory", "x - cgroup y")] {
            assert_eq!(place(cgroups, mounts), None, "{cgroups:?} {mounts:?}");
        }
        assert_eq!(place("4:memory:/\n", "1 1 1 / /m rw - cgroup cgroup\n"), None);
        assert_eq!(place("0::/\n", ""), None);
    }
}

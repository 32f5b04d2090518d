//! Memory that the process can have: the limits of its cgroups, and the machine's memory.

use std::ffi::CString;
use std::path::Path;

use ttlog_core::ring::memory_limit::{KINDS_FILE, MemoryCgroup, UNLIMITED_MIN};

/// A cgroup that limits the memory of the process.
#[derive(Debug, Clone)]
pub(crate) struct MemoryLimit {
    /// Bytes that the processes in it can use together.
    pub(crate) limit_bytes: u64,
    /// File with the bytes in use, and one with their kinds.
    usage: CString,
    kinds: CString,
    /// Kinds that the kernel can give up.
    reclaimable: [&'static str; 2],
}

impl MemoryLimit {
    /// Returns all limits of this process, nearest first.
    pub(crate) fn all() -> Vec<Self> {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        Self::found(&read("/proc/self/cgroup"), &read("/proc/self/mountinfo"), Path::new("/"))
    }

    /// Returns the limits of a process with these cgroups and mounts, whose files are below `root`.
    fn found(cgroups: &str, mounts: &str, root: &Path) -> Vec<Self> {
        let Some(cgroup) = MemoryCgroup::find(cgroups, mounts) else { return Vec::new() };
        let top = root.join(cgroup.mount_point);
        let path = top.join(cgroup.below);
        let levels = path.ancestors().take_while(|level| level.starts_with(&top));
        levels.filter_map(|level| Self::of_level(&cgroup, level)).collect()
    }

    /// Returns the limit of a cgroup, if it has one.
    fn of_level(cgroup: &MemoryCgroup<'_>, level: &Path) -> Option<Self> {
        let number = |name: &&str| std::fs::read_to_string(level.join(name)).ok()?.trim().parse::<u64>().ok();
        let limit_bytes = cgroup.limit_files().iter().filter_map(number).min()?;
        let path = |name: &str| CString::new(level.join(name).into_os_string().into_encoded_bytes()).ok();
        Some(MemoryLimit {
            limit_bytes: Some(limit_bytes).filter(|limit| *limit < UNLIMITED_MIN)?,
            usage: path(cgroup.usage_file())?,
            kinds: path(KINDS_FILE)?,
            reclaimable: cgroup.reclaimable_keys(),
        })
    }

    /// Returns the bytes that can be used before the limit is reached, at most `enough` if that many are; pages of
    /// files that the kernel can give up count as free. Returns `None` if this is unknown. Async-signal-safe.
    pub(crate) fn free_bytes(&self, enough: u64) -> Option<u64> {
        let mut room = [0; 32];
        let used = leading_number(super::read_start(&self.usage, &mut room)?)?;
        let free = self.limit_bytes.saturating_sub(used);
        if free >= enough {
            return Some(enough);
        }
        Some(free.saturating_add(self.reclaimable_bytes()).min(enough))
    }

    /// Returns the bytes of files in memory. The buffer is not on the stack, which can be that of a signal handler.
    fn reclaimable_bytes(&self) -> u64 {
        const LEN: usize = 16 << 10;
        let Ok(start) = super::map_private(LEN) else { return 0 };
        // SAFETY: the memory is that long, zero, and known to nobody else until it is unmapped.
        let room = unsafe { std::slice::from_raw_parts_mut(start.as_ptr(), LEN) };
        let text = super::read_start(&self.kinds, room).unwrap_or_default();
        let of = |key: &str| {
            let line = text.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(key.as_bytes()));
            line.and_then(leading_number).unwrap_or(0)
        };
        let sum = self.reclaimable.iter().fold(0, |sum: u64, key| sum.saturating_add(of(key)));
        // SAFETY: the mapping from above; nothing refers to it anymore.
        unsafe { super::unmap(start, LEN) };
        sum
    }
}

/// Returns the bytes of the machine's memory; `None` if unknown.
pub(crate) fn machine_memory_bytes() -> Option<u64> {
    let mut info = std::mem::MaybeUninit::<libc::sysinfo>::uninit();
    // SAFETY: `info` is a valid place.
    if unsafe { libc::sysinfo(info.as_mut_ptr()) } != 0 {
        return None;
    }
    // SAFETY: the call succeeded, so it was written.
    let info = unsafe { info.assume_init() };
    #[allow(clippy::useless_conversion, reason = "the type is narrower on some systems")]
    let total = u64::from(info.totalram).saturating_mul(info.mem_unit.into());
    (total > 0).then_some(total)
}

/// Reads the decimal digits at the start of a text.
fn leading_number(text: &[u8]) -> Option<u64> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit());
    let mut number = None;
    for digit in digits {
        let before: u64 = number.unwrap_or(0);
        number = Some(before.checked_mul(10)?.checked_add((digit - b'0').into())?);
    }
    number
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    /// A file system with cgroups, removed at the end.
    struct Tree(PathBuf);

    impl Tree {
        fn new(files: &[(&str, &str)]) -> Self {
            let root = std::env::temp_dir().join(format!("ttlog-cgroup-{:x}", crate::sys::random()));
            for (path, text) in files {
                let path = root.join(path);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, text).unwrap();
            }
            Tree(root)
        }

        fn limits(&self, cgroups: &str, mounts: &str) -> Vec<MemoryLimit> {
            MemoryLimit::found(cgroups, mounts, &self.0)
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            std::fs::remove_dir_all(&self.0).unwrap();
        }
    }

    fn bytes(limits: &[MemoryLimit]) -> Vec<u64> {
        limits.iter().map(|limit| limit.limit_bytes).collect()
    }

    const MOUNT_2: &str = "29 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";
    const MOUNT_1: &str = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
                           35 31 0:32 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory\n\
                           41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";

    #[test]
    fn every_level_of_version_2_counts() {
        let tree = Tree::new(&[
            ("sys/fs/cgroup/memory.stat", "anon 1\n"),
            ("sys/fs/cgroup/shop.slice/memory.max", "268435456\n"),
            ("sys/fs/cgroup/shop.slice/memory.high", "134217728\n"),
            ("sys/fs/cgroup/shop.slice/a.service/memory.max", "max\n"),
            ("sys/fs/cgroup/shop.slice/a.service/memory.high", "1073741824\n"),
            ("sys/fs/cgroup/shop.slice/a.service/inner/memory.max", "max\n"),
            ("sys/fs/cgroup/shop.slice/a.service/inner/memory.high", "max\n"),
        ]);
        let limits = tree.limits("0::/shop.slice/a.service/inner\n", MOUNT_2);
        assert_eq!(bytes(&limits), [1 << 30, 128 << 20]);
        // In a container with a namespace of its own.
        let tree = Tree::new(&[("sys/fs/cgroup/memory.max", "67108864\n")]);
        assert_eq!(bytes(&tree.limits("0::/\n", MOUNT_2)), [64 << 20]);
    }

    #[test]
    fn every_level_of_version_1_counts_and_beats_version_2() {
        let tree = Tree::new(&[
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
            ("sys/fs/cgroup/memory/docker/memory.limit_in_bytes", "1073741824\n"),
            ("sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes", "268435456\n"),
            ("sys/fs/cgroup/unified/memory.max", "4096\n"),
        ]);
        let cgroups = "8:pids:/docker/abc\n4:cpu,memory:/docker/abc\n0::/\n";
        assert_eq!(bytes(&tree.limits(cgroups, MOUNT_1)), [256 << 20, 1 << 30]);
        // The path is that of the host, and only the container's part of the tree is mounted.
        let mounts = "35 31 0:32 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n";
        let tree = Tree::new(&[("sys/fs/cgroup/memory/memory.limit_in_bytes", "134217728\n")]);
        assert_eq!(bytes(&tree.limits("4:memory:/docker/abc\n", mounts)), [128 << 20]);
        assert_eq!(bytes(&tree.limits("4:memory:/moved/elsewhere\n", mounts)), [128 << 20]);
    }

    #[test]
    fn free_memory_counts_what_the_kernel_can_give_up() {
        let tree = Tree::new(&[
            ("sys/fs/cgroup/memory.max", "1000000\n"),
            ("sys/fs/cgroup/memory.current", "900000\n"),
            ("sys/fs/cgroup/memory.stat", "anon 5\nshmem 700000\ninactive_file 40000\nactive_file 2000\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "1000000\n"),
            ("sys/fs/cgroup/memory/memory.usage_in_bytes", "999999\n"),
            ("sys/fs/cgroup/memory/memory.stat", "inactive_file 1\ntotal_inactive_file 30\ntotal_active_file 4\n"),
        ]);
        let limit = &tree.limits("0::/\n", MOUNT_2)[0];
        assert_eq!(limit.free_bytes(50_000), Some(50_000));
        assert_eq!(limit.free_bytes(u64::MAX), Some(142_000));
        assert_eq!(tree.limits("4:memory:/\n", MOUNT_1)[0].free_bytes(u64::MAX), Some(35));
    }

    #[test]
    fn nonsense_is_no_limit() {
        let tree = Tree::new(&[("sys/fs/cgroup/memory.max", "-1\n"), ("sys/fs/cgroup/memory.high", "lots\n")]);
        for (cgroups, mounts) in [("0::/\n", MOUNT_2), ("", MOUNT_2), ("0::/\n", ""), ("x", "y - z"), ("::", " - ")] {
            assert!(tree.limits(cgroups, mounts).is_empty(), "{cgroups:?} {mounts:?}");
        }
        for (text, number) in [("12\n", Some(12)), ("", None), ("max", None), ("99999999999999999999", None)] {
            assert_eq!(leading_number(text.as_bytes()), number, "{text:?}");
        }
        assert!(machine_memory_bytes().unwrap() > 1 << 20);
    }
}

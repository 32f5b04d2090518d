//! Memory: the limits of the cgroups that the processes are in, or the machine's memory, and what the rings take of it.
//!
//! A ring in `/dev/shm` is memory that counts against the limit from its start on.

use std::fs::read_to_string;
use std::path::{Path, PathBuf};

use ttlog_core::ring::memory_limit::{KINDS_FILE, MemoryCgroup, UNLIMITED_MIN};
use ttlog_read::text::number::{bytes, counted};

use super::examine::RingReport;
use super::remark::Remark;

/// Share of the memory from which rings are a problem. Sizes that nobody has set are half of it for a process and its
/// children.
const SHARE_MAX: u64 = 4;

/// A limit of memory, and its use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Bytes that can be used.
    pub bytes: u64,
    /// File with the limit; `None` for the machine's memory.
    pub file: Option<PathBuf>,
    /// Bytes in use; `None` if unknown.
    pub used: Option<u64>,
    /// Bytes of these that the kernel can give up: pages of files.
    pub reclaimable: u64,
}

/// Findings about the memory of processes that have one limit in common.
#[derive(Debug)]
pub struct MemoryReport {
    /// The limit.
    pub limit: Limit,
    /// Number of rings of running processes below it.
    pub ring_count: u64,
    /// Bytes of these rings that are in memory.
    pub ring_bytes: u64,
    /// Remarks about the memory.
    pub remarks: Vec<Remark>,
}

impl MemoryReport {
    /// Examines the memory of the processes of these rings; that of the viewer if none is running.
    #[must_use]
    pub fn of_rings(rings: &[RingReport]) -> Vec<Self> {
        let mounts = read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let of_process = |pid: &str| {
            let cgroups = read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
            smallest(&cgroups, &mounts, Path::new("/")).or_else(|| of_machine(Path::new("/")))
        };
        let mut reports: Vec<MemoryReport> = Vec::new();
        for ring in rings.iter().filter(|ring| ring.runs) {
            let Some(limit) = ring.pid.and_then(|pid| of_process(&pid.to_string())) else { continue };
            let known = reports.iter().position(|report| report.limit.file == limit.file);
            let report = match known {
                Some(index) => &mut reports[index],
                None => {
                    reports.push(MemoryReport::new(limit));
                    reports.last_mut().unwrap_or_else(|| unreachable!("it was just added"))
                }
            };
            report.ring_count += 1;
            report.ring_bytes = report.ring_bytes.saturating_add(memory_bytes(&ring.path));
        }
        if reports.is_empty() {
            reports.extend(of_process("self").map(MemoryReport::new));
        }
        reports.iter_mut().for_each(MemoryReport::remark);
        reports
    }

    fn new(limit: Limit) -> Self {
        MemoryReport { limit, ring_count: 0, ring_bytes: 0, remarks: Vec::new() }
    }

    /// Returns the memory in use as text.
    #[must_use]
    pub fn used_text(&self) -> String {
        match self.limit.used {
            Some(used) if self.limit.reclaimable > 0 => {
                let files = bytes(self.limit.reclaimable.min(used));
                format!("{} of it, of which {files} are files that the kernel can give up", bytes(used))
            }
            Some(used) => format!("{} of it", bytes(used)),
            None => "unknown".to_owned(),
        }
    }

    /// Returns what the rings take as text.
    #[must_use]
    pub fn rings_text(&self) -> String {
        let percent = u128::from(self.ring_bytes) * 100 / u128::from(self.limit.bytes.max(1));
        let rings = counted(self.ring_count, "ring");
        format!("{} of memory in {rings} of running processes, {percent} %", bytes(self.ring_bytes))
    }

    fn remark(&mut self) {
        if self.limit.file.is_some() && self.ring_bytes > self.limit.bytes / SHARE_MAX {
            let text = format!("rings take {} of a limit of {}", bytes(self.ring_bytes), bytes(self.limit.bytes));
            let advice = "whoever exceeds the limit is killed: lower TTLOG_CAPACITY_BYTES and \
                          TTLOG_CHILD_CAPACITY_BYTES, raise the limit, or point TTLOG_DIR at a disk";
            self.remarks.push(Remark::problem(text, advice));
        }
    }
}

/// Returns the bytes of memory that a file takes: none on a disk.
fn memory_bytes(path: &Path) -> u64 {
    #[cfg(target_os = "linux")]
    {
        use std::os::unix::fs::MetadataExt as _;
        const TMPFS: u64 = 0x0102_1994;
        const RAMFS: u64 = 0x8584_58f6;
        let is_memory = rustix::fs::statfs(path).is_ok_and(|disk| [TMPFS, RAMFS].contains(&(disk.f_type as u64)));
        if is_memory { path.metadata().map_or(0, |metadata| metadata.blocks().saturating_mul(512)) } else { 0 }
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = path;
        0
    }
}

/// Returns the smallest limit on a process with these cgroups and mounts, whose files are below `root`.
fn smallest(cgroups: &str, mounts: &str, root: &Path) -> Option<Limit> {
    let cgroup = MemoryCgroup::find(cgroups, mounts)?;
    let top = root.join(cgroup.mount_point);
    let path = top.join(cgroup.below);
    let levels = path.ancestors().take_while(|level| level.starts_with(&top));
    let limits = levels.flat_map(|level| cgroup.limit_files().iter().map(move |file| level.join(file)));
    let limits = limits.filter_map(|file| Some((number(&file).filter(|limit| *limit < UNLIMITED_MIN)?, file)));
    let (bytes, file) = limits.min_by_key(|(bytes, _)| *bytes)?;
    let level = file.parent()?;
    let kinds = read_to_string(level.join(KINDS_FILE)).unwrap_or_default();
    let of = |key: &str| kinds.lines().find_map(|line| line.strip_prefix(key)?.trim().parse().ok()).unwrap_or(0);
    let reclaimable = cgroup.reclaimable_keys().iter().fold(0, |sum: u64, key| sum.saturating_add(of(key)));
    Some(Limit { bytes, used: number(&level.join(cgroup.usage_file())), reclaimable, file: Some(file) })
}

/// Returns the machine's memory; `None` if unknown.
fn of_machine(root: &Path) -> Option<Limit> {
    let text = read_to_string(root.join("proc/meminfo")).ok()?;
    let of = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key))?;
        line.trim().trim_end_matches(" kB").parse::<u64>().ok().map(|kib| kib.saturating_mul(1024))
    };
    let bytes = of("MemTotal:")?;
    let used = of("MemAvailable:").map(|available| bytes.saturating_sub(available));
    Some(Limit { bytes, file: None, used, reclaimable: 0 })
}

fn number(file: &Path) -> Option<u64> {
    read_to_string(file).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(name: &str, files: &[(&str, &str)]) -> PathBuf {
        let root = std::env::temp_dir().join(format!("ttlog-view-memory-{name}-{}", std::process::id()));
        for (path, text) in files {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().expect("a directory")).expect("our own directory");
            std::fs::write(path, text).expect("our own file");
        }
        root
    }

    #[test]
    fn smallest_limit_of_all_levels_counts() {
        let root = tree(
            "two",
            &[
                ("cg/memory.stat", "anon 1\n"),
                ("cg/shop/memory.max", "268435456\n"),
                ("cg/shop/memory.high", "134217728\n"),
                ("cg/shop/memory.current", "1000\n"),
                ("cg/shop/memory.stat", "shmem 900\ninactive_file 60\nactive_file 4\n"),
                ("cg/shop/inner/memory.max", "max\n"),
                ("cg/shop/inner/memory.high", "max\n"),
            ],
        );
        let mount = "29 23 0:26 / /cg rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";
        let limit = smallest("0::/shop/inner\n", mount, &root).expect("a limit");
        assert_eq!((limit.bytes, limit.used, limit.reclaimable), (128 << 20, Some(1000), 64));
        assert_eq!(limit.file, Some(root.join("cg/shop/memory.high")));
        assert_eq!(smallest("0::/other\n", mount, &root), None);
        std::fs::remove_dir_all(root).expect("our own directory");
    }

    #[test]
    fn version_1_and_its_containers() {
        let root = tree(
            "one",
            &[
                ("cg/memory/memory.limit_in_bytes", "134217728\n"),
                ("cg/memory/memory.usage_in_bytes", "5\n"),
                ("cg/memory/memory.stat", "active_file 1\ntotal_active_file 3\n"),
                ("cg/unified/memory.max", "4096\n"),
            ],
        );
        let mounts = "41 31 0:38 / /cg/unified rw - cgroup2 cgroup2 rw\n\
                      34 31 0:31 / /cg/cpu rw - cgroup cgroup rw,cpu\n\
                      35 31 0:32 /docker/abc /cg/memory rw shared:9 - cgroup cgroup rw,memory\n";
        let limit = smallest("8:pids:/docker/abc\n4:cpu,memory:/docker/abc\n0::/\n", mounts, &root).expect("a limit");
        assert_eq!((limit.bytes, limit.used, limit.reclaimable), (128 << 20, Some(5), 3));
        std::fs::remove_dir_all(root).expect("our own directory");
    }

    #[test]
    fn nonsense_is_no_limit() {
        let nowhere = Path::new("/nonexistent");
        for (cgroups, mounts) in [("", ""), ("::", " - "), ("0::", "a b c d - cgroup2"), ("4:memory", "x - cgroup y")] {
            assert_eq!(smallest(cgroups, mounts, nowhere), None, "{cgroups:?} {mounts:?}");
        }
        assert_eq!(of_machine(nowhere), None);
        assert_eq!(of_machine(Path::new("/")).is_some(), Path::new("/proc/meminfo").exists());
    }

    #[test]
    fn rings_that_take_much_of_the_limit_are_a_problem() {
        let limit = Limit { bytes: 256 << 20, file: Some("memory.max".into()), used: Some(70 << 20), reclaimable: 0 };
        let mut report = MemoryReport { ring_count: 33, ring_bytes: 64 << 20, ..MemoryReport::new(limit) };
        report.remark();
        assert_eq!((report.remarks.len(), report.used_text().as_str()), (0, "70.0 MiB of it"));
        assert_eq!(report.rings_text(), "64.0 MiB of memory in 33 rings of running processes, 25 %");
        report.ring_bytes += 1;
        report.remark();
        assert_eq!(report.remarks[0].text, "rings take 64.0 MiB of a limit of 256.0 MiB");
    }
}

use super::*;
use std::os::unix::fs::{OpenOptionsExt as _, symlink};

const NO_LIMITS: Limits = Limits { count: u64::MAX, bytes: u64::MAX, age: None, free_percent: 0, room: 0 };
const OURS: Scope<'_> = Scope::Service("shop");

/// A separate directory for each test, and the time from which its files are dated.
struct Directory {
    path: PathBuf,
    now: SystemTime,
}

impl Directory {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("ttlog-retention-{:016x}", crate::sys::random()));
        std::fs::create_dir(&path).unwrap();
        Directory { path, now: SystemTime::now() }
    }

    /// Creates a file of `len` bytes, written `age_s` seconds ago; in the future if that is negative.
    fn file(&self, name: &str, len: usize, age_s: i64) -> PathBuf {
        let path = self.path.join(name);
        std::fs::write(&path, vec![b'x'; len]).unwrap();
        let distance = Duration::from_secs(age_s.unsigned_abs());
        let time = if age_s < 0 { self.now + distance } else { self.now - distance };
        std::fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
        path
    }

    /// Creates the snapshot with number `n` of the service, 100 bytes, written `age_s` seconds ago.
    fn snapshot(&self, n: u32, age_s: i64) -> PathBuf {
        self.file(&format!("ttlog-shop-{n}-20261122T214159Z-manual.bin"), 100, age_s)
    }

    fn sweep(&self, limits: Limits, keep: Option<&Path>) -> Swept {
        self.sweep_on(limits, keep, &|_| None)
    }

    fn sweep_on(&self, limits: Limits, keep: Option<&Path>, disk: &dyn Fn(&Path) -> Option<Disk>) -> Swept {
        sweep_at(&self.path, OURS, &limits, keep, self.now, disk)
    }

    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.path).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Returns the numbers of the remaining snapshots.
    fn numbers(&self) -> Vec<u32> {
        let mut numbers: Vec<u32> =
            self.names().iter().map(|name| name.split('-').nth(2).unwrap().parse().unwrap()).collect();
        numbers.sort_unstable();
        numbers
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path); // a leftover in the temp directory harms nobody
    }
}

#[test]
fn oldest_go_until_the_count_is_right() {
    let directory = Directory::new();
    for n in 1..=10 {
        directory.snapshot(n, 100 - i64::from(n));
    }
    let swept = directory.sweep(Limits { count: 3, ..NO_LIMITS }, None);
    assert_eq!(swept, Swept { count: 7, bytes: 700, temporary_count: 0 });
    assert_eq!(directory.numbers(), [8, 9, 10]);
    assert_eq!(directory.sweep(Limits { count: 3, ..NO_LIMITS }, None), Swept::default());
}

#[test]
fn oldest_go_until_the_bytes_are_right() {
    let directory = Directory::new();
    for n in 1..=10 {
        directory.snapshot(n, 100 - i64::from(n));
    }
    directory.sweep(Limits { bytes: 450, ..NO_LIMITS }, None);
    assert_eq!(directory.numbers(), [7, 8, 9, 10]);
    directory.sweep(Limits { bytes: 400, ..NO_LIMITS }, None);
    assert_eq!(directory.numbers(), [7, 8, 9, 10], "exactly as many bytes as may be");
    directory.sweep(Limits { bytes: 0, ..NO_LIMITS }, None);
    assert_eq!(directory.numbers(), [10], "the newest stays however large it is");
}

#[test]
fn what_is_too_old_goes() {
    let directory = Directory::new();
    for n in 1..=4 {
        directory.snapshot(n, i64::from(n) * 60);
    }
    let limits = Limits { age: Some(Duration::from_secs(120)), ..NO_LIMITS };
    directory.sweep(limits, None);
    assert_eq!(directory.numbers(), [1, 2], "exactly as old as may be");
    let later = sweep_at(&directory.path, OURS, &limits, None, directory.now + Duration::from_secs(1000), &|_| None);
    assert_eq!((later.count, directory.numbers()), (1, vec![1]), "the newest stays however old it is");
}

#[test]
fn what_was_just_written_stays() {
    let directory = Directory::new();
    let keep = directory.snapshot(1, 1000);
    directory.snapshot(2, 10);
    let all = Limits { count: 1, bytes: 0, age: Some(Duration::ZERO), free_percent: 100, room: 0 };
    directory.sweep_on(all, Some(&keep), &|_| Some(Disk { free: 0, total: 100 }));
    assert_eq!(directory.numbers(), [1]);
}

#[test]
fn disk_gets_its_room_back() {
    let directory = Directory::new();
    for n in 1..=10 {
        directory.snapshot(n, 100 - i64::from(n));
    }
    // Of 10,000 bytes 900 are free in addition to those that the snapshots leave.
    let disk = |path: &Path| {
        let used = std::fs::read_dir(path).unwrap().count() as u64 * 100;
        Some(Disk { free: 1900 - used, total: 10_000 })
    };
    directory.sweep_on(Limits { free_percent: 15, ..NO_LIMITS }, None, &disk);
    assert_eq!(directory.numbers(), [7, 8, 9, 10], "15 % are free again");
    directory.sweep_on(Limits { free_percent: 15, room: 100, ..NO_LIMITS }, None, &disk);
    assert_eq!(directory.numbers(), [8, 9, 10], "and room for another");
    directory.sweep_on(Limits { free_percent: 0, room: 5_000, ..NO_LIMITS }, None, &disk);
    assert_eq!(directory.numbers(), [8, 9, 10], "switched off");
    directory.sweep_on(Limits { free_percent: 50, ..NO_LIMITS }, None, &disk);
    assert_eq!(directory.numbers(), [10], "the newest stays on a disk that others have filled");
    directory.sweep_on(Limits { free_percent: 100, ..NO_LIMITS }, None, &|_| None);
    assert_eq!(directory.numbers(), [10], "a disk that nobody knows has no limit");
}

#[test]
fn shares_of_a_disk() {
    let disk = Disk { free: 15, total: 100 };
    assert!(disk.has_free(15, 0) && !disk.has_free(16, 0) && disk.has_free(10, 5) && !disk.has_free(10, 6));
    assert_eq!((disk.spare(0), disk.spare(14), disk.spare(16)), (15, 1, 0));
    assert_eq!(Disk { free: 5, total: 9 }.spare(50), 0, "rounded up");
    assert_eq!(disk.free_percent(), 15);
    assert!(Disk { free: u64::MAX, total: u64::MAX }.has_free(100, 0));
    assert!(Disk { free: 0, total: 0 }.has_free(100, 0));
    let real = Disk::of(&std::env::temp_dir()).unwrap();
    assert!(real.free <= real.total && real.free_percent() <= 100);
    assert_eq!(Disk::of(Path::new("/no/such/directory")), None);
}

#[test]
fn files_of_the_future_count_as_the_oldest() {
    // Written before the clock was set back by a year; the numbers are in the order of writing.
    let directory = Directory::new();
    let year = 365 * 86_400;
    for n in 1..=3 {
        directory.snapshot(n, -year - i64::from(n));
    }
    for n in 4..=6 {
        directory.snapshot(n, 10 - i64::from(n));
    }
    directory.sweep(Limits { count: 4, ..NO_LIMITS }, None);
    assert_eq!(directory.numbers(), [3, 4, 5, 6]);
    directory.sweep(Limits { age: Some(Duration::from_secs(60)), ..NO_LIMITS }, None);
    assert_eq!(directory.numbers(), [3, 4, 5, 6], "nobody knows how old it is");
}

#[test]
fn names_of_others_are_not_ours() {
    // ttlog-core tests which names are those of snapshots, and what they say.
    for (name, service) in [
        ("ttlog-shop-1-20261122T214159Z-manual-2.bin", Some("shop")),
        ("ttlog-shop-7-1-20261122T214159Z-manual.bin", Some("shop-7")),
        ("ttlog-shop-1-20261122T214159Z-x-9-20261122T214159Z-manual.bin", Some("shop-1-20261122T214159Z-x")),
        ("ttlog-shop-1-20261122T214159Z.bin", None),
    ] {
        assert_eq!(service_of(name.as_bytes()), service, "{name}");
        assert_eq!(OURS.has(name.as_bytes()), service == Some("shop"), "{name}");
    }
}

#[test]
fn hostile_service_names_are_compared_as_they_are_written() {
    assert!(Scope::Service("../a b").has(b"ttlog-_._a_b-1-20261122T214159Z-manual.bin"));
    assert!(Scope::Service("").has(b"ttlog-unnamed-1-20261122T214159Z-manual.bin"));
    let long = "x".repeat(500);
    let written = format!("ttlog-{}-1-20261122T214159Z-manual.bin", NamePart::service(&long));
    assert!(Scope::Service(&long).has(written.as_bytes()));
}

#[test]
fn of_other_services_only_what_was_recovered_goes() {
    let directory = Directory::new();
    for n in 1..=4 {
        directory.snapshot(n, 100 - i64::from(n));
    }
    directory.file("ttlog-shop-5-20261122T214159Z-recovered.bin", 1, 60);
    directory.file("ttlog-shop-6-20261122T214159Z-recovered-2.bin", 1, 50);
    directory.file("ttlog-shop-7-20261122T214159Z-recovered-by-hand.bin", 1, 40);
    let limits = Limits { count: 1, ..NO_LIMITS };
    sweep_at(&directory.path, Scope::RecoveredOf("shop"), &limits, None, directory.now, &|_| None);
    assert_eq!(directory.numbers(), [1, 2, 3, 4, 6, 7]);
}

#[test]
fn only_regular_files_with_one_name_are_ours() {
    let directory = Directory::new();
    let elsewhere = Directory::new();
    let target = elsewhere.file("precious", 5, 1000);
    symlink(&target, directory.path.join("ttlog-shop-1-20261122T214159Z-link.bin")).unwrap();
    std::fs::hard_link(&target, directory.path.join("ttlog-shop-2-20261122T214159Z-hard.bin")).unwrap();
    std::fs::create_dir(directory.path.join("ttlog-shop-3-20261122T214159Z-directory.bin")).unwrap();
    let fifo = directory.path.join("ttlog-shop-4-20261122T214159Z-fifo.bin");
    let name = std::ffi::CString::new(fifo.to_str().unwrap()).unwrap();
    // SAFETY: a terminated string.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    symlink("/no/such/file", directory.path.join("ttlog-shop-5-20261122T214159Z-broken.bin")).unwrap();
    directory.snapshot(6, 5);
    directory.snapshot(7, 4);
    let swept = directory.sweep(Limits { count: 1, ..NO_LIMITS }, None);
    assert_eq!(swept.count, 1, "the others are not counted either");
    assert_eq!(directory.numbers(), [1, 2, 3, 4, 5, 7]);
    assert_eq!(std::fs::read(target).unwrap(), b"xxxxx");
}

#[test]
fn directory_that_is_missing_or_a_file() {
    let directory = Directory::new();
    let file = directory.snapshot(1, 1);
    for path in [directory.path.join("missing"), file] {
        assert_eq!(sweep(&path, OURS, &Limits { count: 1, ..NO_LIMITS }, None), Swept::default());
    }
}

#[test]
fn leftovers_of_the_dead_go_and_those_of_the_living_stay() {
    let directory = Directory::new();
    directory.file(".ttlog-shop-1-20261122T214159Z-x-00.tmp", 9, 90);
    directory.file(".ttlog-other-1-20261122T214159Z-x-00.tmp", 9, 90);
    directory.file(".ttlog-shop-2-20261122T214159Z-young.tmp", 9, 20);
    let written = directory.file(".ttlog-shop-3-20261122T214159Z-written.tmp", 9, 90);
    let writer = std::fs::File::options().write(true).open(&written).unwrap();
    assert!(crate::sys::try_lock(&writer).unwrap());
    symlink(&written, directory.path.join(".ttlog-shop-4-20261122T214159Z-link.tmp")).unwrap();
    directory.file("ttlog-shop-5.tmp", 9, 7200);
    directory.file(".other.tmp", 9, 7200);
    assert_eq!(directory.sweep(NO_LIMITS, None).temporary_count, 2);
    assert_eq!(
        directory.names(),
        [
            ".other.tmp",
            ".ttlog-shop-2-20261122T214159Z-young.tmp",
            ".ttlog-shop-3-20261122T214159Z-written.tmp",
            ".ttlog-shop-4-20261122T214159Z-link.tmp",
            "ttlog-shop-5.tmp"
        ]
    );
    drop(writer);
    assert_eq!(directory.sweep(NO_LIMITS, None).temporary_count, 1);
}

#[test]
fn more_files_than_a_pass_remembers() {
    let directory = Directory::new();
    let count = REMEMBERED_MAX as u32 + 10;
    for n in 1..=count {
        directory.snapshot(n, i64::from(count - n));
    }
    let limits = Limits { count: 5, ..NO_LIMITS };
    assert_eq!(directory.sweep(limits, None).count, REMEMBERED_MAX as u64, "the oldest ones");
    assert_eq!(directory.sweep(limits, None).count, 5);
    assert_eq!(directory.numbers(), Vec::from_iter(count - 4..=count));
}

#[test]
fn many_at_once_never_remove_the_newest() {
    let directory = Directory::new();
    for n in 1..=400 {
        directory.snapshot(n, i64::from(400 - n));
    }
    let limits = Limits { count: 32, ..NO_LIMITS };
    std::thread::scope(|scope| {
        let sweepers: Vec<_> = (0..8).map(|_| scope.spawn(|| directory.sweep(limits, None).count)).collect();
        let removed: u64 = sweepers.into_iter().map(|sweeper| sweeper.join().unwrap()).sum();
        assert_eq!(removed, 368, "each was removed once");
    });
    assert_eq!(directory.numbers(), Vec::from_iter(369..=400));
}

#[test]
fn file_of_another_user_is_not_touched() {
    if crate::sys::effective_uid() != 0 {
        return crate::skip::skip(
            "retention::file_of_another_user_is_not_touched",
            "making a file of another user takes root",
        );
    }
    let directory = Directory::new();
    let open_to_all = std::os::unix::fs::PermissionsExt::from_mode(0o1777);
    std::fs::set_permissions(&directory.path, open_to_all).unwrap();
    let theirs = directory.snapshot(1, 100);
    let old = directory.path.join(".ttlog-shop-1-20261122T214159Z-x.tmp");
    std::fs::File::options().write(true).create_new(true).mode(0o666).open(&old).unwrap();
    directory.file(".ttlog-shop-1-20261122T214159Z-x.tmp", 9, 7200);
    std::os::unix::fs::chown(&theirs, Some(12_345), None).unwrap();
    std::os::unix::fs::chown(&old, Some(12_345), None).unwrap();
    directory.snapshot(2, 50);
    directory.snapshot(3, 20);
    assert_eq!(
        directory.sweep(Limits { count: 1, ..NO_LIMITS }, None),
        Swept { count: 1, bytes: 100, temporary_count: 0 }
    );
    assert!(theirs.exists() && old.exists());
}

/// Only this user and root could put them there: they are of the same service under another user.
#[test]
fn files_of_all_users_count_in_a_private_directory() {
    if crate::sys::effective_uid() != 0 {
        return crate::skip::skip(
            "retention::files_of_all_users_count_in_a_private_directory",
            "making a file of another user takes root",
        );
    }
    let directory = Directory::new();
    std::fs::set_permissions(&directory.path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    for n in 1..=4 {
        let path = directory.snapshot(n, 100 - i64::from(n));
        std::os::unix::fs::chown(&path, Some(12_345 + n % 2), None).unwrap();
    }
    assert_eq!(directory.sweep(Limits { count: 3, ..NO_LIMITS }, None).count, 1);
    assert_eq!(directory.numbers(), [2, 3, 4]);
}

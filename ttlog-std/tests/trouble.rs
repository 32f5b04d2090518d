//! Trouble with disks, descriptors and directories, and many processes in one directory: the program goes on, no
//! unfinished file is left, and losses are reported.
#![cfg(target_os = "linux")]

mod common;

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use common::{Place, Snapshot, files, finish, stderr, wait_until, warnings};
use ttlog_std::{Recorder, SnapshotError, info};

/// Not a test: entry point of the children of the tests below.
#[test]
#[ignore = "run by the other tests in child processes"]
fn child() {
    let Some(case) = common::case() else { return };
    match case.as_str() {
        "tiny disk" => {
            let recorder = Recorder::builder().service("tiny").capacity_bytes(4 << 20).build().unwrap();
            fill_with_noise(20_000);
            let error = recorder.request_snapshot("too big").wait().unwrap_err();
            if std::env::var("TTLOG_RETAIN_FREE_PERCENT").unwrap() == "0" {
                assert_eq!(code(&error), Some(libc::ENOSPC), "{error}");
                assert!(error.to_string().contains("snapshots/.ttlog-tiny-"), "{error}");
            } else {
                assert!(matches!(error, SnapshotError::DiskAlmostFull { needed_percent: 15, .. }), "{error}");
            }
            assert_eq!(files(&snapshots()), Vec::<PathBuf>::new());
            let before = recorder.loss();
            fill_with_noise(100);
            assert!(recorder.is_recording() && recorder.loss().dropped_total() == before.dropped_total());
        }
        "tiny disk, many snapshots" => {
            let recorder = Recorder::builder().service("tiny").capacity_bytes(16 << 10).build().unwrap();
            let mut most = 0;
            for _ in 0..60 {
                fill_with_noise(200);
                let path = recorder.request_snapshot("one of many").wait().unwrap();
                assert!(path.exists(), "the newest is never removed");
                assert!(free_percent() >= 15, "{} % free", free_percent());
                most = most.max(files(&snapshots()).len());
            }
            assert!((5..60).contains(&most), "{most}");
            // Another program fills the disk: the recorder removes all snapshots except its newest, and then writes no
            // more.
            let fillers: Vec<_> = (0..30).map(|n| snapshots().join(format!("somebody else's {n}"))).collect();
            let error = fillers.iter().find_map(|filler| {
                let free = statvfs().f_bavail * statvfs().f_frsize;
                std::fs::write(filler, vec![1; free.saturating_sub(64 << 10) as usize]).unwrap();
                recorder.request_snapshot("as long as there is room").wait().err()
            });
            let error = error.expect("the disk was never full");
            let SnapshotError::DiskAlmostFull { free_percent: free, needed_percent: 15, .. } = &error else {
                panic!("{error}")
            };
            // Too little is free, or would be with the snapshot, which has some hundredths of this disk.
            assert!(*free < 20, "{error}");
            // Last words can use the rest of the disk.
            let panicked = std::panic::catch_unwind(|| panic!("last words"));
            assert!(panicked.is_err());
            assert_eq!(files(&snapshots()).iter().filter(|path| path.extension().is_some()).count(), 2);
            let is_panic = |path: &PathBuf| path.to_str().unwrap().ends_with("-panic.bin");
            assert_eq!(files(&snapshots()).iter().filter(|path| is_panic(path)).count(), 1);
            for filler in fillers {
                let _ = std::fs::remove_file(filler); // not all were needed
            }
            recorder.request_snapshot("room again").wait().unwrap();
        }
        "read-only" => {
            let recorder = Recorder::builder().service("fixed").capacity_bytes(16 << 10).build().unwrap();
            recorder.request_snapshot("before").wait().unwrap();
            remount("ro");
            let error = recorder.request_snapshot("meanwhile").wait().unwrap_err();
            assert_eq!(code(&error), Some(libc::EROFS), "{error}");
            info!("still recording");
            remount("rw");
            let snapshot = Snapshot::read(&recorder.request_snapshot("after").wait().unwrap());
            assert_eq!(snapshot.with_message("still recording").len(), 1);
        }
        "no descriptors at the start" => {
            let limit = limit_descriptors();
            let recorder = Recorder::init(1000, 10, "poor");
            assert_eq!(recorder.ring_path(), None);
            info!("still recording");
            let error = recorder.request_snapshot("too early").wait().unwrap_err();
            assert_eq!(code(&error), Some(libc::EMFILE), "{error}");
            set_descriptors(limit);
            let snapshot = Snapshot::read(&recorder.request_snapshot("later").wait().unwrap());
            assert_eq!(snapshot.with_message("still recording").len(), 1);
        }
        "no descriptors later" => {
            let recorder =
                Recorder::builder().service("poor").snapshot_every(Duration::from_millis(100)).build().unwrap();
            let limit = limit_descriptors();
            for n in 0..5_u32 {
                info!("still recording", n);
                let error = recorder.request_snapshot("in vain").wait().unwrap_err();
                assert_eq!(code(&error), Some(libc::EMFILE), "{error}");
            }
            // A failed automatic snapshot is reported, and only once.
            std::thread::sleep(Duration::from_secs(2));
            set_descriptors(limit);
            let snapshot = Snapshot::read(&recorder.request_snapshot("later").wait().unwrap());
            assert_eq!(snapshot.with_message("still recording").len(), 5);
            assert!(recorder.ring_path().unwrap().exists());
        }
        "directories removed" => {
            let recorder = Recorder::builder().service("homeless").build().unwrap();
            info!("before");
            std::fs::remove_dir_all(recorder.ring_path().unwrap().parent().unwrap()).unwrap();
            recorder.request_snapshot("before").wait().unwrap();
            std::fs::remove_dir_all(snapshots()).unwrap();
            info!("after");
            let snapshot = Snapshot::read(&recorder.request_snapshot("after").wait().unwrap());
            assert_eq!((snapshot.with_message("before").len(), snapshot.with_message("after").len()), (1, 1));
            assert!(recorder.shutdown(), "a missing file need not be removed");
        }
        "one of a crowd" => {
            let recorder = Recorder::builder().service("crowd").capacity_bytes(64 << 10).build().unwrap();
            assert!(recorder.ring_path().is_some());
            let pid = u64::from(std::process::id());
            for n in 0..100_u64 {
                info!("in the crowd", pid, n);
            }
            // Others can write 20 newer ones meanwhile, so it can be gone.
            recorder.request_snapshot("crowd").wait().unwrap();
            if pid % 2 == 0 {
                assert!(recorder.shutdown());
            }
        }
        "last of a crowd" => {
            let recorder = Recorder::builder().service("crowd").build().unwrap();
            wait_until("every orphan is gone", || rings().len() == 1);
            assert!(recorder.shutdown());
        }
        "one of two users" => {
            let recorder = Recorder::builder().service("shared").capacity_bytes(64 << 10).build().unwrap();
            assert!(recorder.ring_path().is_some());
            for _ in 0..5 {
                info!("mine");
                recorder.request_snapshot("one of many").wait().unwrap();
            }
        }
        "orphan" => {
            Recorder::builder().service("orphaned").capacity_bytes(16 << 10).table_bytes(4 << 10).build().unwrap();
            info!("last words");
        }
        "heir" => {
            let read_before = main_thread_read();
            let recorder = Recorder::builder().service("orphaned").capacity_bytes(1 << 20).build().unwrap();
            info!("at work");
            let read = main_thread_read().zip(read_before).map(|(after, before)| after - before);
            let peak_before = peak_kib();
            // The starting thread reads nothing of the orphans, which have more than 20 MB.
            assert!(read.is_none_or(|bytes| bytes < 1 << 20), "{read:?}");
            // Requests are served between them.
            recorder.request_snapshot("meanwhile").wait().unwrap();
            wait_until("every orphan is gone", || rings().len() == 1);
            let grown = peak_kib() - peak_before;
            assert!(grown < 16 << 10, "{grown} KiB more memory than before");
            assert!(recorder.shutdown());
        }
        other => panic!("unknown case {other}"),
    }
}

fn snapshots() -> PathBuf {
    PathBuf::from(std::env::var_os("TTLOG_SNAPSHOT_DIR").unwrap())
}

fn rings() -> Vec<PathBuf> {
    files(Path::new(&std::env::var_os("TTLOG_DIR").unwrap()))
}

/// Returns the operating system's error number.
fn code(error: &SnapshotError) -> Option<i32> {
    match error {
        SnapshotError::Io { cause, .. } => cause.raw_os_error(),
        _ => None,
    }
}

/// Records incompressible data.
fn fill_with_noise(count: usize) {
    let mut state = 0x1234_5678_9ABC_DEF1_u64;
    for _ in 0..count {
        let noise = [(); 16].map(|()| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        });
        info!("noise", noise);
    }
}

fn statvfs() -> libc::statvfs {
    let path = std::ffi::CString::new(snapshots().to_str().unwrap()).unwrap();
    // SAFETY: a terminated path and a valid, zeroed struct, for which any bits are a value.
    unsafe {
        let mut status: libc::statvfs = std::mem::zeroed();
        assert_eq!(libc::statvfs(path.as_ptr(), &raw mut status), 0);
        status
    }
}

fn free_percent() -> u64 {
    let status = statvfs();
    status.f_bavail * 100 / status.f_blocks
}

fn remount(how: &str) {
    let status = Command::new("mount").args(["-o", &format!("remount,{how}")]).arg(snapshots()).status().unwrap();
    assert!(status.success());
}

/// Lowers the limit so that no descriptor can be opened, and returns the previous limit.
fn limit_descriptors() -> u64 {
    // SAFETY: plain system calls; the pointer is valid.
    unsafe {
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        assert_eq!(libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit), 0);
        let next = libc::dup(0);
        libc::close(next);
        set_descriptors(next as u64);
        limit.rlim_cur
    }
}

fn set_descriptors(count: u64) {
    // SAFETY: plain system calls; the pointers are valid.
    unsafe {
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        assert_eq!(libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit), 0);
        limit.rlim_cur = count;
        assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit), 0);
    }
}

/// Returns the number of bytes that this thread has read, if the kernel counts them.
fn main_thread_read() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/thread-self/io").ok()?;
    text.lines().find_map(|line| line.strip_prefix("rchar: ")?.parse().ok())
}

/// Returns the peak memory of this process, in KiB.
fn peak_kib() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Runs a case in its own mount namespace, with its snapshots on a disk of 1 MiB, of which the given percentage is to
/// stay free. Returns `None` if the system allows no namespace, which is reported as skipped.
fn on_tiny_disk(place: &Place, case: &str, free_percent: &str) -> Option<std::process::Output> {
    let can =
        |flags: &str| Command::new("unshare").args([flags, "true"]).output().is_ok_and(|run| run.status.success());
    let Some(flags) = ["-rm", "-m"].into_iter().find(|flags| can(flags)) else {
        common::skip(case, "neither unshare -rm nor unshare -m makes a mount namespace");
        return None;
    };
    std::fs::create_dir(place.snapshots()).unwrap();
    let child = place.child(case);
    let mut command = Command::new("unshare");
    let script = "mount -t tmpfs -o size=1m,mode=0700 tmpfs \"$TTLOG_SNAPSHOT_DIR\" || exit 77; exec \"$0\" \"$@\"";
    command.args([flags, "sh", "-c", script]).arg(child.get_program()).args(child.get_args());
    command.envs(child.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.env("TTLOG_RETAIN_FREE_PERCENT", free_percent).stdin(Stdio::null()).current_dir("/");
    let output = finish(command);
    if output.status.code() == Some(77) {
        common::skip(case, &format!("no tmpfs can be mounted here: {}", stderr(&output).trim()));
        return None;
    }
    assert!(output.status.success(), "{case}: {:?}\n{}", output.status, stderr(&output));
    Some(output)
}

#[test]
fn snapshot_that_does_not_fit_on_the_disk() {
    for free_percent in ["0", "15"] {
        if let Some(output) = on_tiny_disk(&Place::new("tiny"), "tiny disk", free_percent) {
            assert_eq!(warnings(&output), Vec::<String>::new(), "only the requester gets the error");
        }
    }
}

#[test]
fn disk_is_never_filled_by_snapshots() {
    on_tiny_disk(&Place::new("filled"), "tiny disk, many snapshots", "15");
}

#[test]
fn disk_that_becomes_read_only() {
    on_tiny_disk(&Place::new("readonly"), "read-only", "15");
}

#[test]
fn descriptors_that_are_used_up_at_the_start() {
    let place = Place::new("fd-start");
    let warnings = warnings(&place.run("no descriptors at the start"));
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("memory only") && warnings[0].contains("Too many open files"), "{warnings:?}");
}

#[test]
fn descriptors_that_are_used_up_later() {
    let place = Place::new("fd-later");
    let warnings = warnings(&place.run("no descriptors later"));
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("periodic") && warnings[0].contains("Too many open files"), "{warnings:?}");
}

#[test]
fn directories_that_are_removed_while_running() {
    let place = Place::new("homeless");
    let output = place.run("directories removed");
    // If the child takes half a second, the ring has moved meanwhile.
    let trouble: Vec<_> =
        warnings(&output).into_iter().filter(|line| !line.contains("was removed: the ring is now")).collect();
    assert_eq!(trouble, Vec::<String>::new());
    assert_eq!((place.ring_files().len(), place.snapshot_files().len()), (0, 1));
}

#[test]
fn fifty_processes_of_one_service_at_once() {
    let place = Place::new("crowd");
    let spawn = |_| {
        let mut command = place.child("one of a crowd");
        command.env("TTLOG_RETAIN_COUNT", "20").stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let children: Vec<_> = (0..50).map(spawn).collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        for warning in warnings(&output) {
            assert!(warning.contains("recovered the events of"), "{warning}");
        }
    }
    // Processes that were killed can have died before they applied the retention limits.
    let mut command = place.child("last of a crowd");
    command.env("TTLOG_RETAIN_COUNT", "20");
    let output = finish(command);
    assert!(output.status.success(), "{}", stderr(&output));
    let paths = place.whole_snapshots();
    assert_eq!(paths.len(), 20, "{paths:?}");
    for path in &paths {
        let snapshot = Snapshot::read(path);
        let events = snapshot.with_message("in the crowd");
        let writers: std::collections::BTreeSet<_> = events.iter().map(|event| &event.fields["pid"]).collect();
        assert_eq!((events.len(), writers.len()), (100, 1), "each snapshot is of one process, and whole: {path:?}");
    }
}

#[test]
fn two_users_in_one_directory() {
    let place = Place::new("users");
    let is_root = std::fs::metadata("/proc/self").unwrap().uid() == 0;
    if !is_root {
        return common::skip("two_users_in_one_directory", "running a child as another user takes root");
    }
    // Like /tmp.
    for directory in [place.path().to_owned(), place.rings(), place.snapshots()] {
        let _ = std::fs::create_dir(&directory); // the first exists
        std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o1777)).unwrap();
    }
    let uids_of = |paths: Vec<PathBuf>| -> Vec<u32> {
        paths.iter().map(|path| std::fs::metadata(path).unwrap().uid()).collect::<Vec<_>>()
    };
    // Each leaves a ring that it does not recover, and finds the ring of the other.
    for is_other in [true, false, true, false] {
        let mut command = if is_other { place.as_nobody("one of two users") } else { place.child("one of two users") };
        command.env("TTLOG_RETAIN_COUNT", "2");
        let output = finish(command);
        assert!(output.status.success(), "{}", stderr(&output));
        let trouble: Vec<_> = warnings(&output).into_iter().filter(|line| !line.contains("recovered")).collect();
        assert_eq!(trouble, Vec::<String>::new());
    }
    // Each retains two of its own, and can have ended before it removed one that it had just recovered.
    let uids = uids_of(place.whole_snapshots());
    for user in [0, 65_534] {
        let count = uids.iter().filter(|uid| **uid == user).count();
        assert!((2..=4).contains(&count), "{uids:?}");
    }
    // Each has a private directory for its rings, with at least its last one.
    let directories = place.ring_files();
    assert_eq!(directories.len(), 2);
    for directory in directories {
        let metadata = std::fs::metadata(&directory).unwrap();
        assert_eq!(metadata.mode() & 0o7777, 0o700);
        let uids = uids_of(files(&directory));
        assert!(!uids.is_empty() && uids.iter().all(|uid| *uid == metadata.uid()), "{uids:?}");
    }
}

#[test]
fn start_among_a_thousand_orphans() {
    let place = Place::new("heir");
    place.run("orphan");
    let rings = place.ring_files();
    let [ring] = &rings[..] else { panic!("{rings:?}") };
    let (bytes, day) = (std::fs::read(ring).unwrap(), Duration::from_secs(86_400));
    for n in 1..1000 {
        let path = place.rings().join(format!("ttlog-orphaned-{n}-1-{n:016x}.ring"));
        std::fs::write(&path, &bytes).unwrap();
        std::fs::File::options().write(true).open(&path).unwrap().set_modified(SystemTime::now() - day).unwrap();
    }
    let mut command = place.child("heir");
    command.env("TTLOG_RETAIN_COUNT", "32");
    let output = finish(command);
    assert!(output.status.success(), "{}", stderr(&output));
    let warnings = warnings(&output);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("recovered the events of 1000 processes"), "{warnings:?}");
    let paths = place.snapshot_files();
    assert_eq!(paths.len(), 32, "retention applies to them too");
    let recovered = paths.iter().map(|path| Snapshot::read(path)).filter(|snapshot| snapshot.reason == "recovered");
    assert!(recovered.filter(|snapshot| snapshot.with_message("last words").len() == 1).count() >= 31);
    assert_eq!(place.ring_files(), Vec::<PathBuf>::new());
}

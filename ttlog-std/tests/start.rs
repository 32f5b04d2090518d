//! Start and shutdown: sizes and names out of range, unusable directories, full disks, missing threads.
#![cfg(target_os = "linux")]

mod common;

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;

use common::{Place, Snapshot, finish, stderr, warnings};
use ttlog_std::{InitError, Level, Recorder, RingFileChoice, SnapshotError, debug, info};

/// Not a test: entry point of the children of the tests below.
#[test]
#[ignore = "run by the other tests in child processes"]
fn child() {
    match common::case().as_deref() {
        Some("plain") => {
            let recorder = Recorder::init(1000, 10, "plain");
            works(&recorder);
        }
        Some("plain and shutdown") => {
            let recorder = Recorder::init(1000, 10, "plain");
            works(&recorder);
            assert!(recorder.shutdown());
        }
        Some("zero") => {
            let recorder = Recorder::init(0, 0, "zero");
            assert!(recorder.ring_len_bytes() >= ttlog_std::CAPACITY_BYTES_MIN);
            works(&recorder);
        }
        Some("absurd") => {
            let recorder = Recorder::init(usize::MAX, usize::MAX, "absurd");
            assert!(recorder.ring_len_bytes() >= ttlog_std::CAPACITY_BYTES_MAX);
            assert!(recorder.ring_len_bytes() < ttlog_std::CAPACITY_BYTES_MAX + (16 << 20));
            info!("ready");
            assert!(recorder.utilization() > 0.0);
        }
        Some("hostile name") => {
            let recorder = Recorder::init(1000, 10, HOSTILE_NAME);
            println!("RING {}", recorder.ring_path().unwrap().display());
            works(&recorder);
        }
        Some("second") => {
            let first = Recorder::init(1000, 10, "first");
            let second = Recorder::init(77, 10, "second");
            assert_eq!(first.ring_path(), second.ring_path());
            assert!(matches!(Recorder::builder().build(), Err(InitError::AlreadyInitialized)));
            assert_eq!(Recorder::current().unwrap().ring_path(), first.ring_path());
            #[allow(clippy::drop_non_drop, reason = "that it does nothing is what is tested")]
            drop(first);
            works(&second);
        }
        Some("racing starts") => {
            let start =
                || std::thread::spawn(|| matches!(Recorder::builder().build(), Err(InitError::AlreadyInitialized)));
            let threads: Vec<_> = (0..8).map(|_| start()).collect();
            let late = threads.into_iter().filter_map(|thread| thread.join().ok()).filter(|late| *late).count();
            assert_eq!(late, 7);
            works(&Recorder::current().unwrap());
        }
        Some("required file") => {
            let error = Recorder::builder().ring_file(RingFileChoice::Required).build().unwrap_err();
            let InitError::RingFile { path, cause, .. } = &error else { panic!("{error}") };
            assert!(path.ends_with("rings") && cause.raw_os_error().is_some(), "{error}");
            assert!(Recorder::current().is_none());
            // A failed start leaves room for another.
            works(&Recorder::builder().ring_file(RingFileChoice::None).build().unwrap());
        }
        Some("on the heap") => {
            let recorder = Recorder::builder().ring_file(RingFileChoice::None).build().unwrap();
            assert_eq!(recorder.ring_path(), None);
            works(&recorder);
        }
        Some("no stderr") => {
            // SAFETY: nothing in this process relies on the descriptor.
            unsafe { libc::close(2) };
            let recorder = Recorder::init(0, 0, "silent");
            Recorder::init(0, 0, "again");
            works(&recorder);
            let under_stderr = std::fs::read_link("/proc/self/fd/2").unwrap_or_default();
            assert!(!under_stderr.to_str().unwrap().contains("ttlog-silent"), "{under_stderr:?}");
            eprintln!("goes nowhere");
        }
        Some("no threads") => {
            let limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
            // SAFETY: `limit` is a valid rlimit.
            assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NPROC, &raw const limit) }, 0);
            let recorder = Recorder::init(1000, 10, "alone");
            info!("ready");
            assert!(recorder.utilization() > 0.0);
            let refused = recorder.request_snapshot("any").wait();
            assert!(matches!(refused, Err(SnapshotError::NoServiceThread)), "{refused:?}");
            assert!(recorder.shutdown());
        }
        Some("big snapshot") => {
            let recorder = Recorder::builder().capacity_bytes(4 << 20).build().unwrap();
            fill_with_noise();
            let error = recorder.request_snapshot("big").wait().unwrap_err();
            assert!(matches!(&error, SnapshotError::Io { action: "write", .. }), "{error}");
            println!("ERROR {error}");
            info!("still recording");
            assert!(recorder.is_recording());
        }
        Some("levels") => {
            let recorder = Recorder::init(1000, 10, "levels");
            assert_eq!(recorder.level(), Level::Trace);
            let log = |n: u32| debug!("at debug", n);
            log(1);
            recorder.set_level(Level::Info);
            log(2);
            log(2);
            recorder.set_level(Level::Debug);
            log(3);
            let path = recorder.request_snapshot("levels").wait().unwrap();
            let snapshot = Snapshot::read(&path);
            let seen: Vec<_> =
                snapshot.with_message("at debug").iter().map(|event| event.fields["n"].clone()).collect();
            assert_eq!(seen, ["1", "3"]);
        }
        Some("filter") => {
            let recorder = Recorder::builder().filter("warn,mine=debug").build().unwrap();
            assert_eq!((recorder.filter(), recorder.level()), ("warn,mine=debug".to_owned(), Level::Warn));
            let mut expected = Vec::new();
            let mut log = |n: u32, is_mine: bool, is_other: bool, is_deep: bool| {
                debug!(target: "mine", "filtered", n, from = "mine");
                info!(target: "other", "filtered", n, from = "other");
                ttlog_core::info!(target: "mine::deep", "filtered", n, from = "deep");
                let from = [("mine", is_mine), ("other", is_other), ("deep", is_deep)];
                expected.extend(from.iter().filter(|(_, is_on)| *is_on).map(|(from, _)| format!("{n} {from}")));
            };
            log(1, true, false, true);
            recorder.set_filter("info,mine::deep=off").unwrap();
            log(2, false, true, false);
            assert_eq!(recorder.set_filter("mine=loud").unwrap_err().offset, 5);
            assert_eq!(recorder.filter(), "info,mine::deep=off");
            log(3, false, true, false);
            recorder.set_filter("off,mine=trace").unwrap();
            assert_eq!(recorder.level(), Level::Error);
            log(4, true, false, true);
            recorder.set_level(Level::Trace);
            assert_eq!(recorder.filter(), "trace");
            log(5, true, true, true);
            let snapshot = Snapshot::read(&recorder.request_snapshot("filter").wait().unwrap());
            let events = snapshot.with_message("filtered");
            let seen: Vec<_> =
                events.iter().map(|event| format!("{} {}", event.fields["n"], event.fields["from"])).collect();
            assert_eq!(seen, expected);
        }
        Some("bad filter") => {
            let error = Recorder::builder().filter("info,a=loud").build().unwrap_err();
            assert!(matches!(&error, InitError::Filter { error, .. } if error.offset == 7), "{error}");
            works(&Recorder::init(1000, 10, "undaunted"));
        }
        Some("coarse clock") => {
            let recorder = Recorder::builder().coarse_clock(true).build().unwrap();
            works(&recorder);
            let snapshot = Snapshot::read(&recorder.request_snapshot("coarse").wait().unwrap());
            assert_eq!(snapshot.clock, "coarse");
            assert!(recorder.shutdown());
        }
        Some("options") => {
            let place = PathBuf::from(std::env::var_os("TTLOG_TEST_PLACE").unwrap());
            let recorder = Recorder::builder()
                .service("opted")
                .directory(place.join("own rings"))
                .snapshot_directory(place.join("own snapshots"))
                .segment_bytes(1024)
                .table_bytes(8192)
                .level(Level::Info)
                .ignore_environment()
                .build()
                .unwrap();
            assert_eq!(recorder.ring_path().unwrap().parent().unwrap(), place.join("own rings"));
            debug!("not recorded");
            let path = works(&recorder);
            assert_eq!(path.parent().unwrap(), place.join("own snapshots"));
            assert!(Snapshot::read(&path).with_message("not recorded").is_empty());
        }
        Some("environment") => {
            let place = PathBuf::from(std::env::var_os("TTLOG_TEST_PLACE").unwrap());
            let recorder = Recorder::builder()
                .service("the program's choice")
                .directory(place.join("own rings"))
                .snapshot_directory(place.join("own snapshots"))
                .capacity_bytes(1 << 20)
                .level(Level::Error)
                .build()
                .unwrap();
            assert_eq!(recorder.ring_path().unwrap().parent().unwrap(), place.join("rings"));
            assert!((64 << 10..256 << 10).contains(&recorder.ring_len_bytes()), "{}", recorder.ring_len_bytes());
            debug!("not recorded");
            let path = works(&recorder);
            assert_eq!(path.parent().unwrap(), place.join("snapshots"));
            let snapshot = Snapshot::read(&path);
            assert_eq!((snapshot.service.as_str(), snapshot.clock.as_str()), ("the operator's choice", "coarse"));
            assert!(snapshot.with_message("not recorded").is_empty());
        }
        Some("bad environment") => {
            let error = Recorder::builder().build().unwrap_err();
            let InitError::Environment { variable, value, expected } = &error else { panic!("{error}") };
            assert_eq!((*variable, value.as_str()), ("TTLOG_CAPACITY_BYTES", "lots"));
            assert!(expected.contains("16K to 1G"), "{expected}");
            let told = error.to_string();
            assert_eq!(told, "environment variable TTLOG_CAPACITY_BYTES=\"lots\": expected bytes, 16K to 1G");
            // `init` continues without it.
            works(&Recorder::init(1000, 10, "undaunted"));
        }
        Some("off") => {
            let recorder = Recorder::builder().build().unwrap();
            is_off(&recorder);
            is_off(&Recorder::init(1000, 10, "off"));
            assert!(Recorder::current().is_none());
        }
        Some("options out of range") => {
            let error = Recorder::builder().snapshot_when_filled(7.5).build().unwrap_err();
            assert_eq!(error.to_string(), "snapshot_when_filled Some(7.5) is not 0.1 to 1");
            assert!(matches!(error, InitError::Option { option: "snapshot_when_filled", .. }), "{error:?}");
        }
        Some("library") => {
            ttlog_core::info!("before the start");
            let recorder = Recorder::init(1000, 10, "library");
            ttlog_core::info!("from a library", n = 7_u32);
            let snapshot = Snapshot::read(&recorder.request_snapshot("library").wait().unwrap());
            assert_eq!(snapshot.with_message("from a library")[0].fields["n"], "7");
            assert!(snapshot.with_message("before the start").is_empty());
        }
        Some(other) => panic!("unknown case {other}"),
        None => {}
    }
}

/// A name with control characters, a path out of the directory, and letters that are not ASCII.
const HOSTILE_NAME: &str = "../../etc/pass\u{1b}[31mwd\n-\u{7f}ü";

/// Records an event, checks that it is in a snapshot, and returns the snapshot's path.
fn works(recorder: &Recorder) -> PathBuf {
    assert!(recorder.is_recording());
    info!("ready", answer = 42_u32);
    let path = recorder.request_snapshot("test").wait().unwrap();
    let snapshot = Snapshot::read(&path);
    assert_eq!(snapshot.reason, "test");
    assert!(snapshot.anchor_count >= 1);
    let events = snapshot.with_message("ready");
    assert_eq!(events.len(), 1, "{snapshot:?}");
    assert_eq!((events[0].level, events[0].fields["answer"].as_str()), (Level::Info, "42"));
    path
}

fn is_off(recorder: &Recorder) {
    let mut evaluated = false;
    info!(
        "nowhere",
        n = {
            evaluated = true;
            1_u32
        }
    );
    assert!(!evaluated && !recorder.is_recording());
    assert_eq!((recorder.ring_path(), recorder.ring_len_bytes()), (None, 0));
    assert!(matches!(recorder.request_snapshot("any").wait(), Err(SnapshotError::NoServiceThread)));
    assert!(recorder.shutdown());
}

/// Fills a ring with incompressible data.
fn fill_with_noise() {
    let mut state = 0x1234_5678_9ABC_DEF1_u64;
    for _ in 0..40_000 {
        let noise = [(); 16].map(|()| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        });
        info!("noise", noise);
    }
}

#[test]
fn plain_start_leaves_a_ring_and_a_snapshot() {
    let place = Place::new("plain");
    let output = place.run("plain");
    assert_eq!(warnings(&output), Vec::<String>::new());
    assert_eq!(place.snapshot_files().len(), 1);
    let [ring] = &place.ring_files()[..] else { panic!("{:?}", place.ring_files()) };
    let name = ring.file_name().unwrap().to_str().unwrap();
    assert!(name.starts_with("ttlog-plain-") && name.ends_with(".ring"), "{name}");
}

#[test]
fn shutdown_removes_the_ring() {
    let place = Place::new("shutdown");
    let output = place.run("plain and shutdown");
    assert_eq!(warnings(&output), Vec::<String>::new());
    assert_eq!(place.ring_files(), Vec::<PathBuf>::new());
    assert_eq!(place.snapshot_files().len(), 1);
}

#[test]
fn capacities_of_zero_are_raised_with_a_warning_each() {
    let output = Place::new("zero").run("zero");
    let warnings = warnings(&output);
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings[0].contains("capacity_bytes 0 is out of range, 16384 is used"), "{warnings:?}");
    assert!(warnings[1].contains("channel_capacity 0 is out of range, 1 is used"), "{warnings:?}");
}

#[test]
fn absurd_capacities_are_lowered_with_a_warning_each() {
    let place = Place::new("absurd");
    std::fs::write(place.rings(), "no directory, so that no gigabyte is written to a disk").unwrap();
    let warnings = warnings(&place.run("absurd"));
    assert_eq!(warnings.iter().filter(|line| line.contains("is out of range")).count(), 2, "{warnings:?}");
    assert_eq!(warnings.len(), 3, "{warnings:?}");
}

#[test]
fn hostile_service_name_stays_in_its_directory() {
    let place = Place::new("hostile");
    let output = place.run("hostile name");
    assert_eq!(warnings(&output), Vec::<String>::new());
    for path in [&place.ring_files()[..], &place.snapshot_files()[..]].concat() {
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(name.starts_with("ttlog-_._.._etc_pass__31mwd_-__-"), "{name}");
    }
    assert_eq!(place.ring_files().len(), 1);
    assert_eq!(Snapshot::read(&place.snapshot_files()[0]).service, HOSTILE_NAME);
}

#[test]
fn second_start_gives_the_first_recorder_and_one_warning() {
    let place = Place::new("second");
    let warnings = warnings(&place.run("second"));
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("second time"), "{warnings:?}");
    assert_eq!(place.ring_files().len(), 1);
}

#[test]
fn of_racing_starts_one_wins() {
    let place = Place::new("racing");
    place.run("racing starts");
    assert_eq!(place.ring_files().len(), 1);
}

#[test]
fn file_in_place_of_the_directory_is_told_once_with_path_and_cause() {
    let place = Place::new("file");
    std::fs::write(place.rings(), "in the way").unwrap();
    let warnings = warnings(&place.run("plain"));
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("memory only") && warnings[0].contains("rings"), "{warnings:?}");
    assert!(warnings[0].contains("Not a directory"), "{warnings:?}");
    assert_eq!(std::fs::read_to_string(place.rings()).unwrap(), "in the way");
}

#[test]
fn required_ring_file_that_cannot_be_had_is_an_error() {
    let place = Place::new("required");
    std::fs::write(place.rings(), "in the way").unwrap();
    place.run("required file");
}

#[test]
fn ring_on_the_heap_by_choice_is_no_trouble() {
    let place = Place::new("heap");
    let output = place.run("on the heap");
    assert_eq!(warnings(&output), Vec::<String>::new());
    assert_eq!(place.ring_files(), Vec::<PathBuf>::new());
}

#[test]
fn read_only_directory() {
    let place = Place::new("readonly");
    std::fs::create_dir(place.rings()).unwrap();
    std::fs::set_permissions(place.rings(), std::fs::Permissions::from_mode(0o555)).unwrap();
    std::fs::create_dir(place.snapshots()).unwrap();
    std::fs::set_permissions(place.snapshots(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let output = finish(place.as_nobody("plain"));
    assert!(output.status.success(), "{}", stderr(&output));
    let warnings = warnings(&output);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("Permission denied") && warnings[0].contains("rings"), "{warnings:?}");
}

#[test]
fn directory_of_somebody_else_gets_a_private_one_inside() {
    let place = Place::new("shared");
    for directory in [place.rings(), place.snapshots()] {
        std::fs::create_dir(&directory).unwrap();
        std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o777)).unwrap();
    }
    let output = finish(place.as_nobody("plain"));
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(warnings(&output), Vec::<String>::new());
    let [inside] = &place.ring_files()[..] else { panic!("{:?}", place.ring_files()) };
    assert_eq!(std::fs::metadata(inside).unwrap().mode() & 0o7777, 0o700);
    assert_eq!(common::files(inside).len(), 1);
}

#[test]
fn trap_in_place_of_the_private_directory_is_not_used() {
    if std::fs::metadata("/proc/self").unwrap().uid() != 0 {
        let test = "trap_in_place_of_the_private_directory_is_not_used";
        return common::skip(test, "laying a trap for another user takes root");
    }
    for trap in ["link to a directory of the victim", "directory of the attacker"] {
        let place = Place::new("trap");
        for directory in [place.rings(), place.snapshots()] {
            std::fs::create_dir(&directory).unwrap();
            std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o1777)).unwrap();
        }
        let (precious, private) = (place.path().join("precious"), place.rings().join("ttlog-65534"));
        let target = if trap.starts_with("link") { &precious } else { &private };
        std::fs::create_dir(target).unwrap();
        std::fs::set_permissions(target, std::fs::Permissions::from_mode(0o755)).unwrap();
        if trap.starts_with("link") {
            std::os::unix::fs::chown(target, Some(65_534), Some(65_534)).unwrap();
            std::os::unix::fs::symlink(target, &private).unwrap();
        } else {
            std::fs::set_permissions(target, std::fs::Permissions::from_mode(0o777)).unwrap();
        }
        let before = std::fs::metadata(target).unwrap().mode();
        let output = finish(place.as_nobody("plain"));
        assert!(output.status.success(), "{trap}: {}", stderr(&output));
        let warnings = warnings(&output);
        assert_eq!(warnings.len(), 1, "{trap}: {warnings:?}");
        assert!(warnings[0].contains("memory only") && warnings[0].contains("ttlog-65534"), "{trap}: {warnings:?}");
        assert_eq!(common::files(target), Vec::<PathBuf>::new(), "{trap}");
        assert_eq!(std::fs::metadata(target).unwrap().mode(), before, "{trap}");
    }
}

#[test]
fn no_more_threads() {
    let place = Place::new("threads");
    std::fs::set_permissions(place.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let is_root = std::fs::metadata("/proc/self").unwrap().uid() == 0;
    let command = place.as_nobody("no threads");
    if !is_root {
        println!("skipped: other processes of this user count against the limit too");
        return;
    }
    let output = finish(command);
    assert!(output.status.success(), "{}", stderr(&output));
    let warnings = warnings(&output);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("no service thread"), "{warnings:?}");
}

#[test]
fn whatever_the_umask_files_are_private() {
    for mask in [0o000, 0o777] {
        let place = Place::new(&format!("umask{mask}"));
        // As a user whom file modes keep out, with several missing levels of directories.
        std::fs::set_permissions(place.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
        let (rings, snapshots) = (place.rings().join("deep/er"), place.snapshots().join("deep/er"));
        let mut command = place.as_nobody("plain");
        command.env("TTLOG_DIR", &rings).env("TTLOG_SNAPSHOT_DIR", &snapshots);
        // SAFETY: umask is async-signal-safe and touches no memory.
        unsafe {
            command.pre_exec(move || {
                libc::umask(mask);
                Ok(())
            });
        }
        let output = finish(command);
        assert!(output.status.success(), "{}", stderr(&output));
        assert_eq!(warnings(&output), Vec::<String>::new());
        let (ring_files, snapshot_files) = (common::files(&rings), common::files(&snapshots));
        assert_eq!((ring_files.len(), snapshot_files.len()), (1, 1));
        for path in ring_files.iter().chain(&snapshot_files) {
            assert_eq!(std::fs::metadata(path).unwrap().mode() & 0o7777, 0o600, "{path:?}");
        }
        for directory in [&rings, &snapshots].into_iter().flat_map(|path| path.ancestors().take(3)) {
            assert_eq!(std::fs::metadata(directory).unwrap().mode() & 0o7777, 0o700, "{directory:?}");
        }
    }
}

/// Runs a case with RLIMIT_FSIZE. Writes beyond it raise a signal that ends the process.
fn with_file_limit(place: &Place, case: &str, bytes: u64) -> std::process::Output {
    let mut command = place.child(case);
    // SAFETY: setrlimit is async-signal-safe, and the value is a local.
    unsafe {
        command.pre_exec(move || {
            let limit = libc::rlimit { rlim_cur: bytes, rlim_max: bytes };
            match libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            }
        });
    }
    finish(command)
}

#[test]
fn file_size_limit_below_the_ring() {
    let place = Place::new("fsize");
    let output = with_file_limit(&place, "plain", 50_000);
    assert!(output.status.success(), "{:?} {}", output.status, stderr(&output));
    let warnings = warnings(&output);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("File too large"), "{warnings:?}");
    assert_eq!(place.ring_files(), Vec::<PathBuf>::new(), "nothing is left of the attempt");
    assert_eq!(place.snapshot_files().len(), 1, "a small snapshot has room");
}

#[test]
fn file_size_limit_below_the_snapshot() {
    let place = Place::new("fsize-snapshot");
    let output = with_file_limit(&place, "big snapshot", 300_000);
    assert!(output.status.success(), "{:?} {}", output.status, stderr(&output));
    assert_eq!(place.snapshot_files(), Vec::<PathBuf>::new(), "nothing is left of the attempt");
}

#[test]
fn full_disk() {
    let place = Place::new("full");
    for directory in [place.rings(), place.snapshots()] {
        std::fs::create_dir(&directory).unwrap();
    }
    let _mounted = match Tmpfs::mount(place.snapshots(), "1m").and_then(|a| Ok([a, Tmpfs::mount(place.rings(), "1m")?]))
    {
        Ok(mounted) => mounted,
        Err(cause) => {
            println!("skipped: no tmpfs can be mounted here: {cause}");
            return;
        }
    };
    let output = finish(place.child("big snapshot"));
    assert!(output.status.success(), "{:?} {}", output.status, stderr(&output));
    let warnings = warnings(&output);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("No space left on device"), "{warnings:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("No space left on device"));
    assert_eq!(place.ring_files(), Vec::<PathBuf>::new());
    assert_eq!(place.snapshot_files(), Vec::<PathBuf>::new());
}

/// A small file system in memory, unmounted when dropped.
struct Tmpfs(PathBuf);

impl Tmpfs {
    fn mount(at: PathBuf, size: &str) -> Result<Tmpfs, String> {
        let options = format!("size={size},mode=0700");
        let output = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&at).output();
        match output {
            Ok(output) if output.status.success() => Ok(Tmpfs(at)),
            Ok(output) => Err(stderr(&output)),
            Err(error) => Err(error.to_string()),
        }
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(&self.0).status();
        assert!(unmounted.is_ok_and(|status| status.success()), "{:?} stays mounted", self.0);
    }
}

#[test]
fn closed_stderr_is_no_trouble() {
    // The child's test harness does not need it.
    Place::new("silent").run("no stderr");
}

#[test]
fn level_is_changed_while_running() {
    Place::new("levels").run("levels");
}

#[test]
fn filter_is_changed_while_running() {
    Place::new("filter").run("filter");
}

#[test]
fn bad_filter_is_refused_with_its_place() {
    let place = Place::new("bad-filter");
    let mut command = place.child("bad filter");
    command.env("TTLOG_LEVEL", "");
    let output = finish(command);
    assert!(output.status.success(), "{}", stderr(&output));
}

#[test]
fn coarse_clock_is_named_in_the_ring() {
    assert_eq!(warnings(&Place::new("coarse").run("coarse clock")), Vec::<String>::new());
}

#[test]
fn environment_is_ignored_when_the_program_says_so() {
    let place = Place::new("options");
    let mut command = place.child("options");
    command.env("TTLOG_TEST_PLACE", place.path()).env("TTLOG", "off").env("TTLOG_CAPACITY_BYTES", "lots");
    let output = finish(command);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(!place.rings().exists() && !place.snapshots().exists());
}

#[test]
fn environment_comes_before_the_options_of_the_builder() {
    let place = Place::new("environment");
    let mut command = place.child("environment");
    command
        .env("TTLOG_TEST_PLACE", place.path())
        .env("TTLOG_SERVICE", "the operator's choice")
        .env("TTLOG_CAPACITY_BYTES", "64K")
        .env("TTLOG_LEVEL", "info")
        .env("TTLOG_COARSE_CLOCK", "on");
    let output = finish(command);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(warnings(&output), Vec::<String>::new());
    assert!(!place.path().join("own rings").exists() && !place.path().join("own snapshots").exists());
}

#[test]
fn bad_variable_is_an_error_of_build_and_a_warning_of_init() {
    let place = Place::new("bad-environment");
    let mut command = place.child("bad environment");
    command.env("TTLOG_CAPACITY_BYTES", "lots").env("TTLOG_RETAIN_FREE_PERCENT", "91%");
    let output = finish(command);
    assert!(output.status.success(), "{}", stderr(&output));
    let warnings = warnings(&output);
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(
        warnings[0].contains("TTLOG_CAPACITY_BYTES=\"lots\": expected bytes, 16K to 1G; it is ignored"),
        "{warnings:?}"
    );
    assert!(warnings[1].contains("TTLOG_RETAIN_FREE_PERCENT=\"91%\""), "{warnings:?}");
}

#[test]
fn misspelt_variable_is_told() {
    let place = Place::new("misspelt");
    let mut command = place.child("plain");
    command.env("TTLOG_CAPCITY_BYTES", "64K");
    let output = finish(command);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(
        warnings(&output),
        ["ttlog: environment variable TTLOG_CAPCITY_BYTES means nothing; is TTLOG_CAPACITY_BYTES meant?"]
    );
}

#[test]
fn switched_off_by_the_environment() {
    let place = Place::new("off");
    let mut command = place.child("off");
    command.env("TTLOG", "off");
    let output = finish(command);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(warnings(&output), Vec::<String>::new());
    assert!(!place.rings().exists() && !place.snapshots().exists());
}

#[test]
fn option_out_of_range_is_refused_by_name() {
    Place::new("range").run("options out of range");
}

#[test]
fn macros_of_core_reach_this_recorder() {
    Place::new("library").run("library");
}

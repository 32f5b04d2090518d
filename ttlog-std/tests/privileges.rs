//! Programs that give up their privileges after the start of the recorder.
#![cfg(target_os = "linux")]

mod common;

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use common::{Place, case, finish, skip, stderr};
use ttlog_std::{HandOverError, Recorder, info};

/// The user and group that the programs become.
const NOBODY: u32 = 65_534;

#[test]
#[ignore = "the program that the other tests run"]
fn child() {
    match case().as_deref() {
        None => {}
        Some("only gives up") => serve(false),
        Some("hands over") => serve(true),
        Some("hands over in a worker") => worker_hands_over(),
        Some("starts and ends") => assert!(start().shutdown()),
        Some("hands over and dies") => {
            let recorder = start();
            info!("last words");
            recorder.hand_over(NOBODY, NOBODY).unwrap();
            become_nobody();
            std::process::abort();
        }
        Some("hands over and waits") => {
            let recorder = start();
            recorder.hand_over(NOBODY, NOBODY).unwrap();
            become_nobody();
            let rings = recorder.ring_path().unwrap().parent().unwrap();
            let deadline = Instant::now() + Duration::from_secs(60);
            while common::files(rings).len() > 1 {
                assert!(Instant::now() < deadline, "the old ring is not recovered");
                std::thread::sleep(Duration::from_millis(20));
            }
            assert!(recorder.shutdown());
        }
        Some("makes a snapshot") => {
            let recorder = start();
            recorder.request_snapshot("by root").wait().unwrap();
            recorder.shutdown();
        }
        Some("is refused") => {
            become_nobody();
            let recorder = start();
            println!("error: {}", recorder.hand_over(1234, 1234).unwrap_err());
            assert!(matches!(recorder.hand_over(u32::MAX, 1), Err(HandOverError::NoUser)));
        }
        Some(other) => panic!("no case {other:?}"),
    }
}

fn start() -> Recorder {
    Recorder::builder().service("daemon").capacity_bytes(1 << 20).build().unwrap()
}

fn become_nobody() {
    // SAFETY: no pointers besides the empty list.
    let status = unsafe { [libc::setgroups(0, std::ptr::null()), libc::setgid(NOBODY), libc::setuid(NOBODY)] };
    assert_eq!(status, [0; 3]);
}

/// Runs `work` in a child of `fork`, and waits for it.
fn in_fork(work: impl FnOnce()) {
    // SAFETY: this test has one other thread, and the child does nothing that needs it.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        work();
        // SAFETY: ends the process at once.
        unsafe { libc::_exit(0) };
    }
    let mut status = 0;
    // SAFETY: `status` is a valid place.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    assert_eq!(status, 0);
}

/// Starts as root, becomes another user, and works: events, a snapshot, a child that is killed.
fn serve(hand_over: bool) {
    let recorder = start();
    info!("as root");
    if hand_over {
        recorder.hand_over(NOBODY, NOBODY).unwrap();
    }
    become_nobody();
    info!("as nobody");
    let path = |path: Option<&Path>| path.map_or_else(|| "none".into(), |path| path.display().to_string());
    println!("ring: {}", path(recorder.ring_path()));
    match recorder.request_snapshot("check").wait() {
        Ok(snapshot) => println!("snapshot: {}", snapshot.display()),
        Err(error) => println!("no snapshot: {error}"),
    }
    in_fork(|| {
        info!("in a child");
        println!("child ring: {}", path(Recorder::current().unwrap().ring_path()));
    });
    println!("shut down: {}", recorder.shutdown());
}

/// A worker that the master forks gives up its privileges on its own.
fn worker_hands_over() {
    let recorder = start();
    let of_master = recorder.request_snapshot("of the master").wait().unwrap();
    in_fork(|| {
        let recorder = Recorder::current().unwrap();
        recorder.hand_over(NOBODY, NOBODY).unwrap();
        become_nobody();
        println!("child ring: {}", recorder.ring_path().unwrap().display());
        in_fork(|| {
            info!("in a grandchild");
            println!("grandchild ring: {}", Recorder::current().unwrap().ring_path().unwrap().display());
        });
    });
    assert_eq!(owner_and_mode(&of_master), (0, 0o600), "not the worker's to give away");
    println!("of the master: {}", recorder.ring_path().unwrap().display());
}

fn is_root(test: &str) -> bool {
    // SAFETY: takes nothing, cannot fail.
    let is_root = unsafe { libc::geteuid() } == 0;
    if !is_root {
        skip(test, "giving up privileges takes root");
    }
    is_root
}

/// Returns what follows `key: ` in a line of the output.
fn told(output: &std::process::Output, key: &str) -> Option<String> {
    let text = String::from_utf8_lossy(&output.stdout);
    // The harness can have begun the line.
    text.lines().find_map(|line| Some(line.split_once(&format!("{key}: "))?.1.to_owned()))
}

fn run(command: Command) -> std::process::Output {
    let output = finish(command);
    assert!(output.status.success(), "{:?}\n{}", output.status, stderr(&output));
    output
}

fn owner_and_mode(path: &Path) -> (u32, u32) {
    let metadata = std::fs::metadata(path).unwrap();
    (metadata.uid(), metadata.mode() & 0o7777)
}

/// Everything goes on after `hand_over` as if the recorder had been started by the new user.
fn assert_handed_over(output: &std::process::Output, rings: &Path, snapshots: &Path) {
    let ring = PathBuf::from(told(output, "ring").unwrap());
    assert_eq!(ring.parent(), Some(rings), "{}", stderr(output));
    assert_eq!(owner_and_mode(rings), (NOBODY, 0o700));
    let child = PathBuf::from(told(output, "child ring").unwrap());
    assert_eq!(child.parent(), Some(rings), "{}", stderr(output));
    assert_eq!(owner_and_mode(&child), (NOBODY, 0o600));
    std::fs::remove_file(child).unwrap();
    let snapshot = PathBuf::from(told(output, "snapshot").expect(&stderr(output)));
    assert_eq!(snapshot.parent(), Some(snapshots));
    assert_eq!(owner_and_mode(&snapshot), (NOBODY, 0o600));
    assert_eq!(told(output, "shut down").as_deref(), Some("true"), "{}", stderr(output));
    assert!(!ring.exists());
    // In a directory that is not the test's own, there can be rings of others.
    let warnings = common::warnings(output);
    let own: Vec<_> = warnings.iter().filter(|line| !line.contains("recovered the events of")).collect();
    assert!(own.is_empty(), "{own:?}");
}

#[test]
fn directories_that_the_recorder_made() {
    if !is_root("directories_that_the_recorder_made") {
        return;
    }
    let place = Place::new("hand-over-own");
    let output = run(place.child("hands over"));
    let private = format!("ttlog-{NOBODY}");
    // The directory of the rings stays root's: a directory of the user is made in it. That of the snapshots was made
    // for this.
    assert_handed_over(&output, &place.rings().join(private), &place.snapshots());
    assert_eq!(owner_and_mode(&place.rings()), (0, 0o711));
    assert_eq!(owner_and_mode(&place.snapshots()), (NOBODY, 0o700));
}

#[test]
fn directories_of_root() {
    if !is_root("directories_of_root") {
        return;
    }
    let place = Place::new("hand-over-root");
    for directory in [place.rings(), place.snapshots()] {
        std::fs::create_dir(&directory).unwrap();
        std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    run(place.child("makes a snapshot"));
    let output = run(place.child("hands over"));
    let private = format!("ttlog-{NOBODY}");
    assert_handed_over(&output, &place.rings().join(&private), &place.snapshots().join(&private));
    for directory in [place.rings(), place.snapshots()] {
        assert_eq!(owner_and_mode(&directory), (0, 0o755), "not ours to change");
    }
    // The next start as root, with the directories as they are now.
    let output = run(place.child("hands over"));
    assert_handed_over(&output, &place.rings().join(&private), &place.snapshots().join(&private));
}

#[test]
fn directories_of_the_user() {
    if !is_root("directories_of_the_user") {
        return;
    }
    let place = Place::new("hand-over-user");
    for directory in [place.rings(), place.snapshots()] {
        std::fs::create_dir(&directory).unwrap();
        std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o700)).unwrap();
        std::os::unix::fs::chown(&directory, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let output = run(place.child("hands over"));
    assert_handed_over(&output, &place.rings(), &place.snapshots());
}

#[test]
fn usual_directories() {
    if !is_root("usual_directories") {
        return;
    }
    let place = Place::new("hand-over-usual");
    let temp = place.path().join("tmp");
    std::fs::create_dir(&temp).unwrap();
    std::fs::set_permissions(&temp, std::fs::Permissions::from_mode(0o1777)).unwrap();
    let mut command = place.child("hands over");
    command.env_remove("TTLOG_DIR").env_remove("TTLOG_SNAPSHOT_DIR").env("TMPDIR", &temp);
    let rings = Path::new("/dev/shm").join(format!("ttlog-{NOBODY}"));
    assert_handed_over(&run(command), &rings, &temp);
}

/// Without a hand-over, the program itself loses nothing, and its children find a directory if the usual ones are used.
#[test]
fn privileges_that_are_only_given_up() {
    if !is_root("privileges_that_are_only_given_up") {
        return;
    }
    let place = Place::new("given-up");
    let output = run(place.child("only gives up"));
    let ring = PathBuf::from(told(&output, "ring").unwrap());
    assert_eq!((ring.parent(), owner_and_mode(&ring)), (Some(place.rings().as_path()), (0, 0o600)));
    assert_eq!(told(&output, "child ring").as_deref(), Some("none"));
    assert!(stderr(&output).contains("call Recorder::hand_over before giving up privileges"), "{}", stderr(&output));

    let mut command = place.child("only gives up");
    command.env_remove("TTLOG_DIR");
    let output = run(command);
    let child = PathBuf::from(told(&output, "child ring").unwrap());
    let expected = Path::new("/dev/shm").join(format!("ttlog-{NOBODY}"));
    assert_eq!((child.parent(), owner_and_mode(&child)), (Some(expected.as_path()), (NOBODY, 0o600)));
    std::fs::remove_file(child).unwrap();
}

#[test]
fn worker_of_a_master_that_stays_root() {
    if !is_root("worker_of_a_master_that_stays_root") {
        return;
    }
    let place = Place::new("hand-over-worker");
    std::fs::create_dir(place.snapshots()).unwrap();
    std::fs::set_permissions(place.snapshots(), std::fs::Permissions::from_mode(0o1777)).unwrap();
    let output = run(place.child("hands over in a worker"));
    let private = place.rings().join(format!("ttlog-{NOBODY}"));
    let parent = |key: &str| PathBuf::from(told(&output, key).unwrap()).parent().map(Path::to_path_buf);
    assert_eq!((parent("child ring"), parent("grandchild ring")), (Some(private.clone()), Some(private)));
    assert_eq!(parent("of the master"), Some(place.rings()));
}

/// The ring of a program that died after the hand-over is in the directory of its user, and the next start, as root,
/// finds it there once it has become that user.
#[test]
fn ring_is_recovered_after_the_next_hand_over() {
    if !is_root("ring_is_recovered_after_the_next_hand_over") {
        return;
    }
    let place = Place::new("hand-over-recovery");
    let died = finish(place.child("hands over and dies"));
    assert!(!died.status.success());
    let private = place.rings().join(format!("ttlog-{NOBODY}"));
    assert_eq!(common::files(&private).len(), 1);
    run(place.child("starts and ends"));
    assert_eq!(common::files(&private).len(), 1, "it is not root's");
    run(place.child("hands over and waits"));
    let [snapshot] = &place.whole_snapshots()[..] else { panic!("one snapshot") };
    assert!(snapshot.to_string_lossy().ends_with("-recovered.bin"), "{snapshot:?}");
    assert_eq!(owner_and_mode(snapshot), (NOBODY, 0o600));
    assert_eq!(common::files(&private).len(), 0);
}

#[test]
fn order_that_is_wrong_is_an_error() {
    if !is_root("order_that_is_wrong_is_an_error") {
        return;
    }
    let place = Place::new("hand-over-late");
    std::fs::set_permissions(place.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let output = run(place.child("is refused"));
    let error = told(&output, "error").unwrap();
    assert!(error.contains("Operation not permitted"), "{error}");
}

/// Snapshots of root and of the user are one set: those of root are handed over.
#[test]
fn retention_counts_over_owners() {
    if !is_root("retention_counts_over_owners") {
        return;
    }
    let place = Place::new("hand-over-retention");
    std::fs::create_dir(place.snapshots()).unwrap();
    std::fs::set_permissions(place.snapshots(), std::fs::Permissions::from_mode(0o1777)).unwrap();
    let count_3 = |case: &str| {
        let mut command = place.child(case);
        command.env("TTLOG_RETAIN_COUNT", "3");
        command
    };
    for _ in 0..3 {
        run(count_3("makes a snapshot"));
    }
    assert_eq!(place.whole_snapshots().len(), 3);
    for _ in 0..2 {
        run(count_3("hands over"));
        assert_eq!(place.whole_snapshots().len(), 3, "{:?}", place.snapshot_files());
    }
    // What another user has put there does not count: it could push out everything else.
    for number in 0..5 {
        let path = place.snapshots().join(format!("ttlog-daemon-1-20260101T00000{number}Z-foreign.bin"));
        std::fs::write(&path, "x").unwrap();
        std::os::unix::fs::chown(&path, Some(4321), Some(4321)).unwrap();
    }
    run(count_3("hands over"));
    assert_eq!(place.whole_snapshots().len(), 3 + 5);
}

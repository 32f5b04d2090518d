//! The ring's file, its directory or its file system vanishes or changes under a running process: the ring gets a new
//! file with everything that was in the old one, whatever else happens meanwhile.
#![cfg(target_os = "linux")]

mod common;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use common::ring::RingContents;
use common::{Place, Snapshot, finish, stderr, wait_until, warnings};
use ttlog_core::record::packed::Unpacker;
use ttlog_core::{Item, RingImage, SegmentState};
use ttlog_std::{Recorder, error, info};

/// Longest time until a file that vanished is noticed and replaced, with some allowance for a busy machine.
const NOTICED_MAX: Duration = Duration::from_secs(5);

fn builder() -> ttlog_std::Builder {
    Recorder::builder().service("vanish").capacity_bytes(4 << 20).recover_orphans(false)
}

fn log(numbers: std::ops::Range<u64>) {
    numbers.for_each(|number| info!("event", number));
}

fn run(program: &str, arguments: &[&str]) {
    let status = Command::new(program).args(arguments).status().unwrap();
    assert!(status.success(), "{program} {arguments:?}");
}

fn remove_all(path: &Path) {
    run("rm", &["-rf", path.to_str().unwrap()]);
}

/// Waits until the ring has a file that is not `old`.
fn new_path(recorder: &Recorder, old: &Path) -> PathBuf {
    let deadline = Instant::now() + NOTICED_MAX;
    loop {
        match recorder.ring_path() {
            Some(path) if path != old => return path.to_path_buf(),
            _ => assert!(Instant::now() < deadline, "not noticed; the path is {:?}", recorder.ring_path()),
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn path_of(recorder: &Recorder) -> PathBuf {
    recorder.ring_path().unwrap().to_path_buf()
}

/// Ends this process as the out-of-memory killer would.
fn kill_self() -> ! {
    // SAFETY: ends this process.
    unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
    unreachable!()
}

/// Not a test: entry point of the children of the tests below.
#[test]
#[ignore = "run by the other tests in child processes"]
fn child() {
    let Some(case) = common::case() else { return };
    let rings = std::env::var_os("TTLOG_DIR").map(PathBuf::from);
    let rings = || rings.clone().unwrap();
    match case.as_str() {
        "removed" => {
            let recorder = builder().build().unwrap();
            log(0..1000);
            error!("a warning", number = 1_u64);
            let old = path_of(&recorder);
            remove_all(&rings());
            new_path(&recorder, &old);
            log(1000..2000);
            error!("another warning", number = 2_u64);
            kill_self();
        }
        "file alone" => {
            let recorder = builder().build().unwrap();
            log(0..1000);
            let old = path_of(&recorder);
            std::fs::remove_file(&old).unwrap();
            new_path(&recorder, &old);
            log(1000..2000);
            kill_self();
        }
        "renamed" => {
            let recorder = builder().build().unwrap();
            log(0..1000);
            let old = path_of(&recorder);
            std::fs::rename(rings(), rings().with_extension("old")).unwrap();
            new_path(&recorder, &old);
            log(1000..2000);
            kill_self();
        }
        "full speed" => full_speed(&rings()),
        "moves" => moves(&rings()),
        "forks" => forks(&rings()),
        "forks meanwhile" => forks_meanwhile(&rings()),
        "settled child" => settled_child(&rings()),
        "crowd of children" => crowd_of_children(&rings()),
        "snapshots" => snapshots(&rings()),
        "no place" => no_place(&rings()),
        "exposed" => exposed(&rings(), |path| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777)).unwrap();
        }),
        "given away" => exposed(&rings(), |path| std::os::unix::fs::chown(path, Some(12_345), None).unwrap()),
        "privileges given up" => {
            let recorder = builder().build().unwrap();
            log(0..1000);
            let old = path_of(&recorder);
            // SAFETY: changes the user of this process.
            assert_eq!(unsafe { libc::setresuid(65_534, 65_534, 65_534) }, 0);
            assert!(std::fs::metadata(&old).is_err(), "its directory is closed to others");
            std::thread::sleep(Duration::from_millis(1500));
            assert_eq!(path_of(&recorder), old, "it is still there");
            log(1000..2000);
            kill_self();
        }
        "shutdown" => {
            let recorder = builder().build().unwrap();
            let old = path_of(&recorder);
            remove_all(&rings());
            log(0..10);
            new_path(&recorder, &old);
            assert!(recorder.shutdown());
            assert_eq!(common::files(&rings()), Vec::<PathBuf>::new());
        }
        "descriptors closed" => {
            let recorder = builder().build().unwrap();
            log(0..1000);
            let old = path_of(&recorder);
            // As a daemon does at its start.
            // SAFETY: nothing here uses the descriptors; those of std's standard streams stay.
            (3..1000).for_each(|fd| unsafe {
                libc::close(fd);
            });
            remove_all(&rings());
            new_path(&recorder, &old);
            log(1000..2000);
            kill_self();
        }
        "snapshot directory" => snapshot_directory(),
        "mounted over" => mounted_over(&rings()),
        "shared memory" => shared_memory(),
        other => panic!("{other}"),
    }
}

/// Logs in several threads as fast as possible, while the ring's file is removed again and again.
fn full_speed(rings: &Path) {
    const THREADS: usize = 4;
    let recorder = builder().build().unwrap();
    let emitted: [AtomicU64; THREADS + 1] = std::array::from_fn(|_| AtomicU64::new(0));
    let is_over = AtomicBool::new(false);
    let mut path = path_of(&recorder);
    std::thread::scope(|scope| {
        for (thread, emitted) in emitted[..THREADS].iter().enumerate() {
            let is_over = &is_over;
            scope.spawn(move || {
                let mut number = 0_u64;
                while !is_over.load(Ordering::Relaxed) {
                    match number % 1000 {
                        0 if thread == 0 => error!("failed", number),
                        1 => info!("with a text", number, text = &"long text ".repeat(number as usize % 40)[..]),
                        _ => info!("event", number),
                    }
                    number += 1;
                    emitted.store(number, Ordering::Relaxed);
                }
            });
        }
        // Threads that begin and end, and their callsites.
        let (is_over, short_lived) = (&is_over, &emitted[THREADS]);
        scope.spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                std::thread::spawn(|| info!("short")).join().unwrap();
                short_lived.fetch_add(1, Ordering::Relaxed);
            }
        });
        for _ in 0..4 {
            std::thread::sleep(Duration::from_millis(200));
            remove_all(rings);
            path = new_path(&recorder, &path);
        }
        is_over.store(true, Ordering::Relaxed);
    });
    println!("EMITTED {}", emitted.iter().map(|count| count.load(Ordering::Relaxed)).sum::<u64>());
    // The last move might have stopped a thread in the middle of an append; the next look completes the record.
    std::thread::sleep(Duration::from_millis(1500));
    kill_self();
}

/// Logs while the ring's file is removed, without an end.
fn moves(rings: &Path) {
    let recorder = builder().build().unwrap();
    let mut path = path_of(&recorder);
    for thread in 0..2_u64 {
        std::thread::spawn(move || (0..u64::MAX).for_each(|number| info!("endless", thread, number)));
    }
    loop {
        remove_all(rings);
        println!("REMOVED");
        path = new_path(&recorder, &path);
    }
}

/// Forks a child that logs, and waits for it.
fn fork_and_log(number: u64) -> libc::pid_t {
    // SAFETY: the child logs and ends.
    let child = unsafe { libc::fork() };
    if child == 0 {
        log(number..number + 100);
        kill_self();
    }
    // SAFETY: waits for a child of this process.
    assert_eq!(unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) }, child);
    child
}

fn forks(rings: &Path) {
    let recorder = builder().build().unwrap();
    log(0..1000);
    let old = path_of(&recorder);
    remove_all(rings);
    // Before the parent has noticed anything, and afterwards.
    let first = fork_and_log(10_000);
    new_path(&recorder, &old);
    let second = fork_and_log(20_000);
    log(1000..2000);
    println!("CHILDREN {first} {second}");
    kill_self();
}

/// Forks again and again while the ring moves and another thread logs.
fn forks_meanwhile(rings: &Path) {
    let recorder = builder().build().unwrap();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                log(0..100);
            }
        });
        for _ in 0..3 {
            let path = path_of(&recorder);
            remove_all(rings);
            let deadline = Instant::now() + NOTICED_MAX;
            while recorder.ring_path().is_none_or(|now| now == path) {
                assert!(Instant::now() < deadline);
                // SAFETY: the child logs and ends.
                let child = unsafe { libc::fork() };
                if child == 0 {
                    log(0..100);
                    let recorder = Recorder::current().unwrap();
                    let is_right = recorder.loss().dropped_total() == 0
                        && recorder.utilization() > 0.0
                        && recorder.ring_path().is_some_and(Path::exists);
                    // SAFETY: ends this process.
                    unsafe { libc::_exit(i32::from(!is_right)) };
                }
                let mut status = 0;
                // SAFETY: waits for a child of this process.
                assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
                assert_eq!(status, 0, "the child has a ring and all its events");
                // On a fast machine, the rings of the dead children would take all the memory that children may have.
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        is_over.store(true, Ordering::Relaxed);
    });
    assert!(recorder.shutdown());
}

/// The file of a child that has used its recorder vanishes.
fn settled_child(rings: &Path) {
    let recorder = builder().build().unwrap();
    log(0..1000);
    // SAFETY: the child logs and ends.
    let child = unsafe { libc::fork() };
    if child == 0 {
        log(10_000..10_100);
        let recorder = Recorder::current().unwrap();
        let old = path_of(&recorder);
        let len = old.metadata().unwrap().len();
        std::fs::remove_file(&old).unwrap();
        assert_eq!(new_path(&recorder, &old).metadata().unwrap().len(), len);
        log(10_100..10_200);
        kill_self();
    }
    // SAFETY: waits for a child of this process.
    assert_eq!(unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) }, child);
    assert!(recorder.ring_path().unwrap().starts_with(rings));
    println!("CHILDREN {child}");
    kill_self();
}

/// Bytes for the rings of the children of [`crowd_of_children`].
const CROWD_BYTES: usize = 256 << 10;

/// The files of children vanish, and further children need room for their rings. A ring that has moved takes as much
/// of the budget as before.
fn crowd_of_children(rings: &Path) {
    let recorder = builder().children_bytes(CROWD_BYTES).recover_orphans(true).build().unwrap();
    log(0..1000);
    let own = path_of(&recorder);
    let mut children = Vec::new();
    let mut fork = |is_moving: bool| {
        // SAFETY: the child logs and waits.
        let child = unsafe { libc::fork() };
        if child == 0 {
            log(0..10);
            if is_moving {
                let recorder = Recorder::current().unwrap();
                let old = recorder.ring_path().map(Path::to_path_buf);
                std::thread::sleep(Duration::from_secs(1)); // until all have their rings
                if let Some(old) = old {
                    std::fs::remove_file(&old).unwrap();
                    new_path(&recorder, &old);
                }
            }
            println!("READY");
            std::thread::sleep(Duration::from_secs(60));
            kill_self();
        }
        children.push(child);
    };
    let files = || common::files(rings).into_iter().filter(|path| *path != own).collect::<Vec<_>>();
    (0..16).for_each(|_| fork(true));
    std::thread::sleep(Duration::from_secs(4)); // until the rings have moved
    let moved = files().len();
    (0..16).for_each(|_| fork(false));
    std::thread::sleep(Duration::from_secs(1));
    let taken: u64 = files().iter().map(|path| path.metadata().unwrap().len()).sum();
    for child in children {
        // SAFETY: ends a child of this process.
        assert_eq!(unsafe { libc::kill(child, libc::SIGKILL) }, 0);
    }
    assert!(moved > 4 && taken <= CROWD_BYTES as u64, "{moved} rings, {taken} bytes");
    assert!(recorder.shutdown());
}

/// Takes snapshots, one after the other, while the ring moves and a thread logs.
fn snapshots(rings: &Path) {
    let recorder = builder().build().unwrap();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut number = 0;
            while !is_over.load(Ordering::Relaxed) {
                log(number..number + 100);
                number += 100;
            }
        });
        for _ in 0..2 {
            let path = path_of(&recorder);
            remove_all(rings);
            let deadline = Instant::now() + NOTICED_MAX;
            while recorder.ring_path().is_none_or(|now| now == path) {
                assert!(Instant::now() < deadline);
                let mark = recorder.loss().overwritten;
                info!("mark", mark);
                let snapshot = Snapshot::read(&recorder.request_snapshot("meanwhile").wait().unwrap());
                assert!(!snapshot.events.is_empty());
            }
            // A panicking thread writes a snapshot of its own.
            let _ = std::thread::spawn(|| panic!("on purpose")).join();
        }
        is_over.store(true, Ordering::Relaxed);
    });
    assert!(recorder.shutdown());
}

/// Nobody can make a directory in the place of the removed one, and later somebody can.
fn no_place(rings: &Path) {
    let recorder = builder().build().unwrap();
    log(0..1000);
    let old = path_of(&recorder);
    remove_all(rings);
    std::fs::write(rings, "in the way").unwrap();
    wait_until("the loss", || recorder.ring_path().is_none());
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(recorder.ring_path(), None);
    log(1000..1500);
    std::fs::remove_file(rings).unwrap();
    new_path(&recorder, &old);
    log(1500..2000);
    kill_self();
}

/// Others could replace the ring's file from some moment on.
fn exposed(rings: &Path, expose: impl FnOnce(&Path)) {
    let recorder = builder().build().unwrap();
    log(0..1000);
    let old = path_of(&recorder);
    expose(rings);
    if rings.ends_with(private_name()) {
        wait_until("the repair", || std::fs::metadata(rings).unwrap().permissions().mode() & 0o7777 == 0o700);
        assert_eq!(path_of(&recorder), old);
    } else {
        let new = new_path(&recorder, &old);
        assert_eq!(new.parent().unwrap(), rings.join(private_name()));
        wait_until("the removal of the old file, which looks like the ring of a dead process", || !old.exists());
    }
    log(1000..2000);
    // The line on stderr comes last.
    std::thread::sleep(Duration::from_millis(300));
    kill_self();
}

fn private_name() -> String {
    // SAFETY: takes nothing and touches nothing.
    format!("ttlog-{}", unsafe { libc::geteuid() })
}

fn snapshot_directory() {
    let recorder = builder().build().unwrap();
    log(0..10);
    let directory = PathBuf::from(std::env::var_os("TTLOG_SNAPSHOT_DIR").unwrap());
    let snapshot = |reason: &str| recorder.request_snapshot(reason).wait();
    snapshot("first").unwrap();
    remove_all(&directory);
    assert_eq!(Snapshot::read(&snapshot("removed").unwrap()).events.len(), 10, "the directory is made again");
    // Something else in its place: whoever asks gets the error.
    remove_all(&directory);
    std::fs::write(&directory, "in the way").unwrap();
    let error = snapshot("in the way").unwrap_err().to_string();
    assert!(error.contains(directory.to_str().unwrap()), "{error}");
    std::fs::remove_file(&directory).unwrap();
    std::fs::create_dir(&directory).unwrap();
    std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(Snapshot::read(&snapshot("back").unwrap()).events.len(), 10);
    assert!(recorder.shutdown());
}

/// In a mount namespace: a file system is mounted over the ring's directory, first one for reading only, then a full
/// one, then a good one.
fn mounted_over(rings: &Path) {
    let recorder = builder().build().unwrap();
    log(0..1000);
    let old = path_of(&recorder);
    let at = rings.to_str().unwrap();
    run("mount", &["-t", "tmpfs", "-o", "ro,mode=0700", "tmpfs", at]);
    wait_until("the loss", || recorder.ring_path().is_none());
    run("mount", &["-t", "tmpfs", "-o", "size=64k,mode=0700", "tmpfs", at]);
    std::thread::sleep(Duration::from_millis(1200));
    assert_eq!(recorder.ring_path(), None);
    log(1000..1500);
    run("mount", &["-t", "tmpfs", "-o", "size=64m,mode=0700", "tmpfs", at]);
    let new = new_path(&recorder, &old);
    assert!(new.starts_with(rings) && new.exists());
    log(1500..2000);
    let copy = rings.with_extension("copy");
    std::fs::create_dir(&copy).unwrap();
    std::fs::copy(&new, copy.join("ttlog-copy.ring")).unwrap();
    kill_self();
}

/// In a mount namespace, without a directory of its own choice: `/dev/shm` is emptied, then it is too full for a ring.
fn shared_memory() {
    let recorder = builder().build().unwrap();
    log(0..1000);
    let first = path_of(&recorder);
    let private = Path::new("/dev/shm").join(private_name());
    assert_eq!(first.parent().unwrap(), private);
    run("sh", &["-c", "rm -rf /dev/shm/*"]);
    let second = new_path(&recorder, &first);
    assert_eq!(second.parent().unwrap(), private);
    log(1000..1500);
    run("sh", &["-c", "rm -rf /dev/shm/*; head -c 100m /dev/zero > /dev/shm/others 2> /dev/null; true"]);
    let third = new_path(&recorder, &second);
    assert_eq!(third.parent().unwrap(), std::env::temp_dir().join(private_name()));
    log(1500..2000);
    kill_self();
}

/// Runs a case that ends with SIGKILL.
fn run_killed(command: Command) -> Output {
    let output = finish(command);
    assert_eq!(output.status.signal(), Some(libc::SIGKILL), "{}{}", printed(&output), stderr(&output));
    output
}

fn printed(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Returns the numbers after a word in the output.
fn numbers_after(output: &Output, word: &str) -> Vec<u64> {
    let printed = printed(output);
    let (_, rest) = printed.split_once(word).unwrap();
    rest.lines().next().unwrap().split_whitespace().map(|number| number.parse().unwrap()).collect()
}

/// Asserts that a ring holds the events 0 to 2000, in order, and that nothing was lost.
fn assert_whole(ring: &RingContents) {
    let expected: Vec<_> = (0..2000).map(|number: u64| number.to_string()).collect();
    assert_eq!(ring.values("event", "number"), expected);
    assert_eq!((ring.loss.overwritten, ring.loss.dropped_total(), ring.pending), (0, 0, 0));
}

fn only_ring(directory: &Path) -> RingContents {
    let files = common::files(directory);
    let [file] = &files[..] else { panic!("{files:?}") };
    RingContents::read(file)
}

/// Runs a case that removes the file once, and checks what is left.
fn check_removed(case: &str) -> RingContents {
    let place = Place::new(&case.replace(' ', "-"));
    let output = run_killed(place.child(case));
    let [warning] = &warnings(&output)[..] else { panic!("{}", stderr(&output)) };
    assert!(warning.contains("was removed: the ring is now in"), "{warning}");
    let ring = only_ring(&place.rings());
    assert_whole(&ring);
    assert!(ring.anchors.len() > 1 && ring.service == "vanish");
    ring
}

#[test]
fn directory_that_is_removed() {
    let ring = check_removed("removed");
    assert_eq!((ring.count("a warning"), ring.count("another warning")), (1, 1));
}

#[test]
fn file_that_is_removed() {
    check_removed("file alone");
}

#[test]
fn directory_that_is_renamed() {
    check_removed("renamed");
}

#[test]
fn descriptors_that_were_closed_before() {
    check_removed("descriptors closed");
}

#[test]
fn threads_that_log_at_full_speed_meanwhile() {
    let place = Place::new("full-speed");
    let output = run_killed(place.child("full speed"));
    let ring = only_ring(&place.rings());
    let emitted = numbers_after(&output, "EMITTED")[0];
    assert_eq!((ring.accounted(), ring.pending), (emitted, 0), "{:?}", ring.loss);
    println!("{emitted} events, {} dropped", ring.loss.dropped_total());
    assert_eq!(warnings(&output).len(), 4, "{}", stderr(&output));
    assert!(ring.loss.dropped_total() < emitted / 100, "{:?} of {emitted}", ring.loss);
}

/// A process that dies in the middle of the exchange leaves at most the record that each thread was writing damaged.
#[test]
fn processes_that_are_killed_while_the_ring_moves() {
    let mut count = 0;
    for round in 0..8_u64 {
        let place = Place::new("vanish-kill");
        let mut child = place.child("moves").stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut output = std::io::BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        while line.trim() != "REMOVED" {
            line.clear();
            assert_ne!(std::io::BufRead::read_line(&mut output, &mut line).unwrap(), 0);
        }
        // The file is looked at twice a second; a move takes a few milliseconds.
        std::thread::sleep(Duration::from_millis(380 + 22 * round));
        child.kill().unwrap();
        child.wait().unwrap();
        let is_ring = |path: &&PathBuf| path.extension().is_some_and(|extension| extension == "ring");
        for path in place.ring_files().iter().filter(is_ring) {
            count += events_in_order(&std::fs::read(path).unwrap());
        }
    }
    println!("{count} events were left");
}

/// Returns the number of events in a ring of the case `moves`, after checks of their order and of the damage.
fn events_in_order(bytes: &[u8]) -> usize {
    let image = RingImage::parse(bytes).unwrap();
    let mut segments: Vec<_> = (0..image.header().segment_count)
        .filter_map(|index| match image.segment(index) {
            SegmentState::Valid(segment) => Some(segment),
            SegmentState::Unused => None,
            other => panic!("{other:?}"),
        })
        .collect();
    segments.sort_by_key(|segment| segment.header.sequence);
    let (mut count, mut damaged) = (0, 0);
    let mut last: BTreeMap<u32, u64> = BTreeMap::new();
    for item in segments.iter().flat_map(ttlog_core::ring::Segment::items) {
        match item {
            Item::Event(record) => {
                // The number is the second of two integers.
                let mut values = Unpacker::new(&record.payload[2..]);
                let number = values.split_tail(record.payload[0]);
                let number = number.and_then(|_| values.split_tail(record.payload[1])).unwrap();
                let before = last.insert(record.context, number);
                assert!(before.is_none_or(|before| before < number), "each event once, and in order");
                count += 1;
            }
            Item::Damaged { .. } => damaged += 1,
            Item::Context(_) | Item::Pending { .. } => {}
        }
    }
    assert!(damaged <= 2, "{damaged} places are damaged");
    count
}

#[test]
fn children_that_are_forked_afterwards() {
    let place = Place::new("vanish-forks");
    let output = run_killed(place.child("forks"));
    let children = numbers_after(&output, "CHILDREN");
    let mut rings: Vec<_> = place.ring_files().iter().map(|path| RingContents::read(path)).collect();
    assert_eq!(rings.len(), 3, "{}", stderr(&output));
    rings.sort_by_key(|ring| children.iter().position(|pid| *pid == ring.pid).unwrap_or(2));
    for (ring, first) in rings.iter().zip([10_000_u64, 20_000]) {
        let expected: Vec<_> = (first..first + 100).map(|number| number.to_string()).collect();
        assert_eq!(ring.values("event", "number"), expected);
    }
    assert_whole(&rings[2]);
    assert_eq!(warnings(&output).len(), 1, "{}", stderr(&output));
}

#[test]
fn children_that_are_forked_meanwhile() {
    let place = Place::new("vanish-forks-meanwhile");
    assert_eq!(warnings(&place.run("forks meanwhile")).len(), 3);
}

#[test]
fn file_of_a_child_that_is_removed() {
    let place = Place::new("vanish-child");
    let mut child = place.child("settled child");
    child.env("TTLOG_CHILD_CAPACITY_BYTES", "64K"); // another layout than that of the parent
    let output = run_killed(child);
    let child = numbers_after(&output, "CHILDREN")[0];
    let rings: Vec<_> = place.ring_files().iter().map(|path| RingContents::read(path)).collect();
    assert_eq!(rings.len(), 2, "{}", stderr(&output));
    let ring = rings.iter().find(|ring| ring.pid == child).unwrap();
    let expected: Vec<_> = (10_000..10_200).map(|number: u64| number.to_string()).collect();
    assert_eq!(ring.values("event", "number"), expected);
}

#[test]
fn rings_of_children_that_moved_count_as_before() {
    Place::new("vanish-crowd").run("crowd of children");
}

#[test]
fn snapshots_that_are_taken_meanwhile() {
    let place = Place::new("vanish-snapshots");
    place.run("snapshots");
    assert_eq!(place.ring_files(), Vec::<PathBuf>::new());
    place.whole_snapshots().iter().for_each(|path| drop(Snapshot::read(path)));
}

#[test]
fn no_other_place_for_a_while() {
    let place = Place::new("no-place");
    let output = run_killed(place.child("no place"));
    let [lost, found] = &warnings(&output)[..] else { panic!("{}", stderr(&output)) };
    assert!(lost.contains("was removed") && lost.contains("will not outlive this process"), "{lost}");
    assert!(found.contains("the ring is now in"), "{found}");
    assert_whole(&only_ring(&place.rings()));
}

#[test]
fn directory_that_others_can_write_to() {
    let place = Place::new("exposed");
    let output = run_killed(place.child("exposed"));
    assert_eq!(warnings(&output).len(), 1, "{}", stderr(&output));
    assert_whole(&only_ring(&place.rings().join(private_name())));
}

#[test]
fn private_directory_that_others_can_write_to() {
    let place = Place::new("exposed-private");
    let rings = place.path().join(private_name());
    let mut command = place.child("exposed");
    command.env("TTLOG_DIR", &rings);
    let output = run_killed(command);
    let [warning] = &warnings(&output)[..] else { panic!("{}", stderr(&output)) };
    assert!(warning.contains("closed to others again"), "{warning}");
    assert_whole(&only_ring(&rings));
}

#[test]
fn directory_that_is_given_to_another_user() {
    // SAFETY: takes nothing and touches nothing.
    if unsafe { libc::geteuid() } != 0 {
        return common::skip("directory_that_is_given_to_another_user", "giving a directory away takes root");
    }
    let place = Place::new("given-away");
    let output = run_killed(place.child("given away"));
    assert_eq!(warnings(&output).len(), 1, "{}", stderr(&output));
    assert_whole(&only_ring(&place.rings().join(private_name())));
}

#[test]
fn file_that_cannot_be_seen_any_more_is_not_gone() {
    // SAFETY: takes nothing and touches nothing.
    if unsafe { libc::geteuid() } != 0 {
        return common::skip("file_that_cannot_be_seen_any_more_is_not_gone", "giving privileges up takes root");
    }
    let place = Place::new("vanish-privileges");
    let output = run_killed(place.child("privileges given up"));
    assert_eq!(warnings(&output), Vec::<String>::new());
    assert_whole(&only_ring(&place.rings()));
}

#[test]
fn shutdown_afterwards_leaves_nothing() {
    let place = Place::new("vanish-shutdown");
    assert_eq!(warnings(&place.run("shutdown")).len(), 1);
}

#[test]
fn snapshot_directory_that_is_removed() {
    let place = Place::new("vanish-snapshot-directory");
    place.run("snapshot directory");
}

/// Runs a case in its own mount namespace. Returns `None` if the system allows none, which is reported as skipped.
fn in_namespace(place: &Place, case: &str, script: &str) -> Option<Output> {
    let can =
        |flags: &str| Command::new("unshare").args([flags, "true"]).output().is_ok_and(|run| run.status.success());
    let Some(flags) = ["-m", "-rm"].into_iter().find(|flags| can(flags)) else {
        common::skip(case, "neither unshare -rm nor unshare -m makes a mount namespace");
        return None;
    };
    let child = place.child(case);
    let mut command = Command::new("unshare");
    let script = format!("{script} || exit 77; exec \"$0\" \"$@\"");
    command.args([flags, "sh", "-c", &script]).arg(child.get_program()).args(child.get_args());
    command.envs(child.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.env("PLACE", place.path()).stdin(Stdio::null()).current_dir("/");
    let output = finish(command);
    if output.status.code() == Some(77) {
        common::skip(case, &format!("no tmpfs can be mounted here: {}", stderr(&output).trim()));
        return None;
    }
    assert_eq!(output.status.signal(), Some(libc::SIGKILL), "{}{}", printed(&output), stderr(&output));
    Some(output)
}

#[test]
fn file_systems_that_are_mounted_over_the_directory() {
    let place = Place::new("mounted-over");
    let Some(output) = in_namespace(&place, "mounted over", "true") else { return };
    let [lost, found] = &warnings(&output)[..] else { panic!("{}", stderr(&output)) };
    assert!(lost.contains("will not outlive this process"), "{lost}");
    assert!(found.contains("the ring is now in"), "{found}");
    assert_whole(&only_ring(&place.rings().with_extension("copy")));
}

#[test]
fn shared_memory_that_is_emptied_and_then_full() {
    let place = Place::new("shared-memory");
    let script = "unset TTLOG_DIR; export TMPDIR=\"$PLACE\"; mount -t tmpfs -o size=16m,mode=1777 tmpfs /dev/shm";
    let Some(output) = in_namespace(&place, "shared memory", script) else { return };
    assert_eq!(warnings(&output).len(), 2, "{}", stderr(&output));
    assert_whole(&only_ring(&place.path().join(private_name())));
}

//! Children of `fork`: each has a ring of its own from its first event on, and changes nothing for its parent.
#![cfg(target_os = "linux")]

mod common;

use std::collections::BTreeSet;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::ring::RingContents;
use common::{Place, Snapshot};
use ttlog_core::TimeScale;
use ttlog_core::ring::{EndKind, ProcessEnd};
use ttlog_std::{Recorder, RingFileChoice, info, warn};

/// Forks, runs `in_child` in the child, and returns the child's wait status and process id.
fn fork(in_child: impl FnOnce()) -> (libc::c_int, libc::pid_t) {
    // SAFETY: the child runs `in_child`, which is this test's own, and ends without returning.
    unsafe {
        match libc::fork() {
            0 => {
                let passed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(in_child)).is_ok();
                libc::_exit(i32::from(!passed));
            }
            child => {
                assert!(child > 0, "fork failed");
                (wait(child), child)
            }
        }
    }
}

fn wait(child: libc::pid_t) -> libc::c_int {
    let mut status = 0;
    // SAFETY: a valid pointer to the status.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    status
}

fn unix_ns() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as i64
}

/// Returns the ring of the process with this id.
fn ring_of(rings: &Path, pid: impl std::fmt::Display) -> PathBuf {
    let part = format!("-{pid}-");
    let is_its = |path: &PathBuf| path.to_string_lossy().ends_with(".ring") && path.to_string_lossy().contains(&part);
    let found: Vec<_> = common::files(rings).into_iter().filter(is_its).collect();
    assert_eq!(found.len(), 1, "{pid}: {:?}", common::files(rings));
    found[0].clone()
}

/// Asserts that a ring belongs to a child, and is whole.
fn assert_is_childs(ring: &RingContents, pid: libc::pid_t, parent: &RingContents) {
    assert_eq!(ring.pid, pid as u64);
    assert_ne!(ring.ring_id, parent.ring_id);
    assert!(ring.process_start >= parent.process_start && ring.service == parent.service);
    assert!(ring.start_unix_ns > parent.start_unix_ns);
    let ids: BTreeSet<_> = ring.callsite_ids.iter().collect();
    assert_eq!(ids.len(), ring.callsite_ids.len(), "no number stands for two callsites");
    let scale = TimeScale::<64>::new(&ring.anchors, ring.ticks_per_second);
    for event in &ring.events {
        let time = scale.unix_ns(event.ticks);
        assert!((ring.start_unix_ns - 50_000_000..=unix_ns() + 50_000_000).contains(&time), "{event:?} at {time}");
    }
}

/// Returns the options of a recorder that leaves the rings of dead children for the tests to read.
fn builder() -> ttlog_std::Builder {
    Recorder::builder().service("forks").capacity_bytes(1 << 20).recover_orphans(false)
}

fn log(process: &str, number: u64) {
    info!("event", process, number);
}

/// Not a test: entry point of the children of the tests below.
#[test]
#[ignore = "run by the other tests in child processes"]
fn child() {
    let Some(case) = common::case() else { return };
    let rings = PathBuf::from(std::env::var_os("TTLOG_DIR").unwrap());
    match case.as_str() {
        "own ring" => own_ring(&rings),
        "child of a child" => child_of_a_child(&rings),
        "thread forks and ends" => thread_forks_and_ends(&rings),
        "others log meanwhile" => others_log_meanwhile(&rings),
        "threads of a child" => threads_of_a_child(&rings),
        "in a handler" => in_a_handler(&rings),
        "exec" => exec(&rings),
        "spawn" => spawn(&rings),
        "killed" => {
            let recorder = builder().build().unwrap();
            log("parent", 0);
            let (status, child) = fork(|| {
                (0..100_000).for_each(|number| log("child", number));
                // SAFETY: ends this process.
                unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
            });
            assert_eq!(status, libc::SIGKILL);
            let ring = RingContents::read(&ring_of(&rings, child));
            assert_eq!((ring.accounted(), ring.values("event", "number").last()), (100_000, Some(&"99999")));
            assert!(recorder.shutdown());
        }
        "shutdown" => {
            let recorder = builder().build().unwrap();
            log("parent", 0);
            let (status, child) = fork(|| {
                log("child", 0);
                let path = recorder.ring_path().unwrap().to_path_buf();
                assert!(path.exists() && recorder.shutdown() && !path.exists() && !recorder.is_recording());
                log("child", 1);
            });
            assert_eq!(status, 0);
            assert!(
                recorder.is_recording() && common::files(&rings).len() == 1,
                "{child} has removed its own ring only"
            );
            log("parent", 1);
            let ring = RingContents::read(recorder.ring_path().unwrap());
            assert_eq!(ring.values("event", "process"), ["parent", "parent"]);
        }
        "after shutdown" => {
            let recorder = builder().build().unwrap();
            assert!(recorder.shutdown());
            let (status, _) = fork(|| {
                log("child", 0);
                assert!(!recorder.is_recording());
            });
            assert_eq!((status, common::files(&rings).len()), (0, 0));
        }
        "no room" => {
            let recorder = builder().build().unwrap();
            log("parent", 0);
            let (status, _) = fork(|| {
                let limit = libc::rlimit { rlim_cur: 4096, rlim_max: 4096 };
                // SAFETY: a valid pointer to the limit.
                unsafe { libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit) };
                (0..100).for_each(|number| log("child", number));
                assert!(recorder.is_recording() && recorder.ring_path().is_none());
                assert_eq!((recorder.loss().dropped_total(), recorder.loss().overwritten), (0, 0));
                assert!(recorder.utilization() > 0.0);
            });
            assert_eq!((status, common::files(&rings).len()), (0, 1));
        }
        "in memory" => {
            let recorder = builder().ring_file(RingFileChoice::None).build().unwrap();
            (0..1000).for_each(|number| log("parent", number));
            let (status, _) = fork(|| {
                (0..100).for_each(|number| log("child", number));
                let snapshot = Snapshot::read(&recorder.request_snapshot("child").wait().unwrap());
                assert_eq!(snapshot.events.len(), 100);
                assert!(snapshot.events.iter().all(|event| event.fields["process"] == "child"));
            });
            assert_eq!((status, common::files(&rings).len()), (0, 0));
            let snapshot = Snapshot::read(&recorder.request_snapshot("parent").wait().unwrap());
            assert_eq!(snapshot.events.len(), 1000);
        }
        "descriptors closed" => {
            let recorder = builder().build().unwrap();
            log("parent", 0);
            // As daemons do.
            let (status, child) = fork(|| {
                for fd in 3..1024 {
                    // SAFETY: nothing uses them anymore except the recorder, which is what this tests.
                    unsafe { libc::close(fd) };
                }
                std::env::set_current_dir("/").unwrap();
                (0..100).for_each(|number| log("child", number));
                assert_eq!(recorder.ring_path(), Some(&*ring_of(&rings, std::process::id())));
            });
            assert_eq!(status, 0);
            assert_eq!(RingContents::read(&ring_of(&rings, child)).events.len(), 100);
        }
        "coarse" => {
            let recorder = builder().coarse_clock(true).build().unwrap();
            log("parent", 0);
            let (status, child) = fork(|| {
                log("child", 0);
                std::thread::sleep(Duration::from_millis(20));
                log("child", 1);
            });
            assert_eq!(status, 0);
            let (parent, ring) =
                (RingContents::read(recorder.ring_path().unwrap()), RingContents::read(&ring_of(&rings, child)));
            assert_eq!(parent.clock, "coarse");
            assert_ne!(ring.clock, "coarse");
            let ms = (ring.events[1].ticks - ring.events[0].ticks) as f64 * 1e3 / ring.ticks_per_second as f64;
            assert!((19.0..20_000.0).contains(&ms), "the clock stands: {ms} ms");
        }
        "kept" => kept(&rings),
        "parent adds callsites" => parent_adds_callsites(&rings),
        "ends" => ends(&rings),
        "clone into a namespace" => clone_into_a_namespace(),
        "panic" => {
            let recorder = builder().build().unwrap();
            log("parent", 0);
            let (status, child) = fork(|| panic!("in the child"));
            assert_eq!(libc::WEXITSTATUS(status), 1);
            let snapshots = common::files(std::env::var_os("TTLOG_SNAPSHOT_DIR").unwrap().as_ref());
            assert!(snapshots.len() == 1 && snapshots[0].to_string_lossy().contains(&format!("-{child}-")));
            let snapshot = Snapshot::read(&snapshots[0]);
            assert_eq!((snapshot.reason.as_str(), snapshot.events.len()), ("panic", 2));
            assert_eq!(snapshot.events[0].fields["message"], "in the child");
            assert_eq!(RingContents::read(recorder.ring_path().unwrap()).events.len(), 1);
            assert_eq!(trouble_of(recorder.ring_path().unwrap()), (None, 0));
            assert_eq!(trouble_of(&ring_of(&rings, child)), (None, 1));
        }
        "full table" => {
            let recorder = builder().table_bytes(4096).build().unwrap();
            let fill = common::many_callsites();
            fill();
            let dropped = recorder.loss().dropped_total();
            assert!(dropped > 0, "the table is full");
            let (status, child) = fork(fill);
            assert_eq!(status, 0);
            let ring = RingContents::read(&ring_of(&rings, child));
            assert_eq!((ring.loss.dropped_total(), ring.pid), (dropped, child as u64));
        }
        "dies and leaves a child" => {
            let _trace = Recorder::init(1000, 10, "parent");
            info!("last words");
            // SAFETY: the child sleeps until the pipe of its output is closed; the parent ends at once.
            unsafe {
                match libc::fork() {
                    0 => {
                        libc::close(1);
                        libc::close(2);
                        libc::sleep(20);
                        libc::_exit(0);
                    }
                    child => println!("CHILD {child}"),
                }
                libc::kill(libc::getpid(), libc::SIGKILL);
            }
        }
        "recovers" => {
            let recorder = Recorder::init(1000, 10, "heir");
            common::wait_until("the snapshots of all orphans", || common::files(&rings).len() == 1);
            assert!(recorder.shutdown());
        }
        other => panic!("unknown case {other:?}"),
    }
}

fn own_ring(rings: &Path) {
    let recorder = builder().build().unwrap();
    (0..100).for_each(|number| log("parent", number));
    let path = recorder.ring_path().unwrap().to_path_buf();
    let before = std::fs::read(&path).unwrap();
    let (status, child) = fork(|| {
        // The callsite is known, and the thread holds a segment.
        (0..50_000).for_each(|number| log("child", number));
        info!("a callsite that the parent has not met");
        std::thread::Builder::new().name("of-child".into()).spawn(|| info!("from a thread")).unwrap().join().unwrap();
        assert!(recorder.is_recording());
        let own = ring_of(rings, std::process::id());
        assert_eq!(recorder.ring_path(), Some(&*own));
        assert_eq!(recorder.loss().dropped_total(), 0);
        let snapshot = recorder.request_snapshot("child").wait().unwrap();
        assert!(snapshot.to_string_lossy().contains(&format!("-{}-", std::process::id())), "{snapshot:?}");
        let snapshot = Snapshot::read(&snapshot);
        assert_eq!(snapshot.events.len() as u64 + snapshot.overwritten, 50_002);
        assert_eq!(snapshot.with_message("from a thread").len(), 1);
    });
    assert_eq!(status, 0);
    assert!(is_same_but_for_anchors(&before, &std::fs::read(&path).unwrap()));
    (100..200).for_each(|number| log("parent", number));

    let parent = RingContents::read(&path);
    let expected: Vec<_> = (0..200).map(|number| number.to_string()).collect();
    assert_eq!(parent.values("event", "number"), expected);
    assert_eq!((parent.events.len(), parent.accounted()), (200, 200));
    let ring = RingContents::read(&ring_of(rings, child));
    assert_is_childs(&ring, child, &parent);
    assert_eq!(ring.accounted(), 50_002);
    assert!(ring.values("event", "process").iter().all(|process| *process == "child"));
    assert_eq!(ring.count("a callsite that the parent has not met"), 1);
    let snapshot = Snapshot::read(&recorder.request_snapshot("after").wait().unwrap());
    assert_eq!((snapshot.events.len(), snapshot.overwritten), (200, 0));
}

fn child_of_a_child(rings: &Path) {
    let recorder = builder().build().unwrap();
    log("parent", 0);
    let (status, child) = fork(|| {
        // Logs nothing before it forks.
        let (status, grandchild) = fork(|| {
            log("grandchild", 0);
            let (status, child) = fork(|| log("great-grandchild", 0));
            assert_eq!(status, 0);
            println!("PID {child}");
            log("grandchild", 1);
        });
        assert_eq!(status, 0);
        println!("PID {grandchild}");
        log("child", 0);
        let (status, second) = fork(|| log("second grandchild", 0));
        assert_eq!(status, 0);
        println!("PID {second}");
        log("child", 1);
    });
    assert_eq!(status, 0);
    log("parent", 1);
    assert!(recorder.is_recording());
    let parent = RingContents::read(&ring_of(rings, std::process::id()));
    let mut found = BTreeSet::new();
    for path in common::files(rings) {
        let ring = RingContents::read(&path);
        if ring.pid != parent.pid {
            assert_is_childs(&ring, ring.pid as libc::pid_t, &parent);
        }
        let names: BTreeSet<_> = ring.values("event", "process").into_iter().map(str::to_owned).collect();
        assert_eq!(names.len(), 1, "{names:?} in one ring");
        found.insert((names.into_iter().next().unwrap(), ring.events.len()));
        if ring.pid == child as u64 {
            assert_eq!(ring.values("event", "process"), ["child", "child"]);
        }
    }
    let expected = [("child", 2), ("grandchild", 2), ("great-grandchild", 1), ("parent", 2), ("second grandchild", 1)];
    assert_eq!(found, expected.map(|(name, count)| (name.to_owned(), count)).into());
}

fn thread_forks_and_ends(rings: &Path) {
    let recorder = builder().build().unwrap();
    info!("of main");
    let path = recorder.ring_path().unwrap().to_path_buf();
    let child = std::thread::spawn(move || {
        info!("before the fork");
        let before = std::fs::read(&path).unwrap();
        // In the child this thread ends. What it then does to its segment must not reach the parent.
        // SAFETY: the child ends this thread, and so itself.
        let child = unsafe { libc::fork() };
        if child == 0 {
            info!("in the child");
            // SAFETY: runs the destructors of thread-locals, then ends the child, because this is its last thread.
            unsafe { libc::pthread_exit(std::ptr::null_mut()) };
        }
        wait(child);
        assert!(is_same_but_for_anchors(&before, &std::fs::read(&path).unwrap()));
        info!("after the fork");
        child
    })
    .join()
    .unwrap();
    let parent = RingContents::read(recorder.ring_path().unwrap());
    let messages: Vec<_> = parent.events.iter().map(|event| event.event.message.as_str()).collect();
    assert_eq!(messages, ["of main", "before the fork", "after the fork"]);
    let ring = RingContents::read(&ring_of(rings, child));
    assert_is_childs(&ring, child, &parent);
    assert_eq!((ring.events.len(), ring.count("in the child")), (1, 1));
}

fn others_log_meanwhile(rings: &Path) {
    let recorder = builder().capacity_bytes(4 << 20).build().unwrap();
    let (stop, logged) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut children = Vec::new();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    info!("busy");
                    logged.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for round in 0..20_u64 {
            let (status, child) = fork(|| {
                (0..1000).for_each(|number| log("child", number));
                common::many_callsites()();
            });
            assert_eq!(status, 0, "round {round}");
            children.push(child);
        }
        stop.store(true, Ordering::Relaxed);
    });
    let logged = logged.load(Ordering::Relaxed);
    let parent = RingContents::read(recorder.ring_path().unwrap());
    assert_eq!(parent.accounted(), logged);
    for child in children {
        let ring = RingContents::read(&ring_of(rings, child));
        assert_is_childs(&ring, child, &parent);
        assert_eq!((ring.accounted(), ring.count("event"), ring.count("busy")), (1000 + common::MANY, 1000, 0));
    }
}

/// Several threads of a child log their first event at once: one makes the ring, and events that the others drop
/// meanwhile are counted.
fn threads_of_a_child(rings: &Path) {
    let recorder = builder().build().unwrap();
    log("parent", 0);
    for _ in 0..10 {
        let (status, child) = fork(|| {
            let barrier = std::sync::Barrier::new(4);
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        barrier.wait();
                        (0..1000).for_each(|number| log("child", number));
                    });
                }
            });
            assert!(recorder.is_recording());
        });
        assert_eq!(status, 0);
        let ring = RingContents::read(&ring_of(rings, child));
        assert_eq!(ring.accounted(), 4000, "{:?}", ring.loss);
        assert!(ring.events.len() >= 1000, "the thread that makes the ring misses nothing");
    }
}

/// Number of children that were forked in the handler.
static FORKED: AtomicU64 = AtomicU64::new(0);
/// Number of events that the child has logged since.
const IN_HANDLER: u64 = 300;
const AFTER_HANDLER: u64 = 100;

extern "C" fn fork_in_handler(_: libc::c_int) {
    // SAFETY: async-signal-safe, and so is what the child does here.
    let child = unsafe { libc::fork() };
    if child == 0 {
        for number in 0..IN_HANDLER {
            if number % 2 == 0 {
                info!("in the handler", number);
            } else {
                // Enough to open all segments of their class.
                warn!("in the handler", number, text = "a text of some fifty bytes, as long as the others");
            }
        }
        IS_CHILD.store(true, Ordering::Relaxed);
    } else {
        FORKED.store(child as u64, Ordering::Relaxed);
    }
}

static IS_CHILD: AtomicBool = AtomicBool::new(false);

/// A handler that forks interrupts a thread that only logs, most of the time inside a log call. The child continues
/// where its parent was.
fn in_a_handler(rings: &Path) {
    extern "C" fn let_the_parent_go_ahead() {
        std::thread::sleep(Duration::from_millis(1));
    }
    // SAFETY: the handler has the right type. It runs in the child before the recorder's own.
    assert_eq!(unsafe { libc::pthread_atfork(None, None, Some(let_the_parent_go_ahead)) }, 0);
    // Few segments, so that a wrong store into the child's ring damages its content.
    let recorder = builder().capacity_bytes(64 << 10).segment_bytes(4 << 10).priority_bytes(12 << 10).build().unwrap();
    // SAFETY: zero is a valid action; the handler has the right type.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = fork_in_handler as *const () as usize;
        assert_eq!(libc::sigaction(libc::SIGUSR1, &raw const action, std::ptr::null_mut()), 0);
    }
    let text = "long text ".repeat(150);
    let (mut logged, mut children) = (0_u64, Vec::new());
    // SAFETY: returns this thread's own handle.
    let this_thread = unsafe { libc::pthread_self() } as usize;
    while children.len() < 40 {
        FORKED.store(0, Ordering::Relaxed);
        let sender = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_micros(300));
            // SAFETY: the thread is alive, because it waits for this one.
            unsafe { libc::pthread_kill(this_thread as libc::pthread_t, libc::SIGUSR1) };
        });
        while FORKED.load(Ordering::Relaxed) == 0 {
            // Every other child is forked among warnings, which are in segments of their own class.
            if children.len() % 2 == 0 {
                info!("text", text = text.as_str());
            } else {
                warn!("text", text = &text[..50]);
            }
            logged += 1;
            if IS_CHILD.load(Ordering::Relaxed) {
                (0..AFTER_HANDLER).for_each(|number| info!("after the handler", number));
                // SAFETY: ends the child.
                unsafe { libc::_exit(0) };
            }
        }
        sender.join().unwrap();
        let child = FORKED.load(Ordering::Relaxed) as libc::pid_t;
        assert_eq!(wait(child), 0);
        children.push(child);
    }
    let parent = RingContents::read(recorder.ring_path().unwrap());
    assert_eq!((parent.accounted(), parent.count("in the handler")), (logged, 0));
    let mut blocked = 0;
    for child in children {
        let ring = RingContents::read(&ring_of(rings, child));
        // The interrupted event is the parent's, unless its recording had not begun.
        let own = IN_HANDLER + AFTER_HANDLER;
        assert!((own..=own + 1).contains(&ring.accounted()), "{}: {:?}", ring.accounted(), ring.loss);
        // Inside a log call nothing can be recorded. That can hold for the rest of the interrupted call, too.
        let interrupted = ring.accounted() - own;
        let dropped = ring.loss.dropped_total();
        assert!([0, IN_HANDLER, IN_HANDLER + interrupted].contains(&dropped), "{interrupted}: {:?}", ring.loss);
        assert_eq!(ring.count("after the handler") as u64, AFTER_HANDLER);
        blocked += u64::from(ring.loss.dropped_total() > 0);
    }
    println!("{blocked} of 40 forks were inside a log call");
    assert!(blocked > 0, "none was inside a log call, so this shows nothing");
}

fn exec(rings: &Path) {
    let recorder = builder().build().unwrap();
    log("parent", 0);
    let (status, child) = fork(|| {
        log("child", 0);
        panic!("{}", std::process::Command::new("true").exec());
    });
    assert_eq!(status, 0);
    assert_eq!(RingContents::read(&ring_of(rings, child)).values("event", "process"), ["child"]);
    // As std does if there is work between fork and exec.
    let mut command = std::process::Command::new("true");
    // SAFETY: logging is async-signal-safe.
    unsafe {
        command.pre_exec(|| {
            log("between fork and exec", 0);
            Ok(())
        });
    }
    let mut spawned = command.spawn().unwrap();
    assert!(spawned.wait().unwrap().success());
    let ring = RingContents::read(&ring_of(rings, spawned.id()));
    assert_eq!(ring.values("event", "process"), ["between fork and exec"]);
    // This process replaces itself.
    log("parent", 1);
    assert!(recorder.is_recording());
    println!("RING {}", recorder.ring_path().unwrap().display());
    panic!("{}", std::process::Command::new("sleep").arg("20").exec());
}

/// Children of `vfork` and `posix_spawn` share the parent's memory until they `exec`, and run none of its handlers.
fn spawn(rings: &Path) {
    let recorder = builder().build().unwrap();
    let (stop, logged) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                info!("busy");
                logged.fetch_add(1, Ordering::Relaxed);
            }
        });
        for _ in 0..20 {
            // std uses posix_spawn if there is no work before the exec.
            assert!(std::process::Command::new("true").status().unwrap().success());
            // SAFETY: the child calls `_exit` at once.
            #[allow(deprecated, reason = "it is what is tested")]
            let child = unsafe { libc::vfork() };
            if child == 0 {
                // SAFETY: ends the child.
                unsafe { libc::_exit(0) };
            }
            assert_eq!(wait(child), 0);
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert_eq!(common::files(rings).len(), 1);
    assert!(recorder.is_recording());
    assert_eq!(RingContents::read(recorder.ring_path().unwrap()).accounted(), logged.load(Ordering::Relaxed));
}

/// Whether the parent has added callsites, in memory that parent and child share.
static HAS_ADDED: AtomicPtr<AtomicBool> = AtomicPtr::new(std::ptr::null_mut());

/// Lets the parent get ahead: runs in the child before the recorder's own handler.
extern "C" fn wait_for_parent() {
    // SAFETY: set before the fork, never unmapped.
    let has_added = unsafe { &*HAS_ADDED.load(Ordering::Relaxed) };
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while !has_added.load(Ordering::Acquire) && std::time::Instant::now() < deadline {
        std::hint::spin_loop();
    }
}

/// Between the fork and the moment when the child leaves its parent's ring, the parent adds callsites. The child does
/// not see them, and assigns their numbers to its own.
fn parent_adds_callsites(rings: &Path) {
    // SAFETY: a new zeroed mapping, and a handler of the right type.
    unsafe {
        let (access, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
        let shared = libc::mmap(std::ptr::null_mut(), 4096, access, flags, -1, 0);
        assert_ne!(shared, libc::MAP_FAILED);
        HAS_ADDED.store(shared.cast(), Ordering::Relaxed);
        assert_eq!(libc::pthread_atfork(None, None, Some(wait_for_parent)), 0);
    }
    let recorder = builder().build().unwrap();
    log("parent", 0);
    // SAFETY: the child ends without returning.
    let child = unsafe { libc::fork() };
    if child == 0 {
        log("child", 0);
        warn!("of the child alone", name = "child");
        common::many_callsites()();
        // SAFETY: ends the child.
        unsafe { libc::_exit(0) };
    }
    info!("of the parent alone", name = "parent");
    common::many_callsites()();
    // SAFETY: mapped above.
    unsafe { &*HAS_ADDED.load(Ordering::Relaxed) }.store(true, Ordering::Release);
    assert_eq!(wait(child), 0);
    let parent = RingContents::read(recorder.ring_path().unwrap());
    let ring = RingContents::read(&ring_of(rings, child));
    assert_is_childs(&ring, child, &parent);
    // Two more are those of panics.
    assert_eq!(ring.callsite_ids.len() as u64, 2 + 2 + common::MANY);
    assert_eq!(ring.values("of the child alone", "name"), ["child"]);
    assert_eq!((ring.accounted(), ring.count("of the parent alone")), (2 + common::MANY, 0));
    assert_eq!((parent.accounted(), parent.count("of the parent alone")), (2 + common::MANY, 1));
}

/// Warnings have priority segments, in which parent and child record their identity.
fn kept(rings: &Path) {
    let recorder = builder().min_age(Duration::from_secs(77)).build().unwrap();
    recorder.set_filter("info,noisy=off").unwrap();
    let log = |process: &str| {
        for number in 0..3_u64 {
            info!("event", process, number);
            warn!("warning", process, number);
        }
    };
    let named = |log: &(dyn Fn(&str) + Sync), process: &'static str| {
        std::thread::scope(|scope| {
            std::thread::Builder::new().name("thread".into()).spawn_scoped(scope, move || log(process)).unwrap();
        });
    };
    log("parent");
    named(&log, "parent");
    let (status, child) = fork(|| {
        log("child");
        named(&log, "child");
        (0..50_000_u64).for_each(|number| info!("flood", number));
    });
    assert_eq!(status, 0);
    log("parent");
    assert!(recorder.is_recording());
    let parent = RingContents::read(recorder.ring_path().unwrap());
    let path = ring_of(rings, child);
    let ring = RingContents::read(&path);
    assert_is_childs(&ring, child, &parent);
    assert_eq!((parent.accounted(), ring.accounted()), (18, 50_012));
    assert_eq!(ring.values("warning", "process"), ["child"; 6], "the flood has not replaced them");
    let contexts: BTreeSet<_> = ring.events.iter().map(|event| event.context).collect();
    assert!(contexts.len() == 2 && !contexts.contains(&0), "{contexts:?}");
    // Each context records its identity once per class, with the ids of the child's threads.
    let bytes = std::fs::read(&path).unwrap();
    let image = ttlog_core::RingImage::parse(&bytes).unwrap();
    let mut introduced = BTreeSet::new();
    for index in 0..image.header().segment_count {
        let ttlog_core::SegmentState::Valid(segment) = image.segment(index) else { continue };
        for item in segment.items() {
            if let ttlog_core::Item::Context(who) = item {
                introduced.insert((who.context, who.os_thread_id));
            }
        }
    }
    assert_eq!(introduced.len(), 2, "{introduced:?}");
    assert!(introduced.iter().any(|(_, thread)| *thread == child as u64), "{introduced:?}");
    assert_eq!(image.header().min_age_ns, 77_000_000_000);
    assert_eq!(image.control().unwrap().filter, Some("info,noisy=off"));
}

/// Returns the end that the ring records, and the number of panics.
fn trouble_of(ring: &Path) -> (Option<ProcessEnd>, u64) {
    let bytes = std::fs::read(ring).unwrap();
    let image = ttlog_core::RingImage::parse(&bytes).unwrap();
    (image.end(), image.panics().count)
}

/// The end of a child is in its own ring, and not in its parent's.
fn ends(rings: &Path) {
    let recorder = builder().build().unwrap();
    log("parent", 0);
    let crash = |signal: libc::c_int| {
        move || {
            log("child", 0);
            // SAFETY: ends this process.
            unsafe { libc::raise(signal) };
        }
    };
    for signal in [libc::SIGABRT, libc::SIGTERM] {
        let (status, child) = fork(crash(signal));
        assert!(libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == signal, "{status:#x}");
        let (end, _) = trouble_of(&ring_of(rings, child));
        let end = end.unwrap();
        assert_eq!((end.kind, end.signal, end.os_thread_id), (EndKind::Signal, signal as u8, child as u32));
    }
    let (status, child) = fork(|| {
        log("child", 0);
        std::process::exit(3);
    });
    assert_eq!(libc::WEXITSTATUS(status), 3);
    let (end, _) = trouble_of(&ring_of(rings, child));
    let end = end.unwrap();
    assert_eq!((end.kind, end.code, end.os_thread_id), (EndKind::Exit, 3, child as u32));
    // A child that never logs ends as it would without a recorder, and leaves nothing.
    let (status, _) = fork(|| std::process::exit(4));
    assert_eq!((libc::WEXITSTATUS(status), common::files(rings).len()), (4, 4));
    // SAFETY: none: the access is invalid, which is the purpose.
    let fault = || unsafe { std::ptr::without_provenance_mut::<u8>(16).write_volatile(1) };
    let (status, _) = fork(fault);
    assert_eq!((libc::WTERMSIG(status), common::files(rings).len()), (libc::SIGSEGV, 4));
    // A child that was made without the C library has its parent's ring, and writes nothing into it.
    // SAFETY: the child only ends.
    let child = unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) } as libc::pid_t;
    if child == 0 {
        fault();
    }
    assert_eq!(libc::WTERMSIG(wait(child)), libc::SIGSEGV);
    assert_eq!(trouble_of(recorder.ring_path().unwrap()), (None, 0));
}

/// Like the last part of [`ends`], for the first process of a pid namespace and that of another one below: both are
/// process 1.
fn clone_into_a_namespace() {
    let recorder = builder().build().unwrap();
    log("parent", 0);
    assert_eq!(std::process::id(), 1);
    for run in [|| std::process::exit(4), || std::process::abort()] {
        let flags = libc::SIGCHLD | libc::CLONE_NEWPID;
        // SAFETY: the child only ends.
        let child = unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) } as libc::pid_t;
        if child == 0 {
            assert_eq!(std::process::id(), 1);
            run();
        }
        let status = wait(child);
        assert!(libc::WIFSIGNALED(status) || libc::WEXITSTATUS(status) == 4, "{status:#x}");
        assert_eq!(trouble_of(recorder.ring_path().unwrap()), (None, 0));
    }
}

#[test]
fn copy_in_another_pid_namespace_stamps_no_end() {
    let place = Place::new("fork-namespace");
    let inner = place.child("clone into a namespace");
    let mut command = std::process::Command::new("unshare");
    command.args(["--pid", "--fork", "--mount-proc", "--kill-child"]);
    if !command.arg("true").output().is_ok_and(|output| output.status.success()) {
        let reason = "making a pid namespace takes unshare and root";
        return common::skip("copy_in_another_pid_namespace_stamps_no_end", reason);
    }
    let mut command = std::process::Command::new("unshare");
    command.args(["--pid", "--fork", "--mount-proc", "--kill-child"]).arg(inner.get_program()).args(inner.get_args());
    command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?)))).current_dir("/");
    let output = common::finish(command);
    assert!(output.status.success(), "{}", common::stderr(&output));
}

/// Compares two states of a ring's file, except for its anchors, which are written every second in any case.
fn is_same_but_for_anchors(before: &[u8], after: &[u8]) -> bool {
    let parts = |bytes: &[u8]| {
        let image = ttlog_core::RingImage::parse(bytes).unwrap();
        let header = image.header();
        (header.next_sequence, header.dropped, bytes[header.table_offset as usize..].to_vec())
    };
    parts(before) == parts(after)
}

#[test]
fn child_has_a_ring_of_its_own() {
    Place::new("fork-own").run("own ring");
}

#[test]
fn children_of_children_have_rings_of_their_own() {
    Place::new("fork-deep").run("child of a child");
}

#[test]
fn end_of_the_forked_thread_changes_nothing_for_its_parent() {
    Place::new("fork-ends").run("thread forks and ends");
}

#[test]
fn events_are_accounted_for_while_others_fork() {
    Place::new("fork-busy").run("others log meanwhile");
}

#[test]
fn threads_of_a_child_that_log_first_at_once() {
    Place::new("fork-threads").run("threads of a child");
}

#[test]
fn fork_in_a_handler_that_interrupted_a_log_call() {
    Place::new("fork-handler").run("in a handler");
}

#[test]
fn exec_leaves_a_readable_orphan() {
    let place = Place::new("fork-exec");
    let rings = place.rings();
    let mut process = place.child("exec");
    // A late service thread of its own could find the rings of its children, and be cut off by the exec in the
    // middle.
    process.env("TTLOG_RECOVER_ORPHANS", "off");
    let mut process = process.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap();
    // The process now runs another program, but it is alive, and nothing holds the lock.
    let executable = format!("/proc/{}/exe", process.id());
    common::wait_until("the exec", || {
        assert!(process.try_wait().unwrap().is_none(), "the process has failed");
        std::fs::read_link(&executable).is_ok_and(|path| !path.to_string_lossy().contains("forks"))
    });
    let path = ring_of(&rings, process.id());
    assert_eq!(RingContents::read(&path).values("event", "number"), ["0", "1"]);
    place.run("recovers");
    assert!(process.try_wait().unwrap().is_none());
    process.kill().unwrap();
    process.wait().unwrap();
    assert!(!path.exists(), "it was recovered");
    let recovered: Vec<_> = place.snapshot_files().iter().map(|path| Snapshot::read(path)).collect();
    assert_eq!(recovered.len(), 3, "the process and its two children");
    assert_eq!(recovered.iter().map(|snapshot| snapshot.events.len()).sum::<usize>(), 4);
}

#[test]
fn children_that_share_memory_are_harmless() {
    Place::new("fork-spawn").run("spawn");
}

#[test]
fn child_that_is_killed_leaves_its_ring() {
    Place::new("fork-killed").run("killed");
}

#[test]
fn shutdown_in_a_child_ends_its_own_ring() {
    Place::new("fork-shutdown").run("shutdown");
    Place::new("fork-after").run("after shutdown");
}

#[test]
fn child_without_room_for_a_file_records_in_memory() {
    let place = Place::new("fork-room");
    let output = place.run("no room");
    let [warning] = &common::warnings(&output)[..] else { panic!("{}", common::stderr(&output)) };
    assert!(warning.contains("in memory only") && warning.contains("allocate"), "{warning}");
}

#[test]
fn child_of_a_process_without_a_file_records_in_memory() {
    let output = Place::new("fork-memory").run("in memory");
    assert!(common::warnings(&output).is_empty(), "{}", common::stderr(&output));
}

#[test]
fn child_that_closes_all_descriptors() {
    Place::new("fork-closed").run("descriptors closed");
}

#[test]
fn child_has_no_coarse_clock() {
    Place::new("fork-coarse").run("coarse");
}

#[test]
fn panic_in_a_child_is_in_a_snapshot_of_the_child() {
    Place::new("fork-panic").run("panic");
}

#[test]
fn callsites_that_the_parent_adds_meanwhile_are_not_the_childs() {
    Place::new("fork-adds").run("parent adds callsites");
}

#[test]
fn warnings_of_a_child_are_in_segments_of_their_own() {
    Place::new("fork-kept").run("kept");
}

#[test]
fn end_of_a_child_is_in_its_own_ring() {
    Place::new("fork-ends-own").run("ends");
}

#[test]
fn child_of_a_process_with_a_full_table() {
    Place::new("fork-table").run("full table");
}

#[test]
fn living_child_does_not_keep_its_dead_parents_ring() {
    let place = Place::new("fork-orphan");
    let output = common::finish(place.child("dies and leaves a child"));
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    // The test harness can have begun the line.
    let number = stdout.split("CHILD ").nth(1).and_then(|rest| rest.split_whitespace().next());
    let child: libc::pid_t = number.unwrap_or_else(|| panic!("{output:?}")).parse().unwrap();
    place.run("recovers");
    // SAFETY: ends the process that the case above made, which still exists.
    assert_eq!(unsafe { libc::kill(child, libc::SIGKILL) }, 0, "the child lived all the while");
    let recovered = place.snapshot_files();
    assert_eq!(Snapshot::read(&recovered[0]).with_message("last words").len(), 1);
}

/// The ring of a child can have another layout than that of its parent, in a part of the same memory.
#[test]
fn children_with_smaller_rings_behave_like_others() {
    for case in [
        "own ring",
        "child of a child",
        "thread forks and ends",
        "others log meanwhile",
        "threads of a child",
        "in a handler",
        "killed",
        "shutdown",
        "no room",
        "in memory",
        "kept",
        "parent adds callsites",
        "panic",
        "full table",
    ] {
        run_with_smaller_rings(case);
    }
}

#[test]
fn end_of_a_child_is_in_its_own_ring_if_that_is_smaller() {
    run_with_smaller_rings("ends");
}

fn run_with_smaller_rings(case: &str) {
    let place = Place::new("fork-smaller");
    let mut child = place.child(case);
    child.env("TTLOG_CHILD_CAPACITY_BYTES", "64K");
    let output = common::finish(child);
    assert!(output.status.success(), "{case}: {:?}\n{}", output.status, common::stderr(&output));
}

//! Children of `fork`: what they log goes nowhere, and their parent's ring stays as it is.
#![cfg(target_os = "linux")]

mod common;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use common::{Place, Snapshot};
use ttlog_std::{SnapshotError, Trace, info};

/// Forks, runs `in_child` there, and gives how the child ended.
fn fork(in_child: impl FnOnce()) -> libc::c_int {
    // SAFETY: the child runs `in_child`, which is this test's own, and ends without returning.
    unsafe {
        match libc::fork() {
            0 => {
                let passed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(in_child)).is_ok();
                libc::_exit(i32::from(!passed));
            }
            child => {
                assert!(child > 0, "fork failed");
                let mut status = 0;
                assert_eq!(libc::waitpid(child, &raw mut status, 0), child);
                status
            }
        }
    }
}

/// Not a test of its own: what the children of the tests below run.
#[test]
#[ignore = "run by the other tests in child processes"]
fn child() {
    match common::case().as_deref() {
        Some("logs") => {
            let trace = Trace::builder().capacity_bytes(1 << 20).build().unwrap();
            let log = |process: &str, number: u64| info!("event", process, number);
            (0..100).for_each(|number| log("parent", number));
            let path = trace.ring_path().unwrap().to_path_buf();
            let before = std::fs::read(&path).unwrap();
            let status = fork(|| {
                // The callsite is known, and the thread holds a segment.
                (0..50_000).for_each(|number| log("child", number));
                info!("a callsite that the parent has not met");
                std::thread::spawn(|| info!("from a thread of the child")).join().unwrap();
                assert!(!trace.is_recording());
                let refused = trace.request_snapshot("child").wait();
                assert!(matches!(refused, Err(SnapshotError::NoServiceThread)), "{refused:?}");
                assert!(!trace.shutdown());
            });
            assert_eq!(status, 0);
            assert!(is_same_but_for_anchors(&before, &std::fs::read(&path).unwrap()));
            (100..200).for_each(|number| log("parent", number));
            let snapshot = Snapshot::read(&trace.request_snapshot("after").wait().unwrap());
            let numbers: Vec<_> =
                snapshot.with_message("event").iter().map(|event| event.fields["number"].clone()).collect();
            assert_eq!(numbers, (0..200).map(|number| number.to_string()).collect::<Vec<_>>());
            assert_eq!((snapshot.events.len(), snapshot.overwritten, trace.loss().dropped_total()), (200, 0, 0));
        }
        Some("thread forks and ends") => {
            let trace = Trace::builder().capacity_bytes(1 << 20).build().unwrap();
            info!("of main");
            let path = trace.ring_path().unwrap().to_path_buf();
            std::thread::spawn(move || {
                info!("before the fork");
                let before = std::fs::read(&path).unwrap();
                // In the child this thread ends: what it then does to its segment must not reach the parent.
                // SAFETY: the child ends this thread and with it itself.
                let child = unsafe { libc::fork() };
                if child == 0 {
                    info!("in the child");
                    // SAFETY: runs the destructors of thread-locals, then ends the child, whose last thread this is.
                    unsafe { libc::pthread_exit(std::ptr::null_mut()) };
                }
                let mut status = 0;
                // SAFETY: a valid place for the status.
                assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
                assert!(is_same_but_for_anchors(&before, &std::fs::read(&path).unwrap()));
                info!("after the fork");
            })
            .join()
            .unwrap();
            let snapshot = Snapshot::read(&trace.request_snapshot("after").wait().unwrap());
            let messages: Vec<_> = snapshot.events.iter().map(|event| event.message.as_str()).collect();
            assert_eq!(messages, ["of main", "before the fork", "after the fork"]);
        }
        Some("others log meanwhile") => {
            let trace = Trace::builder().capacity_bytes(8 << 20).build().unwrap();
            let (stop, logged) = (AtomicBool::new(false), AtomicU64::new(0));
            std::thread::scope(|scope| {
                for _ in 0..2 {
                    scope.spawn(|| {
                        while !stop.load(Ordering::Relaxed) {
                            info!("busy");
                            logged.fetch_add(1, Ordering::Relaxed);
                        }
                    });
                }
                for _ in 0..20 {
                    assert_eq!(fork(|| (0..1000).for_each(|_| info!("busy"))), 0);
                }
                stop.store(true, Ordering::Relaxed);
            });
            let snapshot = Snapshot::read(&trace.request_snapshot("after").wait().unwrap());
            let found = snapshot.events.len() as u64 + snapshot.overwritten + trace.loss().dropped_total();
            assert_eq!(found, logged.load(Ordering::Relaxed));
        }
        Some("dies and leaves a child") => {
            let _trace = Trace::init(1000, 10, "parent");
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
        Some("recovers") => {
            let trace = Trace::init(1000, 10, "heir");
            common::wait_until("the snapshot of the orphan", || {
                let directory = std::env::var_os("TTLOG_SNAPSHOT_DIR").unwrap();
                common::files(directory.as_ref()).iter().any(|path| path.to_string_lossy().ends_with("-recovered.bin"))
            });
            assert!(trace.shutdown());
        }
        other => panic!("unknown case {other:?}"),
    }
}

/// Compares two states of a ring's file. Its anchors are written each second, whoever logs.
fn is_same_but_for_anchors(before: &[u8], after: &[u8]) -> bool {
    let parts = |bytes: &[u8]| {
        let image = ttlog_core::RingImage::parse(bytes).unwrap();
        let header = image.header();
        (header.next_sequence, header.dropped, bytes[header.table_offset as usize..].to_vec())
    };
    parts(before) == parts(after)
}

#[test]
fn child_that_logs_changes_nothing_for_its_parent() {
    Place::new("fork-logs").run("logs");
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
fn living_child_does_not_keep_its_dead_parents_ring() {
    let place = Place::new("fork-orphan");
    let output = common::finish(place.child("dies and leaves a child"));
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    // The test harness may have begun the line.
    let number = stdout.split("CHILD ").nth(1).and_then(|rest| rest.split_whitespace().next());
    let child: libc::pid_t = number.unwrap_or_else(|| panic!("{output:?}")).parse().unwrap();
    place.run("recovers");
    // SAFETY: ends the process that the case above has made, which is still there.
    assert_eq!(unsafe { libc::kill(child, libc::SIGKILL) }, 0, "the child lived all the while");
    let recovered = place.snapshot_files();
    assert_eq!(Snapshot::read(&recovered[0]).with_message("last words").len(), 1);
}

//! Snapshot requests: tickets, a full queue, many at once, shutdown, forks.
#![cfg(target_os = "linux")]

mod common;

use std::time::Duration;

use common::{Place, Snapshot, finish, stderr, wait_until, warnings};
use ttlog_std::{Recorder, SnapshotError, info};

/// Not a test: entry point of the children of the tests below.
#[test]
#[ignore = "run by the other tests in child processes"]
fn child() {
    let Some(case) = common::case() else { return };
    let (event_capacity, channel_capacity) = if case == "full queue" { (400_000, 2) } else { (10_000, 100) };
    let recorder = Recorder::init(event_capacity, channel_capacity, "requests");
    match case.as_str() {
        "dropped ticket" => {
            info!("before");
            drop(recorder.request_snapshot("dropped"));
            recorder.request_snapshot("waited for").wait().unwrap();
        }
        "each ticket its own" => {
            for round in 0..20_u32 {
                info!("round", round);
                let path = recorder.request_snapshot(&format!("round{round}")).wait().unwrap();
                let snapshot = Snapshot::read(&path);
                assert_eq!(snapshot.reason, format!("round{round}"));
                assert_eq!(snapshot.with_message("round").len(), round as usize + 1);
            }
        }
        "full queue" => {
            for n in 0..100_000_u64 {
                info!("filling", n);
            }
            let tickets: Vec<_> = (0..50).map(|_| recorder.request_snapshot("burst")).collect();
            let results: Vec<_> = tickets.into_iter().map(ttlog_std::SnapshotTicket::wait).collect();
            let written = results.iter().filter(|result| result.is_ok()).count();
            let refused = results.iter().filter(|result| matches!(result, Err(SnapshotError::QueueFull))).count();
            assert_eq!(written + refused, 50, "{results:?}");
            assert!(written >= 2, "requests that fit into the queue are written");
            let paths: std::collections::BTreeSet<_> = results.into_iter().filter_map(Result::ok).collect();
            assert!(paths.iter().all(|path| path.exists()));
            println!("WRITTEN {}", paths.len());
        }
        "time-out" => {
            let mut ticket = recorder.request_snapshot("slow");
            let path = loop {
                match ticket.wait_timeout(Duration::from_micros(50)) {
                    Ok(result) => break result.unwrap(),
                    Err(again) => ticket = again,
                }
            };
            assert!(path.exists());
            let ticket = recorder.request_snapshot("polled");
            wait_until("the ticket is done", || ticket.is_done());
            assert!(ticket.wait().unwrap().exists());
        }
        "hostile reason" => {
            let reason = "../up\n\u{1b}[2J/ü";
            let path = recorder.request_snapshot(reason).wait().unwrap();
            assert!(path.to_str().unwrap().ends_with("-_._up___2J__.bin"), "{path:?}");
            assert_eq!(Snapshot::read(&path).reason, reason);
        }
        "shutdown" => {
            info!("last words");
            let tickets: Vec<_> = (0..5).map(|_| recorder.request_snapshot("last")).collect();
            let ring = recorder.ring_path().unwrap().to_owned();
            assert!(ring.exists());
            assert!(recorder.shutdown());
            assert!(!ring.exists());
            for ticket in tickets {
                assert!(ticket.is_done(), "accepted requests are finished first");
                let snapshot = Snapshot::read(&ticket.wait().unwrap());
                assert_eq!(snapshot.with_message("last words").len(), 1);
            }
            let used = recorder.utilization();
            for _ in 0..3 {
                info!("after the end");
            }
            assert!(!recorder.is_recording());
            assert_eq!(used, recorder.utilization());
            assert!(matches!(recorder.request_snapshot("late").wait(), Err(SnapshotError::ShutDown)));
            assert!(recorder.shutdown(), "again");
            assert!(Recorder::init(1, 1, "again").ring_path().is_some(), "the first one's handle");
        }
        "directory removed" => {
            let directory = recorder.request_snapshot("first").wait().unwrap().parent().unwrap().to_owned();
            std::fs::remove_dir_all(&directory).unwrap();
            assert!(recorder.request_snapshot("second").wait().unwrap().exists(), "made again");
            std::fs::remove_dir_all(&directory).unwrap();
            std::fs::write(&directory, "in the way").unwrap();
            let error = recorder.request_snapshot("third").wait().unwrap_err();
            assert!(matches!(&error, SnapshotError::Io { .. }), "{error}");
            std::fs::remove_file(&directory).unwrap();
            assert!(recorder.request_snapshot("fourth").wait().unwrap().exists(), "the thread has gone on");
        }
        "fork" => {
            info!("before the fork");
            // SAFETY: the child ends without unwinding, and its C library's allocator works after a fork.
            let pid = unsafe { libc::fork() };
            if pid == 0 {
                info!("in the fork");
                let path = recorder.request_snapshot("in the fork").wait();
                let is_its_own = path.is_ok_and(|path| {
                    let snapshot = Snapshot::read(&path);
                    let counts = ["in the fork", "before the fork"].map(|message| snapshot.with_message(message).len());
                    path.to_str().unwrap().contains(&format!("-{}-", std::process::id())) && counts == [1, 0]
                });
                let is_good = is_its_own && recorder.shutdown();
                // SAFETY: ends the process.
                unsafe { libc::_exit(if is_good { 0 } else { 1 }) };
            }
            let mut status = 0;
            // SAFETY: waits for the child just made; `status` is a valid pointer.
            assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
            assert_eq!(status, 0);
            assert!(recorder.ring_path().unwrap().exists());
            let snapshot = Snapshot::read(&recorder.request_snapshot("in the parent").wait().unwrap());
            assert_eq!(snapshot.with_message("before the fork").len(), 1);
            assert!(snapshot.with_message("in the fork").is_empty());
        }
        "while writing" => {
            let writing = std::sync::atomic::AtomicBool::new(true);
            std::thread::scope(|scope| {
                for thread in 0..2_u32 {
                    let writing = &writing;
                    scope.spawn(move || {
                        let mut n = 0_u64;
                        while writing.load(std::sync::atomic::Ordering::Relaxed) {
                            info!("busy", thread, n);
                            n += 1;
                        }
                    });
                }
                for _ in 0..5 {
                    std::thread::sleep(Duration::from_millis(10));
                    let snapshot = Snapshot::read(&recorder.request_snapshot("busy").wait().unwrap());
                    for thread in ["0", "1"] {
                        let numbers: Vec<u64> = snapshot
                            .with_message("busy")
                            .iter()
                            .filter(|event| event.fields["thread"] == thread)
                            .map(|event| event.fields["n"].parse().unwrap())
                            .collect();
                        assert!(numbers.is_sorted(), "events of a thread are in order");
                    }
                }
                writing.store(false, std::sync::atomic::Ordering::Relaxed);
            });
        }
        other => panic!("unknown case {other}"),
    }
}

#[test]
fn dropping_a_ticket_changes_nothing() {
    let place = Place::new("dropped");
    place.run("dropped ticket");
    // Two snapshots, or one for both.
    let reasons: Vec<_> = place.snapshot_files().iter().map(|path| Snapshot::read(path).reason).collect();
    let mut reasons: Vec<_> = reasons.iter().flat_map(|reason| reason.split('+')).collect();
    reasons.sort_unstable();
    assert_eq!(reasons, ["dropped", "waited for"]);
}

#[test]
fn each_request_sees_what_was_recorded_before_it() {
    let place = Place::new("sequence");
    place.run("each ticket its own");
    assert_eq!(place.snapshot_files().len(), 20);
}

#[test]
fn fifty_requests_in_a_queue_for_two() {
    let place = Place::new("burst");
    let output = place.run("full queue");
    let written = format!("WRITTEN {}\n", place.snapshot_files().len());
    assert!(String::from_utf8_lossy(&output.stdout).contains(&written), "{written}");
}

#[test]
fn waiting_with_a_time_out() {
    Place::new("timeout").run("time-out");
}

#[test]
fn hostile_reason_stays_in_its_directory() {
    let place = Place::new("reason");
    place.run("hostile reason");
    assert_eq!(place.snapshot_files().len(), 1);
}

#[test]
fn shutdown_finishes_what_was_accepted() {
    let place = Place::new("end");
    let warnings = warnings(&place.run("shutdown"));
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("second time"), "{warnings:?}");
    assert!((1..=5).contains(&place.snapshot_files().len()), "requests that waited together share one");
}

#[test]
fn snapshot_directory_that_goes_away() {
    Place::new("removed").run("directory removed");
}

#[test]
fn fork_has_snapshots_of_its_own_and_does_no_harm() {
    let output = finish(Place::new("fork").child("fork"));
    assert!(output.status.success(), "{}", stderr(&output));
}

#[test]
fn snapshots_while_threads_write() {
    Place::new("busy").run("while writing");
}

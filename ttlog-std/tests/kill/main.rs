//! The kill test: SIGKILL ends a process that logs at full speed on several threads at a random moment, and its ring
//! must account for every event whose macro had returned.
//!
//! Each run starts a child ([`worker`]), kills it, and reads the ring it left ([`check`]). Settings from the
//! environment:
//!
//! | name | meaning | default |
//! | --- | --- | --- |
//! | `TTLOG_KILLS` | number of kills in total, spread over the thread counts | 20 |
//! | `TTLOG_KILL_THREADS` | thread counts, separated by commas | `1,2,8` |
//! | `TTLOG_KILL_SEED` | seed of the moments (which also depend on the load of the machine) | from the clock |
//!
//! Built with `--cfg ttlog_mutant_commit_first`, which publishes records before their words are stored, this test must
//! fail.
#![cfg(target_os = "linux")]

mod check;
#[path = "../common/mod.rs"]
mod common;
mod worker;

use std::process::Child;
use std::time::{Duration, Instant, SystemTime};

use common::Place;
use worker::{COUNTER_STRIDE, Plan, mix};

/// Rings that are filled many times before the kill, as `(capacity, segment, churn)`.
const SHAPES: [(usize, usize, bool); 6] = [
    (1 << 20, 4096, false),
    // Segments of a few dozen events, so that death during a change of segment is likely.
    (64 << 10, 512, false),
    (256 << 10, 8192, false),
    // Four segments, of which threads can hold three. Further threads share one.
    (64 << 10, 16 << 10, false),
    // Threads that end after a few hundred events, so that segments are left and taken over.
    (256 << 10, 2048, true),
    (128 << 10, 32 << 10, true),
];
/// Lifetime of a child before it is killed, in microseconds. One in four is killed in its first laps.
const WORK_US: (u64, u64) = (2_000, 120_000);
const EARLY_US: u64 = 3_000;

/// Not a test: entry point of the children of the test below.
#[test]
#[ignore = "run by the other test in child processes"]
fn child() {
    if common::case().is_some() {
        worker::run();
    }
}

#[test]
fn every_event_whose_macro_returned_is_accounted_for() {
    let kills: u64 = setting("TTLOG_KILLS").map_or(20, |text| text.parse().expect("TTLOG_KILLS is a number"));
    let thread_counts: Vec<usize> = setting("TTLOG_KILL_THREADS")
        .unwrap_or_else(|| "1,2,8".to_owned())
        .split(',')
        .map(|count| count.trim().parse().expect("TTLOG_KILL_THREADS is a list of numbers"))
        .collect();
    let now = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as u64;
    let seed = setting("TTLOG_KILL_SEED").map_or_else(now, |text| text.parse().expect("TTLOG_KILL_SEED is a number"));
    assert!(kills > 0 && thread_counts.iter().all(|count| (1..=64).contains(count)), "nothing to do");
    println!("seed {seed}; per run: ring, counted <= retained + overwritten + dropped <= counted + threads");

    let (mut total, mut failed) = (check::Figures::default(), 0);
    for run in 0..kills {
        let threads = thread_counts[run as usize % thread_counts.len()];
        let (capacity, segment, churn) = SHAPES[run as usize / thread_counts.len() % SHAPES.len()];
        let plan = Plan { threads, capacity, segment, churn };
        let moment = mix(seed ^ run);
        let after = match moment % 4 {
            0 => mix(moment) % EARLY_US,
            _ => WORK_US.0 + mix(moment) % (WORK_US.1 - WORK_US.0),
        };
        let (figures, faults) = kill_one(&plan, Duration::from_micros(after));
        println!("{run:4}: {plan}, killed after {:6.1} ms: {figures}", after as f64 / 1e3);
        failed += u64::from(!faults.is_empty());
        for fault in faults.iter().take(10) {
            println!("      {fault}");
        }
        total.add(&figures);
    }
    println!("= {kills} kills, {failed} with faults; {total}");
    assert_eq!(failed, 0, "seed {seed}: runs in which events are false or not accounted for");
    // If there are few kills, all of them can come early.
    assert!(kills < 10 || total.overwritten > total.retained, "the rings were hardly filled, so this shows nothing");
}

fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Starts a child, kills it after `after` of work, and returns the figures and the faults of its ring.
fn kill_one(plan: &Plan, after: Duration) -> (check::Figures, Vec<String>) {
    let place = Place::new("kill");
    let counters = place.path().join("counters");
    std::fs::write(&counters, vec![0; plan.threads * COUNTER_STRIDE]).unwrap();
    let mut command = place.child("kill");
    plan.set(&mut command, &counters);
    let mut child = KillOnDrop(command.stdout(std::process::Stdio::null()).spawn().unwrap());
    let deadline = Instant::now() + Duration::from_secs(30);
    while read_counts(&counters).iter().all(|count| *count == 0) {
        assert!(Instant::now() < deadline, "the child does not log");
        assert!(child.0.try_wait().unwrap().is_none(), "the child ended before it was killed");
        std::thread::sleep(Duration::from_micros(200));
    }
    std::thread::sleep(after);
    child.0.kill().unwrap();
    let status = child.0.wait().unwrap();
    let signal = std::os::unix::process::ExitStatusExt::signal(&status);
    assert_eq!(signal, Some(libc::SIGKILL), "the child ended early: {status}");

    let rings = place.ring_files();
    assert_eq!(rings.len(), 1, "{rings:?}");
    check::check(plan, &std::fs::read(&rings[0]).unwrap(), &read_counts(&counters))
}

/// Returns the number of events that each writer has counted.
fn read_counts(path: &std::path::Path) -> Vec<u64> {
    let bytes = std::fs::read(path).unwrap();
    bytes.chunks_exact(COUNTER_STRIDE).map(|slot| u64::from_le_bytes(slot[..8].try_into().unwrap())).collect()
}

/// A child that is also ended when an assertion fails.
struct KillOnDrop(Child);

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        // Both fail if the child has been waited for, which is the usual case.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

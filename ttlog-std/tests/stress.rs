//! Everything at once, in one process: threads that log at all levels, threads that come and go, filters changed from
//! inside and from outside, snapshots, forks, and queries of the ring. Every event is accounted for at the end.
//! `ci/checks/tsan` runs this under ThreadSanitizer.
#![cfg(target_os = "linux")]

mod common;

use std::fmt;
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use common::Place;
use common::ring::RingContents;
use ttlog_core::RingImage;
use ttlog_std::{Recorder, RingFileChoice, debug, error, info, warn};

/// Number of events that each long-lived thread records.
const EVENTS: u64 = 6_000;

static STOP: AtomicBool = AtomicBool::new(false);
/// Number of events whose macros were called and that the filter let through.
static EMITTED: AtomicU64 = AtomicU64::new(0);

/// A field that counts its event: a value is formatted only when its event is recorded.
struct Counted(u64);

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        EMITTED.fetch_add(1, Ordering::Relaxed);
        write!(f, "value {}", self.0)
    }
}

/// Logs event `n` of this thread.
fn log(n: u64) {
    if n % 5 != 3 {
        EMITTED.fetch_add(1, Ordering::Relaxed);
    }
    match n % 5 {
        0 | 1 => info!("small", n),
        2 => warn!("longer", n, text = "a text that is not small at all"),
        3 => debug!(target: "on_and_off", "on and off", value = %Counted(n)),
        _ => error!("wide", n, wide = u128::from(n), real = n as f64),
    }
}

/// Repeats an action until the logging threads are done, at least once.
fn until_the_end(work: impl Fn(u64)) {
    for round in 0.. {
        work(round);
        if STOP.load(Ordering::Relaxed) {
            return;
        }
        std::thread::yield_now();
    }
}

/// Not a test: entry point of the child of the test below.
#[test]
#[ignore = "run by the other test in a child process"]
fn child() {
    if common::case().is_none() {
        return;
    }
    let recorder = Recorder::builder()
        .service("stress")
        .capacity_bytes(96 << 10)
        .segment_bytes(2048)
        .ring_file(RingFileChoice::Required)
        .filter("debug")
        .build()
        .unwrap();
    let recorder = &recorder;
    std::thread::scope(|scope| {
        let loggers: Vec<_> = (0..4).map(|_| scope.spawn(|| (0..EVENTS).for_each(log))).collect();
        let others = [
            // Short-lived threads.
            scope.spawn(|| {
                until_the_end(|round| {
                    std::thread::spawn(move || (0..7).for_each(|n| log(round * 7 + n))).join().unwrap();
                });
            }),
            // Filter changes from inside.
            scope.spawn(|| {
                until_the_end(|round| {
                    recorder.set_filter(if round % 2 == 0 { "info,on_and_off=off" } else { "debug" }).unwrap();
                    assert!(!recorder.filter().is_empty());
                });
            }),
            // Filter changes from outside.
            scope.spawn(|| {
                until_the_end(|round| ask(recorder, if round % 2 == 0 { "level info" } else { "level debug" }));
            }),
            scope.spawn(|| until_the_end(|_| drop(recorder.request_snapshot("stress").wait().unwrap()))),
            scope.spawn(|| {
                until_the_end(|_| {
                    let _ = recorder.window();
                    assert!((0.0..=1.0).contains(&recorder.utilization()));
                    assert_eq!(recorder.loss().suppressed, 0);
                });
            }),
            scope.spawn(|| until_the_end(|_| fork())),
        ];
        loggers.into_iter().for_each(|logger| logger.join().unwrap());
        STOP.store(true, Ordering::Relaxed);
        others.into_iter().for_each(|other| other.join().unwrap());
    });
    println!("\nemitted {}", EMITTED.load(Ordering::Relaxed));
}

/// Writes a filter request into the ring's file, as another process would, without waiting for the answer.
fn ask(recorder: &Recorder, text: &str) {
    let file = std::fs::File::options().read(true).write(true).open(recorder.ring_path().unwrap()).unwrap();
    let mut header = vec![0; ttlog_core::ring::LONG_HEADER_LEN];
    file.read_exact_at(&mut header, 0).unwrap();
    let request = RingImage::parse(&header).unwrap().control().unwrap().request(std::process::id(), text).unwrap();
    request.writes().into_iter().for_each(|(offset, bytes)| file.write_all_at(bytes, offset).unwrap());
    std::thread::sleep(std::time::Duration::from_millis(20));
}

/// Forks a child that logs, into a ring of its own.
fn fork() {
    // SAFETY: the child logs, which is allowed after a fork, and ends without returning.
    unsafe {
        match libc::fork() {
            0 => {
                info!("in a child");
                error!("in a child");
                libc::_exit(0);
            }
            child => {
                let mut status = 0;
                assert_eq!(libc::waitpid(child, &raw mut status, 0), child);
                assert_eq!(status, 0, "a child failed");
            }
        }
    }
    std::thread::sleep(std::time::Duration::from_millis(20));
}

#[test]
fn everything_at_once_is_accounted_for() {
    let place = Place::new("stress");
    let output = place.run("stress");
    let stdout = String::from_utf8_lossy(&output.stdout);
    let emitted: u64 = stdout.lines().find_map(|line| line.strip_prefix("emitted ")).unwrap().parse().unwrap();
    let rings: Vec<_> = place.ring_files().iter().map(|path| RingContents::read(path)).collect();
    let own = |ring: &&RingContents| ring.events.iter().any(|event| event.event.message == "small");
    let ring = rings.iter().find(own).expect("the ring of the process itself");
    let accounted = ring.events.len() as u64 + ring.loss.overwritten + ring.loss.dropped_total();
    assert_eq!((accounted, ring.pending), (emitted, 0), "{:?}", ring.loss);
    assert!(ring.loss.overwritten > ring.events.len() as u64, "the ring was hardly filled");
}

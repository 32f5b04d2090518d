//! Many threads, one after the other and all at once.
#![cfg(target_os = "linux")]

mod common;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};

use common::Place;
use common::ring::RingContents;
use ttlog_std::{Recorder, info};

/// Number of short-lived threads.
const CHURNED: u64 = 100_000;
/// Number of last threads whose events must be retained.
const LAST: u64 = 1000;
/// Number of threads at once.
const LIVE: u64 = 1024;
/// Largest permanent growth of memory by the churn, in KiB: far less than one page per thread.
const GROWTH_MAX_KIB: u64 = 16 << 10;

/// Returns a figure of this process that the kernel reports, in KiB.
fn status_kib(name: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_ascii_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Returns the number of mappings of this process.
fn mapping_count() -> usize {
    std::fs::read_to_string("/proc/self/maps").unwrap().lines().count()
}

/// Returns an upper bound of the length of a ring with this capacity, including table and headers.
fn len_max(capacity: u64) -> u64 {
    capacity + (4 << 20)
}

/// Not a test: entry point of the children of the tests below.
#[test]
#[ignore = "run by the other tests in child processes"]
fn child() {
    let Some(case) = common::case() else { return };
    match case.as_str() {
        "come and go" => come_and_go(),
        "pthreads come and go" => pthreads_come_and_go(),
        "all at once" => all_at_once(),
        other => panic!("unknown case {other}"),
    }
}

fn come_and_go() {
    let capacity = 1 << 20;
    let recorder = Recorder::builder().service("threads").capacity_bytes(capacity).build().unwrap();
    let ring = recorder.ring_path().unwrap().to_path_buf();
    let spawn = |thread: u64| std::thread::spawn(move || info!("from a thread", thread));
    let batch = |first: u64| (first..first + 10).map(spawn).collect::<Vec<_>>();
    let run = |range: std::ops::Range<u64>| {
        range.step_by(10).for_each(|first| batch(first).into_iter().for_each(|thread| thread.join().unwrap()));
    };
    run(0..10_000);
    let (rss, mappings, len) = (status_kib("VmRSS:"), mapping_count(), ring.metadata().unwrap().len());
    run(10_000..CHURNED);
    let (rss_after, mappings_after) = (status_kib("VmRSS:"), mapping_count());
    assert!(rss_after <= rss + GROWTH_MAX_KIB, "{rss} KiB, then {rss_after}");
    assert!(mappings_after <= mappings + 50, "{mappings} mappings, then {mappings_after}");
    assert!(len <= len_max(capacity as u64) && ring.metadata().unwrap().len() == len, "{len} bytes");
    assert_eq!(recorder.loss().dropped_total(), 0, "{:?}", recorder.loss());
    let contents = RingContents::read(&ring);
    assert_eq!(contents.accounted(), CHURNED);
    let there: BTreeSet<u64> =
        contents.values("from a thread", "thread").iter().map(|thread| thread.parse().unwrap()).collect();
    let missing: Vec<_> = (CHURNED - LAST..CHURNED).filter(|thread| !there.contains(thread)).collect();
    assert!(missing.is_empty(), "{} are missing of the last {LAST}: {missing:?}", missing.len());
}

/// Threads that std did not start get an alternate stack from the recorder, which must be freed with them.
fn pthreads_come_and_go() {
    extern "C" fn log(_: *mut libc::c_void) -> *mut libc::c_void {
        info!("from a thread", thread = 0_u64);
        std::ptr::null_mut()
    }
    let _trace = Recorder::builder().service("threads").capacity_bytes(1 << 20).build().unwrap();
    let run = |count: u64| {
        for _ in 0..count {
            let mut thread = 0;
            // SAFETY: valid arguments, and a thread that nothing else joins.
            unsafe {
                assert_eq!(libc::pthread_create(&raw mut thread, std::ptr::null(), log, std::ptr::null_mut()), 0);
                assert_eq!(libc::pthread_join(thread, std::ptr::null_mut()), 0);
            }
        }
    };
    run(100);
    let (size, mappings) = (status_kib("VmSize:"), mapping_count());
    run(2000);
    let (size_after, mappings_after) = (status_kib("VmSize:"), mapping_count());
    assert!(size_after <= size + (8 << 10), "{size} KiB of addresses, then {size_after}");
    assert!(mappings_after <= mappings + 20, "{mappings} mappings, then {mappings_after}");
}

/// Each thread holds its segment until all have logged, so that there are more threads than segments.
fn all_at_once() {
    const EVENTS: u64 = 200;
    let recorder = Recorder::builder().service("threads").capacity_bytes(16 << 20).build().unwrap();
    let ring = recorder.ring_path().unwrap().to_path_buf();
    let (barrier, counted) = (Barrier::new(LIVE as usize), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for thread in 0..LIVE {
            let (barrier, counted) = (&barrier, &counted);
            let work = move || {
                info!("arrived", thread);
                counted.fetch_add(1, Ordering::Relaxed);
                barrier.wait();
                for number in 0..EVENTS {
                    info!("worked", thread, number);
                    counted.fetch_add(1, Ordering::Relaxed);
                }
                barrier.wait();
            };
            std::thread::Builder::new().stack_size(64 << 10).spawn_scoped(scope, work).unwrap();
        }
    });
    check_all_at_once(&ring, counted.into_inner(), EVENTS);
    assert!(ring.metadata().unwrap().len() <= len_max(16 << 20));
}

fn check_all_at_once(ring: &Path, counted: u64, events_each: u64) {
    let contents = RingContents::read(ring);
    assert_eq!(counted, LIVE * (events_each + 1));
    assert_eq!(contents.accounted(), counted, "{:?}", contents.loss);
    assert_eq!(contents.pending, 0);
    assert_eq!(contents.loss.dropped_total(), 0, "{:?}", contents.loss);
    let mut of_threads = vec![BTreeSet::new(); LIVE as usize];
    for event in contents.events.iter().filter(|event| event.event.message == "worked") {
        let field = |name: &str| event.event.fields[name].parse::<u64>().unwrap();
        assert!(of_threads[field("thread") as usize].insert(field("number")), "an event is there twice");
    }
    let kept: u64 = of_threads.iter().map(|numbers| numbers.len() as u64).sum();
    assert_eq!(kept + contents.count("arrived") as u64 + contents.loss.overwritten, counted);
}

#[test]
fn threads_that_come_and_go() {
    Place::new("threads-churn").run("come and go");
}

#[test]
fn threads_of_another_maker_that_come_and_go() {
    Place::new("threads-pthreads").run("pthreads come and go");
}

#[test]
fn a_thousand_threads_at_once() {
    Place::new("threads-live").run("all at once");
}

//! A global allocator that logs: what is allocated while an event is recorded logs again.
#![cfg(target_os = "linux")]

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use common::{Place, Snapshot};
use ttlog_std::{Recorder, error, info};

/// An allocator that logs allocations once it is switched on.
struct Logging;

/// Whether allocations are logged.
static LOGS: AtomicBool = AtomicBool::new(false);
/// Number of events that the allocator has emitted.
static EMITTED: AtomicU64 = AtomicU64::new(0);
/// Length of the allocations that this test makes on purpose, in bytes.
const MARKED_LEN: usize = 777;

// SAFETY: every call is forwarded to the system's allocator.
unsafe impl GlobalAlloc for Logging {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if LOGS.load(Ordering::Relaxed) {
            info!("allocated", len = layout.size());
            EMITTED.fetch_add(1, Ordering::Relaxed);
        }
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        if LOGS.load(Ordering::Relaxed) && layout.size() == MARKED_LEN {
            error!("freed", len = layout.size());
            EMITTED.fetch_add(1, Ordering::Relaxed);
        }
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(start, layout) };
    }
}

#[global_allocator]
static ALLOCATOR: Logging = Logging;

/// A value whose text is allocated while it is recorded.
struct Allocates;

impl std::fmt::Display for Allocates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&"x".repeat(MARKED_LEN))
    }
}

/// Not a test: entry point of the child of the test below.
#[test]
#[ignore = "run by the other test in a child process"]
fn child() {
    if common::case().is_none() {
        return;
    }
    // Before the start, because the recorder itself allocates while it is built.
    LOGS.store(true, Ordering::Relaxed);
    let recorder = Recorder::builder().capacity_bytes(8 << 20).build().unwrap();
    let emitted_before = EMITTED.load(Ordering::Relaxed);
    let loss_before = recorder.loss();
    let threads: Vec<_> = (0..4)
        .map(|_| {
            std::thread::spawn(|| {
                for _ in 0..500 {
                    std::hint::black_box(Vec::<u8>::with_capacity(MARKED_LEN));
                }
                info!("with a value that allocates", value = %Allocates);
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    LOGS.store(false, Ordering::Relaxed);
    assert_eq!(recorder.loss(), loss_before, "nothing was overwritten or dropped");
    assert!(EMITTED.load(Ordering::Relaxed) >= emitted_before + 4 * 1000);
    recorder.request_snapshot("allocator").wait().unwrap();
}

#[test]
fn allocator_that_logs() {
    let place = Place::new("allocator");
    place.run("logs");
    let snapshot = Snapshot::read(&place.snapshot_files()[0]);
    let marked = MARKED_LEN.to_string();
    for message in ["allocated", "freed"] {
        let events = snapshot.with_message(message);
        let count = events.iter().filter(|event| event.fields["len"] == marked).count();
        assert!(count >= 4 * 501, "{count} {message}");
    }
    let texts = snapshot.with_message("with a value that allocates");
    assert_eq!(texts.len(), 4);
    assert!(texts.iter().all(|event| event.fields["value"].len() == MARKED_LEN));
}

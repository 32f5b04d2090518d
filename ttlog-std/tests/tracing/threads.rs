//! Many threads.

use std::sync::Barrier;

use ttlog_core::event::Role;

use super::tree::Tree;
use super::{Case, ring_of};

pub const CASES: &[Case] = &[("threads", threads), ("threads-init", threads_init), ("thread-end", thread_end)];

const THREADS: usize = 5000;

fn threads() {
    // More segments than threads, so that nothing is overwritten.
    let recorder = ttlog_std::Recorder::builder().capacity_bytes(32 << 20).segment_bytes(4096).build().unwrap();
    tracing::subscriber::set_global_default(ttlog_std::tracing::subscriber()).unwrap();
    work();
    assert_eq!(recorder.loss().dropped_total(), 0);
}

/// With fewer segments than threads.
fn threads_init() {
    let recorder = ttlog_std::tracing::init("test");
    work();
    assert_eq!(recorder.loss().dropped_total(), 0);
    assert!(recorder.is_recording());
}

/// Has threads that all live at a time, each in a span of its own.
fn work() {
    let barrier = Barrier::new(THREADS);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let barrier = &barrier;
            let work = move || {
                let span = tracing::info_span!("work", thread);
                let _in_span = span.enter();
                // All of them live, and are in their spans.
                barrier.wait();
                tracing::info!(thread, "at work");
            };
            std::thread::Builder::new().stack_size(128 * 1024).spawn_scoped(scope, work).unwrap();
        }
    });
}

#[test]
fn five_thousand_threads_at_once() {
    let ring = ring_of("threads");
    assert_eq!(ring.loss.dropped_total(), 0);
    // Start, enter, event, leave and end of each thread. So many segments are opened that starts are recorded again.
    let is_again = |event: &&super::common::ring::RingEvent| {
        event.event.span(Role::Update).is_some() && event.event.span(Role::Parent).is_some()
    };
    let again = ring.events.iter().filter(is_again).count();
    assert_eq!((ring.loss.overwritten, ring.accounted()), (0, (5 * THREADS + again) as u64));
    let tree = Tree::new(ring);
    assert_eq!(tree.count("at work"), THREADS);
    for event in &tree.events {
        let span = &tree.spans[&event.span(Role::Span).unwrap()];
        assert_eq!(span.values["thread"], event.value("thread"));
        assert_eq!((span.entered, span.left, span.ended), (1, 1, 1));
    }
}

/// The registry of tracing-subscriber panics at 4,096 threads.
#[test]
fn five_thousand_threads_with_init() {
    let ring = ring_of("threads-init");
    let (loss, accounted) = (ring.loss, ring.accounted());
    // The usual ring has fewer segments than there are threads, so they overwrite segments of others, which is counted.
    assert_eq!(loss.dropped_total(), 0);
    assert!(accounted >= 5 * THREADS as u64, "{accounted}");
    let tree = Tree::new(ring);
    assert!((tree.count("at work") as u64 + loss.overwritten) >= THREADS as u64);
    for event in &tree.events {
        let span = tree.spans.get(&event.span(Role::Span).unwrap());
        let thread = span.and_then(|span| span.values.get("thread"));
        assert!(thread.is_none_or(|thread| thread == event.value("thread")), "{event:?} in {span:?}");
    }
}

/// A value that logs when its thread ends, after other thread-locals are gone.
struct LogsAtEnd;

impl Drop for LogsAtEnd {
    fn drop(&mut self) {
        tracing::info!(text = "t", "at the end of the thread");
        tracing::info_span!("last").in_scope(|| tracing::info!("in the last span"));
    }
}

thread_local! {
    static FIRST: LogsAtEnd = const { LogsAtEnd };
}

fn thread_end() {
    let _recorder = ttlog_std::tracing::init("test");
    let work = || {
        // Registered before those of the recorder, so it is destroyed after them.
        FIRST.with(|_| ());
        tracing::info!("first");
    };
    for _ in 0..3 {
        std::thread::spawn(work).join().unwrap();
    }
}

#[test]
fn events_while_thread_locals_are_destroyed() {
    let tree = Tree::new(ring_of("thread-end"));
    assert_eq!((tree.count("first"), tree.count("at the end of the thread")), (3, 3));
    assert_eq!(tree.count("in the last span"), 3);
}

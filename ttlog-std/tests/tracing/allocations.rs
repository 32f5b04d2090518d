//! Allocations: none per event or span, after the first of a callsite and thread.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use tracing::field::Empty;

use super::{Case, install, rings_of};

pub const CASES: &[Case] = &[("allocations", allocations)];

thread_local! {
    /// Number of allocations of the thread.
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

/// Counts allocations.
struct Counting;

// SAFETY: every call is forwarded to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(start, layout) };
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Returns the number of allocations of this thread so far.
pub fn count() -> u64 {
    COUNT.with(Cell::get)
}

fn work(round: u64) {
    tracing::info!(round, text = "text", float = 1.5, debug = ?Some(round), "an event with {} fields", 4);
    tracing::warn!(round, "a warning");
    let span = tracing::info_span!("span", round, later = Empty);
    let clone = span.clone();
    span.in_scope(|| {
        tracing::debug!(parent: &clone, round, "in it");
        tracing::debug_span!("inner", round).in_scope(|| tracing::trace!("deeper"));
    });
    span.record("later", round);
}

fn allocations() {
    let _recorder = install();
    // The first rounds allocate: callsites, the buffer, the stack of spans, and the registry's pages.
    (0..100).for_each(work);
    let before = count();
    (0..10_000).for_each(work);
    assert_eq!(count() - before, 0, "allocations in 10,000 rounds");
}

#[test]
fn no_allocation_per_event_or_span() {
    rings_of("allocations", |ring| assert_eq!(ring.loss.dropped_total(), 0));
}

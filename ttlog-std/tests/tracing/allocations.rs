//! Allocations: none per event or span, after the first of a callsite and thread.

use tracing::field::Empty;

use super::{Case, counted, install, rings_of};

pub const CASES: &[Case] = &[("allocations", allocations)];

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
    let before = counted::count();
    (0..10_000).for_each(work);
    assert_eq!(counted::count() - before, 0, "allocations in 10,000 rounds");
}

#[test]
fn no_allocation_per_event_or_span() {
    rings_of("allocations", |ring| assert_eq!(ring.loss.dropped_total(), 0));
}

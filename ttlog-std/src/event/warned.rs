//! The spans of warnings and errors, which are kept for longer than the records of spans.
//!
//! A warning has the id of its span. The name, the parent and the values of that are in its start, which can be
//! overwritten long before the warning. So behind a warning, in the segments of its class, come the starts of its span
//! and of the spans around that, once for each segment. They are behind it because then they are overwritten later, or
//! with it.

use std::cell::Cell;

use super::append::record_payload;
use crate::span::{open, stack};
use crate::state::thread::priority_cursor;

/// Number of starts for one warning: those of the innermost spans.
const CHAIN_MAX: usize = 16;
/// Number of starts in a segment that are remembered. Others are recorded again.
const STARTS_MAX: usize = 16;

thread_local! {
    static WARNED: Warned = const { Warned::new() };
}

// Used while other thread-locals are destroyed.
const _: () = assert!(!std::mem::needs_drop::<Warned>());

/// The starts of spans in the segment of the thread's latest warning.
struct Warned {
    /// The segment, as [`PriorityCursor::segment`](ttlog_core::ring::PriorityCursor::segment) has it.
    segment: Cell<u64>,
    /// Id of the span of the latest warning; 0: none is known to be warned.
    latest: Cell<u64>,
    /// Ids of spans whose starts are there, the one that was met last in front; 0: none.
    ids: [Cell<u64>; STARTS_MAX],
    /// Whether starts are being recorded, so that what interrupts this records none.
    is_busy: Cell<bool>,
}

/// Returns whether the start of the span that the thread is in is there already, as far as its warnings go to the same
/// segment as the one before.
#[inline(always)]
pub(crate) fn is_known() -> bool {
    if stack::is_empty() {
        return true;
    }
    let span = stack::innermost();
    span.place() == 0 || WARNED.with(|warned| warned.latest.get()) == span.id()
}

/// Like [`add_starts`], after a warning that can have gone to another segment.
pub(crate) fn add_starts_if_needed() {
    let is_same = WARNED.with(|warned| warned.segment.get() == priority_cursor().segment());
    if stack::innermost().place() != 0 && !(is_same && is_known()) {
        add_starts();
    }
}

/// Records the starts of the span that the thread is in and of those around it, where its latest warning is.
#[cold]
#[inline(never)]
pub(crate) fn add_starts() {
    WARNED.with(|warned| {
        if warned.is_busy.replace(true) {
            return;
        }
        let span = stack::innermost();
        warned.move_to(priority_cursor().segment());
        let innermost_first: [_; CHAIN_MAX] = open::with_ancestors(&span);
        for start in innermost_first.iter().rev().flatten() {
            if warned.add(start.id) {
                record_payload(start.callsite, start.payload(), true);
            }
        }
        warned.latest.set(span.id());
        // What went to the next segment is recorded once more beside the next warning there.
        warned.move_to(priority_cursor().segment());
        warned.is_busy.set(false);
    });
}

impl Warned {
    const fn new() -> Self {
        Warned {
            segment: Cell::new(0),
            latest: Cell::new(0),
            ids: [const { Cell::new(0) }; STARTS_MAX],
            is_busy: Cell::new(false),
        }
    }

    /// Forgets everything unless the segment is still the same.
    fn move_to(&self, segment: u64) {
        if self.segment.replace(segment) != segment || segment == 0 {
            self.latest.set(0);
            self.ids.iter().for_each(|id| id.set(0));
        }
    }

    /// Adds a span, and returns whether it was missing.
    fn add(&self, id: u64) -> bool {
        let mut moved = id;
        for place in &self.ids {
            moved = place.replace(moved);
            if moved == id {
                return false;
            }
        }
        true
    }
}

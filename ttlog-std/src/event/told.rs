//! The spans of warnings and errors, which are kept for longer than the records of spans.
//!
//! A warning has the id of its span. Its name, its parent and its values are in the start, which can be overwritten long
//! before the warning. So behind a warning, in the segments of its class, come the starts of its span and of the spans
//! around that, once for each segment. They are behind it because then they are overwritten later, or with it.

use std::cell::Cell;

use super::record::record_payload;
use crate::span::{open, stack};
use crate::state::thread::priority_cursor;

/// Number of spans that are told for one warning: the innermost ones.
const CHAIN_MAX: usize = 16;
/// Number of spans that are remembered to be told in a segment. Others are told again.
const TOLD_MAX: usize = 16;

thread_local! {
    static TOLD: Told = const { Told::new() };
}

// Used while other thread-locals are destroyed.
const _: () = assert!(!std::mem::needs_drop::<Told>());

/// What the segment of the thread's latest warning has of spans.
struct Told {
    /// The segment, as [`PriorityCursor::segment`](ttlog_core::ring::PriorityCursor::segment) has it.
    segment: Cell<u64>,
    /// Id of the span of the latest warning; 0: none is known to be told.
    latest: Cell<u64>,
    /// Ids of spans that are told there, the one that was met last in front; 0: none.
    ids: [Cell<u64>; TOLD_MAX],
    /// Whether spans are being told, so that what interrupts this tells none.
    is_busy: Cell<bool>,
}

/// Returns whether the start of the span that the thread is in is there already, as far as its warnings go to the same
/// segment as the one before.
#[inline(always)]
pub(crate) fn is_told() -> bool {
    if stack::is_empty() {
        return true;
    }
    let span = stack::innermost();
    span.place() == 0 || TOLD.with(|told| told.latest.get()) == span.id()
}

/// Like [`tell`], after a warning that can have gone to another segment.
pub(crate) fn tell_if_needed() {
    let is_same = TOLD.with(|told| told.segment.get() == priority_cursor().segment());
    if stack::innermost().place() != 0 && !(is_same && is_told()) {
        tell();
    }
}

/// Records the starts of the span that the thread is in and of those around it, where its latest warning is.
#[cold]
#[inline(never)]
pub(crate) fn tell() {
    TOLD.with(|told| {
        if told.is_busy.replace(true) {
            return;
        }
        let span = stack::innermost();
        told.move_to(priority_cursor().segment());
        let innermost_first: [_; CHAIN_MAX] = open::with_ancestors(&span);
        for start in innermost_first.iter().rev().flatten() {
            if told.add(start.id) {
                record_payload(start.callsite, start.payload(), true);
            }
        }
        told.latest.set(span.id());
        // What went to the next segment is missing beside the next warning there, or told once more.
        told.move_to(priority_cursor().segment());
        told.is_busy.set(false);
    });
}

impl Told {
    const fn new() -> Self {
        Told {
            segment: Cell::new(0),
            latest: Cell::new(0),
            ids: [const { Cell::new(0) }; TOLD_MAX],
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

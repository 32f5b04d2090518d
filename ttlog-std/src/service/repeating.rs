//! Open spans whose starts the ring is about to overwrite: they are recorded once more.
//!
//! A reader of the ring finds the name, the parent and the values of a span in the record of its start. Spans can be
//! open for days, and their starts would be gone when the process dies. So the service thread records again what spans
//! started with whose record is half a ring old.

#[cfg(feature = "tracing")]
use crate::bridge;
use crate::event;
use crate::snapshot::schedule::Progress;
use crate::span::{open, round};
use crate::state::State;

/// Bytes of the ring for each span that is recorded again in a round: all of them take a small part of it.
const RING_BYTES_PER_SPAN: usize = 2048;

/// The work of the service thread.
#[derive(Debug, Default)]
pub(super) struct Repeating {
    /// Number of segments that had been opened when the round began.
    opened: u64,
    /// The place at which the next look goes on among native spans; `None`: they are done.
    next_native: Option<usize>,
    /// The same among the spans of `tracing`.
    #[cfg(feature = "tracing")]
    next_tracing: Option<usize>,
    /// Number of spans that the round can still record.
    left: usize,
}

impl Repeating {
    /// Records again what is about to be overwritten.
    pub(super) fn look(&mut self, state: &State) {
        if !was_used() {
            return;
        }
        let opened = Progress::of(&state.ring).opened;
        let quarter = u64::from(state.ring.segment_count() - state.ring.priority_segment_count()) / 4;
        if opened.saturating_sub(self.opened) >= quarter.max(1) {
            *self = Repeating {
                opened,
                next_native: Some(0),
                #[cfg(feature = "tracing")]
                next_tracing: Some(0),
                left: state.ring.len_bytes() / RING_BYTES_PER_SPAN,
            };
            round::begin();
        }
        let round = round::current();
        if let Some(from) = self.next_native {
            self.next_native = event::repeat::repeat_from(from, round, &mut self.left);
        }
        #[cfg(feature = "tracing")]
        if let Some(from) = self.next_tracing {
            self.next_tracing = bridge::repeat::repeat_from(from, round, &mut self.left);
        }
    }
}

fn was_used() -> bool {
    #[cfg(feature = "tracing")]
    if crate::span::table::spans().was_used() {
        return true;
    }
    open::was_used()
}

//! Open spans whose starts the ring is about to overwrite, or that a panic interrupts: they are recorded once more.
//!
//! A reader of the ring finds the name, the parent and the values of a span in the record of its start. Spans can be
//! open for days, and their starts would be gone when the process dies. So the service thread records again what spans
//! started with whose record is half a ring old; and a thread that panics does so for the spans that it is in, in case
//! the ring is written faster than the service thread looks.

use crate::snapshot::schedule::Progress;
use crate::span::round;
use crate::span::stack::open_of_thread;
use crate::span::table::spans;
use crate::state::State;

use super::span_records::repeat;

/// Number of spans of a panicking thread, the innermost ones, that are recorded again.
const OF_THREAD_MAX: usize = 32;
/// Number of spans at a look of the service thread.
const AT_ONCE_MAX: usize = 1024;
/// Bytes of the ring for each span that is recorded again in a round: all of them take a small part of it.
const RING_BYTES_PER_SPAN: usize = 2048;

/// Records again the spans that this thread is in, outermost first. Allocates nothing and takes no lock.
pub(crate) fn repeat_thread() {
    let innermost_first: [_; OF_THREAD_MAX] = open_of_thread();
    innermost_first.into_iter().rev().flatten().for_each(repeat);
}

/// The work of the service thread.
#[derive(Debug, Default)]
pub(crate) struct Repeating {
    /// Number of segments that had been opened when the round began.
    opened: u64,
    /// The slot at which the next look goes on; `None`: the round is done.
    next_slot: Option<usize>,
    /// Number of spans that the round can still record.
    left: usize,
}

impl Repeating {
    /// Records again what is about to be overwritten.
    pub(crate) fn look(&mut self, state: &State) {
        if !spans().was_used() {
            return;
        }
        let opened = Progress::of(&state.ring).opened;
        let quarter = u64::from(state.ring.segment_count() - state.ring.priority_segment_count()) / 4;
        if opened.saturating_sub(self.opened) >= quarter.max(1) {
            *self = Repeating { opened, next_slot: Some(0), left: state.ring.len_bytes() / RING_BYTES_PER_SPAN };
            round::begin();
        }
        if let Some(slot) = self.next_slot {
            self.next_slot = self.repeat_from(slot);
        }
    }

    /// Returns the slot at which the next look goes on.
    fn repeat_from(&mut self, slot: usize) -> Option<usize> {
        let round = round::current();
        let mut repeated = 0;
        for span in spans().open_from(slot) {
            let start = &spans().slot(span).start;
            // Recorded in this round or in the one before: at most half a ring ago.
            if round.wrapping_sub(start.round()) < 2 {
                continue;
            }
            if self.left == 0 {
                return None;
            }
            if repeated == AT_ONCE_MAX {
                return Some(span.slot_index());
            }
            start.set_round(round);
            repeat(span);
            self.left -= 1;
            repeated += 1;
        }
        None
    }
}

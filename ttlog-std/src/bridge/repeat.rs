//! Spans of `tracing` whose starts are recorded again: before the ring overwrites them, and at a panic.

use crate::span::stack::open_of_thread;
use crate::span::table::spans;

use super::span_records::repeat;

/// Number of spans of a panicking thread, the innermost ones, that are recorded again.
const OF_THREAD_MAX: usize = 32;
/// Number of spans at a look of the service thread.
const AT_ONCE_MAX: usize = 1024;
/// Records again the spans that this thread is in, outermost first. Allocates nothing and takes no lock.
pub(crate) fn repeat_thread() {
    let innermost_first: [_; OF_THREAD_MAX] = open_of_thread();
    innermost_first.into_iter().rev().flatten().for_each(repeat);
}

/// Records again the spans from slot `from` on that were recorded neither in this round nor in the one before. Records
/// at most `left` of them, and reduces that. Returns the slot at which to go on.
pub(crate) fn repeat_from(from: usize, round: u32, left: &mut usize) -> Option<usize> {
    let mut repeated = 0;
    for span in spans().open_from(from) {
        let start = &spans().slot(span).start;
        // At most half a ring ago.
        if round.wrapping_sub(start.round()) < 2 {
            continue;
        }
        if *left == 0 {
            return None;
        }
        if repeated == AT_ONCE_MAX {
            return Some(span.slot_index());
        }
        start.set_round(round);
        repeat(span);
        *left -= 1;
        repeated += 1;
    }
    None
}

//! Starts of open native spans that are recorded again: before the ring overwrites them, and at a panic.

use super::append::record_payload;
use crate::span::{open, stack};

/// Number of spans of a panicking thread, the innermost one and those around it, that are recorded again.
const OF_THREAD_MAX: usize = 32;
/// Number of spans at a look of the service thread.
const AT_ONCE_MAX: usize = 1024;

/// Records again the span that this thread is in and those around it, outermost first. Allocates nothing and takes no
/// lock.
pub(crate) fn repeat_thread() {
    let innermost_first: [_; OF_THREAD_MAX] = open::with_ancestors(&stack::innermost());
    for start in innermost_first.iter().rev().flatten() {
        record_payload(start.callsite, start.payload(), false);
    }
}

/// Records again the spans from place `from` on that were recorded neither in this round nor in the one before: at
/// least a quarter of the ring ago. Records at most `left` of them, and reduces that. Returns the place at which to go
/// on.
pub(crate) fn repeat_from(from: usize, round: u32, left: &mut usize) -> Option<usize> {
    let mut repeated = 0;
    for (index, place) in open::open_from(from) {
        if round.wrapping_sub(place.round() as u32) < 2 {
            continue;
        }
        if *left == 0 {
            return None;
        }
        if repeated == AT_ONCE_MAX {
            return Some(index);
        }
        let Some(start) = place.copy() else { continue };
        place.set_round(u64::from(round));
        record_payload(start.callsite, start.payload(), false);
        *left -= 1;
        repeated += 1;
    }
    None
}

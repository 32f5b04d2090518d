//! Lost events: those that were replaced, and those that were refused.

use super::layout::{commit, segment_word};
use crate::memory::word::Word;

/// Reason why an event was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum DropReason {
    /// No segment could hold it, even with its texts truncated to nothing.
    TooLarge,
    /// A log call was in progress in the same context, and no shared segment took the event.
    Reentrant,
    /// Every segment was in use.
    NoSegment,
    /// The table or the callsite ids were full.
    Unregistered,
}

impl DropReason {
    /// All reasons, in the order in which the ring header counts them.
    pub const ALL: [DropReason; 4] =
        [DropReason::TooLarge, DropReason::Reentrant, DropReason::NoSegment, DropReason::Unregistered];
}

/// Losses so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Loss {
    /// Number of events replaced by newer ones, which is normal in a ring. Includes those of the priority class.
    pub overwritten: u64,
    /// Number of priority-class events replaced by newer ones.
    pub priority_overwritten: u64,
    /// Number of events refused, by [`DropReason`].
    pub dropped: [u64; 4],
    /// Number of events withheld by sampling or rate limit.
    pub suppressed: u64,
}

impl Loss {
    /// Returns the number of all refused events.
    #[must_use]
    pub fn dropped_total(&self) -> u64 {
        self.dropped.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }
}

/// Returns the number of events overwritten in a segment, at whichever step its opening was interrupted (docs/format.md
/// §2.4).
pub(crate) fn lost_in(segment: &[Word]) -> u64 {
    let [sequence, base, lost, commit] =
        [segment_word::SEQUENCE, segment_word::BASE, segment_word::LOST, segment_word::COMMIT]
            .map(|index| segment[index].load());
    lost_by_phase((sequence >> 60) as u8, base, lost, commit as u32)
}

/// Like [`lost_in`], from the words.
pub(crate) fn lost_by_phase(phase: u8, base: u64, lost: u64, commit: u32) -> u64 {
    match phase {
        1 => lost.wrapping_add(u64::from(commit::count(commit))),
        2 => base,
        _ => lost,
    }
}

//! How far a ring has come, for an owner that decides when to look at it.

use crate::ring::Ring;
use crate::ring::layout::{commit, header_word, segment_word};
use crate::ring::loss::lost_in;

impl Ring<'_> {
    /// Returns how many segments were opened since the start, but for those of the kept class, as far as sequences tell: one that was
    /// in use, and so was passed over, counts too. The share of the ring that was written between two moments is the difference,
    /// over the number of segments.
    #[must_use]
    pub fn opened_count(&self) -> u64 {
        self.header(header_word::NEXT_SEQUENCE).load().saturating_sub(1)
    }

    /// Returns how many events were recorded since the start: those in the ring and those that were overwritten. While others write it
    /// may be off by those of the segments that are being replaced.
    #[must_use]
    pub fn recorded_count(&self) -> u64 {
        (0..self.segment_count()).fold(0, |sum: u64, index| {
            let segment = self.segment(index);
            let present = commit::count(segment[segment_word::COMMIT].load() as u32);
            sum.saturating_add(lost_in(segment)).saturating_add(u64::from(present))
        })
    }
}

//! Progress of a ring, for an owner that decides when to read it.

use crate::ring::Ring;
use crate::ring::layout::{commit, header_word, segment_word};
use crate::ring::loss::lost_in;

impl Ring<'_> {
    /// Returns the number of segments opened since the start, except priority segments. It is derived from sequence
    /// numbers, so a segment that was skipped because it was in use counts too. The fraction of the ring written
    /// between two moments is the difference divided by the number of segments.
    #[must_use]
    pub fn opened_count(&self) -> u64 {
        self.header(header_word::NEXT_SEQUENCE).load().saturating_sub(1)
    }

    /// Returns the number of events recorded since the start: those in the ring and those that were overwritten. While
    /// others write, it can be off by the events of segments that are being replaced.
    #[must_use]
    pub fn recorded_count(&self) -> u64 {
        (0..self.segment_count()).fold(0, |sum: u64, index| {
            let segment = self.segment(index);
            let present = commit::count(segment[segment_word::COMMIT].load() as u32);
            sum.saturating_add(lost_in(segment)).saturating_add(u64::from(present))
        })
    }
}

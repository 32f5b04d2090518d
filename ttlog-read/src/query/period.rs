//! Spans of time.

/// A period of time, in nanoseconds, both ends included; empty if the last is before the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Period {
    pub(crate) first: i64,
    pub(crate) last: i64,
}

impl Period {
    /// Returns how far another period is from this one; 0 if they touch.
    pub(super) fn distance(self, other: Period) -> u64 {
        if other.last < self.first {
            self.first.abs_diff(other.last)
        } else if other.first > self.last {
            other.first.abs_diff(self.last)
        } else {
            0
        }
    }
}

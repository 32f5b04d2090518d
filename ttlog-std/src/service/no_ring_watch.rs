//! Stand-in for the watch over the ring's file, on systems where there is none.

use std::time::Instant;

use crate::state::State;

/// Nothing to watch.
pub(super) struct RingWatch;

impl RingWatch {
    /// Does nothing.
    pub(super) fn new(_now: Instant) -> Self {
        RingWatch
    }

    /// Does nothing.
    pub(super) fn look(&mut self, _state: &State, _now: Instant) {}
}

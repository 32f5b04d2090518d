//! The round of the ring: advances with each quarter of it that is written.

use std::sync::atomic::{AtomicU32, Ordering};

static ROUND: AtomicU32 = AtomicU32::new(0);

/// Returns the number of the current round.
#[inline]
pub(crate) fn current() -> u32 {
    ROUND.load(Ordering::Relaxed)
}

/// Begins the next round, and returns its number. Called by the service thread only.
pub(crate) fn begin() -> u32 {
    ROUND.fetch_add(1, Ordering::Relaxed).wrapping_add(1)
}

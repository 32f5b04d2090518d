//! Passing the gate of the ring: whoever writes to the ring outside of the hot path does so inside, so that the service
//! thread can move the ring to another file while nobody is.

use std::time::{Duration, Instant};

use ttlog_core::DropReason;

use super::recorder::State;

/// Number of looks at a closed gate before a log call gives up: some 0.1 ms to 1 ms, longer than the gate is closed for
/// a ring of the usual size.
const LOOKS: u32 = 10_000;
/// Longest wait of a caller that is not a log call. After that, the service thread must have been stopped.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// Leave to write to the ring, for as long as it lives.
pub(crate) struct Passage<'s> {
    state: &'s State,
    lane: u32,
}

impl State {
    /// Enters the gate, unless it is closed. Callable anywhere. `lane` is any number: callers with different ones do
    /// not slow each other down.
    #[inline(always)]
    pub(crate) fn try_enter(&self, lane: u32) -> Option<Passage<'_>> {
        if self.gate.enter(lane) { Some(Passage { state: self, lane }) } else { None }
    }

    /// Like [`try_enter`](Self::try_enter), but looks again for a fraction of a millisecond.
    #[inline(always)]
    pub(crate) fn enter(&self, lane: u32) -> Option<Passage<'_>> {
        self.try_enter(lane).or_else(|| self.enter_later(lane))
    }

    #[cold]
    fn enter_later(&self, lane: u32) -> Option<Passage<'_>> {
        (0..LOOKS).find_map(|_| {
            std::hint::spin_loop();
            if self.gate.is_open() { self.try_enter(lane) } else { None }
        })
    }

    /// Enters the gate, waiting for the service thread if it is closed. Async-signal-safe. Not for log calls.
    pub(crate) fn enter_patiently(&self, lane: u32) -> Option<Passage<'_>> {
        let until = Instant::now() + WAIT_MAX;
        loop {
            let passage = self.enter(lane);
            if passage.is_some() || Instant::now() > until {
                return passage;
            }
            std::thread::sleep(Duration::from_micros(100));
        }
    }

    /// Ends a passage that was [kept](Passage::keep).
    pub(crate) fn leave(&self, lane: u32) {
        self.gate.leave(lane);
    }

    /// Counts an event that could not enter.
    #[cold]
    pub(crate) fn count_kept_out(&self, lane: u32) {
        self.gate.miss(lane, |missed| self.ring.count_dropped(DropReason::NoSegment, missed.into()));
    }
}

#[cfg(target_os = "linux")]
impl Passage<'_> {
    /// Stays inside until [`State::leave`] is called with the same lane.
    pub(crate) fn keep(self) {
        std::mem::forget(self);
    }
}

impl Drop for Passage<'_> {
    fn drop(&mut self) {
        self.state.leave(self.lane);
    }
}

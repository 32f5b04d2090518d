//! Triggers: the causes of automatic snapshots.
//!
//! | trigger | noticed by | reason of the snapshot |
//! | --- | --- | --- |
//! | an event of a level or above | the thread that records it, which sets a flag | `level` |
//! | a signal | its handler, which sets a flag | `signal` |
//! | a panic, when the throttle keeps the panicking thread from writing | the panic hook, which sets a flag | `panic` |
//! | time | the service thread | `periodic` |
//! | a share of the ring was written since the last snapshot | the service thread | `filled` |
//!
//! Setting a flag is at most one atomic operation, in signal handlers too, and never waits. The service thread checks
//! the flags ten times a second and takes one snapshot for all that are set.

use std::sync::atomic::{AtomicU32, Ordering};

/// Cause of an automatic snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Cause {
    /// A thread panicked and the throttle kept it from writing a snapshot itself.
    Panic = 1,
    /// An event of the configured level or above.
    Level = 2,
    /// The signal.
    Signal = 4,
    /// The snapshot interval has passed.
    Periodic = 8,
    /// The configured share of the ring was written since the last snapshot.
    Filled = 16,
}

impl Cause {
    /// The most important ones first: file names have room for only the first few reasons.
    const ALL: [Cause; 5] = [Cause::Panic, Cause::Level, Cause::Signal, Cause::Filled, Cause::Periodic];

    /// Returns the reason of a snapshot with this cause.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Cause::Panic => "panic",
            Cause::Level => "level",
            Cause::Signal => "signal",
            Cause::Periodic => "periodic",
            Cause::Filled => "filled",
        }
    }
}

/// A set of causes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Causes(u32);

impl Causes {
    /// Returns whether the set is empty.
    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns whether `cause` is in the set.
    pub(crate) fn has(self, cause: Cause) -> bool {
        self.0 & cause as u32 != 0
    }

    /// Adds `cause` if the condition holds.
    pub(super) fn add_if(&mut self, is_so: bool, cause: Cause) {
        if is_so {
            self.0 |= cause as u32;
        }
    }

    /// Adds all of `others`.
    pub(crate) fn add(&mut self, others: Causes) {
        self.0 |= others.0;
    }

    /// Returns an iterator over the causes.
    pub(crate) fn iter(self) -> impl Iterator<Item = Cause> {
        Cause::ALL.into_iter().filter(move |cause| self.has(*cause))
    }
}

/// The flags.
#[derive(Debug, Default)]
pub(crate) struct Triggers {
    raised: AtomicU32,
}

impl Triggers {
    /// Requests a snapshot. Never waits; async-signal-safe.
    pub(crate) fn raise(&self, cause: Cause) {
        // A flag that is already set is not written again: in a storm of errors the cache line stays where it is.
        if self.raised.load(Ordering::Relaxed) & cause as u32 == 0 {
            self.raised.fetch_or(cause as u32, Ordering::Release);
        }
    }

    /// Returns the requested causes and clears them: later requests count anew.
    pub(crate) fn take(&self) -> Causes {
        if self.raised.load(Ordering::Relaxed) == 0 {
            return Causes::default();
        }
        Causes(self.raised.swap(0, Ordering::Acquire))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_taken_once() {
        let triggers = Triggers::default();
        assert!(triggers.take().is_empty());
        triggers.raise(Cause::Level);
        triggers.raise(Cause::Level);
        triggers.raise(Cause::Panic);
        let causes = triggers.take();
        assert_eq!(causes.iter().collect::<Vec<_>>(), [Cause::Panic, Cause::Level]);
        assert!(causes.has(Cause::Panic) && !causes.has(Cause::Signal));
        assert!(triggers.take().is_empty());
    }
}

//! Writer of warnings and errors: one context's place in the priority class.
//!
//! Segments of the class are few. So a context records in the shared one, at several atomic operations per event, until
//! it has contributed a good part of it. Then it takes a segment of its own, if there is one to take, and writes that
//! like its other events: see [`cursor`](super::cursor).

use core::cell::Cell;
use core::fmt;
use core::sync::atomic::{Ordering, compiler_fence};

use crate::event::fields::AnyFields;
use crate::ring::write::cursor::{AppendOutcome, Cursor};
use crate::ring::write::identify::Identify;
use crate::ring::{DropReason, Ring};

/// One context's place in the priority class of the ring `'m`. Used as a [`Cursor`] is, and with the same ring.
pub struct PriorityCursor<'m> {
    /// The segment that the context writes alone, if it holds one.
    own: Cursor<'m>,
    /// Number of events in one shared segment from which the context takes a segment of its own.
    shared_max: u32,
    /// Number of its events in the shared segment that `told` names, as far as it records them itself.
    shared_count: Cell<u32>,
    /// Sequence number of the shared segment with the context's latest identity record; 0 if none.
    told: Cell<u64>,
    /// Whether the context has got another name that its own segment does not have yet.
    is_renamed: Cell<bool>,
}

impl<'m> PriorityCursor<'m> {
    /// Creates a cursor that holds no segment. The context takes one as soon as it has recorded `shared_max` events in
    /// one shared segment.
    #[must_use]
    pub const fn new(shared_max: u32) -> Self {
        PriorityCursor {
            own: Cursor::of_class(true),
            shared_max,
            shared_count: Cell::new(0),
            told: Cell::new(0),
            is_renamed: Cell::new(false),
        }
    }

    /// Returns the cursor in the segment that the context writes alone, for the paths that need nothing else
    /// ([`append_small`](Cursor::append_small) and [`append_plain`](Cursor::append_plain)), and for what is known of
    /// interrupted appends.
    #[inline(always)]
    pub fn own(&self) -> &Cursor<'m> {
        &self.own
    }

    /// Appends an event with all means: to the segment of this context, to a shared one of the class, or to another
    /// shared segment.
    ///
    /// `clock` and `who` are those of [`Cursor::append_slow`]. Bounded and lock-free; does not allocate or make a
    /// system call, unless `who` does. Callable anywhere in the cursor's own context, even while another append on it
    /// is in progress.
    #[cold]
    #[inline(never)]
    pub fn append_slow(
        &self,
        ring: &Ring<'m>,
        clock: &dyn Fn() -> u64,
        who: &dyn Identify,
        callsite: u16,
        fields: &dyn AnyFields,
    ) -> AppendOutcome {
        if !self.own.holds_none() || self.shared_count.get() >= self.shared_max {
            if self.is_renamed.get() && self.own.introduce_again(who) {
                self.is_renamed.set(false);
            }
            match self.own.append_alone(ring, clock, who, callsite, fields) {
                Ok(outcome) => return outcome,
                // Nested in an append to that segment.
                Err(DropReason::Reentrant) => {}
                // There is none to take. The next attempt is after as many events.
                Err(_) => self.shared_count.set(0),
            }
        }
        self.append_shared(ring, clock(), who, true, callsite, fields)
    }

    /// Appends an event to a shared segment, for a context that cannot hold one; see [`Ring::append_priority`].
    /// `introduces`: whether the identity is recorded where it is missing.
    pub fn append_shared(
        &self,
        ring: &Ring<'m>,
        ticks: u64,
        who: &dyn Identify,
        introduces: bool,
        callsite: u16,
        fields: &dyn AnyFields,
    ) -> AppendOutcome {
        let before = self.told.get();
        let told = introduces.then_some(&self.told);
        let outcome = ring.append_priority(ticks, who, told, callsite, fields, DropReason::NoSegment);
        let count = if self.told.get() == before { self.shared_count.get() } else { 0 };
        self.shared_count.set(count.saturating_add(1));
        outcome
    }

    /// Returns a number that stands for the segment in which the context's latest event of the class is, unless that
    /// was recorded amid another one: the context's own, or the shared one that has its identity; 0: there is none.
    #[must_use]
    pub fn segment(&self) -> u64 {
        match self.own.sequence_word() {
            0 => self.told.get(),
            own => own,
        }
    }

    /// Notes that the context has another name: its next event of the class comes with it.
    pub fn rename(&self) {
        self.told.set(0);
        self.is_renamed.set(true);
        compiler_fence(Ordering::SeqCst);
        self.own.take_slow_path();
    }

    /// Leaves the ring permanently; see [`Cursor::detach`].
    pub fn detach(&self, ring: &Ring<'m>, ticks: u64) {
        self.own.detach(ring, ticks);
    }

    /// Forgets everything about the ring, because other memory has replaced it; see [`Cursor::forget`].
    pub fn forget(&self) {
        self.told.set(0);
        self.shared_count.set(0);
        self.own.forget();
    }
}

impl fmt::Debug for PriorityCursor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PriorityCursor").field("own", &self.own).finish_non_exhaustive()
    }
}

//! The forking thread: which of its appends the fork interrupts, and when that append has finished.

use std::cell::Cell;
use std::sync::atomic::Ordering;

use ttlog_core::ring::UnderWay;

use crate::state::State;
use crate::state::thread::{DEPTH, IDENTITY, cursor, is_on_slow_path};
use crate::sys::thread_id;

thread_local! {
    /// Whether this thread has forked, is the child's thread, and was in an append on the hot path that might still be
    /// in progress.
    static HAS_FORKED: Cell<bool> = const { Cell::new(false) };
    /// How often this thread has gone through the gate of the ring to fork. More than once if a signal handler forks
    /// meanwhile.
    static INSIDE: Cell<u32> = const { Cell::new(0) };
    /// The append found by [`about_to_fork`].
    static INTERRUPTED: Cell<Option<(UnderWay<'static>, bool)>> = const { Cell::new(None) };
}

/// The lane in which forking threads go through the gate of the ring.
const LANE: u32 = 0;

/// Keeps the ring from being moved until [`has_forked`], so that the child does not begin with one that is. Notes which
/// append of this thread is interrupted by the fork that is about to happen. The child could not determine this: its
/// parent continues that append at the same time, in the same memory. Async-signal-safe.
pub(crate) fn about_to_fork(state: &State) {
    // A thread that is inside already keeps the ring in place.
    if let Some(passage) = if is_on_slow_path() { None } else { state.enter_patiently(LANE) } {
        passage.keep();
        INSIDE.with(|inside| inside.set(inside.get() + 1));
    }
    let under_way = cursor().under_way().map(|append| (append, append.is_busy()));
    INTERRUPTED.with(|interrupted| interrupted.set(under_way));
}

/// Ends what [`about_to_fork`] began, in the parent.
pub(crate) fn has_forked(state: &State) {
    INSIDE.with(|inside| {
        if let Some(less) = inside.get().checked_sub(1) {
            inside.set(less);
            state.leave(LANE);
        }
    });
}

/// Makes the forked thread, now the only one of a child, forget its place in the parent's ring. Returns the
/// append that the fork interrupted before it committed its record, and whether it has marked its segment busy. Called
/// in the child; async-signal-safe.
pub(crate) fn forked(state: &'static State) -> Option<(UnderWay<'static>, bool)> {
    state.gate.reset();
    INSIDE.with(|inside| inside.set(0));
    let under_way = INTERRUPTED.with(Cell::take);
    let is_inside = DEPTH.with(|depth| {
        depth.has_forked.set(depth.calls.get() > 0);
        depth.has_forked.get()
    });
    state.forked.slow_under_way.store(is_inside, Ordering::Release);
    if !is_inside {
        cursor().forget();
    }
    IDENTITY.with(|identity| {
        if identity.context.get() != 0 {
            identity.os_thread_id.set(thread_id());
        }
        identity.told.set(0);
    });
    HAS_FORKED.with(|has_forked| has_forked.set(under_way.is_some()));
    under_way
}

/// Notes that this thread's append, interrupted by `fork`, has finished, if it has.
pub(super) fn see_fast_path(state: &'static State) {
    if HAS_FORKED.with(Cell::get) && state.forked.see_fast_path(cursor().is_closed()) {
        HAS_FORKED.with(|has_forked| has_forked.set(false));
    }
}

//! The forking thread: which of its appends the fork interrupts, and when that append has finished.

use std::cell::Cell;
use std::sync::atomic::Ordering;

use ttlog_core::ring::{Cursor, UnderWay};

use crate::state::State;
use crate::state::thread::{DEPTH, IDENTITY, forget_places, hot_cursors, is_on_slow_path};
use crate::sys::thread_id;

thread_local! {
    /// Whether this thread has forked, is the child's thread, and was in an append on the hot path that might still be
    /// in progress.
    static HAS_FORKED: Cell<bool> = const { Cell::new(false) };
    /// How often this thread has gone through the gate of the ring to fork. More than once if a signal handler forks
    /// meanwhile.
    static INSIDE: Cell<u32> = const { Cell::new(0) };
    /// The appends found by [`about_to_fork`].
    static INTERRUPTED: Cell<Interrupted> = const { Cell::new([None; 2]) };
}

/// Appends on the hot path that a fork interrupts, one in each class of segments, and whether they have marked their
/// segments busy.
pub(crate) type Interrupted = [Option<(UnderWay<'static>, bool)>; 2];

/// The lane in which forking threads go through the gate of the ring.
const LANE: u32 = 0;

/// Keeps the ring from being moved until [`has_forked`], so that the child does not begin with one that is. Notes which
/// appends of this thread are interrupted by the fork that is about to happen. The child could not determine this: its
/// parent continues them at the same time, in the same memory. Async-signal-safe.
pub(crate) fn about_to_fork(state: &State) {
    // A thread that is inside already keeps the ring in place.
    if let Some(passage) = if is_on_slow_path() { None } else { state.enter_patiently(LANE) } {
        passage.keep();
        INSIDE.with(|inside| inside.set(inside.get() + 1));
    }
    let under_way = hot_cursors().map(|cursor| cursor.under_way().map(|append| (append, append.is_busy())));
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
/// appends that the fork interrupted before they committed their records. Called in the child; async-signal-safe.
pub(crate) fn forked(state: &'static State) -> Interrupted {
    state.gate.reset();
    INSIDE.with(|inside| inside.set(0));
    let under_way = INTERRUPTED.with(Cell::take);
    let is_inside = DEPTH.with(|depth| {
        depth.has_forked.set(depth.calls.get() > 0);
        depth.has_forked.get()
    });
    state.forked.slow_under_way.store(is_inside, Ordering::Release);
    if !is_inside {
        forget_places();
    }
    IDENTITY.with(|identity| {
        if identity.context.get() != 0 {
            identity.os_thread_id.set(thread_id());
        }
    });
    HAS_FORKED.with(|has_forked| has_forked.set(under_way.iter().any(Option::is_some)));
    under_way
}

/// Notes that this thread's appends, interrupted by `fork`, have finished, if they have.
pub(super) fn see_fast_path(state: &'static State) {
    if HAS_FORKED.with(Cell::get) && state.forked.see_fast_path(hot_cursors().map(Cursor::is_closed)) {
        HAS_FORKED.with(|has_forked| has_forked.set(false));
    }
}

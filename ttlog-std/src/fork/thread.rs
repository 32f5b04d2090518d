//! The forking thread: which of its appends the fork interrupts, and when that append has finished.

use std::cell::Cell;
use std::sync::atomic::Ordering;

use ttlog_core::ring::UnderWay;

use crate::state::State;
use crate::state::thread::{DEPTH, IDENTITY, cursor};
use crate::sys::thread_id;

thread_local! {
    /// Whether this thread has forked, is the child's thread, and was in an append on the hot path that might still be
    /// in progress.
    static HAS_FORKED: Cell<bool> = const { Cell::new(false) };
    /// The append found by [`about_to_fork`].
    static INTERRUPTED: Cell<Option<(UnderWay<'static>, bool)>> = const { Cell::new(None) };
}

/// Notes which append of this thread is interrupted by the fork that is about to happen. The child could not determine
/// this: its parent continues that append at the same time, in the same memory. Async-signal-safe.
pub(crate) fn about_to_fork() {
    let under_way = cursor().under_way().map(|append| (append, append.is_busy()));
    INTERRUPTED.with(|interrupted| interrupted.set(under_way));
}

/// Makes the forked thread, now the only one of a child, forget its place in the parent's ring. Returns the
/// append that the fork interrupted before it committed its record, and whether it has marked its segment busy. Called
/// in the child; async-signal-safe.
pub(crate) fn forked(state: &'static State) -> Option<(UnderWay<'static>, bool)> {
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

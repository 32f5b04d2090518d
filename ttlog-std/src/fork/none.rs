//! Stand-in for rings of children of `fork`, on systems where they have none.

use crate::state::State;

/// Does nothing.
pub(crate) fn prepare_children() {}

/// Returns `true`: the ring is there from the start.
pub(crate) fn may_record(_state: &'static State) -> bool {
    true
}

/// Returns `true`: the ring is there from the start.
pub(crate) fn make_sure_of_ring(_state: &'static State) -> bool {
    true
}

/// Key of a warning that does not occur here.
pub(crate) const NO_SERVICE_THREAD: usize = 1;

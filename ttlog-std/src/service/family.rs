//! Care for the memory that the rings of all children share: the rings of dead children become snapshots when claims of
//! living ones are scarce.
//!
//! A prefork server replaces its workers for years without a start of its own, which would recover what they left. Any
//! process of the family can do it, whichever has a service thread and looks first.

use std::path::Path;

use super::backlog::Backlog;
use crate::state::State;
use crate::sys::monotonic_ns;

/// Whether this process recovers the rings of dead children at the moment.
#[derive(Debug, Default)]
pub(crate) struct FamilyCare {
    is_sweeping: bool,
}

impl FamilyCare {
    /// Fills an empty backlog with what dead processes have left, if that is due. While it is emptied, frees what they
    /// had claimed.
    pub(crate) fn look(&mut self, state: &State, backlog: &mut Backlog) {
        let Some(budget) = state.forked.room.budget else { return };
        if !self.is_sweeping && !backlog.is_empty() {
            return;
        }
        let Some(directory) = state.process().file().and_then(|file| file.path.parent()) else { return };
        if self.is_sweeping {
            self.is_sweeping = !backlog.is_empty();
            budget.free_gone(directory, !self.is_sweeping);
        } else if budget.take_sweep(monotonic_ns()) {
            *backlog = Backlog::find_again(Some(directory).filter(|_: &&Path| state.settings.recover_orphans));
            self.is_sweeping = true;
        }
    }
}

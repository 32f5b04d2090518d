//! Taking a snapshot of the ring of this process, and removing old ones from the directory.

use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use crate::snapshot::error::SnapshotError;
use crate::snapshot::file::{self, Label, SnapshotSource};
use crate::snapshot::os::System;
use crate::snapshot::retention::{self, Limits, Scope};
use crate::snapshot::room::{self, Urgency};
use crate::snapshot::scratch::BorrowedScratch;
use crate::state::State;

/// Writes a snapshot, waiting for any in progress.
pub(crate) fn write_snapshot(state: &State, reason: &str, urgency: Urgency) -> Result<PathBuf, SnapshotError> {
    let mut scratch = state.process().scratch.lock().unwrap_or_else(PoisonError::into_inner);
    write_snapshot_with(state, reason, urgency, scratch.borrow())
}

/// Writes a snapshot with the given working memory, if the disk has room for one of this urgency.
pub(crate) fn write_snapshot_with(
    state: &State,
    reason: &str,
    urgency: Urgency,
    scratch: BorrowedScratch<'_>,
) -> Result<PathBuf, SnapshotError> {
    let directory = state.snapshot_directory.get();
    let room = room::find_room(&System, directory, urgency, state.settings.retain_free_percent)?;
    state.write_anchor();
    let label = Label { service: &state.service_name, pid: u64::from(std::process::id()), reason };
    let ticks = state.clock.precise_now();
    let scratch = match state.settings.min_age {
        Some(age) => scratch.leaving_out_before(ticks, state.clock.ticks_per_second, age),
        None => scratch,
    };
    file::write(&System, directory, room, label, SnapshotSource::Live(state.ring), ticks, scratch)
}

/// Applies the retention limits to the snapshot directory.
pub(crate) fn retain(state: &State, scope: Scope<'_>, written: Option<&Path>) {
    retention::sweep(state.snapshot_directory.get(), scope, &Limits::of(&state.settings), written);
}

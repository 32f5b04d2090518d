//! Stand-in for the signal that requests a snapshot, on systems without one.

use std::io;

use crate::config::settings::SnapshotSignal;

/// Fails: there are no such signals on this system.
pub(crate) fn install(signal: SnapshotSignal) -> io::Result<()> {
    Err(io::Error::new(io::ErrorKind::Unsupported, format!("{signal:?} is not supported on this system")))
}

/// Does nothing.
pub(crate) fn accept(_signal: Option<SnapshotSignal>) {}

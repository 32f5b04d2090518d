//! Stands in for the signal that asks for a snapshot on systems that have none.

use std::io;

use crate::config::settings::SnapshotSignal;

/// Fails: there are no such signals here.
pub(crate) fn install(signal: SnapshotSignal) -> io::Result<()> {
    Err(io::Error::new(io::ErrorKind::Unsupported, format!("{signal:?} is not supported on this system")))
}

/// Does nothing.
pub(crate) fn accept(_signal: Option<SnapshotSignal>) {}

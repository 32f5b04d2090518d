//! Reasons why there is no snapshot.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Error of taking a snapshot.
#[derive(Debug)]
#[non_exhaustive]
pub enum SnapshotError {
    /// The maximum number of requests ([`channel_capacity`](crate::Builder::channel_capacity)) is already waiting.
    QueueFull,
    /// The recorder was shut down, or is shutting down.
    ShutDown,
    /// There is no service thread: it could not be created.
    NoServiceThread,
    /// The file could not be written.
    Io {
        /// The action that failed, as in "create".
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The error of the operating system.
        cause: io::Error,
    },
    /// Too little of the disk is free, or would be with the snapshot
    /// ([`retain_free_percent`](crate::Builder::retain_free_percent)). The ring keeps its events.
    DiskAlmostFull {
        /// Intended directory of the snapshot.
        directory: PathBuf,
        /// Percent of the disk that is free.
        free_percent: u8,
        /// Percent that must be free.
        needed_percent: u8,
    },
    /// Several snapshots are being written, and do not finish.
    Busy,
    /// The ring could not be read: a bug in the recorder, or damage to its memory.
    Ring {
        /// The error in it.
        cause: String,
    },
}

impl fmt::Display for SnapshotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SnapshotError::QueueFull => f.write_str("too many snapshot requests are waiting"),
            SnapshotError::ShutDown => f.write_str("the recorder was shut down"),
            SnapshotError::NoServiceThread => f.write_str("this process has no service thread to write snapshots"),
            SnapshotError::Io { action, path, cause } => write!(f, "cannot {action} {path:?}: {cause}"),
            SnapshotError::DiskAlmostFull { directory, free_percent, needed_percent } => write!(
                f,
                "the disk of {directory:?} has no room for a snapshot: {free_percent} % are free, \
                 {needed_percent} % must stay free"
            ),
            SnapshotError::Busy => f.write_str("other snapshots are being written and do not finish"),
            SnapshotError::Ring { cause } => write!(f, "cannot read the ring: {cause}"),
        }
    }
}

impl std::error::Error for SnapshotError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            SnapshotError::Io { cause, .. } => Some(cause),
            _ => None,
        }
    }
}

impl SnapshotError {
    /// Copies the error, for another requester.
    pub(crate) fn duplicate(&self) -> Self {
        match self {
            SnapshotError::QueueFull => SnapshotError::QueueFull,
            SnapshotError::ShutDown => SnapshotError::ShutDown,
            SnapshotError::NoServiceThread => SnapshotError::NoServiceThread,
            SnapshotError::Io { action, path, cause } => {
                let cause = match cause.raw_os_error() {
                    Some(code) => io::Error::from_raw_os_error(code),
                    None => io::Error::new(cause.kind(), cause.to_string()),
                };
                SnapshotError::Io { action, path: path.clone(), cause }
            }
            SnapshotError::DiskAlmostFull { directory, free_percent, needed_percent } => {
                SnapshotError::DiskAlmostFull {
                    directory: directory.clone(),
                    free_percent: *free_percent,
                    needed_percent: *needed_percent,
                }
            }
            SnapshotError::Busy => SnapshotError::Busy,
            SnapshotError::Ring { cause } => SnapshotError::Ring { cause: cause.clone() },
        }
    }
}

impl SnapshotError {
    /// Returns an error from the action, the file and the error of the operating system.
    pub(crate) fn io(action: &'static str, path: &Path, cause: io::Error) -> Self {
        SnapshotError::Io { action, path: path.to_path_buf(), cause }
    }
}

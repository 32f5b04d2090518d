//! Result of writing a snapshot.

use core::fmt;

/// Counts of a written snapshot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SnapshotStats {
    /// Number of bytes written to the sink.
    pub written_bytes: u64,
    /// Number of table entries.
    pub entry_count: u64,
    /// Number of segments with records.
    pub segment_count: u64,
    /// Number of events in these segments.
    pub event_count: u64,
    /// Number of segments left out because they were overwritten while they were being written. Their events are
    /// counted as lost.
    pub void_count: u64,
    /// Number of segments left out completely because their header was damaged.
    pub damaged_count: u64,
    /// Number of events in segments that were left out because of
    /// [`SnapshotOptions::left_out_before_ticks`](super::SnapshotOptions::left_out_before_ticks).
    pub left_out_count: u64,
    /// Number of events with withheld values.
    pub withheld_count: u64,
}

/// Reason that a snapshot was not completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteError<E> {
    /// The sink failed. The bytes that it took before are a truncated snapshot.
    Sink(E),
    /// The scratch buffer is too small. Nothing was written.
    ScratchTooSmall {
        /// Length needed, in bytes.
        needed_bytes: usize,
    },
}

impl<E: fmt::Display> fmt::Display for WriteError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WriteError::Sink(error) => write!(f, "cannot write the snapshot: {error}"),
            WriteError::ScratchTooSmall { needed_bytes } => {
                write!(f, "scratch too small for a snapshot: {needed_bytes} bytes are needed")
            }
        }
    }
}

impl<E: core::error::Error + 'static> core::error::Error for WriteError<E> {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            WriteError::Sink(error) => Some(error),
            WriteError::ScratchTooSmall { .. } => None,
        }
    }
}

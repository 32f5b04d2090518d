//! What came of writing a snapshot.

use core::fmt;

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SnapshotStats {
    /// Bytes that went to the sink.
    pub written_bytes: u64,
    /// Entries of the table.
    pub entry_count: u64,
    /// Segments with records.
    pub segment_count: u64,
    /// Events in them.
    pub event_count: u64,
    /// Segments that were overwritten while they were being written, and are left out. Their events are counted as lost.
    pub void_count: u64,
    /// Segments whose header was damaged, of which nothing could be written.
    pub damaged_count: u64,
    /// Events in segments that were left out, as [`SnapshotOptions::left_out_before_ticks`](super::SnapshotOptions::left_out_before_ticks) asks.
    pub left_out_count: u64,
    /// Events of which something was withheld.
    pub withheld_count: u64,
}

/// Why a snapshot was not written to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotError<E> {
    /// The sink failed. What it took before is a snapshot that was cut off.
    Sink(E),
    /// The scratch is too small; so many bytes are needed. Nothing was written.
    ScratchTooSmall {
        /// Bytes needed.
        needed_bytes: usize,
    },
}

impl<E: fmt::Display> fmt::Display for SnapshotError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SnapshotError::Sink(error) => write!(f, "cannot write the snapshot: {error}"),
            SnapshotError::ScratchTooSmall { needed_bytes } => {
                write!(f, "scratch too small for a snapshot: {needed_bytes} bytes are needed")
            }
        }
    }
}

impl<E: core::error::Error + 'static> core::error::Error for SnapshotError<E> {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            SnapshotError::Sink(error) => Some(error),
            SnapshotError::ScratchTooSmall { .. } => None,
        }
    }
}

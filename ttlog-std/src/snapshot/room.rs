//! How much of a disk a snapshot may take.
//!
//! When the disk is nearly full no snapshot is written: what the host needs the room for is more important, and the
//! ring keeps its events. Only last words may take some of what is left.

use std::path::Path;

use super::error::SnapshotError;
use super::os::Os;

/// Assumed block size of the file system, in bytes.
pub(super) const BLOCK_LEN: u64 = 4096;
/// Percent of the disk that last words leave free.
const LAST_WORDS_FREE_PERCENT: u8 = 2;

/// How much a snapshot matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// Another one can be taken when the disk has room again.
    Normal,
    /// The process may not live to write another one: a panic, or it is dead already.
    LastWords,
}

/// How much of a disk a snapshot may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    /// Most bytes of its file.
    pub(super) len: u64,
    /// Percent of the disk that were free before.
    pub(super) free_percent: u8,
    /// Percent that must be free afterwards.
    pub(super) needed_percent: u8,
}

impl Room {
    /// As much as there is.
    pub(crate) const ALL: Room = Room { len: u64::MAX, free_percent: 100, needed_percent: 0 };

    pub(super) fn error(&self, directory: &Path) -> SnapshotError {
        let Room { free_percent, needed_percent, .. } = *self;
        SnapshotError::DiskAlmostFull { directory: directory.to_path_buf(), free_percent, needed_percent }
    }
}

/// Finds out how much a snapshot may take so that of the disk of `directory` there stay `free_percent` free, or less
/// for last words.
///
/// # Errors
/// [`SnapshotError::DiskAlmostFull`] if less is free already.
pub(crate) fn find_room(
    os: &dyn Os,
    directory: &Path,
    urgency: Urgency,
    free_percent: u8,
) -> Result<Room, SnapshotError> {
    let needed_percent = match urgency {
        Urgency::Normal => free_percent,
        Urgency::LastWords => free_percent.min(LAST_WORDS_FREE_PERCENT),
    };
    match os.disk(directory).filter(|_| needed_percent > 0) {
        None => Ok(Room::ALL),
        Some(disk) => {
            // Files take whole blocks, and one more for what the file system notes of them.
            let spare = disk.spare(needed_percent) / BLOCK_LEN;
            let len = spare.saturating_sub(1) * BLOCK_LEN;
            let room = Room { len, free_percent: disk.free_percent(), needed_percent };
            if disk.has_free(needed_percent, 0) { Ok(room) } else { Err(room.error(directory)) }
        }
    }
}

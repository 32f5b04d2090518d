//! Room on a disk for a snapshot.
//!
//! If the disk is nearly full, no snapshot is written: the host needs the room more, and the ring keeps its events.
//! Only last words can use some of the rest.

use std::path::Path;

use super::error::SnapshotError;
use super::os::Os;

/// Assumed block size of the file system, in bytes.
pub(super) const BLOCK_LEN: u64 = 4096;
/// Percent of the disk that last words leave free.
const LAST_WORDS_FREE_PERCENT: u8 = 2;

/// Importance of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// Another one can be taken when the disk has room again.
    Normal,
    /// The process might not live to write another one: it panicked, or is already dead.
    LastWords,
}

/// Room on a disk for a snapshot.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    /// Largest size of its file, in bytes.
    pub(super) len: u64,
    /// Percent of the disk that was free before.
    pub(super) free_percent: u8,
    /// Percent that must be free afterwards.
    pub(super) needed_percent: u8,
}

impl Room {
    /// Room without a limit.
    pub(crate) const ALL: Room = Room { len: u64::MAX, free_percent: 100, needed_percent: 0 };

    pub(super) fn error(&self, directory: &Path) -> SnapshotError {
        let Room { free_percent, needed_percent, .. } = *self;
        SnapshotError::DiskAlmostFull { directory: directory.to_path_buf(), free_percent, needed_percent }
    }
}

/// Returns the room for a snapshot such that `free_percent` of the disk of `directory` stays free, or less for last
/// words.
///
/// # Errors
/// [`SnapshotError::DiskAlmostFull`] if less is already free.
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
            // Files take whole blocks, plus one for the file system's metadata.
            let spare = disk.spare(needed_percent) / BLOCK_LEN;
            let len = spare.saturating_sub(1) * BLOCK_LEN;
            let room = Room { len, free_percent: disk.free_percent(), needed_percent };
            if disk.has_free(needed_percent, 0) { Ok(room) } else { Err(room.error(directory)) }
        }
    }
}

//! Orphans: rings of processes that died without a clean shutdown.
//!
//! At its start a recorder searches the directory of its own ring. A ring whose lock is available has no owner
//! (the lock ends with the process, whatever ended it) and becomes a snapshot with reason `recovered`; only when that
//! is safely on disk is the ring removed. If two processes start at once, the one that gets the lock does it. Rings of
//! living processes are locked and are not touched; neither are files of other users. The lock is the same in all pid
//! namespaces, where process ids are not. On a file system that several hosts share it might not reach other hosts,
//! whose rings are left alone until they have been silent for a day.
//!
//! The contents of an orphan are treated as hostile input: copied into memory up to a stated size, never mapped, and
//! passed only to the core's reader.

use std::fmt;
use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use ttlog_core::ring::STATE_ENDED;
use ttlog_core::ring::file_lock::free_lock_is_proof;
use ttlog_core::ring::file_name::{is_ring_name, is_unfinished_ring_name};
use ttlog_core::{FormatError, FormatErrorKind, ProcessInfo, RingImage};

use crate::snapshot::error::SnapshotError;
use crate::snapshot::file::{self, Label, SnapshotSource};
use crate::snapshot::os::System;
use crate::snapshot::room::{self, Urgency};
use crate::snapshot::scratch::Scratch;
use crate::sys;

/// Size of the largest ring that every process recovers, in bytes.
const RING_LEN_MAX_MIN: u64 = 64 * 1024 * 1024;
/// Age from which an unlocked file that never got its name is considered a leftover. Its creator locks it at once.
const UNFINISHED_MIN_AGE: Duration = Duration::from_secs(60);
/// Suffix appended to the name of a file that is not a ring, so that it is examined only once.
const DAMAGED_SUFFIX: &str = ".damaged";

/// OrphanOutcome for a file that looked like an orphan.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum OrphanOutcome {
    /// Its events are in this snapshot; the ring was removed.
    Recovered(PathBuf),
    /// There was nothing to recover: it was shut down cleanly or never finished. It was removed.
    Removed,
    /// It belongs to another user or to a newer recorder, or might belong to a living process of another host.
    LeftAlone,
    /// It is locked: it belongs to a living process, or somebody else is recovering it or looks at it.
    Locked,
}

/// Reason why an orphan was not recovered.
#[derive(Debug)]
pub(crate) enum OrphanError {
    /// The file is not accessible. It stays.
    Io { action: &'static str, path: PathBuf, cause: io::Error },
    /// It is larger than this process reads into memory. It stays, for another process.
    TooLarge { path: PathBuf },
    /// It is not a ring. It was renamed.
    Damaged { path: PathBuf, cause: FormatError },
    /// The snapshot could not be written. The ring stays for the next start.
    Snapshot { path: PathBuf, cause: SnapshotError },
}

impl fmt::Display for OrphanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OrphanError::Io { action, path, cause } => write!(f, "cannot {action} {path:?}: {cause}"),
            OrphanError::TooLarge { path } => {
                write!(f, "{path:?} is too large to be recovered by this process; `ttlog-view recover` does")
            }
            OrphanError::Damaged { path, cause } => write!(f, "{path:?} is no readable ring: {cause}"),
            OrphanError::Snapshot { path, cause } => write!(f, "cannot make a snapshot of {path:?}: {cause}"),
        }
    }
}

/// Returns the files of a directory that might be orphans, oldest name first. An unreadable directory has none.
pub(crate) fn candidates(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let looks_right = |entry: &std::fs::DirEntry| is_ring_name(entry.file_name().as_encoded_bytes());
    let mut paths: Vec<_> = entries.flatten().filter(looks_right).map(|entry| entry.path()).collect();
    paths.sort_unstable();
    paths
}

/// Limits of recovery.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules<'a> {
    /// Directory of the snapshots.
    pub(crate) snapshot_directory: &'a Path,
    /// Share of the disk that snapshots leave free, in percent; these are last words.
    pub(crate) free_percent: u8,
    /// Largest ring that is read into memory, in bytes.
    pub(crate) ring_max_len: u64,
}

impl<'a> Rules<'a> {
    /// Returns the limits for a process whose own ring is `ring_len` bytes long: it recovers rings of up to twice that
    /// size, or 64 MiB. A process with little memory must not run out of it because another had more.
    pub(crate) fn new(snapshot_directory: &'a Path, free_percent: u8, ring_len: usize) -> Self {
        Rules { snapshot_directory, free_percent, ring_max_len: RING_LEN_MAX_MIN.max(2 * ring_len as u64) }
    }
}

/// Turns the ring at `path` into a snapshot and removes the ring, if it is an orphan.
///
/// # Errors
/// [`OrphanError`]; the ring's events are still in place.
pub(crate) fn recover(path: &Path, rules: &Rules<'_>, scratch: &mut Scratch) -> Result<OrphanOutcome, OrphanError> {
    let Rules { snapshot_directory, free_percent, ring_max_len } = *rules;
    let io_error = |action| move |cause| OrphanError::Io { action, path: path.to_path_buf(), cause };
    let file = match sys::open_for_locking(path) {
        Ok(file) => file,
        // Somebody else has removed it since the directory was read, or this process has become another user.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied) => {
            return Ok(OrphanOutcome::LeftAlone);
        }
        Err(cause) => return Err(io_error("open")(cause)),
    };
    let metadata = file.metadata().map_err(io_error("examine"))?;
    if !metadata.is_file() || !sys::is_ours(&metadata) {
        return Ok(OrphanOutcome::LeftAlone);
    }
    if !sys::try_lock(&file).map_err(io_error("lock"))? {
        return Ok(OrphanOutcome::Locked);
    }
    // Checked again under the lock: its previous holder might have removed the file or written to it.
    let metadata = file.metadata().map_err(io_error("examine"))?;
    // This name must be its only one: a hard link would be somebody's trick.
    if sys::link_count(&metadata) != 1 {
        return Ok(OrphanOutcome::LeftAlone);
    }
    if is_unfinished_ring_name(path.file_name().unwrap_or_default().as_encoded_bytes()) {
        let age = metadata.modified().ok().and_then(|time| SystemTime::now().duration_since(time).ok());
        if age.is_none_or(|age| age < UNFINISHED_MIN_AGE) {
            return Ok(OrphanOutcome::LeftAlone);
        }
        return std::fs::remove_file(path).map(|()| OrphanOutcome::Removed).map_err(io_error("remove"));
    }

    let bytes = read_bounded(&file, metadata.len(), ring_max_len)
        .map_err(io_error("read"))?
        .ok_or_else(|| OrphanError::TooLarge { path: path.to_path_buf() })?;
    let is_shared = sys::is_on_shared_file_system(&file);
    let image = match RingImage::parse(&bytes) {
        Ok(image) => image,
        // What another host has just written might not be here yet.
        Err(_) if !free_lock_is_proof(is_shared, false, unwritten_s(&metadata)) => return Ok(OrphanOutcome::LeftAlone),
        // The program that wrote it will start again and can read it.
        Err(FormatError { kind: FormatErrorKind::TooNew(_), .. }) => return Ok(OrphanOutcome::LeftAlone),
        Err(cause) => {
            set_aside(path).map_err(io_error("rename"))?;
            return Err(OrphanError::Damaged { path: path.to_path_buf(), cause });
        }
    };
    // Whatever follows the ring would be lost with it.
    let end = image.header().region_len();
    let rest = usize::try_from(end).ok().and_then(|end| bytes.get(end..)).unwrap_or_default();
    if rest.iter().any(|&byte| byte != 0) {
        set_aside(path).map_err(io_error("rename"))?;
        let cause = FormatError::new(end, FormatErrorKind::BadMagic);
        return Err(OrphanError::Damaged { path: path.to_path_buf(), cause });
    }
    if image.header().state & STATE_ENDED != 0 {
        return std::fs::remove_file(path).map(|()| OrphanOutcome::Removed).map_err(io_error("remove"));
    }
    let process = image.process().unwrap_or(ProcessInfo { service: "unknown", ..ProcessInfo::default() });
    let is_of_this_host = !process.host.is_empty() && process.host == sys::host_name();
    if !free_lock_is_proof(is_shared, is_of_this_host, silent_s(&image, &metadata)) {
        return Ok(OrphanOutcome::LeftAlone);
    }
    let label = Label { service: process.service, pid: process.pid, reason: "recovered" };
    // The ring's clock might not be this process's, and might have restarted since.
    let ticks = 0;
    let snapshot = room::find_room(&System, snapshot_directory, Urgency::LastWords, free_percent)
        .and_then(|room| {
            file::write(
                &System,
                snapshot_directory,
                room,
                label,
                SnapshotSource::Image(&image),
                ticks,
                scratch.borrow(),
            )
        })
        .map_err(|cause| OrphanError::Snapshot { path: path.to_path_buf(), cause })?;
    std::fs::remove_file(path).map_err(io_error("remove"))?;
    Ok(OrphanOutcome::Recovered(snapshot))
}

/// Renames a file that is not a ring.
fn set_aside(path: &Path) -> io::Result<()> {
    let mut renamed = path.as_os_str().to_owned();
    renamed.push(DAMAGED_SUFFIX);
    std::fs::rename(path, renamed)
}

/// Returns the time since the latest sign of life of a ring, in seconds.
fn silent_s(image: &RingImage<'_>, metadata: &Metadata) -> u64 {
    let beat = SystemTime::UNIX_EPOCH.checked_add(Duration::from_nanos(image.header().heartbeat_unix_ns));
    beat.map_or(0, age_s).min(unwritten_s(metadata))
}

/// Returns the time since the latest write to a file, in seconds; 0 if it is unknown.
fn unwritten_s(metadata: &Metadata) -> u64 {
    metadata.modified().map_or(0, age_s)
}

fn age_s(time: SystemTime) -> u64 {
    SystemTime::now().duration_since(time).map_or(0, |age| age.as_secs())
}

/// Reads a file of about `expected_len` bytes; `None` if it is longer than `max_len`.
fn read_bounded(file: &File, expected_len: u64, max_len: u64) -> io::Result<Option<Vec<u8>>> {
    if expected_len > max_len {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(expected_len as usize + 1)?;
    file.take(max_len + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= max_len).then_some(bytes))
}

#[cfg(all(test, target_os = "linux"))]
mod tests;

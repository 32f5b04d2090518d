//! Retention: the limits on the snapshots in a directory, and the choice of those to remove.
//!
//! After each snapshot, and at the start, all snapshots of this service in the directory are examined, including those
//! of earlier runs and of other processes. The oldest are removed until the rest is within the limits: by count, by
//! bytes, by age, and by the share of the disk that must stay free. So processes that share a directory agree on the
//! choice, and none of them removes a file that another would keep.
//!
//! A file is touched only if its name matches, letter by letter, the names that this service gives to snapshots, and it
//! is a regular file with no other name. It must belong to a user that this process is, was, or will be after a
//! [hand-over](crate::Recorder::hand_over); in a directory in which only this user and root can create files, to
//! anybody. A directory, a symbolic link, a file that another user has put there, or a hard link to anything is never
//! removed or counted, whatever its name. If another process removes a file first, that is not an error; nor is it if
//! the file of an earlier user cannot be removed.
//!
//! Temporary snapshot files that a dead process never finished are removed too, once they are a minute old and nobody
//! holds their lock. (Each process that ends while it writes one leaves it; short-lived programs can leave many.)

use std::collections::BinaryHeap;
use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use ttlog_core::ring::file_name::NamePart;
use ttlog_core::snapshot::file_name::{NameParts, TemporaryName};

use crate::config::settings::Settings;
use crate::sys::{Disk, report};

/// Age from which an unlocked temporary file is a leftover. Its writer locks it at once.
const TEMPORARY_MIN_AGE: Duration = Duration::from_secs(60);
/// Largest number of files that one pass remembers, and thus can remove: the oldest ones. The next passes remove more.
const REMEMBERED_MAX: usize = 4096;
/// Time in the future beyond which the date of a file means that the clock was set back since.
const FUTURE_MIN: Duration = Duration::from_secs(2);

/// Limits on the remaining files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Largest number of files.
    pub(crate) count: u64,
    /// Largest total size of the files, in bytes.
    pub(crate) bytes: u64,
    /// Largest age of a file; older ones are removed.
    pub(crate) age: Option<Duration>,
    /// Percent of the disk that must be free.
    pub(crate) free_percent: u8,
    /// Bytes that must be free in addition, for a snapshot that is to be written. With 0 percent they are ignored.
    pub(crate) room: u64,
}

impl Limits {
    /// Returns the limits set by the options.
    pub(crate) fn of(settings: &Settings) -> Self {
        Limits {
            count: settings.retain_count as u64,
            bytes: settings.retain_bytes,
            age: settings.retain_age,
            free_percent: settings.retain_free_percent,
            room: 0,
        }
    }
}

/// The snapshots that a pass considers.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Scope<'a> {
    /// All snapshots of this service.
    Service(&'a str),
    /// Snapshots with reason `recovered` of a service other than this process's: made from the rings it left behind.
    /// Its other snapshots are its own concern.
    RecoveredOf(&'a str),
}

/// Result of a pass.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Swept {
    /// Number of snapshots removed.
    pub(crate) count: u64,
    /// Total size of the removed snapshots, in bytes.
    pub(crate) bytes: u64,
    /// Number of temporary files removed.
    pub(crate) temporary_count: u64,
}

/// A snapshot that can be removed. Ordered by age, the oldest first.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    /// `false` for a file that is dated in the future: it was written before the clock was set back.
    is_dated: bool,
    modified: SystemTime,
    path: PathBuf,
    len: u64,
    /// Whether it belongs to the present user.
    is_ours: bool,
}

/// Applies the limits to `directory`, but never removes `keep`. An unreadable directory has nothing to remove.
///
/// The newest file always stays: one snapshot is worth more than the room it takes.
pub(crate) fn sweep(directory: &Path, scope: Scope<'_>, limits: &Limits, keep: Option<&Path>) -> Swept {
    sweep_at(directory, scope, limits, keep, SystemTime::now(), &Disk::of)
}

fn sweep_at(
    directory: &Path,
    scope: Scope<'_>,
    limits: &Limits,
    keep: Option<&Path>,
    now: SystemTime,
    disk: &dyn Fn(&Path) -> Option<Disk>,
) -> Swept {
    static TROUBLE: report::Once = report::Once::new();
    let mut swept = Swept::default();
    let Ok(entries) = std::fs::read_dir(directory) else { return swept };
    let owners = Owners::of(directory);
    let (mut count, mut bytes) = (0_u64, 0_u64);
    // The oldest ones seen so far: the newest of them is dropped first.
    let mut oldest = BinaryHeap::new();
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.as_encoded_bytes();
        if TemporaryName::matches(name) {
            swept.temporary_count += u64::from(remove_leftover(&entry.path(), owners, now));
            continue;
        }
        if !scope.has(name) {
            continue;
        }
        let path = entry.path();
        let Some(metadata) = owners.metadata_if_theirs(&path) else { continue };
        let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        count += 1;
        bytes = bytes.saturating_add(metadata.len());
        oldest.push(Candidate {
            is_dated: modified <= now + FUTURE_MIN,
            modified,
            path,
            len: metadata.len(),
            is_ours: crate::sys::is_ours(&metadata),
        });
        if oldest.len() > REMEMBERED_MAX {
            oldest.pop();
        }
    }

    let mut room = disk(directory);
    for candidate in oldest.into_sorted_vec() {
        let is_newest = count <= 1;
        let age = now.duration_since(candidate.modified).unwrap_or_default();
        let is_too_old = !is_newest && limits.age.is_some_and(|most| age > most);
        let is_too_much = count > limits.count || (bytes > limits.bytes && !is_newest);
        let disk_is_full = !is_newest
            && room.is_some_and(|room| limits.free_percent > 0 && !room.has_free(limits.free_percent, limits.room));
        if keep == Some(candidate.path.as_path()) || !(is_too_old || is_too_much || disk_is_full) {
            continue;
        }
        match std::fs::remove_file(&candidate.path) {
            Ok(()) => {
                swept.count += 1;
                swept.bytes += candidate.len;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {} // another process was first
            // A file of an earlier user must not cost this one its own.
            Err(_) if !candidate.is_ours => {}
            Err(error) => {
                TROUBLE.warn(format_args!("cannot remove the old snapshot {:?}: {error}", candidate.path));
                continue;
            }
        }
        count -= 1;
        bytes -= candidate.len;
        if disk_is_full {
            room = disk(directory);
        }
    }
    swept
}

impl Scope<'_> {
    /// Returns whether `name` is a snapshot name of the service.
    fn has(&self, name: &[u8]) -> bool {
        let (service, only_recovered) = match self {
            Scope::Service(service) => (service, false),
            Scope::RecoveredOf(service) => (service, true),
        };
        let Some(parts) = NameParts::parse(name) else { return false };
        NamePart::service(service).is(parts.service) && (parts.has_reason("recovered") || !only_recovered)
    }
}

/// Returns the service that a snapshot belongs to, by its name.
pub(crate) fn service_of(name: &[u8]) -> Option<&str> {
    NameParts::parse(name).map(|parts| parts.service)
}

/// The users whose files in a directory count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owners {
    /// All: nobody else can create files there.
    Everybody,
    /// Users that this process is, was, or will be.
    OwnUsers,
}

impl Owners {
    fn of(directory: &Path) -> Self {
        if crate::sys::is_private_directory(directory) { Owners::Everybody } else { Owners::OwnUsers }
    }

    /// Returns the metadata of a file if it is a regular file of one of them, with only this name.
    fn metadata_if_theirs(self, path: &Path) -> Option<Metadata> {
        let metadata = std::fs::symlink_metadata(path).ok()?;
        (self.have(&metadata) && crate::sys::link_count(&metadata) == 1).then_some(metadata)
    }

    /// Returns whether it is a regular file of one of them.
    fn have(self, metadata: &Metadata) -> bool {
        metadata.is_file() && (self == Owners::Everybody || crate::sys::is_of_own_users(metadata))
    }
}

/// Makes the snapshots of this service that belong to the present user another one's.
#[cfg(unix)]
pub(crate) fn give_away(directory: &Path, service: &str, user: crate::sys::User) {
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        if !Scope::Service(service).has(entry.file_name().as_encoded_bytes()) {
            continue;
        }
        let Ok(file) = crate::sys::open_for_reading(&entry.path()) else { continue };
        let is_ours = |metadata: &Metadata| {
            metadata.is_file() && crate::sys::is_ours(metadata) && crate::sys::link_count(metadata) == 1
        };
        if file.metadata().is_ok_and(|metadata| is_ours(&metadata)) {
            // One that stays with the present user still counts.
            let _ = user.take(&file);
        }
    }
}

/// Removes a temporary file that nobody will finish. Returns `true` if this call did it.
fn remove_leftover(path: &Path, owners: Owners, now: SystemTime) -> bool {
    let Ok(metadata) = std::fs::symlink_metadata(path) else { return false };
    let old = metadata.modified().ok().and_then(|time| now.duration_since(time).ok());
    if !owners.have(&metadata) || old.is_none_or(|age| age < TEMPORARY_MIN_AGE) {
        return false;
    }
    // The writer of a file holds its lock. A system without locks keeps its leftovers.
    let Ok(file) = crate::sys::open_for_reading(path) else { return false };
    let is_same = file.metadata().is_ok_and(|opened| crate::sys::is_same_file(&opened, &metadata));
    is_same && crate::sys::try_lock(&file).unwrap_or(false) && std::fs::remove_file(path).is_ok()
}

#[cfg(all(test, unix))]
mod tests;

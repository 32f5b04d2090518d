//! Retention: how many snapshots may lie in their directory, and which of them go when there are more.
//!
//! After each snapshot, and at the start, the snapshots of this service that lie in the directory are looked at, those of earlier
//! runs and of other processes too. The oldest go until what is left is within the limits: by count, by bytes, by age, and by the
//! share of the disk that must stay free. So processes that share a directory agree on what goes, and none of them removes what
//! another would keep.
//!
//! A file is touched only if its name is one that this service gives to snapshots, letter by letter, and it is a regular file of
//! this user with no other name. A directory, a symbolic link, a file of somebody else, a hard link to anything: none of them is
//! removed or counted, whatever its name. What another process removes first is gone, and no error.
//!
//! Temporary files of snapshots that a dead process never finished go too, once they are a minute old and nobody holds their lock.
//! (Each process that ends while it writes one leaves it; of programs that run for a moment only there can be many.)

use std::collections::BinaryHeap;
use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::snapshot::names;
use crate::sys::report;

/// Age from which an unlocked temporary file is a leftover. Its writer locks it at once.
const TEMPORARY_MIN_AGE: Duration = Duration::from_secs(60);
/// Files that one pass remembers, and so can remove: the oldest ones. More go with the next passes.
const REMEMBERED_MAX: usize = 4096;
/// How far in the future a file may be dated before the clock must have been set back since.
const FUTURE_MIN: Duration = Duration::from_secs(2);

/// What may stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Most files.
    pub(crate) count: u64,
    /// Most bytes of all files together.
    pub(crate) bytes: u64,
    /// Files that are older go.
    pub(crate) age: Option<Duration>,
    /// Percent of the disk that must be free.
    pub(crate) free_percent: u8,
    /// Bytes that must be free besides, for a snapshot that is to be written. With 0 percent they do not matter.
    pub(crate) room: u64,
}

/// Whose snapshots are looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Scope<'a> {
    /// All of this service.
    Service(&'a str),
    /// Those with reason `recovered` of a service that is not this process's: made of the rings it left behind. Its other
    /// snapshots are its own affair.
    RecoveredOf(&'a str),
}

/// What a pass did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Swept {
    /// Snapshots removed.
    pub(crate) count: u64,
    /// Their bytes.
    pub(crate) bytes: u64,
    /// Temporary files removed.
    pub(crate) temporary_count: u64,
}

/// The disk as a pass sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Disk {
    /// Bytes that this user may still fill.
    pub(crate) free: u64,
    /// Bytes that this user may fill on an empty disk.
    pub(crate) total: u64,
}

impl Disk {
    /// Gives the disk on which `directory` is; `None` where that is not known, and there are no limits then.
    pub(crate) fn of(directory: &Path) -> Option<Disk> {
        crate::sys::disk_room(directory).filter(|disk| disk.total > 0)
    }

    /// Tells whether at least `percent` of the disk is free, and `bytes` besides.
    pub(crate) fn has_free(&self, percent: u8, bytes: u64) -> bool {
        u128::from(self.free.saturating_sub(bytes)) * 100 >= u128::from(self.total) * u128::from(percent)
    }

    /// Gives the bytes that are free besides `percent` of the disk.
    pub(crate) fn spare(&self, percent: u8) -> u64 {
        let kept = (u128::from(self.total) * u128::from(percent)).div_ceil(100);
        self.free.saturating_sub(u64::try_from(kept).unwrap_or(u64::MAX))
    }

    /// Gives the percent that is free, rounded down.
    pub(crate) fn free_percent(&self) -> u8 {
        u8::try_from((u128::from(self.free) * 100).checked_div(self.total.into()).unwrap_or(100)).unwrap_or(100)
    }
}

/// A snapshot that may be removed. Ordered by age, the oldest first.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    /// `false` for a file that is dated in the future: it was written before the clock was set back.
    is_dated: bool,
    modified: SystemTime,
    path: PathBuf,
    len: u64,
}

/// Removes what is too much in `directory`, but never `keep`. A directory that cannot be read has nothing to remove.
///
/// The newest file stays in any case: one snapshot is worth more than the room it takes.
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
    let (mut count, mut bytes) = (0_u64, 0_u64);
    // The oldest ones that were seen: the newest of them leaves first.
    let mut oldest = BinaryHeap::new();
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.as_encoded_bytes();
        if is_temporary(name) {
            swept.temporary_count += u64::from(remove_leftover(&entry.path(), now));
            continue;
        }
        if !scope.has(name) {
            continue;
        }
        let path = entry.path();
        let Some(metadata) = metadata_if_ours(&path) else { continue };
        let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        count += 1;
        bytes = bytes.saturating_add(metadata.len());
        oldest.push(Candidate { is_dated: modified <= now + FUTURE_MIN, modified, path, len: metadata.len() });
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
    /// Tells whether `name` is one that the service gives to snapshots: `ttlog-<service>-<pid>-<utc time>-<reason>.bin`.
    ///
    /// The name of a service may hold anything that looks like a pid and a time, so those furthest to the right count: the
    /// snapshots of `shop-7` are not taken for those of `shop`.
    fn has(&self, name: &[u8]) -> bool {
        let (service, only_recovered) = match self {
            Scope::Service(service) => (service, false),
            Scope::RecoveredOf(service) => (service, true),
        };
        let Some((found, reason)) = split_name(name) else { return false };
        let is_recovered = reason == b"recovered"
            || reason.strip_prefix(b"recovered-").is_some_and(|rest| rest.iter().all(u8::is_ascii_digit));
        found == names::service(service).to_string().as_bytes() && (is_recovered || !only_recovered)
    }
}

/// Gives the service that a snapshot belongs to by its name.
pub(crate) fn service_of(name: &[u8]) -> Option<&str> {
    split_name(name).and_then(|(service, _)| std::str::from_utf8(service).ok())
}

/// Gives service and reason (with its number, if it has one) of a snapshot's name.
fn split_name(name: &[u8]) -> Option<(&[u8], &[u8])> {
    let stem = name.strip_prefix(b"ttlog-")?.strip_suffix(b".bin")?;
    // A time is followed by a dash and preceded by a dash, a number, and a dash.
    let places = (0..stem.len().checked_sub(names::UTC_STAMP_LEN)?).rev();
    for at in places {
        let (before, rest) = stem.split_at(at);
        let (stamp, reason) = rest.split_at(names::UTC_STAMP_LEN);
        let (Some(before), Some(reason)) = (before.strip_suffix(b"-"), reason.strip_prefix(b"-")) else { continue };
        if !names::is_utc_stamp(stamp) || reason.is_empty() {
            continue;
        }
        let pid_len = before.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
        let (service, pid) = before.split_at(before.len() - pid_len);
        if let (Some(service), false) = (service.strip_suffix(b"-"), pid.is_empty()) {
            return (!service.is_empty()).then_some((service, reason));
        }
    }
    None
}

/// Tells whether `name` is one that a snapshot has while it is written.
fn is_temporary(name: &[u8]) -> bool {
    name.starts_with(b".ttlog-") && name.ends_with(b".tmp")
}

/// Gives what is known of a file if it is a regular one of this user, with this name only.
fn metadata_if_ours(path: &Path) -> Option<Metadata> {
    let metadata = std::fs::symlink_metadata(path).ok()?;
    (metadata.is_file() && crate::sys::is_ours(&metadata) && crate::sys::link_count(&metadata) == 1).then_some(metadata)
}

/// Removes a temporary file that nobody will finish. `true` if this call did it.
fn remove_leftover(path: &Path, now: SystemTime) -> bool {
    let Ok(metadata) = std::fs::symlink_metadata(path) else { return false };
    let old = metadata.modified().ok().and_then(|time| now.duration_since(time).ok());
    if !metadata.is_file() || !crate::sys::is_ours(&metadata) || old.is_none_or(|age| age < TEMPORARY_MIN_AGE) {
        return false;
    }
    // Whoever writes one holds its lock. A system without locks keeps its leftovers.
    let Ok(file) = crate::sys::open_for_reading(path) else { return false };
    let is_same = file.metadata().is_ok_and(|opened| crate::sys::is_same_file(&opened, &metadata));
    is_same && crate::sys::try_lock(&file).unwrap_or(false) && std::fs::remove_file(path).is_ok()
}

#[cfg(all(test, unix))]
mod tests;

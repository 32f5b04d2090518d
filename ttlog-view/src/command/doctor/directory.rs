//! Directories: owner, permissions, disk space and contents.

use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use ttlog_core::ring::file_name::{NAME_START, UNFINISHED_SUFFIX};
use ttlog_core::ring::{RingImage, STATE_ENDED};
use ttlog_core::snapshot::Content;
use ttlog_core::snapshot::file_name::SNAPSHOT_SUFFIX;
use ttlog_read::source::find::is_ring_name;
use ttlog_read::source::holder::{Holder, holder};
use ttlog_read::source::owner::{own_user, user_of, with_owner};
use ttlog_read::source::process::Liveness;
use ttlog_read::source::{content, files_in, open, read_head};
use ttlog_read::text::escape::escaped;
use ttlog_read::text::number::{bytes, counted, grouped};

use super::remark::Remark;

/// Size of a recorder's ring by default, in bytes.
const USUAL_RING_LEN: u64 = 16 << 20;
/// Share of a disk that recorders leave free by default, in percent.
pub(super) const FREE_PERCENT: u64 = 15;
/// Age from which an unfinished ring counts as a leftover, in seconds: making one takes a moment.
const UNFINISHED_MIN_AGE_S: u64 = 60;
/// Maximum number of rings of dead processes read whole in one directory; the rest are only counted.
const DEAD_MAX: usize = 16;
/// Maximum number of files examined in a directory.
const FILES_MAX: usize = 100_000;

/// Space on a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Bytes available to this user if the disk were empty.
    pub total: u64,
    /// Bytes still available to this user.
    pub free: u64,
}

impl Room {
    /// Returns the space on the disk of a directory; `None` if unknown.
    #[cfg(unix)]
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        let disk = rustix::fs::statvfs(path).ok()?;
        let of = |blocks: u64| blocks.saturating_mul(disk.f_frsize);
        // Computed as recorders and `df` do: without the space reserved for root. If the system reports no size,
        // recorders apply no limit.
        let total = disk.f_blocks.saturating_sub(disk.f_bfree).saturating_add(disk.f_bavail);
        Some(Room { total: of(total), free: of(disk.f_bavail) }).filter(|room| room.total > 0)
    }

    /// Returns `None`: unknown on this system.
    #[cfg(not(unix))]
    #[must_use]
    pub fn of(_path: &Path) -> Option<Self> {
        None
    }

    /// Returns the share that is free, in percent.
    #[must_use]
    pub fn free_percent(&self) -> u64 {
        (u128::from(self.free) * 100 / u128::from(self.total.max(1))) as u64
    }
}

/// Owner and permissions of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Permissions; `None` if unknown on this system.
    pub mode: Option<u32>,
    /// User id of the owner.
    pub user: Option<u32>,
}

impl Access {
    /// Reads owner and permissions from the metadata of a file.
    #[must_use]
    pub fn of(metadata: &Metadata) -> Self {
        #[cfg(unix)]
        let mode = Some(std::os::unix::fs::MetadataExt::mode(metadata) & 0o7777);
        #[cfg(not(unix))]
        let mode = None;
        Access { mode, user: user_of(metadata) }
    }

    /// Returns whether the file belongs to a user other than the current one.
    #[must_use]
    pub fn is_foreign(&self) -> bool {
        self.user.is_some() && self.user != own_user()
    }

    /// Returns mode and owner as text.
    #[must_use]
    pub fn text(&self) -> String {
        let mode = self.mode.map_or_else(|| "unknown".to_owned(), |mode| format!("{mode:04o}"));
        match self.user {
            Some(user) if self.is_foreign() => format!("mode {mode}, owner {user}"),
            Some(user) => format!("mode {mode}, owner {user} (you)"),
            None => format!("mode {mode}"),
        }
    }
}

/// A directory with rings.
#[derive(Debug)]
pub struct DirectoryReport {
    /// Path of the directory.
    pub path: PathBuf,
    /// Owner and permissions.
    pub access: Access,
    /// Space on its disk.
    pub room: Option<Room>,
    /// Number of rings in it.
    pub ring_count: u64,
    /// Number of these rings whose process is gone and did not shut down.
    pub stale_count: u64,
    /// Number of rings that were never finished.
    pub unfinished_count: u64,
    /// Number of files that were set aside because they were not readable rings.
    pub damaged_count: u64,
    /// Remarks about the directory.
    pub remarks: Vec<Remark>,
}

impl DirectoryReport {
    /// Returns whether it contains nothing of ours.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ring_count + self.unfinished_count + self.damaged_count == 0
    }

    /// Examines a directory, but not its contents.
    ///
    /// # Errors
    /// Returns an error if it cannot be examined.
    pub fn alone(path: &Path) -> io::Result<Self> {
        let access = Access::of(&std::fs::metadata(path).map_err(|error| with_owner(path, error))?);
        let room = Room::of(path);
        let mut remarks = Vec::new();
        if let Some(mode) = access.mode.filter(|mode| mode & 0o022 != 0 && mode & 0o1000 == 0) {
            let chmod = format!("chmod 700 {}", quoted(path));
            remarks.push(Remark::problem(format!("others can write to it (mode {mode:04o})"), chmod));
        }
        if let Some(room) = room.filter(|room| room.free < USUAL_RING_LEN) {
            let text = format!("only {} of {} are free there", bytes(room.free), bytes(room.total));
            let advice = format!(
                "a recorder that starts now with a ring of {} goes elsewhere or to the heap: remove what is stale, \
                 make the file system larger, or set TTLOG_DIR or TTLOG_CAPACITY_BYTES",
                bytes(USUAL_RING_LEN)
            );
            remarks.push(Remark::problem(text, advice));
        }
        let path = path.to_path_buf();
        Ok(DirectoryReport {
            path,
            access,
            room,
            ring_count: 0,
            stale_count: 0,
            unfinished_count: 0,
            damaged_count: 0,
            remarks,
        })
    }

    /// Examines a directory and its contents, and returns the rings worth reading whole: those of all processes that
    /// might be running, and some of those that are gone.
    ///
    /// # Errors
    /// Returns an error if it cannot be listed.
    pub fn read(path: &Path) -> io::Result<(Self, Vec<PathBuf>)> {
        let mut report = Self::alone(path)?;
        let mut rings = Vec::new();
        let mut dead = 0;
        let mut ended = 0;
        for file in files_in(path)?.into_iter().take(FILES_MAX) {
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            if name.ends_with(UNFINISHED_SUFFIX) {
                report.unfinished_count += u64::from(age_s(&file) >= UNFINISHED_MIN_AGE_S);
                continue;
            }
            if name.ends_with(".ring.damaged") {
                report.damaged_count += 1;
                continue;
            }
            let Some(standing) = standing_of(&file) else {
                // A file that is named like a ring but cannot be read is worth a remark.
                if is_ring_name(&file) {
                    report.ring_count += 1;
                    rings.push(file);
                }
                continue;
            };
            report.ring_count += 1;
            match standing {
                Standing::Ended => ended += 1,
                Standing::Stale => {
                    report.stale_count += 1;
                    dead += 1;
                }
                Standing::InUse => {}
            }
            if standing == Standing::InUse || dead <= DEAD_MAX {
                rings.push(file);
            }
        }
        let recover = format!("ttlog-view recover {} --remove", quoted(path));
        if report.stale_count > 0 {
            let text = format!("{}: their processes are gone", counted(report.stale_count, "stale ring"));
            let advice = format!("{recover} makes snapshots of them; so does the next start of a recorder there");
            report.remarks.push(Remark::problem(text, advice));
        }
        if ended > 0 {
            let text = format!(
                "{} of processes that shut down in good order: the next start there removes them",
                grouped(ended)
            );
            report.remarks.push(Remark::note(text));
        }
        if report.unfinished_count > 0 {
            let text = format!(
                "{} unfinished (*.ring.new): their makers died, or ran out of room",
                grouped(report.unfinished_count)
            );
            report.remarks.push(Remark::problem(text, "the next start of a recorder there removes them"));
        }
        if report.damaged_count > 0 {
            let text = format!("{} set aside as no readable rings (*.ring.damaged)", grouped(report.damaged_count));
            let advice =
                format!("see what is left with ttlog-view verify {}/*.damaged, then remove them", quoted(path));
            report.remarks.push(Remark::problem(text, advice));
        }
        Ok((report, rings))
    }
}

/// State of a ring, as seen by other processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// Its process is running, or this cannot be determined.
    InUse,
    /// Its process is gone or no longer uses it.
    Stale,
    /// It was shut down cleanly.
    Ended,
}

/// Reads the header of a file; `None` if it is not a ring.
fn standing_of(path: &Path) -> Option<Standing> {
    let file = open(path).ok()?;
    if content(&file).ok()? != Content::Ring {
        return None;
    }
    let head = read_head(&file).ok()?;
    let image = RingImage::parse(&head).ok()?;
    if image.header().state & STATE_ENDED != 0 {
        return Some(Standing::Ended);
    }
    Some(match holder(&image, &file) {
        // As recorders and `recover` judge.
        Holder { is_free: true, .. } | Holder { liveness: Liveness::Gone | Liveness::LetGo, .. } => Standing::Stale,
        Holder { .. } => Standing::InUse,
    })
}

/// Returns the seconds since the last write to a file; 0 if unknown.
fn age_s(path: &Path) -> u64 {
    let modified = path.symlink_metadata().and_then(|metadata| metadata.modified());
    modified.ok().and_then(|at| SystemTime::now().duration_since(at).ok()).map_or(0, |age| age.as_secs())
}

/// A directory with snapshots.
#[derive(Debug)]
pub struct SnapshotsReport {
    /// Path of the directory.
    pub path: PathBuf,
    /// Owner and permissions; `None` if it does not exist or cannot be examined.
    pub access: Option<Access>,
    /// Space on its disk.
    pub room: Option<Room>,
    /// Number of snapshots in it, judged by their names.
    pub count: u64,
    /// Size of the snapshots, in bytes.
    pub bytes: u64,
    /// Remarks about the directory.
    pub remarks: Vec<Remark>,
}

impl SnapshotsReport {
    /// Examines a directory and its snapshots. `free_percent` is the share of the disk that recorders leave free.
    #[must_use]
    pub fn read(path: &Path, free_percent: u64) -> Self {
        let access = std::fs::metadata(path).ok().filter(Metadata::is_dir).map(|metadata| Access::of(&metadata));
        let room = Room::of(path);
        let (mut count, mut bytes_there, mut remarks) = (0, 0_u64, Vec::new());
        match files_in(path) {
            Ok(files) => {
                for file in files.iter().take(FILES_MAX).filter(|file| is_snapshot_name(file)) {
                    count += 1;
                    bytes_there =
                        bytes_there.saturating_add(file.symlink_metadata().map_or(0, |metadata| metadata.len()));
                }
            }
            // Recorders create it when they need it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => remarks.push(Remark::problem(
                format!("cannot be listed: {error}"),
                "give the user of the processes a directory of its own with TTLOG_SNAPSHOT_DIR",
            )),
        }
        if let (true, Some(why)) = (access.is_some() && remarks.is_empty(), unwritable(path)) {
            remarks.push(Remark::problem(
                format!("you cannot write there ({why}): processes of yours make no snapshots"),
                "give the user of the processes a directory of its own with TTLOG_SNAPSHOT_DIR",
            ));
        }
        if let Some(room) = room.filter(|room| room.free_percent() < free_percent) {
            let text = format!(
                "only {} % of the disk are free: recorders write no snapshots below {free_percent} %",
                room.free_percent()
            );
            let advice = "make room, set TTLOG_SNAPSHOT_DIR, or allow more with TTLOG_RETAIN_FREE_PERCENT";
            remarks.push(Remark::problem(text, advice));
        }
        SnapshotsReport { path: path.to_path_buf(), access, room, count, bytes: bytes_there, remarks }
    }
}

/// Returns why no files can be created in a directory; `None` if they can, or if this is unknown.
#[cfg(unix)]
fn unwritable(path: &Path) -> Option<io::Error> {
    use rustix::fs::{Access, AtFlags, CWD, accessat};
    accessat(CWD, path, Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS).err().map(io::Error::from)
}

#[cfg(not(unix))]
fn unwritable(_path: &Path) -> Option<io::Error> {
    None
}

fn is_snapshot_name(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    name.starts_with(NAME_START.as_bytes()) && name.ends_with(SNAPSHOT_SUFFIX.as_bytes())
}

/// Quotes a path for a shell.
pub(super) fn quoted(path: &Path) -> String {
    if path.as_os_str().is_empty() {
        return ".".to_owned();
    }
    let text = escaped(&path.to_string_lossy());
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-' | '+' | ',');
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

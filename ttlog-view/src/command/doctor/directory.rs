//! Directories: whose they are, who may write to them, the room on their disk, and what lies in them.

use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use ttlog_core::ring::file_name::{NAME_START, UNFINISHED_SUFFIX};
use ttlog_core::ring::{RingImage, STATE_ENDED};
use ttlog_core::snapshot::Content;
use ttlog_core::snapshot::file_name::SNAPSHOT_SUFFIX;
use ttlog_read::source::find::{is_ring_name, own_user, user_of};
use ttlog_read::source::process::{Liveness, holder};
use ttlog_read::source::{content, files_in, open, read_head};
use ttlog_read::text::escape::escaped;
use ttlog_read::text::number::{bytes, counted, grouped};

use super::remark::Remark;

/// The ring of a recorder, by default.
const USUAL_RING_LEN: u64 = 16 << 20;
/// Share of a disk that recorders leave free, by default, in percent.
pub(super) const FREE_PERCENT: u64 = 15;
/// Age from which an unfinished ring is a leftover, in seconds: its maker needs a moment.
const UNFINISHED_MIN_AGE_S: u64 = 60;
/// Most rings of dead processes that are read whole in one directory; the rest are counted.
const DEAD_MAX: usize = 16;
/// Most files of a directory that are looked at.
const FILES_MAX: usize = 100_000;

/// The room on a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Bytes that this user could have if it were empty.
    pub total: u64,
    /// Bytes that this user can still have.
    pub free: u64,
}

impl Room {
    /// Looks at the disk of a directory; `None` where that cannot be known.
    #[cfg(unix)]
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        let disk = rustix::fs::statvfs(path).ok()?;
        let of = |blocks: u64| blocks.saturating_mul(disk.f_frsize);
        // As recorders and `df` reckon it: without what is kept for root. Where the system tells no size recorders know of no limit.
        let total = disk.f_blocks.saturating_sub(disk.f_bfree).saturating_add(disk.f_bavail);
        Some(Room { total: of(total), free: of(disk.f_bavail) }).filter(|room| room.total > 0)
    }

    /// Looks at the disk of a directory; `None` where that cannot be known.
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

/// Who may do what with a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Its permissions; `None`: not known on this system.
    pub mode: Option<u32>,
    /// Whose it is.
    pub user: Option<u32>,
}

impl Access {
    /// Takes it from a file's metadata.
    #[must_use]
    pub fn of(metadata: &Metadata) -> Self {
        #[cfg(unix)]
        let mode = Some(std::os::unix::fs::MetadataExt::mode(metadata) & 0o7777);
        #[cfg(not(unix))]
        let mode = None;
        Access { mode, user: user_of(metadata) }
    }

    /// Returns whether it belongs to somebody else than who asks.
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
    /// Where it is.
    pub path: PathBuf,
    /// Who may do what with it.
    pub access: Access,
    /// Its disk.
    pub room: Option<Room>,
    /// Rings in it.
    pub ring_count: u64,
    /// Of them, those of processes that are gone and did not shut down.
    pub stale_count: u64,
    /// Rings that nobody finished making.
    pub unfinished_count: u64,
    /// Files that were set aside, for they were no readable rings.
    pub damaged_count: u64,
    /// What is to be said.
    pub remarks: Vec<Remark>,
}

impl DirectoryReport {
    /// Returns whether nothing of ours is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ring_count + self.unfinished_count + self.damaged_count == 0
    }

    /// Looks at a directory, but not into it.
    ///
    /// # Errors
    /// Returns an error if it cannot be examined.
    pub fn alone(path: &Path) -> io::Result<Self> {
        let access = Access::of(&std::fs::metadata(path)?);
        let room = Room::of(path);
        let mut remarks = Vec::new();
        if let Some(mode) = access.mode.filter(|mode| mode & 0o022 != 0 && mode & 0o1000 == 0) {
            let chmod = format!("chmod 700 {}", quoted(path));
            remarks.push(Remark::problem(format!("others can write to it (mode {mode:04o})"), chmod));
        }
        if let Some(room) = room.filter(|room| room.free < USUAL_RING_LEN) {
            let text = format!("only {} of {} are free there", bytes(room.free), bytes(room.total));
            let advice = format!(
                "a recorder that starts now with a ring of {} goes elsewhere or to the heap: remove what is stale, make the file \
                 system larger, or set TTLOG_DIR or TTLOG_CAPACITY_BYTES",
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

    /// Looks at a directory and what lies in it, and gives the rings that are worth reading whole: all of processes that may run, and
    /// some of those that are gone.
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
                // Whoever names it a ring, and cannot be read, is worth a word.
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

/// What a ring is to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// Its process runs, or it cannot be known whether it does.
    InUse,
    /// Its process is gone, or has let go of it.
    Stale,
    /// It was shut down in good order.
    Ended,
}

/// Looks at the head of a file; `None` if it is no ring.
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
    Some(match holder(&image.process().unwrap_or_default(), &file) {
        Liveness::Running | Liveness::Unknown => Standing::InUse,
        Liveness::Gone | Liveness::LetGo => Standing::Stale,
    })
}

/// Returns the seconds since a file was written to; 0 where that is not known.
fn age_s(path: &Path) -> u64 {
    let modified = path.symlink_metadata().and_then(|metadata| metadata.modified());
    modified.ok().and_then(|at| SystemTime::now().duration_since(at).ok()).map_or(0, |age| age.as_secs())
}

/// A directory with snapshots.
#[derive(Debug)]
pub struct SnapshotsReport {
    /// Where it is.
    pub path: PathBuf,
    /// Who may do what with it; `None`: it is not there, or cannot be looked at.
    pub access: Option<Access>,
    /// Its disk.
    pub room: Option<Room>,
    /// Snapshots in it, by their names.
    pub count: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What is to be said.
    pub remarks: Vec<Remark>,
}

impl SnapshotsReport {
    /// Looks at a directory and the snapshots in it. `free_percent` is the share of the disk that recorders leave free.
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
            // Recorders make it when they need it.
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

/// Says why no files can be made in a directory; `None` if they can, or where that is not known.
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

/// Returns a path as a shell takes it.
pub(super) fn quoted(path: &Path) -> String {
    if path.as_os_str().is_empty() {
        return ".".to_owned();
    }
    let text = escaped(&path.to_string_lossy());
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-' | '+' | ',');
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

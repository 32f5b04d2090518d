//! Snapshot files: from the ring to a file that is whole or not there.
//!
//! A snapshot is written to a temporary file in the directory it will live in (mode 0600, never through a symbolic link), made
//! durable, and only then gets its name, which no other file has; then the directory is made durable. Whatever fails on the
//! way, the temporary file is removed. Memory for all this is allocated once, at the start of the recorder, because the panic
//! hook must not depend on the allocator more than it can help.
//!
//! When the disk is nearly full no snapshot is written: what the host needs the room for is more important, and the ring keeps its
//! events. Only last words may take some of what is left.

use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ttlog_core::secret::SecretKeys;
use ttlog_core::snapshot::{self, Codec, Sink, SnapshotMeta, SnapshotOptions, Withhold};
use ttlog_core::{Ring, RingImage};

use crate::config::settings::Settings;
use crate::snapshot::names::{self, UtcStamp};
use crate::sys::{self, report};

pub(crate) use super::os::{Os, System};

/// Bytes gathered before they are written.
const BUFFER_LEN: usize = 64 * 1024;
/// Bytes of working memory with which a snapshot is written without compression, if no more are needed.
const SPARE_WORK_LEN_MIN: usize = 512;
/// Bytes gathered then before they are written.
const SPARE_BUFFER_LEN: usize = 8 * 1024;
/// Bytes in which disks are shared out, for what it matters here.
const BLOCK_LEN: u64 = 4096;
/// Percent of the disk that last words leave free.
const LAST_WORDS_FREE_PERCENT: u8 = 2;
/// Snapshots of one service, process, second and reason that get names of their own.
const SAME_NAME_MAX: u32 = 10_000;

/// Why there is no snapshot.
#[derive(Debug)]
#[non_exhaustive]
pub enum SnapshotError {
    /// As many requests are waiting as [`channel_capacity`](crate::Builder::channel_capacity) allows.
    QueueFull,
    /// The recorder was shut down, or is about to be.
    ShutDown,
    /// There is no service thread: it could not be created.
    NoServiceThread,
    /// The file could not be written.
    Io {
        /// What was being done, as in "create".
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the operating system says.
        cause: io::Error,
    },
    /// So little of the disk is free, or would be with the snapshot, that no more of it is taken
    /// ([`retain_free_percent`](crate::Builder::retain_free_percent)). The ring keeps its events.
    DiskAlmostFull {
        /// Where the snapshot was to be.
        directory: PathBuf,
        /// Percent of the disk that is free.
        free_percent: u8,
        /// Percent that must be free.
        needed_percent: u8,
    },
    /// Several snapshots are being written, and do not come to an end.
    Busy,
    /// The ring could not be read, which is a defect of the recorder or damage to its memory.
    Ring {
        /// What is wrong with it.
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
                "the disk of {directory:?} has no room for a snapshot: {free_percent} % are free, {needed_percent} % must stay so"
            ),
            SnapshotError::Busy => f.write_str("other snapshots are being written and do not come to an end"),
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
    /// Makes another one that says the same, for another who waits.
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

fn io_error(action: &'static str, path: &Path, cause: io::Error) -> SnapshotError {
    SnapshotError::Io { action, path: path.to_path_buf(), cause }
}

/// Gives how this recorder writes its snapshots. The extra names of secrets are kept for ever, as the recorder is.
pub(crate) fn options(settings: &Settings) -> SnapshotOptions<'static> {
    let keys = || -> &'static [&'static str] {
        settings.secret_keys.iter().map(|key| &*key.clone().leak()).collect::<Vec<_>>().leak()
    };
    let withhold = settings.withhold_secrets.then(|| Withhold::new(SecretKeys::with(keys())));
    SnapshotOptions { withhold, ..SnapshotOptions::new(Codec::Lz4) }
}

/// Working memory for one snapshot at a time, and how it is written.
pub(crate) struct Scratch {
    options: SnapshotOptions<'static>,
    /// For the core's encoder.
    work: Box<[u8]>,
    /// Between the encoder and the file.
    buffer: Box<[u8]>,
}

impl Scratch {
    /// Allocates what a ring with segments of `segment_len` bytes needs.
    pub(crate) fn new(options: SnapshotOptions<'static>, segment_len: usize) -> Self {
        Scratch { options, work: vec![0; options.scratch_len(segment_len)].into(), buffer: vec![0; BUFFER_LEN].into() }
    }

    /// Allocates less, for when the other one is in use and cannot be waited for. Snapshots made with it are not compressed. The
    /// memory is not touched, and so not taken from the system, before it is used.
    pub(crate) fn spare(options: SnapshotOptions<'static>, segment_len: usize) -> Self {
        let options = SnapshotOptions { codec: Codec::None, ..options };
        let work_len = options.scratch_len(segment_len).max(SPARE_WORK_LEN_MIN);
        Scratch { options, work: vec![0; work_len].into(), buffer: vec![0; SPARE_BUFFER_LEN].into() }
    }

    /// Makes one without memory, to be replaced before it is used. Allocates nothing.
    #[cfg(target_os = "linux")]
    pub(crate) fn empty(options: SnapshotOptions<'static>) -> Self {
        Scratch { options, work: Box::default(), buffer: Box::default() }
    }

    /// Lends the memory out.
    pub(crate) fn borrow(&mut self) -> BorrowedScratch<'_> {
        BorrowedScratch { options: self.options, work: &mut self.work, buffer: &mut self.buffer }
    }
}

impl fmt::Debug for Scratch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scratch").field("work_len", &self.work.len()).finish_non_exhaustive()
    }
}

/// Working memory, wherever it is.
pub(crate) struct BorrowedScratch<'a> {
    options: SnapshotOptions<'static>,
    work: &'a mut [u8],
    buffer: &'a mut [u8],
}

impl BorrowedScratch<'_> {
    /// Leaves out what is older than `age` at `ticks`, but for warnings and errors.
    pub(crate) fn leaving_out_before(mut self, ticks: u64, ticks_per_second: u64, age: Duration) -> Self {
        let age_ticks = age.as_nanos().saturating_mul(ticks_per_second.into()) / 1_000_000_000;
        let age_ticks = u64::try_from(age_ticks).unwrap_or(u64::MAX);
        self.options.left_out_before_ticks = ticks.saturating_sub(age_ticks);
        self.options.min_age_ns = u64::try_from(age.as_nanos()).unwrap_or(u64::MAX);
        self
    }
}

/// What a snapshot is made from.
#[derive(Clone, Copy)]
pub(crate) enum Source<'a> {
    /// A ring that is being written.
    Live(Ring<'a>),
    /// The copy of a dead one.
    Image(&'a RingImage<'a>),
}

/// What a snapshot file is called after.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Label<'a> {
    /// The true name; it is made fit for a file name.
    pub(crate) service: &'a str,
    pub(crate) pid: u64,
    /// As in the snapshot; it is made fit for a file name.
    pub(crate) reason: &'a str,
}

/// How much a snapshot matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// Another one can be had when the disk has room again.
    Normal,
    /// The process may not live to write another one: a panic, or it is dead already.
    LastWords,
}

/// How much of a disk a snapshot may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    /// Most bytes of its file.
    len: u64,
    /// Percent of the disk that were free before.
    free_percent: u8,
    /// Percent that must be free afterwards.
    needed_percent: u8,
}

impl Room {
    /// As much as there is.
    pub(crate) const ALL: Room = Room { len: u64::MAX, free_percent: 100, needed_percent: 0 };

    fn error(&self, directory: &Path) -> SnapshotError {
        let Room { free_percent, needed_percent, .. } = *self;
        SnapshotError::DiskAlmostFull { directory: directory.to_path_buf(), free_percent, needed_percent }
    }
}

/// Finds out how much a snapshot may take so that of the disk of `directory` there stay `free_percent` free, or less for last words.
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

/// Writes a snapshot to a new file in `directory` (made if missing, with mode 0700), no larger than `room`, and gives its path once it is
/// durable.
///
/// Writers of the ring are not disturbed.
///
/// # Errors
/// [`SnapshotError::Io`], [`SnapshotError::DiskAlmostFull`] or [`SnapshotError::Ring`]; no file is left then.
pub(crate) fn write(
    os: &dyn Os,
    directory: &Path,
    room: Room,
    label: Label<'_>,
    source: Source<'_>,
    ticks: u64,
    scratch: BorrowedScratch<'_>,
) -> Result<PathBuf, SnapshotError> {
    let created_unix_ns = os.unix_ns_now();
    let meta = SnapshotMeta { reason: label.reason, created_unix_ns, ticks };
    let stem = format!(
        "ttlog-{}-{}-{}-{}",
        names::service(label.service),
        label.pid,
        UtcStamp(os.naming_unix_ns(created_unix_ns)),
        names::reason(label.reason)
    );
    let temporary = Temporary::create(os, directory, &stem)?;
    temporary.fill(source, &meta, room, scratch)?;
    let path = temporary.publish(directory, &stem)?;
    // The file is whole and has its name; that a crash of the machine might take the name away again is no reason to do so now.
    static TROUBLE: report::Once = report::Once::new();
    if let Err(error) = os.sync_directory(directory) {
        TROUBLE.warn(format_args!("snapshots in {directory:?} may not survive a crash of the machine: {error}"));
    }
    Ok(path)
}

/// A file without its final name; removed when dropped.
struct Temporary<'a> {
    os: &'a dyn Os,
    file: File,
    path: PathBuf,
    published: bool,
}

impl<'a> Temporary<'a> {
    fn create(os: &'a dyn Os, directory: &Path, stem: &str) -> Result<Self, SnapshotError> {
        let path = directory.join(format!(".{stem}-{:016x}.tmp", names::random()));
        let file = match os.create(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                sys::create_private_directory(directory)
                    .map_err(|cause| io_error("create directory", directory, cause))?;
                os.create(&path)
            }
            result => result,
        }
        .map_err(|cause| io_error("create", &path, cause))?;
        Ok(Temporary { os, file, path, published: false })
    }

    fn fill(
        &self,
        source: Source<'_>,
        meta: &SnapshotMeta<'_>,
        room: Room,
        scratch: BorrowedScratch<'_>,
    ) -> Result<(), SnapshotError> {
        let BorrowedScratch { options, work, buffer } = scratch;
        let (os, file, limit) = (self.os, &self.file, sys::file_size_limit());
        let mut sink = FileSink { os, file, buffer, filled: 0, written: 0, limit: limit.min(room.len) };
        let result = match source {
            Source::Live(ring) => snapshot::write_snapshot_of_ring(ring, meta, options, work, &mut sink),
            Source::Image(image) => snapshot::write_snapshot_of_image(image, meta, options, work, &mut sink),
        };
        match result {
            Ok(_) => {}
            Err(snapshot::SnapshotError::Sink(_)) if sink.written > room.len => {
                return Err(room.error(self.path.parent().unwrap_or(&self.path)));
            }
            Err(snapshot::SnapshotError::Sink(cause)) => return Err(io_error("write", &self.path, cause)),
            Err(other) => return Err(SnapshotError::Ring { cause: other.to_string() }),
        }
        sink.flush().map_err(|cause| io_error("write", &self.path, cause))?;
        os.sync(&self.file).map_err(|cause| io_error("make durable", &self.path, cause))
    }

    /// Gives the file its name: that of the stem, or with a number when there is such a file already.
    fn publish(mut self, directory: &Path, stem: &str) -> Result<PathBuf, SnapshotError> {
        let mut path = directory.join(format!("{stem}.bin"));
        for number in 2..SAME_NAME_MAX {
            match self.os.rename(&self.path, &path) {
                Ok(()) => {
                    self.published = true;
                    return Ok(path);
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    path = directory.join(format!("{stem}-{number}.bin"));
                }
                Err(cause) => return Err(io_error("rename to", &path, cause)),
            }
        }
        Err(io_error("rename to", &path, io::ErrorKind::AlreadyExists.into()))
    }
}

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        if !self.published {
            // The error that led here matters more than one of the clean-up.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Hands the encoder's small pieces to a file in large ones, and stops short of the file size limit, whose signal would end
/// the process.
struct FileSink<'a> {
    os: &'a dyn Os,
    file: &'a File,
    buffer: &'a mut [u8],
    /// Bytes in the buffer.
    filled: usize,
    /// Bytes handed in so far.
    written: u64,
    /// Most that are taken.
    limit: u64,
}

impl FileSink<'_> {
    fn flush(&mut self) -> io::Result<()> {
        let filled = std::mem::take(&mut self.filled);
        self.os.write_all(self.file, &self.buffer[..filled])
    }
}

impl Sink for FileSink<'_> {
    type Error = io::Error;

    fn write_all(&mut self, bytes: &[u8]) -> Result<(), io::Error> {
        self.written += bytes.len() as u64;
        if self.written > self.limit {
            return Err(sys::file_too_large());
        }
        if bytes.len() > self.buffer.len() - self.filled {
            self.flush()?;
        }
        if bytes.len() > self.buffer.len() {
            return self.os.write_all(self.file, bytes);
        }
        self.buffer[self.filled..self.filled + bytes.len()].copy_from_slice(bytes);
        self.filled += bytes.len();
        Ok(())
    }
}

#[cfg(test)]
mod tests;

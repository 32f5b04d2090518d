//! Snapshot files: writing the ring to a file that is either complete or absent.
//!
//! A snapshot is written to a temporary file in its final directory (mode 0600, never through a symbolic link), made
//! durable, and only then given its name, which no other file has; then the directory is made durable. If any step
//! fails, the temporary file is removed. [`publish`] defines the order of these steps; the steps themselves are here.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use ttlog_core::snapshot::file_name::{SAME_NAME_MAX, SnapshotName, SnapshotStem, TemporaryName, UtcStamp};
use ttlog_core::snapshot::publish::{self, Directory, PublishError, Renamed};
use ttlog_core::snapshot::{self, Sink, SnapshotMeta};
use ttlog_core::{Ring, RingImage};

use super::error::SnapshotError;
use super::os::Os;
use super::room::Room;
use super::scratch::BorrowedScratch;
use crate::sys::{self, report};

/// Source of a snapshot.
#[derive(Clone, Copy)]
pub(crate) enum SnapshotSource<'a> {
    /// A live ring, to which threads write.
    Live(Ring<'a>),
    /// The copy of a dead ring.
    Image(&'a RingImage<'a>),
}

/// Parts of the name of a snapshot file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Label<'a> {
    /// The actual name; it is sanitized for the file name.
    pub(crate) service: &'a str,
    pub(crate) pid: u64,
    /// As in the snapshot; it is sanitized for the file name.
    pub(crate) reason: &'a str,
}

/// Writes a snapshot to a new file in `directory` (created if missing, with mode 0700), no larger than `room`, and
/// returns its path once it is durable.
///
/// Does not disturb writers of the ring.
///
/// # Errors
/// [`SnapshotError::Io`], [`SnapshotError::DiskAlmostFull`] or [`SnapshotError::Ring`]; no file is left then.
pub(crate) fn write(
    os: &dyn Os,
    directory: &Path,
    room: Room,
    label: Label<'_>,
    source: SnapshotSource<'_>,
    ticks: u64,
    scratch: BorrowedScratch<'_>,
) -> Result<PathBuf, SnapshotError> {
    let created_unix_ns = os.unix_ns_now();
    let meta = SnapshotMeta { reason: label.reason, created_unix_ns, ticks };
    let time = UtcStamp::from_unix_ns(os.naming_unix_ns(created_unix_ns));
    let stem = SnapshotStem { service: label.service, id: label.pid, time, reason: label.reason };
    let mut publication = Publication { os, directory, room, source, meta, scratch, temporary: None };
    match publish::publish(&mut publication, stem, sys::random()) {
        Ok(published) => {
            // The file is complete and has its name; that a crash of the machine might undo the renaming is no reason
            // to do so now.
            static TROUBLE: report::Once = report::Once::new();
            if let Err(error) = published.directory_sync {
                TROUBLE
                    .warn(format_args!("snapshots in {directory:?} might not survive a crash of the machine: {error}"));
            }
            Ok(directory.join(published.name.to_string()))
        }
        Err(PublishError::Step(error)) => Err(error),
        Err(PublishError::NamesTaken) => {
            let last = directory.join(SnapshotName { stem, number: SAME_NAME_MAX }.to_string());
            Err(SnapshotError::io("rename to", &last, io::ErrorKind::AlreadyExists.into()))
        }
    }
}

/// A snapshot on its way into its directory.
struct Publication<'a> {
    os: &'a dyn Os,
    directory: &'a Path,
    room: Room,
    source: SnapshotSource<'a>,
    meta: SnapshotMeta<'a>,
    scratch: BorrowedScratch<'a>,
    /// From its creation until it has its final name.
    temporary: Option<Temporary>,
}

/// A file without its final name; removed when dropped.
struct Temporary {
    file: File,
    path: PathBuf,
    is_published: bool,
}

impl Publication<'_> {
    /// Returns the file that is being written; the protocol creates it first.
    fn temporary(&mut self) -> Result<&mut Temporary, SnapshotError> {
        let missing = || SnapshotError::io("write in", self.directory, io::ErrorKind::NotFound.into());
        self.temporary.as_mut().ok_or_else(missing)
    }

    fn renamed(&mut self, result: io::Result<()>, to: &Path) -> Result<Renamed, SnapshotError> {
        match result {
            Ok(()) => {
                self.temporary()?.is_published = true;
                Ok(Renamed::Done)
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(Renamed::Taken),
            Err(cause) => Err(SnapshotError::io("rename to", to, cause)),
        }
    }
}

impl Directory for Publication<'_> {
    type Error = SnapshotError;

    fn create(&mut self, temporary: &TemporaryName<'_>) -> Result<(), SnapshotError> {
        let path = self.directory.join(temporary.to_string());
        let file = match self.os.create(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                sys::create_private_directory(self.directory)
                    .map_err(|cause| SnapshotError::io("create directory", self.directory, cause))?;
                self.os.create(&path)
            }
            result => result,
        }
        .map_err(|cause| SnapshotError::io("create", &path, cause))?;
        self.temporary = Some(Temporary { file, path, is_published: false });
        Ok(())
    }

    fn fill(&mut self) -> Result<(), SnapshotError> {
        let (os, room, source, meta) = (self.os, self.room, self.source, self.meta);
        self.temporary()?;
        let Some(Temporary { file, path, .. }) = &self.temporary else { return Ok(()) };
        let BorrowedScratch { options, work, buffer } = &mut self.scratch;
        let limit = sys::file_size_limit().min(room.len);
        let mut sink = FileSink { os, file, buffer, filled: 0, written: 0, limit };
        let result = match source {
            SnapshotSource::Live(ring) => snapshot::write_snapshot_of_ring(ring, &meta, *options, work, &mut sink),
            SnapshotSource::Image(image) => snapshot::write_snapshot_of_image(image, &meta, *options, work, &mut sink),
        };
        match result {
            Ok(_) => {}
            Err(snapshot::WriteError::Sink(_)) if sink.written > room.len => {
                return Err(room.error(self.directory));
            }
            Err(snapshot::WriteError::Sink(cause)) => return Err(SnapshotError::io("write", path, cause)),
            Err(other) => return Err(SnapshotError::Ring { cause: other.to_string() }),
        }
        sink.flush().map_err(|cause| SnapshotError::io("write", path, cause))
    }

    fn sync_file(&mut self) -> Result<(), SnapshotError> {
        let os = self.os;
        let Temporary { file, path, .. } = self.temporary()?;
        os.sync(file).map_err(|cause| SnapshotError::io("make durable", path, cause))
    }

    fn rename_new(&mut self, _: &TemporaryName<'_>, to: &SnapshotName<'_>) -> Result<Renamed, SnapshotError> {
        let (os, to) = (self.os, self.directory.join(to.to_string()));
        let result = os.rename(&self.temporary()?.path, &to);
        self.renamed(result, &to)
    }

    fn exists(&mut self, name: &SnapshotName<'_>) -> bool {
        self.directory.join(name.to_string()).symlink_metadata().is_ok()
    }

    fn rename(&mut self, from: &TemporaryName<'_>, to: &SnapshotName<'_>) -> Result<(), SnapshotError> {
        self.rename_new(from, to).map(drop)
    }

    fn remove(&mut self, _: &TemporaryName<'_>) {
        self.temporary = None;
    }

    fn sync_directory(&mut self) -> Result<(), SnapshotError> {
        let synced = self.os.sync_directory(self.directory);
        synced.map_err(|cause| SnapshotError::io("make durable", self.directory, cause))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.is_published {
            // The error that led here matters more than one of the cleanup.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Passes the encoder's small pieces to a file in large ones, and stops before the file size limit, whose signal would
/// end the process.
struct FileSink<'a> {
    os: &'a dyn Os,
    file: &'a File,
    buffer: &'a mut [u8],
    /// Number of bytes in the buffer.
    filled: usize,
    /// Number of bytes accepted so far.
    written: u64,
    /// Largest number of bytes accepted.
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

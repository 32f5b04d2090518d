//! Snapshot files: from the ring to a file that is whole or not there.
//!
//! A snapshot is written to a temporary file in the directory it will live in (mode 0600, never through a symbolic link), made
//! durable, and only then gets its name, which no other file has; then the directory is made durable. Whatever fails on the
//! way, the temporary file is removed. Memory for all this is allocated once, at the start of the recorder, because the panic
//! hook must not depend on the allocator more than it can help.

use std::fmt;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use ttlog_core::snapshot::{self, Codec, Sink, SnapshotMeta};
use ttlog_core::{Ring, RingImage};

use crate::names::{self, UtcStamp};
use crate::sys;

/// Bytes gathered before they are written.
const BUFFER_LEN: usize = 64 * 1024;
/// Bytes of working memory with which a snapshot can be written without compression.
const SMALL_SCRATCH_LEN: usize = 512;
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
    /// There is no service thread: it could not be created, or this process is a fork of the one that has it.
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

fn io_error(action: &'static str, path: &Path, cause: io::Error) -> SnapshotError {
    SnapshotError::Io { action, path: path.to_path_buf(), cause }
}

/// Working memory for one snapshot at a time.
pub(crate) struct Scratch {
    codec: Codec,
    /// For the core's encoder.
    work: Box<[u8]>,
    /// Between the encoder and the file.
    buffer: Box<[u8]>,
}

impl Scratch {
    /// Allocates what a ring with segments of `segment_len` bytes needs.
    pub(crate) fn new(segment_len: usize) -> Self {
        Scratch {
            codec: Codec::Lz4,
            work: vec![0; snapshot::scratch_len(segment_len)].into(),
            buffer: vec![0; BUFFER_LEN].into(),
        }
    }

    /// Lends the memory out.
    pub(crate) fn borrow(&mut self) -> BorrowedScratch<'_> {
        BorrowedScratch { codec: self.codec, work: &mut self.work, buffer: &mut self.buffer }
    }
}

impl fmt::Debug for Scratch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scratch").field("work_len", &self.work.len()).finish_non_exhaustive()
    }
}

/// Working memory on the stack, for when the allocated one is in use and cannot be waited for. Snapshots made with it are not
/// compressed.
pub(crate) struct StackScratch {
    work: [u8; SMALL_SCRATCH_LEN],
    buffer: [u8; 8 * 1024],
}

impl StackScratch {
    /// Makes it.
    pub(crate) fn new() -> Self {
        StackScratch { work: [0; SMALL_SCRATCH_LEN], buffer: [0; 8 * 1024] }
    }

    /// Lends the memory out.
    pub(crate) fn borrow(&mut self) -> BorrowedScratch<'_> {
        BorrowedScratch { codec: Codec::None, work: &mut self.work, buffer: &mut self.buffer }
    }
}

/// Working memory, wherever it is.
pub(crate) struct BorrowedScratch<'a> {
    codec: Codec,
    work: &'a mut [u8],
    buffer: &'a mut [u8],
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

/// Writes a snapshot to a new file in `directory` (made if missing, with mode 0700) and gives its path once it is durable.
///
/// Writers of the ring are not disturbed.
///
/// # Errors
/// [`SnapshotError::Io`] or [`SnapshotError::Ring`]; no file is left then.
pub(crate) fn write(
    directory: &Path,
    label: Label<'_>,
    source: Source<'_>,
    ticks: u64,
    scratch: BorrowedScratch<'_>,
) -> Result<PathBuf, SnapshotError> {
    let created_unix_ns = crate::clock::unix_ns_now();
    let meta = SnapshotMeta { reason: label.reason, created_unix_ns, ticks };
    let stem = format!(
        "ttlog-{}-{}-{}-{}",
        names::service(label.service),
        label.pid,
        UtcStamp(created_unix_ns),
        names::reason(label.reason)
    );
    let temporary = Temporary::create(directory, &stem)?;
    temporary.fill(source, &meta, scratch)?;
    let path = temporary.publish(directory, &stem)?;
    sync_directory(directory)?;
    Ok(path)
}

/// A file without its final name; removed when dropped.
struct Temporary {
    file: File,
    path: PathBuf,
    published: bool,
}

impl Temporary {
    fn create(directory: &Path, stem: &str) -> Result<Self, SnapshotError> {
        let path = directory.join(format!(".{stem}-{:016x}.tmp", names::random()));
        let file = match sys::create_private(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                create_directory(directory).map_err(|cause| io_error("create directory", directory, cause))?;
                sys::create_private(&path)
            }
            result => result,
        }
        .map_err(|cause| io_error("create", &path, cause))?;
        Ok(Temporary { file, path, published: false })
    }

    fn fill(
        &self,
        source: Source<'_>,
        meta: &SnapshotMeta<'_>,
        scratch: BorrowedScratch<'_>,
    ) -> Result<(), SnapshotError> {
        let BorrowedScratch { codec, work, buffer } = scratch;
        let mut sink = FileSink { file: &self.file, buffer, filled: 0, written: 0, limit: sys::file_size_limit() };
        let result = match source {
            Source::Live(ring) => snapshot::write_snapshot_of_ring(ring, meta, codec, work, &mut sink),
            Source::Image(image) => snapshot::write_snapshot_of_image(image, meta, codec, work, &mut sink),
        };
        match result {
            Ok(_) => {}
            Err(snapshot::SnapshotError::Sink(cause)) => return Err(io_error("write", &self.path, cause)),
            Err(other) => return Err(SnapshotError::Ring { cause: other.to_string() }),
        }
        sink.flush().map_err(|cause| io_error("write", &self.path, cause))?;
        self.file.sync_all().map_err(|cause| io_error("make durable", &self.path, cause))
    }

    /// Gives the file its name: that of the stem, or with a number when there is such a file already.
    fn publish(mut self, directory: &Path, stem: &str) -> Result<PathBuf, SnapshotError> {
        let mut path = directory.join(format!("{stem}.bin"));
        for number in 2..SAME_NAME_MAX {
            match sys::rename_no_clobber(&self.path, &path) {
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

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.published {
            // The error that led here matters more than one of the clean-up.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn create_directory(path: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Makes the names in a directory durable.
fn sync_directory(path: &Path) -> Result<(), SnapshotError> {
    #[cfg(unix)]
    {
        File::open(path)
            .and_then(|directory| directory.sync_all())
            .or_else(|error| match error.raw_os_error() {
                // Some file systems have nothing to sync in a directory and say so.
                Some(libc::EINVAL | libc::ENOTSUP | libc::EBADF) => Ok(()),
                _ => Err(error),
            })
            .map_err(|cause| io_error("make durable", path, cause))
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        Ok(())
    }
}

/// Hands the encoder's small pieces to a file in large ones, and stops short of the file size limit, whose signal would end
/// the process.
struct FileSink<'a> {
    file: &'a File,
    buffer: &'a mut [u8],
    /// Bytes in the buffer.
    filled: usize,
    /// Bytes handed in so far.
    written: u64,
    limit: u64,
}

impl FileSink<'_> {
    fn flush(&mut self) -> io::Result<()> {
        let filled = std::mem::take(&mut self.filled);
        self.file.write_all(&self.buffer[..filled])
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
            return self.file.write_all(bytes);
        }
        self.buffer[self.filled..self.filled + bytes.len()].copy_from_slice(bytes);
        self.filled += bytes.len();
        Ok(())
    }
}

#[cfg(test)]
mod tests;

//! Snapshots written by the viewer: of dead rings, and of live ones without involving their process.
//!
//! A snapshot is written to a hidden temporary file that only its owner can read and synced to disk. It is then given
//! a name that no other file has, and the directory is synced. Under its final name there is therefore either the
//! whole snapshot or nothing. Recorders recognize the form of the temporary name and remove such files if they are
//! left behind.

use std::fs::{File, OpenOptions};
use std::hash::{BuildHasher as _, Hasher as _};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use ttlog_core::ring::RingImage;
use ttlog_core::snapshot::file_name::{SnapshotName, SnapshotStem, TemporaryName, UtcStamp};
use ttlog_core::snapshot::publish::{Directory, PublishError, Renamed, publish};
use ttlog_core::snapshot::{SnapshotMeta, SnapshotOptions, SnapshotStats, WriteError, write_snapshot_of_image};
use ttlog_core::table::ProcessInfo;
use ttlog_read::event::secrets::Secrets;
use ttlog_read::text::escape::error_line;

#[cfg(unix)]
use super::lock::lock;

/// A snapshot that was written.
#[derive(Clone, Debug)]
pub struct Written {
    /// Path of the file.
    pub path: PathBuf,
    /// Number of events in it.
    pub events: u64,
}

/// Returns the directory for snapshots: `asked` if given, else `$TTLOG_SNAPSHOT_DIR`, else the temporary directory,
/// as recorders do.
#[must_use]
pub fn directory(asked: Option<&Path>) -> PathBuf {
    let of_environment = || std::env::var_os("TTLOG_SNAPSHOT_DIR").filter(|value| !value.is_empty()).map(PathBuf::from);
    asked.map(Path::to_path_buf).or_else(of_environment).unwrap_or_else(std::env::temp_dir)
}

/// Writes a snapshot of a ring's bytes, without `secrets`, to a new file in `directory`. `ticks` is the reading of
/// the ring's clock up to which the snapshot is complete; 0 means to the end of recording.
///
/// # Errors
/// Returns a message that says what failed; no file is left then.
pub fn write(
    image: &RingImage<'_>,
    process: &ProcessInfo<'_>,
    reason: &str,
    ticks: u64,
    secrets: &Secrets,
    directory: &Path,
) -> Result<Written, String> {
    let created_unix_ns = i64::try_from(Timestamp::now().as_nanosecond()).unwrap_or(0);
    let meta = SnapshotMeta { reason, created_unix_ns, ticks };
    let segment_len = image.header().segment_len as usize;
    let scratch_len = |options: &SnapshotOptions<'_>| options.scratch_len(segment_len);
    write_with(process.service, process.pid, reason, scratch_len, secrets, directory, |options, scratch, sink| {
        write_snapshot_of_image(image, &meta, options, scratch, sink)
    })
}

/// Writes a snapshot to a new file in `directory`. `fill` produces it, with options and as much scratch space as they
/// take. The file name contains the service, a number (of the process, or of the session of a device) and the reason.
///
/// # Errors
/// Returns a message that says what failed. No file is left then, except if only its name could not be made durable.
pub fn write_with(
    service: &str,
    number: u64,
    reason: &str,
    scratch_len: impl FnOnce(&SnapshotOptions<'_>) -> usize,
    secrets: &Secrets,
    directory: &Path,
    fill: impl FnOnce(SnapshotOptions<'_>, &mut [u8], &mut FileSink) -> Result<SnapshotStats, WriteError<io::Error>>,
) -> Result<Written, String> {
    let time = UtcStamp::from_unix_ns(i64::try_from(Timestamp::now().as_nanosecond()).unwrap_or(0));
    let stem = SnapshotStem { service, id: number, time, reason };
    secrets.with_options(|options| {
        let mut scratch = vec![0; scratch_len(&options)];
        let fill = |sink: &mut FileSink| fill(options, &mut scratch, sink);
        let mut place = Place { directory, fill: Some(fill), file: None, temporary: None, events: 0 };
        let published = publish(&mut place, stem, random()).map_err(|error| match error {
            PublishError::Step(line) => line,
            PublishError::NamesTaken => error_line(directory, &error),
        })?;
        // Without this, a power failure can lose the new name although the data is on disk.
        published.directory_sync?;
        Ok(Written { path: directory.join(published.name.to_string()), events: place.events })
    })
}

/// The directory while a snapshot is written to it. Dropping it removes a leftover temporary file.
struct Place<'d, F> {
    directory: &'d Path,
    fill: Option<F>,
    file: Option<File>,
    temporary: Option<PathBuf>,
    events: u64,
}

impl<F> Place<'_, F> {
    fn temporary(&self) -> &Path {
        self.temporary.as_deref().unwrap_or(self.directory)
    }
}

impl<F> Directory for Place<'_, F>
where
    F: FnOnce(&mut FileSink) -> Result<SnapshotStats, WriteError<io::Error>>,
{
    /// Returns a message that says what failed.
    type Error = String;

    fn create(&mut self, temporary: &TemporaryName<'_>) -> Result<(), String> {
        let path = self.directory.join(temporary.to_string());
        let mut open = OpenOptions::new();
        open.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut open, 0o600);
        let file = open.open(&path).map_err(|error| error_line(self.directory, &error))?;
        self.temporary = Some(path);
        // A umask can have removed the owner's permissions too.
        #[cfg(unix)]
        file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))
            .map_err(|error| error_line(self.temporary(), &error))?;
        // Recorders remove files that nobody has locked. On a file system without locks they judge by the file's age.
        #[cfg(unix)]
        let _ = lock(&file);
        self.file = Some(file);
        Ok(())
    }

    fn fill(&mut self) -> Result<(), String> {
        // It was just created, and is filled once.
        let (Some(file), Some(fill)) = (self.file.take(), self.fill.take()) else { return Ok(()) };
        let mut sink = FileSink(io::BufWriter::with_capacity(1 << 18, file));
        let stats = fill(&mut sink).map_err(|error| error_line(self.temporary(), &error))?;
        let file = sink.0.into_inner().map_err(|error| error_line(self.temporary(), &error.into_error()))?;
        self.file = Some(file);
        self.events = stats.event_count;
        Ok(())
    }

    fn sync_file(&mut self) -> Result<(), String> {
        let synced = self.file.as_ref().map_or(Ok(()), File::sync_all);
        synced.map_err(|error| error_line(self.temporary(), &error))
    }

    fn rename_new(&mut self, from: &TemporaryName<'_>, to: &SnapshotName<'_>) -> Result<Renamed, String> {
        // Unlike a rename, a link never replaces an existing file.
        match std::fs::hard_link(self.temporary(), self.directory.join(to.to_string())) {
            Ok(()) => {
                self.remove(from);
                Ok(Renamed::Done)
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(Renamed::Taken),
            // File systems without links.
            Err(_) => Ok(Renamed::Unsupported),
        }
    }

    fn exists(&mut self, name: &SnapshotName<'_>) -> bool {
        self.directory.join(name.to_string()).symlink_metadata().is_ok()
    }

    fn rename(&mut self, _from: &TemporaryName<'_>, to: &SnapshotName<'_>) -> Result<(), String> {
        std::fs::rename(self.temporary(), self.directory.join(to.to_string()))
            .map_err(|error| error_line(self.directory, &error))?;
        self.temporary = None;
        Ok(())
    }

    fn remove(&mut self, _temporary: &TemporaryName<'_>) {
        if let Some(path) = self.temporary.take() {
            // An earlier error matters more.
            let _ = std::fs::remove_file(path);
        }
    }

    #[cfg(unix)]
    fn sync_directory(&mut self) -> Result<(), String> {
        File::open(self.directory)
            .and_then(|directory| directory.sync_all())
            .map_err(|error| error_line(self.directory, &error))
    }

    #[cfg(not(unix))]
    fn sync_directory(&mut self) -> Result<(), String> {
        Ok(())
    }
}

impl<F> Drop for Place<'_, F> {
    fn drop(&mut self) {
        if let Some(path) = self.temporary.take() {
            // Filling it panicked; there is nobody to report to.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// A file in the form that the snapshot writer needs.
#[derive(Debug)]
pub struct FileSink(io::BufWriter<File>);

impl ttlog_core::snapshot::Sink for FileSink {
    type Error = io::Error;

    fn write_all(&mut self, bytes: &[u8]) -> Result<(), io::Error> {
        self.0.write_all(bytes)
    }
}

/// Returns a number that another process is very unlikely to get.
fn random() -> u64 {
    // Seeded by the operating system, and different with every call.
    let mut hasher = std::collections::hash_map::RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    hasher.finish()
}

//! Snapshots that the viewer writes: of dead rings, and of living ones whose process knows nothing of it.
//!
//! A snapshot is written to a hidden temporary file that only its owner can read, brought to disk, given a name that no other file
//! has, and the directory brought to disk: under its final name there is either the whole snapshot or nothing. The temporary name
//! is of the form that recorders sweep away when it is left behind.

use std::fs::{File, OpenOptions};
use std::hash::{BuildHasher as _, Hasher as _};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use ttlog_core::ring::RingImage;
use ttlog_core::snapshot::{SnapshotError, SnapshotMeta, SnapshotOptions, SnapshotStats, write_snapshot_of_image};
use ttlog_core::table::ProcessInfo;
use ttlog_read::event::secrets::Secrets;
use ttlog_read::text::escape::error_line;
use ttlog_read::text::escape::escaped;

/// Longest part of a service's name in a file's name.
const SERVICE_LEN_MAX: usize = 64;
/// Longest part of a reason in a file's name.
const REASON_LEN_MAX: usize = 48;
/// Snapshots of one service, process, second and reason that get names of their own.
const SAME_NAME_MAX: u32 = 10_000;

/// A snapshot that was written.
#[derive(Clone, Debug)]
pub struct Written {
    /// Its file.
    pub path: PathBuf,
    /// Events in it.
    pub events: u64,
}

/// Gives the directory for snapshots: what was asked for, else `$TTLOG_SNAPSHOT_DIR`, else the temporary directory, as the recorders
/// do.
#[must_use]
pub fn directory(asked: Option<&Path>) -> PathBuf {
    let of_environment = || std::env::var_os("TTLOG_SNAPSHOT_DIR").filter(|value| !value.is_empty()).map(PathBuf::from);
    asked.map(Path::to_path_buf).or_else(of_environment).unwrap_or_else(std::env::temp_dir)
}

/// Writes a snapshot of a ring's bytes, without `secrets`, to a new file in `directory`. `ticks` is the reading of the ring's clock up to which everything
/// is there; 0: to the end of recording.
///
/// # Errors
/// A line that says what failed; no file is left then.
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

/// Writes a snapshot that `fill` makes, with options and as much scratch as they take, to a new file in `directory`. Its
/// name has the service, the number (of a process, or of a session of a device) and the reason in it.
///
/// # Errors
/// A line that says what failed; no file is left then.
pub fn write_with(
    service: &str,
    number: u64,
    reason: &str,
    scratch_len: impl FnOnce(&SnapshotOptions<'_>) -> usize,
    secrets: &Secrets,
    directory: &Path,
    fill: impl FnOnce(SnapshotOptions<'_>, &mut [u8], &mut FileSink) -> Result<SnapshotStats, SnapshotError<io::Error>>,
) -> Result<Written, String> {
    let stem = stem(service, number, reason, Timestamp::now());
    let temporary = Temporary(directory.join(format!(".{stem}-{:016x}.tmp", random())));
    let events = secrets.with_options(|options| {
        let mut scratch = vec![0; scratch_len(&options)];
        write_file(&temporary.0, |sink| fill(options, &mut scratch, sink))
    })?;
    let path = publish(&temporary.0, directory, &stem).map_err(|error| error_line(directory, &error))?;
    // Without this the new name may be lost with the power, though the data is there.
    #[cfg(unix)]
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(|error| error_line(directory, &error))?;
    Ok(Written { path, events })
}

/// A file without its final name; removed when dropped.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        // Where it has its final name only, or was never made, there is nothing to remove; and an error before matters more.
        let _ = std::fs::remove_file(&self.0);
    }
}

fn write_file(
    path: &Path,
    fill: impl FnOnce(&mut FileSink) -> Result<SnapshotStats, SnapshotError<io::Error>>,
) -> Result<u64, String> {
    let text = |error: io::Error| error_line(path, &error);
    let mut open = OpenOptions::new();
    open.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut open, 0o600);
    let file = open.open(path).map_err(|error| error_line(path.parent().unwrap_or(path), &error))?;
    // A umask may have taken the owner's permissions away, too.
    #[cfg(unix)]
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600)).map_err(text)?;
    // Recorders sweep away what nobody has locked. A file system without locks leaves that to the file's age.
    #[cfg(unix)]
    let _ = crate::command::recover::lock(&file);
    let mut sink = FileSink(io::BufWriter::with_capacity(1 << 18, file));
    let stats = fill(&mut sink).map_err(|error| format!("{}: {error}", escaped(&path.to_string_lossy())))?;
    let file = sink.0.into_inner().map_err(|error| text(error.into_error()))?;
    file.sync_all().map_err(text)?;
    Ok(stats.event_count)
}

/// A file as the snapshot's writer wants it.
#[derive(Debug)]
pub struct FileSink(io::BufWriter<File>);

impl ttlog_core::snapshot::Sink for FileSink {
    type Error = io::Error;

    fn write_all(&mut self, bytes: &[u8]) -> Result<(), io::Error> {
        self.0.write_all(bytes)
    }
}

/// Gives the file a name that no other has, with a number where the plain one is taken.
fn publish(temporary: &Path, directory: &Path, stem: &str) -> io::Result<PathBuf> {
    for n in 1..=SAME_NAME_MAX {
        let path = directory.join(if n == 1 { format!("{stem}.bin") } else { format!("{stem}-{n}.bin") });
        // A link, unlike a new name, never replaces what has that name already.
        match std::fs::hard_link(temporary, &path) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            // File systems without links.
            Err(_) if path.symlink_metadata().is_err() => {
                std::fs::rename(temporary, &path)?;
                return Ok(path);
            }
            Err(_) => {}
        }
    }
    Err(io::Error::new(io::ErrorKind::AlreadyExists, "all names for this second are taken"))
}

/// Gives the name without its end: `ttlog-<service>-<number>-<utc time>-<reason>`.
fn stem(service: &str, number: u64, reason: &str, now: Timestamp) -> String {
    let (service, reason) = (name_part(service, SERVICE_LEN_MAX), name_part(reason, REASON_LEN_MAX));
    format!("ttlog-{service}-{number}-{}-{reason}", now.strftime("%Y%m%dT%H%M%SZ"))
}

/// Makes a text harmless as part of a file's name, in the same way as the recorder does.
fn name_part(text: &str, len_max: usize) -> String {
    if text.is_empty() {
        return "unnamed".to_owned();
    }
    let keep = |(index, c): (usize, char)| {
        let leading = index == 0 && matches!(c, '.' | '-');
        if !leading && (c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')) { c } else { '_' }
    };
    text.chars().take(len_max).enumerate().map(keep).collect()
}

/// Gives a number that another process is very unlikely to get.
fn random() -> u64 {
    // Seeded by the operating system, and changed with every call.
    let mut hasher = std::collections::hash_map::RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    hasher.finish()
}

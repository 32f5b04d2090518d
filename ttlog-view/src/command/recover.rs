//! The command `recover`: turns the rings left behind by dead processes into snapshots.
//!
//! A ring counts as in use while its file is locked, or while the process named in its table exists, has the start
//! time recorded there and has the file mapped (not the case after `exec`). On a file system that several hosts share,
//! one of another host also counts as in use until it has been silent for a day: its lock might be invisible here. The
//! lock is held while the snapshot is made, so that two recoveries do not do the same work. If requested, the ring is
//! removed once its snapshot is complete and on disk.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use ttlog_core::ring::RingImage;
use ttlog_core::snapshot::Content;
use ttlog_read::event::secrets::Secrets;
use ttlog_read::source::find::is_ring_name;
use ttlog_read::source::holder::{Holder, holder, holder_besides_us, shared_file_system};
use ttlog_read::source::owner::with_owner;
use ttlog_read::source::process::Liveness;
use ttlog_read::source::separate::one_recording;
use ttlog_read::source::{content, files_in, read_head, read_with};
use ttlog_read::text::escape::error_line;
use ttlog_read::text::escape::escaped;
use ttlog_read::text::number::grouped;

use super::options::SecretArgs;
use crate::terminal::{Outcome, complain};
use crate::write::lock::lock;
use crate::write::snapshot_file::{self, Written};

/// Options of `recover`.
#[derive(Args, Debug)]
pub struct Recover {
    /// Directory of the rings
    pub directory: PathBuf,
    /// Directory for the snapshots [default: the temporary directory, like the programs' own snapshots]
    #[arg(short, long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// Remove each ring once its snapshot is safely on disk
    #[arg(long)]
    pub remove: bool,
    /// Options about secrets.
    #[command(flatten)]
    pub secrets: SecretArgs,
}

/// Recovers the rings of a directory.
///
/// # Errors
/// Returns an error if writing to `out` fails.
pub fn run(options: &Recover, out: &mut dyn Write) -> io::Result<Outcome> {
    let paths = match files_in(&options.directory) {
        Ok(paths) => paths,
        Err(error) => {
            complain(&error_line(&options.directory, &error));
            return Ok(Outcome::Failed);
        }
    };
    let output = snapshot_file::directory(options.output.as_deref());
    let secrets = options.secrets.secrets();
    let mut outcome = Outcome::Good;
    let (mut recovered, mut left) = (0, 0);
    for path in paths {
        let file = match open_unfollowed(&path) {
            Ok(file) => file,
            // Somebody else has just recovered it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => {
                // A file that is not named like a ring is not ours to read.
                if is_ring_name(&path) {
                    outcome = Outcome::Partial;
                    complain(&error_line(&path, &format_args!("not recovered: {}", with_owner(&path, error))));
                }
                continue;
            }
        };
        if !matches!(content(&file), Ok(Content::Ring)) {
            continue;
        }
        let done = recover(&path, &file, &output, options.remove, &secrets);
        let line = match &done {
            Ok(Done::Recovered { snapshot, events, overwritten }) => {
                recovered += 1;
                let (events, overwritten) = (grouped(*events), grouped(*overwritten));
                let snapshot = escaped(&snapshot.to_string_lossy());
                format!("recovered {events} events ({overwritten} were overwritten) to {snapshot}")
            }
            Ok(Done::Empty) => "holds no events; no snapshot made".to_owned(),
            Ok(Done::InUse(why)) => {
                left += 1;
                format!("left alone: {why}")
            }
            Err(error) => {
                outcome = Outcome::Partial;
                complain(&error_line(&path, &format_args!("not recovered: {error}")));
                continue;
            }
        };
        let removed = options.remove && matches!(done, Ok(Done::Recovered { .. } | Done::Empty));
        writeln!(out, "{}: {line}{}", escaped(&path.to_string_lossy()), if removed { "; ring removed" } else { "" })?;
    }
    writeln!(out, "{recovered} recovered, {left} left alone")?;
    Ok(outcome)
}

/// Result of handling one ring.
#[derive(Debug)]
enum Done {
    Recovered { snapshot: PathBuf, events: u64, overwritten: u64 },
    Empty,
    InUse(String),
}

fn recover(path: &Path, file: &File, output: &Path, remove: bool, secrets: &Secrets) -> Result<Done, String> {
    let text = |error: io::Error| error.to_string();
    if !lock(file).map_err(text)? {
        return Ok(Done::InUse(holder_of_locked(file)));
    }
    // A previous holder of the lock might have recovered and removed it.
    if !is_still_there(path, file).map_err(text)? {
        return Ok(Done::InUse("somebody else has just recovered it".to_owned()));
    }
    let bytes = read_with(file, holder_besides_us).map_err(text)?;
    let image = RingImage::parse(&bytes.data).map_err(|error| error.to_string())?;
    let process = image.process().unwrap_or_default();
    match bytes.holder {
        Some(Holder { liveness: Liveness::Running, .. }) => {
            return Ok(Done::InUse(format!("process {} is running", process.pid)));
        }
        Some(Holder { is_free: false, .. }) => {
            let host = if process.host.is_empty() { "unnamed".to_owned() } else { escaped(process.host) };
            let system = shared_file_system(file).unwrap_or("unknown");
            return Ok(Done::InUse(format!(
                "it is of another host, {host}, whose lock might be invisible on this file system ({system}); \
                 recover it there, or recover a copy"
            )));
        }
        _ => {}
    }
    one_recording(&bytes.data)?;
    let loss = image.loss();
    let holds_segments = (0..image.header().segment_count)
        .take_while(|index| u64::from(*index) * u64::from(image.header().segment_len) < bytes.data.len() as u64)
        .any(|index| !matches!(image.segment(index), ttlog_core::ring::SegmentState::Unused));
    let done = if holds_segments || loss.dropped_total() > 0 {
        let Written { path: snapshot, events } =
            snapshot_file::write(&image, &process, "recovered", 0, secrets, output)?;
        Done::Recovered { snapshot, events, overwritten: loss.overwritten }
    } else {
        Done::Empty
    };
    if remove {
        std::fs::remove_file(path)
            .map_err(|error| format!("snapshot made, but the ring cannot be removed: {error}"))?;
    }
    Ok(done)
}

/// Returns who holds the lock of a ring.
fn holder_of_locked(file: &File) -> String {
    let holder = read_head(file).ok().and_then(|head| {
        let image = RingImage::parse(&head).ok()?;
        Some((holder(&image, file), image.process().unwrap_or_default().pid))
    });
    match holder {
        Some((Holder { liveness: Liveness::Running, local_pid: Some(pid), .. }, named)) if pid != named => {
            format!("process {pid} is running ({named} in its own pid namespace)")
        }
        Some((Holder { liveness: Liveness::Running, .. }, pid)) => format!("process {pid} is running"),
        Some((Holder { liveness: Liveness::Elsewhere, .. }, pid)) => {
            format!("it is locked: process {pid} is running, in another pid namespace")
        }
        _ => "it is locked".to_owned(),
    }
}

/// Opens a file without following links and without waiting; for writing too if possible, because NFS locks only such
/// files exclusively.
fn open_unfollowed(path: &Path) -> io::Result<File> {
    let open = |write: bool| unfollowed().read(true).write(write).open(path);
    open(true).or_else(|_| open(false))
}

fn unfollowed() -> OpenOptions {
    #[cfg_attr(not(unix), allow(unused_mut, reason = "only Unix has flags"))]
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    {
        use rustix::fs::OFlags;
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, flags.bits().cast_signed());
    }
    options
}

/// Returns whether the path still refers to this file.
#[cfg(unix)]
fn is_still_there(path: &Path, file: &File) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt as _;
    let held = file.metadata()?;
    match path.symlink_metadata() {
        Ok(named) => Ok((named.dev(), named.ino()) == (held.dev(), held.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Never called: there is no lock to hold.
#[cfg(not(unix))]
fn is_still_there(_path: &Path, _file: &File) -> io::Result<bool> {
    Ok(false)
}

//! The command `recover`: turns the rings that dead processes left behind into snapshots.
//!
//! A ring is taken to be in use while its file is locked, or while the process that its table names is there with the start time
//! it names. The lock is held while the snapshot is made, so that two recoveries do not do the same work.
//!
//! A snapshot is written to a temporary file that only its owner can read, brought to disk, renamed, and the directory brought to disk:
//! under its final name there is either the whole snapshot or nothing. Only then is the ring removed, where that is asked for.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use ttlog_core::ring::RingImage;
use ttlog_core::snapshot::{Codec, SnapshotMeta, write_snapshot_of_image};
use ttlog_core::table::{ProcessInfo, TableItem};

use crate::cli::Recover;
use crate::source::process::{Liveness, liveness};
use crate::source::{Content, content, files_in, read, shown};
use crate::time::grouped;
use crate::{Outcome, complain, escape::escaped};

/// Longest part of a service's name in a file's name.
const SERVICE_LEN_MAX: usize = 64;

/// Recovers the rings of a directory.
///
/// # Errors
/// Those of writing to `out`.
pub fn run(options: &Recover, out: &mut dyn Write) -> io::Result<Outcome> {
    let paths = match files_in(&options.directory) {
        Ok(paths) => paths,
        Err(error) => {
            complain(&shown(&options.directory, &error));
            return Ok(Outcome::Failed);
        }
    };
    let output = options.output.clone().unwrap_or_else(std::env::temp_dir);
    let mut outcome = Outcome::Good;
    let (mut recovered, mut left) = (0, 0);
    for path in paths {
        let Ok(file) = open_unfollowed(&path) else { continue }; // not ours to read
        if !matches!(content(&file), Ok(Content::Ring)) {
            continue;
        }
        let done = recover(&path, &file, &output, options.remove);
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
                complain(&shown(&path, &format_args!("not recovered: {error}")));
                continue;
            }
        };
        let removed = options.remove && matches!(done, Ok(Done::Recovered { .. } | Done::Empty));
        writeln!(out, "{}: {line}{}", escaped(&path.to_string_lossy()), if removed { "; ring removed" } else { "" })?;
    }
    writeln!(out, "{recovered} recovered, {left} left alone")?;
    Ok(outcome)
}

/// What was done with a ring.
#[derive(Debug)]
enum Done {
    Recovered { snapshot: PathBuf, events: u64, overwritten: u64 },
    Empty,
    InUse(String),
}

fn recover(path: &Path, file: &File, output: &Path, remove: bool) -> Result<Done, String> {
    let text = |error: io::Error| error.to_string();
    if !lock(file).map_err(text)? {
        return Ok(Done::InUse("it is locked".to_owned()));
    }
    // Whoever held the lock before may have recovered and removed it.
    if !is_still_there(path, file).map_err(text)? {
        return Ok(Done::InUse("somebody else has just recovered it".to_owned()));
    }
    let bytes = read(file).map_err(text)?;
    let image = RingImage::parse(&bytes.data).map_err(|error| error.to_string())?;
    let process = process_of(&image);
    if liveness(process.pid, process.process_start, process.host) == Liveness::Running {
        return Ok(Done::InUse(format!("process {} is running", process.pid)));
    }
    let loss = image.loss();
    let holds_segments = (0..image.header().segment_count)
        .take_while(|index| u64::from(*index) * u64::from(image.header().segment_len) < bytes.data.len() as u64)
        .any(|index| !matches!(image.segment(index), ttlog_core::ring::SegmentState::Unused));
    let done = if holds_segments || loss.dropped_total() > 0 {
        let now = i64::try_from(Timestamp::now().as_nanosecond()).unwrap_or(0);
        let (snapshot, events) = write_snapshot(&image, &process, now, output)?;
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

fn process_of<'a>(image: &RingImage<'a>) -> ProcessInfo<'a> {
    let items = image.entries().filter_map(|entry| TableItem::decode(entry.bytes).ok());
    let mut processes = items.filter_map(|item| match item {
        TableItem::Process(process) => Some(process),
        _ => None,
    });
    processes.next().unwrap_or_default()
}

/// Writes the snapshot under a name of its own in `output`, and gives its path and its number of events.
fn write_snapshot(
    image: &RingImage<'_>,
    process: &ProcessInfo<'_>,
    now: i64,
    output: &Path,
) -> Result<(PathBuf, u64), String> {
    let in_output = |error: io::Error| shown(output, &error);
    let path = free_name(output, process, now);
    let mut temporary = path.clone().into_os_string();
    temporary.push(format!(".{}.tmp", std::process::id()));
    let temporary = PathBuf::from(temporary);
    let written = write_to(image, now, &temporary).and_then(|events| {
        std::fs::rename(&temporary, &path).map_err(in_output)?;
        // Without this the new name may be lost with the power, though the data is there.
        #[cfg(unix)]
        File::open(output).and_then(|directory| directory.sync_all()).map_err(in_output)?;
        Ok(events)
    });
    if written.is_err() {
        // If it cannot be removed either, the error that is reported is still the first one.
        let _ = std::fs::remove_file(&temporary);
    }
    written.map(|events| (path, events))
}

fn write_to(image: &RingImage<'_>, now: i64, path: &Path) -> Result<u64, String> {
    let text = |error: io::Error| shown(path, &error);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path).map_err(text)?;
    let mut sink = FileSink(io::BufWriter::with_capacity(1 << 18, file));
    let meta = SnapshotMeta { reason: "recovered", created_unix_ns: now, ticks: 0 };
    let mut scratch = vec![0; ttlog_core::snapshot::scratch_len(image.header().segment_len as usize)];
    let stats = write_snapshot_of_image(image, &meta, Codec::Lz4, &mut scratch, &mut sink)
        .map_err(|error| format!("{}: {error}", escaped(&path.to_string_lossy())))?;
    let file = sink.0.into_inner().map_err(|error| text(error.into_error()))?;
    file.sync_all().map_err(text)?;
    Ok(stats.event_count)
}

/// A file as the snapshot's writer wants it.
#[derive(Debug)]
struct FileSink(io::BufWriter<File>);

impl ttlog_core::snapshot::Sink for FileSink {
    type Error = io::Error;

    fn write_all(&mut self, bytes: &[u8]) -> Result<(), io::Error> {
        self.0.write_all(bytes)
    }
}

/// Gives a name that is not taken: `ttlog-<service>-<pid>-<utc time>-recovered.bin`, with a number where that is.
fn free_name(output: &Path, process: &ProcessInfo<'_>, now: i64) -> PathBuf {
    let time = Timestamp::from_nanosecond(now.into()).unwrap_or_default().strftime("%Y%m%dT%H%M%SZ");
    let stem = format!("ttlog-{}-{}-{time}-recovered", name_part(process.service), process.pid);
    (1..)
        .map(|n| output.join(if n == 1 { format!("{stem}.bin") } else { format!("{stem}-{n}.bin") }))
        .find(|path| path.symlink_metadata().is_err())
        .unwrap_or_else(|| output.join(format!("{stem}.bin")))
}

/// Makes a service's name harmless as part of a file's name, in the same way as the recorder does.
fn name_part(service: &str) -> String {
    if service.is_empty() {
        return "unnamed".to_owned();
    }
    let keep = |(index, c): (usize, char)| {
        let leading = index == 0 && matches!(c, '.' | '-');
        if !leading && (c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')) { c } else { '_' }
    };
    service.chars().take(SERVICE_LEN_MAX).enumerate().map(keep).collect()
}

/// Opens a file that is no link, without waiting.
fn open_unfollowed(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use rustix::fs::OFlags;
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, flags.bits().cast_signed());
    }
    options.open(path)
}

/// Locks the file until it is closed; `false` if another process has it.
#[cfg(unix)]
fn lock(file: &File) -> io::Result<bool> {
    use rustix::fs::{FlockOperation, flock};
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Tells whether the path still names this file.
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

/// Never asked: there is no lock to hold.
#[cfg(not(unix))]
fn is_still_there(_path: &Path, _file: &File) -> io::Result<bool> {
    Ok(false)
}

/// Without a way to tell whether a ring is in use, none is touched.
#[cfg(not(unix))]
fn lock(_file: &File) -> io::Result<bool> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "rings cannot be recovered on this system"))
}

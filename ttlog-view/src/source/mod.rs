//! Where events come from: snapshots and rings, recognised by what they hold.
//!
//! An [`Input`] owns the bytes of a file; a [`Source`] borrows from it and gives both kinds the same shape: whose events they are,
//! the callsites, the time scale, the losses, and the segments as [`Part`]s that the [timeline](crate::timeline) reads.

pub mod callsite;
pub mod device;
mod file;
pub mod find;
pub mod process;
mod ring;
mod snapshot;

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use ttlog_core::clock::{Anchor, TimeScale};
use ttlog_core::error::FormatError;
use ttlog_core::ring::{KEPT_SEQUENCE_BIT, Loss, Panics, ProcessEnd, SEGMENT_LEN_MAX, SERVER_ANCHOR_COUNT, Segment};
use ttlog_core::snapshot::PackedSegment;
use ttlog_core::table::{ProcessInfo, TableItem};

use crate::event::secrets::Secrets;
use crate::text::time::When;
use callsite::Callsite;
pub use file::{Bytes, Content, content, content_of, holds_items, open, read, read_head, read_header};
use process::Liveness;

/// Bytes that unpacking a segment needs.
pub const UNPACK_LEN: usize = ttlog_core::snapshot::unpack_len(SEGMENT_LEN_MAX as usize);

/// A file that was read.
#[derive(Debug)]
pub struct Input {
    /// As it was named.
    pub path: String,
    /// What it held.
    pub bytes: Bytes,
    /// What is known to be damaged, or missing, before its bytes are looked at.
    pub damage: Vec<Damage>,
}

impl Input {
    /// Takes what a file held.
    #[must_use]
    pub fn new(path: String, bytes: Bytes) -> Self {
        Input { path, bytes, damage: Vec::new() }
    }
}

/// What a source is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A snapshot.
    Snapshot {
        /// Why it was made.
        reason: String,
        /// When, in nanoseconds since 1970.
        created_unix_ns: i64,
        /// Whether its end is there.
        complete: bool,
    },
    /// A ring.
    Ring(Liveness),
}

/// The session of a device that a source is a recording of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    /// Its number: each start of the firmware has the next.
    pub boot: u32,
    /// Why the device had been reset before, in the bits of its manufacturer; 0: not told.
    pub reset_reason: u32,
}

/// A place in a file that is damaged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Byte offset in the file.
    pub offset: u64,
    /// Bytes concerned; 0: unknown.
    pub len_bytes: u64,
    /// What is wrong.
    pub reason: String,
}

/// The events of one ring as one file holds them.
#[derive(Debug)]
pub struct Source<'a> {
    /// The file, as it was named.
    pub path: &'a str,
    /// Its length.
    pub len_bytes: u64,
    /// Snapshot or ring.
    pub kind: Kind,
    /// Version of the format it is written in.
    pub format_version: u64,
    /// Identity of the ring.
    pub ring_id: u64,
    /// Segments of the ring.
    pub segment_count: u64,
    /// Bytes of a segment.
    pub segment_len: u64,
    /// Whose ring it is, if that is known.
    pub process: Option<ProcessInfo<'a>>,
    /// Which session of a device it is of.
    pub session: Option<Session>,
    /// What is withheld of the events.
    pub secrets: Secrets,
    /// Callsites by id; boxed, because a file may name the highest id alone.
    pub callsites: Vec<Option<Box<Callsite<'a>>>>,
    /// Converts ticks. Boxed, for it is large.
    pub scale: Box<TimeScale<SERVER_ANCHOR_COUNT>>,
    /// The oldest anchor, in ticks: when recording started.
    pub oldest_anchor: Option<u64>,
    /// The newest anchor, in ticks: how far its scale knows of steps of the wall clock. 0: there is none.
    pub newest_anchor: u64,
    /// Ticks from which nothing was overwritten or left out; 0: nothing was at all.
    pub complete_from: u64,
    /// Segments of the kept class, warnings and errors; 0: those have no segments of their own.
    pub kept_segment_count: u64,
    /// Ticks from which nothing of the kept class was overwritten; 0: nothing was at all.
    pub kept_complete_from: u64,
    /// Events that a snapshot left out because of their age.
    pub left_out: u64,
    /// The age that snapshots are to cover, in nanoseconds, as the program asked; 0: all there is.
    pub min_age_ns: u64,
    /// Ticks up to which events are in the source; `None`: to the end of recording.
    pub taken_at: Option<u64>,
    /// Whether recording ended in good order.
    pub ended: bool,
    /// What the process said of its end and of its panics.
    pub life: Life,
    /// What was recorded, as directives by level and target; `None`: not told.
    pub filter: Option<&'a str>,
    /// What was lost.
    pub loss: Loss,
    /// The segments.
    pub parts: Vec<Part<'a>>,
    /// Entries of the table, read well.
    pub entry_count: u64,
    /// Segments of a live ring that were overwritten while they were read.
    pub changed_segments: u32,
    /// What is damaged, apart from records.
    pub damage: Vec<Damage>,
}

/// What a process said of itself while it lived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Life {
    /// How it ended.
    pub end: Option<ProcessEnd>,
    /// Whether it would have said so: rings of older versions and of devices have no room for it.
    pub tells_end: bool,
    /// Its panics.
    pub panics: Panics,
    /// When it last said that it lives, in nanoseconds since 1970; 0: never, or not told.
    pub heartbeat_unix_ns: u64,
}

/// A segment of a source.
#[derive(Debug)]
pub struct Part<'a> {
    /// Its place in the ring.
    pub index: u32,
    /// Its number in the order of opening; 0: it holds no events.
    pub sequence: u64,
    /// The events in it, as its header says.
    pub count: u32,
    /// Records that were being written, as a snapshot's writer counted them.
    pub pending: u32,
    /// Events lost to damage, as a snapshot's writer counted them.
    pub damaged: u32,
    /// Where it starts in the file.
    pub offset: u64,
    /// Its bytes in the file.
    pub len_bytes: u64,
    /// Where its records start in the file; in a snapshot, where the segment starts.
    pub records_offset: u64,
    /// The records.
    pub body: Body<'a>,
}

impl Part<'_> {
    /// Tells whether it is of the kept class.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.sequence & KEPT_SEQUENCE_BIT != 0
    }
}

/// The records of a segment.
#[derive(Debug)]
pub enum Body<'a> {
    /// As they lie in a ring.
    Plain(Segment<'a>),
    /// As a snapshot has them.
    Packed(PackedSegment<'a>),
}

impl<'a> Source<'a> {
    /// Reads everything but the records. Values of secret fields are withheld.
    ///
    /// # Errors
    /// Where the file is neither a ring nor a snapshot, is from a version that this one cannot read, or has nothing left to read.
    pub fn new(input: &'a Input) -> Result<Self, FormatError> {
        Self::with_secrets(input, &Secrets::default())
    }

    /// As [`new`](Self::new), with what is withheld given.
    ///
    /// # Errors
    /// Those of [`new`](Self::new).
    pub fn with_secrets(input: &'a Input, secrets: &Secrets) -> Result<Self, FormatError> {
        match content_of(&input.bytes.data) {
            Content::Ring => ring::read(input, secrets),
            // A snapshot may be damaged at its start, and a ring may have a flipped bit in its magic.
            Content::Snapshot => snapshot::read(input, secrets),
            Content::Unknown if holds_items(&input.bytes.data) => snapshot::read(input, secrets),
            Content::Unknown => ring::read(input, secrets),
        }
    }

    /// Takes the anchors in, once the process is known.
    fn set_scale(&mut self, anchors: &[Anchor]) {
        *self.scale = TimeScale::new(anchors, self.process.unwrap_or_default().ticks_per_second);
        self.oldest_anchor = anchors.iter().map(|anchor| anchor.ticks).min();
        self.newest_anchor = anchors.iter().map(|anchor| anchor.ticks).max().unwrap_or(0);
    }

    /// Tells when something was.
    #[must_use]
    pub fn when(&self, ticks: u64) -> When {
        match self.session {
            Some(Session { boot, .. }) if self.oldest_anchor.is_none() => {
                match self.process.map_or(0, |process| process.ticks_per_second) {
                    0 => When::Ticks { boot, ticks },
                    _ => When::Boot { boot, ns: self.scale.unix_ns(ticks) },
                }
            }
            _ => When::Clock(self.scale.unix_ns(ticks)),
        }
    }

    /// Gives the callsite of this id, if the table has it.
    #[must_use]
    pub fn callsite(&self, id: u16) -> Option<&Callsite<'a>> {
        self.callsites.get(usize::from(id))?.as_deref()
    }

    /// Takes an entry of the table in.
    fn add_entry(&mut self, offset: u64, bytes: &'a [u8]) {
        match TableItem::decode(bytes) {
            Ok(TableItem::Process(process)) => self.process = Some(process),
            Ok(TableItem::Callsite(info)) => {
                let id = usize::from(info.id);
                if self.callsites.len() <= id {
                    self.callsites.resize_with(id + 1, || None);
                }
                self.callsites[id] = Some(Box::new(Callsite::new(info, &self.secrets)));
            }
            Ok(TableItem::Unknown(_)) => {}
            Err(error) => {
                let reason = format!("table entry: {}", error.kind);
                self.damage.push(Damage { offset: offset + error.offset, len_bytes: bytes.len() as u64, reason });
                return;
            }
        }
        self.entry_count += 1;
    }
}

/// What was read of what the command line names, and what could not be.
#[derive(Debug, Default)]
pub struct Inputs {
    /// The files.
    pub read: Vec<Input>,
    /// What went wrong, a line each.
    pub errors: Vec<String>,
}

impl Inputs {
    /// Reads files, the snapshots and rings of directories, and what patterns match.
    #[must_use]
    pub fn read(names: &[String]) -> Self {
        let mut inputs = Inputs::default();
        for name in names {
            inputs.add(name);
        }
        inputs
    }

    fn add(&mut self, name: &str) {
        if name == "-" {
            let mut data = Vec::new();
            match io::stdin().lock().read_to_end(&mut data) {
                Ok(_) => self.read.push(Input::new("-".to_owned(), data.into())),
                Err(error) => self.errors.push(format!("standard input: {error}")),
            }
            return;
        }
        let path = Path::new(name);
        if path.is_dir() {
            self.add_directory(path);
        } else if !path.exists() && name.contains(['*', '?', '[']) {
            self.add_pattern(name);
        } else {
            self.add_file(path);
        }
    }

    fn add_pattern(&mut self, pattern: &str) {
        let paths = match glob::glob(pattern) {
            Ok(paths) => paths,
            Err(error) => {
                return self.errors.push(format!("{}: bad pattern: {error}", crate::text::escape::escaped(pattern)));
            }
        };
        let before = self.read.len() + self.errors.len();
        for path in paths {
            match path {
                Ok(path) if path.is_dir() => {}
                Ok(path) => self.add_file(&path),
                Err(error) => self.errors.push(shown(error.path(), error.error())),
            }
        }
        if self.read.len() + self.errors.len() == before {
            self.errors.push(format!("{}: no file matches", crate::text::escape::escaped(pattern)));
        }
    }

    /// Takes the snapshots and rings of a directory, and says of others only what bears our name and yet is neither.
    fn add_directory(&mut self, directory: &Path) {
        let entries = match files_in(directory) {
            Ok(entries) => entries,
            Err(error) => return self.errors.push(shown(directory, &error)),
        };
        let before = self.read.len() + self.errors.len();
        for path in entries {
            let ours = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("ttlog-"));
            match open(&path).and_then(|file| content(&file)) {
                Ok(Content::Unknown) if !ours => {}
                Ok(_) => self.add_file(&path),
                Err(error) if ours => self.errors.push(shown(&path, &error)),
                Err(_) => {} // not ours, so nobody asked for it
            }
        }
        if self.read.len() + self.errors.len() == before {
            let directory = crate::text::escape::escaped(&directory.to_string_lossy());
            self.errors.push(format!("{directory}: no snapshots and no rings in this directory"));
        }
    }

    fn add_file(&mut self, path: &Path) {
        match open(path).and_then(|file| read(&file)) {
            Ok(bytes) => self.read.push(Input::new(path.to_string_lossy().into_owned(), bytes)),
            Err(error) => self.errors.push(shown(path, &error)),
        }
    }
}

/// Gives the regular files of a directory, by name.
///
/// # Errors
/// Those of listing.
pub fn files_in(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

/// Gives the line that tells of an error with a file.
#[must_use]
pub fn shown(path: &Path, error: &dyn std::fmt::Display) -> String {
    format!("{}: {error}", crate::text::escape::escaped(&path.to_string_lossy()))
}

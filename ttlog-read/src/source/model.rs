//! What a source says, whatever kind of file it is.

use ttlog_core::clock::{Anchor, TimeScale};
use ttlog_core::ring::{
    Loss, PRIORITY_SEQUENCE_BIT, Panics, ProcessEnd, SEGMENT_LEN_MAX, SERVER_ANCHOR_COUNT, Segment,
};
use ttlog_core::snapshot::PackedSegment;
use ttlog_core::table::{ProcessInfo, TableItem};

use super::callsite::SourceCallsite;
use super::input::{Damage, Input};
use super::process::Liveness;
use crate::event::secrets::Secrets;
use crate::text::time::When;

/// Bytes that unpacking a segment needs.
pub const UNPACK_LEN: usize = ttlog_core::snapshot::unpack_len(SEGMENT_LEN_MAX as usize);

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
pub struct DeviceSession {
    /// Its number: each start of the firmware has the next.
    pub boot: u32,
    /// Why the device had been reset before, in the bits of its manufacturer; 0: not told.
    pub reset_reason: u32,
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
    pub session: Option<DeviceSession>,
    /// What is withheld of the events.
    pub secrets: Secrets,
    /// Callsites by id; boxed, because a file may name the highest id alone.
    pub callsites: Vec<Option<Box<SourceCallsite<'a>>>>,
    /// Converts ticks. Boxed, for it is large.
    pub scale: Box<TimeScale<SERVER_ANCHOR_COUNT>>,
    /// The oldest anchor, in ticks: when recording started.
    pub oldest_anchor: Option<u64>,
    /// The newest anchor, in ticks: how far its scale knows of steps of the wall clock. 0: there is none.
    pub newest_anchor: u64,
    /// Ticks from which nothing was overwritten or left out; 0: nothing was at all.
    pub complete_from: u64,
    /// Segments of the priority class, warnings and errors; 0: those have no segments of their own.
    pub priority_segment_count: u64,
    /// Ticks from which nothing of the priority class was overwritten; 0: nothing was at all.
    pub priority_complete_from: u64,
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
    /// Returns whether it is of the priority class.
    #[must_use]
    pub fn is_priority(&self) -> bool {
        self.sequence & PRIORITY_SEQUENCE_BIT != 0
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
    /// Makes a source of which nothing is known yet.
    pub(super) fn empty(input: &'a Input, kind: Kind, secrets: &Secrets) -> Self {
        Source {
            path: &input.path,
            len_bytes: input.bytes.data.len() as u64,
            kind,
            format_version: 0,
            ring_id: 0,
            segment_count: 0,
            segment_len: 0,
            process: None,
            session: None,
            secrets: secrets.clone(),
            callsites: Vec::new(),
            scale: Box::new(TimeScale::new(&[], 0)),
            oldest_anchor: None,
            newest_anchor: 0,
            complete_from: 0,
            priority_segment_count: 0,
            priority_complete_from: 0,
            left_out: 0,
            min_age_ns: 0,
            taken_at: None,
            ended: false,
            life: Life::default(),
            filter: None,
            loss: Loss::default(),
            parts: Vec::new(),
            entry_count: 0,
            changed_segments: input.bytes.changed_segments,
            damage: input.damage.clone(),
        }
    }

    /// Takes the anchors in, once the process is known.
    pub(super) fn set_scale(&mut self, anchors: &[Anchor]) {
        *self.scale = TimeScale::new(anchors, self.process.unwrap_or_default().ticks_per_second);
        self.oldest_anchor = anchors.iter().map(|anchor| anchor.ticks).min();
        self.newest_anchor = anchors.iter().map(|anchor| anchor.ticks).max().unwrap_or(0);
    }

    /// Returns when something was, by the reading of the clock.
    #[must_use]
    pub fn when(&self, ticks: u64) -> When {
        match self.session {
            Some(DeviceSession { boot, .. }) if self.oldest_anchor.is_none() => {
                match self.process.map_or(0, |process| process.ticks_per_second) {
                    0 => When::Ticks { boot, ticks },
                    _ => When::Boot { boot, ns: self.scale.unix_ns(ticks) },
                }
            }
            _ => When::Clock(self.scale.unix_ns(ticks)),
        }
    }

    /// Returns the callsite of this id, if the table has it.
    #[must_use]
    pub fn callsite(&self, id: u16) -> Option<&SourceCallsite<'a>> {
        self.callsites.get(usize::from(id))?.as_deref()
    }

    /// Takes an entry of the table in.
    pub(super) fn add_entry(&mut self, offset: u64, bytes: &'a [u8]) {
        match TableItem::decode(bytes) {
            Ok(TableItem::Process(process)) => self.process = Some(process),
            Ok(TableItem::Callsite(info)) => {
                let id = usize::from(info.id);
                if self.callsites.len() <= id {
                    self.callsites.resize_with(id + 1, || None);
                }
                self.callsites[id] = Some(Box::new(SourceCallsite::new(info, &self.secrets)));
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

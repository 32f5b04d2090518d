//! The contents of a source, independent of the kind of file.

use ttlog_core::clock::{Anchor, TimeScale};
use ttlog_core::ring::{
    Loss, PRIORITY_SEQUENCE_BIT, Panics, ProcessEnd, SEGMENT_LEN_MAX, SERVER_ANCHOR_COUNT, Segment,
};
use ttlog_core::snapshot::PackedSegment;
use ttlog_core::table::{ProcessInfo, TableItem};

use super::callsite::SourceCallsite;
use super::callsites::Callsites;
use super::input::{Damage, Input};
use super::process::Liveness;
use crate::event::secrets::Secrets;
use crate::text::time::When;

/// Number of bytes that unpacking a segment needs.
pub const UNPACK_LEN: usize = ttlog_core::snapshot::unpack_len(SEGMENT_LEN_MAX as usize);

/// Kind of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A snapshot.
    Snapshot {
        /// Reason that it was made.
        reason: String,
        /// Time of creation, in nanoseconds since 1970.
        created_unix_ns: i64,
        /// Whether it is complete up to its end.
        complete: bool,
    },
    /// A ring.
    Ring(Liveness),
}

/// Session of a device that a source records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceSession {
    /// Number of the session: each start of the firmware increments it.
    pub boot: u32,
    /// Reason of the preceding reset, in the bits of the device's manufacturer; 0: unknown.
    pub reset_reason: u32,
}

/// The events of one ring as one file holds them.
#[derive(Debug)]
pub struct Source<'a> {
    /// Path of the file, as given. If the file holds several recordings, it is followed by the number of this one.
    pub path: &'a str,
    /// Byte offset of the recording in the file.
    pub offset: u64,
    /// Length of the recording, in bytes.
    pub len_bytes: u64,
    /// Snapshot or ring.
    pub kind: Kind,
    /// Version of its format.
    pub format_version: u64,
    /// Identity of the ring.
    pub ring_id: u64,
    /// Number of segments in the ring.
    pub segment_count: u64,
    /// Length of a segment, in bytes.
    pub segment_len: u64,
    /// Process that owns the ring, if known.
    pub process: Option<ProcessInfo<'a>>,
    /// First process item of the table, to compare others with.
    pub(super) first_process: Option<ProcessInfo<'a>>,
    /// Session of a device, if this is a recording of one.
    pub session: Option<DeviceSession>,
    /// Fields to withhold.
    pub secrets: Secrets,
    /// Callsites by id.
    pub callsites: Callsites<'a>,
    /// Converts ticks to time. Boxed because it is large.
    pub scale: Box<TimeScale<SERVER_ANCHOR_COUNT>>,
    /// Oldest anchor, in ticks: the start of recording.
    pub oldest_anchor: Option<u64>,
    /// Newest anchor, in ticks: the scale knows the steps of the wall clock up to here. 0: no anchor.
    pub newest_anchor: u64,
    /// Ticks from which nothing was overwritten or left out; 0: nothing was at all.
    pub complete_from: u64,
    /// Number of segments in the priority class, for warnings and errors; 0: these have no segments of their own.
    pub priority_segment_count: u64,
    /// Ticks from which nothing of the priority class was overwritten; 0: nothing was at all.
    pub priority_complete_from: u64,
    /// Number of events that a snapshot left out because of their age.
    pub left_out: u64,
    /// Age that snapshots should cover, in nanoseconds, as configured by the program; 0: all events.
    pub min_age_ns: u64,
    /// Ticks up to which the source contains events; `None`: to the end of recording.
    pub taken_at: Option<u64>,
    /// Whether recording ended in good order.
    pub ended: bool,
    /// End and panics that the process recorded.
    pub life: Life,
    /// Recorded levels and targets, as filter directives; `None`: unknown.
    pub filter: Option<&'a str>,
    /// Losses.
    pub loss: Loss,
    /// Segments.
    pub parts: Vec<Part<'a>>,
    /// Number of table entries that were read without errors.
    pub entry_count: u64,
    /// Number of segments of a live ring that were overwritten while they were read.
    pub changed_segments: u32,
    /// Damage outside of records.
    pub damage: Vec<Damage>,
}

/// End, panics and heartbeat that a process recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Life {
    /// End of the process.
    pub end: Option<ProcessEnd>,
    /// Whether the process could record its end: rings of older versions and of devices have no room for it.
    pub tells_end: bool,
    /// Panics of the process.
    pub panics: Panics,
    /// Time of the last heartbeat, in nanoseconds since 1970; 0: none, or unknown.
    pub heartbeat_unix_ns: u64,
}

/// A segment of a source.
#[derive(Debug)]
pub struct Part<'a> {
    /// Index in the ring.
    pub index: u32,
    /// Number in the order of opening; 0: the segment holds no events.
    pub sequence: u64,
    /// Number of events according to its header.
    pub count: u32,
    /// Number of records that were being written, as counted by a snapshot's writer.
    pub pending: u32,
    /// Number of events lost to damage, as counted by a snapshot's writer.
    pub damaged: u32,
    /// Byte offset in the file.
    pub offset: u64,
    /// Length in the file, in bytes.
    pub len_bytes: u64,
    /// Byte offset of its records in the file; in a snapshot, byte offset of the segment.
    pub records_offset: u64,
    /// Records.
    pub body: Body<'a>,
}

impl Part<'_> {
    /// Returns whether the segment is of the priority class.
    #[must_use]
    pub fn is_priority(&self) -> bool {
        self.sequence & PRIORITY_SEQUENCE_BIT != 0
    }
}

/// The records of a segment.
#[derive(Debug)]
pub enum Body<'a> {
    /// Unpacked, as in a ring.
    Plain(Segment<'a>),
    /// Packed, as in a snapshot.
    Packed(PackedSegment<'a>),
}

impl<'a> Source<'a> {
    /// Creates a source without contents, for a recording of this many bytes.
    pub(super) fn empty(input: &'a Input, len_bytes: usize, kind: Kind, secrets: &Secrets) -> Self {
        Source {
            path: &input.path,
            offset: input.offset,
            len_bytes: len_bytes as u64,
            kind,
            format_version: 0,
            ring_id: 0,
            segment_count: 0,
            segment_len: 0,
            process: None,
            first_process: None,
            session: None,
            secrets: secrets.clone(),
            callsites: Callsites::default(),
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

    /// Sets the time scale from the anchors, once the process is known.
    pub(super) fn set_scale(&mut self, anchors: &[Anchor]) {
        *self.scale = TimeScale::new(anchors, self.process.unwrap_or_default().ticks_per_second);
        self.oldest_anchor = anchors.iter().map(|anchor| anchor.ticks).min();
        self.newest_anchor = anchors.iter().map(|anchor| anchor.ticks).max().unwrap_or(0);
    }

    /// Returns the time of a clock reading.
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

    /// Returns the callsite with this id, if the table has it, and does not contradict itself.
    #[must_use]
    pub fn callsite(&self, id: u16) -> Option<&SourceCallsite<'a>> {
        self.callsites.get(id)
    }

    /// Adds an entry of the table, from its byte offset in the file. Of two entries that contradict each other, neither
    /// is used.
    pub(super) fn add_entry(&mut self, offset: u64, bytes: &'a [u8]) {
        let mut damage = |offset, reason| self.damage.push(Damage { offset, len_bytes: bytes.len() as u64, reason });
        match TableItem::decode(bytes) {
            Ok(TableItem::Process(process)) => match self.first_process {
                None => (self.first_process, self.process) = (Some(process), Some(process)),
                Some(first) if first == process => {}
                Some(_) => {
                    self.process = None;
                    damage(offset, "table entry: another process than before; neither is used".to_owned());
                }
            },
            Ok(TableItem::Callsite(info)) => {
                let id = info.id;
                if !self.callsites.define(SourceCallsite::new(info, &self.secrets)) {
                    let reason =
                        format!("table entry: callsite {id} is defined twice, differently; its events have no names");
                    damage(offset, reason);
                }
            }
            Ok(TableItem::Unknown(_)) => {}
            Err(error) => {
                damage(offset + error.offset, format!("table entry: {}", error.kind));
                return;
            }
        }
        self.entry_count += 1;
    }
}

//! Ring to snapshot: a stream of items, written without allocation while the ring's writers go on.

use core::fmt;

use minicbor::Encoder;
use minicbor::encode::write::{Cursor, EndOfSlice};

use super::CODEC_NONE;
use super::item::{ITEM_OVERHEAD_LEN, ItemWriter, KIND_END, KIND_ENTRY, KIND_HEADER, KIND_SEGMENT};
use super::withhold::{WITHHOLD_LEN, Withheld, Withhold, Withholder, readable};
use crate::clock::Anchor;
use crate::record::decode_record;
use crate::ring::{
    CONTROL_TEXT_MAX, DEVICE_MIN_READER_VERSION, FORMAT_VERSION, Item, MIN_READER_VERSION, Mode, Replace, Ring,
    RingHeader, RingImage, SEGMENT_HEADER_LEN, SEGMENT_LEN_MAX, SERVER_ANCHOR_COUNT, Segment, SegmentHeader,
    SegmentState, Session, rewrite_segment,
};
use crate::table::{TableItem, encode_withheld};
#[cfg(feature = "lz4")]
use {
    super::columns::{columns_len_max, encode_columns},
    super::{CODEC_COLUMNS, CODEC_LZ4},
};

/// Fewest bytes of scratch that a snapshot can be written with.
pub const SCRATCH_LEN_MIN: usize = 64;
/// Most anchors that are written: all of a ring on a server.
const ANCHOR_MAX: usize = SERVER_ANCHOR_COUNT;
/// Bytes of an anchor while it is in the scratch.
const ANCHOR_LEN: usize = 16;
/// Entries that were being written when they were met, and are looked at again. Few threads meet new callsites at once.
const UNFINISHED_MAX: usize = 16;
/// Entries of a live ring's table that are longer may not fit the scratch, and are left out where something is withheld.
const ENTRY_ROOM_LEN: usize = 4096;
/// Room for the elements of a segment item before its data.
const SEGMENT_HEAD_LEN: usize = 96;

/// Where the bytes of a snapshot go.
pub trait Sink {
    /// Why bytes could not be taken.
    type Error;

    /// Takes all of `bytes`. May be called with a few bytes at a time, so a sink that is slow to call should gather them.
    ///
    /// # Errors
    /// Whatever keeps the sink from taking them; the snapshot ends there.
    fn write_all(&mut self, bytes: &[u8]) -> Result<(), Self::Error>;
}

impl<S: Sink + ?Sized> Sink for &mut S {
    type Error = S::Error;

    fn write_all(&mut self, bytes: &[u8]) -> Result<(), S::Error> {
        (**self).write_all(bytes)
    }
}

/// What a snapshot says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotMeta<'a> {
    /// Why it was made: `panic`, `manual`, `recovered`, or words of the caller's own.
    pub reason: &'a str,
    /// When, in nanoseconds since 1970.
    pub created_unix_ns: i64,
    /// When, in ticks of the recording clock; 0: unknown.
    pub ticks: u64,
}

/// How the records of a snapshot are encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// As in the ring. Needs next to no memory; the records are not looked at.
    None,
    /// Compressed, in columns where that is possible. Needs [`scratch_len`] bytes and some 24 KiB of stack.
    #[cfg(feature = "lz4")]
    Lz4,
}

/// How a snapshot is written, and what is left out of it.
///
/// A [`Codec`] alone is enough where nothing is: the functions that write snapshots take either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotOptions<'a> {
    /// How records are encoded.
    pub codec: Codec,
    /// What is withheld; `None`: nothing, all values are written as the ring has them.
    ///
    /// A callsite that is not in the ring's table may have secrets, so the payloads of its records are withheld wholly.
    pub withhold: Option<Withhold<'a>>,
    /// Segments closed before this, in ticks, are left out and their events counted; 0: none are. (Events of level WARN and
    /// above that have segments of their own are never left out.)
    pub left_out_before_ticks: u64,
    /// The age from which events are left out, in nanoseconds, for readers to be told; of no effect by itself.
    pub min_age_ns: u64,
}

impl SnapshotOptions<'static> {
    /// Withholds what is marked as secret or named like one, and leaves nothing out.
    #[must_use]
    pub const fn new(codec: Codec) -> Self {
        SnapshotOptions { codec, withhold: Some(Withhold::DEFAULT), left_out_before_ticks: 0, min_age_ns: 0 }
    }
}

impl SnapshotOptions<'_> {
    /// Gives the bytes of scratch that it takes to write a snapshot of segments of `segment_len` bytes. Where something is
    /// withheld that is room for a copy of a segment, and 320 KiB, of which little more is touched than 4 bytes for each callsite.
    #[must_use]
    pub const fn scratch_len(&self, segment_len: usize) -> usize {
        let codec_len = match self.codec {
            Codec::None => SCRATCH_LEN_MIN,
            #[cfg(feature = "lz4")]
            Codec::Lz4 => scratch_len(segment_len),
        };
        if self.withhold.is_none() {
            return codec_len;
        }
        // The copy of a segment, another to look at while it is masked, and the longest usual entry of the table.
        let mut work_len = 2 * segment_len;
        if work_len < codec_len {
            work_len = codec_len;
        }
        if work_len < segment_len + ENTRY_ROOM_LEN {
            work_len = segment_len + ENTRY_ROOM_LEN;
        }
        work_len + WITHHOLD_LEN
    }
}

impl From<Codec> for SnapshotOptions<'static> {
    /// Nothing is withheld, and nothing left out.
    fn from(codec: Codec) -> Self {
        SnapshotOptions { codec, withhold: None, left_out_before_ticks: 0, min_age_ns: 0 }
    }
}

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SnapshotStats {
    /// Bytes that went to the sink.
    pub written_bytes: u64,
    /// Entries of the table.
    pub entry_count: u64,
    /// Segments with records.
    pub segment_count: u64,
    /// Events in them.
    pub event_count: u64,
    /// Segments that were overwritten while they were being written, and are left out. Their events are counted as lost.
    pub void_count: u64,
    /// Segments whose header was damaged, of which nothing could be written.
    pub damaged_count: u64,
    /// Events in segments that were left out, as [`SnapshotOptions::left_out_before_ticks`] asks.
    pub left_out_count: u64,
    /// Events of which something was withheld.
    pub withheld_count: u64,
}

/// Why a snapshot was not written to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotError<E> {
    /// The sink failed. What it took before is a snapshot that was cut off.
    Sink(E),
    /// The scratch is too small; so many bytes are needed. Nothing was written.
    ScratchTooSmall {
        /// Bytes needed.
        needed_bytes: usize,
    },
}

impl<E: fmt::Display> fmt::Display for SnapshotError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SnapshotError::Sink(error) => write!(f, "cannot write the snapshot: {error}"),
            SnapshotError::ScratchTooSmall { needed_bytes } => {
                write!(f, "scratch too small for a snapshot: {needed_bytes} bytes are needed")
            }
        }
    }
}

impl<E: core::error::Error + 'static> core::error::Error for SnapshotError<E> {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            SnapshotError::Sink(error) => Some(error),
            SnapshotError::ScratchTooSmall { .. } => None,
        }
    }
}

/// Gives the bytes of scratch that compressing segments of `segment_len` bytes takes: some 230 KiB for 64 KiB.
///
/// [`Codec::None`] needs [`SCRATCH_LEN_MIN`] only. Withholding needs more, see [`SnapshotOptions::scratch_len`].
#[must_use]
pub const fn scratch_len(segment_len: usize) -> usize {
    // The copy of a segment, its columns, and what LZ4 asks for in the worst case.
    let columns_len = segment_len + segment_len / 8 + 8;
    segment_len + columns_len + lz4_len_max(columns_len)
}

/// Room that LZ4 wants for the compressed form of `len` bytes.
const fn lz4_len_max(len: usize) -> usize {
    len + len / 8 + 32
}

/// Writes a snapshot of a ring that is being written. Writers are not disturbed; events that are recorded meanwhile may or may
/// not be in it.
///
/// A segment that is overwritten while it is being written is left out and its events are counted as lost (`void_count`). Where
/// something is withheld a segment is copied and masked before any of it is written, whatever the codec.
///
/// # Errors
/// [`SnapshotError::Sink`] if the sink fails, [`SnapshotError::ScratchTooSmall`] if `scratch` is shorter than
/// [`SnapshotOptions::scratch_len`].
pub fn write_snapshot_of_ring<'o, S: Sink>(
    ring: Ring<'_>,
    meta: &SnapshotMeta<'_>,
    options: impl Into<SnapshotOptions<'o>>,
    scratch: &mut [u8],
    sink: &mut S,
) -> Result<SnapshotStats, SnapshotError<S::Error>> {
    let options = options.into();
    let (work, withholder) = split_scratch(&options, ring.segment_len(), scratch)?;
    let mut out = Output::new(sink, options, withholder);
    let header = ring.header_now();
    let (main, count) = (header.main_segment_count(), ring.segment_count());
    let looked_at = if options.left_out_before_ticks > 0 { main } else { 0 };
    let left_out = LeftOut::count((0..looked_at).filter_map(|index| {
        let peek = ring.peek_segment(index)?;
        out.leaves_out(&header, &peek.header).then_some(peek.header)
    }));
    let (anchors, filter) = split_for_filter(work);
    let filter = filter.and_then(|buffer| ring.filter_text(buffer));
    out.header(&About { ring: &header, session: None, left_out }, ring.anchors(), meta, filter, anchors)?;
    let mut entry_at = 0;
    out.live_entries(ring, &mut entry_at, work)?;
    // The oldest first: it is the next to be overwritten. Then the kept class, which turns over slowly.
    let oldest = (header.next_sequence.wrapping_sub(1) % u64::from(main.max(1))) as u32;
    for index in (oldest..main).chain(0..oldest).chain(main..count) {
        if options.left_out_before_ticks > 0 {
            if let Some(peek) = ring.peek_segment(index).filter(|peek| out.leaves_out(&header, &peek.header)) {
                out.left_out(&peek.header)?;
                continue;
            }
        }
        if options.codec == Codec::None && out.withholder.is_none() {
            out.live_segment(ring, index, work)?;
            continue;
        }
        let (copy, rest) = work.split_at_mut(ring.segment_len());
        match ring.copy_segment(index, copy) {
            SegmentState::Valid(segment) => {
                let (header, used) = (segment.header, segment.used().len());
                // A record's callsite is in the table before the record is in the segment.
                out.live_entries(ring, &mut entry_at, rest)?;
                // Nothing was copied behind what is used.
                out.packed_segment(&header, used, &mut copy[SEGMENT_HEADER_LEN..][..used], rest)?;
            }
            SegmentState::Unused => {}
            SegmentState::Opening { lost } => out.lost(index, lost)?,
            SegmentState::Damaged(_) => {
                out.stats.void_count += 1;
                out.lost(index, ring.segment_loss(index))?;
            }
        }
    }
    // Callsites that were met for the first time meanwhile.
    out.live_entries(ring, &mut entry_at, work)?;
    out.end()
}

/// Writes a snapshot of a ring's bytes, which may hold anything: what is damaged is left out, what is intact is written.
///
/// # Errors
/// [`SnapshotError::Sink`] if the sink fails, [`SnapshotError::ScratchTooSmall`] if `scratch` is shorter than
/// [`SnapshotOptions::scratch_len`].
pub fn write_snapshot_of_image<'o, S: Sink>(
    image: &RingImage<'_>,
    meta: &SnapshotMeta<'_>,
    options: impl Into<SnapshotOptions<'o>>,
    scratch: &mut [u8],
    sink: &mut S,
) -> Result<SnapshotStats, SnapshotError<S::Error>> {
    let options = options.into();
    let header = image.header();
    let (work, withholder) = split_scratch(&options, header.segment_len as usize, scratch)?;
    let mut out = Output::new(sink, options, withholder);
    let filter = image.control().and_then(|control| control.filter);
    let segment_len = u64::from(header.segment_len);
    let count = image.present_segments();
    let looked_at = if options.left_out_before_ticks > 0 { count } else { 0 };
    let left_out = LeftOut::count((0..looked_at).filter_map(|index| match image.segment(index) {
        SegmentState::Valid(segment) => out.leaves_out(header, &segment.header).then_some(segment.header),
        _ => None,
    }));
    out.header(&About { ring: header, session: None, left_out }, image.anchors(), meta, filter, work)?;
    for entry in image.entries() {
        out.entry(entry.bytes)?;
    }
    for index in 0..count {
        match image.segment(index) {
            SegmentState::Unused => {}
            SegmentState::Opening { lost } => out.lost(index, lost)?,
            SegmentState::Damaged(_) => out.stats.damaged_count += 1,
            SegmentState::Valid(segment) if out.leaves_out(header, &segment.header) => out.left_out(&segment.header)?,
            SegmentState::Valid(segment) if options.codec == Codec::None && out.withholder.is_none() => {
                out.plain_segment(&segment.header, segment.used().len(), None, segment.records)?;
            }
            SegmentState::Valid(segment) => {
                let (copy, rest) = work.split_at_mut(segment_len as usize);
                let copy = &mut copy[..segment.records.len()];
                copy.copy_from_slice(segment.records);
                out.packed_segment(&segment.header, segment.used().len(), copy, rest)?;
            }
        }
    }
    out.end()
}

/// A session of a device's ring, and what else is to be in its snapshot.
#[derive(Clone, Copy)]
pub struct SessionImage<'r, 'a> {
    /// The ring.
    pub image: &'r RingImage<'a>,
    /// The session.
    pub session: &'r Session,
    /// Puts other records in the place of some, if anything is to.
    pub replace: Option<&'r Replace<'r>>,
}

impl fmt::Debug for SessionImage<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionImage").field("image", self.image).field("session", self.session).finish_non_exhaustive()
    }
}

/// Gives the bytes of scratch that it takes to write a session: room for a segment as the ring has it, and where records are replaced for
/// the longest that there can be, twice.
#[must_use]
pub const fn session_scratch_len(options: &SnapshotOptions<'_>, segment_len: usize, replaces: bool) -> usize {
    if replaces {
        SEGMENT_LEN_MAX as usize + options.scratch_len(SEGMENT_LEN_MAX as usize)
    } else {
        options.scratch_len(segment_len)
    }
}

/// Writes a snapshot of one session of a device's ring, whose bytes may hold anything. `entries` are the process item and the callsite
/// items of its firmware, which the ring itself does not have.
///
/// What the ring counts for all sessions (events dropped, and what is lost in segments that are of no session) is in the snapshot of the
/// latest, so that the snapshots of all sessions together account for all events.
///
/// # Errors
/// [`SnapshotError::Sink`] if the sink fails, [`SnapshotError::ScratchTooSmall`] if `scratch` is shorter than
/// [`session_scratch_len`].
pub fn write_session<'o, 'e, S: Sink>(
    recording: &SessionImage<'_, '_>,
    entries: impl Iterator<Item = &'e [u8]>,
    meta: &SnapshotMeta<'_>,
    options: impl Into<SnapshotOptions<'o>>,
    scratch: &mut [u8],
    sink: &mut S,
) -> Result<SnapshotStats, SnapshotError<S::Error>> {
    let options = options.into();
    let SessionImage { image, session, replace } = *recording;
    let ring_segment_len = image.header().segment_len as usize;
    let needed_bytes = session_scratch_len(&options, ring_segment_len, replace.is_some());
    if scratch.len() < needed_bytes {
        return Err(SnapshotError::ScratchTooSmall { needed_bytes });
    }
    let rewritten_len = if replace.is_some() { SEGMENT_LEN_MAX as usize } else { 0 };
    let segment_len = if replace.is_some() { rewritten_len } else { ring_segment_len };
    let (rewritten, scratch) = scratch.split_at_mut(rewritten_len);
    // The longest that a snapshot can have, less the header that a segment has in a ring.
    let rewritten = &mut rewritten[..rewritten_len.saturating_sub(SEGMENT_HEADER_LEN)];
    let (work, withholder) = split_scratch(&options, segment_len, scratch)?;
    let mut out = Output::new(sink, options, withholder);
    let is_latest = image.latest_boot() == session.boot;
    let header = session_header(image, session, is_latest);
    let about = About { ring: &header, session: Some(session), left_out: LeftOut::default() };
    out.header(&about, image.anchors(), meta, None, work)?;
    for entry in entries {
        out.entry(entry)?;
    }
    for index in 0..image.present_segments() {
        match image.segment(index) {
            SegmentState::Unused => {}
            SegmentState::Opening { lost } if is_latest => out.lost(index, lost)?,
            SegmentState::Damaged(_) if is_latest => out.stats.damaged_count += 1,
            SegmentState::Opening { .. } | SegmentState::Damaged(_) => {}
            SegmentState::Valid(segment) if segment.header.context != session.boot => {}
            SegmentState::Valid(segment) => {
                let segment = match replace {
                    Some(replace) => rewrite_segment(&segment, rewritten, replace),
                    None => segment,
                };
                if options.codec == Codec::None && out.withholder.is_none() {
                    out.plain_segment(&segment.header, segment.used().len(), None, segment.records)?;
                    continue;
                }
                let (copy, rest) = work.split_at_mut(segment_len);
                let copy = &mut copy[..segment.records.len()];
                copy.copy_from_slice(segment.records);
                out.packed_segment(&segment.header, segment.used().len(), copy, rest)?;
            }
        }
    }
    out.end()
}

/// Gives the ring's header as that of one session.
fn session_header(image: &RingImage<'_>, session: &Session, is_latest: bool) -> RingHeader {
    let of_session = (0..image.present_segments()).filter_map(|index| match image.segment(index) {
        SegmentState::Valid(segment) if segment.header.context == session.boot => Some(segment.header),
        _ => None,
    });
    // All there is, if its first segment is there; else what is missing was replaced before the oldest that is there was opened.
    let complete_from = of_session
        .min_by_key(|header| header.sequence)
        .filter(|oldest| oldest.sequence > session.first_sequence)
        .map_or(0, |oldest| oldest.base_ticks.max(1));
    let header = RingHeader { complete_from, ..*image.header() };
    if is_latest { header } else { RingHeader { dropped: [0; 4], suppressed: 0, ..header } }
}

/// Divides the scratch into what the codec works with and what withholding needs.
fn split_scratch<'o, 's, E>(
    options: &SnapshotOptions<'o>,
    segment_len: usize,
    scratch: &'s mut [u8],
) -> Result<(&'s mut [u8], Option<Withholder<'o, 's>>), SnapshotError<E>> {
    let needed_bytes = options.scratch_len(segment_len);
    if scratch.len() < needed_bytes {
        return Err(SnapshotError::ScratchTooSmall { needed_bytes });
    }
    let Some(policy) = options.withhold else { return Ok((scratch, None)) };
    let (withholding, work) = scratch.split_at_mut(WITHHOLD_LEN);
    Ok((work, Some(Withholder::new(policy, withholding))))
}

/// What is left out of a snapshot.
#[derive(Clone, Copy, Debug, Default)]
struct LeftOut {
    /// Events.
    event_count: u64,
    /// When the last of the segments was closed, in ticks; 0: there is none.
    until_ticks: u64,
}

impl LeftOut {
    fn count(segments: impl Iterator<Item = SegmentHeader>) -> Self {
        segments.fold(LeftOut::default(), |sum, header| LeftOut {
            event_count: sum.event_count + u64::from(believe(&header, 0).count),
            until_ticks: sum.until_ticks.max(header.close_ticks),
        })
    }
}

/// What the header of a snapshot tells of the ring.
struct About<'r> {
    ring: &'r RingHeader,
    /// The session that the snapshot is of, of a device.
    session: Option<&'r Session>,
    left_out: LeftOut,
}

/// A snapshot on its way to a sink.
struct Output<'s, 'o, 'w, S: Sink> {
    sink: Counted<'s, S>,
    options: SnapshotOptions<'o>,
    /// There if something is withheld.
    withholder: Option<Withholder<'o, 'w>>,
    stats: SnapshotStats,
    /// Items of kind 2, those without records included.
    segment_items: u64,
    /// Places of entries that were being written when they were met.
    unfinished: [Option<usize>; UNFINISHED_MAX],
}

impl<'s, 'o, 'w, S: Sink> Output<'s, 'o, 'w, S> {
    fn new(sink: &'s mut S, options: SnapshotOptions<'o>, withholder: Option<Withholder<'o, 'w>>) -> Self {
        let sink = Counted { sink, written_bytes: 0 };
        Output {
            sink,
            options,
            withholder,
            stats: SnapshotStats::default(),
            segment_items: 0,
            unfinished: [None; UNFINISHED_MAX],
        }
    }

    /// Tells whether a segment is left out because of its age. One that a writer holds is not, nor one of the kept class.
    fn leaves_out(&self, ring: &RingHeader, segment: &SegmentHeader) -> bool {
        let is_old = (1..self.options.left_out_before_ticks).contains(&segment.close_ticks);
        is_old && !segment.owned && segment.index < ring.main_segment_count()
    }

    /// Writes an item of several parts.
    fn item(&mut self, kind: u8, parts: &[&[u8]]) -> Result<(), SnapshotError<S::Error>> {
        let len = parts.iter().map(|part| part.len()).sum::<usize>() as u32;
        let mut item = ItemWriter::begin(&mut self.sink, kind, len).map_err(SnapshotError::Sink)?;
        for part in parts {
            item.body(part).map_err(SnapshotError::Sink)?;
        }
        item.end(true).map_err(SnapshotError::Sink)
    }

    /// Writes an item of a body that is encoded as it is written; once for the length, once for the bytes: there may be no room
    /// for them all.
    fn encoded_item(
        &mut self,
        kind: u8,
        encode: impl Fn(&mut Encoder<&mut dyn CborOut>) -> Result<(), minicbor::encode::Error<()>>,
    ) -> Result<(), SnapshotError<S::Error>> {
        let mut length = Length(0);
        if encode(&mut Encoder::new(&mut length)).is_err() {
            return Ok(()); // not possible: counting does not fail
        }
        let mut item = ItemWriter::begin(&mut self.sink, kind, length.0).map_err(SnapshotError::Sink)?;
        let mut body = Body { item: &mut item, error: None };
        if encode(&mut Encoder::new(&mut body)).is_err() {
            if let Some(error) = body.error {
                return Err(SnapshotError::Sink(error));
            }
        }
        item.end(true).map_err(SnapshotError::Sink)
    }

    fn header(
        &mut self,
        about: &About<'_>,
        anchors: impl Iterator<Item = Anchor>,
        meta: &SnapshotMeta<'_>,
        filter: Option<&str>,
        scratch: &mut [u8],
    ) -> Result<(), SnapshotError<S::Error>> {
        let anchors = sort_anchors(anchors, scratch);
        let options = self.options;
        self.encoded_item(KIND_HEADER, |encoder| encode_header(encoder, about, &options, anchors, meta, filter))
    }

    /// Writes an entry of the table; without the literals that are withheld, and not at all if nobody knows what may be in it.
    fn entry(&mut self, bytes: &[u8]) -> Result<(), SnapshotError<S::Error>> {
        let withheld = match (&mut self.withholder, readable(bytes)) {
            (None, _) | (Some(_), Some(TableItem::Process(_))) => None,
            (Some(_), None | Some(TableItem::Unknown(_))) => return Ok(()),
            (Some(withholder), Some(TableItem::Callsite(callsite))) => match withholder.note(&callsite) {
                Withheld::Nothing => None,
                what => Some((callsite, what)),
            },
        };
        self.stats.entry_count += 1;
        let Some((callsite, what)) = withheld else { return self.item(KIND_ENTRY, &[bytes]) };
        // Taken out while `self` writes, and put back.
        let Some(withholder) = self.withholder.take() else { return Ok(()) };
        let result = self.encoded_item(KIND_ENTRY, |encoder| {
            encode_withheld(encoder, &callsite, |field| withholder.is_withheld(field, what))
        });
        self.withholder = Some(withholder);
        result
    }

    /// Writes the entries of the table from word `at` on, and those before that were being written when they were passed.
    fn live_entries(
        &mut self,
        ring: Ring<'_>,
        at: &mut usize,
        scratch: &mut [u8],
    ) -> Result<(), SnapshotError<S::Error>> {
        for n in 0..UNFINISHED_MAX {
            let Some(mut place) = self.unfinished[n] else { continue };
            let mut is_unfinished = false;
            // The entry behind is none of our business.
            let entry = ring.next_entry(&mut place, |_| is_unfinished = true).filter(|_| !is_unfinished);
            if let Some((len, words)) = entry {
                self.unfinished[n] = None;
                self.live_entry(len, words, scratch)?;
            }
        }
        loop {
            let unfinished = &mut self.unfinished;
            let entry = ring.next_entry(at, |place| {
                if let Some(free) = unfinished.iter_mut().find(|slot| slot.is_none()) {
                    *free = Some(place);
                }
            });
            match entry {
                Some((len, words)) => self.live_entry(len, words, scratch)?,
                None => return Ok(()),
            }
        }
    }

    fn live_entry(
        &mut self,
        len: usize,
        words: &[crate::Word],
        scratch: &mut [u8],
    ) -> Result<(), SnapshotError<S::Error>> {
        if self.withholder.is_some() {
            // One that is too long for the scratch is left out, and its records are withheld wholly.
            return match words.len() * 8 <= scratch.len() {
                true => self.entry(&load_words(words, scratch)[..len]),
                false => Ok(()),
            };
        }
        let mut item = ItemWriter::begin(&mut self.sink, KIND_ENTRY, len as u32).map_err(SnapshotError::Sink)?;
        let mut rest = len;
        for words in words.chunks(scratch.len() / 8) {
            let bytes = load_words(words, scratch);
            let used = bytes.len().min(rest);
            item.body(&bytes[..used]).map_err(SnapshotError::Sink)?;
            rest -= used;
        }
        item.end(true).map_err(SnapshotError::Sink)?;
        self.stats.entry_count += 1;
        Ok(())
    }

    /// Writes a segment straight from the ring.
    fn live_segment(&mut self, ring: Ring<'_>, index: u32, scratch: &mut [u8]) -> Result<(), SnapshotError<S::Error>> {
        let Some(peek) = ring.peek_segment(index).filter(|peek| !peek.records.is_empty()) else {
            return self.lost(index, ring.segment_loss(index));
        };
        let len = peek.records.len() * 8;
        let walked = believe(&peek.header, len);
        let (head, head_len) = segment_head(&peek.header, &walked, CODEC_NONE, len, len);
        let mut item =
            ItemWriter::begin(&mut self.sink, KIND_SEGMENT, (head_len + len) as u32).map_err(SnapshotError::Sink)?;
        item.body(&head[..head_len]).map_err(SnapshotError::Sink)?;
        for words in peek.records.chunks(scratch.len() / 8) {
            item.body(load_words(words, scratch)).map_err(SnapshotError::Sink)?;
        }
        let good = peek.is_unchanged();
        item.end(good).map_err(SnapshotError::Sink)?;
        if good {
            self.count_segment(walked.count);
            return Ok(());
        }
        self.stats.void_count += 1;
        self.lost(index, ring.segment_loss(index))
    }

    /// Writes a segment whose records are in `records`, `used` bytes of them according to its header; what lies behind may
    /// belong to them if the header is damaged. `rest` is the scratch after the copy.
    fn packed_segment(
        &mut self,
        header: &SegmentHeader,
        used: usize,
        records: &mut [u8],
        rest: &mut [u8],
    ) -> Result<(), SnapshotError<S::Error>> {
        if used == 0 && (header.count == 0 || header.mode != Mode::Exclusive) {
            return self.lost(header.index, header.lost);
        }
        // What is pending on a device can only be told from the records, and may be among those that have a valid check.
        let mut walked =
            (header.mode == Mode::Device).then(|| walk(header, used, records)).filter(|walked| walked.pending > 0);
        if let Some(withholder) = &mut self.withholder {
            if !withholder.mask(header, used, records, rest) {
                // What is damaged can be told from the records as they were.
                walked = Some(walk(header, used, &rest[..records.len()]));
            }
            self.stats.withheld_count = withholder.masked_count;
        }
        #[cfg(feature = "lz4")]
        if self.options.codec == Codec::Lz4 {
            return self.compressed_segment(header, used, walked, records, rest);
        }
        self.plain_segment(header, used, walked, records)
    }

    /// Writes a segment without compressing it. `walked`: what its records are, if that is known.
    fn plain_segment(
        &mut self,
        header: &SegmentHeader,
        used: usize,
        walked: Option<Walked>,
        records: &[u8],
    ) -> Result<(), SnapshotError<S::Error>> {
        let walked = walked.unwrap_or_else(|| walk(header, used, records));
        let records = &records[..walked.used];
        if records.is_empty() {
            return self.lost(header.index, header.lost);
        }
        self.segment(header, &walked, CODEC_NONE, records.len(), records)
    }

    #[cfg(feature = "lz4")]
    fn compressed_segment(
        &mut self,
        header: &SegmentHeader,
        used: usize,
        walked: Option<Walked>,
        records: &mut [u8],
        rest: &mut [u8],
    ) -> Result<(), SnapshotError<S::Error>> {
        let (columns, compressed) = rest.split_at_mut(columns_len_max(records.len()));
        // Only records that are all valid fit columns.
        let encoded = match walked {
            None => encode_columns(&mut records[..used], header.lap, header.count, columns),
            Some(_) => None,
        };
        if let Some(len) = encoded {
            let walked = Walked { count: header.count, pending: header.busy.into(), damaged: 0, used };
            return match lz4_flex::block::compress_into(&columns[..len], compressed) {
                Ok(len) => self.segment(header, &walked, CODEC_COLUMNS, used, &compressed[..len]),
                // Not possible, as there is room for the worst case; said to be lost rather than passed over in silence.
                Err(_) => self.lost(header.index, header.lost + u64::from(header.count)),
            };
        }
        let walked = walked.unwrap_or_else(|| walk(header, used, records));
        let records = &records[..walked.used];
        let (codec, data) = match lz4_flex::block::compress_into(records, compressed) {
            Ok(len) => (CODEC_LZ4, &compressed[..len]),
            Err(_) => (CODEC_NONE, records),
        };
        self.segment(header, &walked, codec, records.len(), data)
    }

    fn segment(
        &mut self,
        header: &SegmentHeader,
        walked: &Walked,
        codec: u64,
        raw_len: usize,
        data: &[u8],
    ) -> Result<(), SnapshotError<S::Error>> {
        let (head, head_len) = segment_head(header, walked, codec, raw_len, data.len());
        self.item(KIND_SEGMENT, &[&head[..head_len], data])?;
        self.count_segment(walked.count);
        Ok(())
    }

    fn count_segment(&mut self, count: u32) {
        self.segment_items += 1;
        self.stats.segment_count += 1;
        self.stats.event_count += u64::from(count);
    }

    /// Writes what was lost in a segment without records.
    fn lost(&mut self, index: u32, lost: u64) -> Result<(), SnapshotError<S::Error>> {
        if lost == 0 { Ok(()) } else { self.without_records(index, lost, 0) }
    }

    /// Writes how many events of a segment are left out.
    fn left_out(&mut self, header: &SegmentHeader) -> Result<(), SnapshotError<S::Error>> {
        let left_out = believe(header, 0).count;
        self.stats.left_out_count += u64::from(left_out);
        self.without_records(header.index, header.lost, left_out)
    }

    fn without_records(&mut self, index: u32, lost: u64, left_out: u32) -> Result<(), SnapshotError<S::Error>> {
        let header = SegmentHeader {
            index,
            sequence: 0,
            lap: 0,
            mode: Mode::Exclusive,
            context: 0,
            base_ticks: 0,
            lost,
            offset_words: 0,
            count: 0,
            done: 0,
            owned: false,
            busy: false,
            closed: false,
            close_ticks: 0,
        };
        let (head, head_len) = segment_head(&header, &Walked::default(), CODEC_NONE, 0, 0);
        let mut more = [0; 8];
        let mut encoder = Encoder::new(Cursor::new(&mut more[..]));
        // Only where there are some: a reader that finds no such element knows that there are none.
        let encoded = if left_out > 0 { encoder.u32(left_out).map(|_| ()) } else { Ok(()) };
        debug_assert!(encoded.is_ok(), "a header of at most 5 bytes");
        let more_len = encoder.writer().position();
        let mut head = head;
        head[0] += u8::from(left_out > 0); // the length of the array
        self.item(KIND_SEGMENT, &[&head[..head_len], &more[..more_len]])?;
        self.segment_items += 1;
        Ok(())
    }

    fn end(mut self) -> Result<SnapshotStats, SnapshotError<S::Error>> {
        let mut body = [0; 24];
        let mut encoder = Encoder::new(Cursor::new(&mut body[..]));
        let counts = (self.stats.entry_count, self.segment_items);
        let encoded = encoder.array(2).and_then(|encoder| encoder.u64(counts.0)?.u64(counts.1)?.ok());
        debug_assert!(encoded.is_ok(), "three headers of at most 9 bytes");
        let len = encoder.writer().position();
        self.item(KIND_END, &[&body[..len]])?;
        self.stats.written_bytes = self.sink.written_bytes;
        Ok(self.stats)
    }
}

/// What the records of a segment are.
#[derive(Clone, Copy, Debug, Default)]
struct Walked {
    /// Events.
    count: u32,
    /// Reservations that are not committed.
    pending: u32,
    /// Events known to be lost to damage.
    damaged: u32,
    /// Bytes up to the end of the last record.
    used: usize,
}

/// What the header of a segment says of its records, without a look at them.
fn believe(header: &SegmentHeader, used: usize) -> Walked {
    let (count, pending) = match header.mode {
        Mode::Exclusive => (header.count, header.busy.into()),
        Mode::Shared | Mode::SharedContexts => {
            (header.done.min(header.count), header.count.saturating_sub(header.done))
        }
        // How many of them are pending can only be told from the records.
        Mode::Device => (header.count, 0),
    };
    Walked { count, pending, damaged: 0, used }
}

/// Walks the records of a segment of which some may be pending, damaged, or not where the header has them.
fn walk(header: &SegmentHeader, used: usize, records: &[u8]) -> Walked {
    let segment = Segment { header: *header, records };
    // Zero words do not tell how many reservations they are; the header does.
    let mut walked = Walked { count: 0, damaged: 0, used, ..believe(header, used) };
    let mut damaged = false;
    for item in segment.items() {
        match item {
            Item::Event(record) => {
                walked.count += 1;
                let len = decode_record(records, record.offset, header.seal()).map_or(0, |record| record.len_bytes);
                walked.used = walked.used.max(record.offset + len).min(records.len());
            }
            Item::Damaged { .. } => damaged = true,
            Item::Pending { .. } if header.mode == Mode::Device => walked.pending += 1,
            Item::Pending { .. } | Item::Context(_) => {}
        }
    }
    if header.mode == Mode::Device && !damaged {
        // Zeros may be several reservations, of which the header knows.
        walked.pending = walked.pending.max(header.count.saturating_sub(walked.count));
    } else if header.mode != Mode::Exclusive {
        // A record can be whole although its reservation is not yet counted as done.
        walked.pending = walked.pending.min(header.count.saturating_sub(walked.count));
    }
    if damaged {
        let reserved = if header.mode == Mode::Exclusive { 0 } else { walked.pending };
        walked.damaged = header.count.saturating_sub(walked.count.saturating_add(reserved));
    }
    walked
}

/// Loads words into `scratch`, which has room for them, and gives their bytes.
fn load_words<'b>(words: &[crate::Word], scratch: &'b mut [u8]) -> &'b [u8] {
    for (word, bytes) in words.iter().zip(scratch.chunks_exact_mut(8)) {
        // Acquire: in a shared segment a header word publishes the words after it.
        bytes.copy_from_slice(&word.load_acquire().to_le_bytes());
    }
    &scratch[..words.len() * 8]
}

/// Encodes the elements of a segment item up to the length of its data.
fn segment_head(
    header: &SegmentHeader,
    walked: &Walked,
    codec: u64,
    raw_len: usize,
    data_len: usize,
) -> ([u8; SEGMENT_HEAD_LEN], usize) {
    let mut bytes = [0; SEGMENT_HEAD_LEN];
    let mut encoder = Encoder::new(Cursor::new(&mut bytes[..]));
    let mut encode = || -> Result<(), minicbor::encode::Error<EndOfSlice>> {
        encoder
            .array(14)?
            .u32(header.index)?
            .u64(header.sequence)?
            .u32(header.context)?
            .u8(header.mode.number())?
            .u8(header.lap)?;
        encoder.u64(header.base_ticks)?.u64(header.close_ticks)?.u64(header.lost)?;
        encoder.u32(walked.count)?.u32(walked.pending)?.u32(walked.damaged)?;
        encoder.u64(codec)?.u64(raw_len as u64)?.bytes_len(data_len as u64)?.ok()
    };
    let encoded = encode();
    debug_assert!(encoded.is_ok(), "15 headers of at most 9 bytes, most of them of 5");
    let len = encoder.writer().position();
    (bytes, len)
}

/// Puts anchors into `scratch`, oldest first. Where there is no room for all, the first and the latest are kept.
fn sort_anchors(anchors: impl Iterator<Item = Anchor>, scratch: &mut [u8]) -> &[u8] {
    let most = (scratch.len() / ANCHOR_LEN).min(ANCHOR_MAX);
    let ticks_at = |scratch: &[u8], index: usize| {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&scratch[index * ANCHOR_LEN..][..8]);
        u64::from_le_bytes(bytes)
    };
    let mut count = 0;
    for anchor in anchors {
        let mut place = count;
        while place > 0 && ticks_at(scratch, place - 1) > anchor.ticks {
            place -= 1;
        }
        if count == most {
            // The second oldest of them all goes.
            if place == 1 {
                continue;
            }
            if place > 1 {
                scratch.copy_within(2 * ANCHOR_LEN..place * ANCHOR_LEN, ANCHOR_LEN);
                place -= 1;
            }
        } else {
            scratch.copy_within(place * ANCHOR_LEN..count * ANCHOR_LEN, (place + 1) * ANCHOR_LEN);
            count += 1;
        }
        let slot = &mut scratch[place * ANCHOR_LEN..][..ANCHOR_LEN];
        slot[..8].copy_from_slice(&anchor.ticks.to_le_bytes());
        slot[8..].copy_from_slice(&anchor.unix_ns.to_le_bytes());
    }
    &scratch[..count * ANCHOR_LEN]
}

/// Encodes the body of the header item; its twin is `SnapshotHeader::decode`.
fn encode_header<W: minicbor::encode::Write>(
    encoder: &mut Encoder<W>,
    about: &About<'_>,
    options: &SnapshotOptions<'_>,
    anchors: &[u8],
    meta: &SnapshotMeta<'_>,
    filter: Option<&str>,
) -> Result<(), minicbor::encode::Error<W::Error>> {
    let About { ring, session, left_out } = *about;
    // What a ring does not have, or has not seen, takes no room.
    let has_kept = ring.kept_segment_count > 0;
    let has_panics = ring.panics.count > 0;
    let leaves_out = options.left_out_before_ticks > 0;
    let extra = 2 * u64::from(has_kept)
        + [ring.end.is_some(), has_panics, leaves_out, filter.is_some(), session.is_some()]
            .into_iter()
            .map(u64::from)
            .sum::<u64>();
    // The versions are those of the snapshot: it may be made of a ring of an older version. Segments of devices are new in version 3.
    let min_reader_version = if ring.is_device() { DEVICE_MIN_READER_VERSION } else { MIN_READER_VERSION };
    encoder.map(12 + extra)?.u8(0)?.u16(FORMAT_VERSION)?.u8(1)?.u16(min_reader_version)?;
    encoder.u8(2)?.u64(ring.ring_id)?.u8(3)?.str(meta.reason)?.u8(4)?.i64(meta.created_unix_ns)?;
    encoder.u8(5)?.array((anchors.len() / ANCHOR_LEN) as u64)?;
    for anchor in anchors.chunks_exact(ANCHOR_LEN) {
        let (ticks, unix_ns) = anchor.split_at(8);
        let ticks = u64::from_le_bytes(ticks.try_into().unwrap_or_default());
        let unix_ns = i64::from_le_bytes(unix_ns.try_into().unwrap_or_default());
        encoder.array(2)?.u64(ticks)?.i64(unix_ns)?;
    }
    // Nothing is missing from the time on at which the last segment ended that is left out.
    encoder.u8(6)?.u64(ring.complete_from.max(left_out.until_ticks))?.u8(7)?.array(5)?;
    for dropped in ring.dropped {
        encoder.u64(dropped)?;
    }
    encoder.u64(ring.suppressed)?.u8(8)?.u32(ring.segment_count)?.u8(9)?.u32(ring.segment_len)?;
    encoder.u8(10)?.u64(meta.ticks)?.u8(11)?.u64(ring.state)?;
    if has_kept {
        encoder.u8(12)?.u32(ring.kept_segment_count)?.u8(13)?.u64(ring.kept_complete_from)?;
    }
    if let Some(end) = ring.end {
        encoder.u8(14)?.array(10)?.u8(end.kind.number())?.u8(end.signal)?.i32(end.code)?.u64(end.address)?;
        encoder.u64(end.ticks)?.i64(end.unix_ns)?.u32(end.os_thread_id)?.u32(end.context)?;
        encoder.u32(end.sender_pid)?.u32(end.sender_uid)?;
    }
    if has_panics {
        let panics = ring.panics;
        encoder.u8(15)?.array(3)?.u64(panics.count)?.u64(panics.last_ticks)?.u64(panics.last_os_thread_id)?;
    }
    if leaves_out {
        encoder.u8(16)?.array(2)?.u64(left_out.event_count)?.u64(options.min_age_ns)?;
    }
    if let Some(filter) = filter {
        encoder.u8(17)?.str(filter)?;
    }
    if let Some(session) = session {
        encoder.u8(18)?.array(2)?.u32(session.boot)?.u32(session.reset_reason)?;
    }
    Ok(())
}

/// Fewest bytes of scratch of which some are for the filter's text.
const SCRATCH_LEN_FOR_FILTER: usize = 4 * CONTROL_TEXT_MAX;

/// Takes the room for the filter's text off the end of `scratch`, if enough is left for anchors then.
fn split_for_filter(scratch: &mut [u8]) -> (&mut [u8], Option<&mut [u8; CONTROL_TEXT_MAX]>) {
    if scratch.len() < SCRATCH_LEN_FOR_FILTER {
        return (scratch, None);
    }
    match scratch.split_last_chunk_mut() {
        Some((rest, last)) => (rest, Some(last)),
        None => (&mut [], None),
    }
}

/// Where CBOR goes: an object, so that what encodes it is compiled once.
trait CborOut {
    fn put(&mut self, bytes: &[u8]) -> Result<(), ()>;
}

impl minicbor::encode::Write for &mut dyn CborOut {
    type Error = ();

    fn write_all(&mut self, bytes: &[u8]) -> Result<(), ()> {
        self.put(bytes)
    }
}

/// Counts bytes.
struct Length(u32);

impl CborOut for Length {
    fn put(&mut self, bytes: &[u8]) -> Result<(), ()> {
        self.0 += bytes.len() as u32;
        Ok(())
    }
}

/// Lets CBOR be encoded into the body of an item, and keeps the sink's error.
struct Body<'i, 's, S: Sink> {
    item: &'i mut ItemWriter<'s, S>,
    error: Option<S::Error>,
}

impl<S: Sink> CborOut for Body<'_, '_, S> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), ()> {
        self.item.body(bytes).map_err(|error| self.error = Some(error))
    }
}

/// Counts what goes to a sink.
struct Counted<'s, S: Sink> {
    sink: &'s mut S,
    written_bytes: u64,
}

impl<S: Sink> Sink for Counted<'_, S> {
    type Error = S::Error;

    fn write_all(&mut self, bytes: &[u8]) -> Result<(), S::Error> {
        self.written_bytes += bytes.len() as u64;
        self.sink.write_all(bytes)
    }
}

/// What the frame adds is the same for every item.
const _: () = assert!(ITEM_OVERHEAD_LEN == 20);

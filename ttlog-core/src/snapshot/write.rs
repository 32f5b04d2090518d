//! Ring to snapshot: a stream of items, written without allocation while the ring's writers go on.

use core::fmt;

use minicbor::Encoder;
use minicbor::encode::write::{Cursor, EndOfSlice};

use super::CODEC_NONE;
use super::item::{ITEM_OVERHEAD_LEN, ItemWriter, KIND_END, KIND_ENTRY, KIND_HEADER, KIND_SEGMENT};
use crate::clock::Anchor;
use crate::record::decode_record;
use crate::ring::{
    CONTROL_TEXT_MAX, FORMAT_VERSION, Item, MIN_READER_VERSION, Mode, Ring, RingHeader, RingImage, SERVER_ANCHOR_COUNT,
    Segment, SegmentHeader, SegmentState,
};
#[cfg(feature = "lz4")]
use {
    super::columns::{columns_len_max, encode_columns},
    super::{CODEC_COLUMNS, CODEC_LZ4},
    crate::ring::SEGMENT_HEADER_LEN,
};

/// Fewest bytes of scratch that a snapshot can be written with.
pub const SCRATCH_LEN_MIN: usize = 64;
/// Most anchors that are written: all of a ring on a server.
const ANCHOR_MAX: usize = SERVER_ANCHOR_COUNT;
/// Bytes of an anchor while it is in the scratch.
const ANCHOR_LEN: usize = 16;
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
/// [`Codec::None`] needs [`SCRATCH_LEN_MIN`] only.
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
/// A segment that is overwritten while it is being written is left out and its events are counted as lost (`void_count`).
///
/// # Errors
/// [`SnapshotError::Sink`] if the sink fails, [`SnapshotError::ScratchTooSmall`] if `scratch` is too short.
pub fn write_snapshot_of_ring<S: Sink>(
    ring: Ring<'_>,
    meta: &SnapshotMeta<'_>,
    codec: Codec,
    scratch: &mut [u8],
    sink: &mut S,
) -> Result<SnapshotStats, SnapshotError<S::Error>> {
    check_scratch(codec, ring.segment_len(), scratch)?;
    let mut out = Output::new(sink);
    let header = ring.header_now();
    let (scratch_before, filter) = split_for_filter(scratch);
    let filter = filter.and_then(|buffer| ring.filter_text(buffer));
    out.header(&header, ring.anchors(), meta, filter, scratch_before)?;
    let mut entry_at = 0;
    out.live_entries(ring, &mut entry_at, scratch)?;
    // The oldest first: it is the next to be overwritten. Then the kept class, which turns over slowly.
    let (main, count) = (header.main_segment_count(), ring.segment_count());
    let oldest = (header.next_sequence.wrapping_sub(1) % u64::from(main.max(1))) as u32;
    for index in (oldest..main).chain(0..oldest).chain(main..count) {
        match codec {
            Codec::None => out.live_segment(ring, index, scratch)?,
            #[cfg(feature = "lz4")]
            Codec::Lz4 => {
                let (copy, rest) = scratch.split_at_mut(ring.segment_len());
                match ring.copy_segment(index, copy) {
                    SegmentState::Valid(segment) => {
                        let (header, used) = (segment.header, segment.used().len());
                        out.packed_segment(&header, used, &mut copy[SEGMENT_HEADER_LEN..], rest)?;
                    }
                    SegmentState::Unused => {}
                    SegmentState::Opening { lost } => out.lost(index, lost)?,
                    SegmentState::Damaged(_) => {
                        out.stats.void_count += 1;
                        out.lost(index, ring.segment_loss(index))?;
                    }
                }
            }
        }
    }
    // Callsites that were met for the first time meanwhile.
    out.live_entries(ring, &mut entry_at, scratch)?;
    out.end()
}

/// Writes a snapshot of a ring's bytes, which may hold anything: what is damaged is left out, what is intact is written.
///
/// # Errors
/// [`SnapshotError::Sink`] if the sink fails, [`SnapshotError::ScratchTooSmall`] if `scratch` is too short.
pub fn write_snapshot_of_image<S: Sink>(
    image: &RingImage<'_>,
    meta: &SnapshotMeta<'_>,
    codec: Codec,
    scratch: &mut [u8],
    sink: &mut S,
) -> Result<SnapshotStats, SnapshotError<S::Error>> {
    check_scratch(codec, image.header().segment_len as usize, scratch)?;
    let mut out = Output::new(sink);
    let filter = image.control().and_then(|control| control.filter);
    out.header(image.header(), image.anchors(), meta, filter, scratch)?;
    for entry in image.entries() {
        out.item(KIND_ENTRY, &[entry.bytes])?;
        out.stats.entry_count += 1;
    }
    let segment_len = u64::from(image.header().segment_len);
    // A header may claim more segments than there are bytes for.
    let present = image.header().region_len().saturating_sub(image.missing_bytes());
    let count = present.saturating_sub(image.header().segments_offset).div_ceil(segment_len);
    for index in 0..u32::try_from(count).unwrap_or(u32::MAX).min(image.header().segment_count) {
        match image.segment(index) {
            SegmentState::Unused => {}
            SegmentState::Opening { lost } => out.lost(index, lost)?,
            SegmentState::Damaged(_) => out.stats.damaged_count += 1,
            SegmentState::Valid(segment) => match codec {
                Codec::None => {
                    let header = &segment.header;
                    let walked = walk(header, segment.used().len(), segment.records);
                    let records = &segment.records[..walked.used];
                    if records.is_empty() {
                        out.lost(index, header.lost)?;
                    } else {
                        out.segment(header, &walked, CODEC_NONE, records.len(), records)?;
                    }
                }
                #[cfg(feature = "lz4")]
                Codec::Lz4 => {
                    let (copy, rest) = scratch.split_at_mut(segment_len as usize);
                    let copy = &mut copy[..segment.records.len()];
                    copy.copy_from_slice(segment.records);
                    out.packed_segment(&segment.header, segment.used().len(), copy, rest)?;
                }
            },
        }
    }
    out.end()
}

fn check_scratch<E>(codec: Codec, segment_len: usize, scratch: &[u8]) -> Result<(), SnapshotError<E>> {
    #[cfg(not(feature = "lz4"))]
    let _ = segment_len; // only compressing depends on it
    let needed_bytes = match codec {
        Codec::None => SCRATCH_LEN_MIN,
        #[cfg(feature = "lz4")]
        Codec::Lz4 => scratch_len(segment_len),
    };
    if scratch.len() < needed_bytes { Err(SnapshotError::ScratchTooSmall { needed_bytes }) } else { Ok(()) }
}

/// A snapshot on its way to a sink.
struct Output<'s, S: Sink> {
    sink: Counted<'s, S>,
    stats: SnapshotStats,
    /// Items of kind 2, those without records included.
    segment_items: u64,
}

impl<'s, S: Sink> Output<'s, S> {
    fn new(sink: &'s mut S) -> Self {
        Output { sink: Counted { sink, written_bytes: 0 }, stats: SnapshotStats::default(), segment_items: 0 }
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

    fn header(
        &mut self,
        ring: &RingHeader,
        anchors: impl Iterator<Item = Anchor>,
        meta: &SnapshotMeta<'_>,
        filter: Option<&str>,
        scratch: &mut [u8],
    ) -> Result<(), SnapshotError<S::Error>> {
        let anchors = sort_anchors(anchors, scratch);
        // Once for the length, once for the bytes: there may be no room for them all.
        let mut length = Length(0);
        if encode_header(&mut Encoder::new(&mut length), ring, anchors, meta, filter).is_err() {
            return Ok(()); // not possible: counting does not fail
        }
        let mut item = ItemWriter::begin(&mut self.sink, KIND_HEADER, length.0).map_err(SnapshotError::Sink)?;
        let mut body = Body { item: &mut item, error: None };
        if encode_header(&mut Encoder::new(&mut body), ring, anchors, meta, filter).is_err() {
            if let Some(error) = body.error {
                return Err(SnapshotError::Sink(error));
            }
        }
        item.end(true).map_err(SnapshotError::Sink)
    }

    /// Writes the entries of the table from word `at` on.
    fn live_entries(
        &mut self,
        ring: Ring<'_>,
        at: &mut usize,
        scratch: &mut [u8],
    ) -> Result<(), SnapshotError<S::Error>> {
        while let Some((len, words)) = ring.next_entry(at) {
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
        }
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
    #[cfg(feature = "lz4")]
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
        let (columns, compressed) = rest.split_at_mut(columns_len_max(records.len()));
        if let Some(len) = encode_columns(&mut records[..used], header.lap, header.count, columns) {
            let walked = Walked { count: header.count, pending: header.busy.into(), damaged: 0, used };
            return match lz4_flex::block::compress_into(&columns[..len], compressed) {
                Ok(len) => self.segment(header, &walked, CODEC_COLUMNS, used, &compressed[..len]),
                // Not possible, as there is room for the worst case; said to be lost rather than passed over in silence.
                Err(_) => self.lost(header.index, header.lost + u64::from(header.count)),
            };
        }
        let walked = walk(header, used, records);
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
        if lost == 0 {
            return Ok(());
        }
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
        self.item(KIND_SEGMENT, &[&head[..head_len]])?;
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
                let len = decode_record(records, record.offset, header.lap).map_or(0, |record| record.len_bytes);
                walked.used = walked.used.max(record.offset + len).min(records.len());
            }
            Item::Damaged { .. } => damaged = true,
            Item::Pending { .. } | Item::Context(_) => {}
        }
    }
    if header.mode != Mode::Exclusive {
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
    let mode = match header.mode {
        Mode::Exclusive => 0,
        Mode::Shared => 1,
        Mode::SharedContexts => 2,
    };
    let mut encode = || -> Result<(), minicbor::encode::Error<EndOfSlice>> {
        encoder.array(14)?.u32(header.index)?.u64(header.sequence)?.u32(header.context)?.u8(mode)?.u8(header.lap)?;
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
    ring: &RingHeader,
    anchors: &[u8],
    meta: &SnapshotMeta<'_>,
    filter: Option<&str>,
) -> Result<(), minicbor::encode::Error<W::Error>> {
    // What a ring does not have, or has not seen, takes no room.
    let has_kept = ring.kept_segment_count > 0;
    let has_panics = ring.panics.count > 0;
    let extra =
        2 * u64::from(has_kept) + u64::from(ring.end.is_some()) + u64::from(has_panics) + u64::from(filter.is_some());
    // The versions are those of the snapshot: it may be made of a ring of an older version.
    encoder.map(12 + extra)?.u8(0)?.u16(FORMAT_VERSION)?.u8(1)?.u16(MIN_READER_VERSION)?;
    encoder.u8(2)?.u64(ring.ring_id)?.u8(3)?.str(meta.reason)?.u8(4)?.i64(meta.created_unix_ns)?;
    encoder.u8(5)?.array((anchors.len() / ANCHOR_LEN) as u64)?;
    for anchor in anchors.chunks_exact(ANCHOR_LEN) {
        let (ticks, unix_ns) = anchor.split_at(8);
        let ticks = u64::from_le_bytes(ticks.try_into().unwrap_or_default());
        let unix_ns = i64::from_le_bytes(unix_ns.try_into().unwrap_or_default());
        encoder.array(2)?.u64(ticks)?.i64(unix_ns)?;
    }
    encoder.u8(6)?.u64(ring.complete_from)?.u8(7)?.array(5)?;
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
    if let Some(filter) = filter {
        encoder.u8(17)?.str(filter)?;
    }
    Ok(())
}

/// Takes the room for the filter's text off the end of `scratch`, if it is long enough for that and for the anchors.
fn split_for_filter(scratch: &mut [u8]) -> (&mut [u8], Option<&mut [u8; CONTROL_TEXT_MAX]>) {
    if scratch.len() < ANCHOR_MAX * ANCHOR_LEN + CONTROL_TEXT_MAX {
        return (scratch, None);
    }
    match scratch.split_last_chunk_mut() {
        Some((rest, last)) => (rest, Some(last)),
        None => (&mut [], None),
    }
}

/// Counts bytes.
struct Length(u32);

impl minicbor::encode::Write for Length {
    type Error = core::convert::Infallible;

    fn write_all(&mut self, bytes: &[u8]) -> Result<(), Self::Error> {
        self.0 += bytes.len() as u32;
        Ok(())
    }
}

/// Lets CBOR be encoded into the body of an item, and keeps the sink's error.
struct Body<'i, 's, S: Sink> {
    item: &'i mut ItemWriter<'s, S>,
    error: Option<S::Error>,
}

impl<S: Sink> minicbor::encode::Write for Body<'_, '_, S> {
    type Error = ();

    fn write_all(&mut self, bytes: &[u8]) -> Result<(), ()> {
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

//! Snapshot to table entries and segments: borrowing, bounded, and whatever the bytes hold.

use core::fmt;

use minicbor::Decoder;

use super::CODEC_NONE;
use super::item::{Found, ItemFinder, KIND_END, KIND_ENTRY, KIND_HEADER, KIND_SEGMENT};
#[cfg(feature = "lz4")]
use super::{CODEC_COLUMNS, CODEC_LZ4, columns::columns_len_max, columns::decode_columns};
use crate::clock::Anchor;
use crate::error::{FormatError, FormatErrorKind};
use crate::ring::{
    EndKind, FORMAT_VERSION, KEPT_SEQUENCE_BIT, Mode, Panics, ProcessEnd, SEGMENT_LEN_MAX, Segment, SegmentHeader,
    TableEntry,
};

/// A snapshot as bytes.
#[derive(Clone, Copy)]
pub struct SnapshotReader<'a> {
    bytes: &'a [u8],
}

impl<'a> SnapshotReader<'a> {
    /// Reads `bytes`, which may hold anything.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        SnapshotReader { bytes }
    }

    /// Iterates over the items in the order of the file; what is between intact ones is given as damaged.
    ///
    /// Ends, in a time in proportion to the length of the bytes. After a header that asks for a newer reader comes one `Damaged`
    /// with [`FormatErrorKind::TooNew`] and nothing more.
    #[must_use]
    pub fn items(&self) -> SnapshotItems<'a> {
        SnapshotItems { finder: ItemFinder::new(self.bytes), len: self.bytes.len(), too_new: None, finished: false }
    }

    /// Gives the first header, if one is intact.
    #[must_use]
    pub fn header(&self) -> Option<SnapshotHeader<'a>> {
        self.items().find_map(|item| match item {
            SnapshotItem::Header(header) => Some(header),
            _ => None,
        })
    }
}

impl fmt::Debug for SnapshotReader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SnapshotReader").field("len_bytes", &self.bytes.len()).finish()
    }
}

/// An item of a snapshot. Offsets are bytes from the start of the snapshot.
#[derive(Clone, Debug)]
pub enum SnapshotItem<'a> {
    /// What the snapshot says of itself and of its ring.
    Header(SnapshotHeader<'a>),
    /// An entry of the ring's table; its offset is that of its bytes in the snapshot.
    Entry(TableEntry<'a>),
    /// A segment.
    Segment(PackedSegment<'a>),
    /// The end: the snapshot is whole if so many items came before.
    End {
        /// Entries of the table.
        entry_count: u64,
        /// Segments, those without records included.
        segment_count: u64,
    },
    /// An intact item of a kind that this version does not know.
    Unknown {
        /// Its kind.
        kind: u8,
        /// Where it starts.
        offset: usize,
        /// Bytes of its body.
        len_bytes: usize,
    },
    /// Bytes that are no intact item. [`FormatErrorKind::Overwritten`] is no damage: the writer took a segment back that was
    /// overwritten while it was being written, and counts its events as lost in another item.
    Damaged {
        /// Where they start.
        offset: usize,
        /// How many.
        len_bytes: usize,
        /// Why they cannot be read.
        reason: FormatErrorKind,
    },
}

/// Walks the items of a snapshot.
#[derive(Clone, Debug)]
pub struct SnapshotItems<'a> {
    finder: ItemFinder<'a>,
    len: usize,
    /// The version asked for by a header that was just given, and where that was.
    too_new: Option<(u16, usize)>,
    finished: bool,
}

impl<'a> Iterator for SnapshotItems<'a> {
    type Item = SnapshotItem<'a>;

    fn next(&mut self) -> Option<SnapshotItem<'a>> {
        if self.finished {
            return None;
        }
        if let Some((version, offset)) = self.too_new {
            self.finished = true;
            let reason = FormatErrorKind::TooNew(version);
            return Some(SnapshotItem::Damaged { offset, len_bytes: self.len - offset, reason });
        }
        let (offset, kind, body_offset, body) = match self.finder.next()? {
            Found::Damaged { offset, len_bytes, reason } => {
                return Some(SnapshotItem::Damaged { offset, len_bytes, reason });
            }
            Found::Item { offset, kind, body_offset, body } => (offset, kind, body_offset, body),
        };
        let len_bytes = body_offset + body.len() - offset + 5;
        let item = match kind {
            KIND_HEADER => decode_header(body).map(SnapshotItem::Header),
            KIND_ENTRY => Some(SnapshotItem::Entry(TableEntry { offset: body_offset, bytes: body })),
            KIND_SEGMENT => decode_segment(body, offset).map(SnapshotItem::Segment),
            KIND_END => decode_end(body),
            kind => Some(SnapshotItem::Unknown { kind, offset, len_bytes: body.len() }),
        };
        if let Some(SnapshotItem::Header(header)) = &item {
            if header.min_reader_version > FORMAT_VERSION {
                self.too_new = Some((header.min_reader_version, offset + len_bytes.min(self.len - offset)));
            }
        }
        Some(item.unwrap_or(SnapshotItem::Damaged { offset, len_bytes, reason: FormatErrorKind::BadCbor }))
    }
}

/// What a snapshot says of itself and of its ring; see docs/format.md §6.1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SnapshotHeader<'a> {
    /// Version of the format it was written in.
    pub format_version: u16,
    /// Version that a reader must know.
    pub min_reader_version: u16,
    /// Identity of the ring.
    pub ring_id: u64,
    /// Why it was made.
    pub reason: &'a str,
    /// When, in nanoseconds since 1970.
    pub created_unix_ns: i64,
    /// When, in ticks; 0: unknown.
    pub ticks: u64,
    /// No event later than this was overwritten; 0: none was at all.
    pub complete_from: u64,
    /// Events refused: too large, re-entrant, no segment, unregistered.
    pub dropped: [u64; 4],
    /// Events withheld by sampling or rate limit.
    pub suppressed: u64,
    /// Segments of the ring.
    pub segment_count: u32,
    /// Bytes of a segment.
    pub segment_len: u32,
    /// The state of the ring; see [`STATE_ENDED`](crate::ring::STATE_ENDED).
    pub state: u64,
    /// What was left out because of its age, where that was asked for.
    pub left_out: Option<LeftOut>,
    /// Segments of the kept class, warnings and errors: the last so many of the ring.
    pub kept_segment_count: u32,
    /// No event of the kept class later than this was overwritten; 0: none was at all.
    pub kept_complete_from: u64,
    /// How the process ended; `None`: it had not, or could not say so.
    pub end: Option<ProcessEnd>,
    /// The panics of the process.
    pub panics: Panics,
    /// The filter that held; empty: it was not told.
    pub filter: &'a str,
    /// The session of a device that it is of.
    pub session: Option<SessionOf>,
    /// The CBOR of the anchors, read once already.
    anchors: &'a [u8],
    anchor_count: u64,
}

/// Which session of a device a snapshot is of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionOf {
    /// Its number, from 1.
    pub boot: u32,
    /// Why the device had been reset before, as in [`Session`](crate::ring::Session).
    pub reset_reason: u32,
}

/// What a snapshot leaves out because it is older than the program asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Events, counted when writing began. What is said of each segment ([`PackedSegment::left_out`]) is exact.
    pub event_count: u64,
    /// The age asked for, in nanoseconds; 0: not told.
    pub min_age_ns: u64,
}

impl<'a> SnapshotHeader<'a> {
    /// Iterates over the anchors, oldest first.
    pub fn anchors(&self) -> impl Iterator<Item = Anchor> + use<'a> {
        let mut from = Decoder::new(self.anchors);
        let mut rest = self.anchor_count;
        core::iter::from_fn(move || {
            rest = rest.checked_sub(1)?;
            decode_anchor(&mut from)
        })
    }
}

fn decode_anchor(from: &mut Decoder<'_>) -> Option<Anchor> {
    let count = from.array().ok()??;
    let anchor = Anchor { ticks: from.u64().ok()?, unix_ns: from.i64().ok()? };
    for _ in 2..count {
        from.skip().ok()?;
    }
    Some(anchor)
}

/// Decodes the body of a header item; its twin is in `write`.
fn decode_header(body: &[u8]) -> Option<SnapshotHeader<'_>> {
    let mut from = Decoder::new(body);
    let mut header = SnapshotHeader::default();
    for _ in 0..from.map().ok()?? {
        match from.u64().ok()? {
            0 => header.format_version = from.u16().ok()?,
            1 => header.min_reader_version = from.u16().ok()?,
            2 => header.ring_id = from.u64().ok()?,
            3 => header.reason = from.str().ok()?,
            4 => header.created_unix_ns = from.i64().ok()?,
            5 => {
                header.anchor_count = from.array().ok()??;
                let start = from.position();
                for _ in 0..header.anchor_count {
                    decode_anchor(&mut from)?;
                }
                header.anchors = &body[start..from.position()];
            }
            6 => header.complete_from = from.u64().ok()?,
            7 => {
                let count = from.array().ok()??;
                for index in 0..count {
                    match index {
                        0..=3 => header.dropped[index as usize] = from.u64().ok()?,
                        4 => header.suppressed = from.u64().ok()?,
                        _ => from.skip().ok()?,
                    }
                }
            }
            8 => header.segment_count = from.u32().ok()?,
            9 => header.segment_len = from.u32().ok()?,
            10 => header.ticks = from.u64().ok()?,
            11 => header.state = from.u64().ok()?,
            12 => header.kept_segment_count = from.u32().ok()?,
            13 => header.kept_complete_from = from.u64().ok()?,
            14 => header.end = decode_process_end(&mut from)?,
            15 => {
                let [count, last_ticks, last_os_thread_id] = decode_numbers(&mut from)?;
                header.panics = Panics { count, last_ticks, last_os_thread_id };
            }
            16 => {
                let [event_count, min_age_ns] = decode_numbers(&mut from)?;
                header.left_out = Some(LeftOut { event_count, min_age_ns });
            }
            17 => header.filter = from.str().ok()?,
            18 => {
                let [boot, reset_reason] = decode_numbers(&mut from)?;
                let (boot, reset_reason) = (u32::try_from(boot).ok()?, u32::try_from(reset_reason).ok()?);
                header.session = Some(SessionOf { boot, reset_reason });
            }
            _ => from.skip().ok()?,
        }
    }
    Some(header)
}

/// Decodes an array of `N` numbers or more; what is more is skipped.
fn decode_numbers<const N: usize>(from: &mut Decoder<'_>) -> Option<[u64; N]> {
    let count = from.array().ok()??;
    if count < N as u64 {
        return None;
    }
    let mut numbers = [0; N];
    for number in &mut numbers {
        *number = from.u64().ok()?;
    }
    for _ in N as u64..count {
        from.skip().ok()?;
    }
    Some(numbers)
}

/// Decodes how a process ended; the inner `None` is no end.
fn decode_process_end(from: &mut Decoder<'_>) -> Option<Option<ProcessEnd>> {
    let count = from.array().ok()??;
    if count < 10 {
        return None;
    }
    let kind = EndKind::from_number(from.u8().ok()?);
    let end = ProcessEnd {
        kind: kind.unwrap_or(EndKind::Unfinished),
        signal: from.u8().ok()?,
        code: from.i32().ok()?,
        address: from.u64().ok()?,
        ticks: from.u64().ok()?,
        unix_ns: from.i64().ok()?,
        os_thread_id: from.u32().ok()?,
        context: from.u32().ok()?,
        sender_pid: from.u32().ok()?,
        sender_uid: from.u32().ok()?,
    };
    for _ in 10..count {
        from.skip().ok()?;
    }
    Some(kind.map(|_| end))
}

fn decode_end<'a>(body: &[u8]) -> Option<SnapshotItem<'a>> {
    let mut from = Decoder::new(body);
    if from.array().ok()?? < 2 {
        return None;
    }
    Some(SnapshotItem::End { entry_count: from.u64().ok()?, segment_count: from.u64().ok()? })
}

/// A segment as a snapshot has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackedSegment<'a> {
    /// Where its item starts in the snapshot.
    pub offset: usize,
    /// Its place in the ring.
    pub index: u32,
    /// Order in which segments were opened, from 1; 0: it holds no records, and tells only what was lost.
    pub sequence: u64,
    /// The context that opened it; 0 in shared segments.
    pub context: u32,
    /// How it was written.
    pub mode: Mode,
    /// Which lap it was, modulo 256.
    pub lap: u8,
    /// Clock reading from which deltas count.
    pub base_ticks: u64,
    /// Clock reading when it was closed; 0: it was open.
    pub close_ticks: u64,
    /// Events overwritten in this place in earlier laps.
    pub lost: u64,
    /// Events in the data.
    pub count: u32,
    /// Reservations that were not committed.
    pub pending: u32,
    /// Events known to be lost to damage.
    pub damaged: u32,
    /// How the data is encoded.
    pub codec: u64,
    /// Bytes of the records, a multiple of 8, at most 65,536.
    pub raw_len: u32,
    /// The records, encoded.
    pub data: &'a [u8],
    /// Events left out because of their age; there are no records then.
    pub left_out: u32,
}

fn decode_segment(body: &[u8], offset: usize) -> Option<PackedSegment<'_>> {
    let mut from = Decoder::new(body);
    let elements = from.array().ok()??;
    if elements < 14 {
        return None;
    }
    let (index, sequence, context) = (from.u32().ok()?, from.u64().ok()?, from.u32().ok()?);
    let mode = Mode::from_number(from.u8().ok()?)?;
    let segment = PackedSegment {
        offset,
        index,
        sequence,
        context,
        mode,
        lap: from.u8().ok()?,
        base_ticks: from.u64().ok()?,
        close_ticks: from.u64().ok()?,
        lost: from.u64().ok()?,
        count: from.u32().ok()?,
        pending: from.u32().ok()?,
        damaged: from.u32().ok()?,
        codec: from.u64().ok()?,
        raw_len: from.u32().ok()?,
        data: from.bytes().ok()?,
        left_out: if elements > 14 { from.u32().ok()? } else { 0 },
    };
    (segment.raw_len.is_multiple_of(8) && segment.raw_len <= SEGMENT_LEN_MAX).then_some(segment)
}

/// Gives the bytes of scratch that [`PackedSegment::unpack`] needs for segments of up to `segment_len` bytes.
#[must_use]
pub const fn unpack_len(segment_len: usize) -> usize {
    // The records, and the columns they come from.
    2 * segment_len + segment_len / 8 + 8
}

impl<'a> PackedSegment<'a> {
    /// Tells whether the segment is of the kept class: warnings and errors.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.sequence & KEPT_SEQUENCE_BIT != 0
    }

    /// Decodes the records, into `scratch` where they are compressed, and gives the segment as a ring would.
    ///
    /// `scratch` needs [`unpack_len`] of the ring's segment length; of 65,536 bytes for any snapshot.
    ///
    /// # Errors
    /// [`FormatErrorKind::BadCompression`] if the data does not expand to records of the stated length,
    /// [`FormatErrorKind::UnknownCodec`], [`FormatErrorKind::OutOfSpace`] if `scratch` is too short. The offset is that of the
    /// item.
    pub fn unpack<'b>(&self, scratch: &'b mut [u8]) -> Result<Segment<'b>, FormatError>
    where
        'a: 'b,
    {
        let records = self.decode(scratch).map_err(|kind| FormatError::new(self.offset as u64, kind))?;
        let exclusive = self.mode == Mode::Exclusive;
        let header = SegmentHeader {
            index: self.index,
            sequence: self.sequence,
            lap: self.lap,
            mode: self.mode,
            context: self.context,
            base_ticks: self.base_ticks,
            lost: self.lost,
            offset_words: self.raw_len / 8,
            // In an exclusive segment what is pending is not counted.
            count: self.count.saturating_add(self.damaged).saturating_add(if exclusive { 0 } else { self.pending }),
            done: if exclusive { 0 } else { self.count.saturating_add(self.damaged) },
            owned: false,
            busy: exclusive && self.pending > 0,
            closed: !exclusive,
            close_ticks: self.close_ticks,
        };
        Ok(Segment { header, records })
    }

    fn decode<'b>(&self, scratch: &'b mut [u8]) -> Result<&'b [u8], FormatErrorKind>
    where
        'a: 'b,
    {
        let raw_len = self.raw_len as usize;
        match self.codec {
            CODEC_NONE if self.data.len() == raw_len => Ok(self.data),
            CODEC_NONE => Err(FormatErrorKind::BadGeometry),
            #[cfg(feature = "lz4")]
            CODEC_LZ4 => {
                let records = scratch.get_mut(..raw_len).ok_or(FormatErrorKind::OutOfSpace)?;
                match lz4_flex::block::decompress_into(self.data, records) {
                    Ok(len) if len == raw_len => Ok(records),
                    _ => Err(FormatErrorKind::BadCompression),
                }
            }
            #[cfg(feature = "lz4")]
            CODEC_COLUMNS => {
                let scratch = scratch.get_mut(..unpack_len(raw_len)).ok_or(FormatErrorKind::OutOfSpace)?;
                let (records, columns) = scratch.split_at_mut(raw_len);
                debug_assert_eq!(columns.len(), columns_len_max(raw_len));
                let len = lz4_flex::block::decompress_into(self.data, columns)
                    .map_err(|_| FormatErrorKind::BadCompression)?;
                decode_columns(&columns[..len], self.lap, records).ok_or(FormatErrorKind::BadCompression)?;
                Ok(records)
            }
            codec => {
                let _ = scratch; // without the feature `lz4` nothing is decompressed
                Err(FormatErrorKind::UnknownCodec(codec))
            }
        }
    }
}

//! Where everything in a ring is: the one place that knows its offsets.
//!
//! # Format
//! docs/format.md §2.

use super::end::{Panics, ProcessEnd};
use crate::crc::{check_or_repair, crc32};
use crate::error::{FormatError, FormatErrorKind};
use crate::record::word_at;

/// Version of the format that is written.
pub const FORMAT_VERSION: u16 = 3;
/// Version a reader must know to read the rings of servers.
pub const MIN_READER_VERSION: u16 = 2;
/// Version a reader must know to read the rings of devices.
pub const DEVICE_MIN_READER_VERSION: u16 = 3;
/// First bytes of a ring.
pub const RING_MAGIC: [u8; 8] = *b"TTLOGRNG";
/// Bytes of the short ring header; that of devices and the long one begin with the same words.
pub const HEADER_LEN: usize = 160;
/// Bytes of the long ring header, that of servers: with the kept class, the end block and the control block.
pub const LONG_HEADER_LEN: usize = 1536;
/// Bytes of the ring header of a device without the slots for sessions.
pub const DEVICE_HEADER_LEN: usize = 168;
/// Where the CRC of the ring header is. It covers what is before it and, from version 2 on, the four bytes behind it.
const CRC_OFFSET: usize = 56;
/// Bytes that the CRC of the ring header covers in version 1.
const FIXED_LEN_V1: usize = CRC_OFFSET;
/// Bytes that the CRC of the ring header covers from version 2 on.
const FIXED_LEN: usize = CRC_OFFSET + 4;
/// Bytes of an anchor slot.
pub const ANCHOR_LEN: usize = 24;
/// Bytes of a segment header.
pub const SEGMENT_HEADER_LEN: usize = 48;
/// Words of a segment header.
pub(crate) const SEGMENT_HEADER_WORDS: usize = SEGMENT_HEADER_LEN / 8;
/// Smallest segment, in bytes.
pub const SEGMENT_LEN_MIN: u32 = 128;
/// Largest segment, in bytes.
pub const SEGMENT_LEN_MAX: u32 = 65_536;

/// Word indexes in the ring header.
pub(crate) mod header_word {
    pub(crate) const NEXT_SEQUENCE: usize = 8;
    pub(crate) const COMPLETE_FROM: usize = 9;
    /// The first of four counters, see [`DropReason`](crate::ring::DropReason).
    pub(crate) const DROPPED: usize = 10;
    pub(crate) const SUPPRESSED: usize = 14;
    pub(crate) const ANCHORS_WRITTEN: usize = 15;
    pub(crate) const STATE: usize = 16;
    pub(crate) const OWNED_SEGMENTS: usize = 17;
    pub(crate) const SHARED_SEGMENT: usize = 18;
    /// The header of devices only: number of the session that records.
    pub(crate) const BOOT: usize = 20;
    // The long header only, from here on. The words of the end block are named in `end`, those of the control block in `control`.
    pub(crate) const KEPT_NEXT_SEQUENCE: usize = 20;
    pub(crate) const KEPT_COMPLETE_FROM: usize = 21;
    pub(crate) const KEPT_SHARED_SEGMENT: usize = 22;
    pub(crate) const KEPT_STRAYED_UNTIL: usize = 23;
    pub(crate) const HEARTBEAT: usize = 34;
    pub(crate) const MIN_AGE: usize = 35;
}

/// Word indexes in a segment header.
pub(crate) mod segment_word {
    pub(crate) const SEQUENCE: usize = 0;
    pub(crate) const BASE: usize = 1;
    pub(crate) const CONTEXT: usize = 2;
    pub(crate) const LOST: usize = 3;
    pub(crate) const COMMIT: usize = 4;
    pub(crate) const CLOSE: usize = 5;
}

/// Recording ended in good order; bit of the ring's state word.
pub const STATE_ENDED: u64 = 1;

/// How a segment is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// By one context, alone.
    Exclusive,
    /// By several contexts, which are not told apart.
    Shared,
    /// By several contexts; each record tells which.
    SharedContexts,
    /// By several contexts of a device, which are not told apart: see docs/format.md §2.6.
    Device,
}

impl Mode {
    /// Gives its number in rings and snapshots.
    pub(crate) const fn number(self) -> u8 {
        match self {
            Mode::Exclusive => 0,
            Mode::Shared => 1,
            Mode::SharedContexts => 2,
            Mode::Device => 3,
        }
    }

    /// Undoes [`number`](Self::number).
    pub(crate) const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Mode::Exclusive),
            1 => Some(Mode::Shared),
            2 => Some(Mode::SharedContexts),
            3 => Some(Mode::Device),
            _ => None,
        }
    }
}

/// The sequence word of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SequenceWord {
    pub(crate) sequence: u64,
    pub(crate) lap: u8,
    pub(crate) mode: Mode,
    /// 0: valid; 1 to 3: being opened.
    pub(crate) phase: u8,
}

/// Highest sequence; it would take years to reach.
pub(crate) const SEQUENCE_MAX: u64 = (1 << 48) - 1;
/// Bit of the sequences of the kept class, so that they are unique in the ring.
pub const KEPT_SEQUENCE_BIT: u64 = 1 << 47;

impl SequenceWord {
    pub(crate) fn encode(self) -> u64 {
        let (lap, mode, phase) = (u64::from(self.lap), u64::from(self.mode.number()), u64::from(self.phase));
        self.sequence & SEQUENCE_MAX | lap << 48 | mode << 56 | phase << 60
    }

    /// `None`: the segment was never used, or no such mode or phase exists.
    pub(crate) fn decode(word: u64) -> Option<Self> {
        let mode = Mode::from_number((word >> 56) as u8 & 0xF)?;
        let phase = (word >> 60) as u8;
        let sequence = word & SEQUENCE_MAX;
        (sequence != 0 && phase <= 3).then_some(SequenceWord { sequence, lap: (word >> 48) as u8, mode, phase })
    }
}

/// The commit half-word of a segment.
pub(crate) mod commit {
    pub(crate) const OFFSET_MASK: u32 = 0x3FFF;
    pub(crate) const COUNT_SHIFT: u32 = 14;
    pub(crate) const COUNT_MASK: u32 = 0x3FFF;
    /// The flags begin here.
    pub(crate) const FLAGS_SHIFT: u32 = 28;
    /// A writer holds the segment.
    pub(crate) const OWNED: u32 = 1 << 28;
    /// A record is being written (exclusive).
    pub(crate) const BUSY: u32 = 1 << 29;
    /// No more reservations (shared).
    pub(crate) const CLOSED: u32 = 1 << 30;
    /// Takes reservations, unless closed.
    pub(crate) const SHARED: u32 = 1 << 31;

    pub(crate) const fn offset(commit: u32) -> usize {
        (commit & OFFSET_MASK) as usize
    }

    pub(crate) const fn count(commit: u32) -> u32 {
        commit >> COUNT_SHIFT & COUNT_MASK
    }

    /// What to add for a record of `words` words that counts as `events` events.
    #[inline(always)]
    pub(crate) const fn step(words: usize, events: u32) -> u32 {
        words as u32 + (events << COUNT_SHIFT)
    }
}

/// The ring header, as read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // docs/format.md §2.1 has the meaning of each
pub struct RingHeader {
    pub format_version: u16,
    pub min_reader_version: u16,
    pub header_len: u32,
    pub ring_id: u64,
    pub segment_len: u32,
    pub segment_count: u32,
    pub segments_offset: u64,
    pub table_offset: u32,
    pub table_len: u32,
    pub anchors_offset: u32,
    pub anchor_count: u32,
    pub kept_segment_count: u32,
    pub next_sequence: u64,
    pub complete_from: u64,
    /// too large, re-entrant, no segment, unregistered
    pub dropped: [u64; 4],
    pub suppressed: u64,
    pub anchors_written: u64,
    pub state: u64,
    /// The rest is 0 or `None` where the header is short.
    pub kept_next_sequence: u64,
    /// from when on no warning or error was overwritten, wherever it was recorded
    pub kept_complete_from: u64,
    pub end: Option<ProcessEnd>,
    pub panics: Panics,
    pub heartbeat_unix_ns: u64,
    pub min_age_ns: u64,
}

impl RingHeader {
    /// Writes the part that never changes, with its CRC.
    pub(crate) fn encode_fixed(&self) -> [u8; 64] {
        let mut bytes = [0; 64];
        bytes[0..8].copy_from_slice(&RING_MAGIC);
        bytes[8..10].copy_from_slice(&self.format_version.to_le_bytes());
        bytes[10..12].copy_from_slice(&self.min_reader_version.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.header_len.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.ring_id.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.segment_len.to_le_bytes());
        bytes[28..32].copy_from_slice(&self.segment_count.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.segments_offset.to_le_bytes());
        bytes[40..44].copy_from_slice(&self.table_offset.to_le_bytes());
        bytes[44..48].copy_from_slice(&self.table_len.to_le_bytes());
        bytes[48..52].copy_from_slice(&self.anchors_offset.to_le_bytes());
        bytes[52..56].copy_from_slice(&self.anchor_count.to_le_bytes());
        bytes[60..64].copy_from_slice(&self.kept_segment_count.to_le_bytes());
        let crc = crc32(&fixed_part(&bytes));
        bytes[CRC_OFFSET..CRC_OFFSET + 4].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads a header and checks that what it says of the layout is possible; a single flipped bit in the part that never
    /// changes is repaired. Of a long header that is cut off, what is missing counts as 0.
    ///
    /// # Errors
    /// What is wrong, with the offset in `bytes`.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let Some(header) = bytes.first_chunk::<HEADER_LEN>() else {
            let start = &bytes[..bytes.len().min(8)];
            let kind =
                if RING_MAGIC.starts_with(start) { FormatErrorKind::TooShort } else { FormatErrorKind::BadMagic };
            return Err(FormatError::new(bytes.len() as u64, kind));
        };
        Ok(Self::decode_short(header)?.with_long_part(|index| word_at(bytes, index * 8).unwrap_or(0)))
    }

    /// As [`decode`](Self::decode), without what only a long header has.
    pub(crate) fn decode_short(header: &[u8; HEADER_LEN]) -> Result<Self, FormatError> {
        let error = |offset, kind| Err(FormatError::new(offset, kind));
        let u16_at = |bytes: &[u8], at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let u32_at = |bytes: &[u8], at: usize| u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16;
        let u64_at = |bytes: &[u8], at: usize| u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32;
        let Some(fixed) = check_fixed(header) else {
            return if header[..8] == RING_MAGIC {
                error(CRC_OFFSET as u64, FormatErrorKind::BadChecksum)
            } else {
                error(0, FormatErrorKind::BadMagic)
            };
        };
        if fixed[..8] != RING_MAGIC {
            return error(0, FormatErrorKind::BadMagic);
        }
        let min_reader_version = u16_at(&fixed, 10);
        if min_reader_version > FORMAT_VERSION {
            return error(10, FormatErrorKind::TooNew(min_reader_version));
        }
        let word = |index: usize| u64_at(header, index * 8);
        let format_version = u16_at(&fixed, 8);
        let decoded = RingHeader {
            format_version,
            min_reader_version,
            header_len: u32_at(&fixed, 12),
            ring_id: u64_at(&fixed, 16),
            segment_len: u32_at(&fixed, 24),
            segment_count: u32_at(&fixed, 28),
            segments_offset: u64_at(&fixed, 32),
            table_offset: u32_at(&fixed, 40),
            table_len: u32_at(&fixed, 44),
            anchors_offset: u32_at(&fixed, 48),
            anchor_count: u32_at(&fixed, 52),
            kept_segment_count: if format_version >= 2 { u32_at(&fixed, CRC_OFFSET) } else { 0 },
            next_sequence: word(header_word::NEXT_SEQUENCE),
            complete_from: word(header_word::COMPLETE_FROM),
            dropped: core::array::from_fn(|reason| word(header_word::DROPPED + reason)),
            suppressed: word(header_word::SUPPRESSED),
            anchors_written: word(header_word::ANCHORS_WRITTEN),
            state: word(header_word::STATE),
            ..RingHeader::default()
        };
        decoded.check_geometry()?;
        Ok(decoded)
    }

    /// Adds what only a long header has; `word` gives its words.
    pub(crate) fn with_long_part(self, word: impl Fn(usize) -> u64) -> Self {
        if !self.is_long() {
            return self;
        }
        RingHeader {
            kept_next_sequence: word(header_word::KEPT_NEXT_SEQUENCE),
            kept_complete_from: kept_complete_from(
                word(header_word::KEPT_COMPLETE_FROM),
                word(header_word::KEPT_STRAYED_UNTIL),
                self.complete_from,
            ),
            end: ProcessEnd::decode(&word),
            panics: Panics::decode(&word),
            heartbeat_unix_ns: word(header_word::HEARTBEAT),
            min_age_ns: word(header_word::MIN_AGE),
            ..self
        }
    }

    /// Tells whether it is the header of a device.
    #[must_use]
    pub fn is_device(&self) -> bool {
        self.min_reader_version >= DEVICE_MIN_READER_VERSION
            && (DEVICE_HEADER_LEN..LONG_HEADER_LEN).contains(&(self.header_len as usize))
    }

    /// Tells whether the header is a long one.
    #[must_use]
    pub fn is_long(&self) -> bool {
        self.format_version >= 2 && self.header_len as usize >= LONG_HEADER_LEN
    }

    /// Gives the segments that are not of the kept class: those before it.
    #[must_use]
    pub fn main_segment_count(&self) -> u32 {
        self.segment_count.saturating_sub(self.kept_segment_count)
    }

    /// Checks alignments and ranges. Parts that overlap or lie outside the region do no harm to a reader.
    fn check_geometry(&self) -> Result<(), FormatError> {
        let error = |offset| Err(FormatError::new(offset, FormatErrorKind::BadGeometry));
        let words = |value: u64| value.is_multiple_of(8);
        if (self.header_len as usize) < HEADER_LEN || !words(self.header_len.into()) {
            return error(12);
        }
        if !(SEGMENT_LEN_MIN..=SEGMENT_LEN_MAX).contains(&self.segment_len) || !words(self.segment_len.into()) {
            return error(24);
        }
        if self.segment_count == 0 {
            return error(28);
        }
        let segments_len = u64::from(self.segment_len) * u64::from(self.segment_count);
        if !words(self.segments_offset) || self.segments_offset.checked_add(segments_len).is_none() {
            return error(32);
        }
        if !words(self.table_offset.into()) || !words(self.table_len.into()) {
            return error(40);
        }
        if !words(self.anchors_offset.into()) || self.anchor_count > 1 << 16 {
            return error(48);
        }
        // The class of the others has one segment at least.
        if self.kept_segment_count >= self.segment_count || self.kept_segment_count > 0 && !self.is_long() {
            return error(60);
        }
        Ok(())
    }

    /// Gives the bytes of the whole region.
    #[must_use]
    pub fn region_len(&self) -> u64 {
        self.segments_offset + u64::from(self.segment_len) * u64::from(self.segment_count)
    }
}

/// Gives from when on no warning or error was overwritten: `kept` says it of those in the kept class, and of the others, the last of
/// which was recorded at `strayed_until`, what is true of all events.
pub(crate) fn kept_complete_from(kept: u64, strayed_until: u64, complete_from: u64) -> u64 {
    kept.max(strayed_until.min(complete_from))
}

/// Gives what the CRC of the ring header covers from version 2 on.
fn fixed_part(header: &[u8]) -> [u8; FIXED_LEN] {
    let mut fixed = [0; FIXED_LEN];
    fixed[..CRC_OFFSET].copy_from_slice(&header[..CRC_OFFSET]);
    fixed[CRC_OFFSET..].copy_from_slice(&header[60..64]);
    fixed
}

/// Checks the part of the ring header that never changes, repairs a single flipped bit of it, and gives it. What version 1 leaves
/// unchecked is then meaningless.
fn check_fixed(header: &[u8; HEADER_LEN]) -> Option<[u8; FIXED_LEN]> {
    let stored = u32::from_le_bytes([header[56], header[57], header[58], header[59]]);
    let version = |fixed: &[u8]| u16::from_le_bytes([fixed[8], fixed[9]]);
    // The version says which bytes are covered; but it may be hit itself, so it is believed only with the CRC.
    let mut newer = fixed_part(header);
    if check_or_repair(&mut newer, stored) && version(&newer) >= 2 {
        return Some(newer);
    }
    let mut older = fixed_part(header);
    (check_or_repair(&mut older[..FIXED_LEN_V1], stored) && version(&older) < 2).then_some(older)
}

/// Gives the check of a segment header: over its sequence word with phase 0, base, context and loss.
#[inline]
pub(crate) fn segment_crc(sequence_word: u64, base: u64, context: u32, lost: u64) -> u32 {
    segment_check(&segment_crc_input(sequence_word, base, context, lost))
}

/// Gives the check of these bytes of a segment header: a CRC, or on a device, which opens a segment every few dozen events, something
/// that takes a tenth of the time. Each step of it undoes no difference, so that what differs in one of the seven half-words never passes.
#[inline]
pub(crate) fn segment_check(bytes: &[u8; SEGMENT_CRC_INPUT_LEN]) -> u32 {
    if bytes[7] & 0xF != Mode::Device.number() {
        return crc32(bytes);
    }
    let mix = |sum: u32, half: &[u8]| {
        let half = u32::from_le_bytes([half[0], half[1], half[2], half[3]]);
        let product = (sum ^ half).wrapping_mul(0x9E37_79B1);
        product ^ product >> 15
    };
    bytes.chunks_exact(4).fold(0x5454_4C47, mix)
}

const SEGMENT_CRC_INPUT_LEN: usize = 28;

#[inline]
pub(crate) fn segment_crc_input(sequence_word: u64, base: u64, context: u32, lost: u64) -> [u8; SEGMENT_CRC_INPUT_LEN] {
    let mut bytes = [0; SEGMENT_CRC_INPUT_LEN];
    bytes[0..8].copy_from_slice(&(sequence_word & !(0xF << 60)).to_le_bytes());
    bytes[8..16].copy_from_slice(&base.to_le_bytes());
    bytes[16..20].copy_from_slice(&context.to_le_bytes());
    bytes[20..28].copy_from_slice(&lost.to_le_bytes());
    bytes
}

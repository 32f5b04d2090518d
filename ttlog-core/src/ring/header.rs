//! Ring header: decoding, and encoding of the part that never changes.
//!
//! # Format
//! docs/format.md §2.1.

use super::layout::{
    DEVICE_HEADER_LEN, DEVICE_MIN_READER_VERSION, FORMAT_VERSION, HEADER_LEN, LONG_HEADER_LEN, RING_MAGIC,
    SEGMENT_LEN_MAX, SEGMENT_LEN_MIN, header_word, priority_complete_from,
};
use super::server::end::{Panics, ProcessEnd};
use crate::error::{FormatError, FormatErrorKind};
use crate::memory::crc::{check_or_repair, crc32};
use crate::record::word_at;

/// Offset of the CRC of the ring header. It covers the bytes before it and, from version 2 on, the four bytes after it.
const CRC_OFFSET: usize = 56;
/// Number of bytes that the CRC of the ring header covers in version 1.
const FIXED_LEN_V1: usize = CRC_OFFSET;
/// Number of bytes that the CRC of the ring header covers from version 2 on.
const FIXED_LEN: usize = CRC_OFFSET + 4;

/// The ring header, decoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // docs/format.md §2.1 documents each field
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
    pub priority_segment_count: u32,
    pub next_sequence: u64,
    pub complete_from: u64,
    /// Events dropped as too large, re-entrant, without a segment, and unregistered.
    pub dropped: [u64; 4],
    pub suppressed: u64,
    pub anchors_written: u64,
    pub state: u64,
    /// This and the following fields are 0 or `None` if the header is short.
    pub priority_next_sequence: u64,
    /// Time from which on no warning or error was overwritten, in whichever segment it was recorded.
    pub priority_complete_from: u64,
    pub end: Option<ProcessEnd>,
    pub panics: Panics,
    pub heartbeat_unix_ns: u64,
    pub min_age_ns: u64,
}

impl RingHeader {
    /// Encodes the part that never changes, with its CRC.
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
        bytes[60..64].copy_from_slice(&self.priority_segment_count.to_le_bytes());
        let crc = crc32(&fixed_part(&bytes));
        bytes[CRC_OFFSET..CRC_OFFSET + 4].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads a header and checks that the layout is possible. Repairs a single flipped bit in the part that never
    /// changes. Missing words of a truncated long header count as 0.
    ///
    /// # Errors
    /// The defect, with the offset in `bytes`.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let Some(header) = bytes.first_chunk::<HEADER_LEN>() else {
            let start = &bytes[..bytes.len().min(8)];
            let kind =
                if RING_MAGIC.starts_with(start) { FormatErrorKind::TooShort } else { FormatErrorKind::BadMagic };
            return Err(FormatError::new(bytes.len() as u64, kind));
        };
        Ok(Self::decode_short(header)?.with_long_part(|index| word_at(bytes, index * 8).unwrap_or(0)))
    }

    /// Like [`decode`](Self::decode), without the fields of a long header.
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
            priority_segment_count: if format_version >= 2 { u32_at(&fixed, CRC_OFFSET) } else { 0 },
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

    /// Adds the fields of a long header; `word` returns its words.
    pub(crate) fn with_long_part(self, word: impl Fn(usize) -> u64) -> Self {
        if !self.is_long() {
            return self;
        }
        RingHeader {
            priority_next_sequence: word(header_word::PRIORITY_NEXT_SEQUENCE),
            priority_complete_from: priority_complete_from(
                word(header_word::PRIORITY_COMPLETE_FROM),
                word(header_word::PRIORITY_STRAYED_UNTIL),
                self.complete_from,
            ),
            end: ProcessEnd::decode(&word),
            panics: Panics::decode(&word),
            heartbeat_unix_ns: word(header_word::HEARTBEAT),
            min_age_ns: word(header_word::MIN_AGE),
            ..self
        }
    }

    /// Returns whether this is the header of a device.
    #[must_use]
    pub fn is_device(&self) -> bool {
        self.min_reader_version >= DEVICE_MIN_READER_VERSION
            && (DEVICE_HEADER_LEN..LONG_HEADER_LEN).contains(&(self.header_len as usize))
    }

    /// Returns whether the header is long.
    #[must_use]
    pub fn is_long(&self) -> bool {
        self.format_version >= 2 && self.header_len as usize >= LONG_HEADER_LEN
    }

    /// Returns the number of segments that are not priority segments, which come first.
    #[must_use]
    pub fn main_segment_count(&self) -> u32 {
        self.segment_count.saturating_sub(self.priority_segment_count)
    }

    /// Checks alignments and ranges. Parts that overlap or are outside the region do not harm a reader.
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
        // There is at least one segment for other events.
        if self.priority_segment_count >= self.segment_count || self.priority_segment_count > 0 && !self.is_long() {
            return error(60);
        }
        Ok(())
    }

    /// Returns the length of the whole region in bytes.
    #[must_use]
    pub fn region_len(&self) -> u64 {
        self.segments_offset + u64::from(self.segment_len) * u64::from(self.segment_count)
    }
}

/// Returns the bytes that the CRC of the ring header covers from version 2 on.
fn fixed_part(header: &[u8]) -> [u8; FIXED_LEN] {
    let mut fixed = [0; FIXED_LEN];
    fixed[..CRC_OFFSET].copy_from_slice(&header[..CRC_OFFSET]);
    fixed[CRC_OFFSET..].copy_from_slice(&header[60..64]);
    fixed
}

/// Checks the part of the ring header that never changes, repairs a single flipped bit in it, and returns it. Bytes
/// that version 1 does not check are then meaningless.
fn check_fixed(header: &[u8; HEADER_LEN]) -> Option<[u8; FIXED_LEN]> {
    let stored = u32::from_le_bytes([header[56], header[57], header[58], header[59]]);
    let version = |fixed: &[u8]| u16::from_le_bytes([fixed[8], fixed[9]]);
    // The version determines which bytes are covered. It might be damaged itself, so it is trusted only with a valid
    // CRC.
    let mut newer = fixed_part(header);
    if check_or_repair(&mut newer, stored) && version(&newer) >= 2 {
        return Some(newer);
    }
    let mut older = fixed_part(header);
    (check_or_repair(&mut older[..FIXED_LEN_V1], stored) && version(&older) < 2).then_some(older)
}

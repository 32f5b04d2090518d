//! The segment item: a segment in a snapshot.
//!
//! # Format
//! docs/format.md §6.2.

use minicbor::encode::write::{Cursor, EndOfSlice};
use minicbor::{Decoder, Encoder};

#[cfg(feature = "lz4")]
use super::columns::{columns_len_max, decode_columns};
use super::walk::Walked;
use crate::error::{FormatError, FormatErrorKind};
use crate::ring::{Mode, PRIORITY_SEQUENCE_BIT, SEGMENT_LEN_MAX, Segment, SegmentHeader};

/// Data of a segment item: the records as in a ring.
pub(super) const CODEC_NONE: u64 = 0;
/// Data of a segment item: the records as an LZ4 block.
#[cfg(feature = "lz4")]
pub(super) const CODEC_LZ4: u64 = 1;
/// Data of a segment item: the records in columns, as an LZ4 block.
#[cfg(feature = "lz4")]
pub(super) const CODEC_COLUMNS: u64 = 2;
/// Room for the elements of a segment item before its data, in bytes.
const SEGMENT_HEAD_LEN: usize = 96;

/// A segment in a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackedSegment<'a> {
    /// Byte offset of the item in the snapshot.
    pub offset: usize,
    /// Index of the segment in the ring.
    pub index: u32,
    /// Order in which segments were opened, from 1; 0: without records, only a count of lost events.
    pub sequence: u64,
    /// Context that opened the segment; 0 in shared segments.
    pub context: u32,
    /// Mode in which the segment was written.
    pub mode: Mode,
    /// Lap of the segment, modulo 256.
    pub lap: u8,
    /// Clock reading that deltas are relative to.
    pub base_ticks: u64,
    /// Clock reading when the segment was closed; 0: it was open.
    pub close_ticks: u64,
    /// Number of events overwritten at this index in earlier laps.
    pub lost: u64,
    /// Number of events in the data.
    pub count: u32,
    /// Number of reservations that were not committed.
    pub pending: u32,
    /// Number of events known to be lost to damage.
    pub damaged: u32,
    /// Encoding of the data.
    pub codec: u64,
    /// Length of the decoded records in bytes, a multiple of 8, at most 65,536.
    pub raw_len: u32,
    /// Encoded records.
    pub data: &'a [u8],
    /// Number of events left out because of their age; there are no records in this case.
    pub left_out: u32,
}

pub(super) fn decode_segment(body: &[u8], offset: usize) -> Option<PackedSegment<'_>> {
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

/// Returns the number of bytes of scratch that [`PackedSegment::unpack`] needs for segments of up to `segment_len`
/// bytes.
#[must_use]
pub const fn unpack_len(segment_len: usize) -> usize {
    // The records, and the columns that they are decoded from.
    2 * segment_len + segment_len / 8 + 8
}

impl<'a> PackedSegment<'a> {
    /// Returns whether this is a priority segment (warnings and errors).
    #[must_use]
    pub fn is_priority(&self) -> bool {
        self.sequence & PRIORITY_SEQUENCE_BIT != 0
    }

    /// Decodes the records, into `scratch` if they are compressed, and returns the segment in the form that a ring has.
    ///
    /// `scratch` needs [`unpack_len`] bytes for the ring's segment length; with a length of 65,536 it suffices for any
    /// snapshot.
    ///
    /// # Errors
    /// [`FormatErrorKind::BadCompression`] if the data does not expand to records of the stated length,
    /// [`FormatErrorKind::UnknownCodec`], [`FormatErrorKind::OutOfSpace`] if `scratch` is too short. The offset is that
    /// of the item.
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
            // The count of an exclusive segment does not include pending records.
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
                let _ = scratch; // nothing is decompressed without the feature `lz4`
                Err(FormatErrorKind::UnknownCodec(codec))
            }
        }
    }
}

/// Encodes the elements of a segment item up to the length of its data.
pub(super) fn segment_head(
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

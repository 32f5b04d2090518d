//! Reading a ring from bytes that can hold anything: the file of a dead process, retained RAM, or a dump from a debug
//! probe.
//!
//! No function panics or allocates, and run time is bounded by a fixed multiple of the input length. Damaged parts are
//! skipped and reported; their neighbors are still read.

use core::fmt;

use super::segment::{SegmentState, parse_segment};
use crate::clock::Anchor;
use crate::error::FormatError;
use crate::record::word_at;
use crate::ring::header::RingHeader;
use crate::ring::layout::{ANCHOR_LEN, LONG_HEADER_LEN};
use crate::ring::loss::Loss;
use crate::ring::server::anchors::anchor_crc;
use crate::ring::server::end::{Panics, ProcessEnd};
use crate::ring::table::{TableEntry, next_entry};
use crate::table::{ProcessInfo, TableItem};

/// A ring as bytes.
#[derive(Clone, Copy)]
pub struct RingImage<'a> {
    bytes: &'a [u8],
    header: RingHeader,
}

impl<'a> RingImage<'a> {
    /// Reads the ring header. The bytes can be truncated: missing parts read as unused.
    ///
    /// # Errors
    /// The defect of the header, with its offset.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, FormatError> {
        let header = RingHeader::decode(bytes)?;
        Ok(RingImage { bytes, header })
    }

    /// Returns the ring header.
    #[must_use]
    pub fn header(&self) -> &RingHeader {
        &self.header
    }

    /// Returns the number of bytes that are missing at the end.
    #[must_use]
    pub fn missing_bytes(&self) -> u64 {
        self.header.region_len().saturating_sub(self.bytes.len() as u64)
    }

    /// Returns the number of segments that are at least partly present; the header can claim more.
    #[must_use]
    pub fn present_segments(&self) -> u32 {
        let present = self.header.region_len().saturating_sub(self.missing_bytes());
        let count = present.saturating_sub(self.header.segments_offset).div_ceil(self.header.segment_len.into());
        u32::try_from(count).unwrap_or(u32::MAX).min(self.header.segment_count)
    }

    pub(crate) fn part(&self, offset: u64, len: u64) -> &'a [u8] {
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(self.bytes.len());
        let end = usize::try_from(offset.saturating_add(len)).unwrap_or(usize::MAX).min(self.bytes.len());
        &self.bytes[start..end]
    }

    /// Iterates over the intact anchors, in the order of their slots.
    pub fn anchors(&self) -> impl Iterator<Item = Anchor> + use<'a> {
        let slots =
            self.part(self.header.anchors_offset.into(), u64::from(self.header.anchor_count) * ANCHOR_LEN as u64);
        slots.chunks_exact(ANCHOR_LEN).filter_map(|slot| {
            let stamp = word_at(slot, 0)?;
            let anchor = Anchor { ticks: word_at(slot, 8)?, unix_ns: word_at(slot, 16)? as i64 };
            (stamp as u32 != 0 && (stamp >> 32) as u32 == anchor_crc(anchor)).then_some(anchor)
        })
    }

    /// Iterates over the intact entries of the table, oldest first.
    pub fn entries(&self) -> impl Iterator<Item = TableEntry<'a>> + use<'a> {
        let table = self.part(self.header.table_offset.into(), self.header.table_len.into());
        let mut at = 0;
        core::iter::from_fn(move || next_entry(table, &mut at))
    }

    /// Returns the first process item of the table, if there is one.
    #[must_use]
    pub fn process(&self) -> Option<ProcessInfo<'a>> {
        self.entries().find_map(|entry| match TableItem::decode(entry.bytes) {
            Ok(TableItem::Process(process)) => Some(process),
            _ => None,
        })
    }

    /// Reads a segment. Segments from `segment_count` on are unused.
    #[must_use]
    pub fn segment(&self, index: u32) -> SegmentState<'a> {
        let len = u64::from(self.header.segment_len);
        let offset = self.header.segments_offset.saturating_add(u64::from(index) * len);
        let limit = if index < self.header.segment_count { len } else { 0 };
        parse_segment(index, self.part(offset, limit), offset)
    }

    /// Returns the bytes of the header if it is long and complete.
    pub(crate) fn long_header(&self) -> Option<&'a [u8]> {
        if self.header.is_long() { self.bytes.get(..LONG_HEADER_LEN) } else { None }
    }

    /// Returns how the process ended, if that is recorded.
    #[must_use]
    pub fn end(&self) -> Option<ProcessEnd> {
        self.header.end
    }

    /// Returns the panics of the process.
    #[must_use]
    pub fn panics(&self) -> Panics {
        self.header.panics
    }

    /// Returns the losses counted in the ring; overwritten events are summed over the segments.
    #[must_use]
    pub fn loss(&self) -> Loss {
        let main = self.header.main_segment_count();
        let priority_overwritten = self.lost_in(main..self.header.segment_count);
        Loss {
            overwritten: self.lost_in(0..main).saturating_add(priority_overwritten),
            priority_overwritten,
            dropped: self.header.dropped,
            suppressed: self.header.suppressed,
        }
    }

    /// Returns the number of events overwritten in these segments.
    fn lost_in(&self, indexes: core::ops::Range<u32>) -> u64 {
        indexes
            .take_while(|index| {
                self.header.segments_offset + u64::from(*index) * u64::from(self.header.segment_len)
                    < self.bytes.len() as u64
            })
            .map(|index| match self.segment(index) {
                SegmentState::Opening { lost } => lost,
                SegmentState::Valid(segment) => segment.header.lost,
                SegmentState::Unused | SegmentState::Damaged(_) => 0,
            })
            .fold(0, u64::saturating_add)
    }
}

impl fmt::Debug for RingImage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RingImage").field("len_bytes", &self.bytes.len()).field("header", &self.header).finish()
    }
}

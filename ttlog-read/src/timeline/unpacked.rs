//! Unpacked segments, held up to a bounded number of bytes.

use std::collections::VecDeque;

use ttlog_core::snapshot::PackedSegment;

use crate::source::UNPACK_LEN;

/// Most bytes of unpacked segments that are held at a time.
pub const UNPACKED_MAX: usize = 512 << 20;

/// Unpacked records of segments; the oldest are dropped first.
#[derive(Debug)]
pub(super) struct Unpacked {
    records: Vec<Option<Box<[u8]>>>,
    order: VecDeque<u32>,
    bytes: usize,
    limit: usize,
}

impl Unpacked {
    /// Creates a cache for `part_count` segments.
    pub(super) fn new(part_count: usize) -> Self {
        let mut records = Vec::new();
        records.resize_with(part_count, || None);
        Unpacked { records, order: VecDeque::new(), bytes: 0, limit: UNPACKED_MAX }
    }

    /// Returns the records of a segment, unpacking them if they are not held.
    pub(super) fn records(&mut self, part: u32, packed: &PackedSegment<'_>, scratch: &mut Vec<u8>) -> Option<&[u8]> {
        if self.records[part as usize].is_none() {
            // It was unpacked before, otherwise there would be no entry.
            if let Ok(segment) = packed.unpack(with_room(scratch)) {
                self.keep(part, segment.records);
            }
        }
        self.records[part as usize].as_deref()
    }

    /// Holds the records of a segment.
    pub(super) fn keep(&mut self, part: u32, records: &[u8]) {
        while self.bytes + records.len() > self.limit {
            let Some(oldest) = self.order.pop_front() else { break };
            if let Some(freed) = self.records[oldest as usize].take() {
                self.bytes -= freed.len();
            }
        }
        self.bytes += records.len();
        self.order.push_back(part);
        self.records[part as usize] = Some(records.into());
    }
}

/// Returns the scratch buffer, grown on first use to the size that unpacking needs.
pub(super) fn with_room(scratch: &mut Vec<u8>) -> &mut [u8] {
    if scratch.is_empty() {
        *scratch = vec![0; UNPACK_LEN];
    }
    scratch
}

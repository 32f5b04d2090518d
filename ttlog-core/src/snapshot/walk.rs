//! Counts of a segment's records, from its header or from a walk over them.

use crate::record::decode_record;
use crate::ring::{Item, Mode, Segment, SegmentHeader};

/// Counts of a segment's records.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Walked {
    /// Number of events.
    pub(super) count: u32,
    /// Number of reservations that are not committed.
    pub(super) pending: u32,
    /// Number of events known to be lost to damage.
    pub(super) damaged: u32,
    /// Number of bytes up to the end of the last record.
    pub(super) used: usize,
}

/// Returns the counts from the header of a segment, without examining the records.
pub(super) fn counts_of_header(header: &SegmentHeader, used: usize) -> Walked {
    let (count, pending) = match header.mode {
        Mode::Exclusive => (header.count, header.busy.into()),
        Mode::Shared | Mode::SharedContexts => {
            (header.done.min(header.count), header.count.saturating_sub(header.done))
        }
        // The number of pending ones is only known from the records.
        Mode::Device => (header.count, 0),
    };
    Walked { count, pending, damaged: 0, used }
}

/// Walks over the records of a segment in which some can be pending, damaged, or in places that the header does not
/// cover.
pub(super) fn walk(header: &SegmentHeader, used: usize, records: &[u8]) -> Walked {
    let segment = Segment { header: *header, records };
    // Zero words do not show how many reservations they are; the header does.
    let mut walked = Walked { count: 0, damaged: 0, used, ..counts_of_header(header, used) };
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
        // Zeros can be several reservations, which the header has counted.
        walked.pending = walked.pending.max(header.count.saturating_sub(walked.count));
    } else if header.mode != Mode::Exclusive {
        // A record can be complete although its reservation is not yet counted as committed.
        walked.pending = walked.pending.min(header.count.saturating_sub(walked.count));
    }
    if damaged {
        let reserved = if header.mode == Mode::Exclusive { 0 } else { walked.pending };
        walked.damaged = header.count.saturating_sub(walked.count.saturating_add(reserved));
    }
    walked
}

//! What the records of a segment are, by its header or by a walk over them.

use crate::record::decode_record;
use crate::ring::{Item, Mode, Segment, SegmentHeader};

/// What the records of a segment are.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Walked {
    /// Events.
    pub(super) count: u32,
    /// Reservations that are not committed.
    pub(super) pending: u32,
    /// Events known to be lost to damage.
    pub(super) damaged: u32,
    /// Bytes up to the end of the last record.
    pub(super) used: usize,
}

/// What the header of a segment says of its records, without a look at them.
pub(super) fn counts_of_header(header: &SegmentHeader, used: usize) -> Walked {
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
pub(super) fn walk(header: &SegmentHeader, used: usize, records: &[u8]) -> Walked {
    let segment = Segment { header: *header, records };
    // Zero words do not tell how many reservations they are; the header does.
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

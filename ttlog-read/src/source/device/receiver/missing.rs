//! Decides which of the ranges of a ring that were not received count as missing.

use std::collections::BTreeSet;

use ttlog_core::ring::{RingImage, SEGMENT_HEADER_LEN, SegmentState};

/// Removes the void segments, whose starts are given, from the missing ranges: nothing in them counts as missing.
pub(super) fn without_void(
    missing: &[(usize, usize)],
    void: &BTreeSet<usize>,
    segment_len: usize,
) -> Vec<(usize, usize)> {
    let mut rest = Vec::new();
    for &(offset, len) in missing {
        let (mut at, end) = (offset, offset + len);
        // A segment that starts before the range can extend into it.
        let before = void.range(..at).next_back();
        for &start in before.into_iter().chain(void.range(at..end)) {
            if start > at {
                rest.push((at, start - at));
            }
            at = at.max(start.saturating_add(segment_len)).min(end);
        }
        if at < end {
            rest.push((at, end - at));
        }
    }
    rest
}

/// Reduces the missing ranges to those that count. If the header of a segment was received, only the range that the
/// header covers counts. If nothing of a segment was received, nothing counts, because segments without contents are
/// not sent; unless the dump was cut off.
pub(super) fn without_unsent(missing: &[(usize, usize)], bytes: &[u8], ended: bool) -> Vec<(usize, usize)> {
    let Ok(image) = RingImage::parse(bytes) else { return missing.to_vec() };
    let start = usize::try_from(image.header().segments_offset).unwrap_or(usize::MAX);
    let segment_len = image.header().segment_len as usize;
    let mut rest: Vec<(usize, usize)> = Vec::new();
    let mut add = |from: usize, to: usize| match rest.last_mut() {
        Some((offset, len)) if *offset + *len == from => *len += to - from,
        _ if from < to => rest.push((from, to - from)),
        _ => {}
    };
    for &(offset, len) in missing {
        let (mut at, end) = (offset, offset + len);
        if at < start {
            add(at, end.min(start));
            at = end.min(start);
        }
        while at < end {
            let index = (at - start) / segment_len;
            let (from, to) = (start + index * segment_len, start + (index + 1) * segment_len);
            // The ranges are sorted and disjoint.
            let touching = missing.partition_point(|&(offset, len)| offset + len <= from);
            let has_header = missing.get(touching).is_none_or(|&(offset, _)| offset >= from + SEGMENT_HEADER_LEN);
            let wanted = match u32::try_from(index).map(|index| image.segment(index)) {
                Ok(SegmentState::Valid(segment)) if has_header => from + SEGMENT_HEADER_LEN + segment.used().len(),
                _ if at == from && end >= to && ended => from,
                // The header was not received, or is invalid.
                _ => to,
            };
            add(at, end.min(wanted).max(at));
            at = end.min(to);
        }
    }
    rest
}

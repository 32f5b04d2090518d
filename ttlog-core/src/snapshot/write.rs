//! Writes snapshots of rings: a stream of items, without allocation, while the ring's writers continue.

use super::header::{About, LeftOutSegments};
use super::options::{Codec, SnapshotMeta, SnapshotOptions};
use super::output::{Output, split_scratch};
use super::result::{SnapshotStats, WriteError};
use super::sink::Sink;
use crate::ring::{CONTROL_TEXT_MAX, Ring, RingImage, SEGMENT_HEADER_LEN, SegmentState};

/// Writes a snapshot of a ring that is being written. Writers are not disturbed. Events recorded meanwhile can be in it
/// or not.
///
/// A segment that is overwritten while it is being written is left out, and its events are counted as lost
/// (`void_count`). If something is withheld, a segment is copied and masked before any of it is written, with any
/// codec.
///
/// # Errors
/// [`WriteError::Sink`] if the sink fails, [`WriteError::ScratchTooSmall`] if `scratch` is shorter than
/// [`SnapshotOptions::scratch_len`].
pub fn write_snapshot_of_ring<'o, S: Sink>(
    ring: Ring<'_>,
    meta: &SnapshotMeta<'_>,
    options: impl Into<SnapshotOptions<'o>>,
    scratch: &mut [u8],
    sink: &mut S,
) -> Result<SnapshotStats, WriteError<S::Error>> {
    let options = options.into();
    let (work, withholder) = split_scratch(&options, ring.segment_len(), scratch)?;
    let mut out = Output::new(sink, options, withholder);
    let header = ring.header_now();
    let (main, count) = (header.main_segment_count(), ring.segment_count());
    let looked_at = if options.left_out_before_ticks > 0 { main } else { 0 };
    let left_out = LeftOutSegments::count((0..looked_at).filter_map(|index| {
        let peek = ring.peek_segment(index)?;
        out.leaves_out(&header, &peek.header).then_some(peek.header)
    }));
    let (anchors, filter) = split_for_filter(work);
    let filter = filter.and_then(|buffer| ring.filter_text(buffer));
    out.header(&About { ring: &header, session: None, left_out }, ring.anchors(), meta, filter, anchors)?;
    let mut entry_at = 0;
    out.live_entries(ring, &mut entry_at, work)?;
    // The oldest first: it is the next to be overwritten. Then the priority segments, which are replaced slowly.
    let oldest = (header.next_sequence.wrapping_sub(1) % u64::from(main.max(1))) as u32;
    for index in (oldest..main).chain(0..oldest).chain(main..count) {
        if options.left_out_before_ticks > 0 {
            if let Some(peek) = ring.peek_segment(index).filter(|peek| out.leaves_out(&header, &peek.header)) {
                out.left_out(&peek.header)?;
                continue;
            }
        }
        if options.codec == Codec::None && out.withholder.is_none() {
            out.live_segment(ring, index, work)?;
            continue;
        }
        let (copy, rest) = work.split_at_mut(ring.segment_len());
        match ring.copy_segment(index, copy) {
            SegmentState::Valid(segment) => {
                let (header, used) = (segment.header, segment.used().len());
                // A callsite is in the table before its first record is in a segment.
                out.live_entries(ring, &mut entry_at, rest)?;
                // Nothing was copied beyond the used part.
                out.packed_segment(&header, used, &mut copy[SEGMENT_HEADER_LEN..][..used], rest)?;
            }
            SegmentState::Unused => {}
            SegmentState::Opening { lost } => out.lost(index, lost)?,
            SegmentState::Damaged(_) => {
                out.stats.void_count += 1;
                out.lost(index, ring.segment_loss(index))?;
            }
        }
    }
    // Callsites met for the first time meanwhile.
    out.live_entries(ring, &mut entry_at, work)?;
    out.end()
}

/// Writes a snapshot of a ring's bytes, which can hold anything. Damaged parts are left out, intact parts are written.
///
/// # Errors
/// [`WriteError::Sink`] if the sink fails, [`WriteError::ScratchTooSmall`] if `scratch` is shorter than
/// [`SnapshotOptions::scratch_len`].
pub fn write_snapshot_of_image<'o, S: Sink>(
    image: &RingImage<'_>,
    meta: &SnapshotMeta<'_>,
    options: impl Into<SnapshotOptions<'o>>,
    scratch: &mut [u8],
    sink: &mut S,
) -> Result<SnapshotStats, WriteError<S::Error>> {
    let options = options.into();
    let header = image.header();
    let (work, withholder) = split_scratch(&options, header.segment_len as usize, scratch)?;
    let mut out = Output::new(sink, options, withholder);
    let filter = image.control().and_then(|control| control.filter);
    let segment_len = u64::from(header.segment_len);
    let count = image.present_segments();
    let looked_at = if options.left_out_before_ticks > 0 { count } else { 0 };
    let left_out = LeftOutSegments::count((0..looked_at).filter_map(|index| match image.segment(index) {
        SegmentState::Valid(segment) => out.leaves_out(header, &segment.header).then_some(segment.header),
        _ => None,
    }));
    out.header(&About { ring: header, session: None, left_out }, image.anchors(), meta, filter, work)?;
    for entry in image.entries() {
        out.entry(entry.bytes)?;
    }
    for index in 0..count {
        match image.segment(index) {
            SegmentState::Unused => {}
            SegmentState::Opening { lost } => out.lost(index, lost)?,
            SegmentState::Damaged(_) => out.stats.damaged_count += 1,
            SegmentState::Valid(segment) if out.leaves_out(header, &segment.header) => out.left_out(&segment.header)?,
            SegmentState::Valid(segment) if options.codec == Codec::None && out.withholder.is_none() => {
                out.plain_segment(&segment.header, segment.used().len(), None, segment.records)?;
            }
            SegmentState::Valid(segment) => {
                let (copy, rest) = work.split_at_mut(segment_len as usize);
                let copy = &mut copy[..segment.records.len()];
                copy.copy_from_slice(segment.records);
                out.packed_segment(&segment.header, segment.used().len(), copy, rest)?;
            }
        }
    }
    out.end()
}

/// Minimum length of the scratch buffer to reserve a part for the filter's text, in bytes.
const SCRATCH_LEN_FOR_FILTER: usize = 4 * CONTROL_TEXT_MAX;

/// Splits room for the filter's text off the end of `scratch`, if enough is left for anchors.
fn split_for_filter(scratch: &mut [u8]) -> (&mut [u8], Option<&mut [u8; CONTROL_TEXT_MAX]>) {
    if scratch.len() < SCRATCH_LEN_FOR_FILTER {
        return (scratch, None);
    }
    match scratch.split_last_chunk_mut() {
        Some((rest, last)) => (rest, Some(last)),
        None => (&mut [], None),
    }
}

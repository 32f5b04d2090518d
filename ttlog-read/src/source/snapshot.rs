//! A snapshot as a source, whole or the intact remains of one.

use ttlog_core::error::{FormatError, FormatErrorKind};
use ttlog_core::ring::STATE_ENDED;
use ttlog_core::snapshot::{CoveredSession, PackedSegment, SnapshotHeader, SnapshotItem, SnapshotReader};

use super::{Body, Damage, DeviceSession, Input, Kind, Life, Part, Source};
use crate::event::secrets::Secrets;

/// Reads a snapshot from `bytes`, the first ones of `input`.
pub(super) fn read<'a>(input: &'a Input, bytes: &'a [u8], secrets: &Secrets) -> Result<Source<'a>, FormatError> {
    let kind = Kind::Snapshot { reason: String::new(), created_unix_ns: 0, complete: false };
    let mut source = Source::empty(input, bytes.len(), kind, secrets);
    let mut header: Option<SnapshotHeader<'_>> = None;
    let mut end = None;
    let (mut entries, mut segments) = (0, 0);
    let mut lost = Vec::new();
    for item in SnapshotReader::new(bytes).items() {
        match item {
            SnapshotItem::Header(found) => header = Some(header.unwrap_or(found)),
            SnapshotItem::Entry(entry) => {
                entries += 1;
                source.add_entry(input.offset + entry.offset as u64, entry.bytes);
            }
            SnapshotItem::Segment(segment) => {
                segments += 1;
                lost.push((segment.index, segment.lost));
                source.left_out = source.left_out.saturating_add(segment.left_out.into());
                if segment.sequence != 0 || !segment.data.is_empty() {
                    source.parts.push(part(segment, input.offset));
                }
            }
            SnapshotItem::End { entry_count, segment_count } => end = Some((entry_count, segment_count)),
            SnapshotItem::Unknown { .. } => {}
            SnapshotItem::Damaged { reason: FormatErrorKind::Overwritten, .. } => source.changed_segments += 1,
            SnapshotItem::Damaged { offset, reason: reason @ FormatErrorKind::TooNew(_), .. } => {
                return Err(FormatError::new(input.offset + offset as u64, reason));
            }
            SnapshotItem::Damaged { offset, len_bytes, reason } => source.damage.push(Damage {
                offset: input.offset + offset as u64,
                len_bytes: len_bytes as u64,
                reason: format!("item: {reason}"),
            }),
        }
    }
    if header.is_none() && end.is_none() && entries + segments == 0 {
        return Err(FormatError::new(input.offset, FormatErrorKind::BadMagic));
    }
    if header.is_none() {
        let reason = "the header is lost: times count from an unknown start".to_owned();
        source.damage.push(Damage { offset: input.offset, len_bytes: 0, reason });
    }
    if let Some((entry_count, segment_count)) = end {
        let missing = entry_count.saturating_sub(entries) + segment_count.saturating_sub(segments);
        if missing > 0 && source.damage.is_empty() {
            let reason = format!("{missing} items are missing");
            source.damage.push(Damage { offset: input.offset + source.len_bytes, len_bytes: 0, reason });
        }
    }
    take_header(&mut source, &header.unwrap_or_default(), end.is_some(), lost);
    Ok(source)
}

/// Copies the header's data, and the events lost by segment.
fn take_header<'a>(source: &mut Source<'a>, header: &SnapshotHeader<'a>, complete: bool, lost: Vec<(u32, u64)>) {
    let anchors: Vec<_> = header.anchors().collect();
    source.set_scale(&anchors);
    source.kind =
        Kind::Snapshot { reason: header.reason.to_owned(), created_unix_ns: header.created_unix_ns, complete };
    source.format_version = header.format_version.into();
    source.ring_id = header.ring_id;
    source.segment_count = header.segment_count.into();
    source.segment_len = header.segment_len.into();
    source.complete_from = header.complete_from;
    source.priority_segment_count = header.priority_segment_count.into();
    source.priority_complete_from = header.priority_complete_from;
    source.min_age_ns = header.left_out.map_or(0, |left_out| left_out.min_age_ns);
    source.life = Life {
        end: header.end,
        tells_end: header.format_version >= 2 && header.session.is_none(),
        panics: header.panics,
        heartbeat_unix_ns: 0,
    };
    source.filter = Some(header.filter).filter(|filter| !filter.is_empty());
    let first_priority = header.segment_count.saturating_sub(header.priority_segment_count);
    for (index, events) in lost {
        source.loss.overwritten = source.loss.overwritten.saturating_add(events);
        if index >= first_priority && header.priority_segment_count > 0 {
            source.loss.priority_overwritten = source.loss.priority_overwritten.saturating_add(events);
        }
    }
    source.taken_at = (header.ticks != 0).then_some(header.ticks);
    source.session = header.session.map(|CoveredSession { boot, reset_reason }| DeviceSession { boot, reset_reason });
    source.ended = header.state & STATE_ENDED != 0;
    source.loss.dropped = header.dropped;
    source.loss.suppressed = header.suppressed;
}

fn part(segment: PackedSegment<'_>, base_offset: u64) -> Part<'_> {
    Part {
        index: segment.index,
        sequence: segment.sequence,
        count: segment.count,
        pending: segment.pending,
        damaged: segment.damaged,
        offset: base_offset + segment.offset as u64,
        len_bytes: segment.data.len() as u64,
        records_offset: base_offset + segment.offset as u64,
        body: Body::Packed(segment),
    }
}

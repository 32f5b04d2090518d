//! A ring as a source: the file of a running program, or the one that a dead program left.

use ttlog_core::error::FormatError;
use ttlog_core::ring::{RingImage, SEGMENT_HEADER_LEN, STATE_ENDED, SegmentState};

use super::holder::Holder;
use super::process::{Liveness, liveness};
use super::{Body, Damage, Input, Kind, Life, Part, Source};
use crate::event::secrets::Secrets;

/// Reads a ring from `bytes`, the first ones of `input`.
pub(super) fn read<'a>(input: &'a Input, bytes: &'a [u8], secrets: &Secrets) -> Result<Source<'a>, FormatError> {
    let image = RingImage::parse(bytes)
        .map_err(|error| FormatError::new(input.offset.saturating_add(error.offset), error.kind))?;
    let header = *image.header();
    let mut source = Source::empty(input, bytes.len(), Kind::Ring(Liveness::Unknown), secrets);
    source.format_version = header.format_version.into();
    source.ring_id = header.ring_id;
    source.segment_count = header.segment_count.into();
    source.segment_len = header.segment_len.into();
    source.complete_from = header.complete_from;
    source.priority_segment_count = header.priority_segment_count.into();
    source.priority_complete_from = header.priority_complete_from;
    source.min_age_ns = header.min_age_ns;
    source.ended = header.state & STATE_ENDED != 0;
    source.life = Life {
        end: header.end,
        tells_end: header.is_long(),
        panics: header.panics,
        heartbeat_unix_ns: header.heartbeat_unix_ns,
    };
    source.filter = image.control().and_then(|control| control.filter);
    source.loss = image.loss();
    if image.missing_bytes() > 0 {
        source.damage.push(Damage {
            offset: input.offset + bytes.len() as u64,
            len_bytes: image.missing_bytes(),
            reason: "cut off: the file is shorter than its ring".to_owned(),
        });
    }
    for entry in image.entries() {
        source.add_entry(input.offset + u64::from(header.table_offset) + 8 + entry.offset as u64, entry.bytes);
    }
    let process = source.process.unwrap_or_default();
    let anchors: Vec<_> = image.anchors().collect();
    source.set_scale(&anchors);
    let liveness = match input.bytes.holder {
        _ if source.ended => Liveness::Gone,
        Some(Holder { liveness, .. }) => liveness,
        // Without the ring's file, a process that is not seen can be in another pid namespace.
        None => match liveness(process.pid, process.process_start, process.host) {
            Liveness::Running => Liveness::Running,
            _ => Liveness::Unknown,
        },
    };
    // What follows another recording is a copy, which no process writes.
    let liveness = if input.offset > 0 && liveness.is_running() { Liveness::LetGo } else { liveness };
    source.kind = Kind::Ring(liveness);
    if liveness.is_running() {
        source.taken_at = input.bytes.read_from_ticks;
    }
    for index in 0..header.segment_count {
        let offset = header.segments_offset + u64::from(index) * u64::from(header.segment_len);
        if offset >= bytes.len() as u64 {
            break;
        }
        match image.segment(index) {
            SegmentState::Unused | SegmentState::Opening { .. } => {}
            SegmentState::Damaged(error) => {
                source.damage.push(Damage {
                    offset: input.offset + error.offset,
                    len_bytes: header.segment_len.into(),
                    reason: format!("segment {index}: header: {}", error.kind),
                });
            }
            SegmentState::Valid(segment) => {
                let offset = input.offset + offset;
                source.parts.push(Part {
                    index,
                    sequence: segment.header.sequence,
                    count: segment.header.count,
                    pending: segment.header.busy.into(),
                    damaged: 0,
                    offset,
                    len_bytes: header.segment_len.into(),
                    records_offset: offset + SEGMENT_HEADER_LEN as u64,
                    body: Body::Plain(segment),
                });
            }
        }
    }
    Ok(source)
}

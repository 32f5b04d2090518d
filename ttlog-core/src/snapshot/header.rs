//! The header item: metadata of a snapshot and its ring.
//!
//! # Format
//! docs/format.md §6.1.

use minicbor::{Decoder, Encoder};

use super::options::{SnapshotMeta, SnapshotOptions};
use super::walk::counts_of_header;
use crate::clock::Anchor;
use crate::ring::{
    EndKind, FORMAT_VERSION, Panics, ProcessEnd, RingHeader, SERVER_ANCHOR_COUNT, SegmentHeader, Session,
};

/// Format version that a reader must know to read snapshots, of which the forms of columns are those of version 4.
const MIN_READER_VERSION: u16 = 4;
/// Maximum number of anchors written: all anchors of a ring on a server.
const ANCHOR_MAX: usize = SERVER_ANCHOR_COUNT;
/// Length of an anchor in the scratch buffer, in bytes.
const ANCHOR_LEN: usize = 16;

/// Metadata of a snapshot and its ring; see docs/format.md §6.1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SnapshotHeader<'a> {
    /// Version of the format that the snapshot was written in.
    pub format_version: u16,
    /// Minimum version of a reader.
    pub min_reader_version: u16,
    /// Identity of the ring.
    pub ring_id: u64,
    /// Reason for the snapshot.
    pub reason: &'a str,
    /// Time when the snapshot was created, in nanoseconds since 1970.
    pub created_unix_ns: i64,
    /// Time when the snapshot was created, in ticks; 0: unknown.
    pub ticks: u64,
    /// Time in ticks after which no event was overwritten; 0: no event was overwritten.
    pub complete_from: u64,
    /// Numbers of refused events: too large, re-entrant, no segment, unregistered.
    pub dropped: [u64; 4],
    /// Number of events withheld by sampling or rate limit.
    pub suppressed: u64,
    /// Number of segments in the ring.
    pub segment_count: u32,
    /// Length of a segment in bytes.
    pub segment_len: u32,
    /// State of the ring; see [`STATE_ENDED`](crate::ring::STATE_ENDED).
    pub state: u64,
    /// Summary of the events left out because of their age, if the program asked for that.
    pub left_out: Option<LeftOut>,
    /// Number of priority segments (warnings and errors), the last ones of the ring.
    pub priority_segment_count: u32,
    /// Time in ticks after which no event in a priority segment was overwritten; 0: none was overwritten.
    pub priority_complete_from: u64,
    /// How the process ended; `None` if it had not ended, or could not record its end.
    pub end: Option<ProcessEnd>,
    /// Panics of the process.
    pub panics: Panics,
    /// Filter in effect; empty: not recorded.
    pub filter: &'a str,
    /// Session of a device that the snapshot covers.
    pub session: Option<CoveredSession>,
    /// CBOR of the anchors, validated.
    anchors: &'a [u8],
    anchor_count: u64,
}

/// Session of a device that a snapshot covers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CoveredSession {
    /// Number of the session, from 1.
    pub boot: u32,
    /// Reason for the device's previous reset, as in [`Session`].
    pub reset_reason: u32,
}

/// Summary of the events that a snapshot leaves out because they are older than the program asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Number of events, counted when writing began. The count of each segment
    /// ([`PackedSegment::left_out`](super::PackedSegment::left_out)) is exact.
    pub event_count: u64,
    /// Age limit in nanoseconds; 0: not recorded.
    pub min_age_ns: u64,
}

impl<'a> SnapshotHeader<'a> {
    /// Returns an iterator over the anchors, oldest first.
    pub fn anchors(&self) -> impl Iterator<Item = Anchor> + use<'a> {
        let mut from = Decoder::new(self.anchors);
        let mut rest = self.anchor_count;
        core::iter::from_fn(move || {
            rest = rest.checked_sub(1)?;
            decode_anchor(&mut from)
        })
    }
}

fn decode_anchor(from: &mut Decoder<'_>) -> Option<Anchor> {
    let count = from.array().ok()??;
    let anchor = Anchor { ticks: from.u64().ok()?, unix_ns: from.i64().ok()? };
    for _ in 2..count {
        from.skip().ok()?;
    }
    Some(anchor)
}

/// Events that a snapshot will leave out.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LeftOutSegments {
    /// Number of events.
    pub(super) event_count: u64,
    /// Time in ticks when the last of the segments was closed; 0: there is none.
    pub(super) until_ticks: u64,
}

impl LeftOutSegments {
    pub(super) fn count(segments: impl Iterator<Item = SegmentHeader>) -> Self {
        segments.fold(LeftOutSegments::default(), |sum, header| LeftOutSegments {
            event_count: sum.event_count + u64::from(counts_of_header(&header, 0).count),
            until_ticks: sum.until_ticks.max(header.close_ticks),
        })
    }
}

/// Ring metadata for the header of a snapshot.
pub(super) struct About<'r> {
    pub(super) ring: &'r RingHeader,
    /// Session of a device that the snapshot covers.
    pub(super) session: Option<&'r Session>,
    pub(super) left_out: LeftOutSegments,
}

/// Copies anchors to `scratch`, oldest first. If there is no room for all, the first and the latest are retained.
pub(super) fn sort_anchors(anchors: impl Iterator<Item = Anchor>, scratch: &mut [u8]) -> &[u8] {
    let most = (scratch.len() / ANCHOR_LEN).min(ANCHOR_MAX);
    let ticks_at = |scratch: &[u8], index: usize| {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&scratch[index * ANCHOR_LEN..][..8]);
        u64::from_le_bytes(bytes)
    };
    let mut count = 0;
    for anchor in anchors {
        let mut place = count;
        while place > 0 && ticks_at(scratch, place - 1) > anchor.ticks {
            place -= 1;
        }
        if count == most {
            // Removes the second oldest of all.
            if place == 1 {
                continue;
            }
            if place > 1 {
                scratch.copy_within(2 * ANCHOR_LEN..place * ANCHOR_LEN, ANCHOR_LEN);
                place -= 1;
            }
        } else {
            scratch.copy_within(place * ANCHOR_LEN..count * ANCHOR_LEN, (place + 1) * ANCHOR_LEN);
            count += 1;
        }
        let slot = &mut scratch[place * ANCHOR_LEN..][..ANCHOR_LEN];
        slot[..8].copy_from_slice(&anchor.ticks.to_le_bytes());
        slot[8..].copy_from_slice(&anchor.unix_ns.to_le_bytes());
    }
    &scratch[..count * ANCHOR_LEN]
}

/// Encodes the body of the header item; its twin is [`decode_header`].
pub(super) fn encode_header<W: minicbor::encode::Write>(
    encoder: &mut Encoder<W>,
    about: &About<'_>,
    options: &SnapshotOptions<'_>,
    anchors: &[u8],
    meta: &SnapshotMeta<'_>,
    filter: Option<&str>,
) -> Result<(), minicbor::encode::Error<W::Error>> {
    let About { ring, session, left_out } = *about;
    // Values that a ring does not have, or has not recorded, take no space.
    let has_priority = ring.priority_segment_count > 0;
    let has_panics = ring.panics.count > 0;
    let leaves_out = options.left_out_before_ticks > 0;
    let extra = 2 * u64::from(has_priority)
        + [ring.end.is_some(), has_panics, leaves_out, filter.is_some(), session.is_some()]
            .into_iter()
            .map(u64::from)
            .sum::<u64>();
    // The versions are those of the snapshot, which can be of a ring of an older version.
    encoder.map(12 + extra)?.u8(0)?.u16(FORMAT_VERSION)?.u8(1)?.u16(MIN_READER_VERSION)?;
    encoder.u8(2)?.u64(ring.ring_id)?.u8(3)?.str(meta.reason)?.u8(4)?.i64(meta.created_unix_ns)?;
    encoder.u8(5)?.array((anchors.len() / ANCHOR_LEN) as u64)?;
    for anchor in anchors.chunks_exact(ANCHOR_LEN) {
        let (ticks, unix_ns) = anchor.split_at(8);
        let ticks = u64::from_le_bytes(ticks.try_into().unwrap_or_default());
        let unix_ns = i64::from_le_bytes(unix_ns.try_into().unwrap_or_default());
        encoder.array(2)?.u64(ticks)?.i64(unix_ns)?;
    }
    // Nothing is missing after the end of the last segment that is left out.
    encoder.u8(6)?.u64(ring.complete_from.max(left_out.until_ticks))?.u8(7)?.array(5)?;
    for dropped in ring.dropped {
        encoder.u64(dropped)?;
    }
    encoder.u64(ring.suppressed)?.u8(8)?.u32(ring.segment_count)?.u8(9)?.u32(ring.segment_len)?;
    encoder.u8(10)?.u64(meta.ticks)?.u8(11)?.u64(ring.state)?;
    if has_priority {
        encoder.u8(12)?.u32(ring.priority_segment_count)?.u8(13)?.u64(ring.priority_complete_from)?;
    }
    if let Some(end) = ring.end {
        encoder.u8(14)?.array(10)?.u8(end.kind.number())?.u8(end.signal)?.i32(end.code)?.u64(end.address)?;
        encoder.u64(end.ticks)?.i64(end.unix_ns)?.u32(end.os_thread_id)?.u32(end.context)?;
        encoder.u32(end.sender_pid)?.u32(end.sender_uid)?;
    }
    if has_panics {
        let panics = ring.panics;
        encoder.u8(15)?.array(3)?.u64(panics.count)?.u64(panics.last_ticks)?.u64(panics.last_os_thread_id)?;
    }
    if leaves_out {
        encoder.u8(16)?.array(2)?.u64(left_out.event_count)?.u64(options.min_age_ns)?;
    }
    if let Some(filter) = filter {
        encoder.u8(17)?.str(filter)?;
    }
    if let Some(session) = session {
        encoder.u8(18)?.array(2)?.u32(session.boot)?.u32(session.reset_reason)?;
    }
    Ok(())
}

/// Decodes the body of a header item; its twin is [`encode_header`].
pub(super) fn decode_header(body: &[u8]) -> Option<SnapshotHeader<'_>> {
    let mut from = Decoder::new(body);
    let mut header = SnapshotHeader::default();
    for _ in 0..from.map().ok()?? {
        match from.u64().ok()? {
            0 => header.format_version = from.u16().ok()?,
            1 => header.min_reader_version = from.u16().ok()?,
            2 => header.ring_id = from.u64().ok()?,
            3 => header.reason = from.str().ok()?,
            4 => header.created_unix_ns = from.i64().ok()?,
            5 => {
                header.anchor_count = from.array().ok()??;
                let start = from.position();
                for _ in 0..header.anchor_count {
                    decode_anchor(&mut from)?;
                }
                header.anchors = &body[start..from.position()];
            }
            6 => header.complete_from = from.u64().ok()?,
            7 => {
                let count = from.array().ok()??;
                for index in 0..count {
                    match index {
                        0..=3 => header.dropped[index as usize] = from.u64().ok()?,
                        4 => header.suppressed = from.u64().ok()?,
                        _ => from.skip().ok()?,
                    }
                }
            }
            8 => header.segment_count = from.u32().ok()?,
            9 => header.segment_len = from.u32().ok()?,
            10 => header.ticks = from.u64().ok()?,
            11 => header.state = from.u64().ok()?,
            12 => header.priority_segment_count = from.u32().ok()?,
            13 => header.priority_complete_from = from.u64().ok()?,
            14 => header.end = decode_process_end(&mut from)?,
            15 => {
                let [count, last_ticks, last_os_thread_id] = decode_numbers(&mut from)?;
                header.panics = Panics { count, last_ticks, last_os_thread_id };
            }
            16 => {
                let [event_count, min_age_ns] = decode_numbers(&mut from)?;
                header.left_out = Some(LeftOut { event_count, min_age_ns });
            }
            17 => header.filter = from.str().ok()?,
            18 => {
                let [boot, reset_reason] = decode_numbers(&mut from)?;
                let (boot, reset_reason) = (u32::try_from(boot).ok()?, u32::try_from(reset_reason).ok()?);
                header.session = Some(CoveredSession { boot, reset_reason });
            }
            _ => from.skip().ok()?,
        }
    }
    Some(header)
}

/// Decodes an array of at least `N` numbers; further ones are skipped.
fn decode_numbers<const N: usize>(from: &mut Decoder<'_>) -> Option<[u64; N]> {
    let count = from.array().ok()??;
    if count < N as u64 {
        return None;
    }
    let mut numbers = [0; N];
    for number in &mut numbers {
        *number = from.u64().ok()?;
    }
    for _ in N as u64..count {
        from.skip().ok()?;
    }
    Some(numbers)
}

/// Decodes how a process ended; the inner `None` means that it has not ended.
fn decode_process_end(from: &mut Decoder<'_>) -> Option<Option<ProcessEnd>> {
    let count = from.array().ok()??;
    if count < 10 {
        return None;
    }
    let kind = EndKind::from_number(from.u8().ok()?);
    let end = ProcessEnd {
        kind: kind.unwrap_or(EndKind::Unfinished),
        signal: from.u8().ok()?,
        code: from.i32().ok()?,
        address: from.u64().ok()?,
        ticks: from.u64().ok()?,
        unix_ns: from.i64().ok()?,
        os_thread_id: from.u32().ok()?,
        context: from.u32().ok()?,
        sender_pid: from.u32().ok()?,
        sender_uid: from.u32().ok()?,
    };
    for _ in 10..count {
        from.skip().ok()?;
    }
    Some(kind.map(|_| end))
}

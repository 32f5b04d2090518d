//! Snapshots of a device's ring, one for each session.

use core::fmt;

use super::header::{About, LeftOutSegments};
use super::options::{Codec, SnapshotMeta, SnapshotOptions};
use super::output::{Output, split_scratch};
use super::result::{SnapshotStats, WriteError};
use super::sink::Sink;
use crate::device::{Replace, rewrite_segment};
use crate::ring::{RingHeader, RingImage, SEGMENT_HEADER_LEN, SEGMENT_LEN_MAX, SegmentState, Session};

/// A session of a device's ring, and options for its snapshot.
#[derive(Clone, Copy)]
pub struct SessionImage<'r, 'a> {
    /// Ring that holds the session.
    pub image: &'r RingImage<'a>,
    /// Session to write.
    pub session: &'r Session,
    /// Function that replaces records, if any.
    pub replace: Option<&'r Replace<'r>>,
}

impl fmt::Debug for SessionImage<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionImage").field("image", self.image).field("session", self.session).finish_non_exhaustive()
    }
}

/// Returns the number of bytes of scratch needed to write a session: room for a segment of the ring and, if records are
/// replaced, twice for the longest possible segment.
#[must_use]
pub const fn session_scratch_len(options: &SnapshotOptions<'_>, segment_len: usize, replaces: bool) -> usize {
    if replaces {
        SEGMENT_LEN_MAX as usize + options.scratch_len(SEGMENT_LEN_MAX as usize)
    } else {
        options.scratch_len(segment_len)
    }
}

/// Writes a snapshot of one session of a device's ring, whose bytes can hold anything. `entries` are the process item
/// and the callsite items of its firmware, which are not in the ring.
///
/// The counts that the ring keeps for all sessions (dropped events, and losses in segments without a session) are in
/// the snapshot of the latest session. The snapshots of all sessions together account for all events.
///
/// # Errors
/// [`WriteError::Sink`] if the sink fails, [`WriteError::ScratchTooSmall`] if `scratch` is shorter than
/// [`session_scratch_len`].
pub fn write_session<'o, 'e, S: Sink>(
    recording: &SessionImage<'_, '_>,
    entries: impl Iterator<Item = &'e [u8]>,
    meta: &SnapshotMeta<'_>,
    options: impl Into<SnapshotOptions<'o>>,
    scratch: &mut [u8],
    sink: &mut S,
) -> Result<SnapshotStats, WriteError<S::Error>> {
    let options = options.into();
    let SessionImage { image, session, replace } = *recording;
    let ring_segment_len = image.header().segment_len as usize;
    let needed_bytes = session_scratch_len(&options, ring_segment_len, replace.is_some());
    if scratch.len() < needed_bytes {
        return Err(WriteError::ScratchTooSmall { needed_bytes });
    }
    let rewritten_len = if replace.is_some() { SEGMENT_LEN_MAX as usize } else { 0 };
    let segment_len = if replace.is_some() { rewritten_len } else { ring_segment_len };
    let (rewritten, scratch) = scratch.split_at_mut(rewritten_len);
    // The longest segment that a snapshot can have, minus the header that a segment has in a ring.
    let rewritten = &mut rewritten[..rewritten_len.saturating_sub(SEGMENT_HEADER_LEN)];
    let (work, withholder) = split_scratch(&options, segment_len, scratch)?;
    let mut out = Output::new(sink, options, withholder);
    let is_latest = image.latest_boot() == session.boot;
    let header = session_header(image, session, is_latest);
    let about = About { ring: &header, session: Some(session), left_out: LeftOutSegments::default() };
    out.header(&about, image.anchors(), meta, None, work)?;
    for entry in entries {
        out.entry(entry)?;
    }
    for index in 0..image.present_segments() {
        match image.segment(index) {
            SegmentState::Unused => {}
            SegmentState::Opening { lost } if is_latest => out.lost(index, lost)?,
            SegmentState::Damaged(_) if is_latest => out.stats.damaged_count += 1,
            SegmentState::Opening { .. } | SegmentState::Damaged(_) => {}
            SegmentState::Valid(segment) if segment.header.context != session.boot => {}
            SegmentState::Valid(segment) => {
                let segment = match replace {
                    Some(replace) => rewrite_segment(&segment, rewritten, replace),
                    None => segment,
                };
                if options.codec == Codec::None && out.withholder.is_none() {
                    out.plain_segment(&segment.header, segment.used().len(), None, segment.records)?;
                    continue;
                }
                let (copy, rest) = work.split_at_mut(segment_len);
                let copy = &mut copy[..segment.records.len()];
                copy.copy_from_slice(segment.records);
                out.packed_segment(&segment.header, segment.used().len(), copy, rest)?;
            }
        }
    }
    out.end()
}

/// Returns the ring's header with the values of one session.
fn session_header(image: &RingImage<'_>, session: &Session, is_latest: bool) -> RingHeader {
    let of_session = (0..image.present_segments()).filter_map(|index| match image.segment(index) {
        SegmentState::Valid(segment) if segment.header.context == session.boot => Some(segment.header),
        _ => None,
    });
    // If its first segment exists, the session is complete. If not, the missing ones were replaced before the oldest
    // existing one was opened.
    let complete_from = of_session
        .min_by_key(|header| header.sequence)
        .filter(|oldest| oldest.sequence > session.first_sequence)
        .map_or(0, |oldest| oldest.base_ticks.max(1));
    let header = RingHeader { complete_from, ..*image.header() };
    if is_latest { header } else { RingHeader { dropped: [0; 4], suppressed: 0, ..header } }
}

//! A dump whose frames are still arriving.

use std::collections::{BTreeMap, BTreeSet};

use ttlog_core::device::frame::{Begin, FRAME_VERSION, Frame, FrameKind, Part};
use ttlog_core::ring::RingImage;
use ttlog_core::table::callsite_text::CallsiteText;
use ttlog_core::table::encode_callsite_text;

use super::dump::{Counts, Dump, Received};
use super::missing::{without_unsent, without_void};
use super::pieces::{Pages, Whole};
use crate::source::device::geometry::restore_header;
use crate::source::device::memory::RingCopy;
use crate::text::number::grouped;

/// Longest ring that is received. The largest parts have a few MiB of RAM, and receiving this much takes a quarter of
/// an hour.
pub const RING_LEN_MAX: usize = 8 << 20;
/// Most bytes of callsites, and of compressed segments, that are held for a dump.
pub const PARTS_LEN_MAX: usize = 16 << 20;
/// Rings above this length are left out if less than a 256th part arrived, so that a few bytes do not cost much.
const RING_LEN_CHEAP: usize = 1 << 20;
/// Rings up to this length are short.
const RING_LEN_SHORT: usize = 16 << 10;
/// Bytes of type tags before the text of a callsite.
const TAGS_LEN: usize = 64;
/// Room for a callsite item.
const ITEM_ROOM_LEN: usize = 96 << 10;

/// A dump whose frames are still arriving.
#[derive(Debug)]
pub(super) struct Assembly {
    pub(super) number: u8,
    begin: Option<Begin>,
    begin_data: Vec<u8>,
    ring: Pages,
    /// Offsets of segments in which nothing counts as missing, because they were replaced while they were sent.
    void: BTreeSet<usize>,
    callsites: BTreeMap<u32, Whole>,
    packed: BTreeMap<u32, Whole>,
    parts_len: usize,
    /// Number of the last frame that arrived.
    last: Option<u16>,
    /// Number of frames before the final one, according to the final one.
    expected: Option<u64>,
    counts: Counts,
}

impl Assembly {
    pub(super) fn new(number: u8) -> Self {
        Assembly {
            number,
            begin: None,
            begin_data: Vec::new(),
            ring: Pages::default(),
            void: BTreeSet::new(),
            callsites: BTreeMap::new(),
            packed: BTreeMap::new(),
            parts_len: 0,
            last: None,
            expected: None,
            counts: Counts::default(),
        }
    }

    /// Returns whether the frame repeats the one that began this dump.
    pub(super) fn repeats_begin(&self, frame: &Frame<'_>) -> bool {
        self.begin.is_some() && self.begin_data == frame.data
    }

    /// Adds a frame. Returns a remark if there is one.
    pub(super) fn take(&mut self, frame: &Frame<'_>) -> Option<String> {
        let ahead = self.last.map_or(1, |last| frame.number.wrapping_sub(last));
        if ahead == 0 || ahead >= 1 << 15 {
            self.counts.repeated += 1;
            return None;
        }
        self.counts.frames += 1;
        self.counts.lost += self.last.map_or(u64::from(frame.number), |_| u64::from(ahead) - 1);
        self.last = Some(frame.number);
        let offset = frame.offset as usize;
        match frame.kind {
            FrameKind::Begin => return self.begin(frame.data),
            FrameKind::Ring => self.store(offset, frame.data),
            FrameKind::Callsite => {
                if let Some(part) = Part::decode(frame.data) {
                    Self::take_part(&mut self.callsites, &mut self.parts_len, frame.offset, &part);
                }
            }
            FrameKind::Packed => {
                if let Some(part) = Part::decode(frame.data) {
                    self.void.remove(&offset);
                    Self::take_part(&mut self.packed, &mut self.parts_len, frame.offset, &part);
                }
            }
            FrameKind::Void => self.forget(offset),
            FrameKind::End => {
                self.expected = frame.data.first_chunk().map(|count| u32::from_le_bytes(*count).into());
            }
            FrameKind::Stream => {}
        }
        None
    }

    fn begin(&mut self, data: &[u8]) -> Option<String> {
        let Some(begin) = Begin::decode(data) else {
            return Some(format!("dump {}: its begin is too short", self.number));
        };
        self.begin = Some(begin);
        self.begin_data = data.to_vec();
        if begin.version > FRAME_VERSION {
            return Some(format!(
                "dump {}: frames of version {}, this viewer knows {FRAME_VERSION}; unknown contents are left out",
                self.number, begin.version
            ));
        }
        let ring_len = begin.ring_len as usize;
        (ring_len > RING_LEN_MAX).then(|| {
            let (most, number) = (grouped(RING_LEN_MAX as u64), self.number);
            format!("dump {number}: a ring of {} bytes; only the first {most} are taken", grouped(ring_len as u64))
        })
    }

    /// Stores bytes of the ring. Bytes that cannot be a piece of a ring are left out.
    fn store(&mut self, offset: usize, data: &[u8]) {
        let end = offset.saturating_add(data.len());
        let limit = self.begin.map_or(RING_LEN_MAX, |begin| (begin.ring_len as usize).min(RING_LEN_MAX));
        if !offset.is_multiple_of(8) || !data.len().is_multiple_of(8) || end > limit {
            return;
        }
        // A void segment is sent again.
        self.void.remove(&offset);
        self.ring.store(offset, data);
    }

    fn take_part(wholes: &mut BTreeMap<u32, Whole>, parts_len: &mut usize, offset: u32, part: &Part<'_>) {
        if !wholes.contains_key(&offset) {
            // Each costs its length, plus a fixed amount.
            let len = usize::from(part.total) * 2 + 64;
            if *parts_len + len > PARTS_LEN_MAX {
                return;
            }
            *parts_len += len;
        } else if wholes[&offset].bytes.len() < usize::from(part.total) {
            return; // it cannot grow
        }
        wholes.entry(offset).or_default().take(part);
    }

    /// Discards the received bytes of the segment at `offset`.
    fn forget(&mut self, offset: usize) {
        self.packed.remove(&(offset as u32));
        // Segments are 128 bytes or more, so there are not more of them.
        if self.void.len() < RING_LEN_MAX / 128 && offset < RING_LEN_MAX {
            self.void.insert(offset);
        }
        if let Some(len) = self.ring.segment_len() {
            self.ring.forget(offset, offset.saturating_add(len));
        }
    }

    /// Expands the compressed segments.
    fn unpack(&mut self) {
        let Some(segment_len) = self.ring.segment_len() else { return };
        let mut segment = vec![0; segment_len];
        for (offset, whole) in std::mem::take(&mut self.packed) {
            let Some(block) = whole.whole() else { continue };
            if lz4_flex::block::decompress_into(block, &mut segment).is_ok_and(|len| len == segment_len) {
                self.store(offset as usize, &segment);
            }
        }
    }

    /// Hands the dump on, if more than its begin arrived.
    pub(super) fn give(mut self, ended: bool, out: &mut dyn FnMut(Received)) {
        self.unpack();
        let came_bytes = self.ring.came_words().count() as u64 * 8;
        if came_bytes == 0 && self.callsites.is_empty() {
            return; // a dump without contents, or the repeated begin of one that is over
        }
        let said_len = self.begin.map_or(0, |begin| (begin.ring_len as usize).min(RING_LEN_MAX) / 8 * 8);
        let last = self.ring.came_words().last().map_or(0, |word| word * 8 + 8);
        let ring_len = said_len.max(last);
        if ring_len > RING_LEN_CHEAP && ring_len as u64 / 256 > came_bytes {
            let text = format!("dump {}: left out, because almost nothing of its ring arrived", self.number);
            return out(Received::Remark(text));
        }
        let (mut bytes, missing) = self.ring.ring(said_len);
        // Trying all layouts takes a while, which a few bytes do not justify.
        let is_worth_it = bytes.len() <= RING_LEN_SHORT || came_bytes * 16 >= bytes.len() as u64;
        if is_worth_it && RingImage::parse(&bytes).is_err() {
            restore_header(&mut bytes, self.begin.map_or(0, |begin| begin.ring_id));
        }
        if let Some(expected) = self.expected {
            // The final frame is not counted.
            self.counts.lost = expected.saturating_sub(self.counts.frames.saturating_sub(1));
        }
        let mut missing = without_void(&missing, &self.void, self.ring.segment_len().unwrap_or(0));
        missing = without_unsent(&missing, &bytes, ended);
        if ended && self.counts.lost == 0 {
            missing.clear();
        }
        let mut room = vec![0; ITEM_ROOM_LEN];
        let items = self.callsites.iter().map(|(id, whole)| {
            let (tags, text) = whole.whole()?.split_at_checked(TAGS_LEN)?;
            let text = CallsiteText::decode(text).ok()?;
            let len = encode_callsite_text(u16::try_from(*id).ok()?, &text, tags, &mut room)?;
            Some(room[..len].to_vec())
        });
        let items: Vec<Option<Vec<u8>>> = items.collect();
        out(Received::Dump(Box::new(Dump {
            number: self.number,
            begin: self.begin,
            ended,
            missing,
            ring: RingCopy { address: 0, bytes, changed_segments: self.void.len() as u32 },
            damaged_callsites: items.iter().filter(|item| item.is_none()).count() as u64,
            callsites: items.into_iter().flatten().collect(),
            counts: self.counts,
        })));
    }
}

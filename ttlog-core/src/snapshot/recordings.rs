//! Separating recordings that follow one another in a file or stream.
//!
//! `cat a.bin b.bin` makes one file of two snapshots, and so does a program that appends. Ids of callsites, clock
//! readings and losses of one recording mean nothing in another, so a reader separates the recordings first.
//!
//! # Format
//! docs/format.md §8.

use core::ops::Range;

use super::content::Content;
use super::item::{FoundItem, ItemFinder, KIND_END, KIND_ENTRY, KIND_HEADER, KIND_SEGMENT};
use super::search::{Mark, find_mark};
use crate::error::FormatErrorKind;
use crate::ring::{Item, RING_MAGIC, RingImage, SEGMENT_HEADER_LEN, SegmentState};
use crate::table::EntryStart;

/// One of the recordings in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recording<'a> {
    /// [`Content::Ring`]; [`Content::Snapshot`], also for a dictionary; or [`Content::Unknown`] for bytes that are
    /// neither: garbage, frames, padding.
    pub content: Content,
    /// Byte offset in the file.
    pub offset: usize,
    /// Its bytes.
    pub bytes: &'a [u8],
}

/// Separates the recordings in `bytes`, which can hold anything, in their order. Together they are all of the bytes.
///
/// A snapshot reaches from its header to its end item, or if it was cut off, to the next recording. Items after an end
/// item, and a second process, are of a snapshot whose header is lost. A ring has the length that its header states,
/// unless another recording follows its last intact record sooner.
///
/// Allocates nothing, and takes time in proportion to the length of the bytes.
///
/// ```
/// use ttlog_core::snapshot::{Content, SnapshotReader, recordings};
///
/// # fn read(file: &[u8]) {
/// for recording in recordings(file) {
///     match recording.content {
///         Content::Snapshot => println!("{:?}", SnapshotReader::new(recording.bytes).header()),
///         content => println!("{content:?}, {} bytes at {}", recording.bytes.len(), recording.offset),
///     }
/// }
/// # }
/// ```
#[must_use]
pub fn recordings(bytes: &[u8]) -> Recordings<'_> {
    Recordings {
        bytes,
        start: 0,
        begun: Begun::Nothing,
        finder: ItemFinder::new(bytes),
        budget: bytes.len() as u64 * 8 + 65_536,
    }
}

/// Iterator over the recordings in a file.
#[derive(Clone, Debug)]
pub struct Recordings<'a> {
    bytes: &'a [u8],
    /// Offset of the next recording.
    start: usize,
    /// The items that the finder has passed since `start`.
    begun: Begun,
    finder: ItemFinder<'a>,
    /// Number of bytes of rings that can still be searched for the start of another recording.
    budget: u64,
}

/// Number of bytes whose search takes as long as reading a ring header that is damaged.
const RING_HEADER_COST: u64 = 1024;

/// The items since the start of a recording.
#[derive(Clone, Copy, Debug)]
enum Begun {
    /// No item so far.
    Nothing,
    /// Items of a snapshot.
    Items {
        /// Offset of the end of the last one.
        end: usize,
        /// Whether the process is among them. (It is not always the first entry: a forked process adds its own last.)
        process: bool,
    },
    /// A whole snapshot up to this offset.
    Ended(usize),
}

impl<'a> Iterator for Recordings<'a> {
    type Item = Recording<'a>;

    fn next(&mut self) -> Option<Recording<'a>> {
        if self.start >= self.bytes.len() {
            return None;
        }
        if let (Begun::Nothing, Some(end)) = (self.begun, self.ring_end(self.start)) {
            self.finder.seek(end);
            return Some(self.cut(Content::Ring, end, Begun::Nothing));
        }
        while let Some(found) = self.finder.next() {
            if let Some(recording) = self.pass(&found) {
                return Some(recording);
            }
        }
        Some(match self.begun {
            Begun::Nothing => self.cut(Content::Unknown, self.bytes.len(), Begun::Nothing),
            Begun::Items { .. } => self.cut(Content::Snapshot, self.bytes.len(), Begun::Nothing),
            Begun::Ended(end) => self.cut(Content::Snapshot, end, Begun::Nothing),
        })
    }
}

impl<'a> Recordings<'a> {
    /// Passes what the finder found, and returns the recording that ends before it, if one does.
    fn pass(&mut self, found: &FoundItem<'a>) -> Option<Recording<'a>> {
        let (offset, kind, body, end) = match *found {
            FoundItem::Item { offset, kind, body, end, .. } => (offset, kind, body, end),
            FoundItem::Damaged { offset, len_bytes, reason: FormatErrorKind::Overwritten } => {
                (offset, KIND_SEGMENT, &[][..], offset + len_bytes)
            }
            FoundItem::Damaged { offset, len_bytes, .. } => return self.pass_damage(offset, offset + len_bytes),
        };
        let is_header = kind == KIND_HEADER;
        let is_process = kind == KIND_ENTRY && EntryStart::decode(body) == EntryStart::Process;
        // Damage before a first item belongs to it, unless it is a header: then nothing is missing before it.
        let (cut, is_next) = match self.begun {
            Begun::Nothing if is_header && offset > self.start => (Some((Content::Unknown, offset)), true),
            Begun::Nothing => (None, true),
            Begun::Items { .. } if is_header => (Some((Content::Snapshot, offset)), true),
            // A snapshot has one process: the header of the next is damaged.
            Begun::Items { end, process: true } if is_process => (Some((Content::Snapshot, end.min(offset))), true),
            Begun::Items { .. } => (None, false),
            // Later versions can have more items.
            Begun::Ended(_) if kind > KIND_END => (None, false),
            Begun::Ended(ended) if is_header && ended < offset => {
                // The bytes between them come next.
                self.finder.seek(offset);
                return Some(self.cut(Content::Snapshot, ended, Begun::Nothing));
            }
            Begun::Ended(ended) => (Some((Content::Snapshot, ended.min(offset))), true),
        };
        let begun = match self.begun {
            _ if kind == KIND_END => Begun::Ended(end),
            Begun::Ended(_) if !is_next => Begun::Ended(end),
            Begun::Items { process, .. } if !is_next => Begun::Items { end, process: process || is_process },
            _ => Begun::Items { end, process: is_process },
        };
        let Some((content, at)) = cut else {
            self.begun = begun;
            return None;
        };
        Some(self.cut(content, at, begun))
    }

    /// Passes bytes that are not an item, and returns the recording that ends before a ring in them, if there is one.
    fn pass_damage(&mut self, from: usize, to: usize) -> Option<Recording<'a>> {
        // The first bytes of the ring can by chance be those that are missing of the item before it.
        let from = from.saturating_sub(RING_MAGIC.len() - 1).max(self.start);
        let ring = self.ring_in(from, to)?;
        let (content, end) = match self.begun {
            Begun::Nothing => (Content::Unknown, ring),
            Begun::Items { .. } => (Content::Snapshot, ring),
            Begun::Ended(end) => (Content::Snapshot, end.min(ring)),
        };
        self.finder.seek(end);
        Some(self.cut(content, end, Begun::Nothing))
    }

    /// Returns the recording from `start` to `end`; the next one starts there.
    fn cut(&mut self, content: Content, end: usize, begun: Begun) -> Recording<'a> {
        let recording = Recording { content, offset: self.start, bytes: &self.bytes[self.start..end] };
        (self.start, self.begun) = (end, begun);
        recording
    }

    /// Returns the offset of the first ring header in a range.
    fn ring_in(&mut self, from: usize, to: usize) -> Option<usize> {
        static MARK: Mark<{ RING_MAGIC.len() }> = Mark::new(RING_MAGIC);
        // The first byte is in the range; the others can be behind it.
        let bytes = self.bytes.get(..to.saturating_add(RING_MAGIC.len() - 1)).unwrap_or(self.bytes);
        let mut at = from;
        while let Some(found) = find_mark(bytes, at, &MARK).filter(|found| *found < to) {
            if self.ring_at(found).is_some() {
                return Some(found);
            }
            at = found + 1;
        }
        None
    }

    /// Reads the ring that starts at `at`, if there is one.
    fn ring_at(&mut self, at: usize) -> Option<RingImage<'a>> {
        let bytes = &self.bytes[at..];
        if !bytes.starts_with(&RING_MAGIC) {
            return None;
        }
        // Reading a header tries to repair it.
        self.budget = self.budget.checked_sub(RING_HEADER_COST)?;
        RingImage::parse(bytes).ok()
    }

    /// Returns whether the ring at `at` has a segment with records.
    fn has_records(&mut self, at: usize) -> bool {
        let Some(image) = self.ring_at(at) else { return false };
        let count = image.present_segments();
        let len = u64::from(count) * u64::from(image.header().segment_len);
        let Some(budget) = self.budget.checked_sub(len) else { return false };
        self.budget = budget;
        (0..count).any(|index| matches!(image.segment(index), SegmentState::Valid(_)))
    }

    /// Returns the end of the ring at `start`, if one is there: where its header says, or if it was cut off, where the
    /// next recording starts.
    fn ring_end(&mut self, start: usize) -> Option<usize> {
        let ring = RingPlaces { image: self.ring_at(start)?, start };
        let header = ring.image.header();
        let stated = usize::try_from(header.region_len()).unwrap_or(usize::MAX).min(self.bytes.len() - start);
        let mut end = start + stated;
        let Some(budget) = self.budget.checked_sub(stated as u64) else { return Some(end) };
        self.budget = budget;
        let first = start + header.header_len as usize;
        let mut at = first;
        while let Some(found) = self.ring_in(at, end) {
            match ring.records_around(found) {
                // A value that somebody logged.
                Some(records) => at = records.end,
                None if self.has_records(found) => end = found,
                // What is left of a record that was overwritten, perhaps.
                None => at = found + 1,
            }
        }
        at = self.finder.next_mark(first - 1);
        while at < end {
            if let Some(records) = ring.records_around(at) {
                at = self.finder.next_mark(records.end - 1);
            } else if self.finder.is_item(at) && !ring.goes_on(at, end) {
                end = at;
            } else {
                at = self.finder.next_mark(at);
            }
        }
        Some(end)
    }
}

/// The places of a ring's segments in a file.
struct RingPlaces<'a> {
    image: RingImage<'a>,
    /// Offset of the ring.
    start: usize,
}

impl RingPlaces<'_> {
    /// Returns the index of the segment that includes an offset.
    fn index_at(&self, at: usize) -> Option<u32> {
        let header = self.image.header();
        let offset = (at.checked_sub(self.start)? as u64).checked_sub(header.segments_offset)?;
        u32::try_from(offset / u64::from(header.segment_len)).ok()
    }

    /// Returns the place of the records up to the first damaged one, if it includes an offset.
    fn records_around(&self, at: usize) -> Option<Range<usize>> {
        let index = self.index_at(at)?;
        let SegmentState::Valid(segment) = self.image.segment(index) else { return None };
        let header = self.image.header();
        let offset = header.segments_offset + u64::from(index) * u64::from(header.segment_len);
        let start = self.start + usize::try_from(offset).ok()? + SEGMENT_HEADER_LEN;
        let damaged = segment.items().find_map(|item| match item {
            Item::Damaged { offset, .. } => Some(offset),
            _ => None,
        });
        let records = start..start + damaged.unwrap_or(segment.used().len());
        records.contains(&at).then_some(records)
    }

    /// Returns whether the ring has a segment with records that starts between these offsets.
    fn goes_on(&self, from: usize, to: usize) -> bool {
        let (Some(from), Some(to)) = (self.index_at(from), self.index_at(to)) else { return false };
        (from..=to).skip(1).any(|index| matches!(self.image.segment(index), SegmentState::Valid(_)))
    }
}

//! Reads table entries and segments from a snapshot: borrowing, bounded, and safe for arbitrary bytes.

use core::fmt;

use minicbor::Decoder;

use super::header::{SnapshotHeader, decode_header};
use super::item::{FoundItem, ItemFinder, KIND_END, KIND_ENTRY, KIND_HEADER, KIND_SEGMENT};
use super::segment::{PackedSegment, decode_segment};
use crate::error::FormatErrorKind;
use crate::ring::{FORMAT_VERSION, TableEntry};

/// Reader of a snapshot in memory.
///
/// A file can hold several recordings, one after the other; [`recordings`](super::recordings()) separates them. This
/// reader does not: a second header is an item like the first, and its callsites have ids of their own.
#[derive(Clone, Copy)]
pub struct SnapshotReader<'a> {
    bytes: &'a [u8],
}

impl<'a> SnapshotReader<'a> {
    /// Creates a reader of `bytes`, which can hold anything.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        SnapshotReader { bytes }
    }

    /// Returns an iterator over the items in the order of the file; bytes between intact items are returned as damaged.
    ///
    /// Ends after time in proportion to the length of the bytes. After a header that needs a newer reader, returns one
    /// `Damaged` with [`FormatErrorKind::TooNew`] and nothing more.
    #[must_use]
    pub fn items(&self) -> SnapshotItems<'a> {
        SnapshotItems { finder: ItemFinder::new(self.bytes), len: self.bytes.len(), too_new: None, finished: false }
    }

    /// Returns the first intact header, if any.
    #[must_use]
    pub fn header(&self) -> Option<SnapshotHeader<'a>> {
        self.items().find_map(|item| match item {
            SnapshotItem::Header(header) => Some(header),
            _ => None,
        })
    }
}

impl fmt::Debug for SnapshotReader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SnapshotReader").field("len_bytes", &self.bytes.len()).finish()
    }
}

/// An item of a snapshot. Offsets are bytes from the start of the snapshot.
#[derive(Clone, Debug)]
pub enum SnapshotItem<'a> {
    /// Metadata of the snapshot and its ring.
    Header(SnapshotHeader<'a>),
    /// An entry of the ring's table; its offset is that of its bytes in the snapshot.
    Entry(TableEntry<'a>),
    /// A segment.
    Segment(PackedSegment<'a>),
    /// The end: the snapshot is complete if this many items came before.
    End {
        /// Number of entries of the table.
        entry_count: u64,
        /// Number of segments, including those without records.
        segment_count: u64,
    },
    /// An intact item of a kind that this version does not know.
    Unknown {
        /// Kind of the item.
        kind: u8,
        /// Byte offset of the item.
        offset: usize,
        /// Length of its body in bytes.
        len_bytes: usize,
    },
    /// Bytes that are not an intact item. [`FormatErrorKind::Overwritten`] is not damage: the writer voided a segment
    /// that was overwritten while it was being written, and counted its events as lost in another item.
    Damaged {
        /// Byte offset of the start.
        offset: usize,
        /// Number of bytes.
        len_bytes: usize,
        /// Reason that they cannot be read.
        reason: FormatErrorKind,
    },
}

/// Iterator over the items of a snapshot.
#[derive(Clone, Debug)]
pub struct SnapshotItems<'a> {
    finder: ItemFinder<'a>,
    len: usize,
    /// Version that the header returned last needs, and the offset of that header.
    too_new: Option<(u16, usize)>,
    finished: bool,
}

impl<'a> Iterator for SnapshotItems<'a> {
    type Item = SnapshotItem<'a>;

    fn next(&mut self) -> Option<SnapshotItem<'a>> {
        if self.finished {
            return None;
        }
        if let Some((version, offset)) = self.too_new {
            self.finished = true;
            let reason = FormatErrorKind::TooNew(version);
            return Some(SnapshotItem::Damaged { offset, len_bytes: self.len - offset, reason });
        }
        let (offset, kind, body_offset, body, end) = match self.finder.next()? {
            FoundItem::Damaged { offset, len_bytes, reason } => {
                return Some(SnapshotItem::Damaged { offset, len_bytes, reason });
            }
            FoundItem::Item { offset, kind, body_offset, body, end } => (offset, kind, body_offset, body, end),
        };
        let len_bytes = end - offset;
        let item = match kind {
            KIND_HEADER => decode_header(body).map(SnapshotItem::Header),
            KIND_ENTRY => Some(SnapshotItem::Entry(TableEntry { offset: body_offset, bytes: body })),
            KIND_SEGMENT => decode_segment(body, offset).map(SnapshotItem::Segment),
            KIND_END => decode_end(body),
            kind => Some(SnapshotItem::Unknown { kind, offset, len_bytes: body.len() }),
        };
        if let Some(SnapshotItem::Header(header)) = &item {
            if header.min_reader_version > FORMAT_VERSION {
                self.too_new = Some((header.min_reader_version, end));
            }
        }
        Some(item.unwrap_or(SnapshotItem::Damaged { offset, len_bytes, reason: FormatErrorKind::BadCbor }))
    }
}

fn decode_end<'a>(body: &[u8]) -> Option<SnapshotItem<'a>> {
    let mut from = Decoder::new(body);
    if from.array().ok()?? < 2 {
        return None;
    }
    Some(SnapshotItem::End { entry_count: from.u64().ok()?, segment_count: from.u64().ok()? })
}

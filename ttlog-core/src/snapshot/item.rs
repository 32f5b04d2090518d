//! Frame around every item of a snapshot, and the search for items after damage.
//!
//! # Format
//! docs/format.md §6.

use core::ops::Range;

use minicbor::Decoder;

use super::search::{Mark, find_mark};
use super::sink::Sink;
use crate::error::FormatErrorKind;
use crate::memory::crc::Digest;
use crate::ring::RING_MAGIC;

/// First bytes of every item: tag 55799, array of four, text `TTLG`.
pub const ITEM_MARK: [u8; 9] = [0xD9, 0xD9, 0xF7, 0x84, 0x64, b'T', b'T', b'L', b'G'];
/// Number of bytes that the frame adds to a body.
pub const ITEM_OVERHEAD_LEN: usize = 20;
/// Highest kind.
const KIND_MAX: u64 = 23;
/// CBOR: byte string with a 4-byte length.
const BYTES_32: u8 = 0x5A;
/// CBOR: unsigned integer of 4 bytes.
const UINT_32: u8 = 0x1A;

pub(super) const KIND_HEADER: u8 = 0;
pub(super) const KIND_ENTRY: u8 = 1;
pub(super) const KIND_SEGMENT: u8 = 2;
pub(super) const KIND_END: u8 = 3;

/// An item that is being written, between `begin` and `end`.
pub(super) struct ItemWriter<'s, S: Sink> {
    sink: &'s mut S,
    digest: Digest,
    kind: u8,
    /// Number of bytes of the body still to come.
    rest: u32,
}

impl<'s, S: Sink> ItemWriter<'s, S> {
    /// Starts an item with a body of `body_len` bytes.
    pub(super) fn begin(sink: &'s mut S, kind: u8, body_len: u32) -> Result<Self, S::Error> {
        let mut head = [0; 15];
        head[..9].copy_from_slice(&ITEM_MARK);
        head[9] = kind;
        head[10] = BYTES_32;
        head[11..].copy_from_slice(&body_len.to_be_bytes());
        sink.write_all(&head)?;
        Ok(ItemWriter { sink, digest: Digest::new(), kind, rest: body_len })
    }

    /// Writes a part of the body.
    pub(super) fn body(&mut self, bytes: &[u8]) -> Result<(), S::Error> {
        debug_assert!(bytes.len() <= self.rest as usize, "more body than announced");
        self.rest = self.rest.wrapping_sub(bytes.len() as u32);
        self.digest.update(bytes);
        self.sink.write_all(bytes)
    }

    /// Ends the item. If it is not `good`, marks it as void.
    pub(super) fn end(mut self, good: bool) -> Result<(), S::Error> {
        debug_assert_eq!(self.rest, 0, "less body than announced");
        self.digest.update(&[self.kind]);
        let crc = self.digest.finish();
        let mut tail = [UINT_32; 5];
        tail[1..].copy_from_slice(&if good { crc } else { !crc }.to_be_bytes());
        self.sink.write_all(&tail)
    }
}

/// Result of an [`ItemFinder`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FoundItem<'a> {
    /// An intact item.
    Item {
        offset: usize,
        kind: u8,
        /// Byte offset of the body.
        body_offset: usize,
        body: &'a [u8],
        /// Byte offset of the end.
        end: usize,
    },
    /// Bytes in which no intact item starts.
    Damaged { offset: usize, len_bytes: usize, reason: FormatErrorKind },
}

/// Walks over the items of a snapshot of arbitrary content.
///
/// Takes time in proportion to the length of the bytes: the cost of failing checksums is limited.
#[derive(Clone, Debug)]
pub(super) struct ItemFinder<'a> {
    bytes: &'a [u8],
    /// In 0..=bytes.len().
    at: usize,
    /// In 0..=at: no item starts before it.
    floor: usize,
    /// Item found already, to be returned next.
    next: Option<FoundItem<'a>>,
    /// Number of bytes whose checksums can still fail.
    budget: u64,
    /// Bytes that were searched for marks: none begins in them, and one begins after them unless the bytes end there.
    unmarked: Range<usize>,
}

/// Frame of an item whose checksum is not yet compared.
struct Frame<'a> {
    kind: u8,
    body: &'a [u8],
    body_end: usize,
    /// Checksum, or the reason that it cannot be read.
    stored: Result<u32, FormatErrorKind>,
    /// Byte offset of the end, if the checksum can be read.
    end: usize,
}

/// State of the bytes at an offset where an item should start.
enum Stands<'a> {
    Item(FoundItem<'a>, usize),
    /// An item that its writer voided; it ends at this offset.
    Void(usize),
    /// A damaged item; if its length is correct, it ends at this offset.
    BadChecksum(usize),
    Nothing(FormatErrorKind),
}

impl<'a> ItemFinder<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        ItemFinder { bytes, at: 0, floor: 0, next: None, budget: bytes.len() as u64 * 8 + 65_536, unmarked: 0..0 }
    }

    /// Continues at `at`.
    pub(super) fn seek(&mut self, at: usize) {
        (self.at, self.floor) = (at, at);
        self.next = None;
    }

    /// Returns whether an intact item is at `at`.
    pub(super) fn is_item(&mut self, at: usize) -> bool {
        matches!(self.look(at), Stands::Item(..))
    }

    /// Returns the offset of a mark of which the last byte is at `at` or after it. If an item was cut off, the first
    /// bytes of the next one can by chance be those that are missing.
    fn overlapping_mark(&self, at: usize) -> Option<usize> {
        let from = at.saturating_sub(ITEM_MARK.len() - 1).max(self.floor);
        (from..at).find(|&mark| self.bytes[mark..].starts_with(&ITEM_MARK))
    }

    /// Reads the frame at `at`, without comparing checksums.
    fn frame(&self, at: usize) -> Result<Frame<'a>, FormatErrorKind> {
        let rest = &self.bytes[at..];
        let Some(after_mark) = rest.strip_prefix(&ITEM_MARK) else {
            let cut = ITEM_MARK.starts_with(&rest[..rest.len().min(ITEM_MARK.len())]);
            return Err(if cut { FormatErrorKind::TooShort } else { FormatErrorKind::BadMagic });
        };
        let mut from = Decoder::new(after_mark);
        let kind = match from.u64() {
            Ok(kind) if kind <= KIND_MAX => kind as u8,
            Ok(_) => return Err(FormatErrorKind::BadCbor),
            Err(error) => return Err(kind_of(&error)),
        };
        let body = from.bytes().map_err(|error| kind_of(&error))?;
        let body_end = at + ITEM_MARK.len() + from.position();
        let stored = from.u32().map_err(|error| kind_of(&error));
        let end = at + ITEM_MARK.len() + from.position();
        Ok(Frame { kind, body, body_end, stored, end })
    }

    /// Examines the bytes at `at`.
    fn look(&mut self, at: usize) -> Stands<'a> {
        let Frame { kind, body, body_end, stored, end } = match self.frame(at) {
            Ok(frame) => frame,
            Err(why) => return Stands::Nothing(why),
        };
        // The writer encodes the checksum in 5 bytes.
        let written_end = body_end + 1 + size_of::<u32>();
        let stored = match stored {
            Ok(stored) => stored,
            Err(_) if self.is_boundary(written_end) => return Stands::BadChecksum(written_end),
            Err(why) => return Stands::Nothing(why),
        };
        if body.len() as u64 > self.budget {
            return Stands::Nothing(FormatErrorKind::TooLarge);
        }
        let crc = crc_of(kind, body);
        if crc == stored {
            let body_offset = body_end - body.len();
            return Stands::Item(FoundItem::Item { offset: at, kind, body_offset, body, end }, end);
        }
        self.budget -= body.len() as u64;
        if crc == !stored {
            Stands::Void(end)
        } else {
            Stands::BadChecksum(if self.is_boundary(end) { end } else { written_end })
        }
    }

    /// Returns whether the length of a damaged item from `at` to `end` is credible: something follows there, and no
    /// intact item within it ends there too. If one does, the damaged item was cut off, and other items follow it.
    fn is_end(&mut self, at: usize, end: usize) -> bool {
        if !self.is_boundary(end) {
            return false;
        }
        let Some(budget) = self.budget.checked_sub((end - at) as u64) else { return true };
        self.budget = budget;
        let mut mark = self.next_mark(at);
        while mark < end {
            if let Ok(Frame { kind, body, stored: Ok(stored), end: same, .. }) = self.frame(mark) {
                if same == end {
                    if crc_of(kind, body) == stored {
                        return false;
                    }
                    let Some(budget) = self.budget.checked_sub(body.len() as u64) else { return true };
                    self.budget = budget;
                }
            }
            mark = self.next_mark(mark);
        }
        true
    }

    /// Returns whether an item or a ring could start at `at`, or the bytes end there.
    fn is_boundary(&self, at: usize) -> bool {
        self.bytes
            .get(at..)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(&ITEM_MARK) || rest.starts_with(&RING_MAGIC))
    }

    /// Returns the offset of the next mark after `at`, or the end.
    pub(super) fn next_mark(&mut self, at: usize) -> usize {
        static MARK: Mark<{ ITEM_MARK.len() }> = Mark::new(ITEM_MARK);
        let from = at + 1;
        if self.unmarked.contains(&from) {
            return self.unmarked.end;
        }
        self.unmarked = from..find_mark(self.bytes, from, &MARK).unwrap_or(self.bytes.len());
        self.unmarked.end
    }
}

/// Returns the checksum of an item.
fn crc_of(kind: u8, body: &[u8]) -> u32 {
    let mut digest = Digest::new();
    digest.update(body);
    digest.update(&[kind]);
    digest.finish()
}

/// Distinguishes bytes that end too early from bytes that are wrong.
fn kind_of(error: &minicbor::decode::Error) -> FormatErrorKind {
    if error.is_end_of_input() { FormatErrorKind::TooShort } else { FormatErrorKind::BadCbor }
}

impl<'a> Iterator for ItemFinder<'a> {
    type Item = FoundItem<'a>;

    fn next(&mut self) -> Option<FoundItem<'a>> {
        if let Some(found) = self.next.take() {
            return Some(found);
        }
        let start = self.at;
        let mut reason = None;
        let mut is_after_item = true;
        while self.at < self.bytes.len() {
            if core::mem::take(&mut is_after_item) && !self.is_boundary(self.at) {
                self.at = self.overlapping_mark(self.at).unwrap_or(self.at);
            }
            let at = self.at;
            let why = match self.look(at) {
                Stands::Item(found, end) => {
                    self.at = end;
                    let Some(reason) = reason else { return Some(found) };
                    self.next = Some(found);
                    return Some(FoundItem::Damaged { offset: start, len_bytes: at - start, reason });
                }
                Stands::Void(end) if reason.is_none() => {
                    self.at = end;
                    return Some(FoundItem::Damaged {
                        offset: at,
                        len_bytes: end - at,
                        reason: FormatErrorKind::Overwritten,
                    });
                }
                Stands::Void(end) => {
                    self.at = end;
                    is_after_item = true;
                    continue;
                }
                // The length is right, so an apparent item within the body is a value that somebody logged.
                Stands::BadChecksum(end) if self.is_end(at, end) => {
                    self.at = end;
                    FormatErrorKind::BadChecksum
                }
                Stands::BadChecksum(_) => {
                    self.at = self.next_mark(at);
                    FormatErrorKind::BadChecksum
                }
                Stands::Nothing(why) => {
                    self.at = self.next_mark(at);
                    why
                }
            };
            reason = reason.or(Some(why));
        }
        reason.map(|reason| FoundItem::Damaged { offset: start, len_bytes: self.bytes.len() - start, reason })
    }
}

/// Encodes a whole item into `out` and returns its length, or `None` if `out` is too short.
#[must_use]
pub fn encode_item(kind: u8, body: &[u8], out: &mut [u8]) -> Option<usize> {
    struct Fill<'a>(&'a mut [u8], usize);
    impl Sink for Fill<'_> {
        type Error = ();

        fn write_all(&mut self, bytes: &[u8]) -> Result<(), ()> {
            let place = self.0.get_mut(self.1..).and_then(|rest| rest.get_mut(..bytes.len())).ok_or(())?;
            place.copy_from_slice(bytes);
            self.1 += bytes.len();
            Ok(())
        }
    }
    let mut fill = Fill(out, 0);
    let mut item = ItemWriter::begin(&mut fill, kind, u32::try_from(body.len()).ok()?).ok()?;
    item.body(body).ok()?;
    item.end(true).ok()?;
    Some(fill.1)
}

/// Decodes one item from the start of `bytes`, as (kind, body), if there is an intact one.
#[must_use]
pub fn decode_item(bytes: &[u8]) -> Option<(u8, &[u8])> {
    match ItemFinder::new(bytes).look(0) {
        Stands::Item(FoundItem::Item { kind, body, .. }, _) => Some((kind, body)),
        _ => None,
    }
}

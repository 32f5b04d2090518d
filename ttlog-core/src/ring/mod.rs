//! The ring: one region of words that several contexts write and anybody reads, also after the writers' death.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `layout` | where everything is |
//! | `mod` | creating a ring; its header and table |
//! | `anchors` | the anchors, and which slot each goes to |
//! | `segment` | opening, sharing and leaving segments |
//! | `cursor` | the exclusive writer: the hot path |
//! | `shared` | the shared writer |
//! | `device` | the writer of devices, shared by all of their contexts |
//! | `boot` | taking over what a reset left in a device's memory |
//! | `dump` | sending a device's ring in frames (feature `frames`) |
//! | `session` | from one start of a device's firmware to the next |
//! | `end` | how the process ended, and its panics |
//! | `control` | requests to the process from outside, and their answers |
//! | `image` | reading a ring from bytes that may hold anything |
//! | `live` | copying out of a ring that is being written |
//! | `peek` | looking at its parts in place |
//! | `progress` | how far it has come |
//! | `inherit` | what a ring takes over from the one that was in its place |
//! | [`file_name`] | what the file of a ring is called |
//! | `renewal` | the flag of a ring that must be made anew before it is written |
//!
//! # Format
//! docs/format.md §2.

mod anchors;
mod boot;
mod control;
mod cursor;
mod device;
#[cfg(feature = "frames")]
mod dump;
mod end;
pub mod file_name;
mod image;
mod inherit;
mod layout;
mod live;
mod peek;
mod progress;
mod renewal;
mod rewrite;

mod segment;
mod session;
mod shared;

#[cfg(all(test, loom))]
mod loom;
#[cfg(all(test, not(loom)))]
mod tests;

use core::fmt;

pub use anchors::SERVER_ANCHOR_COUNT;
pub use boot::Found;
pub use control::{
    BadControlText, CONTROL_TEXT_MAX, ControlAnswer, ControlCommand, ControlImage, ControlRequest, ControlResult,
    EncodedRequest,
};
pub use cursor::{Cursor, Outcome, UnderWay};
pub use device::{DeviceClock, DeviceRecorder, SessionStart, Started};
#[cfg(feature = "frames")]
pub use dump::{RingDump, RingDumpOptions, SiteAt, SiteBytes};
pub use end::{EndKind, Panics, ProcessEnd};
pub use image::{Item, Items, Record, RingImage, Segment, SegmentHeader, SegmentState, TableEntry, forget_records};
pub use inherit::ENTRY_START_LEN;
pub use layout::{
    ANCHOR_LEN, DEVICE_HEADER_LEN, DEVICE_MIN_READER_VERSION, FORMAT_VERSION, HEADER_LEN, KEPT_SEQUENCE_BIT,
    LONG_HEADER_LEN, MIN_READER_VERSION, Mode, RING_MAGIC, RingHeader, SEGMENT_HEADER_LEN, SEGMENT_LEN_MAX,
    SEGMENT_LEN_MIN, STATE_ENDED,
};
pub use renewal::{Renewal, Turn};
pub use rewrite::{Replace, rewrite_segment};
pub use session::{BUILD_ID_LEN, SESSION_LEN, Session};

use crate::crc::crc32;
use crate::kill::kill_point;
use crate::word::Word;
use layout::{commit, header_word, segment_word};

/// How a ring is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingConfig {
    /// Identity of the ring; random.
    pub ring_id: u64,
    /// Bytes of a segment: a multiple of 8, 128 to 65,536.
    pub segment_len: u32,
    /// Bytes of the table: a multiple of 8. About 150 are needed for a callsite.
    pub table_len: u32,
    /// Slots for anchors, 24 bytes each.
    pub anchor_count: u32,
    /// Segments of the kept class: those that take warnings and errors, so that other events do not replace them. 0: none, warnings
    /// are as other events. Fewer than there are segments; needs `control`.
    pub kept_segment_count: u32,
    /// Whether the ring has the long header, which takes 1376 bytes more: with the kept class, and room for how the process ended
    /// and for requests from outside.
    pub control: bool,
    /// Slots for sessions, 48 bytes each: how many starts of a device's firmware the header tells of. 0 on servers; else without
    /// `control`, at most 28, and segments have at most [`DEVICE_SEGMENT_LEN_MAX`] bytes.
    pub session_count: u32,
}

/// Largest segment of a device, in bytes: a reservation there tells its length in one byte.
pub const DEVICE_SEGMENT_LEN_MAX: u32 = 2048;

impl RingConfig {
    /// A ring without a table, anchors, or a long header; to be completed by its identity and what else it is to have. As it is, its
    /// segments are of the smallest size.
    pub const PLAIN: Self = RingConfig {
        ring_id: 0,
        segment_len: SEGMENT_LEN_MIN,
        table_len: 0,
        anchor_count: 0,
        kept_segment_count: 0,
        control: false,
        session_count: 0,
    };

    /// Chooses a layout for a region of `capacity_bytes` on a server: 1/16 of it for the table (4 KiB to 4 MiB), segments of
    /// 4 to 64 KiB so that there are some 256 of them, one in eight of these for the kept class if there are 16 at least, 1/64 of
    /// it for anchors (64 to 1,024 of them), and the long header.
    #[must_use]
    pub fn for_capacity(capacity_bytes: usize, ring_id: u64) -> Self {
        let power_below = |bytes: usize| 1u32 << (usize::BITS - 1 - bytes.max(1).leading_zeros()).min(31);
        let config = RingConfig {
            ring_id,
            segment_len: power_below(capacity_bytes / 256).clamp(4096, SEGMENT_LEN_MAX),
            table_len: power_below(capacity_bytes / 16).clamp(4096, 4 << 20),
            anchor_count: (capacity_bytes / 64 / ANCHOR_LEN).clamp(64, SERVER_ANCHOR_COUNT) as u32,
            kept_segment_count: 0,
            control: true,
            session_count: 0,
        };
        let segments = capacity_bytes.saturating_sub(config.overhead_len()) / config.segment_len as usize;
        RingConfig { kept_segment_count: Self::usual_kept_count(segments), ..config }
    }

    /// Gives how many of `segment_count` segments the kept class gets by default: one in eight, or none of fewer than 16, for it
    /// would take too much from the others there.
    #[must_use]
    pub fn usual_kept_count(segment_count: usize) -> u32 {
        let count = if segment_count < 16 { 0 } else { segment_count / 8 };
        u32::try_from(count).unwrap_or(0)
    }

    /// Gives the bytes of the ring header.
    const fn header_len(&self) -> usize {
        if self.control {
            LONG_HEADER_LEN
        } else if self.session_count > 0 {
            DEVICE_HEADER_LEN + self.session_count as usize * SESSION_LEN
        } else {
            HEADER_LEN
        }
    }

    /// Tells whether a ring can be laid out in so many words.
    ///
    /// # Errors
    /// [`RingError`] if not.
    pub const fn check(&self, words: usize) -> Result<(), RingError> {
        let RingConfig { segment_len, table_len, anchor_count, kept_segment_count, control, session_count, .. } = *self;
        let segment_len_max = if session_count > 0 { DEVICE_SEGMENT_LEN_MAX } else { SEGMENT_LEN_MAX };
        let even = segment_len % 8 == 0 && table_len % 8 == 0;
        let in_range = SEGMENT_LEN_MIN <= segment_len && segment_len <= segment_len_max && anchor_count <= 1 << 16;
        let kept_without_room = kept_segment_count > 0 && !control;
        let sessions_fit = session_count == 0 || !control && self.header_len() < LONG_HEADER_LEN;
        if !even || !in_range || kept_without_room || !sessions_fit {
            return Err(RingError::BadConfig);
        }
        let segments = self.overhead_len() / 8;
        let segment_words = segment_len as usize / 8;
        // Divides, as segments may be more than 32 bits can count.
        if words.saturating_sub(segments) / segment_words <= kept_segment_count as usize {
            let needed_words = (kept_segment_count as usize + 1).saturating_mul(segment_words).saturating_add(segments);
            return Err(RingError::TooSmall { needed_bytes: needed_words.saturating_mul(8) });
        }
        Ok(())
    }

    /// Gives the bytes before the segments.
    #[must_use]
    pub const fn overhead_len(&self) -> usize {
        self.header_len() + self.anchor_count as usize * ANCHOR_LEN + self.table_len as usize
    }
}

/// Why a ring cannot be created in a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RingError {
    /// `segment_len` or `table_len` is no multiple of 8 or out of range, or there is to be a kept class without the long header.
    BadConfig,
    /// The region has no room for a single segment beside those of the kept class; so many bytes are needed.
    TooSmall {
        /// Bytes needed at least.
        needed_bytes: usize,
    },
}

impl fmt::Display for RingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RingError::BadConfig => f.write_str(
                "segment or table length is no multiple of 8 or out of range, or a kept class without control",
            ),
            RingError::TooSmall { needed_bytes } => {
                write!(f, "no room for a segment: {needed_bytes} bytes are needed")
            }
        }
    }
}

impl core::error::Error for RingError {}

/// The table has no room for an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableFull;

impl fmt::Display for TableFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the ring's table is full")
    }
}

impl core::error::Error for TableFull {}

/// Why an event was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum DropReason {
    /// No segment could hold it, even with its texts cut to nothing.
    TooLarge,
    /// A log call was under way in the same context, and no shared segment took it.
    Reentrant,
    /// Every segment was in use.
    NoSegment,
    /// The table or the callsite ids were full.
    Unregistered,
}

impl DropReason {
    /// All reasons, in the order in which the ring header counts them.
    pub const ALL: [DropReason; 4] =
        [DropReason::TooLarge, DropReason::Reentrant, DropReason::NoSegment, DropReason::Unregistered];
}

/// What was lost so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Loss {
    /// Events replaced by newer ones: the normal course of a ring. Those of the kept class are among them.
    pub overwritten: u64,
    /// Events of the kept class that were replaced by newer ones.
    pub kept_overwritten: u64,
    /// Events refused, by [`DropReason`].
    pub dropped: [u64; 4],
    /// Events withheld by sampling or rate limit.
    pub suppressed: u64,
}

impl Loss {
    /// Gives all refused events.
    #[must_use]
    pub fn dropped_total(&self) -> u64 {
        self.dropped.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }
}

/// A ring in memory that is being written. A handle: copies are the same ring, from any thread or interrupt.
///
/// Nothing here blocks, allocates or makes a system call.
#[derive(Clone, Copy)]
pub struct Ring<'m> {
    /// The region; exactly as long as the header says.
    words: &'m [Word],
    /// Index of the first word of the segments. `segments + segment_count * segment_words == words.len()`.
    segments: usize,
    segment_words: usize,
    segment_count: u32,
    /// The last so many segments are of the kept class. Below `segment_count`; 0 where the header is short.
    kept_segment_count: u32,
    /// Words of the ring header: those of the short or of the long one.
    header_words: usize,
    table_words: usize,
    anchor_count: u32,
}

/// Words of the short ring header.
const HEADER_WORDS: usize = HEADER_LEN / 8;
/// Words of the long ring header.
const LONG_HEADER_WORDS: usize = LONG_HEADER_LEN / 8;

impl<'m> Ring<'m> {
    /// Lays a ring out in `words`, which are zero, and gives the handle. Words that are left over at the end stay unused.
    ///
    /// # Errors
    /// [`RingError`] if the configuration is wrong or the region too small.
    pub fn create(words: &'m [Word], config: &RingConfig) -> Result<Self, RingError> {
        config.check(words.len())?;
        let ring = Ring::over(words, config);
        let header = ring.fixed_header(config);
        ring.words[header_word::NEXT_SEQUENCE].store(1);
        if config.kept_segment_count > 0 {
            ring.words[header_word::KEPT_NEXT_SEQUENCE].store(KEPT_SEQUENCE_BIT | 1);
        }
        // The magic is stored last: a region in which creation was cut short is no ring.
        for (index, chunk) in header.chunks_exact(8).enumerate().rev() {
            ring.words[index].store_release(u64::from_le_bytes(chunk.try_into().unwrap_or(RING_MAGIC)));
        }
        Ok(ring)
    }

    /// Gives the part of the ring header that never changes.
    fn fixed_header(&self, config: &RingConfig) -> [u8; 64] {
        let header_len = config.header_len() as u32;
        let is_device = config.session_count > 0;
        let header = RingHeader {
            format_version: FORMAT_VERSION,
            min_reader_version: if is_device { DEVICE_MIN_READER_VERSION } else { MIN_READER_VERSION },
            header_len,
            ring_id: config.ring_id,
            segment_len: config.segment_len,
            segment_count: self.segment_count,
            segments_offset: self.segments as u64 * 8,
            table_offset: header_len + config.anchor_count * ANCHOR_LEN as u32,
            table_len: config.table_len,
            anchors_offset: header_len,
            anchor_count: config.anchor_count,
            kept_segment_count: config.kept_segment_count,
            ..RingHeader::default()
        };
        header.encode_fixed()
    }

    /// Gives the handle of a ring that `create` laid out in `words` with the same configuration.
    fn over(words: &'m [Word], config: &RingConfig) -> Self {
        let segments = config.overhead_len() / 8;
        let segment_words = config.segment_len as usize / 8;
        let segment_count = (words.len() - segments) / segment_words;
        Ring {
            words: &words[..segments + segment_count * segment_words],
            segments,
            segment_words,
            segment_count: u32::try_from(segment_count).unwrap_or(u32::MAX),
            kept_segment_count: config.kept_segment_count,
            header_words: config.header_len() / 8,
            table_words: config.table_len as usize / 8,
            anchor_count: config.anchor_count,
        }
    }

    /// Gives the number of segments, those of the kept class included.
    #[must_use]
    pub fn segment_count(&self) -> u32 {
        self.segment_count
    }

    /// Gives the number of segments of the kept class, which are the last ones.
    #[must_use]
    pub fn kept_segment_count(&self) -> u32 {
        self.kept_segment_count
    }

    /// Gives the bytes of a segment.
    #[must_use]
    pub fn segment_len(&self) -> usize {
        self.segment_words * 8
    }

    /// Gives the bytes of the whole ring.
    #[must_use]
    pub fn len_bytes(&self) -> usize {
        self.words.len() * 8
    }

    fn header(&self, index: usize) -> &'m Word {
        &self.words[index]
    }

    /// The words of the header if it is a long one.
    fn long_header(&self) -> Option<&'m [Word; LONG_HEADER_WORDS]> {
        if self.header_words < LONG_HEADER_WORDS { None } else { self.words.first_chunk() }
    }

    fn segment(&self, index: u32) -> &'m [Word] {
        let start = self.segments + index as usize * self.segment_words;
        &self.words[start..start + self.segment_words]
    }

    /// Counts `n` events as refused.
    pub fn count_dropped(&self, reason: DropReason, n: u64) {
        self.header(header_word::DROPPED + reason as usize).add(n);
    }

    /// Counts `n` events as withheld by sampling or rate limit.
    pub fn count_suppressed(&self, n: u64) {
        self.header(header_word::SUPPRESSED).add(n);
    }

    /// Marks the ring as ended in good order.
    pub fn mark_ended(&self) {
        self.header(header_word::STATE).set_bits(STATE_ENDED);
    }

    /// Gives what was lost so far. While others write the figures are those of slightly different moments.
    #[must_use]
    pub fn loss(&self) -> Loss {
        let lost_in = |indexes: core::ops::Range<u32>| {
            indexes.map(|index| segment::lost_in(self.segment(index))).fold(0, u64::saturating_add)
        };
        let main = self.segment_count - self.kept_segment_count;
        let (others, kept): (u64, u64) = (lost_in(0..main), lost_in(main..self.segment_count));
        Loss {
            overwritten: others.saturating_add(kept),
            kept_overwritten: kept,
            dropped: core::array::from_fn(|reason| self.header(header_word::DROPPED + reason).load()),
            suppressed: self.header(header_word::SUPPRESSED).load(),
        }
    }

    /// Gives the ticks from which no event was overwritten but for those of the kept class; 0 if none was at all.
    #[must_use]
    pub fn complete_from(&self) -> u64 {
        self.header(header_word::COMPLETE_FROM).load()
    }

    /// Gives the ticks from which no event that was to be kept was overwritten, be it in the kept class or, where that had no room,
    /// among the others; 0 if none was at all.
    #[must_use]
    pub fn kept_complete_from(&self) -> u64 {
        self.long_header().map_or(0, |header| {
            let word = |index: usize| header[index].load();
            layout::kept_complete_from(
                word(header_word::KEPT_COMPLETE_FROM),
                word(header_word::KEPT_STRAYED_UNTIL),
                self.complete_from(),
            )
        })
    }

    /// Gives the share of the segments' room that records fill, 0 to 1.
    #[must_use]
    pub fn utilization(&self) -> f64 {
        let room = u64::from(self.segment_count) * self.record_words() as u64;
        let used: u64 = (0..self.segment_count)
            .map(|index| commit::offset(self.segment(index)[segment_word::COMMIT].load() as u32) as u64)
            .sum();
        used as f64 / room as f64
    }

    /// Gives the words for records in a segment.
    fn record_words(&self) -> usize {
        self.segment_words - layout::SEGMENT_HEADER_WORDS
    }

    /// Appends an entry to the table, whoever else appends at the same time.
    ///
    /// # Errors
    /// [`TableFull`]; nothing was written then.
    ///
    /// # Format
    /// docs/format.md §2.3.
    pub fn append_entry(&self, entry: &[u8]) -> Result<(), TableFull> {
        let table = self.table();
        let len = u32::try_from(entry.len()).ok().filter(|len| (1..=ENTRY_LEN_MAX).contains(len)).ok_or(TableFull)?;
        let mut at = 0;
        loop {
            let needed = 1 + entry.len().div_ceil(8);
            if at + needed > table.len() {
                return Err(TableFull);
            }
            match table[at].swap_low(0, len) {
                Ok(()) => break,
                Err(taken) => at += 1 + ((taken & !ENTRY_COMMITTED) as usize).div_ceil(8),
            }
        }
        kill_point!(EntryClaimed);
        self.store_entry(at, entry);
        Ok(())
    }

    /// Stores an entry where the caller has claimed room for it, and commits it.
    fn store_entry(&self, at: usize, entry: &[u8]) {
        let table = self.table();
        for (word, chunk) in table[at + 1..].iter().zip(entry.chunks(8)) {
            let mut bytes = [0; 8];
            bytes[..chunk.len()].copy_from_slice(chunk);
            word.store(u64::from_le_bytes(bytes));
            kill_point!(EntryWord);
        }
        let committed = entry.len() as u64 | u64::from(ENTRY_COMMITTED);
        table[at].store_release(committed | u64::from(crc32(entry)) << 32);
        kill_point!(EntryCommitted);
    }

    /// Gives the index of the first word of an anchor slot.
    fn slot_start(&self, slot: u64) -> usize {
        self.header_words + slot as usize * anchors::ANCHOR_WORDS
    }

    fn table(&self) -> &'m [Word] {
        let start = self.slot_start(self.anchor_count.into());
        &self.words[start..start + self.table_words]
    }
}

/// Bit of a table entry's header word: its bytes are complete.
const ENTRY_COMMITTED: u32 = 1 << 31;
/// Longest entry of the table, in bytes.
const ENTRY_LEN_MAX: u32 = 0xFFFF;

impl fmt::Debug for Ring<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ring")
            .field("len_bytes", &self.len_bytes())
            .field("segment_len", &self.segment_len())
            .field("segment_count", &self.segment_count)
            .finish_non_exhaustive()
    }
}

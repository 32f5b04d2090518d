//! The ring: one region of words that several contexts write and anybody reads, also after the writers' death.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `mod` | the handle of a ring that is being written |
//! | `config`, `create` | how a ring is laid out, and making one |
//! | `layout`, `header`, `table` | where everything is; the ring header; the entries of the table |
//! | `loss` | what was lost |
//! | `device_session` | from one start of a device's firmware to the next |
//! | [`file_name`] | what the file of a ring is called |
//! | `write` | `segment`: opening, sharing and leaving; `cursor`: the exclusive writer, the hot path; `shared`: the shared writer |
//! | `read` | `image`, `segment`, `records`: bytes that may hold anything; `live`, `peek`: beside the writers |
//! | `server` | what only rings on servers have: anchors, the end of the process, requests from outside, children of `fork` |
//!
//! # Format
//! docs/format.md §2.

pub(crate) mod config;
pub(crate) mod create;
pub(crate) mod device_session;
pub mod file_name;
pub(crate) mod header;
pub(crate) mod layout;
pub(crate) mod loss;
pub(crate) mod read;
pub(crate) mod server;
pub(crate) mod table;
pub(crate) mod write;

#[cfg(all(test, loom))]
mod loom;
#[cfg(all(test, not(loom)))]
mod tests;

use core::fmt;

pub use crate::device::{DeviceClock, DeviceRecorder, Found, Replace, SessionStart, Started, rewrite_segment};
#[cfg(feature = "frames")]
pub use crate::device::{RingDump, RingDumpOptions, SiteAt, SiteBytes};
pub use config::{RingConfig, RingError};
pub use device_session::{BUILD_ID_LEN, Session};
pub use header::RingHeader;
pub use layout::{
    ANCHOR_LEN, DEVICE_HEADER_LEN, DEVICE_MIN_READER_VERSION, DEVICE_SEGMENT_LEN_MAX, FORMAT_VERSION, HEADER_LEN,
    KEPT_SEQUENCE_BIT, LONG_HEADER_LEN, MIN_READER_VERSION, Mode, RING_MAGIC, SEGMENT_HEADER_LEN, SEGMENT_LEN_MAX,
    SEGMENT_LEN_MIN, SERVER_ANCHOR_COUNT, SESSION_LEN, STATE_ENDED,
};
pub use loss::{DropReason, Loss};
pub use read::image::RingImage;
pub use read::records::{Item, Items, Record};
pub use read::segment::{Segment, SegmentHeader, SegmentState, forget_records};
pub use server::control::{
    BadControlText, CONTROL_TEXT_MAX, ControlAnswer, ControlCommand, ControlImage, ControlRequest, ControlResult,
    EncodedRequest,
};
pub use server::end::{EndKind, Panics, ProcessEnd};
pub use server::inherit::ENTRY_START_LEN;
pub use server::renewal::{Renewal, Turn};
pub use table::{TableEntry, TableFull};
pub use write::cursor::{Cursor, Outcome, UnderWay};

use crate::memory::word::Word;
use layout::{ANCHOR_WORDS, LONG_HEADER_WORDS, commit, header_word, segment_word};
use loss::lost_in;

/// A ring in memory that is being written. A handle: copies are the same ring, from any thread or interrupt.
///
/// Nothing here blocks, allocates or makes a system call.
#[derive(Clone, Copy)]
pub struct Ring<'m> {
    /// The region; exactly as long as the header says.
    pub(crate) words: &'m [Word],
    /// Index of the first word of the segments. `segments + segment_count * segment_words == words.len()`.
    pub(crate) segments: usize,
    pub(crate) segment_words: usize,
    pub(crate) segment_count: u32,
    /// The last so many segments are of the kept class. Below `segment_count`; 0 where the header is short.
    pub(crate) kept_segment_count: u32,
    /// Words of the ring header: those of the short or of the long one.
    pub(crate) header_words: usize,
    pub(crate) table_words: usize,
    pub(crate) anchor_count: u32,
}

impl<'m> Ring<'m> {
    /// Returns the number of segments, those of the kept class included.
    #[must_use]
    pub fn segment_count(&self) -> u32 {
        self.segment_count
    }

    /// Returns the number of segments of the kept class, which are the last ones.
    #[must_use]
    pub fn kept_segment_count(&self) -> u32 {
        self.kept_segment_count
    }

    /// Returns the bytes of a segment.
    #[must_use]
    pub fn segment_len(&self) -> usize {
        self.segment_words * 8
    }

    /// Returns the bytes of the whole ring.
    #[must_use]
    pub fn len_bytes(&self) -> usize {
        self.words.len() * 8
    }

    pub(crate) fn header(&self, index: usize) -> &'m Word {
        &self.words[index]
    }

    /// The words of the header if it is a long one.
    pub(crate) fn long_header(&self) -> Option<&'m [Word; LONG_HEADER_WORDS]> {
        if self.header_words < LONG_HEADER_WORDS { None } else { self.words.first_chunk() }
    }

    pub(crate) fn segment(&self, index: u32) -> &'m [Word] {
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

    /// Returns what was lost so far. While others write the figures are those of slightly different moments.
    #[must_use]
    pub fn loss(&self) -> Loss {
        let sum = |indexes: core::ops::Range<u32>| {
            indexes.map(|index| lost_in(self.segment(index))).fold(0, u64::saturating_add)
        };
        let main = self.segment_count - self.kept_segment_count;
        let (others, kept): (u64, u64) = (sum(0..main), sum(main..self.segment_count));
        Loss {
            overwritten: others.saturating_add(kept),
            kept_overwritten: kept,
            dropped: core::array::from_fn(|reason| self.header(header_word::DROPPED + reason).load()),
            suppressed: self.header(header_word::SUPPRESSED).load(),
        }
    }

    /// Returns the ticks from which no event was overwritten but for those of the kept class; 0 if none was at all.
    #[must_use]
    pub fn complete_from(&self) -> u64 {
        self.header(header_word::COMPLETE_FROM).load()
    }

    /// Returns the ticks from which no event that was to be kept was overwritten, be it in the kept class or, where that had no room,
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

    /// Returns the share of the segments' room that records fill, 0 to 1.
    #[must_use]
    pub fn utilization(&self) -> f64 {
        let room = u64::from(self.segment_count) * self.record_words() as u64;
        let used: u64 = (0..self.segment_count)
            .map(|index| commit::offset(self.segment(index)[segment_word::COMMIT].load() as u32) as u64)
            .sum();
        used as f64 / room as f64
    }

    /// Returns the words for records in a segment.
    pub(crate) fn record_words(&self) -> usize {
        self.segment_words - layout::SEGMENT_HEADER_WORDS
    }

    /// Returns the index of the first word of an anchor slot.
    pub(crate) fn slot_start(&self, slot: u64) -> usize {
        self.header_words + slot as usize * ANCHOR_WORDS
    }

    pub(crate) fn table(&self) -> &'m [Word] {
        let start = self.slot_start(self.anchor_count.into());
        &self.words[start..start + self.table_words]
    }
}

impl fmt::Debug for Ring<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ring")
            .field("len_bytes", &self.len_bytes())
            .field("segment_len", &self.segment_len())
            .field("segment_count", &self.segment_count)
            .finish_non_exhaustive()
    }
}

//! Ring: one region of words that several contexts write and anyone can read, even after the writers have died.
//!
//! | file | content |
//! | --- | --- |
//! | `mod` | handle of a ring that is being written |
//! | `config`, `create` | layout of a ring, and its creation |
//! | `layout`, `header`, `table` | offsets; the ring header; the entries of the table |
//! | `loss` | counts of lost events |
//! | `device_session` | sessions: from one start of a device's firmware to the next |
//! | [`file_name`], [`file_lock`] | file names of rings; the lock of a ring's file |
//! | [`memory_limit`] | where the limits of a process's memory stand |
//! | `write` | `segment`: opening, sharing and leaving; `cursor`: the exclusive writer, the hot path; `shared`: the shared writer; `priority`: warnings and errors |
//! | `read` | `image`, `segment`, `records`: untrusted bytes; `live`, `peek`: concurrently with the writers |
//! | `server` | parts of rings on servers only: anchors, end of the process, requests, children of `fork`, relocation |
//!
//! # Format
//! docs/format.md §2.

pub(crate) mod config;
pub(crate) mod create;
pub(crate) mod device_session;
pub mod file_lock;
pub mod file_name;
pub(crate) mod header;
pub(crate) mod layout;
pub(crate) mod loss;
pub mod memory_limit;
pub(crate) mod read;
pub(crate) mod server;
pub(crate) mod table;
pub(crate) mod write;

#[cfg(all(test, loom))]
mod loom;
#[cfg(all(test, not(loom)))]
mod tests;

use core::fmt;

pub use config::{RingConfig, RingError};
pub use device_session::{BUILD_ID_LEN, Session};
pub use header::RingHeader;
pub use layout::{
    ANCHOR_LEN, DEVICE_HEADER_LEN, DEVICE_MIN_READER_VERSION, DEVICE_SEGMENT_LEN_MAX, FORMAT_VERSION, HEADER_LEN,
    LONG_HEADER_LEN, MIN_READER_VERSION, Mode, PRIORITY_SEQUENCE_BIT, RING_MAGIC, SEGMENT_HEADER_LEN, SEGMENT_LEN_MAX,
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
pub use server::gate::Gate;
pub use server::inherit::ENTRY_START_LEN;
pub use server::relocation::Relocation;
pub use server::renewal::{Renewal, Turn};
pub use table::{TableEntry, TableFull};
pub use write::cursor::{AppendOutcome, Cursor, UnderWay};
pub use write::identify::{Identify, NameRoom};
pub use write::priority::PriorityCursor;

use crate::memory::word::Word;
use layout::{ANCHOR_WORDS, LONG_HEADER_WORDS, commit, header_word, segment_word};
use loss::lost_in;

/// Handle of a ring in memory that is being written. Copies refer to the same ring, from any thread or interrupt.
///
/// No method blocks, allocates or makes a system call.
#[derive(Clone, Copy)]
pub struct Ring<'m> {
    /// Region; exactly as long as the header says.
    pub(crate) words: &'m [Word],
    /// Index of the first word of the segments. `segments + segment_count * segment_words == words.len()`.
    pub(crate) segments: usize,
    pub(crate) segment_words: usize,
    pub(crate) segment_count: u32,
    /// Number of priority segments, which are the last ones. Below `segment_count`; 0 if the header is short.
    pub(crate) priority_segment_count: u32,
    /// Number of words of the ring header, short or long.
    pub(crate) header_words: usize,
    pub(crate) table_words: usize,
    pub(crate) anchor_count: u32,
}

impl<'m> Ring<'m> {
    /// Returns the number of segments, including priority segments.
    #[must_use]
    pub fn segment_count(&self) -> u32 {
        self.segment_count
    }

    /// Returns the number of priority segments, which are the last ones.
    #[must_use]
    pub fn priority_segment_count(&self) -> u32 {
        self.priority_segment_count
    }

    /// Returns the length of a segment in bytes.
    #[must_use]
    pub fn segment_len(&self) -> usize {
        self.segment_words * 8
    }

    /// Returns the length of the whole ring in bytes.
    #[must_use]
    pub fn len_bytes(&self) -> usize {
        self.words.len() * 8
    }

    pub(crate) fn header(&self, index: usize) -> &'m Word {
        &self.words[index]
    }

    /// Returns the words of the header if it is long.
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

    /// Marks the ring as ended cleanly.
    pub fn mark_ended(&self) {
        self.header(header_word::STATE).set_bits(STATE_ENDED);
    }

    /// Returns the losses so far. While others write, the counts are of slightly different moments.
    #[must_use]
    pub fn loss(&self) -> Loss {
        let sum = |indexes: core::ops::Range<u32>| {
            indexes.map(|index| lost_in(self.segment(index))).fold(0, u64::saturating_add)
        };
        let main = self.segment_count - self.priority_segment_count;
        let (others, kept): (u64, u64) = (sum(0..main), sum(main..self.segment_count));
        Loss {
            overwritten: others.saturating_add(kept),
            priority_overwritten: kept,
            dropped: core::array::from_fn(|reason| self.header(header_word::DROPPED + reason).load()),
            suppressed: self.header(header_word::SUPPRESSED).load(),
        }
    }

    /// Returns the ticks from which on no event outside the priority class was overwritten; 0 if none was ever
    /// overwritten.
    #[must_use]
    pub fn complete_from(&self) -> u64 {
        self.header(header_word::COMPLETE_FROM).load()
    }

    /// Returns the ticks from which on no warning or error was overwritten, whether it is in the priority class or, for
    /// lack of room there, among the other events; 0 if none was ever overwritten.
    #[must_use]
    pub fn priority_complete_from(&self) -> u64 {
        self.long_header().map_or(0, |header| {
            let word = |index: usize| header[index].load();
            layout::priority_complete_from(
                word(header_word::PRIORITY_COMPLETE_FROM),
                word(header_word::PRIORITY_STRAYED_UNTIL),
                self.complete_from(),
            )
        })
    }

    /// Returns the fraction of the segments' room that records fill, 0 to 1.
    #[must_use]
    pub fn utilization(&self) -> f64 {
        let room = u64::from(self.segment_count) * self.record_words() as u64;
        let used: u64 = (0..self.segment_count)
            .map(|index| commit::offset(self.segment(index)[segment_word::COMMIT].load() as u32) as u64)
            .sum();
        used as f64 / room as f64
    }

    /// Returns the number of words for records in a segment.
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

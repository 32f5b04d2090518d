//! A segment as bytes that may hold anything.

use crate::error::{FormatError, FormatErrorKind};
use crate::memory::crc::check_or_repair_with;
use crate::record::{Seal, word_at};
use crate::ring::layout::{
    KEPT_SEQUENCE_BIT, Mode, SEGMENT_HEADER_LEN, SequenceWord, commit, segment_check, segment_crc, segment_crc_input,
    segment_word,
};
use crate::ring::loss::lost_by_phase;

/// What a segment turned out to be.
#[derive(Clone, Debug)]
pub enum SegmentState<'a> {
    /// It was never written.
    Unused,
    /// Its writer died, or is at work, between two contents: it holds no records, and has lost so many events.
    Opening {
        /// Events overwritten in it so far.
        lost: u64,
    },
    /// Its header makes no sense; where and why.
    Damaged(FormatError),
    /// It holds records.
    Valid(Segment<'a>),
}

/// The header of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// Its place in the ring.
    pub index: u32,
    /// Order in which segments were opened, from 1.
    pub sequence: u64,
    /// Which lap this is, modulo 256.
    pub lap: u8,
    /// How it is written.
    pub mode: Mode,
    /// The context that opened it; 0 in shared segments.
    pub context: u32,
    /// Clock reading from which deltas count.
    pub base_ticks: u64,
    /// Events overwritten in it in earlier laps.
    pub lost: u64,
    /// Words of records.
    pub offset_words: u32,
    /// Events among them; in shared segments reservations.
    pub count: u32,
    /// Shared: reservations that are done.
    pub done: u32,
    /// A writer holds it.
    pub owned: bool,
    /// A record was being written.
    pub busy: bool,
    /// Shared: takes no more reservations.
    pub closed: bool,
    /// Clock reading when it was closed; 0: open.
    pub close_ticks: u64,
}

impl SegmentHeader {
    /// Returns whether the segment is of the kept class: warnings and errors.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.sequence & KEPT_SEQUENCE_BIT != 0
    }

    /// Returns what its records have in common.
    pub(crate) fn seal(&self) -> Seal {
        Seal { lap: self.lap, is_device: self.mode == Mode::Device }
    }
}

/// A segment with its records.
#[derive(Clone, Debug)]
pub struct Segment<'a> {
    /// Its header.
    pub header: SegmentHeader,
    /// The room for records, as much of it as is there; beyond `offset_words` it may hold anything.
    pub records: &'a [u8],
}

/// Reads a segment from its bytes, which start `region_offset` bytes into the ring. Fewer bytes than a segment has are good as
/// long as its header is there.
pub(crate) fn parse_segment(index: u32, bytes: &[u8], region_offset: u64) -> SegmentState<'_> {
    let Some((header, records)) = bytes.split_first_chunk::<SEGMENT_HEADER_LEN>() else {
        return SegmentState::Unused;
    };
    let word = |index: usize| word_at(header, index * 8).unwrap_or(0);
    let sequence_word = word(segment_word::SEQUENCE);
    // One flipped bit can make a sequence 0, but not the CRC as well.
    if sequence_word == 0 && word(segment_word::CONTEXT) == 0 {
        return SegmentState::Unused;
    }
    let (base, lost, commit_word) = (word(segment_word::BASE), word(segment_word::LOST), word(segment_word::COMMIT));
    let (context, stored_crc) = (word(segment_word::CONTEXT) as u32, (word(segment_word::CONTEXT) >> 32) as u32);
    let mut fixed = segment_crc_input(sequence_word, base, context, lost);
    if segment_crc(sequence_word, base, context, lost) != stored_crc {
        let phase = (sequence_word >> 60) as u8;
        if (1..=3).contains(&phase) {
            return SegmentState::Opening { lost: lost_by_phase(phase, base, lost, commit_word as u32) };
        }
        if !check_or_repair_with(&mut fixed, stored_crc, segment_check) {
            return SegmentState::Damaged(FormatError::new(region_offset, FormatErrorKind::BadChecksum));
        }
    }
    let Some(decoded) = SequenceWord::decode(word_at(&fixed, 0).unwrap_or(0)) else {
        return SegmentState::Damaged(FormatError::new(region_offset, FormatErrorKind::BadGeometry));
    };
    let commit_low = commit_word as u32;
    SegmentState::Valid(Segment {
        header: SegmentHeader {
            index,
            sequence: decoded.sequence,
            lap: decoded.lap,
            mode: decoded.mode,
            context: u32::from_le_bytes([fixed[16], fixed[17], fixed[18], fixed[19]]),
            base_ticks: word_at(&fixed, 8).unwrap_or(0),
            lost: word_at(&fixed, 20).unwrap_or(0),
            offset_words: commit::offset(commit_low) as u32,
            count: commit::count(commit_low),
            done: (commit_word >> 32) as u32,
            owned: commit_low & commit::OWNED != 0,
            busy: commit_low & commit::BUSY != 0,
            closed: commit_low & commit::CLOSED != 0,
            close_ticks: word(segment_word::CLOSE),
        },
        records: &records[..records.len() / 8 * 8],
    })
}

/// Makes the copy of a segment hold no records, in its bytes; what it says of earlier laps stays.
///
/// For whoever copies a ring that is being written: a segment that was opened only after the copying began, or changed all the
/// while, is not to be shown, but the events that it replaced are to be counted. Bytes too short for a header stay as they are.
pub fn forget_records(segment: &mut [u8]) {
    let at = segment_word::COMMIT * 8;
    if let Some(word) = segment.get_mut(at..at + 8) {
        word.fill(0);
    }
}

impl<'a> Segment<'a> {
    /// Returns the bytes that records fill, as far as they are there.
    #[must_use]
    pub fn used(&self) -> &'a [u8] {
        &self.records[..self.offset_bytes()]
    }

    pub(super) fn offset_bytes(&self) -> usize {
        (self.header.offset_words as usize * 8).min(self.records.len())
    }
}

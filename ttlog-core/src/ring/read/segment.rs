//! Reading a segment from bytes that can hold anything.

use crate::error::{FormatError, FormatErrorKind};
use crate::memory::crc::check_or_repair_with;
use crate::record::{Seal, word_at};
use crate::ring::layout::{
    Mode, PRIORITY_SEQUENCE_BIT, SEGMENT_HEADER_LEN, SequenceWord, commit, segment_check, segment_crc,
    segment_crc_input, segment_word,
};
use crate::ring::loss::lost_by_phase;

/// State of a segment.
#[derive(Clone, Debug)]
pub enum SegmentState<'a> {
    /// The segment was never written.
    Unused,
    /// The segment is being replaced, or its writer died while replacing it. It holds no records.
    Opening {
        /// Number of events overwritten in it so far.
        lost: u64,
    },
    /// The header is invalid; with the offset and the reason.
    Damaged(FormatError),
    /// The segment holds records.
    Valid(Segment<'a>),
}

/// The header of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// Index in the ring.
    pub index: u32,
    /// Sequence number, in the order in which segments were opened, from 1.
    pub sequence: u64,
    /// Lap, modulo 256.
    pub lap: u8,
    /// Mode in which it is written.
    pub mode: Mode,
    /// Context that opened it; 0 in shared segments.
    pub context: u32,
    /// Clock reading from which deltas count.
    pub base_ticks: u64,
    /// Number of events overwritten in it in earlier laps.
    pub lost: u64,
    /// Number of words of records.
    pub offset_words: u32,
    /// Number of events among them; in shared segments, of reservations.
    pub count: u32,
    /// Number of complete reservations, in shared segments.
    pub done: u32,
    /// Whether a writer holds it.
    pub owned: bool,
    /// Whether a record was being written.
    pub busy: bool,
    /// Whether it no longer accepts reservations, in shared segments.
    pub closed: bool,
    /// Clock reading when it was closed; 0 if open.
    pub close_ticks: u64,
}

impl SegmentHeader {
    /// Returns whether this is a priority segment, for warnings and errors.
    #[must_use]
    pub fn is_priority(&self) -> bool {
        self.sequence & PRIORITY_SEQUENCE_BIT != 0
    }

    /// Returns the parameters common to the checks of its records.
    pub(crate) fn seal(&self) -> Seal {
        Seal { lap: self.lap, is_device: self.mode == Mode::Device }
    }
}

/// A segment with its records.
#[derive(Clone, Debug)]
pub struct Segment<'a> {
    /// Header.
    pub header: SegmentHeader,
    /// Room for records, as far as present; beyond `offset_words`, it can hold anything.
    pub records: &'a [u8],
}

/// Reads a segment from its bytes, which start `region_offset` bytes into the ring. The bytes can be truncated after
/// the header.
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

/// Removes all records from the bytes of a copied segment; the counts of earlier laps stay.
///
/// For code that copies a ring that is being written: a segment that was opened after the copying began, or kept
/// changing, must not be shown, but the events that it replaced must be counted. Leaves bytes that are too short for a
/// header unchanged.
pub fn forget_records(segment: &mut [u8]) {
    let at = segment_word::COMMIT * 8;
    if let Some(word) = segment.get_mut(at..at + 8) {
        word.fill(0);
    }
}

impl<'a> Segment<'a> {
    /// Returns the bytes that records fill, as far as present.
    #[must_use]
    pub fn used(&self) -> &'a [u8] {
        &self.records[..self.offset_bytes()]
    }

    pub(super) fn offset_bytes(&self) -> usize {
        (self.header.offset_words as usize * 8).min(self.records.len())
    }
}

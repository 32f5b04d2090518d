//! Reading the parts of a ring in place, for a snapshot that is streamed without memory for a copy.

use crate::memory::word::{Word, fence_acquire};
use crate::ring::Ring;
use crate::ring::layout::{SEGMENT_HEADER_LEN, SEGMENT_HEADER_WORDS, commit, segment_word};
use crate::ring::loss::lost_in;
use crate::ring::read::live::copy_words;
use crate::ring::read::segment::{SegmentHeader, SegmentState, parse_segment};
use crate::ring::table::ENTRY_COMMITTED;

/// A segment of a ring that is being written, in place.
pub(crate) struct SegmentPeek<'m> {
    pub(crate) header: SegmentHeader,
    /// Words filled by records.
    pub(crate) records: &'m [Word],
    sequence_word: u64,
    segment: &'m [Word],
}

impl SegmentPeek<'_> {
    /// Returns whether the words read so far belong to the header, that is, the segment was not replaced meanwhile.
    pub(crate) fn is_unchanged(&self) -> bool {
        fence_acquire();
        self.segment[segment_word::SEQUENCE].load() == self.sequence_word
    }
}

impl<'m> Ring<'m> {
    /// Returns segment `index` in place, or `None` if it holds no records or its header is being replaced.
    pub(crate) fn peek_segment(&self, index: u32) -> Option<SegmentPeek<'m>> {
        let segment = self.segment(index);
        let sequence_word = segment[segment_word::SEQUENCE].load_acquire();
        let commit_word = segment[segment_word::COMMIT].load_acquire();
        let mut bytes = [0; SEGMENT_HEADER_LEN];
        copy_words(&segment[..SEGMENT_HEADER_WORDS], &mut bytes);
        bytes[segment_word::SEQUENCE * 8..][..8].copy_from_slice(&sequence_word.to_le_bytes());
        bytes[segment_word::COMMIT * 8..][..8].copy_from_slice(&commit_word.to_le_bytes());
        let SegmentState::Valid(parsed) = parse_segment(index, &bytes, 0) else {
            return None;
        };
        let words = commit::offset(commit_word as u32).min(self.record_words());
        let records = &segment[SEGMENT_HEADER_WORDS..][..words];
        let peek = SegmentPeek { header: parsed.header, records, sequence_word, segment };
        peek.is_unchanged().then_some(peek)
    }

    /// Returns the number of events overwritten in segment `index` so far.
    pub(crate) fn segment_loss(&self, index: u32) -> u64 {
        lost_in(self.segment(index))
    }

    /// Returns the next committed entry of the table from word `at` on, as its length in bytes and its words, and moves
    /// `at` past it. Passes the positions of skipped entries, which are being written or were abandoned, to
    /// `unfinished`.
    pub(crate) fn next_entry(&self, at: &mut usize, mut unfinished: impl FnMut(usize)) -> Option<(usize, &'m [Word])> {
        let table = self.table();
        loop {
            let header = table.get(*at)?.load_acquire() as u32;
            let len = (header & !ENTRY_COMMITTED) as usize;
            if header == 0 {
                return None;
            }
            let start = *at + 1;
            *at = start + len.div_ceil(8);
            if header & ENTRY_COMMITTED != 0 {
                return Some((len, table.get(start..*at)?));
            }
            unfinished(start - 1);
        }
    }
}

//! Copying from a ring that is being written. Writers are never disturbed; data that they overwrite meanwhile is
//! detected.

use crate::error::{FormatError, FormatErrorKind};
use crate::memory::word::{Word, fence_acquire};
use crate::record::{LONG_PAYLOAD, RESERVED, decode_header};
use crate::ring::Ring;
use crate::ring::header::RingHeader;
use crate::ring::layout::{
    HEADER_LEN, HEADER_WORDS, Mode, SEGMENT_HEADER_LEN, SEGMENT_HEADER_WORDS, SequenceWord, commit, segment_word,
};
use crate::ring::read::segment::{SegmentState, parse_segment};
use crate::ring::table::ENTRY_COMMITTED;

/// Maximum number of attempts to copy a segment that is overwritten meanwhile.
const TRIES_MAX: u32 = if cfg!(loom) { 1 } else { 4 };

impl Ring<'_> {
    /// Copies segment `index` into `out`, which has room for [`segment_len`](Self::segment_len) bytes, and reads it
    /// there. Writers continue meanwhile; records committed after the copy began might be missing.
    ///
    /// Returns `Damaged` with [`FormatErrorKind::Overwritten`] if the segment is overwritten in every attempt, and with
    /// [`FormatErrorKind::OutOfSpace`] if `out` is too short. Does not block; takes at most as long as copying a
    /// segment a few times.
    pub fn copy_segment<'b>(&self, index: u32, out: &'b mut [u8]) -> SegmentState<'b> {
        let offset = (self.segments + index as usize * self.segment_words) as u64 * 8;
        if index >= self.segment_count {
            return SegmentState::Unused;
        }
        if out.len() < self.segment_len() {
            return SegmentState::Damaged(FormatError::new(offset, FormatErrorKind::OutOfSpace));
        }
        let segment = self.segment(index);
        for _ in 0..TRIES_MAX {
            if let Some(len) = copy_once(segment, out) {
                return parse_segment(index, &out[..len], offset);
            }
        }
        SegmentState::Damaged(FormatError::new(offset, FormatErrorKind::Overwritten))
    }

    /// Copies each entry of the table into `scratch` and passes it to `each`, oldest first. Skips entries longer than
    /// `scratch`.
    pub fn for_each_entry(&self, scratch: &mut [u8], each: &mut dyn FnMut(&[u8])) {
        let table = self.table();
        let mut at = 0;
        while let Some(word) = table.get(at) {
            let header = word.load_acquire() as u32;
            let len = (header & !ENTRY_COMMITTED) as usize;
            if header == 0 {
                return;
            }
            let start = at + 1;
            at = start + len.div_ceil(8);
            let (Some(words), Some(out)) = (table.get(start..at), scratch.get_mut(..len)) else {
                continue;
            };
            if header & ENTRY_COMMITTED != 0 {
                copy_words(words, out);
                each(out);
            }
        }
    }

    /// Returns the ring header.
    #[must_use]
    pub fn header_now(&self) -> RingHeader {
        let mut bytes = [0; HEADER_LEN];
        copy_words(&self.words[..HEADER_WORDS], &mut bytes);
        // The ring was created by `create`, so its header is valid; the default is never used.
        let header = RingHeader::decode_short(&bytes).unwrap_or_default();
        let Some(long) = self.long_header() else { return header };
        RingHeader { end: self.end(), ..header.with_long_part(|index| long[index].load()) }
    }

    /// Copies the whole region into `out`, as a debug probe or a core dump would. The copy of an idle ring is exact; if
    /// writers continue meanwhile, it is torn. Returns the number of bytes copied, the smaller of both lengths.
    pub fn copy_image(&self, out: &mut [u8]) -> usize {
        let len = out.len().min(self.len_bytes());
        copy_words(self.words, &mut out[..len]);
        len
    }
}

/// Copies words as little-endian bytes until either side ends.
pub(crate) fn copy_words(words: &[Word], out: &mut [u8]) {
    for (word, bytes) in words.iter().zip(out.chunks_mut(8)) {
        let len = bytes.len();
        bytes.copy_from_slice(&word.load().to_le_bytes()[..len]);
    }
}

/// Copies a segment's header and the words its commit half-word covers. Returns their length, or `None` if the segment
/// was replaced meanwhile.
fn copy_once(segment: &[Word], out: &mut [u8]) -> Option<usize> {
    let sequence = segment[segment_word::SEQUENCE].load_acquire();
    // Acquire: the records that it covers were stored before.
    let commit_word = segment[segment_word::COMMIT].load_acquire();
    copy_words(&segment[..SEGMENT_HEADER_WORDS], &mut out[..SEGMENT_HEADER_LEN]);
    out[segment_word::COMMIT * 8..][..8].copy_from_slice(&commit_word.to_le_bytes());
    let words = commit::offset(commit_word as u32).min(segment.len() - SEGMENT_HEADER_WORDS);
    let records = &segment[SEGMENT_HEADER_WORDS..][..words];
    let out_records = &mut out[SEGMENT_HEADER_LEN..][..words * 8];
    match SequenceWord::decode(sequence).map(|word| word.mode) {
        None | Some(Mode::Exclusive) => copy_words(records, out_records),
        Some(mode) => copy_shared(records, mode, out_records),
    }
    fence_acquire();
    (segment[segment_word::SEQUENCE].load() == sequence).then_some(SEGMENT_HEADER_LEN + words * 8)
}

/// Copies the records of a shared segment while their writers fill them: committed records whole, other records at most
/// with their header (on a device, with the words after it too), zeros elsewhere. Copying word by word would not work:
/// a header that was still 0 when it was copied, and a word of its payload that was stored and copied afterward, would
/// together look like a record that begins with that word.
fn copy_shared(records: &[Word], mode: Mode, out: &mut [u8]) {
    out.fill(0);
    let mut at = 0;
    while let Some(found) = next_header(records, at) {
        at = found;
        let word = records[at].load_acquire();
        let header = decode_header(word);
        let first = records.get(at + 1).map_or(0, Word::load);
        let len = match header.len {
            _ if header.callsite == RESERVED && mode != Mode::Device => header.delta as usize,
            LONG_PAYLOAD => usize::try_from(first).unwrap_or(usize::MAX),
            short => usize::from(short),
        };
        let end = at.saturating_add(1).saturating_add(len).min(records.len());
        out[at * 8..][..8].copy_from_slice(&word.to_le_bytes());
        // The length of a device's reservation might be damaged, so the words after it are not left out; readers skip
        // them.
        if header.callsite != RESERVED || mode == Mode::Device {
            copy_words(&records[at + 1..end], &mut out[(at + 1) * 8..end * 8]);
        }
        at = end;
    }
}

/// Returns the index of the first header from `at` on, where a record or a reservation begins, among words of a shared
/// segment that are 0 until they are stored. Returns `None` if there is none yet.
///
/// A nonzero word can also belong to the payload of a reservation whose header was still 0 when it was read. A reader
/// that sees a payload word sees its header from then on. So a word is a header if all words from `at` up to it are 0
/// when read after it. Otherwise the first nonzero word, which might have been stored in between, is the next
/// candidate.
pub(crate) fn next_header(records: &[Word], at: usize) -> Option<usize> {
    let mut found = records.len();
    while let Some(earlier) = (at..found).find(|&index| records[index].load_acquire() != 0) {
        found = earlier;
    }
    (found < records.len()).then_some(found)
}

//! Moving a ring to other memory while contexts write it, so that no event is lost and all addresses stay valid.
//!
//! The process maps the other memory in place of the ring's: from one moment on, every store goes there. Contexts on
//! the slow path are outside meanwhile ([`Gate`](super::gate::Gate)), so only appends on the hot path, each in a
//! segment that its context holds exclusively, can be in progress. They are not stopped. For each of these segments:
//!
//! - Before the exchange, the copy's commit half-word is marked as busy and closed, so that an append that begins after
//!   the exchange finds no room and takes the slow path. Behind the records, the copy is filled with a random word.
//! - An append that has read the half-word before the exchange continues in the copy, at the same place: the old memory
//!   no longer changes, so everything before that place can now be copied, and the mark replaced by the old half-word,
//!   unless the append has done so already.
//! - An append that had marked its segment before the exchange has stored a part of its record in the old memory. Once
//!   it has committed the record in the copy, what still holds the filler is taken from the old memory. Payloads are
//!   stored in ascending order, so that is all up to some byte, where the append went on in the copy.
//!
//! | call | by the mover, when |
//! | --- | --- |
//! | [`copy_ahead`](Relocation::copy_ahead) | any time, repeatedly, to have less to do later |
//! | [`copy_rest`](Relocation::copy_rest) | with the gate closed and nobody inside, before the exchange |
//! | [`take_over`](Relocation::take_over) | after the exchange, before the gate opens |
//! | [`mend`](Relocation::mend) | after that, with nobody inside, until it returns 0 |

use crate::memory::word::{STORES_AT_BYTES, Word};
use crate::record::packed::byte_sum;
use crate::record::{LONG_PAYLOAD, decode_header};
use crate::ring::Ring;
use crate::ring::layout::{Mode, SEGMENT_HEADER_WORDS, SequenceWord, commit, segment_word};

/// Mark of a segment that nobody can append to before it is taken over. An append never leaves both bits.
const MARK: u32 = commit::BUSY | commit::CLOSED;

/// A ring on its way to other memory.
#[derive(Clone, Copy, Debug)]
pub struct Relocation {
    /// Fills the places where an append that is in progress stores its record; random, so that no record has it.
    filler: u64,
}

impl Relocation {
    /// Begins a move. `random` must not be predictable by whoever chooses the values of events.
    #[must_use]
    pub fn new(random: u64) -> Self {
        Relocation { filler: random }
    }

    /// Copies to `to` the parts of the ring that do not change for the time being: segments that no context holds.
    /// `to` is as long as the ring. Returns how many segments had changed since the last call.
    pub fn copy_ahead(&self, ring: &Ring<'_>, to: &[Word]) -> u32 {
        let segments = (0..ring.segment_count).filter(|&index| {
            let (from, copy) = (ring.segment(index), in_copy(ring, to, index));
            let is_due = !is_held(from) && !is_shared(from) && !is_same(from, copy);
            if is_due {
                copy_segment(from, copy);
            }
            is_due
        });
        segments.count() as u32
    }

    /// Copies everything else, except for what appends on the hot path store from here on.
    pub fn copy_rest(&self, ring: &Ring<'_>, to: &[Word]) {
        copy(&ring.words[..ring.segments], to);
        for index in 0..ring.segment_count {
            let (from, copy) = (ring.segment(index), in_copy(ring, to, index));
            if is_held(from) {
                self.copy_held(from, copy);
            } else if is_shared(from) || !is_same(from, copy) {
                copy_segment(from, copy);
            }
        }
    }

    /// Copies a segment that its context writes.
    fn copy_held(&self, from: &[Word], to: &[Word]) {
        let now = from[segment_word::COMMIT].load_acquire() as u32;
        let used = SEGMENT_HEADER_WORDS + commit::offset(now).min(from.len() - SEGMENT_HEADER_WORDS);
        to[segment_word::COMMIT].store_release(u64::from(now & !commit::BUSY | MARK));
        copy_except_commit(&from[..used], &to[..used]);
        for word in &to[used..] {
            word.store(self.filler);
        }
    }

    /// Completes the ring, which is now in the other memory, with what appends have stored in the old memory, `left`,
    /// before the exchange. From here on contexts can enter.
    pub fn take_over(&self, ring: &Ring<'_>, left: &[Word]) {
        for index in 0..ring.segment_count {
            let (from, segment) = (in_copy(ring, left, index), ring.segment(index));
            if !is_held(from) {
                continue;
            }
            let last = from[segment_word::COMMIT].load_acquire() as u32;
            // An append in progress stores at `last` or later.
            let used = SEGMENT_HEADER_WORDS + commit::offset(last).min(from.len() - SEGMENT_HEADER_WORDS);
            copy_except_commit(&from[..used], &segment[..used]);
            let now = segment[segment_word::COMMIT].load_acquire() as u32;
            if now & MARK == MARK {
                // If it fails, the append in progress has replaced the mark meanwhile.
                let _ = segment[segment_word::COMMIT].swap_low(now, last);
            }
        }
    }

    /// Completes the records of appends that were in progress at the exchange and have finished. Returns the number of
    /// those that have not; it is 0 except after an unusual moment.
    #[must_use]
    pub fn mend(&self, ring: &Ring<'_>, left: &[Word]) -> u32 {
        let unfinished = (0..ring.segment_count).filter(|&index| {
            let (from, segment) = (in_copy(ring, left, index), ring.segment(index));
            is_held(from) && !self.mend_segment(from, segment)
        });
        unfinished.count() as u32
    }

    /// Returns `false` if the append in this segment has not finished.
    fn mend_segment(&self, from: &[Word], segment: &[Word]) -> bool {
        let last = from[segment_word::COMMIT].load() as u32;
        let is_replaced = segment[segment_word::SEQUENCE].load() != from[segment_word::SEQUENCE].load();
        if last & commit::BUSY == 0 || is_replaced {
            return true;
        }
        // Acquire: the words of the record were stored before the half-word that includes it.
        let now = segment[segment_word::COMMIT].load_acquire() as u32;
        if commit::offset(now) <= commit::offset(last) {
            return now & commit::BUSY == 0;
        }
        let at = SEGMENT_HEADER_WORDS + commit::offset(last);
        let mended = |index: usize| {
            let (from, word) = (from.get(index)?, segment.get(index)?);
            if word.load() == self.filler {
                word.store(from.load());
            }
            Some(word.load())
        };
        let Some(header) = mended(at) else { return true };
        let len = match decode_header(header).len {
            LONG_PAYLOAD => mended(at + 1).map_or(0, |words| usize::try_from(words).unwrap_or(usize::MAX)),
            len => usize::from(len),
        };
        let end = at.saturating_add(1).saturating_add(len).min(segment.len());
        if let (true, Some(old), Some(record)) = (STORES_AT_BYTES, from.get(at..end), segment.get(at..end)) {
            let lap = SequenceWord::decode(segment[segment_word::SEQUENCE].load()).map_or(0, |word| word.lap);
            self.mend_payload(old, record, lap);
            return true;
        }
        for index in at + 1..end {
            mended(index);
        }
        true
    }

    /// Completes the payload of a record of which the append has stored everything from some byte on in this memory;
    /// what is before that is in the `old` one.
    ///
    /// That byte is the first that is not the filler's. Or it is before that one, if the append has happened to store
    /// what the filler has, too: then the check of the record is not valid.
    fn mend_payload(&self, old: &[Word], record: &[Word], lap: u8) {
        let found = |index: usize| record.get(index).map_or(!self.filler, Word::load);
        let cut = (1..record.len()).find(|&index| found(index) != self.filler).unwrap_or(record.len());
        let same_len = (found(cut) ^ self.filler).trailing_zeros() as usize / 8;
        let joined = |index: usize, cut_bytes: usize| {
            let old_len = cut_bytes.saturating_sub(index * 8).min(8);
            let from_old = u64::MAX.checked_shr(64 - 8 * old_len as u32).unwrap_or(0);
            Some(old.get(index)?.load() & from_old | record.get(index)?.load() & !from_old)
        };
        let is_valid = |cut_bytes: &usize| {
            let payload = (1..record.len()).filter_map(|index| joined(index, *cut_bytes));
            is_sealed(found(0), payload.fold(u64::from(lap), |xor, word| xor ^ word))
        };
        // More bytes in a row are not the filler's by chance: it is random.
        let most = cut * 8 + same_len;
        let cut_bytes = (8.max(most - 8)..=most).rev().find(is_valid).unwrap_or(most);
        for (index, word) in record.iter().enumerate().take(cut + 1).skip(1) {
            word.store(joined(index, cut_bytes).unwrap_or(0));
        }
    }
}

/// Returns whether the check of a record is valid, whose header word is `header`. `xor` is the exclusive or of all
/// other words and the lap.
fn is_sealed(header: u64, xor: u64) -> bool {
    let check = header >> 56;
    u64::from(byte_sum(xor ^ header ^ check << 56)) == check
}

/// Returns segment `index` of a copy of the ring.
fn in_copy<'m>(ring: &Ring<'_>, words: &'m [Word], index: u32) -> &'m [Word] {
    let start = ring.segments + index as usize * ring.segment_words;
    &words[start..start + ring.segment_words]
}

/// Returns whether one context writes the segment, on the hot path.
fn is_held(segment: &[Word]) -> bool {
    let sequence = SequenceWord::decode(segment[segment_word::SEQUENCE].load_acquire());
    sequence.is_some_and(|word| word.mode == Mode::Exclusive && word.phase == 0)
        && segment[segment_word::COMMIT].load_acquire() as u32 & commit::OWNED != 0
}

/// Returns whether several contexts can write the segment, where a reservation is filled without a change of the
/// header.
fn is_shared(segment: &[Word]) -> bool {
    let commit_word = segment[segment_word::COMMIT].load_acquire();
    let (now, done) = (commit_word as u32, (commit_word >> 32) as u32);
    now & commit::SHARED != 0 && (now & commit::CLOSED == 0 || done != commit::count(now))
}

/// Returns whether the headers are equal, and thus the records of a segment that nobody writes.
fn is_same(from: &[Word], to: &[Word]) -> bool {
    from.iter().zip(to).take(SEGMENT_HEADER_WORDS).all(|(from, to)| from.load_acquire() == to.load())
}

/// Copies a segment that nobody writes, so that a copy that was interrupted by a writer is not the [same](is_same).
fn copy_segment(from: &[Word], to: &[Word]) {
    let commit_word = from[segment_word::COMMIT].load_acquire();
    let sequence = from[segment_word::SEQUENCE].load_acquire();
    to[segment_word::SEQUENCE].store(0);
    to[segment_word::COMMIT].store_release(commit_word);
    copy(&from[1..segment_word::COMMIT], &to[1..segment_word::COMMIT]);
    copy(&from[segment_word::COMMIT + 1..], &to[segment_word::COMMIT + 1..]);
    to[segment_word::SEQUENCE].store_release(sequence);
}

fn copy_except_commit(from: &[Word], to: &[Word]) {
    for (index, (from, to)) in from.iter().zip(to).enumerate() {
        if index != segment_word::COMMIT {
            to.store(from.load());
        }
    }
}

fn copy(from: &[Word], to: &[Word]) {
    for (from, to) in from.iter().zip(to) {
        to.store(from.load());
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::vec;
    use std::vec::Vec;

    use super::*;
    use crate::event::fields::{Cons, Nil};
    use crate::record::{Bytes, ContextInfo};
    use crate::ring::{Cursor, DropReason, Item, RingConfig, RingImage, SegmentState};

    const CONFIG: RingConfig = RingConfig {
        segment_len: 256,
        table_len: 128,
        anchor_count: 2,
        priority_segment_count: 2,
        control: true,
        ..RingConfig::PLAIN
    };
    const FILLER: u64 = 0x0123_4567_89AB_CDEF;

    fn memory() -> Vec<Word> {
        (0..(CONFIG.overhead_len() + 8 * 256) / 8).map(|_| Word::new(0)).collect()
    }

    fn bytes(words: &[Word]) -> Vec<u8> {
        words.iter().flat_map(|word| word.load().to_le_bytes()).collect()
    }

    fn who(context: u32) -> ContextInfo<'static> {
        ContextInfo { context, os_thread_id: context.into(), next_index: 0, name: "a thread" }
    }

    /// Returns the number of events in a ring, and asserts that nothing is damaged.
    fn event_count(words: &[Word]) -> u64 {
        let bytes = bytes(words);
        let image = RingImage::parse(&bytes).unwrap();
        let segments = (0..image.header().segment_count).filter_map(|index| match image.segment(index) {
            SegmentState::Valid(segment) => Some(segment),
            SegmentState::Unused => None,
            other => panic!("{other:?}"),
        });
        let mut count = 0;
        for segment in segments {
            for item in segment.items() {
                assert!(matches!(item, Item::Event(_) | Item::Context(_)), "{item:?}");
                count += u64::from(matches!(item, Item::Event(_)));
            }
        }
        count
    }

    /// Replaces the words of a ring with those of its copy, as a mapping would, and returns the old ones.
    fn exchange(words: &[Word], copy: &[Word]) -> Vec<Word> {
        let left = words.iter().map(|word| Word::new(word.load())).collect();
        words.iter().zip(copy).for_each(|(word, copy)| word.store(copy.load()));
        left
    }

    #[test]
    fn ring_that_moves_between_events_stays_the_same() {
        let words = memory();
        let ring = Ring::create(&words, &CONFIG).unwrap();
        let cursors = [Cursor::new(), Cursor::new()];
        let log = |number: u64| {
            let (cursor, who) = (&cursors[number as usize % 2], who(1 + number as u32 % 2));
            let fields = Cons(number, Nil);
            if !cursor.append_small(9, number, &fields) {
                cursor.append_slow(&ring, &|| number, &who, 9, &fields);
            }
        };
        ring.append_entry(b"an entry").unwrap();
        let mut emitted = 0;
        for round in 0..30 {
            for _ in 0..round {
                log(emitted);
                emitted += 1;
            }
            ring.append_shared(emitted, 3, 9, &Cons(emitted, Nil), DropReason::NoSegment);
            ring.append_priority(emitted, &who(4), None, 9, &Cons(emitted, Nil), DropReason::NoSegment);
            emitted += 2;
            let before = bytes(&words);
            let (relocation, copy) = (Relocation::new(FILLER), memory());
            relocation.copy_ahead(&ring, &copy);
            relocation.copy_rest(&ring, &copy);
            let left = exchange(&words, &copy);
            relocation.take_over(&ring, &left);
            assert_eq!(relocation.mend(&ring, &left), 0);
            let changed = before.chunks(8).zip(bytes(&words).chunks(8)).filter(|(a, b)| a != b).count();
            let fillers = words.iter().filter(|word| word.load() == FILLER).count();
            assert!(changed <= fillers, "only behind the records of held segments");
            let loss = ring.loss();
            assert_eq!(event_count(&words) + loss.overwritten + loss.dropped_total(), emitted);
        }
    }

    #[test]
    fn append_that_the_move_cuts_in_two_is_completed() {
        let words = memory();
        let ring = Ring::create(&words, &CONFIG).unwrap();
        let cursor = Cursor::new();
        cursor.append_slow(&ring, &|| 1, &who(1), 9, &Cons(1_u64, Nil));
        // What an append of the same event again stores, in this order.
        let commit_word = &ring.segment(0)[segment_word::COMMIT];
        let (start, last) = (commit::offset(commit_word.load() as u32), commit_word.load() as u32);
        assert!(cursor.append_plain(9, 2, &Cons("a text that is longer", Cons(1_u64 << 60, Nil))));
        let after = commit_word.load() as u32;
        let record = SEGMENT_HEADER_WORDS + start..SEGMENT_HEADER_WORDS + commit::offset(after);
        let stored: Vec<u64> = ring.segment(0)[record.clone()].iter().map(Word::load).collect();
        let complete = bytes(&words[..ring.segments + record.end]);
        assert!(stored.len() > 2);
        for cut in 0..=stored.len() {
            commit_word.store_low_release(last | commit::BUSY);
            // The header comes last.
            let order: Vec<usize> = (1..stored.len()).chain([0]).collect();
            let place = |index: &usize| &ring.segment(0)[record.start + index];
            ring.segment(0)[record.clone()].iter().for_each(|word| word.store(0));
            order[..cut].iter().for_each(|index| place(index).store(stored[*index]));
            let (relocation, copy) = (Relocation::new(FILLER), memory());
            relocation.copy_rest(&ring, &copy);
            let left = exchange(&words, &copy);
            relocation.take_over(&ring, &left);
            assert_eq!(relocation.mend(&ring, &left), 1, "not finished");
            order[cut..].iter().for_each(|index| place(index).store(stored[*index]));
            commit_word.store_low_release(after);
            assert_eq!(relocation.mend(&ring, &left), 0);
            assert!(bytes(&words[..ring.segments + record.end]) == complete, "cut at {cut}");
        }
        assert_eq!(event_count(&words), 2);
        let mut room = vec![0; ring.segment_len()];
        assert!(matches!(ring.copy_segment(0, &mut room), SegmentState::Valid(_)));
    }

    /// Moves the ring while an append has stored the first `cut` bytes of its payload, and `beyond` behind them.
    fn move_at(ring: &Ring<'_>, words: &[Word], last: u32, cut: usize, beyond: u64) {
        let segment = ring.segment(0);
        let commit_word = &segment[segment_word::COMMIT];
        let after = commit_word.load() as u32;
        let record =
            &segment[SEGMENT_HEADER_WORDS + commit::offset(last)..][..commit::offset(after) - commit::offset(last)];
        let complete: Vec<u8> = bytes(record);
        let set = |bytes: &[u8]| {
            for (word, bytes) in record.iter().zip(bytes.chunks_exact(8)) {
                word.store(u64::from_le_bytes(bytes.try_into().unwrap()));
            }
        };
        let mut stored = vec![0; complete.len() + 8];
        stored[8..8 + cut].copy_from_slice(&complete[8..8 + cut]);
        stored[8 + cut..16 + cut].copy_from_slice(&beyond.to_le_bytes());
        commit_word.store_low_release(last | commit::BUSY);
        set(&stored);
        let (relocation, copy) = (Relocation::new(FILLER), memory());
        relocation.copy_rest(ring, &copy);
        let left = exchange(words, &copy);
        relocation.take_over(ring, &left);
        let mut rest = bytes(record);
        rest[8 + cut..].copy_from_slice(&complete[8 + cut..]);
        rest[..8].copy_from_slice(&complete[..8]);
        set(&rest);
        commit_word.store_low_release(after);
        assert_eq!(relocation.mend(ring, &left), 0);
        assert!(bytes(record) == complete, "cut at {cut}, then {beyond:x}");
    }

    #[test]
    fn append_that_the_move_cuts_within_a_word_is_completed() {
        if !STORES_AT_BYTES {
            return; // no append stores a part of a word
        }
        // Bytes of the filler at some places, so that they are taken for it.
        let mut text = *b"a text of letters, and of what the filler has";
        for (index, byte) in text.iter_mut().enumerate().filter(|(index, _)| index % 3 == 0) {
            *byte = FILLER.to_le_bytes()[(index + 2) % 8];
        }
        for lap in 0..3 {
            let words = memory();
            let ring = Ring::create(&words, &CONFIG).unwrap();
            let cursor = Cursor::new();
            cursor.append_slow(&ring, &|| 1, &who(1), 9, &Cons(lap, Nil));
            let last = ring.segment(0)[segment_word::COMMIT].load() as u32;
            assert!(cursor.append_small(9, 2, &Cons(Bytes(&text), Cons(1_u64 << 60 | lap, Nil))));
            let len =
                (commit::offset(ring.segment(0)[segment_word::COMMIT].load() as u32) - commit::offset(last) - 1) * 8;
            for cut in 0..=len {
                for beyond in [0, !0] {
                    move_at(&ring, &words, last, cut, beyond);
                }
            }
            assert_eq!(event_count(&words), 2);
        }
    }
}

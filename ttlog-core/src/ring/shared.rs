//! The shared writer: several contexts in one segment, each nesting in any other.
//!
//! To reserve is one compare-and-swap of the segment's commit half-word. The segment is zero beforehand, and the first thing
//! that is stored into a reservation is a header that tells its length; so a reader, and a context that was interrupted, can
//! always step over what is not committed. A reservation holds its segment: it is not replaced before all are done.

use super::cursor::{Outcome, fit};
use super::layout::{Mode, SEGMENT_HEADER_WORDS, SequenceWord, commit, header_word, segment_word};
use super::{DropReason, Ring};
use crate::fields::AnyFields;
use crate::kill::kill_point;
use crate::packed::Packer;
use crate::record::{RESERVED, encode_header, len_field};
use crate::word::fence_release;

/// How often an append tries again when other contexts were quicker.
const TRIES_MAX: u32 = 64;

impl Ring<'_> {
    /// Appends an event to a shared segment. Bounded and lock-free; callable anywhere, nested anywhere.
    ///
    /// `reason` is counted if no shared segment can be had.
    pub fn append_shared(
        &self,
        ticks: u64,
        context: u32,
        callsite: u16,
        fields: &dyn AnyFields,
        reason: DropReason,
    ) -> Outcome {
        // Two words less: the context, and the count of a long payload.
        let Some((cap, payload_words)) = fit(fields, self.record_words().saturating_sub(2)) else {
            self.count_one_dropped(DropReason::TooLarge);
            return Outcome::Dropped(DropReason::TooLarge);
        };
        let (len, len_words) = len_field(1 + payload_words);
        for _ in 0..TRIES_MAX {
            let Some(index) = self.shared_segment(ticks) else {
                break;
            };
            if let Some(at) = self.reserve(index, 1 + len_words) {
                self.fill(index, at, ticks, context, callsite, len, len_words, |packer| fields.put(packer, cap));
                return Outcome::Recorded;
            }
        }
        self.count_one_dropped(reason);
        Outcome::Dropped(reason)
    }

    /// Gives the segment that takes reservations, opened if need be.
    fn shared_segment(&self, ticks: u64) -> Option<u32> {
        let current = self.header(header_word::SHARED_SEGMENT);
        let now = current.load_acquire() as u32;
        kill_point!(SharedLoaded);
        if let Some(index) = now.checked_sub(1) {
            return Some(index);
        }
        let held = self.open_segment(Mode::SharedContexts, 0, ticks)?;
        kill_point!(SharedOpened);
        match current.swap_low(0, held.index + 1) {
            Ok(()) => {
                kill_point!(SharedPublished);
                Some(held.index)
            }
            Err(other) => {
                kill_point!(SharedSurplus);
                // Another context was quicker; ours takes no reservation, so it can be replaced at once.
                self.close_shared(held.index);
                other.checked_sub(1)
            }
        }
    }

    /// Ends reservations in a segment.
    fn close_shared(&self, index: u32) {
        let word = &self.segment(index)[segment_word::COMMIT];
        let mut now = word.load() as u32;
        kill_point!(CloseLoaded);
        // Bounded: each failure is another context's reservation, and the segment is finite.
        while now & commit::CLOSED == 0 && now & commit::SHARED != 0 {
            match word.swap_low(now, now | commit::CLOSED) {
                Ok(()) => {
                    kill_point!(Closed);
                    return;
                }
                Err(changed) => now = changed,
            }
        }
    }

    /// Reserves `words` words and gives their index; `None` if the segment has no room (it is closed then) or is no longer the
    /// shared one.
    fn reserve(&self, index: u32, words: usize) -> Option<usize> {
        let commit_word = &self.segment(index)[segment_word::COMMIT];
        let mut now = commit_word.load() as u32;
        loop {
            kill_point!(ReserveLoaded);
            let open = now & (commit::SHARED | commit::CLOSED | commit::OWNED) == commit::SHARED;
            let at = commit::offset(now);
            if open && at + words <= self.record_words() {
                match commit_word.swap_low(now, now + commit::step(words, 1)) {
                    Ok(()) => {
                        kill_point!(Reserved);
                        return Some(at);
                    }
                    Err(changed) => {
                        now = changed;
                        continue;
                    }
                }
            }
            self.close_shared(index);
            // Whoever closes it makes room for the next; that somebody did already is as good.
            let _ = self.header(header_word::SHARED_SEGMENT).swap_low(index + 1, 0);
            kill_point!(ReserveForgotten);
            return None;
        }
    }

    /// Fills a reservation and commits it.
    #[allow(clippy::too_many_arguments)] // all of them are parts of one record
    fn fill(
        &self,
        index: u32,
        at: usize,
        ticks: u64,
        context: u32,
        callsite: u16,
        len: u8,
        len_words: usize,
        put: impl FnOnce(&mut Packer),
    ) {
        let segment = self.segment(index);
        // Valid as long as the reservation is not done: the segment cannot be replaced.
        let base = segment[segment_word::BASE].load();
        let lap = SequenceWord::decode(segment[segment_word::SEQUENCE].load()).map_or(0, |word| word.lap);
        let delta = ticks.wrapping_sub(base);
        let record = &segment[SEGMENT_HEADER_WORDS + at..][..1 + len_words];
        kill_point!(FillBegun);
        #[cfg(not(ttlog_mutant_commit_first))]
        record[0].store(encode_header(RESERVED, 0, len_words as u32, u64::from(lap)));
        #[cfg(ttlog_mutant_commit_first)]
        record[0].store(encode_header(callsite, len, delta as u32, u64::from(lap)));
        kill_point!(FillLength);
        fence_release(); // who sees a word of the payload sees that header
        // SAFETY: the packer stores `len_words` words, which are those of `record` after its header.
        let (end, others) = unsafe {
            let mut packer = Packer::new(record[1..].as_ptr(), u64::from(lap));
            if len == 255 {
                packer.put_word(len_words as u64);
            }
            packer.put_word(u64::from(context) | delta >> 32 << 32);
            put(&mut packer);
            packer.finish()
        };
        debug_assert_eq!(end, record.as_ptr_range().end);
        record[0].store_release(encode_header(callsite, len, delta as u32, others));
        kill_point!(FillSealed);
        segment[segment_word::CLOSE].raise(ticks);
        kill_point!(FillRaised);
        segment[segment_word::COMMIT].add_high_release(1);
        kill_point!(FillDone);
    }
}

//! Opening and leaving segments, the only operations in which contexts contend.
//!
//! A context takes the oldest segment that no context holds. That costs one atomic operation for a sequence number and
//! one to claim the segment, once per thousands of events.

use crate::memory::kill::kill_point;
use crate::memory::word::{Word, fence_release, zero};
use crate::ring::layout::{
    Mode, PRIORITY_SEQUENCE_BIT, SEGMENT_HEADER_WORDS, SequenceWord, commit, header_word, segment_crc, segment_word,
};
use crate::ring::{DropReason, Ring};

/// A segment that the caller holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held {
    pub(crate) index: u32,
    pub(crate) lap: u8,
}

/// Segments that replace one another, and their words in the ring header.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Class {
    /// Index of the first segment.
    first: u32,
    /// Number of segments, at least 1.
    count: u32,
    next_sequence: usize,
    complete_from: usize,
    pub(crate) shared_segment: usize,
    /// Number of contexts that hold an exclusive segment, or may take one.
    holders: usize,
    /// Most such contexts.
    holders_max: u32,
    /// Bit set in all sequence numbers of the class, and in none of another.
    sequence_bit: u64,
}

impl Class {
    /// Returns whether a segment belongs to this class.
    pub(crate) fn has(&self, index: u32) -> bool {
        (self.first..self.first + self.count).contains(&index)
    }
}

impl Ring<'_> {
    /// Returns the class of all events that no other class takes.
    pub(crate) fn main_class(&self) -> Class {
        let count = self.segment_count - self.priority_segment_count;
        Class {
            first: 0,
            count,
            next_sequence: header_word::NEXT_SEQUENCE,
            complete_from: header_word::COMPLETE_FROM,
            shared_segment: header_word::SHARED_SEGMENT,
            holders: header_word::OWNED_SEGMENTS,
            // Three quarters, or the only one.
            holders_max: (count - count.div_ceil(4)).max(1),
            sequence_bit: 0,
        }
    }

    /// Returns the priority class, for warnings and errors, if the ring has one.
    pub(crate) fn priority_class(&self) -> Option<Class> {
        let count = self.priority_segment_count;
        if count == 0 {
            return None;
        }
        Some(Class {
            first: self.segment_count - count,
            count,
            next_sequence: header_word::PRIORITY_NEXT_SEQUENCE,
            complete_from: header_word::PRIORITY_COMPLETE_FROM,
            shared_segment: header_word::PRIORITY_SHARED_SEGMENT,
            holders: header_word::PRIORITY_HOLDERS,
            // Half of them. At least two are for the other contexts: one that they write, and one with earlier events.
            holders_max: (count / 2).min(count.saturating_sub(2)),
            sequence_bit: PRIORITY_SEQUENCE_BIT,
        })
    }

    /// Opens the oldest segment of a class that no context holds. An exclusive segment is then owned by the caller, a
    /// shared one accepts reservations. Bounded: gives up after trying each segment once.
    pub(crate) fn open_segment(&self, class: &Class, mode: Mode, context: u32, ticks: u64) -> Option<Held> {
        for _ in 0..class.count {
            // Wrapping, because the ring's memory can become zero at any time: if its file is truncated.
            let order = self.header(class.next_sequence).add(1) & !class.sequence_bit;
            kill_point!(OpenNumbered);
            let index = class.first + (order.wrapping_sub(1) % u64::from(class.count)) as u32;
            let sequence = order | class.sequence_bit;
            let segment = self.segment(index);
            if let Some(old) = claim_for_opening(segment) {
                kill_point!(OpenClaimed);
                // A context that is suspended right after taking its number can be overtaken by a whole lap. The
                // segment it then claims is newer than the one it was to replace.
                let present = SequenceWord::decode(segment[segment_word::SEQUENCE].load());
                if present.is_some_and(|present| present.sequence > sequence) {
                    unclaim(segment, old);
                    kill_point!(OpenReturned);
                    continue;
                }
                let lap = self.replace_content(class, segment, old, sequence, mode, context, ticks);
                return Some(Held { index, lap });
            }
        }
        None
    }

    /// Turns the claimed segment into a new one. The stores are in the order of docs/format.md §2.4: after each of
    /// them, the loss of the old records is known exactly, and no reader mistakes old words for new records.
    #[allow(clippy::too_many_arguments)] // the old and the new state
    fn replace_content(
        &self,
        class: &Class,
        segment: &[Word],
        old: u32,
        sequence: u64,
        mode: Mode,
        context: u32,
        ticks: u64,
    ) -> u8 {
        let before = SequenceWord::decode(segment[segment_word::SEQUENCE].load());
        let lap = before.map_or(0, |before| before.lap.wrapping_add(1));
        let count = u64::from(commit::count(old));
        // Wrapping, because another process of the user might have written anything there.
        let lost = segment[segment_word::LOST].load().wrapping_add(count);
        if count > 0 {
            let closed = segment[segment_word::CLOSE].load();
            self.header(class.complete_from).raise(if closed == 0 { ticks } else { closed });
        }
        kill_point!(OpenRaised);
        if let Some((header, records)) = segment.split_first_chunk() {
            let of = SequenceWord { sequence, lap, mode, phase: 0 };
            refill(header, records, of, context, ticks, lost, commit::SHARED.into());
        }
        lap
    }

    /// Takes over an exclusive segment that its context left with room, so that many short-lived threads share a
    /// segment instead of using one each. Looks only at the latest few segments.
    pub(crate) fn adopt_segment(&self, class: &Class) -> Option<Held> {
        const LOOK_BACK: u64 = 8;
        let next = self.header(class.next_sequence).load() & !class.sequence_bit;
        let count = u64::from(class.count);
        let oldest = next.saturating_sub(LOOK_BACK.min(count)).max(1);
        for sequence in (oldest..next).rev() {
            let index = class.first + ((sequence - 1) % count) as u32;
            let segment = self.segment(index);
            let is_it = |word: &Word| {
                SequenceWord::decode(word.load()).filter(|now| now.mode == Mode::Exclusive && now.phase == 0)
            };
            if is_it(&segment[segment_word::SEQUENCE]).is_none() {
                continue;
            }
            let now = segment[segment_word::COMMIT].load() as u32;
            let room = self.record_words() - commit::offset(now).min(self.record_words());
            let taken = now & (commit::OWNED | commit::SHARED | commit::CLOSED) != 0;
            if taken || room < self.record_words() / 8 {
                continue;
            }
            kill_point!(AdoptFound);
            if segment[segment_word::COMMIT].swap_low(now, now | commit::OWNED).is_err() {
                continue;
            }
            kill_point!(AdoptClaimed);
            // It is owned now, so no other context replaces it; but it might have been replaced before, even by a
            // shared segment.
            if let Some(sequence_word) = is_it(&segment[segment_word::SEQUENCE]) {
                return Some(Held { index, lap: sequence_word.lap });
            }
            unclaim(segment, now);
        }
        None
    }

    /// Leaves an exclusive segment, which can then be adopted or replaced.
    pub(crate) fn leave_segment(&self, index: u32, ticks: u64) {
        let segment = self.segment(index);
        // Never lowered: the context that adopted the segment might have read the clock earlier than the one that left
        // it.
        let closed = segment[segment_word::CLOSE].load();
        segment[segment_word::CLOSE].store(ticks.max(closed).max(1));
        kill_point!(LeaveClosed);
        let now = segment[segment_word::COMMIT].load() as u32;
        segment[segment_word::COMMIT].store_low_release(now & !(commit::OWNED | commit::BUSY));
        kill_point!(LeaveFreed);
    }

    /// Counts the caller as a holder of an exclusive segment, unless that would leave too few segments to rotate.
    pub(crate) fn join_holders(&self, class: &Class) -> bool {
        let owned = self.header(class.holders);
        // Signed, because the count is negative if the memory became zero before its holders left.
        let has_place = (owned.add(1) as i64) < i64::from(class.holders_max);
        kill_point!(HolderAdded);
        if has_place {
            return true;
        }
        owned.add(1u64.wrapping_neg());
        kill_point!(HolderRefused);
        false
    }

    /// Reverses [`join_holders`](Self::join_holders).
    pub(crate) fn leave_holders(&self, class: &Class) {
        self.header(class.holders).add(1u64.wrapping_neg());
        kill_point!(HolderLeft);
    }

    pub(crate) fn count_one_dropped(&self, reason: DropReason) {
        self.count_dropped(reason, 1);
        kill_point!(Dropped);
    }
}

/// Turns the claimed segment into a new one with a loss of `lost` events. `open_commit` is its commit word if it is
/// shared.
#[inline] // a device has one caller
pub(crate) fn refill(
    segment: &[Word; SEGMENT_HEADER_WORDS],
    records: &[Word],
    of: SequenceWord,
    context: u32,
    ticks: u64,
    lost: u64,
    open_commit: u64,
) {
    let phase = |phase| SequenceWord { phase, ..of }.encode();
    #[cfg(ttlog_mutant_loss_first)]
    segment[segment_word::LOST].store_release(lost);
    segment[segment_word::SEQUENCE].store_release(phase(1));
    kill_point!(OpenPhase1);
    fence_release(); // a reader that sees any store below also sees the phase
    segment[segment_word::BASE].store_release(lost);
    kill_point!(OpenLossSaved);
    segment[segment_word::SEQUENCE].store_release(phase(2));
    kill_point!(OpenPhase2);
    segment[segment_word::LOST].store_release(lost);
    kill_point!(OpenLossStored);
    segment[segment_word::COMMIT].store_release(u64::from(commit::OWNED));
    kill_point!(OpenEmptied);
    segment[segment_word::SEQUENCE].store_release(phase(3));
    kill_point!(OpenPhase3);
    segment[segment_word::BASE].store_release(ticks);
    kill_point!(OpenBase);
    let crc = segment_crc(phase(0), ticks, context, lost);
    segment[segment_word::CONTEXT].store_release(u64::from(context) | u64::from(crc) << 32);
    kill_point!(OpenContext);
    segment[segment_word::CLOSE].store_release(0);
    kill_point!(OpenClose);
    if of.mode != Mode::Exclusive {
        // In a shared segment, a header word of 0 means: reserved, nothing stored yet.
        zero(records);
    }
    segment[segment_word::SEQUENCE].store_release(phase(0));
    kill_point!(OpenPhase0);
    if of.mode != Mode::Exclusive {
        segment[segment_word::COMMIT].store_release(open_commit);
        kill_point!(OpenShared);
    }
}

/// Claims a segment that no context holds, and returns its previous commit half-word.
fn claim_for_opening(segment: &[Word]) -> Option<u32> {
    let word = segment[segment_word::COMMIT].load_acquire();
    let (now, done) = (word as u32, (word >> 32) as u32);
    if now & commit::OWNED != 0 {
        return None;
    }
    // A shared segment can be replaced once it accepts no more reservations and none is in progress.
    let under_way = done != commit::count(now) && cfg!(not(ttlog_mutant_not_done));
    if now & commit::SHARED != 0 && (now & commit::CLOSED == 0 || under_way) {
        return None;
    }
    kill_point!(OpenFree);
    segment[segment_word::COMMIT].swap_low(now, now | commit::OWNED).ok().map(|()| now)
}

/// Releases a claimed segment, unchanged.
fn unclaim(segment: &[Word], before: u32) {
    // No other context changes an owned segment. It differs only if the memory became zero meanwhile, and then it is
    // free.
    let _ = segment[segment_word::COMMIT].swap_low(before | commit::OWNED, before);
}

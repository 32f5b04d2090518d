//! The exclusive writer: one context's place in the segment it holds. This is the hot path.
//!
//! An append closes the cursor, loads the segment's commit half-word, marks it busy, opens the cursor, stores the record's words, and
//! stores the commit half-word that takes the record in. The words are stored relaxed, the half-word releasing. No
//! read-modify-write, no lock, no system call.
//!
//! **Death** at any point leaves a commit half-word that speaks of complete records only. **Nesting** (a signal handler, an
//! allocator, a panic hook that logs while an append is under way in the same thread) finds the cursor closed or the segment
//! busy, and goes to the slow path, which turns to a shared segment. The mark alone would not do: an event that nests after the
//! half-word was read and before it is marked would be undone by the mark.

use core::cell::Cell;
use core::fmt;
use core::marker::PhantomData;
use core::sync::atomic::{Ordering, compiler_fence};

use crate::event::fields::{AnyFields, Fields};
use crate::memory::kill::kill_point;
use crate::memory::word::Word;
use crate::record::packed::Packer;
use crate::record::{
    CONTROL, ContextInfo, KIND_CONTEXT, KIND_REBASE, SHORT_PAYLOAD_WORDS, encode_header, len_field, seal_header,
};
use crate::ring::layout::{Mode, SEGMENT_HEADER_WORDS, commit, segment_word};
use crate::ring::{DropReason, Ring};

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is in the ring.
    Recorded,
    /// It was refused, and counted in the ring.
    Dropped(DropReason),
}

/// Texts and sequences are capped at so many bytes, or fewer where a record would not fit otherwise.
pub(crate) const CAP_MAX: usize = 16 * 1024;

/// Stands for the segment of a cursor that holds none: its commit half-word is busy for ever, so that the hot path needs no
/// test of its own for this case.
#[cfg(not(loom))]
static NO_SEGMENT: [Word; SEGMENT_HEADER_WORDS] = {
    const COMMIT: u64 = commit::BUSY as u64;
    [Word::new(0), Word::new(0), Word::new(0), Word::new(0), Word::new(COMMIT), Word::new(0)]
};

/// The limit of a cursor that holds no segment: no record is so short.
const NONE_BYTES: usize = 1;
/// The limit of a cursor that is closed.
const CLOSED_BYTES: usize = 0;

/// An append that a fork has interrupted, known by the commit half-word of the segment that it was about to write, or writes: it goes
/// on in the memory of the ring, whatever that is by then.
#[derive(Clone, Copy, Debug)]
pub struct UnderWay<'m>(&'m Word);

/// The commit half-word of a segment that nobody may append to any more. No append leaves one like it.
const FULL: u32 = commit::OFFSET_MASK;

impl<'m> UnderWay<'m> {
    /// Has the append find no room, if it has not looked yet, in memory that has taken the place of the ring's. `is_busy`: it had
    /// looked, and had marked the segment.
    pub fn mark(&self, is_busy: bool) {
        self.0.store_low_release(if is_busy { FULL | commit::BUSY } else { FULL });
    }

    /// Returns whether it has marked the segment and not committed its record yet.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.0.load_acquire() as u32 & commit::BUSY != 0
    }

    /// Returns whether it has committed its record. One that found no room never does; its own context knows that it is over when the
    /// cursor is not [closed](Cursor::is_closed) any more and the segment not [busy](Self::is_busy).
    #[must_use]
    pub fn has_committed(&self) -> bool {
        let now = self.0.load_acquire() as u32;
        now & commit::BUSY == 0 && now != FULL
    }

    /// Returns the word by which it is known.
    #[must_use]
    pub fn word(&self) -> &'m Word {
        self.0
    }

    /// Takes what [`word`](Self::word) gave.
    #[must_use]
    pub fn of_word(word: &'m Word) -> Self {
        UnderWay(word)
    }
}

/// One context's place in the ring `'m`. Used by that context alone, and by what interrupts it, always with the same ring.
///
/// A cursor that is dropped without [`detach`](Cursor::detach) leaves its segment owned for as long as the ring is written; its
/// events stay readable.
pub struct Cursor<'m> {
    /// First word of the segment that is held, or of `NO_SEGMENT`. Under loom null stands for none.
    segment: Cell<*const Word>,
    /// `CLOSED_BYTES` while an append is between looking at the segment and marking it, and on the slow path, so that what nests
    /// finds no room; else `room_bytes`.
    limit_bytes: Cell<usize>,
    /// Bytes for records in the segment, 8 times what `Ring::record_words` says; `NONE_BYTES` if none is held. Changes only
    /// while the cursor is closed.
    room_bytes: Cell<usize>,
    /// The segment's lap: start value of each record's check.
    lap: Cell<u64>,
    /// Index of the segment that is held.
    index: Cell<u32>,
    /// Clock reading from which deltas count: the segment's base, or that of the last rebase record.
    base: Cell<u64>,
    /// Events of this context before `count_before` was taken.
    total_before: Cell<u64>,
    /// Events that were in the segment when this context came to hold it.
    count_before: Cell<u32>,
    /// Counted among the holders of exclusive segments.
    holder: Cell<bool>,
    ring: PhantomData<&'m [Word]>,
}

impl<'m> Cursor<'m> {
    /// Makes a cursor that holds no segment; the first event gets it one.
    #[must_use]
    pub const fn new() -> Self {
        Cursor {
            #[cfg(not(loom))]
            segment: Cell::new(NO_SEGMENT.as_ptr()),
            #[cfg(loom)]
            segment: Cell::new(core::ptr::null()),
            limit_bytes: Cell::new(NONE_BYTES),
            room_bytes: Cell::new(NONE_BYTES),
            lap: Cell::new(0),
            index: Cell::new(0),
            base: Cell::new(0),
            total_before: Cell::new(0),
            count_before: Cell::new(0),
            holder: Cell::new(false),
            ring: PhantomData,
        }
    }

    fn holds_none(&self) -> bool {
        #[cfg(not(loom))]
        return core::ptr::eq(self.segment.get(), NO_SEGMENT.as_ptr());
        #[cfg(loom)]
        return self.segment.get().is_null();
    }

    /// The word at `index` of the segment that is held, or of `NO_SEGMENT`.
    ///
    /// # Safety
    /// - `index` is below `SEGMENT_HEADER_WORDS`, or below `SEGMENT_HEADER_WORDS + limit` while a segment is held.
    #[inline(always)]
    unsafe fn word(&self, index: usize) -> &'m Word {
        // SAFETY: `segment` points to the start of that many words, which live for `'m` (or for ever): see the field.
        unsafe { &*self.segment.get().add(index) }
    }

    /// Appends an event of small values if a segment is held, no append is under way, the record surely fits, and the clock is
    /// within reach of the base. Gives `false` and leaves everything as it was otherwise.
    ///
    /// Never blocks, allocates or calls the system. Callable anywhere on the cursor's own context.
    #[inline(always)]
    pub fn append_small<F: Fields>(&self, callsite: u16, ticks: u64, fields: &F) -> bool {
        let bound_bytes = const { 8 + F::WIDE_WORDS * 8 + F::SMALL_LEN_MAX.next_multiple_of(8) };
        if const { F::WIDE_WORDS + F::SMALL_LEN_MAX.div_ceil(8) > SHORT_PAYLOAD_WORDS } || !fields.are_small() {
            return false;
        }
        self.append_within(callsite, ticks, bound_bytes, |packer| {
            fields.put_wide(packer);
            fields.pack_small(packer);
        })
    }

    /// As [`append_small`](Self::append_small) for values of any length, as long as they need no cap.
    #[inline(never)]
    pub fn append_plain<F: Fields>(&self, callsite: u16, ticks: u64, fields: &F) -> bool {
        let payload_words = fields.payload_words(usize::MAX);
        payload_words <= SHORT_PAYLOAD_WORDS
            && self.append_within(callsite, ticks, 8 + payload_words * 8, |packer| fields.put(packer, usize::MAX))
    }

    /// Appends a record of at most `bound_bytes`, header included, whose payload is what `put` stores.
    #[inline(always)]
    fn append_within(&self, callsite: u16, ticks: u64, bound_bytes: usize, put: impl Fn(&mut Packer)) -> bool {
        #[cfg(loom)]
        if self.holds_none() {
            return false;
        }
        #[cfg(not(ttlog_mutant_open))]
        let limit = self.limit_bytes.replace(CLOSED_BYTES);
        #[cfg(ttlog_mutant_open)]
        let limit = self.limit_bytes.get();
        // What nests runs on this very core: the compiler alone could read before the cursor is closed.
        compiler_fence(Ordering::SeqCst);
        kill_point!(HotClosed);
        let segment = self.segment.get();
        // SAFETY: a word of the header of the segment that is held, or of `NO_SEGMENT`.
        let commit_word = unsafe { &*segment.add(segment_word::COMMIT) };
        let now = commit_word.load() as u32;
        // Busy counts as an offset beyond any limit.
        let used = (now & (commit::BUSY | commit::OFFSET_MASK)) as usize;
        let delta = ticks.wrapping_sub(self.base.get());
        if used * 8 + bound_bytes > limit || delta > u64::from(u32::MAX) {
            self.open_again(limit);
            return false;
        }
        kill_point!(HotLoaded);
        // Releasing, for a reader that sees this mark has to see the records that the same half-word speaks of.
        commit_word.store_low_release(now + commit::BUSY);
        compiler_fence(Ordering::SeqCst);
        self.limit_bytes.set(limit);
        kill_point!(HotMarked);
        // SAFETY: used * 8 + bound_bytes <= limit, which is the room in the segment that is held (a cursor that came to hold none
        // since `limit` was read has the busy `NO_SEGMENT`), so the header word and what `bound_bytes` covers after it are in the
        // segment that is held; and it covers what `put` stores, as the sealed `Native` impls promise.
        unsafe {
            let header = segment.add(SEGMENT_HEADER_WORDS + used);
            #[cfg(ttlog_mutant_commit_first)]
            commit_word.store_low_release(now + commit::step(bound_bytes / 8, 1));
            let mut packer = Packer::new(header.add(1), self.lap.get());
            put(&mut packer);
            let (end, others) = packer.finish();
            let words = end.offset_from(header) as usize;
            (*header).store(seal_header(u64::from(callsite), words as u64 - 1, delta, others));
            kill_point!(HotSealed);
            commit_word.store_low_release(now + commit::step(words, 1));
        }
        kill_point!(HotCommitted);
        true
    }

    /// Opens the cursor after an append that found no room. `limit` is what it found before it closed the cursor: if that was
    /// closed already, this append is nested in the one that will open it.
    #[cold]
    fn open_again(&self, limit: usize) {
        if limit != CLOSED_BYTES {
            self.open();
        }
    }

    /// Returns whether an append is under way, in which the caller nests.
    fn is_in_use(&self) -> bool {
        // SAFETY: a word of the header.
        self.limit_bytes.get() == CLOSED_BYTES
            || !self.holds_none() && unsafe { self.word(segment_word::COMMIT) }.load() as u32 & commit::BUSY != 0
    }

    /// Keeps the hands of whatever nests from here on off the segment.
    fn close(&self) {
        self.limit_bytes.set(CLOSED_BYTES);
        compiler_fence(Ordering::SeqCst);
    }

    fn open(&self) {
        compiler_fence(Ordering::SeqCst);
        self.limit_bytes.set(self.room_bytes.get());
    }

    /// Appends an event whatever it takes: getting a segment, a rebase, capping texts, or turning to a shared segment.
    ///
    /// `clock` reads the recording clock. `who` is told once per segment. Bounded and lock-free; does not allocate or call the
    /// system. Callable anywhere on the cursor's own context, also while another append on it is under way.
    #[cold]
    #[inline(never)]
    pub fn append_slow(
        &self,
        ring: &Ring<'m>,
        clock: &dyn Fn() -> u64,
        who: &ContextInfo<'_>,
        callsite: u16,
        fields: &dyn AnyFields,
    ) -> Outcome {
        if self.is_in_use() {
            return ring.append_shared(clock(), who.context, callsite, fields, DropReason::Reentrant);
        }
        self.close();
        kill_point!(SlowClosed);
        let outcome = self.append_moving(ring, clock(), who, callsite, fields);
        self.open();
        kill_point!(SlowOpened);
        outcome.unwrap_or_else(|| ring.append_shared(clock(), who.context, callsite, fields, DropReason::NoSegment))
    }

    /// `None`: there is no segment to hold, or it is not this context's alone any more.
    fn append_moving(
        &self,
        ring: &Ring<'m>,
        ticks: u64,
        who: &ContextInfo<'_>,
        callsite: u16,
        fields: &dyn AnyFields,
    ) -> Option<Outcome> {
        let context_words = 1 + who.payload_words();
        let rebase_words = 2;
        // What an empty segment surely holds.
        let most = ring.record_words().saturating_sub(context_words.min(ring.record_words() / 4) + rebase_words);
        let Some((cap, payload_words)) = fit(fields, most) else {
            ring.count_one_dropped(DropReason::TooLarge);
            return Some(Outcome::Dropped(DropReason::TooLarge));
        };
        let (len, len_words) = len_field(payload_words);
        let needed = 1 + len_words + rebase_words;
        if self.holds_none() || self.offset() + needed > self.limit_words() {
            self.leave(ring, ticks);
            if !self.enter(ring, ticks, who, context_words, needed) {
                return None;
            }
        }
        if ticks.wrapping_sub(self.base.get()) > u64::from(u32::MAX) {
            if !self.put_control(KIND_REBASE, 1, |packer| packer.put_word(ticks)) {
                return None;
            }
            self.base.set(ticks);
        }
        let delta = ticks.wrapping_sub(self.base.get()) as u32;
        let has_put = self.put(callsite, len, delta, 1, 1 + len_words, |packer| {
            if len_words > payload_words {
                packer.put_word(len_words as u64);
            }
            fields.put(packer, cap);
        });
        has_put.then_some(Outcome::Recorded)
    }

    fn limit_words(&self) -> usize {
        self.room_bytes.get() / 8
    }

    fn offset(&self) -> usize {
        // SAFETY: a word of the header.
        commit::offset(unsafe { self.word(segment_word::COMMIT) }.load() as u32)
    }

    /// Gets hold of a segment with room for `needed` words, adopted if the context has had none yet, else opened.
    fn enter(&self, ring: &Ring<'m>, ticks: u64, who: &ContextInfo<'_>, context_words: usize, needed: usize) -> bool {
        if !self.holder.get() {
            if !ring.join_holders() {
                return false;
            }
            self.holder.set(true);
            if let Some(held) = ring.adopt_segment() {
                self.hold(ring, held, None);
                if self.offset() + context_words + 2 + needed <= self.limit_words() {
                    // The base of records before is not known here, so a new one is told.
                    let has_put =
                        self.put_who(who) && self.put_control(KIND_REBASE, 1, |packer| packer.put_word(ticks));
                    self.base.set(ticks);
                    return has_put;
                }
                ring.leave_segment(held.index, ticks);
                self.hold_none();
                kill_point!(LeaveForgotten);
            }
        }
        let Some(held) = ring.open_segment(&ring.main_class(), Mode::Exclusive, who.context, ticks) else {
            self.holder.set(false);
            ring.leave_holders();
            return false;
        };
        self.hold(ring, held, Some(ticks));
        context_words > ring.record_words() / 4 || self.put_who(who)
    }

    fn put_who(&self, who: &ContextInfo<'_>) -> bool {
        let who = ContextInfo { next_index: self.total_before.get(), ..*who };
        self.put_control(KIND_CONTEXT, who.payload_words(), |packer| who.pack(packer))
    }

    fn hold(&self, ring: &Ring<'m>, held: crate::ring::write::segment::Held, base: Option<u64>) {
        let words = ring.segment(held.index);
        self.index.set(held.index);
        self.lap.set(u64::from(held.lap));
        self.base.set(base.unwrap_or(0));
        self.room_bytes.set(ring.record_words() * 8);
        self.segment.set(words.as_ptr());
        kill_point!(HoldPrepared);
        self.count_before.set(commit::count(words[segment_word::COMMIT].load() as u32));
        kill_point!(Held);
    }

    fn hold_none(&self) {
        #[cfg(not(loom))]
        self.segment.set(NO_SEGMENT.as_ptr());
        #[cfg(loom)]
        self.segment.set(core::ptr::null());
        self.room_bytes.set(NONE_BYTES);
    }

    /// Leaves the segment, if one is held. The cursor is closed.
    fn leave(&self, ring: &Ring<'m>, ticks: u64) {
        if self.holds_none() {
            return;
        }
        // SAFETY: a word of the header.
        let count = commit::count(unsafe { self.word(segment_word::COMMIT) }.load() as u32);
        self.total_before.set(self.total_before.get() + u64::from(count - self.count_before.get().min(count)));
        kill_point!(LeaveCounted);
        self.hold_none();
        kill_point!(LeaveForgotten);
        ring.leave_segment(self.index.get(), ticks);
    }

    /// Leaves the ring for good: what the end of a thread calls. Events that come later all the same go the slow way and get a
    /// segment again.
    pub fn detach(&self, ring: &Ring<'m>, ticks: u64) {
        if self.is_in_use() {
            return; // an append was cut off by whatever ends this context; its segment is never touched again
        }
        self.close();
        self.leave(ring, ticks);
        if self.holder.replace(false) {
            ring.leave_holders();
        }
        self.open();
    }

    /// Forgets the segment and all that was counted, because other memory has taken the place of the ring's: what a process that
    /// was forked calls, for its only context. Not while `append_slow` or `detach` are under way.
    ///
    /// An append on the fast path that this call has interrupted finds no segment or ends as if nothing were, in the memory that
    /// is there now; see [`under_way`](Self::under_way).
    pub fn forget(&self) {
        self.hold_none();
        self.holder.set(false);
        self.total_before.set(0);
        self.count_before.set(0);
        if !self.is_closed() {
            self.open();
        }
    }

    /// Returns whether an append keeps what nests off the segment: it has not marked it yet, or is on the slow path.
    pub fn is_closed(&self) -> bool {
        self.limit_bytes.get() == CLOSED_BYTES
    }

    /// Tells of the append that the caller has interrupted in this very context, if any, and if it may write to a segment.
    pub fn under_way(&self) -> Option<UnderWay<'m>> {
        let is_it = self.is_in_use() && !self.holds_none();
        // SAFETY: a word of the header.
        is_it.then(|| UnderWay(unsafe { self.word(segment_word::COMMIT) }))
    }

    fn put_control(&self, kind: u32, payload_words: usize, put: impl FnOnce(&mut Packer)) -> bool {
        self.put(CONTROL, payload_words as u8, kind, 0, 1 + payload_words, put)
    }

    /// Stores a record of `words` words, for which the caller has made room, and commits it.
    ///
    /// `false`: the room is gone. That cannot be, unless the segment became zero under the hands of its holder and another
    /// context took it: the ring's file was cut short.
    fn put(
        &self,
        callsite: u16,
        len: u8,
        delta: u32,
        events: u32,
        words: usize,
        put: impl FnOnce(&mut Packer),
    ) -> bool {
        // SAFETY: a word of the header.
        let commit_word = unsafe { self.word(segment_word::COMMIT) };
        let now = commit_word.load() as u32 & !commit::BUSY;
        let used = commit::offset(now);
        if used + words > self.limit_words() {
            return false;
        }
        commit_word.store_low_release(now | commit::BUSY);
        kill_point!(PutMarked);
        #[cfg(ttlog_mutant_commit_first)]
        commit_word.store_low_release(now + commit::step(words, events));
        // SAFETY: used + words <= limit, tested above, and `put` stores `words - 1` words: the callers have counted them.
        unsafe {
            let header = self.segment.get().add(SEGMENT_HEADER_WORDS + used);
            let mut packer = Packer::new(header.add(1), self.lap.get());
            put(&mut packer);
            let (end, others) = packer.finish();
            debug_assert_eq!(end.offset_from(header) as usize, words);
            (*header).store(encode_header(callsite, len, delta, others));
        }
        kill_point!(PutSealed);
        commit_word.store_low_release(now + commit::step(words, events));
        kill_point!(events == 0 => ControlCommitted, else PutCommitted);
        true
    }
}

/// Returns the cap under which the payload has at most `most` words with its count, and its words then.
pub(crate) fn fit(fields: &dyn AnyFields, most: usize) -> Option<(usize, usize)> {
    let mut cap = CAP_MAX.min(most * 8);
    loop {
        let words = fields.payload_words(cap);
        if len_field(words).1 < most {
            return Some((cap, words));
        }
        if cap == 0 {
            return None;
        }
        cap /= 2;
    }
}

impl Default for Cursor<'_> {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Cursor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Cursor");
        if self.holds_none() {
            out.field("segment", &None::<u32>);
        } else {
            out.field("segment", &Some(self.index.get())).field("offset_words", &self.offset());
        }
        out.finish_non_exhaustive()
    }
}

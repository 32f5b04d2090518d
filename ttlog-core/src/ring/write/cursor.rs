//! Exclusive writer: one context's position in the segment it holds. This is the hot path.
//!
//! An append closes the cursor, loads the segment's commit half-word, marks it busy, opens the cursor, stores the
//! record's words, and stores the commit half-word that includes the record. The words are stored relaxed, the
//! half-word with release. No read-modify-write, no lock, no system call.
//!
//! **Death** at any point leaves a commit half-word that covers only complete records. **Nesting** (a signal handler,
//! an allocator or a panic hook that logs while an append is in progress in the same thread) finds the cursor closed or
//! the segment busy, and takes the slow path, which uses a shared segment. The mark alone would not suffice: if an
//! event nested after the half-word was read and before it is marked, the mark would undo it.

use core::cell::Cell;
use core::fmt;
use core::marker::PhantomData;
use core::sync::atomic::{Ordering, compiler_fence};

use crate::event::fields::{AnyFields, Fields};
use crate::memory::kill::kill_point;
use crate::memory::word::{Word, settled, settled_address};
use crate::record::packed::{LOOSE_LEN, Packer};
use crate::record::{
    CONTEXT_NAME_MAX, CONTROL, ContextInfo, KIND_CONTEXT, KIND_REBASE, SHORT_PAYLOAD_WORDS, encode_header, seal_header,
};
use crate::ring::layout::{Mode, SEGMENT_HEADER_WORDS, commit, segment_word};
use crate::ring::write::identify::Identify;
use crate::ring::write::segment::{Class, Held};
use crate::ring::write::size::RecordSize;
use crate::ring::{DropReason, Ring};

/// Result of appending an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendOutcome {
    /// The event is in the ring.
    Recorded,
    /// The event was refused, and counted in the ring.
    Dropped(DropReason),
}

/// Placeholder segment of a cursor that holds none. Its commit half-word is always busy, so the hot path needs no
/// separate test for this case.
#[cfg(not(loom))]
static NO_SEGMENT: [Word; SEGMENT_HEADER_WORDS] = {
    const COMMIT: u64 = commit::BUSY as u64;
    [Word::new(0), Word::new(0), Word::new(0), Word::new(0), Word::new(COMMIT), Word::new(0)]
};

/// Limit of a cursor that holds no segment; every record is longer.
const NONE_BYTES: usize = 1;
/// Limit of a closed cursor.
const CLOSED_BYTES: usize = 0;

/// An append interrupted by `fork`, identified by the commit half-word of the segment that it was writing or about to
/// write. It continues in the memory of the ring, whatever that is by then.
#[derive(Clone, Copy, Debug)]
pub struct UnderWay<'m>(&'m Word);

/// Commit half-word of a segment that is closed for appends. No append leaves this value.
const FULL: u32 = commit::OFFSET_MASK;

impl<'m> UnderWay<'m> {
    /// Marks the segment as full, in memory that has replaced the ring's, so that an append that has not checked for
    /// room finds none. `is_busy` is whether the append had already checked and marked the segment.
    pub fn mark(&self, is_busy: bool) {
        self.0.store_low_release(if is_busy { FULL | commit::BUSY } else { FULL });
    }

    /// Returns whether the append has marked the segment and not yet committed its record.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.0.load_acquire() as u32 & commit::BUSY != 0
    }

    /// Returns whether the append has committed its record. An append that found no room never does; for its own
    /// context, it is over when the cursor is no longer [closed](Cursor::is_closed) and the segment no longer
    /// [busy](Self::is_busy).
    #[must_use]
    pub fn has_committed(&self) -> bool {
        let now = self.0.load_acquire() as u32;
        now & commit::BUSY == 0 && now != FULL
    }

    /// Returns the word that identifies the append.
    #[must_use]
    pub fn word(&self) -> &'m Word {
        self.0
    }

    /// Creates the value from a [`word`](Self::word).
    #[must_use]
    pub fn of_word(word: &'m Word) -> Self {
        UnderWay(word)
    }
}

/// Payload that the hot path stores. (A trait, because a closure is not certain to be inlined.)
trait Payload {
    /// Whether it takes a loose packer.
    const IS_LOOSE: bool = false;

    /// Stores the payload. Returns the number of its words, and the exclusive or of them and the packer's start value.
    fn put(&self, packer: Packer) -> (usize, u64);
}

/// Returns whether small values can have tails, which are stored with words behind them.
const fn has_tails<F: Fields>() -> bool {
    F::SMALL_LEN_MAX != F::HEAD_LEN || F::CONTENT_LEN_MAX > 0
}

struct SmallPayload<'f, F>(&'f F);

impl<F: Fields> Payload for SmallPayload<'_, F> {
    const IS_LOOSE: bool = has_tails::<F>();

    #[inline(always)]
    fn put(&self, mut packer: Packer) -> (usize, u64) {
        self.0.put_small(&mut packer);
        if const { Self::IS_LOOSE } { packer.finish_loose() } else { packer.finish() }
    }
}

struct PlainPayload<'f, F>(&'f F);

impl<F: AnyFields> Payload for PlainPayload<'_, F> {
    #[inline(always)]
    fn put(&self, mut packer: Packer) -> (usize, u64) {
        self.0.put(&mut packer, usize::MAX);
        packer.finish()
    }
}

struct Words<'p>(&'p [u64]);

impl Payload for Words<'_> {
    #[inline(always)]
    fn put(&self, mut packer: Packer) -> (usize, u64) {
        for word in self.0 {
            packer.put_word(*word);
        }
        packer.finish()
    }
}

/// One context's position in the ring `'m`. Used only by that context and by code that interrupts it, always with the
/// same ring.
///
/// If a cursor is dropped without [`detach`](Cursor::detach), its segment stays owned for as long as the ring is
/// written; its events stay readable.
pub struct Cursor<'m> {
    /// First word of the held segment, or of `NO_SEGMENT`. Under loom, null means none.
    segment: Cell<*const Word>,
    /// `CLOSED_BYTES` while an append is between checking the segment and marking it, and on the slow path, so that
    /// nested appends find no room; `NONE_BYTES` if the next append is to take the slow path; otherwise `room_bytes`.
    limit_bytes: Cell<usize>,
    /// Bytes for records in the segment, 8 times `Ring::record_words`; `NONE_BYTES` if none is held. Changes only while
    /// the cursor is closed.
    room_bytes: Cell<usize>,
    /// Lap of the segment: start value of each record's checksum.
    lap: Cell<u64>,
    /// Index of the held segment.
    index: Cell<u32>,
    /// Clock reading from which deltas count: the segment's base, or that of the last rebase record.
    base: Cell<u64>,
    /// Number of this context's events before `count_before` was taken.
    total_before: Cell<u64>,
    /// Number of events in the segment when this context began to hold it.
    count_before: Cell<u32>,
    /// Whether the context is counted as a holder of an exclusive segment.
    holder: Cell<bool>,
    /// Whether the segments are those of the priority class.
    is_priority: bool,
    ring: PhantomData<&'m [Word]>,
}

impl<'m> Cursor<'m> {
    /// Creates a cursor that holds no segment; the first event acquires one.
    #[must_use]
    pub const fn new() -> Self {
        Self::of_class(false)
    }

    /// Creates a cursor for segments of the priority class, or for those of the main class.
    pub(crate) const fn of_class(is_priority: bool) -> Self {
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
            is_priority,
            ring: PhantomData,
        }
    }

    pub(crate) fn holds_none(&self) -> bool {
        #[cfg(not(loom))]
        return core::ptr::eq(self.segment.get(), NO_SEGMENT.as_ptr());
        #[cfg(loom)]
        return self.segment.get().is_null();
    }

    /// Returns the word at `index` of the held segment, or of `NO_SEGMENT`.
    ///
    /// # Safety
    /// - `index` is below `SEGMENT_HEADER_WORDS`, or below `SEGMENT_HEADER_WORDS + limit` while a segment is held.
    #[inline(always)]
    unsafe fn word(&self, index: usize) -> &'m Word {
        // SAFETY: `segment` points to the start of that many words, which live for `'m` (or forever): see the field.
        unsafe { &*self.segment.get().add(index) }
    }

    /// Appends an event of small values if a segment is held, no append is in progress, the record certainly fits, and
    /// the clock is within reach of the base. Otherwise returns `false` and changes nothing.
    ///
    /// Never blocks, allocates or makes a system call. Callable anywhere in the cursor's own context.
    #[inline(always)]
    pub fn append_small<F: Fields>(&self, callsite: u16, ticks: u64, fields: &F) -> bool {
        let loose_len = const { if has_tails::<F>() { LOOSE_LEN } else { 0 } };
        let longest = const { F::WIDE_WORDS * 8 + F::SMALL_LEN_MAX };
        if !fields.are_small() {
            return false;
        }
        let content_len = fields.content_len();
        if longest + const { F::CONTENT_LEN_MAX } > SHORT_PAYLOAD_WORDS * 8
            && longest + content_len > SHORT_PAYLOAD_WORDS * 8
        {
            return false;
        }
        let bound_bytes = 8 + longest.next_multiple_of(8) + content_len + loose_len;
        self.append_within(callsite, ticks, bound_bytes, &SmallPayload(fields))
    }

    /// Like [`append_small`](Self::append_small), for values of any length that need no truncation.
    #[inline(never)]
    pub fn append_plain<F: AnyFields>(&self, callsite: u16, ticks: u64, fields: &F) -> bool {
        let payload_words = fields.payload_words(usize::MAX);
        payload_words <= SHORT_PAYLOAD_WORDS
            && self.append_within(callsite, ticks, 8 + payload_words * 8, &PlainPayload(fields))
    }

    /// Like [`append_plain`](Self::append_plain), for a payload that is there already.
    #[inline(never)]
    pub fn append_words(&self, callsite: u16, ticks: u64, payload: &[u64]) -> bool {
        payload.len() <= SHORT_PAYLOAD_WORDS
            && self.append_within(callsite, ticks, 8 + payload.len() * 8, &Words(payload))
    }

    /// Appends a record whose payload stores at most `bound_bytes`, header included.
    #[inline(always)]
    fn append_within<P: Payload>(&self, callsite: u16, ticks: u64, bound_bytes: usize, payload: &P) -> bool {
        #[cfg(loom)]
        if self.holds_none() {
            return false;
        }
        #[cfg(not(ttlog_mutant_open))]
        let limit = self.limit_bytes.replace(CLOSED_BYTES);
        #[cfg(ttlog_mutant_open)]
        let limit = self.limit_bytes.get();
        // Nested code runs on this core, so only the compiler could move the read before the cursor is closed.
        compiler_fence(Ordering::SeqCst);
        kill_point!(HotClosed);
        let segment = self.segment.get();
        // SAFETY: a word of the header of the held segment, or of `NO_SEGMENT`.
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
        // Release, because a reader that sees this mark must see the records that the same half-word covers.
        commit_word.store_low_release(now + commit::BUSY);
        compiler_fence(Ordering::SeqCst);
        self.limit_bytes.set(limit);
        kill_point!(HotMarked);
        // SAFETY: used * 8 + bound_bytes <= limit, which is the room in the held segment (a cursor that has lost its
        // segment since `limit` was read has the busy `NO_SEGMENT`). So the header word and the words after it covered
        // by `bound_bytes` are in the held segment, and `bound_bytes` covers everything that `payload` stores, as the
        // sealed `Native` impls promise.
        unsafe {
            let header = segment.add(SEGMENT_HEADER_WORDS + used);
            // With its address at hand, and not that of the segment and an offset, there are fewer numbers to keep.
            let (header, delta_and_callsite) = if const { P::IS_LOOSE } {
                (settled_address(header), settled(u64::from(callsite) | delta << 24))
            } else {
                (header, u64::from(callsite) | delta << 24)
            };
            #[cfg(ttlog_mutant_commit_first)]
            commit_word.store_low_release(now + commit::step(bound_bytes / 8, 1));
            let lap = self.lap.get();
            let packer =
                if const { P::IS_LOOSE } { Packer::loose_behind(header, lap) } else { Packer::new(header.add(1), lap) };
            let (words, others) = payload.put(packer);
            (*header).store(seal_header(delta_and_callsite, words as u64, others));
            kill_point!(HotSealed);
            commit_word.store_low_release(now + commit::step(1 + words, 1));
        }
        kill_point!(HotCommitted);
        true
    }

    /// Opens the cursor after an append that found no room. `limit` is the limit from before it closed the cursor: if
    /// the cursor was already closed, this append is nested in the one that will open it.
    #[cold]
    fn open_again(&self, limit: usize) {
        if limit != CLOSED_BYTES {
            compiler_fence(Ordering::SeqCst);
            // Less if the segment was forgotten meanwhile.
            self.limit_bytes.set(limit.min(self.room_bytes.get()));
        }
    }

    /// Makes the next append take the slow path.
    pub(crate) fn take_slow_path(&self) {
        if !self.is_closed() {
            self.limit_bytes.set(NONE_BYTES);
        }
    }

    /// Returns whether an append is in progress, in which the caller is nested.
    fn is_in_use(&self) -> bool {
        // SAFETY: a word of the header.
        self.limit_bytes.get() == CLOSED_BYTES
            || !self.holds_none() && unsafe { self.word(segment_word::COMMIT) }.load() as u32 & commit::BUSY != 0
    }

    /// Keeps nested appends away from the segment from here on.
    fn close(&self) {
        self.limit_bytes.set(CLOSED_BYTES);
        compiler_fence(Ordering::SeqCst);
    }

    fn open(&self) {
        compiler_fence(Ordering::SeqCst);
        self.limit_bytes.set(self.room_bytes.get());
    }

    /// Appends an event with all means: acquiring a segment, a rebase, truncating texts, or using a shared segment.
    ///
    /// `clock` reads the recording clock. `who` is recorded once per segment, and asked for its present name then.
    /// Bounded and lock-free; does not allocate or make a system call, unless `who` does. Callable anywhere in the
    /// cursor's own context, even while another append on it is in progress.
    #[cold]
    #[inline(never)]
    pub fn append_slow(
        &self,
        ring: &Ring<'m>,
        clock: &dyn Fn() -> u64,
        who: &dyn Identify,
        callsite: u16,
        fields: &dyn AnyFields,
    ) -> AppendOutcome {
        self.append_alone(ring, clock, who, callsite, fields)
            .unwrap_or_else(|reason| ring.append_shared(clock(), who.context(), callsite, fields, reason))
    }

    /// Like [`append_slow`](Self::append_slow), but returns an error if the event cannot be in a segment of this
    /// context: the reason to drop it if no shared segment takes it either.
    pub(crate) fn append_alone(
        &self,
        ring: &Ring<'m>,
        clock: &dyn Fn() -> u64,
        who: &dyn Identify,
        callsite: u16,
        fields: &dyn AnyFields,
    ) -> Result<AppendOutcome, DropReason> {
        if self.is_in_use() {
            return Err(DropReason::Reentrant);
        }
        self.close();
        kill_point!(SlowClosed);
        let outcome = self.append_moving(ring, clock(), who, callsite, fields);
        self.open();
        kill_point!(SlowOpened);
        outcome.ok_or(DropReason::NoSegment)
    }

    /// Records the identity of a context that has appended elsewhere, in a segment of its own, unless it holds one. Its
    /// earlier events get their name from there.
    ///
    /// Bounded and lock-free, as [`append_slow`](Self::append_slow).
    pub fn introduce(&self, ring: &Ring<'m>, clock: &dyn Fn() -> u64, who: &dyn Identify) {
        if self.is_in_use() || !self.holds_none() {
            return;
        }
        self.close();
        let mut room = [0; CONTEXT_NAME_MAX];
        // Without a segment, the next event that finds one records the identity.
        let _ = self.enter(ring, clock(), &who.known(&mut room), 0);
        self.open();
    }

    /// Records the identity of the context, as it is known, in the segment that it holds, if that has room for it.
    /// Returns `false` if an append is in progress.
    pub(crate) fn introduce_again(&self, who: &dyn Identify) -> bool {
        if self.is_in_use() {
            return false;
        }
        if !self.holds_none() {
            self.close();
            let mut room = [0; CONTEXT_NAME_MAX];
            // Without room, the next segment has it.
            let _ = self.put_who(&who.known(&mut room));
            self.open();
        }
        true
    }

    /// Appends with the cursor closed. Returns `None` if there is no segment to hold, or it no longer belongs to this
    /// context alone.
    fn append_moving(
        &self,
        ring: &Ring<'m>,
        ticks: u64,
        who: &dyn Identify,
        callsite: u16,
        fields: &dyn AnyFields,
    ) -> Option<AppendOutcome> {
        let too_large = || {
            ring.count_one_dropped(DropReason::TooLarge);
            Some(AppendOutcome::Dropped(DropReason::TooLarge))
        };
        let mut room = [0; CONTEXT_NAME_MAX];
        let known = who.known(&mut room);
        let Some(mut event) = RecordSize::new(ring, &known, fields) else { return too_large() };
        if self.holds_none() || self.offset() + event.needed_words() > self.limit_words() {
            let mut room = [0; CONTEXT_NAME_MAX];
            let renewed = who.renewed(&mut room);
            if renewed.payload_words() != known.payload_words() {
                let Some(resized) = RecordSize::new(ring, &renewed, fields) else { return too_large() };
                event = resized;
            }
            self.leave(ring, ticks);
            if !self.enter(ring, ticks, &renewed, event.needed_words()) {
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
        let RecordSize { cap, payload_words, len, len_words } = event;
        let has_put = self.put(callsite, len, delta, 1, 1 + len_words, |packer| {
            if len_words > payload_words {
                packer.put_word(len_words as u64);
            }
            fields.put(packer, cap);
        });
        has_put.then_some(AppendOutcome::Recorded)
    }

    fn limit_words(&self) -> usize {
        self.room_bytes.get() / 8
    }

    fn offset(&self) -> usize {
        // SAFETY: a word of the header.
        commit::offset(unsafe { self.word(segment_word::COMMIT) }.load() as u32)
    }

    /// Acquires a segment with room for `needed` words: adopts one if the context has had none yet, otherwise opens
    /// one.
    fn enter(&self, ring: &Ring<'m>, ticks: u64, who: &ContextInfo<'_>, needed: usize) -> bool {
        let context_words = 1 + who.payload_words();
        let Some(class) = self.class(ring) else { return false };
        if !self.holder.get() {
            if !ring.join_holders(&class) {
                return false;
            }
            self.holder.set(true);
            if let Some(held) = ring.adopt_segment(&class) {
                self.hold(ring, held, None);
                if self.offset() + context_words + 2 + needed <= self.limit_words() {
                    // The base of the earlier records is unknown here, so a new one is recorded.
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
        let Some(held) = ring.open_segment(&class, Mode::Exclusive, who.context, ticks) else {
            self.holder.set(false);
            ring.leave_holders(&class);
            return false;
        };
        self.hold(ring, held, Some(ticks));
        context_words > ring.record_words() / 4 || self.put_who(who)
    }

    /// Returns the class of the segments; `None` if the ring has no such class.
    fn class(&self, ring: &Ring<'m>) -> Option<Class> {
        if self.is_priority { ring.priority_class() } else { Some(ring.main_class()) }
    }

    fn put_who(&self, who: &ContextInfo<'_>) -> bool {
        let who = ContextInfo { next_index: self.total_before.get(), ..*who };
        self.put_control(KIND_CONTEXT, who.payload_words(), |packer| who.pack(packer))
    }

    fn hold(&self, ring: &Ring<'m>, held: Held, base: Option<u64>) {
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

    /// Leaves the segment, if one is held. The cursor must be closed.
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

    /// Leaves the ring permanently, at the end of a thread. Later events still work: they take the slow path and
    /// acquire a segment again.
    pub fn detach(&self, ring: &Ring<'m>, ticks: u64) {
        if self.is_in_use() {
            return; // the end of this context interrupted an append; its segment is never touched again
        }
        self.close();
        self.leave(ring, ticks);
        if let Some(class) = self.class(ring).filter(|_| self.holder.replace(false)) {
            ring.leave_holders(&class);
        }
        self.open();
    }

    /// Forgets the segment and all counts, because other memory has replaced the ring's. A forked process calls this
    /// for its only context. Must not be called while `append_slow` or `detach` is in progress.
    ///
    /// An append on the fast path that this call has interrupted finds no segment, or finishes normally in the new
    /// memory; see [`under_way`](Self::under_way).
    pub fn forget(&self) {
        self.hold_none();
        self.holder.set(false);
        self.total_before.set(0);
        self.count_before.set(0);
        if !self.is_closed() {
            self.open();
        }
    }

    /// Returns whether an append keeps nested appends away from the segment: it has not yet marked it, or is on the
    /// slow path.
    pub fn is_closed(&self) -> bool {
        self.limit_bytes.get() == CLOSED_BYTES
    }

    /// Returns the sequence word of the held segment, which no other opening of a segment has; 0: none is held.
    pub(crate) fn sequence_word(&self) -> u64 {
        if self.holds_none() {
            return 0;
        }
        // SAFETY: a word of the header.
        unsafe { self.word(segment_word::SEQUENCE) }.load()
    }

    /// Returns the append that the caller has interrupted in this context, if there is one and it might write to a
    /// segment.
    pub fn under_way(&self) -> Option<UnderWay<'m>> {
        let is_it = self.is_in_use() && !self.holds_none();
        // SAFETY: a word of the header.
        is_it.then(|| UnderWay(unsafe { self.word(segment_word::COMMIT) }))
    }

    fn put_control(&self, kind: u32, payload_words: usize, put: impl FnOnce(&mut Packer)) -> bool {
        self.put(CONTROL, payload_words as u8, kind, 0, 1 + payload_words, put)
    }

    /// Stores a record of `words` words and commits it.
    ///
    /// Returns `false` if there is none. After the caller has made room that happens only if the ring's file was
    /// truncated, so that the segment became zero while it was held, and another context took it.
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
        // SAFETY: used + words <= limit, tested above, and `put` stores `words - 1` words: the callers have counted
        // them.
        unsafe {
            let header = self.segment.get().add(SEGMENT_HEADER_WORDS + used);
            let mut packer = Packer::new(header.add(1), self.lap.get());
            put(&mut packer);
            let (payload_words, others) = packer.finish();
            debug_assert_eq!(1 + payload_words, words);
            (*header).store(encode_header(callsite, len, delta, others));
        }
        kill_point!(PutSealed);
        commit_word.store_low_release(now + commit::step(words, events));
        kill_point!(events == 0 => ControlCommitted, else PutCommitted);
        true
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

//! Writer of devices: contexts of any priority, on one or more cores, share one segment.
//!
//! Threads, interrupts, fault handlers and other cores all reserve in the same segment, by one compare-and-swap of its
//! commit half-word. Then each stores its words and publishes them. Nothing is counted when a record is complete: a
//! segment is replaced only after a scan of all its records, which is cheaper than an atomic operation per event. So an
//! event costs one atomic operation, or a few instructions with interrupts masked on targets without compare-and-swap.
//!
//! A reservation is zero at first (the segment was zeroed when it was opened). Then its length is stored, then its
//! words, and last its callsite. A writer that is interrupted, or cut off by a reset, at any instruction leaves a state
//! that readers can skip.
//!
//! # Format
//! docs/format.md §2.6.

use core::cell::UnsafeCell;
use core::fmt;
use core::ptr;

#[cfg(loom)]
use ::loom::sync::atomic::{AtomicPtr, AtomicU8, AtomicU32};
use portable_atomic::Ordering;

use super::boot::{self, Recovered};
use super::clock::DeviceClock;
use super::segment::{OPEN, Reserved, claim, close, commit_word, none, order_stores};
use crate::event::fields::JoinedFields;
use crate::memory::atomic::may_have_interrupted_one;
#[cfg(not(loom))]
use crate::memory::atomic::{AtomicPtr, AtomicU8, AtomicU32};
use crate::memory::kill::kill_step;
use crate::memory::word::Word;
use crate::record::packed::Packer;
use crate::record::{CONTROL, KIND_REBASE, device_reservation, encode_header};
use crate::ring::layout::{Mode, SEGMENT_HEADER_WORDS, SequenceWord, commit, header_word, segment_word};
use crate::ring::write::segment::refill;
use crate::ring::write::size::fit;
use crate::ring::{BUILD_ID_LEN, DropReason, Ring, RingConfig, RingError, Session};

/// Maximum number of tries of an append when other contexts fill segments faster.
const TRIES_MAX: u32 = 16;
/// Stand-in for the clock register where the clock is not a register.
static NO_CLOCK: u32 = 0;

/// Parameters of a session.
#[derive(Clone, Copy, Debug)]
pub struct SessionStart {
    /// Clock of the device.
    pub clock: DeviceClock,
    /// As in [`Session`].
    pub build_id: [u8; BUILD_ID_LEN],
    /// As in [`Session`].
    pub reset_reason: u32,
    /// As in [`Session`].
    pub embedded_metadata: bool,
}

/// Summary of a session's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Started {
    /// Number of the session, from 1.
    pub boot: u32,
    /// State of the memory before.
    pub recovered: Recovered,
}

/// Records the events of a device.
///
/// Nothing here blocks or allocates; every method but [`start`](Self::start) is callable from anywhere, at any time.
pub struct DeviceRecorder {
    /// Segment for the fast path: `current`, or always `NO_SEGMENT` if the clock is not a register.
    short: AtomicPtr<Word>,
    /// Register of the clock.
    clock_register: AtomicPtr<u32>,
    /// Number of words for records in a segment.
    room_words: AtomicU32,
    /// Segment that takes reservations, or `NO_SEGMENT`.
    current: AtomicPtr<Word>,
    /// Ring and segments: where they begin, words per segment, and number of segments.
    header: AtomicPtr<Word>,
    segments: AtomicPtr<Word>,
    segment_words: AtomicU32,
    segment_count: AtomicU32,
    /// Index of the segment to examine first when one is to be replaced.
    next_index: AtomicU32,
    boot: AtomicU32,
    /// First bytes of the build id.
    build_tag: AtomicU32,
    /// Half turns of the clock's lower 32 bits, as counted by `keep_time`.
    turns: AtomicU32,
    /// State at the last `keep_time`: upper half of the clock, and commit half-word.
    kept_high: AtomicU32,
    kept_commit: AtomicU32,
    state: AtomicU8,
    /// Written once, by the caller of `start` that moved `state` from `NEW` to `STARTING`; read only while it is
    /// `STARTED`.
    parts: UnsafeCell<Parts>,
}

struct Parts {
    ring: Option<Ring<'static>>,
    clock: DeviceClock,
}

const NEW: u8 = 0;
const STARTING: u8 = 1;
const STARTED: u8 = 2;

// SAFETY: `parts` is written once, before STARTED is stored with release, and read after STARTED was loaded with
// acquire. The pointer in it is that of a register that can be read from any context, as the creator of the clock
// guaranteed.
unsafe impl Sync for DeviceRecorder {}

/// Defines the constructor of a recorder, which is constant except in a model.
macro_rules! define_new {
    ($($const:ident)?) => {
        /// Creates a recorder. Until it is started, it refuses all events without counting them.
        #[must_use]
        pub $($const)? fn new() -> Self {
            DeviceRecorder {
                short: AtomicPtr::new(none().cast_mut()),
                clock_register: AtomicPtr::new((&raw const NO_CLOCK).cast_mut().cast()),
                room_words: AtomicU32::new(0),
                current: AtomicPtr::new(none().cast_mut()),
                header: AtomicPtr::new(ptr::null_mut()),
                segments: AtomicPtr::new(ptr::null_mut()),
                segment_words: AtomicU32::new(0),
                segment_count: AtomicU32::new(0),
                next_index: AtomicU32::new(0),
                boot: AtomicU32::new(0),
                build_tag: AtomicU32::new(0),
                turns: AtomicU32::new(0),
                kept_high: AtomicU32::new(0),
                kept_commit: AtomicU32::new(0),
                state: AtomicU8::new(NEW),
                parts: UnsafeCell::new(Parts { ring: None, clock: DeviceClock::NONE }),
            }
        }
    };
}

impl DeviceRecorder {
    #[cfg(not(loom))]
    define_new!(const);
    #[cfg(loom)]
    define_new!();

    /// Starts a session in `words`, which can hold anything. Recovers the ring in it, with everything recorded before
    /// the reset, if it has this layout; otherwise creates a new one. `config` needs a
    /// [`session_count`](RingConfig::session_count). Its `ring_id` is used for a new ring, mixed with the content of
    /// the memory.
    ///
    /// Takes time in proportion to the memory: about 20 instructions per byte. Events from other contexts are refused
    /// meanwhile.
    ///
    /// # Errors
    /// [`RingError`] if the configuration is wrong or the memory too small. `None` if the recorder was started before.
    pub fn start(
        &self,
        words: &'static [Word],
        config: &RingConfig,
        session: &SessionStart,
    ) -> Option<Result<Started, RingError>> {
        self.state.compare_exchange(NEW, STARTING, Ordering::Relaxed, Ordering::Relaxed).ok()?;
        let boot = match boot::recover_or_create(words, config) {
            Ok(boot) => boot,
            Err(error) => {
                self.state.store(NEW, Ordering::Relaxed);
                return Some(Err(error));
            }
        };
        let ring = boot.ring;
        ring.store_session(&Session {
            boot: boot.boot,
            build_id: session.build_id,
            reset_reason: session.reset_reason,
            ticks_per_second: session.clock.ticks_per_second,
            embedded_metadata: session.embedded_metadata,
            first_sequence: ring.header(header_word::NEXT_SEQUENCE).load(),
        });
        // SAFETY: only this caller is between STARTING and STARTED, and nobody reads before STARTED.
        unsafe { *self.parts.get() = Parts { ring: Some(ring), clock: session.clock } };
        self.room_words.store(ring.record_words() as u32, Ordering::Relaxed);
        self.header.store(words.as_ptr().cast_mut(), Ordering::Relaxed);
        self.segments.store(words[ring.segments..].as_ptr().cast_mut(), Ordering::Relaxed);
        self.segment_words.store(ring.segment_words as u32, Ordering::Relaxed);
        self.segment_count.store(ring.segment_count, Ordering::Relaxed);
        self.next_index.store(boot.next_index, Ordering::Relaxed);
        self.boot.store(boot.boot, Ordering::Relaxed);
        let [a, b, c, d, ..] = session.build_id;
        self.build_tag.store(u32::from_le_bytes([a, b, c, d]), Ordering::Relaxed);
        if let Some(register) = session.clock.register() {
            self.clock_register.store(register.cast_mut(), Ordering::Relaxed);
        }
        let turns = session.clock.ticks() >> 31; // the clock does not have to start at 0
        self.turns.store(turns, Ordering::Relaxed);
        self.kept_high.store((session.clock.ticks64(turns) >> 32) as u32, Ordering::Relaxed);
        self.state.store(STARTED, Ordering::Release);
        self.settle();
        Some(Ok(Started { boot: boot.boot, recovered: boot.recovered }))
    }

    fn parts(&self) -> Option<&Parts> {
        // SAFETY: written before STARTED was stored with release, and never again.
        (self.state.load(Ordering::Acquire) == STARTED).then(|| unsafe { &*self.parts.get() })
    }

    /// Returns the ring, once there is one.
    #[must_use]
    pub fn ring(&self) -> Option<Ring<'static>> {
        self.parts()?.ring
    }

    /// Returns the index of the segment that is replaced next: the oldest, as far as is known while other contexts
    /// continue.
    #[must_use]
    pub fn oldest_index(&self) -> u32 {
        self.next_index.load(Ordering::Relaxed)
    }

    /// Returns the number of words for records in a segment; 0 before the start.
    #[must_use]
    pub fn record_words(&self) -> u32 {
        self.room_words.load(Ordering::Relaxed)
    }

    /// Returns the number of the session; 0 before the start.
    #[must_use]
    pub fn boot(&self) -> u32 {
        self.boot.load(Ordering::Relaxed)
    }

    /// Reserves a record of `payload_words` words that counts as `events` events, in a segment or in `NO_SEGMENT`.
    /// Returns `None` if it has no room or takes no reservations.
    #[inline(always)]
    fn reserve(&self, segment: *const Word, ticks: u32, payload_words: u32, events: u32) -> Option<Reserved> {
        let commit_word = commit_word(segment)?;
        if may_have_interrupted_one() {
            return None;
        }
        // Another lap of the segment can have begun since it was the current one. It serves just as well if it takes
        // reservations.
        let limit = self.room_words.load(Ordering::Relaxed).wrapping_sub(payload_words);
        let at = commit_word.add_low_if_below(OPEN, limit, commit::step(1 + payload_words as usize, events))?;
        // SAFETY: a real segment, as NO_SEGMENT is not open; and at + payload_words < room_words: the record is inside.
        let record = unsafe { segment.add(SEGMENT_HEADER_WORDS + at as usize) };
        Some(Reserved { record, ticks })
    }

    /// Slow path of [`reserve`](Self::reserve), for when it failed or the clock is not a register. Opens a segment if
    /// necessary. Returns `None` if the event was counted as dropped. The words fit into an empty segment.
    #[cold]
    #[inline(never)]
    fn reserve_anew(&self, payload_words: u32, events: u32) -> Option<Reserved> {
        if may_have_interrupted_one() {
            self.refuse(DropReason::Reentrant);
            return None;
        }
        let ticks = self.parts().map_or(0, |parts| parts.clock.ticks());
        for _ in 0..TRIES_MAX {
            if !self.make_room(payload_words) {
                break;
            }
            let segment = self.current.load(Ordering::Relaxed);
            kill_step!();
            if let Some(reserved) = self.reserve(segment, ticks, payload_words, events) {
                return Some(reserved);
            }
        }
        if events > 0 {
            self.refuse(DropReason::NoSegment);
        }
        None
    }

    /// Records an event with a payload of at most 8 words, which `put` stores and whose exclusive or is `xor`. Returns
    /// `false` if there was no room at once or the clock is not a register; nothing was done in that case.
    #[inline(always)]
    pub(crate) fn append(&self, callsite: u32, payload_words: u8, xor: u64, put: impl FnOnce(&[Word])) -> bool {
        // SAFETY: NO_CLOCK, or a register that can be read from any context at any time, as the creator of the clock
        // guaranteed.
        let ticks = unsafe { self.clock_register.load(Ordering::Relaxed).read_volatile() };
        let segment = self.short.load(Ordering::Relaxed);
        kill_step!();
        let Some(reserved) = self.reserve(segment, ticks, payload_words.into(), 1) else { return false };
        reserved.fill(callsite, payload_words, xor, put);
        self.settle_each();
        true
    }

    /// Slow path of [`append`](Self::append), after it failed. Counts the event as dropped if there is no room at all.
    #[inline(always)]
    pub(crate) fn append_anew(&self, callsite: u32, payload_words: u8, xor: u64, put: impl FnOnce(&[Word])) {
        if let Some(reserved) = self.reserve_anew(payload_words.into(), 1) {
            reserved.fill(callsite, payload_words, xor, put);
            self.settle_each();
        }
    }

    /// Records an event of a callsite with a payload of at most 8 words.
    pub fn append_words(&self, callsite: u16, payload: &[u64]) {
        debug_assert!(payload.len() <= 8, "as much as the smallest segment has room for");
        let xor = payload.iter().fold(0, |xor, word| xor ^ word);
        let put = |words: &[Word]| words.iter().zip(payload).for_each(|(word, value)| word.store(*value));
        let len = payload.len() as u8;
        if !self.append(callsite.into(), len, xor, put) {
            self.append_anew(callsite.into(), len, xor, put);
        }
    }

    /// Records an event with fields of any types and lengths. Texts and sequences that do not fit into a segment are
    /// capped.
    #[inline(never)]
    pub fn append_any(&self, callsite: u16, fields: &dyn JoinedFields) {
        let room = self.room_words.load(Ordering::Relaxed) as usize;
        let Some((cap, payload_words)) = fit(|cap| fields.payload_words(cap), room) else {
            return self.refuse(DropReason::TooLarge);
        };
        let words = payload_words as u32;
        let Some(Reserved { record, ticks }) = self.reserve_anew(words, 1) else { return };
        // SAFETY: the record and its payload were reserved; `fields` writes as many words as it declares under this
        // cap.
        unsafe {
            let header = &*record;
            header.mark_low(device_reservation(payload_words as u8));
            order_stores(); // as in `fill`
            let mut packer = Packer::new(record.add(1), 0);
            fields.put(&mut packer, cap);
            let (_, others) = packer.finish();
            let word = encode_header(callsite, payload_words as u8, ticks, others);
            header.publish(word as u32, (word >> 32) as u32);
        }
        self.settle_each();
    }

    /// Makes RAM with error correction write out a pending store. The controllers of some chips (STM32H7, H5, N6) hold
    /// back the last store that is shorter than their words until the next such store, and lose it at a reset. A store
    /// of one byte is shorter than any such word. It goes to a byte of the ring's header that is always 0. Three
    /// instructions; callable from any context, without effect before the start.
    #[inline(always)]
    pub fn settle(&self) {
        let header = self.header.load(Ordering::Relaxed);
        if !header.is_null() {
            // SAFETY: within the header of the ring, which is longer than this offset; the byte is part of a word that
            // is only read from now on.
            unsafe { store_zero(header.cast::<u8>().add(SPARE_OFFSET)) };
        }
    }

    /// Runs after each record.
    #[inline(always)]
    fn settle_each(&self) {
        #[cfg(feature = "ecc-flush")]
        self.settle();
    }

    /// Records how often the clock has wrapped. One context must call this at least once every 2^31 ticks if events can
    /// be more than 2^32 ticks apart. Without it, the times of events after a longer silence are too early by whole
    /// turns; with a 64-bit clock, only until the next segment is opened. Costs a read of the clock, and 16 bytes of
    /// the ring per turn in which something was recorded.
    pub fn keep_time(&self) {
        let Some(parts) = self.parts() else { return };
        let turns = self.turns.load(Ordering::Relaxed);
        let turns = turns.wrapping_add((turns ^ parts.clock.ticks() >> 31) & 1);
        self.turns.store(turns, Ordering::Relaxed);
        let now = parts.clock.ticks64(turns);
        let high = (now >> 32) as u32;
        if self.kept_high.load(Ordering::Relaxed) == high {
            return;
        }
        self.kept_high.store(high, Ordering::Relaxed);
        let segment: *const Word = self.current.load(Ordering::Relaxed);
        let commit = commit_word(segment).map_or(commit::CLOSED, Word::load_low);
        if commit >> commit::FLAGS_SHIFT != OPEN {
            return; // the next event opens one and records the time
        }
        if commit == self.kept_commit.load(Ordering::Relaxed) {
            // Nothing was recorded in a whole turn. The next event opens a segment, so that time records do not fill
            // the ring.
            close(segment);
            return;
        }
        if let Some(Reserved { record, .. }) = self.reserve_anew(1, 0) {
            // SAFETY: the record and its payload were reserved.
            let (header, word) = unsafe { (&*record, &*record.add(1)) };
            header.mark_low(device_reservation(1));
            order_stores(); // as in `fill`
            word.store(now);
            let sealed = encode_header(CONTROL, 1, KIND_REBASE, now);
            header.publish(sealed as u32, (sealed >> 32) as u32);
            self.settle_each();
        }
        let segment: *const Word = self.current.load(Ordering::Relaxed);
        let commit = commit_word(segment).map_or(commit::CLOSED, Word::load_low);
        self.kept_commit.store(commit, Ordering::Relaxed);
    }

    /// Opens a segment in place of the current one if that has no room for such a record, or takes no reservations.
    /// Returns `false` if all are in use.
    fn make_room(&self, payload_words: u32) -> bool {
        let Some(parts) = self.parts() else { return false };
        let full: *const Word = self.current.load(Ordering::Acquire);
        kill_step!();
        let now = commit_word(full).map_or(commit::CLOSED, Word::load_low);
        if now >> commit::FLAGS_SHIFT == OPEN
            && (now & commit::OFFSET_MASK) + payload_words < self.room_words.load(Ordering::Relaxed)
        {
            // Another context made room meanwhile.
            self.shorten(&parts.clock, full);
            return true;
        }
        // From here on no segment is current until one is opened. If another context opens one meanwhile, this word
        // shows it, even if it is the same segment again.
        if self.swap_current(full, none()) {
            close(full);
        } else {
            return true;
        }
        let Some(segment) = self.open(parts.clock.ticks64(self.turns.load(Ordering::Relaxed))) else {
            // There can be none because another context has opened the last one.
            return self.current.load(Ordering::Relaxed).cast_const() != none();
        };
        if self.swap_current(none(), segment) {
            self.shorten(&parts.clock, segment);
        } else {
            kill_step!();
            close(segment); // another context was faster; ours takes no reservations, so it can be replaced at once
        }
        true
    }

    /// Makes another segment the current one, if the current one is still `before`.
    fn swap_current(&self, before: *const Word, now: *const Word) -> bool {
        kill_step!();
        let (before, now) = (before.cast_mut(), now.cast_mut());
        self.current.compare_exchange(before, now, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Directs the fast path to a segment, if there is one. If a nested context changed it meanwhile, the fast path
    /// fails, and the slow path leads here again.
    fn shorten(&self, clock: &DeviceClock, segment: *const Word) {
        if clock.register().is_some() {
            kill_step!();
            self.short.store(segment.cast_mut(), Ordering::Relaxed);
        }
    }

    /// Opens the oldest segment without records in progress.
    fn open(&self, ticks: u64) -> Option<*const Word> {
        let count = self.segment_count.load(Ordering::Relaxed);
        let words = self.segment_words.load(Ordering::Relaxed) as usize;
        for _ in 0..count {
            let index = self.take_index(count);
            // SAFETY: a segment of the ring; its segments lie one after the other, and each is longer than a header.
            let (segment, header, records) = unsafe {
                let segment = self.segments.load(Ordering::Relaxed).cast_const().add(index as usize * words);
                let records = segment.add(SEGMENT_HEADER_WORDS);
                let header = &*segment.cast::<[Word; SEGMENT_HEADER_WORDS]>();
                (segment, header, core::slice::from_raw_parts(records, words - SEGMENT_HEADER_WORDS))
            };
            kill_step!();
            let Some(events) = claim(header, records, self.boot()) else { continue };
            // SAFETY: a word of the ring's header.
            let sequence = unsafe { &*self.header.load(Ordering::Relaxed).add(header_word::NEXT_SEQUENCE) }.add(1);
            // No lap: a segment is zeroed when it is opened, so nothing from an earlier lap can look like a record.
            let of = SequenceWord { sequence, lap: 0, mode: Mode::Device, phase: 0 };
            let lost = header[segment_word::LOST].load().wrapping_add(events.into());
            let open_commit = u64::from(commit::SHARED) | u64::from(self.build_tag.load(Ordering::Relaxed)) << 32;
            refill(header, records, of, self.boot(), ticks, lost, open_commit);
            return Some(segment);
        }
        None
    }

    /// Returns the index of the segment to examine, and advances to the next.
    fn take_index(&self, count: u32) -> u32 {
        let mut index = self.next_index.load(Ordering::Relaxed);
        loop {
            let next = if index + 1 < count { index + 1 } else { 0 };
            kill_step!();
            match self.next_index.compare_exchange_weak(index, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return index,
                Err(changed) => index = changed,
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn refuse(&self, reason: DropReason) {
        if let Some(ring) = self.ring() {
            ring.count_dropped(reason, 1);
        }
    }
}

/// Byte offset in the ring's header of a byte that is always 0: the last one after the session number.
const SPARE_OFFSET: usize = header_word::BOOT * 8 + 7;

/// Stores 0 in a byte with a separate instruction. The compiler can neither omit it nor merge it into a longer store.
///
/// # Safety
/// - The byte is 0, and nobody stores anything else there meanwhile.
#[inline(always)]
unsafe fn store_zero(place: *mut u8) {
    // In assembly, because the language does not allow stores and loads of different lengths to race. Here both find
    // the same value, whichever comes first. Not `nomem`: all earlier stores stay before it.
    // SAFETY: as the caller guarantees.
    #[cfg(all(target_arch = "arm", ttlog_device_callsites))]
    unsafe {
        core::arch::asm!("strb {zero}, [{place}]", zero = in(reg) 0, place = in(reg) place,
            options(nostack, preserves_flags));
    }
    // SAFETY: as the caller guarantees.
    #[cfg(all(target_arch = "riscv32", ttlog_device_callsites))]
    unsafe {
        core::arch::asm!("sb zero, 0({place})", place = in(reg) place, options(nostack, preserves_flags));
    }
    #[cfg(not(ttlog_device_callsites))]
    let _ = place; // not a device
}

impl Default for DeviceRecorder {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for DeviceRecorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeviceRecorder").field("boot", &self.boot()).field("ring", &self.ring()).finish_non_exhaustive()
    }
}

#[cfg(all(test, not(loom)))]
pub(crate) mod tests;

//! Word: the unit in which a ring is stored and shared.
//!
//! All memory of a ring is words, and every access to it is atomic, so that Miri, loom and ThreadSanitizer can check
//! the protocols. Relaxed loads and stores are ordinary loads and stores on every target. On x86-64, the hot path also
//! stores eight bytes that are in two words ([`Word::store_at`]); Miri, loom and ThreadSanitizer do not see that.
//!
//! On 64-bit targets, a word is one `AtomicU64`. On 32-bit targets, it is two halves in little-endian order. The lower
//! half is stored last and loaded first, so whatever publishes a word (a record's callsite id, the commit half-word) is
//! in the lower half, except for the sequence word (see [`Word::store_release`]).

use crate::memory::kill::{kill_point, kill_step};

#[cfg(loom)]
use loom::sync::atomic::{AtomicU64, Ordering};
#[cfg(all(not(loom), not(ttlog_half_words), target_pointer_width = "64"))]
use portable_atomic::{AtomicU64, Ordering};
#[cfg(all(not(loom), any(ttlog_half_words, not(target_pointer_width = "64"))))]
use {crate::memory::atomic::AtomicU32, portable_atomic::Ordering};

/// Whether [`Word::store_at`] exists: the processor stores eight bytes at any address, in order.
pub(crate) const STORES_AT_BYTES: bool = cfg!(ttlog_byte_stores);

#[cfg(ttlog_byte_stores)]
impl Word {
    /// Stores eight bytes at `start + offset + FURTHER`, the lowest first. `start` need not be that of a word.
    ///
    /// The store is relaxed for each byte: another thread can see some of the bytes before the others if they are in
    /// two words. The processor does not reorder it with other stores.
    ///
    /// # Safety
    /// - The words of which this stores bytes are valid.
    #[inline(always)]
    pub(crate) unsafe fn store_at<const FURTHER: usize>(start: *const u8, offset: usize, bytes: u64) {
        // SAFETY: the address is valid, as the caller has guaranteed. A store that is neither aligned nor of one word
        // can be a race for the compiler; in assembly it is what it is for the processor, a store that is visible after
        // all earlier ones. Not `nomem`, so the compiler leaves it in its place among the stores of words.
        unsafe {
            core::arch::asm!("mov qword ptr [{start} + {offset} + {further}], {bytes}", start = in(reg) start,
                offset = in(reg) offset, further = const FURTHER, bytes = in(reg) bytes,
                options(nostack, preserves_flags));
        }
        kill_step!();
    }

    /// As [`store_at`](Self::store_at), without an offset.
    ///
    /// # Safety
    /// - As there.
    #[inline(always)]
    pub(crate) unsafe fn store_here<const FURTHER: usize>(start: *const u8, bytes: u64) {
        // SAFETY: as in `store_at`.
        unsafe {
            core::arch::asm!("mov qword ptr [{start} + {further}], {bytes}", start = in(reg) start,
                further = const FURTHER, bytes = in(reg) bytes, options(nostack, preserves_flags));
        }
        kill_step!();
    }

    /// Stores eight zeros, as [`store_at`](Self::store_at) does.
    ///
    /// # Safety
    /// - As there.
    #[inline(always)]
    pub(crate) unsafe fn zero_here(start: *const u8) {
        // SAFETY: as in `store_at`.
        unsafe {
            core::arch::asm!("mov qword ptr [{start}], 0", start = in(reg) start, options(nostack, preserves_flags));
        }
        kill_step!();
    }
}

#[cfg(not(ttlog_byte_stores))]
impl Word {
    /// Not called: see [`STORES_AT_BYTES`].
    pub(crate) unsafe fn store_at<const FURTHER: usize>(_start: *const u8, _offset: usize, _bytes: u64) {}

    /// Not called either.
    pub(crate) unsafe fn store_here<const FURTHER: usize>(_start: *const u8, _bytes: u64) {}

    /// Not called either.
    pub(crate) unsafe fn zero_here(_start: *const u8) {}
}

/// Returns `value`, of which the compiler knows nothing then, without an instruction. So it computes it here, and
/// neither again nor at its last use only, for which it would have to keep the operands.
#[inline(always)]
#[allow(unused_mut, reason = "only assembly changes it")]
pub(crate) fn settled(mut value: u64) -> u64 {
    #[cfg(ttlog_byte_stores)]
    // SAFETY: no instruction at all.
    unsafe {
        core::arch::asm!("/* {0} */", inout(reg) value, options(pure, nomem, nostack, preserves_flags));
    }
    value
}

/// As [`settled`], for an address.
#[inline(always)]
#[allow(clippy::pointers_in_nomem_asm_block, reason = "nothing is read or written there")]
#[allow(unused_mut, reason = "only assembly changes it")]
pub(crate) fn settled_address<T>(mut address: *const T) -> *const T {
    #[cfg(ttlog_byte_stores)]
    // SAFETY: no instruction at all.
    unsafe {
        core::arch::asm!("/* {0} */", inout(reg) address, options(pure, nomem, nostack, preserves_flags));
    }
    address
}

/// Eight bytes of a ring, shared between writers, readers and tools that read them after a crash.
///
/// Never blocks or allocates; callable anywhere, including interrupts and signal handlers.
#[derive(Debug)]
#[repr(transparent)]
#[cfg(any(loom, all(not(ttlog_half_words), target_pointer_width = "64")))]
pub struct Word(AtomicU64);

#[cfg(any(loom, all(not(ttlog_half_words), target_pointer_width = "64")))]
impl Word {
    /// Creates a word that holds `value`.
    #[cfg(not(loom))]
    #[must_use]
    pub const fn new(value: u64) -> Self {
        Word(AtomicU64::new(value))
    }

    /// Creates a word that holds `value`.
    #[cfg(loom)]
    #[must_use]
    pub fn new(value: u64) -> Self {
        Word(AtomicU64::new(value))
    }

    /// Loads with relaxed ordering.
    #[inline(always)]
    pub fn load(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Loads with acquire ordering: stores before the matching release are visible afterward.
    #[inline(always)]
    pub fn load_acquire(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    /// Stores with relaxed ordering.
    #[inline(always)]
    pub fn store(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
        kill_step!();
    }

    /// Stores with release ordering, after all earlier stores.
    #[inline(always)]
    pub fn store_release(&self, value: u64) {
        self.0.store(value, Ordering::Release);
        kill_step!();
    }

    /// Adds `n`, wrapping, and returns the previous value.
    #[inline]
    pub fn add(&self, n: u64) -> u64 {
        let before = self.0.fetch_add(n, Ordering::Relaxed);
        kill_step!();
        before
    }

    /// Raises the word to `value` if it is lower.
    #[inline]
    pub fn raise(&self, value: u64) {
        self.0.fetch_max(value, Ordering::Relaxed);
    }

    /// Sets the given bits.
    #[inline]
    pub fn set_bits(&self, bits: u64) {
        self.0.fetch_or(bits, Ordering::Relaxed);
    }

    /// Loads the lower half with relaxed ordering.
    #[inline(always)]
    pub(crate) fn load_low(&self) -> u32 {
        self.load() as u32
    }

    /// Stores the lower half, with relaxed ordering, in a word whose upper half does not matter. The caller is the
    /// word's only writer.
    #[inline(always)]
    pub(crate) fn mark_low(&self, low: u32) {
        self.store(u64::from(low));
    }

    /// Stores both halves, the lower one last, after all earlier stores. The caller is the word's only writer.
    #[inline(always)]
    pub(crate) fn publish(&self, low: u32, high: u32) {
        self.store_release(u64::from(low) | u64::from(high) << 32);
    }

    /// Stores the lower half, after all earlier stores, in a word whose upper half is `0` and stays `0`.
    #[inline(always)]
    pub(crate) fn store_low_release(&self, low: u32) {
        self.0.store(u64::from(low), Ordering::Release);
        kill_step!();
    }

    /// Replaces the lower half if it equals `current`; otherwise returns its value. Acquires in both cases; a
    /// replacement also releases.
    ///
    /// Fails only if the lower half differed. A change of only the upper half causes a retry, at most once per change.
    /// Such changes are commits of other contexts, so some context makes progress.
    #[inline]
    pub(crate) fn swap_low(&self, current: u32, new: u32) -> Result<(), u32> {
        let mut whole = self.0.load(Ordering::Acquire);
        loop {
            if whole as u32 != current {
                return Err(whole as u32);
            }
            kill_step!();
            let wanted = whole & !0xFFFF_FFFF | u64::from(new);
            match self.0.compare_exchange_weak(whole, wanted, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => {
                    kill_step!();
                    return Ok(());
                }
                Err(now) => whole = now,
            }
        }
    }

    /// Like the 32-bit version.
    #[inline(always)]
    pub(crate) fn add_low_if_below(&self, flags: u32, limit: u32, step: u32) -> Option<u32> {
        add_low_if_below(self.load_low(), flags, limit, step, |now, new| self.swap_low(now, new))
    }

    /// Adds `n` to the upper half, after all earlier stores.
    #[inline]
    pub(crate) fn add_high_release(&self, n: u32) {
        self.0.fetch_add(u64::from(n) << 32, Ordering::Release);
    }
}

/// Eight bytes of a ring, shared between writers, readers and tools that read them after a crash.
///
/// Never blocks or allocates; callable anywhere, including interrupts. Operations on both halves are exact as long as
/// contexts nest (one core); see each operation.
#[derive(Debug)]
#[repr(C, align(8))]
#[cfg(all(not(loom), any(ttlog_half_words, not(target_pointer_width = "64"))))]
pub struct Word {
    low: AtomicU32,
    high: AtomicU32,
}

#[cfg(all(not(loom), any(ttlog_half_words, not(target_pointer_width = "64"))))]
impl Word {
    /// Creates a word that holds `value`.
    #[must_use]
    pub const fn new(value: u64) -> Self {
        Word { low: AtomicU32::new(value as u32), high: AtomicU32::new((value >> 32) as u32) }
    }

    /// Loads with relaxed ordering.
    #[inline(always)]
    pub fn load(&self) -> u64 {
        let low = self.low.load(Ordering::Relaxed);
        u64::from(self.high.load(Ordering::Relaxed)) << 32 | u64::from(low)
    }

    /// Loads with acquire ordering: stores before the matching release are visible afterward.
    #[inline(always)]
    pub fn load_acquire(&self) -> u64 {
        let low = self.low.load(Ordering::Relaxed);
        fence_cores(Ordering::Acquire);
        let high = self.high.load(Ordering::Relaxed);
        fence_cores(Ordering::Acquire);
        u64::from(high) << 32 | u64::from(low)
    }

    /// Stores with relaxed ordering.
    #[inline(always)]
    pub fn store(&self, value: u64) {
        self.high.store((value >> 32) as u32, Ordering::Relaxed);
        kill_step!();
        self.low.store(value as u32, Ordering::Relaxed);
        kill_step!();
    }

    /// Stores with release ordering, after all earlier stores. Both halves release: the phase of a segment is in the
    /// upper half, the callsite of a record in the lower.
    #[inline(always)]
    pub fn store_release(&self, value: u64) {
        fence_cores(Ordering::Release);
        self.high.store((value >> 32) as u32, Ordering::Relaxed);
        kill_step!();
        fence_cores(Ordering::Release);
        self.low.store(value as u32, Ordering::Relaxed);
        kill_step!();
    }

    /// Adds `n`, wrapping, and returns the previous value. A reader might see the carry late.
    #[inline]
    pub fn add(&self, n: u64) -> u64 {
        let low = self.low.fetch_add(n as u32, Ordering::Relaxed);
        kill_step!();
        let carry = u32::from(low.checked_add(n as u32).is_none());
        let high = self.high.fetch_add((n >> 32) as u32 + carry, Ordering::Relaxed);
        kill_step!();
        u64::from(high) << 32 | u64::from(low)
    }

    /// Raises the word to `value` if it is lower. If a context nests between load and store and raises the word
    /// further, its change is lost. Callers raise with clock readings, so the next one repairs that.
    #[inline]
    pub fn raise(&self, value: u64) {
        if self.load() < value {
            self.store(value);
        }
    }

    /// Sets the given bits.
    #[inline]
    pub fn set_bits(&self, bits: u64) {
        self.high.fetch_or((bits >> 32) as u32, Ordering::Relaxed);
        self.low.fetch_or(bits as u32, Ordering::Relaxed);
    }

    /// Loads the lower half with relaxed ordering.
    #[inline(always)]
    pub(crate) fn load_low(&self) -> u32 {
        self.low.load(Ordering::Relaxed)
    }

    /// Stores the lower half, with relaxed ordering, in a word whose upper half does not matter. The caller is the
    /// word's only writer.
    #[inline(always)]
    pub(crate) fn mark_low(&self, low: u32) {
        self.low.store(low, Ordering::Relaxed);
        kill_step!();
    }

    /// Stores both halves, the lower one last, after all earlier stores. The caller is the word's only writer.
    #[inline(always)]
    pub(crate) fn publish(&self, low: u32, high: u32) {
        self.high.store(high, Ordering::Relaxed);
        kill_step!();
        fence_cores(Ordering::Release);
        self.low.store(low, Ordering::Relaxed);
        kill_step!();
    }

    /// Stores the lower half, after all earlier stores.
    #[inline(always)]
    pub(crate) fn store_low_release(&self, low: u32) {
        self.low.store(low, Ordering::Release);
        kill_step!();
    }

    /// Replaces the lower half if it equals `current`; otherwise returns its value. Acquires in both cases; a
    /// replacement also releases.
    #[inline]
    pub(crate) fn swap_low(&self, current: u32, new: u32) -> Result<(), u32> {
        fence_cores(Ordering::Release);
        kill_step!();
        let new = in_register(new);
        let result = self.low.compare_exchange(current, new, Ordering::Relaxed, Ordering::Relaxed).map(drop);
        kill_step!();
        fence_cores(Ordering::Acquire);
        result
    }

    /// Adds `step` to the lower half, if its four highest bits are `flags` and its [`OFFSET_BITS`] lowest bits are
    /// below `limit`, and returns the previous value of these lowest bits. Acquires. Otherwise changes nothing and
    /// returns `None`.
    #[inline(always)]
    pub(crate) fn add_low_if_below(&self, flags: u32, limit: u32, step: u32) -> Option<u32> {
        #[cfg(ttlog_callsite_id = "movw")]
        {
            let (offset, failed): (u32, u32);
            // SAFETY: loads and stores only the lower half, which is aligned, by an exclusive pair. A compare-exchange
            // loop compiles to the same code with one more load and compare.
            unsafe {
                core::arch::asm!(
                    "2: ldrex {now}, [{low}]",
                    "cmp {flags}, {now}, lsr #28",
                    "bne 3f",
                    "ubfx {offset}, {now}, #0, #{offset_bits}",
                    "cmp {offset}, {limit}",
                    "bhs 3f",
                    "add {now}, {step}",
                    "strex {failed}, {now}, [{low}]",
                    "cmp {failed}, #0",
                    "bne 2b",
                    "3:",
                    now = out(reg) _,
                    offset = out(reg) offset,
                    failed = inout(reg) 1 => failed,
                    low = in(reg) self.low.as_ptr(),
                    flags = in(reg) flags,
                    limit = in(reg) limit,
                    step = in(reg) step,
                    offset_bits = const OFFSET_BITS,
                    options(nostack),
                );
            }
            if failed != 0 {
                return None;
            }
            fence_cores(Ordering::Acquire);
            Some(offset)
        }
        #[cfg(not(ttlog_callsite_id = "movw"))]
        add_low_if_below(self.load_low(), flags, limit, step, |now, new| {
            kill_step!();
            let result = self.low.compare_exchange_weak(now, new, Ordering::Acquire, Ordering::Relaxed).map(drop);
            kill_step!();
            result
        })
    }

    /// Adds `n` to the upper half, after all earlier stores.
    #[inline]
    pub(crate) fn add_high_release(&self, n: u32) {
        self.high.fetch_add(n, Ordering::Release);
    }
}

/// Stores zeros, with relaxed ordering.
pub(crate) fn zero(words: &[Word]) {
    let words = zero_fours(words);
    for word in words {
        word.store(0);
        kill_point!(OpenZeroed);
    }
}

/// Stores zeros in groups of four words, where that is fast, and returns the remaining words.
#[cfg(any(ttlog_callsite_id = "movw", ttlog_callsite_id = "thumb1"))]
fn zero_fours(words: &[Word]) -> &[Word] {
    let fours = words.len() / 4 * 4;
    let (head, rest) = words.split_at(fours);
    if fours > 0 {
        let range = head.as_ptr_range();
        // SAFETY: stores to whole words between both ends, which are a nonzero multiple of 32 bytes apart.
        unsafe {
            core::arch::asm!(
                "2: stmia {at}!, {{r0, r1, r2, r3}}",
                "stmia {at}!, {{r0, r1, r2, r3}}",
                "cmp {at}, {end}",
                "bne 2b",
                at = inout(reg) range.start => _,
                end = in(reg) range.end,
                in("r0") 0,
                in("r1") 0,
                in("r2") 0,
                in("r3") 0,
                options(nostack),
            );
        }
    }
    rest
}

#[cfg(not(any(ttlog_callsite_id = "movw", ttlog_callsite_id = "thumb1")))]
fn zero_fours(words: &[Word]) -> &[Word] {
    words
}

/// Number of bits of the offset in the lower half of a commit word.
const OFFSET_BITS: u32 = 14;

/// Implements `add_low_if_below`, given the half and an operation that replaces it.
#[inline(always)]
#[cfg_attr(ttlog_callsite_id = "movw", allow(dead_code))] // assembly there
fn add_low_if_below(
    mut now: u32,
    flags: u32,
    limit: u32,
    step: u32,
    swap: impl Fn(u32, u32) -> Result<(), u32>,
) -> Option<u32> {
    loop {
        let offset = now & ((1 << OFFSET_BITS) - 1);
        if now >> 28 != flags || offset >= limit {
            return None;
        }
        match swap(now, now + step) {
            Ok(()) => return Some(offset),
            Err(changed) => now = changed,
        }
    }
}

/// Returns the value, and forces its calculation here. Where the swap is a critical section, the compiler would
/// otherwise move calculations into it.
#[cfg(any(ttlog_half_words, not(target_pointer_width = "64")))]
#[inline(always)]
fn in_register(value: u32) -> u32 {
    #[cfg(all(feature = "critical-section", target_arch = "arm", target_os = "none"))]
    {
        let same: u32;
        // SAFETY: the assembly contains no instruction.
        unsafe { core::arch::asm!("/* {} */", inout(reg) value => same, options(nomem, nostack, preserves_flags)) };
        return same;
    }
    #[allow(unreachable_code)]
    value
}

/// Fences between the cores of a device. With the feature `single-core`, there is only one core, and its contexts see
/// its stores in order.
#[inline(always)]
pub(crate) fn fence_cores(order: Ordering) {
    if cfg!(all(feature = "single-core", not(feature = "critical-section"), target_os = "none")) {
        core::sync::atomic::compiler_fence(order);
    } else {
        #[cfg(loom)]
        loom::sync::atomic::fence(order);
        #[cfg(not(loom))]
        core::sync::atomic::fence(order);
    }
}

/// Issues an acquire fence: loom's under loom, otherwise the real one.
#[inline(always)]
pub(crate) fn fence_acquire() {
    #[cfg(loom)]
    loom::sync::atomic::fence(Ordering::Acquire);
    #[cfg(not(loom))]
    core::sync::atomic::fence(Ordering::Acquire);
}

/// Issues a release fence, as [`fence_acquire`] does for acquire.
#[inline(always)]
pub(crate) fn fence_release() {
    #[cfg(loom)]
    loom::sync::atomic::fence(Ordering::Release);
    #[cfg(not(loom))]
    core::sync::atomic::fence(Ordering::Release);
}

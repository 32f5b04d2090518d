//! The word: the unit in which a ring is stored and shared.
//!
//! All memory of a ring is words, and every access to it is atomic, so that Miri, loom and ThreadSanitizer can judge the
//! protocols. Relaxed loads and stores are ordinary loads and stores on every target.
//!
//! On 64-bit targets a word is one `AtomicU64`. On 32-bit targets it is two halves in little-endian order; the lower half is
//! stored last and loaded first, so whatever publishes a word (a record's callsite id, the commit half-word) sits in the
//! lower half, except for the sequence word (see [`Word::store_release`]).

#[cfg(loom)]
use loom::sync::atomic::{AtomicU64, Ordering};
#[cfg(all(not(loom), target_pointer_width = "64"))]
use portable_atomic::{AtomicU64, Ordering};
#[cfg(all(not(loom), not(target_pointer_width = "64")))]
use {crate::atomic::AtomicU32, portable_atomic::Ordering};

/// Eight bytes of a ring, shared between writers, readers and whoever finds them after a crash.
///
/// Never blocks or allocates; callable anywhere, also in interrupts and signal handlers.
#[derive(Debug)]
#[repr(transparent)]
#[cfg(any(loom, target_pointer_width = "64"))]
pub struct Word(AtomicU64);

#[cfg(any(loom, target_pointer_width = "64"))]
impl Word {
    /// Makes a word holding `value`.
    #[cfg(not(loom))]
    #[must_use]
    pub const fn new(value: u64) -> Self {
        Word(AtomicU64::new(value))
    }

    /// Makes a word holding `value`.
    #[cfg(loom)]
    #[must_use]
    pub fn new(value: u64) -> Self {
        Word(AtomicU64::new(value))
    }

    /// Loads without ordering.
    #[inline(always)]
    pub fn load(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Loads; what was stored before the matching release is visible afterwards.
    #[inline(always)]
    pub fn load_acquire(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    /// Stores without ordering.
    #[inline(always)]
    pub fn store(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// Stores after everything stored before.
    #[inline(always)]
    pub fn store_release(&self, value: u64) {
        self.0.store(value, Ordering::Release);
    }

    /// Adds `n`, wrapping, and returns the value before.
    #[inline]
    pub fn add(&self, n: u64) -> u64 {
        self.0.fetch_add(n, Ordering::Relaxed)
    }

    /// Raises the word to `value` if it is lower.
    #[inline]
    pub fn raise(&self, value: u64) {
        self.0.fetch_max(value, Ordering::Relaxed);
    }

    /// Sets bits.
    #[inline]
    pub fn set_bits(&self, bits: u64) {
        self.0.fetch_or(bits, Ordering::Relaxed);
    }

    /// Loads the lower half without ordering.
    #[inline(always)]
    pub(crate) fn load_low(&self) -> u32 {
        self.load() as u32
    }

    /// Loads the upper half without ordering.
    #[inline(always)]
    pub(crate) fn load_high(&self) -> u32 {
        (self.load() >> 32) as u32
    }

    /// Stores the lower half in a word whose upper half does not matter, without ordering. Nobody else writes the word.
    #[inline(always)]
    pub(crate) fn mark_low(&self, low: u32) {
        self.store(u64::from(low));
    }

    /// Stores both halves after everything stored before, the lower one last. Nobody else writes the word.
    #[inline(always)]
    pub(crate) fn publish(&self, low: u32, high: u32) {
        self.store_release(u64::from(low) | u64::from(high) << 32);
    }

    /// Stores the lower half in a word whose upper half is known to be `0` and to stay so, after everything stored before.
    #[inline(always)]
    pub(crate) fn store_low_release(&self, low: u32) {
        self.0.store(u64::from(low), Ordering::Release);
    }

    /// Replaces the lower half if it is `current`; else gives what it is. Acquires in both cases, and releases.
    ///
    /// Fails only when the lower half differed: a change of the upper half alone is tried again, at most once for each such
    /// change (which are commits of other contexts, so somebody makes progress).
    #[inline]
    pub(crate) fn swap_low(&self, current: u32, new: u32) -> Result<(), u32> {
        let mut whole = self.0.load(Ordering::Acquire);
        loop {
            if whole as u32 != current {
                return Err(whole as u32);
            }
            let wanted = whole & !0xFFFF_FFFF | u64::from(new);
            match self.0.compare_exchange_weak(whole, wanted, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Ok(()),
                Err(now) => whole = now,
            }
        }
    }

    /// As [`swap_low`](Self::swap_low), but may fail though the half is `current`: for loops.
    #[inline(always)]
    pub(crate) fn swap_low_weak(&self, current: u32, new: u32) -> Result<(), u32> {
        self.swap_low(current, new)
    }

    /// Adds `n` to the upper half, after everything stored before.
    #[inline]
    pub(crate) fn add_high_release(&self, n: u32) {
        self.0.fetch_add(u64::from(n) << 32, Ordering::Release);
    }
}

/// Eight bytes of a ring, shared between writers, readers and whoever finds them after a crash.
///
/// Never blocks or allocates; callable anywhere, also in interrupts. Operations that need both halves are exact as long as
/// contexts nest (one core); see each of them.
#[derive(Debug)]
#[repr(C, align(8))]
#[cfg(all(not(loom), not(target_pointer_width = "64")))]
pub struct Word {
    low: AtomicU32,
    high: AtomicU32,
}

#[cfg(all(not(loom), not(target_pointer_width = "64")))]
impl Word {
    /// Makes a word holding `value`.
    #[must_use]
    pub const fn new(value: u64) -> Self {
        Word { low: AtomicU32::new(value as u32), high: AtomicU32::new((value >> 32) as u32) }
    }

    /// Loads without ordering.
    #[inline(always)]
    pub fn load(&self) -> u64 {
        let low = self.low.load(Ordering::Relaxed);
        u64::from(self.high.load(Ordering::Relaxed)) << 32 | u64::from(low)
    }

    /// Loads; what was stored before the matching release is visible afterwards.
    #[inline(always)]
    pub fn load_acquire(&self) -> u64 {
        let low = self.low.load(Ordering::Acquire);
        u64::from(self.high.load(Ordering::Acquire)) << 32 | u64::from(low)
    }

    /// Stores without ordering.
    #[inline(always)]
    pub fn store(&self, value: u64) {
        self.high.store((value >> 32) as u32, Ordering::Relaxed);
        self.low.store(value as u32, Ordering::Relaxed);
    }

    /// Stores after everything stored before. Both halves release: the phase of a segment is in the upper half, the callsite
    /// of a record in the lower.
    #[inline(always)]
    pub fn store_release(&self, value: u64) {
        self.high.store((value >> 32) as u32, Ordering::Release);
        self.low.store(value as u32, Ordering::Release);
    }

    /// Adds `n`, wrapping, and returns the value before. A reader may see the carry late.
    #[inline]
    pub fn add(&self, n: u64) -> u64 {
        let low = self.low.fetch_add(n as u32, Ordering::Relaxed);
        let carry = u32::from(low.checked_add(n as u32).is_none());
        let high = self.high.fetch_add((n >> 32) as u32 + carry, Ordering::Relaxed);
        u64::from(high) << 32 | u64::from(low)
    }

    /// Raises the word to `value` if it is lower. A context that nests between load and store and raises it further is undone;
    /// callers raise with readings of a clock, so the next one repairs that.
    #[inline]
    pub fn raise(&self, value: u64) {
        if self.load() < value {
            self.store(value);
        }
    }

    /// Sets bits.
    #[inline]
    pub fn set_bits(&self, bits: u64) {
        self.high.fetch_or((bits >> 32) as u32, Ordering::Relaxed);
        self.low.fetch_or(bits as u32, Ordering::Relaxed);
    }

    /// Loads the lower half without ordering.
    #[inline(always)]
    pub(crate) fn load_low(&self) -> u32 {
        self.low.load(Ordering::Relaxed)
    }

    /// Loads the upper half without ordering.
    #[inline(always)]
    pub(crate) fn load_high(&self) -> u32 {
        self.high.load(Ordering::Relaxed)
    }

    /// Stores the lower half in a word whose upper half does not matter, without ordering. Nobody else writes the word.
    #[inline(always)]
    pub(crate) fn mark_low(&self, low: u32) {
        self.low.store(low, Ordering::Relaxed);
    }

    /// Stores both halves after everything stored before, the lower one last. Nobody else writes the word.
    #[inline(always)]
    pub(crate) fn publish(&self, low: u32, high: u32) {
        self.high.store(high, Ordering::Relaxed);
        self.low.store(low, Ordering::Release);
    }

    /// Stores the lower half, after everything stored before.
    #[inline(always)]
    pub(crate) fn store_low_release(&self, low: u32) {
        self.low.store(low, Ordering::Release);
    }

    /// Replaces the lower half if it is `current`; else gives what it is. Acquires in both cases, and releases.
    #[inline]
    pub(crate) fn swap_low(&self, current: u32, new: u32) -> Result<(), u32> {
        self.low.compare_exchange(current, new, Ordering::AcqRel, Ordering::Acquire).map(drop)
    }

    /// As [`swap_low`](Self::swap_low), but may fail though the half is `current`, and only acquires: for loops.
    #[inline(always)]
    pub(crate) fn swap_low_weak(&self, current: u32, new: u32) -> Result<(), u32> {
        self.low.compare_exchange_weak(current, new, Ordering::Acquire, Ordering::Relaxed).map(drop)
    }

    /// Adds `n` to the upper half, after everything stored before.
    #[inline]
    pub(crate) fn add_high_release(&self, n: u32) {
        self.high.fetch_add(n, Ordering::Release);
    }
}

/// A fence as loom knows it, or the real one.
#[inline(always)]
pub(crate) fn fence_acquire() {
    #[cfg(loom)]
    loom::sync::atomic::fence(Ordering::Acquire);
    #[cfg(not(loom))]
    core::sync::atomic::fence(Ordering::Acquire);
}

/// As [`fence_acquire`], for stores.
#[inline(always)]
pub(crate) fn fence_release() {
    #[cfg(loom)]
    loom::sync::atomic::fence(Ordering::Release);
    #[cfg(not(loom))]
    core::sync::atomic::fence(Ordering::Release);
}

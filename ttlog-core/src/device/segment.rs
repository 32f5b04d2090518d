//! Segments as the writer of devices sees them: what a reservation fills, and how a segment is closed and claimed.

use portable_atomic::Ordering;

use crate::memory::word::{Word, fence_cores};
use crate::record::packed::byte_sum;
use crate::record::{RESERVED, device_reservation};
use crate::ring::layout::{SEGMENT_HEADER_WORDS, commit, segment_word};

/// Flags of a segment that takes reservations: shared, and no other.
pub(super) const OPEN: u32 = commit::SHARED >> commit::FLAGS_SHIFT;

/// Header of a segment that takes no reservations, used where there is no current segment. It is never written, so it
/// need not be in RAM. In a model, null stands for it.
#[cfg(not(any(loom, miri)))]
static NO_SEGMENT: [u64; SEGMENT_HEADER_WORDS] = {
    let mut words = [0; SEGMENT_HEADER_WORDS];
    words[segment_word::COMMIT] = commit::CLOSED as u64;
    words
};

/// As above, but in writable memory: Miri applies a rule, not settled yet, that references to words must point to
/// writable memory even if nothing is written.
#[cfg(miri)]
static NO_SEGMENT: [Word; SEGMENT_HEADER_WORDS] = {
    let mut words = [const { Word::new(0) }; SEGMENT_HEADER_WORDS];
    words[segment_word::COMMIT] = Word::new(commit::CLOSED as u64);
    words
};

/// Returns `NO_SEGMENT` as a segment.
pub(super) const fn none() -> *const Word {
    #[cfg(not(loom))]
    return NO_SEGMENT.as_ptr().cast();
    #[cfg(loom)]
    core::ptr::null()
}

/// Returns the commit word of a segment, or of `NO_SEGMENT`, which is closed. `None` stands for `NO_SEGMENT` in a
/// model.
#[inline(always)]
pub(super) fn commit_word<'a>(segment: *const Word) -> Option<&'a Word> {
    if cfg!(loom) && segment.is_null() {
        return None;
    }
    // SAFETY: a word of the header of a segment, or of NO_SEGMENT; both live as long as anybody holds this address.
    Some(unsafe { &*segment.add(segment_word::COMMIT) })
}

/// A reservation: the place of its record, and the values for its header.
pub(super) struct Reserved {
    pub(super) record: *const Word,
    /// Time of the clock, in place of a delta.
    pub(super) ticks: u32,
}

impl Reserved {
    /// Fills the reservation and publishes the record.
    #[inline(always)]
    pub(super) fn fill(self, callsite: u32, payload_words: u8, xor: u64, put: impl FnOnce(&[Word])) {
        let Reserved { record, ticks } = self;
        // SAFETY: the record and its payload were reserved.
        let (header, words) =
            unsafe { (&*record, core::slice::from_raw_parts(record.add(1), usize::from(payload_words))) };
        let low = callsite | u32::from(payload_words) << 16 | ticks << 24;
        let high = ticks >> 8;
        let others = (u64::from(low) | u64::from(high) << 32) ^ xor;
        let high = high | u32::from(byte_sum(others)) << 24;
        #[cfg(ttlog_mutant_commit_first)]
        header.publish(low, high);
        #[cfg(not(ttlog_mutant_commit_first))]
        header.mark_low(device_reservation(payload_words));
        order_stores(); // a reader that sees any other word of the reservation sees this header
        put(words);
        #[cfg(not(ttlog_mutant_commit_first))]
        header.publish(low, high);
    }
}

/// Keeps stores in order for other contexts and other cores.
#[inline(always)]
pub(super) fn order_stores() {
    fence_cores(Ordering::Release);
}

/// Ends reservations in a segment.
pub(super) fn close(segment: *const Word) {
    let Some(word) = commit_word(segment) else { return };
    let mut now = word.load_low();
    // Bounded: each failure is another context's reservation, and the segment is finite.
    while now >> commit::FLAGS_SHIFT == OPEN {
        match word.swap_low(now, now | commit::CLOSED) {
            Ok(()) => return,
            Err(changed) => now = changed,
        }
    }
}

/// Claims a segment that takes no reservations and has none in progress, and returns the number of events in it.
pub(super) fn claim(header: &[Word; SEGMENT_HEADER_WORDS], records: &[Word], boot: u32) -> Option<u32> {
    let word = &header[segment_word::COMMIT];
    let now = word.load_low();
    if now & commit::OWNED != 0 || now >> commit::FLAGS_SHIFT == OPEN {
        return None;
    }
    word.swap_low(now, now | commit::OWNED).ok()?;
    // Claimed first, so that nobody opens it, fills it to the same point and leaves a reservation there during the
    // scan. In a segment of another session nothing is in progress, whatever its records look like.
    let is_of_session = || header[segment_word::CONTEXT].load_low() == boot;
    let looks = cfg!(not(ttlog_mutant_under_way));
    if looks && !is_alone() && is_of_session() && is_any_under_way(records, commit::offset(now)) {
        // Only the owner changes a claimed segment.
        let _ = word.swap_low(now | commit::OWNED, now);
        return None;
    }
    fence_cores(Ordering::Acquire); // the loads of the records come before the stores that replace them
    Some(commit::count(now))
}

/// Returns whether no other context can be interrupted in a log call. This holds on one core, in thread mode on the
/// main stack: such code never runs by interrupting other code, and systems with threads give each thread its own
/// stack, which is the process stack.
///
/// Source: ARMv7-M Architecture Reference Manual (DDI 0403E.e), B1.3.1 and B1.4.2 to B1.4.4 (IPSR, CONTROL); ARMv6-M
/// (DDI 0419E) likewise.
#[inline(always)]
fn is_alone() -> bool {
    #[cfg(all(
        target_arch = "arm",
        ttlog_device_callsites,
        feature = "single-core",
        not(feature = "critical-section")
    ))]
    {
        let (exception, control): (u32, u32);
        // SAFETY: reads two registers.
        unsafe {
            core::arch::asm!("mrs {}, IPSR", "mrs {}, CONTROL", out(reg) exception, out(reg) control,
                options(nomem, nostack, preserves_flags));
        }
        const SPSEL: u32 = 2;
        exception == 0 && control & SPSEL == 0
    }
    #[cfg(not(all(
        target_arch = "arm",
        ttlog_device_callsites,
        feature = "single-core",
        not(feature = "critical-section")
    )))]
    false
}

/// Returns whether a reservation is in progress in the first `used` words of a segment's records.
fn is_any_under_way(records: &[Word], used: usize) -> bool {
    let end = records.as_ptr_range().end.min(records.as_ptr().wrapping_add(used));
    let mut at = records.as_ptr();
    while at < end {
        // SAFETY: before the end of the records.
        let low = unsafe { &*at }.load_low();
        // Of the two reserved callsites, one is the highest number and the other is 0.
        if low.wrapping_add(1) & 0xFFFF <= 1 && (low == 0 || low as u16 == RESERVED) {
            return true;
        }
        // A damaged length can lead past the end of the records.
        at = at.wrapping_add(1 + (low >> 16 & 0xFF) as usize);
    }
    false
}

//! The memory that the rings of all children of `fork` share, in memory that the whole family of processes sees.
//!
//! Each ring file of a child is a claim in a slot, for as long as the *file* exists: the ring of a dead child takes as
//! much memory as that of a living one, until it becomes a snapshot. So a claim names its file by its inode, and
//! whoever looks after the family ([`Budget::take_sweep`]) frees the claims whose file is gone. The children of a
//! prefork server often claim at the same moment; each checks the sum after its own claim, and takes less if the sum is
//! too large.
//!
//! Claiming is async-signal-safe: atomics, bounded loops, no system call.

use std::collections::BTreeSet;
use std::os::unix::fs::DirEntryExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::sys::report::Reported;

/// Number of claims; further children have their rings in memory.
const SLOT_COUNT: usize = 1024;
/// Share of what is left that a single ring can take, so that the last children have rings as well.
const SHARE: u64 = 8;
/// Least time between two sweeps, in nanoseconds.
const SWEEP_INTERVAL_NS: u64 = 1_000_000_000;

/// File of a claim whose ring file does not exist yet.
const NO_FILE: u64 = 0;
/// The same, seen by a sweep: if the next one still sees it, its process died in between.
const NO_FILE_SEEN: u64 = u64::MAX;

/// Claims of the children of one family, and what was reported about them. In shared memory.
pub(crate) struct Budget {
    /// Bytes for all claims together. Set before the memory is shared.
    total: AtomicU64,
    slots: [Slot; SLOT_COUNT],
    /// The trouble that was reported by any of them.
    pub(crate) reported: Reported,
    /// Whether claims became scarce since the last sweep.
    is_scarce: AtomicBool,
    /// Time of the last sweep, in nanoseconds of the monotonic clock.
    swept_at: AtomicU64,
}

struct Slot {
    /// Claimed bytes; 0 if the slot is free.
    len: AtomicU64,
    /// Inode of the ring file, [`NO_FILE`] or [`NO_FILE_SEEN`].
    file: AtomicU64,
}

/// A claim that was made by this process.
#[derive(Clone, Copy)]
pub(crate) struct Claim {
    slot: &'static Slot,
    /// Claimed bytes.
    pub(crate) len: u64,
}

impl Claim {
    /// Ties the claim to its ring file.
    pub(crate) fn settle(&self, inode: u64) {
        self.slot.file.store(inode, Ordering::Release);
    }

    /// Reduces the claim to `len` bytes, at least one.
    pub(crate) fn shrink(&self, len: u64) {
        self.slot.len.store(len.max(1), Ordering::Release);
    }

    /// Returns the claim to the budget: there is no file.
    pub(crate) fn release(&self) {
        self.slot.file.store(NO_FILE, Ordering::Release);
        self.slot.len.store(0, Ordering::Release);
    }
}

impl Budget {
    /// Creates the budget of a new family in memory that its children share; `None` if there is none.
    pub(crate) fn new(total: u64) -> Option<&'static Self> {
        let place = crate::sys::map_family(size_of::<Budget>()).ok()?.cast::<Budget>();
        // SAFETY: the mapping is long enough, aligned to a page, never unmapped and known to nobody else. It is zero,
        // which is a valid value of each atomic. Other processes access it by the same atomics only.
        let budget = unsafe { place.as_ref() };
        budget.total.store(total, Ordering::Relaxed);
        Some(budget)
    }

    /// Returns the bytes for all rings together.
    pub(crate) fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    /// Claims `wanted` bytes for a ring, or less if little is left; `None` if less than `least` is left.
    pub(crate) fn claim(&'static self, wanted: u64, least: u64) -> Option<Claim> {
        let left = self.total().saturating_sub(self.claimed());
        let mut len = wanted.min((left / SHARE).max(least));
        if left < self.total() / 2 {
            self.is_scarce.store(true, Ordering::Relaxed);
        }
        if left < least {
            return None;
        }
        let slot = self.slots.iter().find(|slot| {
            slot.len.load(Ordering::Relaxed) == 0
                && slot.len.compare_exchange(0, len, Ordering::AcqRel, Ordering::Relaxed).is_ok()
        })?;
        slot.file.store(NO_FILE, Ordering::Release);
        // Others might have claimed the same bytes. All of them take less then, so the sum falls below the total.
        while self.claimed() > self.total() {
            len = if len / 2 >= least { len / 2 } else { 0 };
            slot.len.store(len, Ordering::Release);
            if len == 0 {
                return None;
            }
        }
        Some(Claim { slot, len })
    }

    /// Returns the bytes of claims whose file does not exist yet.
    pub(crate) fn in_flight(&self) -> u64 {
        let is_in_flight = |slot: &&Slot| [NO_FILE, NO_FILE_SEEN].contains(&slot.file.load(Ordering::Acquire));
        self.slots
            .iter()
            .filter(is_in_flight)
            .fold(0, |sum: u64, slot| sum.saturating_add(slot.len.load(Ordering::Acquire)))
    }

    /// Notes that the ring file with the inode `from` is replaced by the one with the inode `to`, of `len` bytes. If a
    /// sweep has freed the claim, because the old file was in no directory any more, it is made anew, whatever is left.
    pub(crate) fn move_claim(&self, from: u64, to: u64, len: u64) {
        let is_it = |slot: &&Slot| slot.file.compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed).is_ok();
        if self.slots.iter().any(|slot| is_it(&slot)) {
            return;
        }
        let is_free =
            |slot: &&Slot| slot.len.compare_exchange(0, len.max(1), Ordering::AcqRel, Ordering::Relaxed).is_ok();
        if let Some(slot) = self.slots.iter().find(is_free) {
            slot.file.store(to, Ordering::Release);
        }
    }

    fn claimed(&self) -> u64 {
        self.slots.iter().fold(0, |sum: u64, slot| sum.saturating_add(slot.len.load(Ordering::Acquire)))
    }

    /// Returns whether it is the caller's turn to recover the rings of dead processes, and then to
    /// [free](Self::free_gone) their claims: claims are scarce, and nobody has done it for a second.
    pub(crate) fn take_sweep(&self, now_ns: u64) -> bool {
        let swept_at = self.swept_at.load(Ordering::Relaxed);
        self.is_scarce.load(Ordering::Relaxed)
            && (swept_at == 0 || now_ns.saturating_sub(swept_at) >= SWEEP_INTERVAL_NS)
            && self
                .swept_at
                .compare_exchange(swept_at, now_ns.max(1), Ordering::Relaxed, Ordering::Relaxed)
                .is_ok_and(|_| self.is_scarce.swap(false, Ordering::Relaxed))
    }

    /// Frees the claims whose file is gone from the directory of the rings. `is_last`: whether it is the last call of
    /// this sweep.
    pub(crate) fn free_gone(&self, directory: &Path, is_last: bool) {
        if let Ok(entries) = std::fs::read_dir(directory) {
            self.free_absent(&entries.flatten().map(|entry| entry.ino()).collect(), is_last);
        }
    }

    /// Frees the claims whose file is not among `inodes`.
    fn free_absent(&self, inodes: &BTreeSet<u64>, is_last: bool) {
        for slot in &self.slots {
            let len = slot.len.load(Ordering::Acquire);
            let file = slot.file.load(Ordering::Acquire);
            let is_gone = match file {
                NO_FILE | NO_FILE_SEEN if !is_last => false,
                NO_FILE => {
                    // Its process is about to create the file, unless it was killed: the next sweep knows.
                    let _ = slot.file.compare_exchange(NO_FILE, NO_FILE_SEEN, Ordering::AcqRel, Ordering::Relaxed);
                    false
                }
                NO_FILE_SEEN => true,
                inode => !inodes.contains(&inode),
            };
            if len > 0 && is_gone {
                // Its next owner must not find a file in it. If the length changes meanwhile, its owner is at work.
                slot.file.store(NO_FILE, Ordering::Release);
                let _ = slot.len.compare_exchange(len, 0, Ordering::AcqRel, Ordering::Relaxed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: u64 = 1024;

    fn claims(budget: &'static Budget, wanted: u64, least: u64) -> Vec<u64> {
        std::iter::from_fn(|| budget.claim(wanted, least)).take(SLOT_COUNT + 1).map(|claim| claim.len).collect()
    }

    #[test]
    fn rings_get_smaller_before_there_are_none() {
        let budget = Budget::new(16 << 20).unwrap();
        let lens = claims(budget, 256 * KIB, 64 * KIB);
        assert!(lens.iter().sum::<u64>() <= 16 << 20, "{lens:?}");
        assert!(lens.iter().filter(|len| **len == 256 * KIB).count() >= 56, "{lens:?}");
        assert!(lens.len() > 64 && lens.is_sorted_by(|a, b| a >= b), "{lens:?}");
        assert!(*lens.last().unwrap() >= 64 * KIB, "{lens:?}");
        assert_eq!(claims(budget, 256 * KIB, 64 * KIB), []);
        assert_eq!(claims(Budget::new(0).unwrap(), 256 * KIB, 64 * KIB), []);
    }

    #[test]
    fn claims_at_the_same_moment_stay_within_the_total() {
        let budget = Budget::new(1 << 20).unwrap();
        let claim = || std::thread::spawn(|| budget.claim(512 * KIB, 16 * KIB).map(|claim| claim.len));
        let threads: Vec<_> = (0..64).map(|_| claim()).collect();
        let sum: u64 = threads.into_iter().filter_map(|thread| thread.join().unwrap()).sum();
        assert!(sum > 0 && sum <= 1 << 20 && sum == budget.claimed(), "{sum}");
    }

    #[test]
    fn number_of_claims_is_bounded() {
        let budget = Budget::new(u64::MAX).unwrap();
        assert_eq!(claims(budget, 1, 1).len(), SLOT_COUNT);
    }

    #[test]
    fn claim_lasts_as_long_as_its_file() {
        let budget = Budget::new(4 * KIB).unwrap();
        let [first, second, third, _] = [7, 8, 0, 9].map(|inode| {
            let claim = budget.claim(KIB, KIB).unwrap();
            claim.settle(inode);
            claim
        });
        assert!(budget.claim(KIB, KIB).is_none());
        assert_eq!(budget.in_flight(), KIB);
        budget.free_absent(&BTreeSet::from([7, 9]), true);
        assert_eq!((first.slot.len.load(Ordering::Relaxed), second.slot.len.load(Ordering::Relaxed)), (KIB, 0));
        assert_eq!(third.slot.len.load(Ordering::Relaxed), KIB, "its file might be about to be created");
        budget.free_absent(&BTreeSet::from([7, 9]), false);
        assert_eq!(budget.claimed(), 3 * KIB);
        budget.free_absent(&BTreeSet::from([7, 9]), true);
        assert_eq!(budget.claimed(), 2 * KIB);
        budget.move_claim(9, 10, KIB);
        budget.free_absent(&BTreeSet::from([7, 10]), false);
        assert_eq!(budget.claimed(), 2 * KIB, "the ring has moved to another file");
        budget.free_absent(&BTreeSet::from([7]), false);
        budget.move_claim(10, 11, KIB);
        assert_eq!(budget.claimed(), 2 * KIB, "a sweep came between");
        first.release();
        assert_eq!(budget.claimed(), KIB);
    }

    #[test]
    fn sweep_is_the_turn_of_one_at_a_time() {
        let budget = Budget::new(4 * KIB).unwrap();
        assert!(!budget.take_sweep(5), "nothing is scarce");
        assert_eq!(claims(budget, KIB, KIB), [KIB; 4]);
        assert_eq!([5, 6, SWEEP_INTERVAL_NS + 5].map(|now| budget.take_sweep(now)), [true, false, false]);
        assert!(budget.claim(KIB, KIB).is_none());
        assert!(!budget.take_sweep(SWEEP_INTERVAL_NS + 4) && budget.take_sweep(SWEEP_INTERVAL_NS + 5));
    }
}

//! Anchors of a ring: allocation of slots so that recent events are dated precisely and old ones still roughly.
//!
//! # Format
//! docs/format.md §2.2. A reader uses all intact anchors; only the writer cares about the choice of slots.

use crate::clock::Anchor;
use crate::memory::crc::crc32;
use crate::memory::kill::kill_point;
use crate::ring::Ring;
use crate::ring::layout::{ANCHOR_WORDS, header_word};

/// Minimum number of slots for tiers.
const TIERED_MIN: u64 = 64;
/// Number of anchors of a tier per anchor of the next tier.
const TIER_STRIDE: u64 = 60;
/// Range of slots of a tier. Slot 0 belongs to the first anchor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tier {
    first: u64,
    count: u64,
}

/// The slots of a ring with tiers.
struct Tiers {
    /// Every anchor not in another tier: with one per second and 1,024 slots, the last 7 minutes.
    newest: Tier,
    /// Every 60th anchor: the last 4 hours.
    sixtieth: Tier,
    /// Every 3,600th anchor: the last 10 days.
    oldest: Tier,
    /// Pairs of anchors around steps of the wall clock.
    steps: Tier,
}

impl Tiers {
    /// Divides the slots among the tiers. Returns `None` if there are too few.
    fn of(anchor_count: u64) -> Option<Self> {
        if anchor_count < TIERED_MIN {
            return None;
        }
        let (quarter, sixteenth) = (anchor_count / 4, anchor_count / 16);
        let newest = Tier { first: 1, count: anchor_count - 1 - 2 * quarter - sixteenth };
        let sixtieth = Tier { first: newest.first + newest.count, count: quarter };
        let oldest = Tier { first: sixtieth.first + quarter, count: quarter };
        Some(Tiers { newest, sixtieth, oldest, steps: Tier { first: oldest.first + quarter, count: sixteenth } })
    }
}

/// Returns the slot of the `n`-th anchor (from 0) in a ring of `anchor_count` slots, or `None` if it has none.
fn slot_of(n: u64, anchor_count: u64) -> Option<u64> {
    // Zero-based rank of k among the numbers from 1 on that no higher tier takes.
    let rank = |k: u64| k - 1 - (k - 1) / TIER_STRIDE;
    let (tier, index) = match (n, anchor_count) {
        (_, 0) => return None,
        (0, _) => return Some(0),
        (_, 1) => return None, // the first anchor stays forever
        _ => match Tiers::of(anchor_count) {
            None => (Tier { first: 1, count: anchor_count - 1 }, n - 1),
            Some(tiers) => match (n / TIER_STRIDE, n / TIER_STRIDE / TIER_STRIDE) {
                (_, hours) if n.is_multiple_of(TIER_STRIDE * TIER_STRIDE) => (tiers.oldest, hours - 1),
                (minutes, _) if n.is_multiple_of(TIER_STRIDE) => (tiers.sixtieth, rank(minutes)),
                _ => (tiers.newest, rank(n)),
            },
        },
    };
    Some(tier.first + index % tier.count)
}

impl Ring<'_> {
    /// Writes an anchor. Only one caller at a time. Does nothing in a ring without slots for anchors.
    ///
    /// The first anchor stays forever. Of the others, a ring with 64 slots or more retains the latest, every 60th of
    /// older ones, and every 3,600th. With one anchor per second, the time of day is known to the second for minutes,
    /// to the minute for hours, and to the hour for days (and between two anchors, as precisely as the clock is
    /// steady). A smaller ring retains the latest.
    ///
    /// # Format
    /// docs/format.md §2.2.
    pub fn write_anchor(&self, anchor: Anchor) {
        let n = self.anchors_written();
        if let Some(slot) = slot_of(n, self.anchor_count.into()) {
            self.put_anchor(slot, n, anchor);
        }
    }

    /// Writes the anchors around a step of the wall clock: the time it would have shown at a moment, and the time it
    /// shows at the next tick. They replace the oldest such pair, so that other anchors do not push them out. Only one
    /// caller at a time, as with [`write_anchor`](Self::write_anchor).
    pub fn write_step(&self, before: Anchor, after: Anchor) {
        let Some(steps) = Tiers::of(self.anchor_count.into()).map(|tiers| tiers.steps) else {
            self.write_anchor(before);
            self.write_anchor(after);
            return;
        };
        for anchor in [before, after] {
            let stamp = |slot: &u64| self.words[self.slot_start(*slot)].load() as u32;
            let oldest = (steps.first..steps.first + steps.count).min_by_key(stamp);
            self.put_anchor(oldest.unwrap_or(steps.first), self.anchors_written(), anchor);
        }
    }

    fn anchors_written(&self) -> u64 {
        self.header(header_word::ANCHORS_WRITTEN).load()
    }

    /// Stores the `n`-th anchor in a slot. A reader finds the previous anchor, none, or this one.
    fn put_anchor(&self, slot: u64, n: u64, anchor: Anchor) {
        let start = self.slot_start(slot);
        let [stamp, ticks, unix_ns] = [start, start + 1, start + 2].map(|index| &self.words[index]);
        stamp.store_release(0);
        kill_point!(AnchorVoided);
        crate::memory::word::fence_release();
        ticks.store(anchor.ticks);
        kill_point!(AnchorTicks);
        unix_ns.store(anchor.unix_ns as u64);
        kill_point!(AnchorTime);
        stamp.store_release(encode_anchor_stamp(n, anchor));
        kill_point!(AnchorStamped);
        self.header(header_word::ANCHORS_WRITTEN).store_release(n + 1);
        kill_point!(AnchorCounted);
    }

    /// Iterates over the anchors, in the order of their slots.
    pub fn anchors(&self) -> impl Iterator<Item = Anchor> + use<'_> {
        let slots = &self.words[self.slot_start(0)..self.slot_start(self.anchor_count.into())];
        slots.chunks_exact(ANCHOR_WORDS).filter_map(|slot| {
            let stamp = slot[0].load_acquire();
            let anchor = Anchor { ticks: slot[1].load(), unix_ns: slot[2].load() as i64 };
            // An anchor that is replaced meanwhile has a different CRC.
            (stamp as u32 != 0 && (stamp >> 32) as u32 == anchor_crc(anchor)).then_some(anchor)
        })
    }
}

/// Returns the stamp word of the `n`-th anchor.
fn encode_anchor_stamp(n: u64, anchor: Anchor) -> u64 {
    u64::from(n as u32 + 1) | u64::from(anchor_crc(anchor)) << 32
}

pub(crate) fn anchor_crc(anchor: Anchor) -> u32 {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&anchor.ticks.to_le_bytes());
    bytes[8..].copy_from_slice(&anchor.unix_ns.to_le_bytes());
    crc32(&bytes)
}

#[cfg(all(test, not(loom)))]
mod tests;

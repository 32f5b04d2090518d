use std::collections::BTreeSet;
use std::vec;
use std::vec::Vec;

use super::*;
use crate::memory::word::Word;
use crate::ring::{RingConfig, RingImage, SERVER_ANCHOR_COUNT};

const SECOND: i64 = 1_000_000_000;

fn anchor(n: u64) -> Anchor {
    Anchor { ticks: n, unix_ns: n as i64 * SECOND }
}

fn memory(anchor_count: u32) -> (Vec<Word>, RingConfig) {
    let config = RingConfig { segment_len: 128, table_len: 0, anchor_count, ..RingConfig::for_capacity(65_536, 1) };
    ((0..config.overhead_len() / 8 + 16).map(|_| Word::new(0)).collect(), config)
}

/// Returns the ticks of the anchors in a ring after `write`, as read from its bytes.
fn ticks_after(anchor_count: u32, write: impl Fn(&Ring<'_>)) -> BTreeSet<u64> {
    let (words, config) = memory(anchor_count);
    let ring = Ring::create(&words, &config).unwrap();
    write(&ring);
    let mut bytes = vec![0; ring.len_bytes()];
    ring.copy_image(&mut bytes);
    let image = RingImage::parse(&bytes).unwrap();
    assert!(image.anchors().eq(ring.anchors()), "from its bytes and in place");
    let found: Vec<_> = image.anchors().map(|found| found.ticks).collect();
    let ticks: BTreeSet<_> = found.iter().copied().collect();
    assert_eq!(found.len(), ticks.len(), "no anchor occurs twice");
    ticks
}

#[test]
fn small_ring_keeps_the_first_and_the_latest() {
    let write = |ring: &Ring<'_>| (0..9).for_each(|n| ring.write_anchor(anchor(n)));
    assert_eq!(ticks_after(0, write), BTreeSet::new());
    assert_eq!(ticks_after(1, write), BTreeSet::from([0]));
    assert_eq!(ticks_after(2, write), BTreeSet::from([0, 8]));
    assert_eq!(ticks_after(4, write), BTreeSet::from([0, 6, 7, 8]));
}

#[test]
fn tiers_fill_the_slots_and_do_not_overlap() {
    for anchor_count in [64, 65, 100, 682, 1024, 65_536] {
        let Tiers { newest, sixtieth, oldest, steps } = Tiers::of(anchor_count).unwrap();
        let mut next = 1;
        for tier in [newest, sixtieth, oldest, steps] {
            assert_eq!(tier.first, next);
            assert!(tier.count > 1, "of {anchor_count}");
            next += tier.count;
        }
        assert_eq!(next, anchor_count);
    }
}

#[test]
#[cfg_attr(miri, ignore = "a million anchors")]
fn seconds_minutes_and_hours_stay_for_their_time() {
    // Twelve days, one anchor a second.
    let days_12 = 12 * 86_400_u64;
    let ticks = ticks_after(SERVER_ANCHOR_COUNT as u32, |ring| (0..days_12).for_each(|n| ring.write_anchor(anchor(n))));
    let last = days_12 - 1;
    for (age, gap) in [(7 * 60, 1), (4 * 3600, 60), (10 * 86_400, 3600)] {
        let found: Vec<_> = ticks.range(last - age..).copied().collect();
        assert!(found[0] - (last - age) <= gap, "the oldest of the last {age} s");
        assert!(found.windows(2).all(|pair| pair[1] - pair[0] <= gap), "the last {age} s to {gap} s");
    }
    assert!(ticks.contains(&0), "the first one stays");
    assert!(ticks.len() > 900 && ticks.len() <= SERVER_ANCHOR_COUNT);
}

#[test]
#[cfg_attr(miri, ignore = "ten thousand anchors")]
fn steps_are_not_pushed_out_by_other_anchors() {
    let ticks = ticks_after(64, |ring| {
        ring.write_anchor(anchor(0));
        ring.write_step(anchor(1), anchor(2));
        ring.write_step(anchor(3), anchor(4));
        (5..10_000).for_each(|n| ring.write_anchor(anchor(n)));
    });
    assert!([1, 2, 3, 4].iter().all(|tick| ticks.contains(tick)), "{ticks:?}");
    // If there are more steps than room, the latest pairs stay.
    let ticks = ticks_after(64, |ring| {
        (0..100).for_each(|n| ring.write_anchor(anchor(n)));
        (100..200).for_each(|n| ring.write_step(anchor(2 * n), anchor(2 * n + 1)));
    });
    assert_eq!(ticks.range(100..).copied().collect::<Vec<_>>(), [396, 397, 398, 399]);
}

#[test]
fn small_ring_takes_steps_as_anchors() {
    let ticks = ticks_after(4, |ring| {
        ring.write_anchor(anchor(0));
        ring.write_step(anchor(1), anchor(2));
    });
    assert_eq!(ticks, BTreeSet::from([0, 1, 2]));
}

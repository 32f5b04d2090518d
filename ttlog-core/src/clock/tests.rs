use std::vec::Vec;

use super::*;

const SECOND: i64 = 1_000_000_000;
const A: Anchor = Anchor { ticks: 1_000, unix_ns: 5 * SECOND };
const B: Anchor = Anchor { ticks: 3_000, unix_ns: 6 * SECOND };

fn scale(anchors: &[Anchor], ticks_per_second: u64) -> TimeScale {
    TimeScale::new(anchors, ticks_per_second)
}

/// Returns the anchors of a clock with 1,000 ticks per second, given in ticks and milliseconds.
fn milliseconds<const N: usize>(anchors: [(u64, i64); N]) -> [Anchor; N] {
    anchors.map(|(ticks, ms)| Anchor { ticks, unix_ns: ms * 1_000_000 })
}

#[test]
fn between_and_outside_anchors() {
    // The stated rate is off by a thousandth; the anchors are accurate.
    let scale = scale(&[B, A], 2_002);
    assert_eq!(scale.unix_ns(1_000), 5_000_000_000);
    assert_eq!(scale.unix_ns(2_000), 5_500_000_000);
    assert_eq!(scale.unix_ns(5_000), 7_000_000_000, "the rate of the anchors, not of the calibration");
    assert_eq!(scale.unix_ns(0), 4_500_000_000);
    assert_eq!(scale.steps().count(), 0);
}

#[test]
fn one_anchor_uses_the_calibration() {
    assert_eq!(scale(&[A], 2_000).unix_ns(3_000), 6_000_000_000);
    assert_eq!(scale(&[], 2_000).unix_ns(4_000), 2_000_000_000);
    assert_eq!(scale(&[], 0).unix_ns(77), 77);
}

#[test]
fn unknown_rate_is_that_of_the_anchors() {
    let scale = scale(&[A, B], 0);
    assert_eq!(scale.unix_ns(2_000), 5_500_000_000);
    assert_eq!(scale.unix_ns(5_000), 7_000_000_000);
    assert_eq!(scale.steps().count(), 0);
}

#[test]
fn wrongly_stated_rate_is_outvoted_by_the_intervals() {
    let anchors = milliseconds([(0, 0), (1_000, 1_000), (2_000, 2_000), (3_000, 3_000)]);
    let scale = scale(&anchors, 1_300);
    assert_eq!(scale.unix_ns(1_500), 3 * SECOND / 2);
    assert_eq!(scale.steps().count(), 0);
}

#[test]
fn extrapolation_goes_on_at_the_rate_of_its_end() {
    // The clock is disciplined meanwhile: in the end, a tick is 0.1 per mille longer.
    let anchors = [(0, 0), (10_000, 10_000_000_000), (20_000, 20_000_500_000), (30_000, 30_001_500_000)]
        .map(|(ticks, unix_ns)| Anchor { ticks, unix_ns });
    let scale = scale(&anchors, 1_000);
    assert_eq!(scale.unix_ns(40_000), 30_001_500_000 + 10_001_000_000);
    let before = milliseconds([(1_000, 9_000), (11_000, 19_000), (21_000, 29_001)]);
    assert_eq!(TimeScale::<8>::new(&before, 1_000).unix_ns(0), 8 * SECOND);
}

#[test]
fn step_back_is_found_between_its_anchors() {
    let anchors = milliseconds([(0, 100_000), (1_000, 101_000), (1_700, 101_700), (1_701, 41_701), (2_000, 42_000)]);
    let scale = scale(&anchors, 1_000);
    assert_eq!(scale.unix_ns(1_699), 101_699_000_000);
    assert_eq!(scale.unix_ns(1_701), 41_701_000_000);
    assert_eq!(scale.unix_ns(1_800), 41_800_000_000);
    let step = scale.steps().next().unwrap();
    assert_eq!((step.ticks, step.expected_unix_ns, step.unix_ns), (1_701, 101_701_000_000, 41_701_000_000));
    assert_eq!(step.delta_ns(), -60 * SECOND);
    assert_eq!(scale.steps().count(), 1);
    // As if the clock had always been right.
    assert_eq!(scale.smooth_ns(1_699), 41_699_000_000);
    assert_eq!(scale.smooth_ns(500), 40_500_000_000);
    assert_eq!(scale.smooth_ns(2_500), scale.unix_ns(2_500));
    // The step does not distort the rate after the last anchor.
    assert_eq!(scale.unix_ns(4_000), 44 * SECOND);
}

#[test]
fn step_without_anchors_around_it_comes_at_the_next() {
    // The machine slept for an hour while the recording clock stood.
    let anchors = milliseconds([(0, 0), (1_000, 1_000), (2_000, 3_602_000), (3_000, 3_603_000), (4_000, 3_604_000)]);
    let scale = scale(&anchors, 1_000);
    assert_eq!(scale.unix_ns(1_999), 1_999_000_000, "continues at the usual rate");
    assert_eq!(scale.unix_ns(2_000), 3_602 * SECOND);
    assert_eq!(scale.steps().map(|step| step.delta_ns()).collect::<Vec<_>>(), [3_600 * SECOND]);
    assert_eq!(scale.smooth_ns(1_999), 3_601_999_000_000);
}

#[test]
fn slewing_is_no_step() {
    // 500 ppm for ten seconds, as the kernel slews, over anchors each second.
    let anchors: Vec<_> =
        (0..=10).map(|n| Anchor { ticks: n * 1_000, unix_ns: n as i64 * (SECOND + 500_000) }).collect();
    let scale = scale(&anchors, 1_000);
    assert_eq!(scale.steps().count(), 0);
    assert_eq!(scale.unix_ns(5_500), 5 * (SECOND + 500_000) + 500_250_000);
}

#[test]
fn order_is_kept_whatever_the_wall_clock_does() {
    // By a little, by a lot, forward, back, at one tick, between two anchors with the same tick.
    let anchors = milliseconds([
        (0, 50_000),
        (1_000, 51_000),
        (1_001, 51_000),
        (1_002, 50_999),
        (2_000, 52_000),
        (2_000, 99_000),
        (3_000, 40_000),
        (3_001, 90_000),
        (4_000, 91_000),
        (5_000, 92_001),
    ]);
    let step = if cfg!(miri) { 97 } else { 1 };
    for ticks_per_second in [0, 999, 1_000, 1_001] {
        let scale = scale(&anchors, ticks_per_second);
        let keys: Vec<_> = (0..7_000).step_by(step).map(|ticks| scale.smooth_ns(ticks)).collect();
        assert!(keys.is_sorted(), "at {ticks_per_second} ticks per second");
        assert_eq!(scale.smooth_ns(5_000), 92_001_000_000);
    }
}

#[test]
fn more_anchors_than_room_are_thinned() {
    let anchors: Vec<_> = (0..1_000).map(|n| Anchor { ticks: n * 1_000, unix_ns: n as i64 * SECOND }).collect();
    assert_eq!(TimeScale::<10>::new(&anchors, 1_000).unix_ns(500_500), 500_500_000_000);
    assert_eq!(TimeScale::<1>::new(&anchors, 1_000).unix_ns(500_500), 500_500_000_000);
    assert_eq!(TimeScale::<1024>::new(&anchors, 1_000).unix_ns(500_500), 500_500_000_000);
}

#[test]
fn absurd_anchors_saturate() {
    let numbers = [0, 1, u64::MAX / 2, u64::MAX - 1, u64::MAX];
    let times = [i64::MIN, -1, 0, 1, i64::MAX];
    let absurd: Vec<_> = numbers.iter().flat_map(|&ticks| times.map(|unix_ns| Anchor { ticks, unix_ns })).collect();
    let try_all = |anchors: &[Anchor]| {
        for rate in [0, 1, 1_000_000_000, u64::MAX] {
            let scale = scale(anchors, rate);
            for ticks in numbers {
                let _ = (scale.unix_ns(ticks), scale.smooth_ns(ticks)); // does not panic
            }
            scale.steps().for_each(|step| _ = step.delta_ns());
        }
    };
    try_all(&absurd);
    let step = if cfg!(miri) { 7 } else { 1 };
    for a in absurd.iter().step_by(step) {
        for b in absurd.iter().step_by(step) {
            try_all(&[*a, *b]);
            try_all(&[*a, *b, A]);
        }
    }
}

#[test]
fn a_scale_is_no_larger_than_it_must_be() {
    assert!(size_of::<TimeScale>() <= 64 * 32 + 64);
}

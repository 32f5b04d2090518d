//! Clocks, anchors, and the conversion of ticks to wall-clock time, which happens at read time.
//!
//! # Format
//! docs/format.md §2.2.

/// A reading of the recording clock paired with the wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// The recording clock.
    pub ticks: u64,
    /// The wall clock: nanoseconds since 1970-01-01T00:00:00Z.
    pub unix_ns: i64,
}

/// Most anchors a [`TimeScale`] keeps.
pub const TIME_SCALE_ANCHORS: usize = 64;

/// Converts ticks to wall-clock time by anchors.
///
/// Between two anchors it interpolates; before the first and after the last it goes on with the calibrated rate. Anchors may
/// come from a file: whatever they hold, nothing panics or overflows, results saturate.
#[derive(Clone, Debug)]
pub struct TimeScale {
    /// In order of ticks.
    anchors: heapless::Vec<Anchor, TIME_SCALE_ANCHORS>,
    ticks_per_second: u64,
}

impl TimeScale {
    /// Makes a scale from anchors (in any order; of more than 64 the first and every n-th are kept) and the rate as calibrated
    /// when recording started (0: unknown).
    #[must_use]
    pub fn new(anchors: &[Anchor], ticks_per_second: u64) -> Self {
        let step = anchors.len().div_ceil(TIME_SCALE_ANCHORS).max(1);
        let mut kept: heapless::Vec<Anchor, TIME_SCALE_ANCHORS> = anchors.iter().step_by(step).copied().collect();
        kept.sort_unstable_by_key(|anchor| anchor.ticks);
        TimeScale { anchors: kept, ticks_per_second }
    }

    /// Gives the wall-clock time of `ticks` in nanoseconds since 1970; without any anchor, nanoseconds since tick 0; without a
    /// rate either, the ticks.
    #[must_use]
    pub fn unix_ns(&self, ticks: u64) -> i64 {
        let next = self.anchors.partition_point(|anchor| anchor.ticks <= ticks);
        let at = |index: usize| self.anchors.get(index).copied();
        match (next.checked_sub(1).and_then(at), at(next)) {
            (Some(before), Some(after)) => {
                let (span_ticks, span_ns) =
                    (after.ticks - before.ticks, i128::from(after.unix_ns) - i128::from(before.unix_ns));
                let ns = i128::from(ticks - before.ticks) * span_ns / i128::from(span_ticks.max(1));
                saturate(i128::from(before.unix_ns) + ns)
            }
            (Some(only), None) | (None, Some(only)) => {
                let distance = i128::from(ticks) - i128::from(only.ticks);
                saturate(i128::from(only.unix_ns) + self.to_ns(distance))
            }
            (None, None) => saturate(self.to_ns(i128::from(ticks))),
        }
    }

    /// Converts a distance in ticks to nanoseconds by the rate.
    fn to_ns(&self, ticks: i128) -> i128 {
        let (mut span_ticks, mut span_ns) = (i128::from(self.ticks_per_second), 1_000_000_000);
        if let (Some(first), Some(last)) = (self.anchors.first(), self.anchors.last()) {
            // The anchors know the rate better than the calibration once they are far enough apart.
            let (ticks, ns) = (
                i128::from(last.ticks) - i128::from(first.ticks),
                i128::from(last.unix_ns) - i128::from(first.unix_ns),
            );
            if ns >= 100_000_000 && ticks > 0 {
                (span_ticks, span_ns) = (ticks, ns);
            }
        }
        if span_ticks == 0 { ticks } else { ticks * span_ns / span_ticks }
    }
}

fn saturate(ns: i128) -> i64 {
    i64::try_from(ns).unwrap_or(if ns < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Anchor = Anchor { ticks: 1_000, unix_ns: 5_000_000_000 };
    const B: Anchor = Anchor { ticks: 3_000, unix_ns: 6_000_000_000 };

    #[test]
    fn between_and_outside_anchors() {
        let scale = TimeScale::new(&[B, A], 1);
        assert_eq!(scale.unix_ns(1_000), 5_000_000_000);
        assert_eq!(scale.unix_ns(2_000), 5_500_000_000);
        assert_eq!(scale.unix_ns(5_000), 7_000_000_000, "the rate of the anchors, not of the calibration");
        assert_eq!(scale.unix_ns(0), 4_500_000_000);
    }

    #[test]
    fn one_anchor_uses_the_calibration() {
        let scale = TimeScale::new(&[A], 2_000);
        assert_eq!(scale.unix_ns(3_000), 6_000_000_000);
        assert_eq!(TimeScale::new(&[], 2_000).unix_ns(4_000), 2_000_000_000);
        assert_eq!(TimeScale::new(&[], 0).unix_ns(77), 77);
    }

    #[test]
    fn absurd_anchors_saturate() {
        let absurd = [
            Anchor { ticks: 0, unix_ns: i64::MIN },
            Anchor { ticks: u64::MAX, unix_ns: i64::MAX },
            Anchor { ticks: u64::MAX, unix_ns: i64::MIN },
        ];
        for rate in [0, 1, u64::MAX] {
            for count in 0..=absurd.len() {
                let scale = TimeScale::new(&absurd[..count], rate);
                for ticks in [0, 1, u64::MAX / 2, u64::MAX] {
                    let _ = scale.unix_ns(ticks); // does not panic
                }
            }
        }
    }
}

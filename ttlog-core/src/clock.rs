//! Clocks, anchors, and the conversion of ticks to wall-clock time by readers.
//!
//! The recording clock runs evenly. The wall clock can be set, or run on while the recording clock stands still (a
//! suspended machine). A [`TimeScale`] detects such *steps* between the anchors and offers two results: the time that
//! the wall clock showed ([`TimeScale::unix_ns`]), and a time to order by that has no steps ([`TimeScale::smooth_ns`]).
//!
//! # Format
//! docs/format.md §2.2.

/// A reading of the recording clock paired with the wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// Time of the recording clock, in ticks.
    pub ticks: u64,
    /// Time of the wall clock, in nanoseconds since 1970-01-01T00:00:00Z.
    pub unix_ns: i64,
}

/// Default maximum number of anchors in a [`TimeScale`].
pub const TIME_SCALE_ANCHORS: usize = 64;

/// Shortest time between two anchors to derive a rate from, in nanoseconds of wall clock.
const RATE_SPAN_MIN_NS: i128 = 100_000_000;
/// Time between two anchors that makes a rate exact, in nanoseconds of wall clock.
const RATE_SPAN_NS: i128 = 1_000_000_000;
/// Minimum number of intervals for their median to replace the stated rate.
const MEDIAN_INTERVALS_MIN: usize = 3;
/// Tolerated deviation of an interval from the rate, in nanoseconds, besides a thousandth of the interval; more is a
/// step.
const STEP_MIN_NS: i128 = 1_000_000;

/// Converts ticks to wall-clock time using at most `N` anchors of 32 bytes each.
///
/// Between two anchors it interpolates, unless the wall clock was set between them. In that case it continues from the
/// first at the usual rate and jumps at the second. Before the first anchor and after the last it uses the rate of the
/// anchors nearest to that end. Anchors can come from a file: whatever they hold, nothing panics or overflows, and
/// results saturate.
///
/// # Examples
/// ```
/// use ttlog_core::{Anchor, TimeScale};
///
/// // 1,000 ticks per second; the clock is set back by 60 s after two seconds.
/// let anchors = [(0, 100), (1_000, 101), (2_000, 102), (2_001, 42), (3_000, 43)]
///     .map(|(ticks, seconds)| Anchor { ticks, unix_ns: seconds * 1_000_000_000 });
/// let scale = TimeScale::<64>::new(&anchors, 1_000);
/// assert_eq!(scale.unix_ns(1_500), 101_500_000_000);
/// assert!(scale.unix_ns(2_500) < scale.unix_ns(1_500), "the wall clock went back");
/// assert!(scale.smooth_ns(2_500) > scale.smooth_ns(1_500), "the order did not");
/// assert_eq!(scale.steps().map(|step| step.delta_ns() / 1_000_000_000).collect::<Vec<_>>(), [-60]);
/// ```
#[derive(Clone, Debug)]
pub struct TimeScale<const N: usize = TIME_SCALE_ANCHORS> {
    /// Anchors in order of ticks.
    points: heapless::Vec<Point, N>,
    /// Usual rate.
    rate: Rate,
    /// Rate before the first anchor.
    head: Rate,
    /// Rate after the last anchor.
    tail: Rate,
}

/// A step of the wall clock: the clock was set, or it ran on while the recording clock stood still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// First reading of the recording clock after the step. The step happened between the previous anchor and this
    /// reading.
    pub ticks: u64,
    /// Expected time of the wall clock at `ticks`, in nanoseconds since 1970.
    pub expected_unix_ns: i64,
    /// Actual time of the wall clock at `ticks`, in nanoseconds since 1970.
    pub unix_ns: i64,
}

impl Step {
    /// Returns the size of the step in nanoseconds, negative if the wall clock went back. Saturates.
    #[must_use]
    pub fn delta_ns(&self) -> i64 {
        self.unix_ns.saturating_sub(self.expected_unix_ns)
    }
}

/// An anchor and the steps around it.
#[derive(Clone, Copy, Debug)]
struct Point {
    anchor: Anchor,
    /// Whether the interval before this anchor holds a step.
    after_step: bool,
    /// Sum of the steps after this anchor.
    later_ns: i64,
}

/// A rate: nanoseconds per number of ticks.
#[derive(Clone, Copy, Debug)]
struct Rate {
    ns: u64,
    /// Number of ticks, not 0.
    ticks: u64,
}

impl Rate {
    /// Returns the nanoseconds in `ticks`, rounded down; saturates.
    fn ns_of(self, ticks: u64) -> i128 {
        match ticks.checked_mul(self.ns) {
            Some(product) => i128::from(product / self.ticks), // fast path, enough for an interval of a second
            None => {
                let ns = u128::from(ticks) * u128::from(self.ns) / u128::from(self.ticks);
                i128::try_from(ns).unwrap_or(i128::MAX)
            }
        }
    }

    /// Returns the rate between two anchors, where `later_ns` is the sum of the steps between them; `None` if they are
    /// less than `span_ns` of wall clock apart.
    fn between(a: Anchor, b: Anchor, steps_ns: i64, span_ns: i128) -> Option<Rate> {
        let ns = i128::from(b.unix_ns) - i128::from(a.unix_ns) - i128::from(steps_ns);
        let ticks = b.ticks.checked_sub(a.ticks).filter(|ticks| *ticks > 0)?;
        let ns = u64::try_from(ns).ok().filter(|ns| i128::from(*ns) >= span_ns)?;
        Some(Rate { ns, ticks })
    }

    /// Compares two rates; the faster one is greater.
    fn compare(&self, other: &Rate) -> core::cmp::Ordering {
        (u128::from(self.ticks) * u128::from(other.ns)).cmp(&(u128::from(other.ticks) * u128::from(self.ns)))
    }
}

impl<const N: usize> TimeScale<N> {
    /// Creates a scale from anchors and the rate calibrated when recording started (0: unknown). The anchors can be in
    /// any order; of more than `N`, the first and every n-th are used.
    #[must_use]
    pub fn new(anchors: &[Anchor], ticks_per_second: u64) -> Self {
        const { assert!(N > 0, "a scale has room for an anchor") };
        let stride = anchors.len().div_ceil(N).max(1);
        let point = |anchor: &Anchor| Point { anchor: *anchor, after_step: false, later_ns: 0 };
        let mut points: heapless::Vec<Point, N> = anchors.iter().step_by(stride).map(point).collect();
        points.sort_unstable_by_key(|point| (point.anchor.ticks, point.anchor.unix_ns));
        let rate = usual_rate(&points, ticks_per_second);
        find_steps(&mut points, rate);
        let (head, tail) = (head_rate(&points).unwrap_or(rate), tail_rate(&points).unwrap_or(rate));
        TimeScale { points, rate, head, tail }
    }

    /// Returns the wall-clock time of `ticks` in nanoseconds since 1970. Without any anchor, returns nanoseconds since
    /// tick 0; without a rate as well, the ticks.
    #[must_use]
    pub fn unix_ns(&self, ticks: u64) -> i64 {
        saturate(self.at(ticks).0)
    }

    /// Returns a time to order by: the time that a wall clock would have shown that always ran evenly and was as
    /// accurate as at the end. Unless it saturates, it never decreases while the ticks increase. It differs from
    /// [`unix_ns`](Self::unix_ns) only before steps.
    #[must_use]
    pub fn smooth_ns(&self, ticks: u64) -> i64 {
        let (ns, later_ns) = self.at(ticks);
        saturate(ns.saturating_add(i128::from(later_ns)))
    }

    /// Returns the steps of the wall clock, in order.
    pub fn steps(&self) -> impl Iterator<Item = Step> + use<'_, N> {
        self.points.windows(2).filter_map(|pair| match pair {
            [before, after] if after.after_step => Some(Step {
                ticks: after.anchor.ticks,
                expected_unix_ns: saturate(expected_ns(before.anchor, after.anchor, self.rate)),
                unix_ns: after.anchor.unix_ns,
            }),
            _ => None,
        })
    }

    /// Returns the wall-clock time of `ticks`, and the sum of the later steps.
    fn at(&self, ticks: u64) -> (i128, i64) {
        let next = self.points.partition_point(|point| point.anchor.ticks <= ticks);
        let at = |index: usize| self.points.get(index);
        match (next.checked_sub(1).and_then(at), at(next)) {
            (Some(before), Some(after)) => {
                let rate = if after.after_step {
                    self.rate
                } else {
                    // Without a step, time does not go back, and the anchors around `ticks` have different ticks.
                    Rate::between(before.anchor, after.anchor, 0, 0).unwrap_or(self.rate)
                };
                (since(before.anchor, rate, ticks), before.later_ns)
            }
            (Some(last), None) => (since(last.anchor, self.tail, ticks), 0),
            (None, Some(first)) => {
                let ns = self.head.ns_of(first.anchor.ticks.saturating_sub(ticks));
                (i128::from(first.anchor.unix_ns).saturating_sub(ns), first.later_ns)
            }
            (None, None) => (self.rate.ns_of(ticks), 0),
        }
    }
}

/// Returns the wall-clock time of `ticks`, which are at or after the anchor's.
fn since(anchor: Anchor, rate: Rate, ticks: u64) -> i128 {
    rate.ns_of(ticks.saturating_sub(anchor.ticks)).saturating_add(i128::from(anchor.unix_ns))
}

/// Returns the time that the wall clock would show at `b` if it had not been set since `a`.
fn expected_ns(a: Anchor, b: Anchor, rate: Rate) -> i128 {
    since(a, rate, b.ticks)
}

/// Returns the usual rate of the clock. The median of at least three intervals is more accurate than the calibration,
/// whatever steps there were.
fn usual_rate<const N: usize>(points: &heapless::Vec<Point, N>, ticks_per_second: u64) -> Rate {
    let mut rates: heapless::Vec<Rate, N> = points
        .windows(2)
        .filter_map(|pair| Rate::between(pair[0].anchor, pair[1].anchor, 0, RATE_SPAN_MIN_NS))
        .collect();
    if rates.len() >= MEDIAN_INTERVALS_MIN {
        rates.sort_unstable_by(Rate::compare);
        return rates[(rates.len() - 1) / 2];
    }
    if ticks_per_second != 0 {
        return Rate { ns: 1_000_000_000, ticks: ticks_per_second };
    }
    let ends = points.first().zip(points.last());
    ends.and_then(|(first, last)| Rate::between(first.anchor, last.anchor, 0, RATE_SPAN_MIN_NS))
        .unwrap_or(Rate { ns: 1, ticks: 1 })
}

/// Marks the intervals that hold a step, and sums up the steps.
fn find_steps(points: &mut [Point], rate: Rate) {
    let mut later_ns = 0_i64;
    for index in (1..points.len()).rev() {
        let (before, after) = (points[index - 1].anchor, points[index].anchor);
        let length_ns = i128::from(after.unix_ns) - i128::from(before.unix_ns);
        let expected_length_ns = rate.ns_of(after.ticks - before.ticks);
        let jump_ns = length_ns.saturating_sub(expected_length_ns);
        let tolerance_ns = STEP_MIN_NS.saturating_add(expected_length_ns / 1000);
        points[index].after_step = length_ns < 0 || !(-tolerance_ns..=tolerance_ns).contains(&jump_ns);
        if points[index].after_step {
            later_ns = later_ns.saturating_add(saturate(jump_ns));
        }
        points[index - 1].later_ns = later_ns;
    }
}

/// Returns the rate at the start: from the first anchor to the first one at least a second later, or else to the last.
fn head_rate(points: &[Point]) -> Option<Rate> {
    let (first, rest) = points.split_first()?;
    let to = |point: &Point, span_ns| {
        Rate::between(first.anchor, point.anchor, first.later_ns.saturating_sub(point.later_ns), span_ns)
    };
    rest.iter().find_map(|point| to(point, RATE_SPAN_NS)).or_else(|| to(rest.last()?, RATE_SPAN_MIN_NS))
}

/// Returns the rate at the end: from the last anchor at least a second before the final one, or else from the first.
fn tail_rate(points: &[Point]) -> Option<Rate> {
    let (last, rest) = points.split_last()?;
    let from = |point: &Point, span_ns| Rate::between(point.anchor, last.anchor, point.later_ns, span_ns);
    rest.iter().rev().find_map(|point| from(point, RATE_SPAN_NS)).or_else(|| from(rest.first()?, RATE_SPAN_MIN_NS))
}

fn saturate(ns: i128) -> i64 {
    i64::try_from(ns).unwrap_or(if ns < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests;

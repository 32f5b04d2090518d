//! The window: how far back the ring reaches without a gap.
//!
//! A ring has a size and not a duration: how many seconds it holds depends on how much is logged. The window is the
//! current duration, and the service thread warns once if it is shorter than requested.

use std::time::{Duration, SystemTime};

use ttlog_core::Ring;

use crate::clock::ClockInfo;

/// How far back the ring reaches, as returned by [`Recorder::window`](crate::Recorder::window).
///
/// Events of level warn and error have their own part of the ring (unless [`priority_bytes`](crate::Builder::priority_bytes) is
/// 0), which reaches as far back as there is room for them, however many other events there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Window {
    /// The time up to now from which nothing was overwritten: every event of it is in the ring, except those that were
    /// [dropped](crate::Loss). It starts with recording if nothing was overwritten at all.
    pub covered: Duration,
    /// Start of that time; `None` if nothing was overwritten yet.
    pub complete_from: Option<SystemTime>,
    /// As `covered`, for events of level warn and error.
    pub priority_covered: Duration,
    /// As `complete_from`, for events of level warn and error.
    pub priority_complete_from: Option<SystemTime>,
    /// How far the ring should reach, if that was [requested](crate::Builder::min_age).
    pub min_age: Option<Duration>,
}

impl Window {
    /// Returns whether the ring reaches as far as requested, or nothing was overwritten yet. Returns `true` if nothing
    /// was requested.
    #[must_use]
    pub fn is_long_enough(&self) -> bool {
        let least = self.min_age.unwrap_or_default();
        self.complete_from.is_none() || self.covered >= least
    }

    /// Returns the window of a ring.
    pub(crate) fn of(ring: &Ring<'_>, clock: &ClockInfo, min_age: Option<Duration>) -> Self {
        Ends::of(ring, clock.precise_now(), SystemTime::now()).window(clock.ticks_per_second, min_age)
    }
}

/// The moments that bound the windows, in ticks.
struct Ends {
    start: u64,
    /// 0 if nothing was overwritten.
    complete_from: u64,
    priority_complete_from: u64,
    now: u64,
    /// The wall clock at `now`.
    wall: SystemTime,
}

impl Ends {
    fn of(ring: &Ring<'_>, now: u64, wall: SystemTime) -> Self {
        let complete_from = ring.complete_from();
        Ends {
            start: ring.anchors().next().map_or(0, |first| first.ticks),
            complete_from,
            // Without priority segments, warnings and errors are among the others.
            priority_complete_from: if ring.priority_segment_count() == 0 {
                complete_from
            } else {
                ring.priority_complete_from()
            },
            now,
            wall,
        }
    }

    fn window(&self, ticks_per_second: u64, min_age: Option<Duration>) -> Window {
        // Threads' clocks can differ by a few ticks.
        let since = |ticks: u64| duration(self.now.saturating_sub(ticks), ticks_per_second);
        let begin = |ticks: u64| (ticks != 0).then(|| self.wall.checked_sub(since(ticks))).flatten();
        // An event can be dated before the ring's first anchor by the short time between the two.
        let covered = |ticks: u64| since(if ticks == 0 { self.start } else { ticks });
        Window {
            covered: covered(self.complete_from),
            complete_from: begin(self.complete_from),
            priority_covered: covered(self.priority_complete_from),
            priority_complete_from: begin(self.priority_complete_from),
            min_age,
        }
    }
}

/// Returns the duration of a number of ticks.
fn duration(ticks: u64, ticks_per_second: u64) -> Duration {
    let rate = u128::from(ticks_per_second.max(1));
    let ns = u128::from(ticks) * 1_000_000_000 / rate;
    Duration::from_nanos(u64::try_from(ns).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use ttlog_core::__private::Nil;
    use ttlog_core::ring::Cursor;
    use ttlog_core::{Anchor, ContextInfo, DropReason, RingConfig, Word};

    const SECOND: Duration = Duration::from_secs(1);

    fn ends(complete_from: u64, priority_complete_from: u64) -> Ends {
        Ends {
            start: 1_000,
            complete_from,
            priority_complete_from,
            now: 6_000,
            wall: SystemTime::UNIX_EPOCH + 100 * SECOND,
        }
    }

    #[test]
    fn before_anything_is_overwritten_it_reaches_to_the_start() {
        let window = ends(0, 0).window(1_000, Some(30 * SECOND));
        assert_eq!((window.covered, window.complete_from), (5 * SECOND, None));
        assert_eq!((window.priority_covered, window.priority_complete_from), (5 * SECOND, None));
        assert!(window.is_long_enough(), "it may become so yet");
    }

    #[test]
    fn classes_reach_to_different_times() {
        let window = ends(4_000, 1_500).window(1_000, Some(2 * SECOND));
        assert_eq!((window.covered, window.priority_covered), (2 * SECOND, Duration::from_millis(4_500)));
        assert_eq!(window.complete_from, Some(SystemTime::UNIX_EPOCH + 98 * SECOND));
        assert_eq!(window.priority_complete_from, Some(SystemTime::UNIX_EPOCH + Duration::from_millis(95_500)));
        assert!(window.is_long_enough());
        assert!(!Window { min_age: Some(3 * SECOND), ..window }.is_long_enough());
        assert!(Window { min_age: None, ..window }.is_long_enough());
    }

    #[test]
    fn times_that_cannot_be() {
        let window = ends(7_000, 1).window(0, None);
        assert_eq!(window.covered, Duration::ZERO, "in the future");
        assert!(window.priority_complete_from.unwrap() < SystemTime::UNIX_EPOCH, "a clock that stands");
    }

    #[test]
    fn ticks_are_turned_into_time_without_overflow() {
        assert_eq!(duration(15, 3), 5 * SECOND);
        assert_eq!(duration(u64::MAX, 1), Duration::from_nanos(u64::MAX));
        assert_eq!(duration(u64::MAX, u64::MAX), SECOND);
    }

    /// A ring of 12 segments of which the last 4 are for warnings and errors, and its first anchor.
    fn ring() -> Ring<'static> {
        let config = RingConfig {
            segment_len: 256,
            table_len: 256,
            anchor_count: 2,
            priority_segment_count: 4,
            ..RingConfig::for_capacity(4096, 1)
        };
        let words = (0..(config.overhead_len() + 12 * 256) / 8).map(|_| Word::new(0)).collect::<Vec<_>>().leak();
        let ring = Ring::create(words, &config).unwrap();
        assert_eq!((ring.segment_count(), ring.priority_segment_count()), (12, 4));
        ring.write_anchor(Anchor { ticks: START, unix_ns: 0 });
        ring
    }

    const START: u64 = 1_000_000;
    const WHO: ContextInfo<'static> = ContextInfo { context: 1, os_thread_id: 1, next_index: 0, name: "" };
    const CALLSITE: u16 = 1;

    fn window(ring: &Ring<'_>, now: u64) -> Window {
        Ends::of(ring, now, SystemTime::UNIX_EPOCH).window(1_000_000_000, None)
    }

    /// Of `n` events, one in each nanosecond, the first `lost` were overwritten. The last `n - lost` are there, and the
    /// window must be exactly as long: the segment that was overwritten was closed between its last event and the next.
    fn assert_window(covered: Duration, n: u64, lost: u64) {
        let (covered, present) = (covered.as_nanos() as u64, n - lost);
        let is_right = if lost == 0 { covered == n } else { covered == present || covered + 1 == present };
        assert!(is_right, "after event {n}: {lost} lost, {covered} covered");
    }

    #[test]
    fn complete_from_of_events_with_known_times() {
        let (ring, cursor) = (ring(), Cursor::new());
        for n in 1_u64..=2_000 {
            cursor.append_slow(&ring, &|| START + n, &WHO, CALLSITE, &Nil);
            let (window, lost) = (window(&ring, START + n), ring.loss().overwritten);
            assert_window(window.covered, n, lost);
            assert_eq!(window.priority_covered.as_nanos() as u64, n, "nothing was overwritten there");
        }
        assert!(ring.loss().overwritten > 1_000);
    }

    #[test]
    fn complete_from_of_warnings_with_known_times() {
        let (ring, cursor, told) = (ring(), Cursor::new(), Cell::new(0));
        for n in 1_u64..=2_000 {
            ring.append_priority(START + n, &WHO, Some(&told), CALLSITE, &Nil, DropReason::NoSegment);
            let (window, lost) = (window(&ring, START + n), ring.loss().priority_overwritten);
            assert_window(window.priority_covered, n, lost);
            assert_eq!((window.covered.as_nanos() as u64, window.complete_from), (n, None), "nor here");
        }
        assert!(ring.loss().priority_overwritten > 1_000);
        // A flood of other events does not affect them.
        let before = window(&ring, START + 2_000).priority_complete_from;
        for n in 2_001_u64..=9_000 {
            cursor.append_slow(&ring, &|| START + n, &WHO, CALLSITE, &Nil);
        }
        let after = window(&ring, START + 9_000);
        assert!(after.complete_from.is_some() && after.priority_covered > after.covered);
        let began = |time: Option<SystemTime>, now: u64| time.unwrap() + Duration::from_nanos(now);
        assert_eq!(began(after.priority_complete_from, 9_000), began(before, 2_000));
    }
}

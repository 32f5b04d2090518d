//! Limits in time, and the range they resolve to once the recording is known.

use jiff::tz::TimeZone;

use super::clock::{ClockText, day_of};
use super::period::Period;
use super::range::{Bound, Range};
use super::time::{TimeLimit, parse_duration};
use crate::text::number::counted;
use crate::text::zone;

/// Limits in time, as people type them.
#[derive(Clone, Debug)]
pub struct Limits {
    since: Option<TimeLimit>,
    until: Option<TimeLimit>,
    zone: TimeZone,
}

/// Extent of a recording in time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Extent {
    /// Place of the last event.
    pub(crate) end: i64,
    /// Wall-clock time of the first and the last event; `None` if there was no wall clock.
    pub(crate) clock: Option<Period>,
}

impl Default for Limits {
    fn default() -> Self {
        Self::utc()
    }
}

impl Limits {
    /// Creates empty limits. Times without a zone are local; or UTC, if the local time zone is
    /// [unknown](crate::text::zone::is_known).
    #[must_use]
    pub fn local() -> Self {
        Limits { since: None, until: None, zone: zone::local() }
    }

    /// Creates empty limits. Times without a zone are UTC.
    #[must_use]
    pub fn utc() -> Self {
        Limits { since: None, until: None, zone: TimeZone::UTC }
    }

    /// Leaves out events before a time: a date, a date and time, a time of day, `-5s` before the last event, or a time
    /// of a device such as `boot 2 +1.5 s`.
    ///
    /// A time stands for the whole unit of its last digit. A time of day is the last one while events were recorded,
    /// or else the nearest.
    ///
    /// # Errors
    /// A sentence that explains which forms are understood.
    pub fn since(self, text: &str) -> Result<Self, String> {
        Ok(Limits { since: Some(TimeLimit::parse(text)?), ..self })
    }

    /// Leaves out events after a time, in the same forms: `12:03` includes the whole minute. If there is also a limit
    /// at the start, a time of day is the first one after that.
    ///
    /// # Errors
    /// A sentence that explains which forms are understood.
    pub fn until(self, text: &str) -> Result<Self, String> {
        Ok(Limits { until: Some(TimeLimit::parse(text)?), ..self })
    }

    /// Leaves out events that are more than a duration, such as `5s`, before the last event.
    ///
    /// # Errors
    /// A sentence that explains which forms are understood.
    pub fn last(self, text: &str) -> Result<Self, String> {
        let ns = parse_duration(text)?;
        Ok(Limits { since: Some(TimeLimit::BeforeEnd(Period { first: ns, last: ns })), ..self })
    }

    /// Returns the range of these limits in a recording.
    pub(crate) fn resolve(&self, extent: Extent) -> Range {
        // Both times of day depend on what the other limit leaves of the recording.
        let mut clock = extent.clock;
        if let (Some(clock), Some(TimeLimit::Clock(until))) = (&mut clock, &self.until) {
            let last = self.period(until).map_or(i64::MAX, |period| period.last);
            *clock = Period { first: clock.first.min(last), last: clock.last.min(last) };
        }
        let since = self
            .since
            .as_ref()
            .and_then(|limit| self.bound(limit, extent, |period| period.first, |text| self.nearest(text, clock?)));
        let start = match (since, extent.clock) {
            (Some(Bound::Clock(since)), _) => Some(since),
            (Some(Bound::Place(since)), Some(clock)) => {
                Some(clock.last.saturating_sub(extent.end.saturating_sub(since)))
            }
            _ => None,
        };
        let until = self.until.as_ref().and_then(|limit| {
            self.bound(
                limit,
                extent,
                |period| period.last,
                |text| match start {
                    Some(start) => self.first_after(text, start),
                    None => self.nearest(text, extent.clock?),
                },
            )
        });
        Range { since, until }
    }

    /// Returns one end of the range; `of_day` finds a time of day.
    fn bound(
        &self,
        limit: &TimeLimit,
        extent: Extent,
        side: impl Fn(Period) -> i64,
        of_day: impl Fn(&ClockText) -> Option<Period>,
    ) -> Option<Bound> {
        Some(match limit {
            TimeLimit::Clock(text) => Bound::Clock(side(self.period(text)?)),
            // Without a wall clock any time will do: no event can be compared with it.
            TimeLimit::OfDay(text) => Bound::Clock(of_day(text).map_or(0, side)),
            TimeLimit::BeforeEnd(distance) => Bound::Place(extent.end.saturating_sub(side(*distance))),
            TimeLimit::Boot { boot, ns } => Bound::Boot { boot: *boot, ns: side(*ns) },
            TimeLimit::Ticks { boot, ticks } => Bound::Ticks { boot: *boot, ticks: *ticks },
        })
    }

    /// Returns the period of a date.
    fn period(&self, text: &ClockText) -> Option<Period> {
        Some(text.on(text.date?, &self.zone))
    }

    /// Returns a time of day while the clock showed times in `clock`: the last one, or else the nearest.
    fn nearest(&self, text: &ClockText, clock: Period) -> Option<Period> {
        let periods = self.periods_around(text, clock.last, -2..=1);
        periods.min_by_key(|period| (clock.distance(*period), std::cmp::Reverse(period.first)))
    }

    /// Returns the first time of day that ends at a time or after it.
    fn first_after(&self, text: &ClockText, start: i64) -> Option<Period> {
        self.periods_around(text, start, -1..=2).find(|period| period.last >= start)
    }

    /// Returns the periods of a time of day on days around a time.
    fn periods_around(
        &self,
        text: &ClockText,
        unix_ns: i64,
        days: std::ops::RangeInclusive<i64>,
    ) -> impl Iterator<Item = Period> {
        let day = day_of(unix_ns, text.zone(&self.zone));
        days.filter_map(move |days| Some(text.on(day.checked_add(jiff::Span::new().days(days)).ok()?, &self.zone)))
    }

    /// Returns whether the limits can be resolved only once the recording is known.
    pub(crate) fn depend_on_extent(&self) -> bool {
        let depends = |limit: &TimeLimit| matches!(limit, TimeLimit::BeforeEnd(_) | TimeLimit::OfDay(_));
        [&self.since, &self.until].into_iter().flatten().any(depends)
    }

    /// Returns whether events before a time are left out.
    #[must_use]
    pub fn has_start(&self) -> bool {
        self.since.is_some()
    }

    /// Returns whether events after a time are left out.
    #[must_use]
    pub fn has_end(&self) -> bool {
        self.until.is_some()
    }

    /// Returns a sentence about events that are left out because they have no time of the kind of a limit, if there are
    /// any: [`Timeline::undated`](crate::Timeline::undated).
    #[must_use]
    pub fn sentence(&self, undated: u64) -> Option<String> {
        let is_clock = |limit: &TimeLimit| matches!(limit, TimeLimit::Clock(_) | TimeLimit::OfDay(_));
        let (has, is) = if undated == 1 { ("has", "is") } else { ("have", "are") };
        let reason = if [&self.since, &self.until].into_iter().flatten().any(is_clock) {
            "no wall-clock time (times of devices are -5s or `boot 2 +1.5 s`)"
        } else {
            "no time of a device"
        };
        (undated > 0).then(|| format!("{} {has} {reason} and {is} left out", counted(undated, "event")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: i64 = 1_000_000_000;
    /// 2026-01-31T00:00:00Z.
    const MIDNIGHT: i64 = 1_769_817_600 * S;

    /// Returns the seconds after midnight to which the limits resolve, for events from `first` to `last`.
    fn resolved(since: &str, until: &str, first: i64, last: i64) -> (Option<i64>, Option<i64>) {
        let mut limits = Limits::utc();
        if !since.is_empty() {
            limits = limits.since(since).expect(since);
        }
        if !until.is_empty() {
            limits = limits.until(until).expect(until);
        }
        let clock = Period { first: MIDNIGHT + first * S, last: MIDNIGHT + last * S };
        let range = limits.resolve(Extent { end: clock.last, clock: Some(clock) });
        let seconds = |bound: Option<Bound>, round: i64| match bound {
            Some(Bound::Clock(ns) | Bound::Place(ns)) => Some((ns - MIDNIGHT + round).div_euclid(S)),
            Some(other) => panic!("{other:?}"),
            None => None,
        };
        (seconds(range.since, 0), seconds(range.until, 1))
    }

    #[test]
    fn time_of_day_is_the_one_in_the_recording() {
        const DAY: i64 = 86_400;
        for (since, until, (first, last), expected) in [
            // Across midnight.
            ("23:59:55", "", (-8, 8), (Some(-5), None)),
            ("00:00:03", "", (-8, 8), (Some(3), None)),
            ("", "23:59:55", (-8, 8), (None, Some(-4))),
            ("", "00:00:03", (-8, 8), (None, Some(4))),
            ("23:59:55", "00:00:03", (-8, 8), (Some(-5), Some(4))),
            ("23:59:55", "23:59:57", (-8, 8), (Some(-5), Some(-2))),
            // Not in the recording: the nearest.
            ("23:59:50", "", (-8, 8), (Some(-10), None)),
            ("00:00:20", "", (-8, 8), (Some(20), None)),
            ("23:00", "00:01", (-8, 8), (Some(-3600), Some(120))),
            ("", "00:00:20", (-8, 8), (None, Some(21))),
            // Several in the recording: the last, and what comes after it.
            ("12:00", "", (-3 * DAY, DAY / 2), (Some(DAY / 2), None)),
            ("10:00", "14:00", (-3 * DAY, DAY / 2), (Some(10 * 3600), Some(14 * 3600 + 60))),
            ("22:00", "02:00", (-3 * DAY, DAY / 2), (Some(-2 * 3600), Some(2 * 3600 + 60))),
            // Beside a date or a distance.
            ("10:00", "2026-01-30", (-3 * DAY, DAY / 2), (Some(-14 * 3600), Some(0))),
            ("2026-01-30", "10:00", (-3 * DAY, DAY / 2), (Some(-DAY), Some(-14 * 3600 + 60))),
            ("-5h", "10:00", (-3 * DAY, DAY / 2), (Some(7 * 3600), Some(10 * 3600 + 60))),
            ("10:00", "-1h", (-3 * DAY, DAY / 2), (Some(10 * 3600), Some(11 * 3600))),
            ("12:00+02:00", "", (0, DAY - 1), (Some(10 * 3600), None)),
        ] {
            let result = resolved(since, until, first, last);
            let until_end = if until == "-1h" { expected.1 } else { result.1 };
            assert_eq!((result.0, until_end), expected, "{since} {until} {first} {last}");
        }
    }

    #[test]
    fn extremes_do_not_panic() {
        for (first, last) in [(i64::MIN, i64::MAX), (i64::MAX, i64::MIN), (i64::MAX, i64::MAX), (i64::MIN, i64::MIN)] {
            for text in ["12:00", "1677-09-21", "2262-04-12", "9999-12-31T23:59:59", "-9999-01-01", "-9999d", "+1h"] {
                let Ok(limits) = Limits::utc().since(text) else { continue };
                let limits = limits.until(text).expect("the same text");
                for clock in [None, Some(Period { first, last })] {
                    _ = limits.resolve(Extent { end: last, clock });
                }
            }
        }
    }
}

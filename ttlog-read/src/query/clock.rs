//! Dates and times of day as people type them, or copy them from the output: each stands for the whole unit of its last
//! digit.

use jiff::Timestamp;
use jiff::civil::{Date, Time};
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};

use super::period::Period;

/// A date with a time of day, a date alone, or a time of day alone.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ClockText {
    pub(super) date: Option<Date>,
    /// First and last nanosecond of the unit.
    time: (Time, Time),
    /// Time zone that is part of the text.
    zone: Option<TimeZone>,
}

const DAY_NS: i64 = 86_400_000_000_000;

impl ClockText {
    /// Parses `2026-01-31`, `12:03`, `12:03:04.5`, or both, the time with `Z`, an offset or `[Area/City]` after it.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (text, named) = match text.strip_suffix(']').and_then(|text| text.rsplit_once('[')) {
            Some((text, name)) => (text.trim_end(), Some(TimeZone::get(name).ok()?)),
            None => (text, None),
        };
        let (date, time) = match text.split_once(['T', 't', ' ']) {
            Some(("", time)) => (None, Some(time)),
            Some((date, time)) => (Some(date), Some(time.trim_start())),
            None if text.contains(':') => (None, Some(text)),
            None => (Some(text), None),
        };
        let date = date.map(|date| date.parse().ok()).map_or(Some(None), |date| date.map(Some))?;
        let Some(time) = time else {
            return Some(ClockText { date, time: span_of_day(0, DAY_NS)?, zone: named });
        };
        let (time, offset) = time.split_at(time.find(['Z', 'z', '+', '-']).unwrap_or(time.len()));
        let offset = if offset.is_empty() { None } else { Some(TimeZone::fixed(parse_offset(offset)?)) };
        Some(ClockText { date, time: parse_time(time.trim_end())?, zone: offset.or(named) })
    }

    /// Returns the time zone that is part of the text, or `zone`.
    pub(super) fn zone<'z>(&'z self, zone: &'z TimeZone) -> &'z TimeZone {
        self.zone.as_ref().unwrap_or(zone)
    }

    /// Returns the unit on a day, in nanoseconds since 1970. A time that comes twice stands for both; a time that is
    /// skipped is the moment of the skip.
    pub(super) fn on(&self, date: Date, zone: &TimeZone) -> Period {
        let zone = self.zone(zone);
        let (first, last) = (moments(date, self.time.0, zone), moments(date, self.time.1, zone));
        // Dates at the end of the calendar have no timestamp; no event can be there either.
        let beyond = if date.year() < 1970 { i64::MIN } else { i64::MAX };
        Period { first: first.map_or(beyond, |period| period.first), last: last.map_or(beyond, |period| period.last) }
    }
}

/// Returns the day that a clock in the zone shows.
pub(super) fn day_of(unix_ns: i64, zone: &TimeZone) -> Date {
    zone.to_datetime(Timestamp::from_nanosecond(unix_ns.into()).unwrap_or_default()).date()
}

/// Returns the first and the last moment at which a clock in the zone shows a time.
fn moments(date: Date, time: Time, zone: &TimeZone) -> Option<Period> {
    let ambiguous = zone.to_ambiguous_timestamp(date.to_datetime(time));
    let (first, last) = (ambiguous.earlier().ok()?, ambiguous.later().ok()?);
    match ambiguous.offset() {
        // Events from the skip on are since this time, and those before it until this time.
        AmbiguousOffset::Gap { .. } => {
            let skip = zone.following(first).next().map_or(last, |transition| transition.timestamp());
            Some(Period { first: to_ns(skip), last: to_ns(skip).saturating_sub(1) })
        }
        _ => Some(Period { first: to_ns(first), last: to_ns(last) }),
    }
}

fn to_ns(timestamp: Timestamp) -> i64 {
    let ns = timestamp.as_nanosecond();
    i64::try_from(ns).unwrap_or(if ns < 0 { i64::MIN } else { i64::MAX })
}

/// Parses a time of day into the first and the last nanosecond of its unit.
fn parse_time(text: &str) -> Option<(Time, Time)> {
    let (whole, fraction) = text.split_once(['.', ',']).map_or((text, None), |(whole, digits)| (whole, Some(digits)));
    let mut parts: Vec<&str> = whole.split(':').collect();
    // 1203 and 120304, without colons.
    if let ([digits], true) = (&parts[..], whole.is_ascii() && !whole.is_empty()) {
        parts = (0..digits.len()).step_by(2).map(|at| &digits[at..digits.len().min(at + 2)]).collect();
    }
    let mut ns = 0;
    let mut unit = 24 * 3_600_000_000_000;
    for (index, part) in parts.iter().enumerate() {
        let most = *[24, 60, 60].get(index)?;
        if part.is_empty() || part.len() > 2 || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let number = part.parse::<i64>().ok().filter(|&number| number < most)?;
        unit /= most;
        ns += number * unit;
    }
    if let Some(digits) = fraction {
        if parts.len() != 3 || digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        for digit in digits.bytes().take(9) {
            unit /= 10;
            ns += i64::from(digit - b'0') * unit;
        }
    }
    span_of_day(ns, unit)
}

fn span_of_day(first: i64, unit: i64) -> Option<(Time, Time)> {
    Some((time_of_ns(first)?, time_of_ns(first + unit - 1)?))
}

fn time_of_ns(ns: i64) -> Option<Time> {
    let (seconds, fraction) = (ns / 1_000_000_000, ns % 1_000_000_000);
    let [hour, minute, second] = [seconds / 3600, seconds / 60 % 60, seconds % 60].map(|part| i8::try_from(part).ok());
    Time::new(hour?, minute?, second?, i32::try_from(fraction).ok()?).ok()
}

/// Parses `Z`, `+02`, `+02:00`, `+0200` or `+02:00:00`.
fn parse_offset(text: &str) -> Option<Offset> {
    let sign = match text.chars().next()? {
        'Z' | 'z' => return (text.len() == 1).then_some(Offset::UTC),
        '-' => -1,
        _ => 1,
    };
    let time = parse_time(&text[1..]).filter(|_| !text.contains(['.', ',']))?.0;
    let seconds = (i32::from(time.hour()) * 60 + i32::from(time.minute())) * 60 + i32::from(time.second());
    Offset::from_seconds(sign * seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the unit in nanoseconds since 1970, in the zone of Berlin.
    fn period(text: &str) -> (i64, i64) {
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").expect("a zone");
        let clock = ClockText::parse(text).unwrap_or_else(|| panic!("{text} is a time"));
        let period = clock.on(clock.date.expect("a date"), &zone);
        (period.first, period.last)
    }

    /// 2026-01-31T02:59:04.000000000Z.
    const T: i64 = 1_769_828_344_000_000_000;
    const S: i64 = 1_000_000_000;

    #[test]
    fn each_digit_is_a_unit() {
        for (text, first, unit) in [
            ("2026-01-31 03:59:04.123456789", T + 123_456_789, 1),
            ("2026-01-31 03:59:04.123456", T + 123_456_000, 1000),
            ("2026-01-31 03:59:04,5", T + 500_000_000, 100_000_000),
            ("2026-01-31 03:59:04.1234567891", T + 123_456_789, 1),
            ("2026-01-31T03:59:04", T, S),
            ("2026-01-31T02:59:04Z", T, S),
            ("2026-01-31 05:29:04+02:30", T, S),
            ("2026-01-31 05:29:04 +0230", T, S),
            ("2026-01-31t01:59:04-01", T, S),
            ("2026-01-31T02:59:04.000Z", T, S / 1000),
            ("2026-01-31T02:59:04Z[UTC]", T, S),
            ("20260131T035904", T, S),
            ("2026-01-31 03:59", T - 4 * S, 60 * S),
            ("2026-01-31T03", T - 4 * S - 59 * 60 * S, 3600 * S),
            ("2026-01-31", T - 4 * S - (3 * 60 + 59) * 60 * S, 86_400 * S),
        ] {
            assert_eq!(period(text), (first, first + unit - 1), "{text}");
        }
        assert_eq!(period("9999-12-31"), (i64::MAX, i64::MAX));
        assert_eq!(period("2300-01-01 12:00").0, i64::MAX);
        assert_eq!(period("0001-01-01").1, i64::MIN);
        // Days on which the clock is set have 23 or 25 hours.
        for (day, hours) in [("2026-03-29", 23), ("2026-10-25", 25)] {
            let (first, last) = period(day);
            assert_eq!(last - first + 1, hours * 3600 * S, "{day}");
        }
    }

    #[test]
    fn an_hour_that_comes_twice_is_both_unless_an_offset_says_which() {
        // The clocks went from 03:00 back to 02:00 at this time.
        let back = 1_792_890_000 * S;
        assert_eq!(period("2026-10-25 02:30"), (back - 1800 * S, back + 1860 * S - 1));
        assert_eq!(period("2026-10-25 02:30+02:00"), (back - 1800 * S, back - 1740 * S - 1));
        assert_eq!(period("2026-10-25 02:30+01:00"), (back + 1800 * S, back + 1860 * S - 1));
        assert_eq!(period("2026-10-25 01:59:59"), (back - 3601 * S, back - 3600 * S - 1));
        // And from 02:00 on to 03:00 at this time.
        let skip = 1_774_746_000 * S;
        assert_eq!(period("2026-03-29 02:30"), (skip, skip - 1));
        assert_eq!(period("2026-03-29 03:00").0, skip);
    }

    #[test]
    fn other_text_is_no_time() {
        for text in [
            "",
            "12",
            "T",
            "2026-01-31T",
            "2026-13-01",
            "2026-02-30",
            "24:00",
            "12:60",
            "12:03:60",
            "12:03.5",
            "12:03:04.",
            "12:03:04.x",
            "12:",
            ":03",
            "12:03:04:05",
            "123",
            "12:003",
            "12:03+25:00",
            "12:03+1.5",
            "12:03ZZ",
            "12:03Z5",
            "2026-01-31 ü2:03",
            "12:03[Nowhere/Else]",
            "2026-01-31 +02:00",
            "１２:03",
        ] {
            assert_eq!(ClockText::parse(text), None, "{text}");
        }
    }
}

//! Times in human-readable form.

use jiff::Timestamp;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};
use ttlog_core::UnixTime;

use super::number::grouped;
use super::zone;

/// Style of times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeStyle {
    /// Date and time in the local time zone.
    Local,
    /// Date and time in UTC.
    Utc,
    /// Seconds before the last event.
    Relative,
    /// The reading of the recording clock.
    Ticks,
}

/// Time of an event, as far as its source knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Wall-clock time, in nanoseconds since 1970.
    Clock(i64),
    /// Time since the start of a device's clock; the device has no wall clock.
    Boot {
        /// Number of the session.
        boot: u32,
        /// Time in nanoseconds.
        ns: i64,
    },
    /// Reading of a device's clock whose frequency is unknown.
    Ticks {
        /// Number of the session.
        boot: u32,
        /// Clock reading.
        ticks: u64,
    },
}

/// Formats times, computing the date once per second.
#[derive(Debug)]
pub struct TimeFormatter {
    style: TimeStyle,
    zone: TimeZone,
    /// Digits of the fraction of a second.
    digits: usize,
    /// Separator of date and time.
    separator: char,
    /// Text after the time, unless its second is ambiguous.
    suffix: &'static str,
    second: Option<i64>,
    /// Date and time of that second.
    text: String,
    /// Offset of that second, if the zone's clock shows it twice.
    offset: String,
}

impl TimeFormatter {
    /// Creates a formatter for text.
    #[must_use]
    pub fn new(style: TimeStyle, digits: usize) -> Self {
        let is_local = style != TimeStyle::Utc && zone::is_known();
        let zone = if is_local { zone::local() } else { TimeZone::UTC };
        let suffix = if is_local { "" } else { "Z" };
        TimeFormatter {
            style,
            zone,
            digits,
            separator: ' ',
            suffix,
            second: None,
            text: String::new(),
            offset: String::new(),
        }
    }

    /// Creates a formatter for RFC 3339 in UTC with nanoseconds.
    #[must_use]
    pub fn rfc3339() -> Self {
        TimeFormatter { separator: 'T', suffix: "Z", ..TimeFormatter::new(TimeStyle::Utc, 9) }
    }

    /// Appends a time in the chosen style: the date and time, the time before the last event, or ticks.
    pub fn push(&mut self, out: &mut String, when: When, before_end_ns: i64, ticks: u64) {
        match self.style {
            TimeStyle::Ticks => out.push_str(&ticks.to_string()),
            TimeStyle::Relative => {
                let distance = before_end_ns.unsigned_abs();
                let sign = if before_end_ns >= 0 { '-' } else { '+' };
                let text = format!("{sign}{}.{:09}", distance / 1_000_000_000, distance % 1_000_000_000);
                let text = &text[..text.len() - (9 - self.digits)];
                out.push_str(&format!("{text:>14}"));
            }
            TimeStyle::Local | TimeStyle::Utc => self.push_when(out, when),
        }
    }

    /// Appends a time, whatever the style: date and time, or the session of a device and the time within it.
    pub fn push_when(&mut self, out: &mut String, when: When) {
        match when {
            When::Clock(unix_ns) => self.push_clock(out, unix_ns),
            When::Boot { boot, ns } => {
                let sign = if ns < 0 { '-' } else { '+' };
                let (seconds, fraction) = (ns.unsigned_abs() / 1_000_000_000, ns.unsigned_abs() % 1_000_000_000);
                let text = format!("boot {boot} {sign}{seconds}.{fraction:09}");
                out.push_str(text[..text.len() - (9 - self.digits)].trim_end_matches('.'));
                out.push_str(" s");
            }
            When::Ticks { boot, ticks } => out.push_str(&format!("boot {boot} tick {ticks}")),
        }
    }

    /// Appends the date and time, whatever the style. A local time that the clock shows twice, because it is set back
    /// in autumn, has its offset.
    pub fn push_clock(&mut self, out: &mut String, unix_ns: i64) {
        let second = unix_ns.div_euclid(1_000_000_000);
        if self.second != Some(second) {
            self.set_second(second);
        }
        out.push_str(&self.text);
        let fraction = unix_ns.rem_euclid(1_000_000_000);
        let mut digits = [b'0'; 9];
        let mut rest = fraction;
        for digit in digits.iter_mut().rev() {
            *digit += (rest % 10) as u8;
            rest /= 10;
        }
        if self.digits > 0 {
            out.push('.');
        }
        out.extend(digits[..self.digits].iter().map(|digit| char::from(*digit)));
        out.push_str(if self.offset.is_empty() { self.suffix } else { &self.offset });
    }

    fn set_second(&mut self, second: i64) {
        self.second = Some(second);
        self.offset.clear();
        let Ok(timestamp) = Timestamp::from_second(second) else {
            // Not reached: every i64 of nanoseconds is a date between 1677 and 2262.
            self.text = second.to_string();
            return;
        };
        let at = self.zone.to_datetime(timestamp);
        let (date, time) = (at.date(), at.time());
        self.text = format!(
            "{:04}-{:02}-{:02}{}{:02}:{:02}:{:02}",
            date.year(),
            date.month(),
            date.day(),
            self.separator,
            time.hour(),
            time.minute(),
            time.second()
        );
        if let AmbiguousOffset::Fold { .. } = self.zone.to_ambiguous_timestamp(at).offset() {
            self.offset = offset_text(self.zone.to_offset(timestamp));
        }
    }
}

/// Appends a time of the wall clock as RFC 3339 in UTC, with as many digits as it has: none, or a multiple of three.
/// Times outside of the years 1 to 9998 are appended as `@` and the seconds since 1970.
pub fn push_time(out: &mut String, time: UnixTime) {
    let digits = match time.subsec_nanos() {
        0 => 0,
        nanos if nanos % 1_000_000 == 0 => 3,
        nanos if nanos % 1000 == 0 => 6,
        _ => 9,
    };
    push_time_to(out, time, digits);
}

/// Appends a time like [`push_time`], with this number of digits of its nine.
pub fn push_time_to(out: &mut String, time: UnixTime, digits: usize) {
    const YEARS_1_TO_9998: std::ops::Range<i64> = -62_135_596_800..253_370_764_800;
    match Timestamp::from_second(time.secs()) {
        Ok(second) if YEARS_1_TO_9998.contains(&time.secs()) => {
            let second = TimeZone::UTC.to_datetime(second).strftime("%Y-%m-%dT%H:%M:%S");
            let fraction = format!(".{:09}", time.subsec_nanos());
            let len = if digits > 0 { 1 + digits } else { 0 };
            out.push_str(&format!("{second}{}Z", &fraction[..len.min(fraction.len())]));
        }
        _ => {
            let ns = time.as_nanos().unsigned_abs();
            let (secs, nanos) = (ns / 1_000_000_000, ns % 1_000_000_000);
            out.push_str(if time.secs() < 0 { "@-" } else { "@" });
            out.push_str(&secs.to_string());
            if nanos > 0 {
                out.push_str(&format!(".{nanos:09}"));
            }
        }
    }
}

/// Returns an offset from UTC as `+02:00`, with seconds only if there are any.
fn offset_text(offset: Offset) -> String {
    let (sign, seconds) = (if offset.seconds() < 0 { '-' } else { '+' }, offset.seconds().unsigned_abs());
    let mut text = format!("{sign}{:02}:{:02}", seconds / 3600, seconds / 60 % 60);
    if seconds % 60 != 0 {
        text.push_str(&format!(":{:02}", seconds % 60));
    }
    text
}

/// Returns how long ago a time was by this host's clock, in nanoseconds; 0 if it is in the future.
#[must_use]
pub fn since_ns(unix_ns: u64) -> u64 {
    let now = u64::try_from(Timestamp::now().as_nanosecond()).unwrap_or(0);
    now.saturating_sub(unix_ns)
}

/// Returns a duration in human-readable form, with two units at most.
#[must_use]
pub fn duration(ns: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3600, "h"), (60, "min"), (1, "s")];
    let seconds = ns / 1_000_000_000;
    if seconds < 60 {
        return match ns {
            1_000_000_000.. => format!("{:.1} s", ns as f64 / 1e9),
            1_000_000.. => format!("{} ms", ns / 1_000_000),
            _ => format!("{} µs", ns / 1000),
        };
    }
    let at = UNITS.iter().position(|(unit, _)| seconds >= *unit).unwrap_or(UNITS.len() - 1);
    let (unit, name) = UNITS[at];
    let rest =
        UNITS.get(at + 1).map(|(smaller, name)| (seconds % unit / smaller, *name)).filter(|(count, _)| *count > 0);
    let main = format!("{} {name}", grouped(seconds / unit));
    rest.map_or_else(|| main.clone(), |(count, name)| format!("{main} {count} {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: i64 = 1_700_000_000_123_456_789; // 2023-11-14T22:13:20.123456789Z

    fn shown(mut formatter: TimeFormatter, unix_ns: i64) -> String {
        let mut out = String::new();
        formatter.push(&mut out, When::Clock(unix_ns), 1_500_000_000, 42);
        out
    }

    #[test]
    fn styles() {
        assert_eq!(shown(TimeFormatter::rfc3339(), T), "2023-11-14T22:13:20.123456789Z");
        assert_eq!(shown(TimeFormatter::new(TimeStyle::Utc, 6), T), "2023-11-14 22:13:20.123456Z");
        assert_eq!(shown(TimeFormatter::new(TimeStyle::Relative, 6), T), "     -1.500000");
        assert_eq!(shown(TimeFormatter::new(TimeStyle::Ticks, 6), T), "42");
        let berlin = TimeZone::fixed(jiff::tz::offset(1));
        assert_eq!(
            shown(TimeFormatter { zone: berlin, ..TimeFormatter::new(TimeStyle::Local, 6) }, T),
            "2023-11-14 23:13:20.123456"
        );
    }

    #[test]
    fn extreme_times_do_not_panic() {
        assert_eq!(shown(TimeFormatter::rfc3339(), i64::MIN), "1677-09-21T00:12:43.145224192Z");
        assert_eq!(shown(TimeFormatter::rfc3339(), i64::MAX), "2262-04-11T23:47:16.854775807Z");
        assert_eq!(shown(TimeFormatter::rfc3339(), -1), "1969-12-31T23:59:59.999999999Z");
        let mut out = String::new();
        TimeFormatter::new(TimeStyle::Relative, 9).push(&mut out, When::Clock(0), i64::MIN, 0);
        assert_eq!(out, "+9223372036.854775808");
    }

    #[test]
    fn an_hour_that_comes_twice_has_its_offset() {
        let shown = |zone: &str, second: i64| {
            let zone = TimeZone::posix(zone).expect("a zone");
            let formatter = TimeFormatter { zone, suffix: "", ..TimeFormatter::new(TimeStyle::Local, 1) };
            shown(formatter, second * 1_000_000_000)
        };
        // The clocks of Berlin went from 03:00 back to 02:00 at this time.
        let (berlin, back) = ("CET-1CEST,M3.5.0,M10.5.0/3", 1_792_890_000);
        assert_eq!(shown(berlin, back - 3601), "2026-10-25 01:59:59.0");
        assert_eq!(shown(berlin, back - 3600), "2026-10-25 02:00:00.0+02:00");
        assert_eq!(shown(berlin, back - 1), "2026-10-25 02:59:59.0+02:00");
        assert_eq!(shown(berlin, back), "2026-10-25 02:00:00.0+01:00");
        assert_eq!(shown(berlin, back + 3600), "2026-10-25 03:00:00.0");
        // And those of New York from 02:00 back to 01:00.
        assert_eq!(shown("EST5EDT,M3.2.0,M11.1.0", 1_793_512_800), "2026-11-01 01:00:00.0-05:00");
        assert_eq!(shown("<+0020>-0:20:30<+00>,M3.2.0,M11.1.0", 0), "1970-01-01 00:20:30.0");
        assert_eq!(offset_text(Offset::from_seconds(-1230).expect("in range")), "-00:20:30");
    }

    #[test]
    fn times_of_devices() {
        let shown = |when, digits| {
            let mut out = String::new();
            TimeFormatter::new(TimeStyle::Local, digits).push(&mut out, when, 0, 0);
            out
        };
        assert_eq!(shown(When::Boot { boot: 3, ns: 1_234_567 }, 6), "boot 3 +0.001234 s");
        assert_eq!(shown(When::Boot { boot: 3, ns: 61_000_000_009 }, 9), "boot 3 +61.000000009 s");
        assert_eq!(shown(When::Boot { boot: 1, ns: i64::MIN }, 0), "boot 1 -9223372036 s");
        assert_eq!(shown(When::Ticks { boot: 4, ticks: u64::MAX }, 6), "boot 4 tick 18446744073709551615");
    }

    #[test]
    fn durations() {
        const S: u64 = 1_000_000_000;
        for (ns, expected) in [
            (0, "0 µs"),
            (1_500, "1 µs"),
            (250_000_000, "250 ms"),
            (S, "1.0 s"),
            (12_340_000_000, "12.3 s"),
            (60 * S, "1 min"),
            (3_599 * S, "59 min 59 s"),
            (3_600 * S, "1 h"),
            (90_061 * S, "1 d 1 h"),
            (u64::MAX, "213,503 d 23 h"),
        ] {
            assert_eq!(duration(ns), expected);
        }
    }
}

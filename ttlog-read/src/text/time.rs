//! Times in human-readable form.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::number::grouped;

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
    /// Text after the time.
    suffix: &'static str,
    second: Option<i64>,
    text: String,
}

impl TimeFormatter {
    /// Creates a formatter for text.
    #[must_use]
    pub fn new(style: TimeStyle, digits: usize) -> Self {
        let zone = if style == TimeStyle::Local { TimeZone::system() } else { TimeZone::UTC };
        let suffix = if style == TimeStyle::Utc { "Z" } else { "" };
        TimeFormatter { style, zone, digits, separator: ' ', suffix, second: None, text: String::new() }
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

    /// Appends the date and time, whatever the style.
    pub fn push_clock(&mut self, out: &mut String, unix_ns: i64) {
        let second = unix_ns.div_euclid(1_000_000_000);
        if self.second != Some(second) {
            self.second = Some(second);
            self.text = match Timestamp::from_second(second) {
                Ok(timestamp) => {
                    let at = self.zone.to_datetime(timestamp);
                    let (date, time) = (at.date(), at.time());
                    format!(
                        "{:04}-{:02}-{:02}{}{:02}:{:02}:{:02}",
                        date.year(),
                        date.month(),
                        date.day(),
                        self.separator,
                        time.hour(),
                        time.minute(),
                        time.second()
                    )
                }
                // Every i64 of nanoseconds is a date between 1677 and 2262.
                Err(_) => format!("{second}"),
            };
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
        out.push_str(self.suffix);
    }
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

//! Limits in time as people type them, or copy them from the output.

use super::clock::ClockText;
use super::period::Period;
use super::scalar::{ATTO, Scalar};

/// A limit in time, as typed. Each stands for the whole unit of its last digit: events since a time include that unit,
/// and so do those until it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum TimeLimit {
    /// A date, with or without a time.
    Clock(ClockText),
    /// A time of day.
    OfDay(ClockText),
    /// Nanoseconds before the last event; negative: after it. The first is the farthest.
    BeforeEnd(Period),
    /// Nanoseconds since the start of a device's clock.
    Boot { boot: u32, ns: Period },
    /// A reading of the recording clock.
    Ticks { boot: Option<u32>, ticks: u64 },
}

impl TimeLimit {
    /// Parses a limit.
    ///
    /// # Errors
    /// A sentence that explains which forms are understood.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let before_end = |text: &str| parse_moment(text).map_or_else(|| parse_duration(text).map(exactly), Ok);
        if let Some(distance) = text.strip_prefix('-') {
            return before_end(distance)
                .map(|Period { first, last }| TimeLimit::BeforeEnd(Period { first: last, last: first }));
        }
        if let Some(distance) = text.strip_prefix('+') {
            let after = |Period { first, last }| TimeLimit::BeforeEnd(Period { first: -first, last: -last });
            return before_end(distance).map(after);
        }
        let clock = |clock: ClockText| match clock.date {
            Some(_) => TimeLimit::Clock(clock),
            None => TimeLimit::OfDay(clock),
        };
        ClockText::parse(text).map(clock).or_else(|| of_device(text)).ok_or_else(|| {
            format!(
                "`{text}` is no time; write 2026-01-31, 2026-01-31T12:03:04, 2026-01-31T12:03:04Z, 12:03:04 or -5s \
                 (before the last event); for devices `boot 2 +1.5 s`"
            )
        })
    }
}

fn exactly(ns: i64) -> Period {
    Period { first: ns, last: ns }
}

/// Parses a time of a device as it is shown: `boot 2 +1.500000 s`, `boot 2 tick 1234`, `tick 1234`, or `boot 2`.
fn of_device(text: &str) -> Option<TimeLimit> {
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    let number = |text: &str| text.parse::<u32>().ok();
    match words[..] {
        ["tick", ticks] => Some(TimeLimit::Ticks { boot: None, ticks: ticks.parse().ok()? }),
        ["boot", boot, "tick", ticks] => Some(TimeLimit::Ticks { boot: number(boot), ticks: ticks.parse().ok()? }),
        ["boot", boot] => Some(TimeLimit::Boot { boot: number(boot)?, ns: Period { first: i64::MIN, last: i64::MAX } }),
        ["boot", boot, time, ref rest @ ..] if matches!(rest, [] | ["s"]) => {
            let boot = number(boot)?;
            let Period { first, last } = match time.strip_prefix(['+', '-'])?.strip_suffix('s') {
                Some(digits) if rest.is_empty() => parse_moment(digits)?,
                Some(_) => return None,
                None => parse_moment(&time[1..])?,
            };
            // Digits are cut off towards 0.
            let ns = if time.starts_with('-') { Period { first: -last, last: -first } } else { Period { first, last } };
            Some(TimeLimit::Boot { boot, ns })
        }
        _ => None,
    }
}

/// Parses seconds as they are shown, such as `1.500000`, into the nanoseconds that are shown so.
fn parse_moment(text: &str) -> Option<Period> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if seconds.is_empty() || !is_number(seconds) || !is_number(fraction) || fraction.len() > 9 {
        return None;
    }
    let unit = 10_i64.pow(9 - u32::try_from(fraction.len()).ok()?);
    let parts = if fraction.is_empty() { 0 } else { fraction.parse::<i64>().ok()? * unit };
    let first = seconds.parse::<i64>().ok()?.checked_mul(1_000_000_000)?.checked_add(parts)?;
    Some(Period { first, last: first.saturating_add(unit - 1) })
}

/// Parses a duration such as `5s`, `1.5s`, `2m` or `1h 30m` into nanoseconds.
///
/// # Errors
/// A sentence that explains which forms are understood.
pub(super) fn parse_duration(text: &str) -> Result<i64, String> {
    match Scalar::parse(text) {
        Some(Scalar::Duration(atto @ 0..)) if !text.trim_start().starts_with(['+', '-']) => {
            Ok(i64::try_from(atto / (ATTO as i128 / 1_000_000_000)).unwrap_or(i64::MAX))
        }
        _ => Err(format!("`{text}` is no duration; write 5s, 250ms, 2m or 1h30m")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: i64 = 1_000_000_000;

    #[test]
    fn distances_and_moments_before_the_end() {
        let parse = |text: &str| match TimeLimit::parse(text) {
            Ok(TimeLimit::BeforeEnd(period)) => (period.first, period.last),
            other => panic!("{text}: {other:?}"),
        };
        // A duration is a length.
        for (text, ns) in
            [("-5s", 5 * S), ("-250ms", S / 4), ("-1h30m", 5400 * S), ("-1.5s", 3 * S / 2), ("-1d", 86_400 * S)]
        {
            assert_eq!(parse(text), (ns, ns), "{text}");
        }
        // What the relative times show is a moment: all that is shown so.
        assert_eq!(parse("-1.500000"), (1_500_000_999, 1_500_000_000));
        assert_eq!(parse("     -1.500000123"), (1_500_000_123, 1_500_000_123));
        assert_eq!(parse("+0.000001"), (-1000, -1999));
        assert_eq!(parse("-5"), (6 * S - 1, 5 * S));
        assert_eq!(parse("+5s"), (-5 * S, -5 * S));
    }

    #[test]
    fn times_of_devices() {
        let parse = |text: &str| TimeLimit::parse(text).expect(text);
        let boot = |boot, first, last| TimeLimit::Boot { boot, ns: Period { first, last } };
        assert_eq!(parse("boot 3 +0.001234 s"), boot(3, 1_234_000, 1_234_999));
        assert_eq!(parse("boot 3 +61s"), boot(3, 61 * S, 62 * S - 1));
        assert_eq!(parse("boot 1 -1.5 s"), boot(1, -16 * S / 10 + 1, -15 * S / 10));
        assert_eq!(parse("boot 4"), boot(4, i64::MIN, i64::MAX));
        assert_eq!(parse("boot 4 tick 99"), TimeLimit::Ticks { boot: Some(4), ticks: 99 });
        assert_eq!(parse("tick 18446744073709551615"), TimeLimit::Ticks { boot: None, ticks: u64::MAX });
    }

    #[test]
    fn other_text_is_refused() {
        for wrong in [
            "",
            "yesterday-ish",
            "-",
            "+",
            "--5s",
            "-+5s",
            "5s",
            "25:00",
            "-5KB",
            "-1.5.5",
            "-99999999999999999999",
            "boot",
            "boot x",
            "boot 3 1.5 s",
            "boot 3 +1.5 m",
            "boot 3 +1.5s s",
            "boot 3 tick",
            "tick",
            "tick -5",
            "boot 3 +1.5 s s",
        ] {
            assert!(TimeLimit::parse(wrong).is_err(), "{wrong}");
        }
    }
}

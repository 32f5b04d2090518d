//! Limits in time as people type them.

use jiff::civil::{self, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// A limit in time, as typed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum TimeLimit {
    /// Nanoseconds since 1970.
    At(i64),
    /// N nanoseconds before the last event.
    BeforeEnd(i64),
    /// A time on the day of the last event.
    OfLastDay(civil::Time),
}

impl TimeLimit {
    /// Parses a limit: `-5s`, `12:03`, `2026-01-31`, `2026-01-31 12:03:04.5`, or the last with `Z` or an offset.
    ///
    /// # Errors
    /// A sentence that explains which forms are understood.
    pub(super) fn parse(text: &str, zone: &TimeZone) -> Result<Self, String> {
        let text = text.trim();
        if let Some(duration) = text.strip_prefix('-') {
            return Ok(TimeLimit::BeforeEnd(parse_duration(duration)?));
        }
        if let Ok(timestamp) = text.parse::<Timestamp>() {
            return Ok(TimeLimit::At(to_ns(timestamp)));
        }
        if let Ok(time) = text.parse::<civil::Time>() {
            return Ok(TimeLimit::OfLastDay(time));
        }
        let at = text.parse::<DateTime>().map_err(|_| {
            format!(
                "`{text}` is no time; write 2026-01-31T12:03:04, 2026-01-31T12:03:04Z, 12:03:04 or -5s \
                 (before the last event)"
            )
        })?;
        zone.to_timestamp(at)
            .map(|timestamp| TimeLimit::At(to_ns(timestamp)))
            .map_err(|error| format!("`{text}`: {error}"))
    }

    /// Returns the limit in nanoseconds since 1970 if the last event was at `end`.
    #[must_use]
    pub(super) fn resolve(self, end: i64, zone: &TimeZone) -> i64 {
        match self {
            TimeLimit::At(unix_ns) => unix_ns,
            TimeLimit::BeforeEnd(distance) => end.saturating_sub(distance),
            TimeLimit::OfLastDay(time) => {
                let day = zone.to_datetime(Timestamp::from_nanosecond(end.into()).unwrap_or_default()).date();
                zone.to_timestamp(day.to_datetime(time)).map_or(end, to_ns)
            }
        }
    }
}

/// Parses a duration such as `5s`, `1.5s`, `2m` or `1h 30m` into nanoseconds.
///
/// # Errors
/// A sentence that explains which forms are understood.
pub(super) fn parse_duration(text: &str) -> Result<i64, String> {
    let error = || format!("`{text}` is no duration; write 5s, 250ms, 2m or 1h30m");
    let duration: SignedDuration = text.trim().parse().map_err(|_| error())?;
    if duration.is_negative() {
        return Err(error());
    }
    Ok(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX))
}

fn to_ns(timestamp: Timestamp) -> i64 {
    let ns = timestamp.as_nanosecond();
    i64::try_from(ns).unwrap_or(if ns < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: i64 = 1_700_000_000_123_456_789; // 2023-11-14T22:13:20.123456789Z

    #[test]
    fn limits() {
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        let parse = |text: &str| TimeLimit::parse(text, &zone).expect(text).resolve(T, &zone);
        let whole = 1_700_000_000_000_000_000;
        assert_eq!(parse("2023-11-14T22:13:20Z"), whole);
        assert_eq!(parse("2023-11-15 00:13:20"), whole);
        assert_eq!(parse("00:13:20"), whole);
        assert_eq!(parse("-5s"), T - 5_000_000_000);
        assert_eq!(parse("-250ms"), T - 250_000_000);
        assert_eq!(parse("-1h30m"), T - 5_400_000_000_000);
        assert_eq!(parse("2023-11-15"), whole - 800_000_000_000);
        for wrong in ["", "yesterday-ish", "-", "--5s", "5s", "25:00"] {
            assert!(TimeLimit::parse(wrong, &zone).is_err(), "{wrong}");
        }
    }
}

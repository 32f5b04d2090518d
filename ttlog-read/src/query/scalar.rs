//! Numbers, durations and sizes in text.
//!
//! A duration is written as Rust prints one with `Debug` (`1.5s`, `99ms`, `3.007µs`, `7ns`), as people do (`500ms`,
//! `2m`, `1h30m`, `2 minutes`), as this crate shows it (`59 min 59 s`), or as in ISO 8601 (`PT1.5S`). A size has a
//! decimal (`10KB`, `1.5 GB`) or a binary unit (`4MiB`). Units are case-sensitive: `Mb` is no megabyte. Without a unit,
//! a number is only that.

use std::cmp::Ordering;
use std::time::Duration;

use super::number::Number;

/// A number, a duration or a size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Scalar {
    Number(Number),
    /// In 10^-18 seconds.
    Duration(i128),
    /// In 10^-18 bytes.
    Size(i128),
}

impl From<Duration> for Scalar {
    fn from(duration: Duration) -> Self {
        // Less than 2^64 seconds, of less than 2^60 units each.
        Scalar::Duration((duration.as_nanos() * (ATTO / 1_000_000_000)).cast_signed())
    }
}

/// Kind of a value, as far as comparisons are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Number,
    Duration,
    Size,
    Bool,
    Bytes,
    Uuid,
    Address,
    Time,
    Text,
}

impl Kind {
    /// Returns the noun with its article.
    pub(super) fn noun(self) -> &'static str {
        match self {
            Kind::Number => "a number",
            Kind::Duration => "a duration",
            Kind::Size => "a size",
            Kind::Bool => "a bool",
            Kind::Bytes => "bytes",
            Kind::Uuid => "a UUID",
            Kind::Address => "an address",
            Kind::Time => "a time",
            Kind::Text => "text",
        }
    }
}

impl Scalar {
    /// Parses a number, a duration or a size; blanks around it do not matter.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        // Most texts are refused here.
        if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.' | 'P' | 'N' | 'i')) {
            return None;
        }
        Number::parse(text).map(Scalar::Number).or_else(|| pieces(text)).or_else(|| iso_duration(text))
    }

    pub(super) fn kind(self) -> Kind {
        match self {
            Scalar::Number(_) => Kind::Number,
            Scalar::Duration(_) => Kind::Duration,
            Scalar::Size(_) => Kind::Size,
        }
    }

    /// Compares two values of one kind; `Err` if they are of different kinds. `NaN` has no order.
    pub(super) fn compare(self, other: Self) -> Result<Option<Ordering>, Kind> {
        match (self, other) {
            (Scalar::Number(a), Scalar::Number(b)) => Ok(a.compare(b)),
            (Scalar::Duration(a), Scalar::Duration(b)) | (Scalar::Size(a), Scalar::Size(b)) => Ok(Some(a.cmp(&b))),
            _ => Err(self.kind()),
        }
    }
}

/// A text in its place for sorting: numbers first, then durations and sizes, each by value, then other text.
#[derive(Clone, Copy, Debug)]
pub struct ByValue<'t> {
    text: &'t str,
    scalar: Option<Scalar>,
}

impl<'t> ByValue<'t> {
    /// Parses the text.
    #[must_use]
    pub fn new(text: &'t str) -> Self {
        ByValue { text, scalar: Scalar::parse(text) }
    }

    fn rank(&self) -> (Kind, bool) {
        let is_nan = matches!(self.scalar, Some(Scalar::Number(Number::Float(float))) if float.is_nan());
        (self.scalar.map_or(Kind::Text, Scalar::kind), is_nan)
    }
}

impl Ord for ByValue<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_value = || {
            let both = self.scalar.zip(other.scalar);
            both.and_then(|(a, b)| a.compare(b).ok().flatten()).unwrap_or(Ordering::Equal)
        };
        self.rank().cmp(&other.rank()).then_with(by_value).then_with(|| self.text.cmp(other.text))
    }
}

impl PartialOrd for ByValue<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for ByValue<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for ByValue<'_> {}

/// 10^-18 of a unit.
pub(super) const ATTO: u128 = 1_000_000_000_000_000_000;

/// Units of time, and their length in 10^-18 seconds.
const TIMES: [(&[&str], u128); 7] = [
    (&["ns", "nsec", "nsecs", "nanosecond", "nanoseconds"], ATTO / 1_000_000_000),
    (&["µs", "μs", "us", "usec", "usecs", "microsecond", "microseconds"], ATTO / 1_000_000),
    (&["ms", "msec", "msecs", "millisecond", "milliseconds"], ATTO / 1000),
    (&["s", "sec", "secs", "second", "seconds"], ATTO),
    (&["m", "min", "mins", "minute", "minutes"], 60 * ATTO),
    (&["h", "hr", "hrs", "hour", "hours"], 3600 * ATTO),
    (&["d", "day", "days"], 86_400 * ATTO),
];

/// Units of size, and their length in bytes.
const SIZES: [(&[&str], u128); 13] = [
    (&["B", "byte", "bytes"], 1),
    (&["kB", "KB"], 1000),
    (&["MB"], 1_000_000),
    (&["GB"], 1_000_000_000),
    (&["TB"], 1_000_000_000_000),
    (&["PB"], 1_000_000_000_000_000),
    (&["EB"], 1_000_000_000_000_000_000),
    (&["KiB"], 1 << 10),
    (&["MiB"], 1 << 20),
    (&["GiB"], 1 << 30),
    (&["TiB"], 1 << 40),
    (&["PiB"], 1 << 50),
    (&["EiB"], 1 << 60),
];

/// Parses a size, or a duration in one or more units, of which each is smaller than the one before and only the last
/// has a fraction.
fn pieces(text: &str) -> Option<Scalar> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let sign = if negative { -1 } else { 1 };
    let (mut total, mut last_unit) = (0_i128, u128::MAX);
    loop {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (digits, after) = rest.split_at(end);
        let after = after.strip_prefix(' ').unwrap_or(after);
        let end = after.find(|c: char| c.is_ascii_digit() || c == ' ').unwrap_or(after.len());
        let (name, after) = after.split_at(end);
        let length_of = |units: &[(&[&str], u128)]| {
            units.iter().find(|(names, _)| names.contains(&name)).map(|(_, length)| *length)
        };
        let Some(unit) = length_of(&TIMES) else {
            let size = times(digits, length_of(&SIZES)?.checked_mul(ATTO)?)?;
            return (last_unit == u128::MAX && after.is_empty()).then(|| Scalar::Size(sign * size));
        };
        if unit >= last_unit {
            return None;
        }
        last_unit = unit;
        total = total.checked_add(times(digits, unit)?)?;
        if after.is_empty() {
            return Some(Scalar::Duration(sign * total));
        }
        if digits.contains('.') {
            return None;
        }
        rest = after.strip_prefix(' ').unwrap_or(after);
    }
}

/// Returns a decimal number times a unit, if it is exact.
fn times(digits: &str, unit: u128) -> Option<i128> {
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let fraction = fraction.trim_end_matches('0');
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let parse = |digits: &str| if digits.is_empty() { Some(0) } else { digits.parse::<u128>().ok() };
    let parts = parse(fraction)?.checked_mul(unit)?;
    let power = 10_u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let total = parse(whole)?.checked_mul(unit)?.checked_add(parts / power)?;
    i128::try_from(total).ok().filter(|_| parts % power == 0)
}

/// Parses a duration as in ISO 8601.
fn iso_duration(text: &str) -> Option<Scalar> {
    let unsigned = text.trim_start_matches(['-', '+']);
    let duration = unsigned.starts_with('P').then(|| text.parse::<jiff::SignedDuration>().ok())??;
    Some(Scalar::Duration(duration.as_nanos() * (ATTO / 1_000_000_000) as i128))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn duration(text: &str) -> i128 {
        match Scalar::parse(text) {
            Some(Scalar::Duration(atto)) => atto,
            other => panic!("{text} is no duration: {other:?}"),
        }
    }

    const NS: i128 = 1_000_000_000;

    #[test]
    fn every_duration_that_rust_prints() {
        let mut random = fastrand::Rng::with_seed(fastrand::u64(..));
        let fixed = [0, 1, 7, 999, 1000, 3007, 99_000_000, 1_500_000_000, u64::MAX].map(Duration::from_nanos);
        let mut all = fixed.to_vec();
        all.push(Duration::MAX);
        all.extend((0..2000).map(|_| Duration::new(random.u64(..) >> random.u32(0..64), random.u32(0..1_000_000_000))));
        all.extend((0..2000).map(|_| Duration::from_nanos(random.u64(..) >> random.u32(0..64))));
        for value in all {
            let printed = format!("{value:?}");
            assert_eq!(duration(&printed), value.as_nanos() as i128 * NS, "{printed}");
            assert_eq!(duration(&format!("{value:>40?}")), duration(&printed), "padded");
        }
    }

    #[test]
    fn durations_as_people_write_them() {
        for (text, ns) in [
            ("500ms", 500_000_000),
            ("2m", 120_000_000_000),
            ("1h30m", 5_400_000_000_000),
            ("1h 30m", 5_400_000_000_000),
            ("2 minutes", 120_000_000_000),
            ("1.5 h", 5_400_000_000_000),
            ("1d", 86_400_000_000_000),
            ("59 min 59 s", 3_599_000_000_000),
            ("1m30.5s", 90_500_000_000),
            ("3us", 3000),
            ("3µs", 3000),
            ("3μs", 3000),
            ("-5s", -5_000_000_000),
            ("+5s", 5_000_000_000),
            ("PT1.5S", 1_500_000_000),
            ("-PT1M", -60_000_000_000),
            (".5s", 500_000_000),
        ] {
            assert_eq!(duration(text), ns * NS, "{text}");
        }
        assert_eq!(duration("1.5ns"), 1_500_000_000);
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("10KB", 10_000),
            ("10 kB", 10_000),
            ("4MiB", 4 << 20),
            ("1.5GB", 1_500_000_000),
            ("0 B", 0),
            ("1023 bytes", 1023),
            ("16.0 EiB", 1 << 64),
        ] {
            assert_eq!(Scalar::parse(text), Some(Scalar::Size(bytes * ATTO as i128)), "{text}");
        }
        assert_eq!(Scalar::parse("0.1KiB"), Some(Scalar::Size(102_400_000_000_000_000_000)));
    }

    #[test]
    fn other_text_is_text() {
        for text in [
            "",
            "s",
            "ms",
            "5",
            "-",
            "5 apples",
            "5 S",
            "10Mb",
            "10K",
            "10mb",
            "1m1h",
            "5s5s",
            "1.5h3m",
            "1KB 5B",
            "1KB5s",
            "5s1KB",
            "5s ",
            "1..5s",
            "1.2.3s",
            ".s",
            "5  s",
            "--5s",
            "99999999999999999999999999s",
            "5s-3s",
            "P",
            "Pending",
            "item",
            "Nothing",
            "1.0000000000000000000001s",
            "10.0.0.1",
            "5sx",
        ] {
            let parsed = Scalar::parse(text);
            assert!(matches!(parsed, None | Some(Scalar::Number(_))) == (text != "5s "), "{text}: {parsed:?}");
            assert_eq!(matches!(parsed, Some(Scalar::Number(_))), text == "5", "{text}: {parsed:?}");
        }
    }

    #[test]
    fn any_text_is_parsed_or_refused() {
        let mut random = fastrand::Rng::with_seed(fastrand::u64(..));
        let parts =
            ["1", "9", "0", ".", "-", "+", " ", "s", "m", "h", "ms", "µs", "KB", "EiB", "e", "P", "T", "ü", "NaN"];
        for _ in 0..20_000 {
            let text: String = (0..random.usize(0..9)).map(|_| parts[random.usize(..parts.len())]).collect();
            _ = Scalar::parse(&text);
        }
        _ = Scalar::parse(&"1h".repeat(20_000));
        _ = Scalar::parse(&format!("{}s", "9".repeat(60_000)));
        _ = Scalar::parse(&format!("0.{}s", "9".repeat(60_000)));
    }

    #[test]
    fn texts_are_sorted_by_value() {
        let sorted = [
            "-5", "0.5", "99", "404", "1000", "NaN", "7ns", "99ms", "1s", "1m", "10KB", "4MiB", "", "9 lives", "a", "b",
        ];
        let mut texts = sorted;
        let mut random = fastrand::Rng::with_seed(fastrand::u64(..));
        for _ in 0..20 {
            random.shuffle(&mut texts);
            texts.sort_by_key(|text| ByValue::new(text));
            assert_eq!(texts, sorted);
        }
    }
}

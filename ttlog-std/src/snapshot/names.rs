//! Names: what a service or a reason becomes in that of a file, UTC times, random parts, texts that are too long.
//!
//! Names come from the program, from the environment and, when a dead ring is recovered, from hostile bytes. In a file name
//! only ASCII letters, digits, `.`, `_` and `-` are kept; everything else becomes `_`, so no name can leave its directory,
//! hide itself or carry terminal escapes. The true service name is in the ring's process item.

use std::fmt;
use std::hash::{BuildHasher as _, Hasher as _};

/// Most bytes of a service name that go into a file name.
pub(crate) const SERVICE_MAX_LEN: usize = 64;
/// Most bytes of a reason that go into a file name.
pub(crate) const REASON_MAX_LEN: usize = 48;

/// Displays a text as a part of a file name: at most `max_len` bytes of `[A-Za-z0-9._-]`, never empty, never starting with a
/// dot or a dash.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FileNamePart<'a> {
    text: &'a str,
    max_len: usize,
}

/// Gives the form of a service name used in file names.
pub(crate) fn service(text: &str) -> FileNamePart<'_> {
    FileNamePart { text, max_len: SERVICE_MAX_LEN }
}

/// Gives the form of a snapshot's reason used in file names.
pub(crate) fn reason(text: &str) -> FileNamePart<'_> {
    FileNamePart { text, max_len: REASON_MAX_LEN }
}

impl fmt::Display for FileNamePart<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.text.is_empty() {
            return f.write_str("unnamed");
        }
        for (index, c) in self.text.chars().take(self.max_len).enumerate() {
            let leading = index == 0 && matches!(c, '.' | '-');
            let kept = !leading && (c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
            fmt::Write::write_char(f, if kept { c } else { '_' })?;
        }
        Ok(())
    }
}

/// Cuts a text to at most `max_len` bytes, between two characters. Never panics.
pub(crate) fn cut(text: &str, max_len: usize) -> &str {
    let mut len = text.len().min(max_len);
    while !text.is_char_boundary(len) {
        len -= 1;
    }
    text.get(..len).unwrap_or("")
}

/// Displays Unix nanoseconds as `20261122T214159Z`: UTC, sorts by time, no character that a file system minds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct UtcStamp(pub(crate) i64);

impl fmt::Display for UtcStamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.div_euclid(1_000_000_000);
        let (year, month, day) = civil_date(seconds.div_euclid(86_400));
        let of_day = seconds.rem_euclid(86_400);
        let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
        write!(f, "{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
    }
}

/// Bytes of a [`UtcStamp`] between the years 0 and 9999.
pub(crate) const UTC_STAMP_LEN: usize = 16;

/// Tells whether `text` could be a [`UtcStamp`]: a date, `T`, a time, `Z`.
pub(crate) fn is_utc_stamp(text: &[u8]) -> bool {
    text.len() == UTC_STAMP_LEN
        && text.iter().enumerate().all(|(index, byte)| match index {
            8 => *byte == b'T',
            15 => *byte == b'Z',
            _ => byte.is_ascii_digit(),
        })
}

/// Gives year, month and day in the Gregorian calendar of a day counted from 1970-01-01.
///
/// Years are taken to start in March, so that the leap day is the last of a year; 400 years are 146,097 days.
fn civil_date(day: i64) -> (i64, i64, i64) {
    let from_march_0 = day + 719_468;
    let era = from_march_0.div_euclid(146_097);
    let day_of_era = from_march_0.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day_of_month)
}

/// Gives a number that another process or call is very unlikely to get. Not for secrets.
pub(crate) fn random() -> u64 {
    // std seeds this hasher from the operating system once per thread and changes it with every call.
    let mut hasher = std::collections::hash_map::RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    hasher.write_i64(crate::clock::unix_ns_now());
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_stay_in_their_directory() {
        for (text, expected) in [
            ("api-server_2.1", "api-server_2.1"),
            ("../../etc/passwd", "_._.._etc_passwd"),
            ("", "unnamed"),
            (".hidden", "_hidden"),
            ("-rf", "_rf"),
            ("a\u{1b}[31m\n\0b", "a__31m__b"),
            ("dienst-über", "dienst-_ber"),
        ] {
            assert_eq!(service(text).to_string(), expected, "{text:?}");
        }
    }

    #[test]
    fn long_names_are_cut() {
        assert_eq!(service(&"x".repeat(5000)).to_string().len(), SERVICE_MAX_LEN);
        assert_eq!(reason(&"ü".repeat(5000)).to_string().len(), REASON_MAX_LEN);
    }

    #[test]
    fn texts_are_cut_between_characters() {
        for (max_len, expected) in [(0, ""), (1, "a"), (2, "a"), (3, "aä"), (4, "aäb"), (9, "aäb")] {
            assert_eq!(cut("aäb", max_len), expected);
        }
    }

    #[test]
    fn known_dates() {
        for (seconds, expected) in [
            (0, "19700101T000000Z"),
            (951_782_400, "20000229T000000Z"),
            (951_868_799, "20000229T235959Z"),
            (1_709_164_800, "20240229T000000Z"),
            (4_107_542_400, "21000301T000000Z"),
            (-1, "19691231T235959Z"),
        ] {
            assert_eq!(UtcStamp(seconds * 1_000_000_000).to_string(), expected);
        }
        assert!(is_utc_stamp(UtcStamp(0).to_string().as_bytes()));
        for text in ["", "19700101T000000", "19700101T000000Zx", "19700101t000000Z", "1970010aT000000Z"] {
            assert!(!is_utc_stamp(text.as_bytes()), "{text}");
        }
        // The ends of the range: no overflow.
        assert_eq!(UtcStamp(i64::MAX).to_string(), "22620411T234716Z");
        assert_eq!(UtcStamp(i64::MIN).to_string(), "16770921T001243Z");
    }

    #[test]
    fn random_numbers_differ() {
        assert_ne!(random(), random());
    }
}

//! File names of snapshots: `ttlog-<service>-<pid>-<utc time>-<reason>.bin`.
//!
//! A number distinguishes snapshots of the same service, process, second and reason: `-2` before `.bin`, and so on.
//! While a snapshot is being written, its name is `.ttlog-…-<random>.tmp`. [`NamePart`] makes service and reason fit
//! for a file name; the originals are in the snapshot.
//!
//! Nothing here allocates.

use core::fmt;

use crate::ring::file_name::{NAME_START, NamePart};

/// Maximum length of a reason in a file name, in bytes.
pub const REASON_LEN_MAX: usize = 48;
/// Highest number in a name, and so the maximum number of snapshots with the same service, process, second and reason.
pub const SAME_NAME_MAX: u32 = 10_000;
/// Suffix of a snapshot's file name.
pub const SNAPSHOT_SUFFIX: &str = ".bin";
/// Prefix of the name of a snapshot that is being written.
const TEMPORARY_START: &str = ".ttlog-";
/// Suffix of that name.
const TEMPORARY_SUFFIX: &str = ".tmp";

/// Displays the name of a snapshot file without its number and suffix: `ttlog-<service>-<id>-<utc time>-<reason>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotStem<'a> {
    /// Service name; made fit for a file name when it is displayed.
    pub service: &'a str,
    /// Id of the process, or number of a device's session.
    pub id: u64,
    /// Time when the snapshot was created.
    pub time: UtcStamp,
    /// Reason for the snapshot; made fit for a file name when it is displayed.
    pub reason: &'a str,
}

impl fmt::Display for SnapshotStem<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SnapshotStem { service, id, time, reason } = *self;
        let (service, reason) = (NamePart::service(service), NamePart::new(reason, REASON_LEN_MAX));
        write!(f, "{NAME_START}{service}-{id}-{time}-{reason}")
    }
}

/// Displays the name of a snapshot file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotName<'a> {
    /// Start of the name.
    pub stem: SnapshotStem<'a>,
    /// Number among the files of one stem, from 1; the first name has no number.
    pub number: u32,
}

impl<'a> SnapshotName<'a> {
    /// Returns the possible names for a file of this stem, in order of preference.
    pub fn all(stem: SnapshotStem<'a>) -> impl Iterator<Item = Self> {
        (1..=SAME_NAME_MAX).map(move |number| SnapshotName { stem, number })
    }
}

impl fmt::Display for SnapshotName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.number {
            0 | 1 => write!(f, "{}{SNAPSHOT_SUFFIX}", self.stem),
            number => write!(f, "{}-{number}{SNAPSHOT_SUFFIX}", self.stem),
        }
    }
}

/// Displays the name of a snapshot file that is being written: hidden and unique.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TemporaryName<'a> {
    /// Start of the final name.
    pub stem: SnapshotStem<'a>,
    /// Number that no other writer uses.
    pub random: u64,
}

impl TemporaryName<'_> {
    /// Returns whether a file of this name is a snapshot that is being written or was never finished.
    #[must_use]
    pub fn matches(name: &[u8]) -> bool {
        name.starts_with(TEMPORARY_START.as_bytes()) && name.ends_with(TEMPORARY_SUFFIX.as_bytes())
    }
}

impl fmt::Display for TemporaryName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, ".{}-{:016x}{TEMPORARY_SUFFIX}", self.stem, self.random)
    }
}

/// Parts of a snapshot's file name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameParts<'a> {
    /// Service as it appears in file names: see [`NamePart::is`].
    pub service: &'a str,
    /// Id of the process, or number of a device's session.
    pub id: u64,
    /// Time when the snapshot was created.
    pub time: UtcStamp,
    /// Reason as it appears in file names, with the number if the name has one. (`panic-2` can be a reason as well.)
    pub reason: &'a str,
}

impl<'a> NameParts<'a> {
    /// Parses the name of a file; `None` if it is not the name of a snapshot.
    ///
    /// The name of a service can contain text that looks like an id and a time, so the rightmost match counts: the
    /// snapshots of `shop-7` are not mistaken for those of `shop`.
    #[must_use]
    pub fn parse(name: &'a [u8]) -> Option<Self> {
        let name = core::str::from_utf8(name).ok().filter(|name| name.is_ascii())?;
        let stem = name.strip_prefix(NAME_START)?.strip_suffix(SNAPSHOT_SUFFIX)?;
        // A time is followed by a dash, and preceded by a dash, a number and another dash.
        (0..stem.len().checked_sub(UTC_STAMP_LEN)?).rev().find_map(|at| Self::around(stem, at))
    }

    /// Parses the parts around the time at `at`.
    fn around(stem: &'a str, at: usize) -> Option<Self> {
        let (before, rest) = stem.split_at(at);
        let (time, reason) = rest.split_at(UTC_STAMP_LEN);
        let (before, reason) = (before.strip_suffix('-')?, reason.strip_prefix('-')?);
        let time = UtcStamp::parse(time)?;
        let (service, id) = before.rsplit_once('-')?;
        let is_number = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit());
        let id = id.parse().ok().filter(|_| is_number)?;
        (!service.is_empty() && !reason.is_empty()).then_some(NameParts { service, id, time, reason })
    }

    /// Returns whether the snapshot was created for this reason, with any number.
    #[must_use]
    pub fn has_reason(&self, reason: &str) -> bool {
        let part = NamePart::new(reason, REASON_LEN_MAX);
        let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        part.is(self.reason)
            || self.reason.rsplit_once('-').is_some_and(|(reason, number)| is_number(number) && part.is(reason))
    }
}

/// Displays a time as `20261122T214159Z`: UTC, sortable, and valid in file names on all file systems.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UtcStamp {
    /// Seconds since 1970.
    pub unix_seconds: i64,
}

/// Length of a [`UtcStamp`] in bytes, for the years 0 to 9999.
pub const UTC_STAMP_LEN: usize = 16;
const DAY_SECONDS: i64 = 86_400;

impl UtcStamp {
    /// Converts nanoseconds since 1970; fractions of a second are cut off.
    #[must_use]
    pub const fn from_unix_ns(unix_ns: i64) -> Self {
        UtcStamp { unix_seconds: unix_ns.div_euclid(1_000_000_000) }
    }

    /// Parses a stamp; `None` if the text is not a stamp, or the calendar has no such time.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text: &[u8; UTC_STAMP_LEN] = text.as_bytes().try_into().ok()?;
        let number = |at: usize, len: usize| {
            text[at..][..len]
                .iter()
                .try_fold(0_i64, |number, byte| byte.is_ascii_digit().then(|| number * 10 + i64::from(byte - b'0')))
        };
        if text[8] != b'T' || text[15] != b'Z' {
            return None;
        }
        let (year, month, day) = (number(0, 4)?, number(4, 2)?, number(6, 2)?);
        let (hour, minute, second) = (number(9, 2)?, number(11, 2)?, number(13, 2)?);
        let day_number = day_number(year, month, day);
        let exists = civil_date(day_number) == (year, month, day) && hour < 24 && minute < 60 && second < 60;
        let unix_seconds = day_number * DAY_SECONDS + hour * 3600 + minute * 60 + second;
        exists.then_some(UtcStamp { unix_seconds })
    }
}

impl fmt::Display for UtcStamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil_date(self.unix_seconds.div_euclid(DAY_SECONDS));
        let of_day = self.unix_seconds.rem_euclid(DAY_SECONDS);
        let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
        write!(f, "{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
    }
}

/// Returns year, month and day in the Gregorian calendar of a day counted from 1970-01-01.
///
/// Years start in March here, so that the leap day is the last of a year; 400 years are 146,097 days.
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

/// Returns the day counted from 1970-01-01; the inverse of [`civil_date`]. For a date that does not exist, returns the
/// day of another date.
fn day_number(year: i64, month: i64, day: i64) -> i64 {
    let (year, month_from_march) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = 365 * year_of_era + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use std::format;
    use std::string::{String, ToString as _};
    use std::vec::Vec;

    use super::*;

    const TIME: UtcStamp = UtcStamp { unix_seconds: 1_795_383_719 };
    const STEM: SnapshotStem<'_> = SnapshotStem { service: "a/b", id: 7, time: TIME, reason: "by hand" };

    #[test]
    fn names_of_one_stem() {
        assert_eq!(STEM.to_string(), "ttlog-a_b-7-20261122T214159Z-by_hand");
        let names: Vec<String> = SnapshotName::all(STEM).map(|name| name.to_string()).collect();
        assert_eq!(names.len(), SAME_NAME_MAX as usize);
        assert_eq!(names[0], "ttlog-a_b-7-20261122T214159Z-by_hand.bin");
        assert_eq!(names[1], "ttlog-a_b-7-20261122T214159Z-by_hand-2.bin");
        assert_eq!(names[9999], "ttlog-a_b-7-20261122T214159Z-by_hand-10000.bin");
        for name in &names[..20] {
            let parts = NameParts::parse(name.as_bytes()).unwrap();
            assert_eq!((parts.service, parts.id, parts.time), ("a_b", 7, TIME));
            assert!(parts.has_reason("by hand") && !parts.has_reason("by"), "{name}");
        }
    }

    #[test]
    fn temporary_names() {
        let name = TemporaryName { stem: STEM, random: 0xAB }.to_string();
        assert_eq!(name, ".ttlog-a_b-7-20261122T214159Z-by_hand-00000000000000ab.tmp");
        assert!(TemporaryName::matches(name.as_bytes()));
        assert_eq!(NameParts::parse(name.as_bytes()), None);
        for name in ["ttlog-shop-5.tmp", ".other.tmp", ".ttlog-shop-5.bin", ""] {
            assert!(!TemporaryName::matches(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn long_names_are_cut() {
        let long = "ü".repeat(5000);
        let name = SnapshotName { stem: SnapshotStem { service: &long, reason: &long, ..STEM }, number: 1 }.to_string();
        let parts = NameParts::parse(name.as_bytes()).unwrap();
        assert_eq!((parts.service.len(), parts.reason.len()), (64, REASON_LEN_MAX));
        assert!(NamePart::service(&long).is(parts.service) && parts.has_reason(&long));
    }

    #[test]
    fn services_in_names() {
        for (name, service) in [
            ("ttlog-shop-1-20261122T214159Z-manual.bin", Some("shop")),
            ("ttlog-shop-1-20261122T214159Z-manual-2.bin", Some("shop")),
            ("ttlog-shop-7-1-20261122T214159Z-manual.bin", Some("shop-7")),
            ("ttlog-shop-1-20261122T214159Z-x-9-20261122T214159Z-manual.bin", Some("shop-1-20261122T214159Z-x")),
            ("ttlog-shop-1-20261122T214159Z-20261122T214159Z-x.bin", Some("shop")),
            ("ttlog--1-20261122T214159Z-manual.bin", None),
            ("ttlog-shop--20261122T214159Z-manual.bin", None),
            ("ttlog-shop-x-20261122T214159Z-manual.bin", None),
            ("ttlog-shop-1-20261122T214159Z-.bin", None),
            ("ttlog-shop-1-20261122T214159Z.bin", None),
            ("ttlog-shop-1-20261122T214159Z-manual.bin.gz", None),
            ("ttlog-shop-1-2026112T2214159Z-manual.bin", None),
            ("ttlog-shop-1-20261322T214159Z-manual.bin", None),
            ("ttlog-shop-99999999999999999999-20261122T214159Z-manual.bin", None),
            ("ttlog-shöp-1-20261122T214159Z-manual.bin", None),
            ("ttlog-.bin", None),
            ("ttlog-", None),
            (".bin", None),
        ] {
            assert_eq!(NameParts::parse(name.as_bytes()).map(|parts| parts.service), service, "{name}");
        }
    }

    #[test]
    fn reasons_with_and_without_numbers() {
        for (reason, is_recovered) in
            [("recovered", true), ("recovered-2", true), ("recovered-by-hand", false), ("recover", false), ("2", false)]
        {
            let name = format!("ttlog-shop-1-20261122T214159Z-{reason}.bin");
            assert_eq!(NameParts::parse(name.as_bytes()).unwrap().has_reason("recovered"), is_recovered, "{name}");
        }
    }

    #[test]
    fn known_dates() {
        for (unix_seconds, expected) in [
            (0, "19700101T000000Z"),
            (951_782_400, "20000229T000000Z"),
            (951_868_799, "20000229T235959Z"),
            (1_709_164_800, "20240229T000000Z"),
            (4_107_542_400, "21000301T000000Z"),
            (-1, "19691231T235959Z"),
            (-62_167_219_200, "00000101T000000Z"),
            (253_402_300_799, "99991231T235959Z"),
        ] {
            let stamp = UtcStamp { unix_seconds };
            assert_eq!(stamp.to_string(), expected);
            assert_eq!(UtcStamp::parse(expected), Some(stamp));
        }
        for text in [
            "",
            "19700101T000000",
            "19700101T000000Zx",
            "19700101t000000Z",
            "1970010aT000000Z",
            "19700229T000000Z",
            "19700001T000000Z",
            "19701301T000000Z",
            "19700100T000000Z",
            "19700101T240000Z",
            "19700101T006000Z",
            "19700101T000060Z",
        ] {
            assert_eq!(UtcStamp::parse(text), None, "{text}");
        }
        // The ends of the range: no overflow.
        assert_eq!(UtcStamp::from_unix_ns(i64::MAX).to_string(), "22620411T234716Z");
        assert_eq!(UtcStamp::from_unix_ns(i64::MIN).to_string(), "16770921T001243Z");
    }

    #[test]
    fn every_day_of_400_years_comes_back() {
        for day in 0..146_097 {
            let (year, month, date) = civil_date(day);
            assert_eq!(day_number(year, month, date), day);
        }
    }
}

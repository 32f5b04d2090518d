//! The options of the recorder: their meaning, defaults and ranges.
//!
//! [`Builder`](crate::Builder) collects them, [`environment`](crate::config::environment) overrides them, and `build`
//! checks them and puts them into the recorder, where every part reads its own. They do not change afterwards, except
//! for the filter.

use std::path::PathBuf;
use std::time::Duration;

use ttlog_core::{Filter, Level, RingConfig};

use super::error::InitError;
use crate::sys::report;

/// Smallest capacity for events, in bytes.
pub const CAPACITY_BYTES_MIN: usize = 16 * 1024;
/// Largest capacity for events, in bytes.
pub const CAPACITY_BYTES_MAX: usize = if cfg!(target_pointer_width = "64") { 1 << 30 } else { 1 << 28 };
/// Default capacity for events, in bytes, where memory and disk suffice.
pub const CAPACITY_BYTES_DEFAULT: usize = 16 * 1024 * 1024;
/// Largest number of snapshot requests that can wait.
pub const CHANNEL_CAPACITY_MAX: usize = 1 << 20;

/// Default number of snapshot requests that can wait.
const CHANNEL_CAPACITY_DEFAULT: usize = 64;
/// Smallest possible segment, in bytes: it must hold an event with a few texts.
pub(crate) const SEGMENT_BYTES_MIN: usize = 512;
/// Most bytes that all children can be given together.
pub(crate) const CHILDREN_BYTES_MAX: usize = usize::MAX / 2;
/// Limits of the table's size, in bytes.
pub(crate) const TABLE_BYTES_MIN: usize = 4 * 1024;
pub(crate) const TABLE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Limits of the intervals of the service thread, which wakes ten times a second.
pub(crate) const INTERVAL_MIN: Duration = Duration::from_millis(100);
pub(crate) const INTERVAL_MAX: Duration = Duration::from_secs(366 * 24 * 3600);
/// Limits of the share of the ring after which a snapshot is taken.
pub(crate) const FILLED_MIN: f64 = 0.1;
pub(crate) const FILLED_MAX: f64 = 1.0;
/// Largest share of a disk that retention can be asked to keep free, in percent.
pub(crate) const FREE_PERCENT_MAX: u8 = 90;

/// Whether the ring is in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RingFileChoice {
    /// In a file if possible, else on the heap, with one warning on stderr. The default.
    Preferred,
    /// In a file; without one there is no recorder ([`InitError::RingFile`]).
    Required,
    /// On the heap: nothing survives the end of the process except snapshots.
    None,
}

/// The signals that leave a mark in the ring when they end the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FatalSignals {
    /// None: no handler is installed for this.
    Off,
    /// Signals of faults: SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS and SIGTRAP.
    Faults,
    /// Signals of faults, and SIGTERM, SIGINT, SIGHUP and SIGQUIT where the program has no handler at the start. The
    /// default.
    All,
}

/// The signal that requests a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SnapshotSignal {
    /// SIGUSR1. The default when any signal will do.
    #[default]
    Usr1,
    /// SIGUSR2.
    Usr2,
}

/// All options. `None` means "not set"; the [`Builder`](crate::Builder) method of the same name documents the default.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) service: Option<String>,
    pub(crate) capacity_bytes: Option<usize>,
    pub(crate) child_capacity_bytes: Option<usize>,
    pub(crate) children_bytes: Option<usize>,
    pub(crate) priority_bytes: Option<usize>,
    pub(crate) segment_bytes: Option<usize>,
    pub(crate) table_bytes: Option<usize>,
    pub(crate) channel_capacity: usize,
    pub(crate) directory: Option<PathBuf>,
    pub(crate) snapshot_directory: Option<PathBuf>,
    /// Directives, see [`Filter`].
    pub(crate) filter: String,
    pub(crate) coarse_clock: bool,
    pub(crate) thread_renames: bool,
    pub(crate) panic_hook: bool,
    pub(crate) panic_backtrace: bool,
    pub(crate) recover_orphans: bool,
    pub(crate) fault_handler: bool,
    pub(crate) fatal_signals: FatalSignals,
    pub(crate) ring_file: RingFileChoice,
    pub(crate) min_age: Option<Duration>,
    pub(crate) snapshot_every: Option<Duration>,
    /// Warn or error.
    pub(crate) snapshot_on_level: Option<Level>,
    pub(crate) snapshot_on_signal: Option<SnapshotSignal>,
    /// A share of the ring, [`FILLED_MIN`] to [`FILLED_MAX`].
    pub(crate) snapshot_when_filled: Option<f64>,
    /// Zero: snapshots are not throttled.
    pub(crate) snapshot_throttle: Duration,
    /// 1 or more.
    pub(crate) retain_count: usize,
    pub(crate) retain_bytes: u64,
    pub(crate) retain_age: Option<Duration>,
    /// At most [`FREE_PERCENT_MAX`].
    pub(crate) retain_free_percent: u8,
    /// In addition to the built-in ones.
    pub(crate) secret_keys: Vec<String>,
    pub(crate) withhold_secrets: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            service: None,
            capacity_bytes: None,
            child_capacity_bytes: None,
            children_bytes: None,
            priority_bytes: None,
            segment_bytes: None,
            table_bytes: None,
            channel_capacity: CHANNEL_CAPACITY_DEFAULT,
            directory: None,
            snapshot_directory: None,
            filter: Filter::EVERYTHING.text().to_owned(),
            coarse_clock: false,
            thread_renames: true,
            panic_hook: true,
            panic_backtrace: true,
            recover_orphans: true,
            fault_handler: true,
            fatal_signals: FatalSignals::All,
            ring_file: RingFileChoice::Preferred,
            min_age: None,
            snapshot_every: None,
            snapshot_on_level: None,
            snapshot_on_signal: None,
            snapshot_when_filled: None,
            snapshot_throttle: Duration::from_secs(1),
            retain_count: 32,
            retain_bytes: 1 << 30,
            retain_age: None,
            retain_free_percent: 15,
            secret_keys: Vec::new(),
            withhold_secrets: true,
        }
    }
}

impl Settings {
    /// Returns the time that the ring should cover, in nanoseconds; 0 if not stated.
    pub(crate) fn min_age_ns(&self) -> u64 {
        u64::try_from(self.min_age.unwrap_or_default().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Checks the options that are not sizes. With `clamp` an option that is out of range is reset to its default, with
    /// a warning.
    ///
    /// # Errors
    /// [`InitError::Filter`] and [`InitError::Option`], unless `clamp`.
    pub(crate) fn check(&mut self, clamp: bool) -> Result<(), InitError> {
        let defaults = Settings::default();
        if let Err(error) = Filter::parse(&self.filter) {
            if !clamp {
                return Err(InitError::Filter { directives: self.filter.clone(), error });
            }
            report::warn(format_args!("filter {:?}: {error}; everything is recorded", self.filter));
            self.filter = defaults.filter;
        }
        let interval = |time: Duration| (INTERVAL_MIN..=INTERVAL_MAX).contains(&time);
        let mut range = RangeCheck { clamp };
        range.check("min_age", &mut self.min_age, defaults.min_age, INTERVAL, |age| age.is_none_or(interval))?;
        range.check("snapshot_every", &mut self.snapshot_every, defaults.snapshot_every, INTERVAL, |every| {
            every.is_none_or(interval)
        })?;
        range
            .check("retain_age", &mut self.retain_age, defaults.retain_age, INTERVAL, |age| age.is_none_or(interval))?;
        range.check(
            "snapshot_throttle",
            &mut self.snapshot_throttle,
            defaults.snapshot_throttle,
            "at most 366 days",
            |throttle| *throttle <= INTERVAL_MAX,
        )?;
        range.check(
            "snapshot_on_level",
            &mut self.snapshot_on_level,
            defaults.snapshot_on_level,
            "warn or error",
            |level| level.is_none_or(|level| level >= Level::Warn),
        )?;
        range.check(
            "snapshot_when_filled",
            &mut self.snapshot_when_filled,
            defaults.snapshot_when_filled,
            "0.1 to 1",
            |share| share.is_none_or(|share| (FILLED_MIN..=FILLED_MAX).contains(&share)),
        )?;
        range.check("retain_count", &mut self.retain_count, defaults.retain_count, "1 or more", |count| *count > 0)?;
        range.check(
            "retain_free_percent",
            &mut self.retain_free_percent,
            defaults.retain_free_percent,
            "at most 90",
            |percent| *percent <= FREE_PERCENT_MAX,
        )
    }
}

/// Returns how many of `segment_count` segments of `segment_len` bytes are reserved for warnings and errors: at least
/// two, because each one that is opened replaces another, and at most half of them; 0 if they share the segments of all
/// others.
pub(crate) fn priority_segment_count(priority_bytes: Option<usize>, segment_count: usize, segment_len: usize) -> u32 {
    match priority_bytes {
        None => RingConfig::usual_priority_count(segment_count),
        Some(0) => 0,
        Some(bytes) => u32::try_from(bytes.div_ceil(segment_len).max(2).min(segment_count / 2)).unwrap_or(0),
    }
}

/// Range of the options that are intervals.
const INTERVAL: &str = "100 ms to 366 days";

/// Checks options, and rejects or resets those that are out of range.
struct RangeCheck {
    clamp: bool,
}

impl RangeCheck {
    fn check<T: std::fmt::Debug>(
        &mut self,
        option: &'static str,
        value: &mut T,
        default: T,
        expected: &'static str,
        is_good: impl Fn(&T) -> bool,
    ) -> Result<(), InitError> {
        if is_good(value) {
            return Ok(());
        }
        if self.clamp {
            report::warn(format_args!("{option} {value:?} is not {expected}, {default:?} is used"));
            *value = default;
            return Ok(());
        }
        Err(InitError::Option { option, value: format!("{value:?}"), expected })
    }
}

/// Returns `value` if it is in range. Otherwise, with `clamp`, returns the nearest limit, with a warning.
///
/// # Errors
/// [`InitError::OutOfRange`], unless `clamp`.
pub(crate) fn in_range(
    clamp: bool,
    option: &'static str,
    value: usize,
    min: usize,
    max: usize,
) -> Result<usize, InitError> {
    let near = value.clamp(min, max);
    if near == value {
        Ok(value)
    } else if clamp {
        report::warn(format_args!("{option} {value} is out of range, {near} is used"));
        Ok(near)
    } else {
        Err(InitError::OutOfRange { option, value, min, max })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_in_range() {
        Settings::default().check(false).unwrap();
    }

    #[test]
    fn values_out_of_range_are_refused_by_name_or_set_back() {
        type Spoil = fn(&mut Settings);
        let spoils: [(&str, Spoil); 11] = [
            ("filter", |s| s.filter = "info,a=loud".to_owned()),
            ("min_age", |s| s.min_age = Some(Duration::ZERO)),
            ("snapshot_every", |s| s.snapshot_every = Some(Duration::from_millis(99))),
            ("retain_age", |s| s.retain_age = Some(Duration::MAX)),
            ("snapshot_throttle", |s| s.snapshot_throttle = Duration::MAX),
            ("snapshot_on_level", |s| s.snapshot_on_level = Some(Level::Info)),
            ("snapshot_when_filled", |s| s.snapshot_when_filled = Some(1.1)),
            ("snapshot_when_filled", |s| s.snapshot_when_filled = Some(0.0)),
            ("snapshot_when_filled", |s| s.snapshot_when_filled = Some(f64::NAN)),
            ("retain_count", |s| s.retain_count = 0),
            ("retain_free_percent", |s| s.retain_free_percent = 91),
        ];
        for (option, spoil) in spoils {
            let mut settings = Settings::default();
            spoil(&mut settings);
            let error = settings.check(false).unwrap_err().to_string();
            assert!(error.starts_with(option), "{error}");
            settings.check(true).unwrap();
            assert_eq!(format!("{settings:?}"), format!("{:?}", Settings::default()));
        }
    }

    #[test]
    fn warnings_and_errors_get_an_eighth_or_as_told() {
        assert_eq!([256, 16, 15].map(|count| priority_segment_count(None, count, 4096)), [32, 2, 0]);
        for (bytes, count) in [(0, 0), (1, 2), (4096, 2), (8193, 3), (1 << 30, 8)] {
            assert_eq!(priority_segment_count(Some(bytes), 16, 4096), count, "{bytes}");
        }
    }
}

//! Levels of events, and the compile-time floor.

use core::fmt;
use core::str::FromStr;

/// Level of an event. Ordered: `Trace < Debug < Info < Warn < Error`.
///
/// # Format
/// docs/format.md §3.2: the discriminant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u8)]
pub enum Level {
    /// Fine-grained steps.
    Trace = 1,
    /// Details for debugging.
    Debug = 2,
    /// Normal operation.
    Info = 3,
    /// Problems that the program can handle.
    Warn = 4,
    /// Failures.
    Error = 5,
}

impl Level {
    /// All levels, lowest first.
    pub const ALL: [Level; 5] = [Level::Trace, Level::Debug, Level::Info, Level::Warn, Level::Error];
    /// [`Level::Trace`], spelled as in `tracing` and `log`.
    pub const TRACE: Level = Level::Trace;
    /// [`Level::Debug`].
    pub const DEBUG: Level = Level::Debug;
    /// [`Level::Info`].
    pub const INFO: Level = Level::Info;
    /// [`Level::Warn`].
    pub const WARN: Level = Level::Warn;
    /// [`Level::Error`].
    pub const ERROR: Level = Level::Error;

    /// Returns the level's name in capitals.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Level::Trace => "TRACE",
            Level::Debug => "DEBUG",
            Level::Info => "INFO",
            Level::Warn => "WARN",
            Level::Error => "ERROR",
        }
    }
}

/// Lowest level that is compiled in; events below it leave no code behind. Set by the features `max_level_off`,
/// `max_level_error` … `max_level_debug` (the strictest one wins). Without them, all levels are compiled in.
pub const STATIC_LEVEL_FLOOR: u8 = if cfg!(feature = "max_level_off") {
    6
} else if cfg!(feature = "max_level_error") {
    5
} else if cfg!(feature = "max_level_warn") {
    4
} else if cfg!(feature = "max_level_info") {
    3
} else if cfg!(feature = "max_level_debug") {
    2
} else {
    1
};

/// Returns whether events of `level` are compiled in. Constant, so the test in the macros costs nothing at run time.
#[inline(always)]
#[must_use]
pub const fn level_enabled(level: Level) -> bool {
    level as u8 >= STATIC_LEVEL_FLOOR
}

/// Returns whether events of `level` (warnings and errors) go to priority segments, where events of lower levels do not
/// replace them.
#[inline(always)]
#[must_use]
pub const fn is_priority(level: Level) -> bool {
    level as u8 >= Level::Warn as u8
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Error for a text or number that is not a level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownLevel;

impl fmt::Display for UnknownLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("unknown level, expected one of trace, debug, info, warn, error")
    }
}

impl core::error::Error for UnknownLevel {}

impl FromStr for Level {
    type Err = UnknownLevel;

    fn from_str(text: &str) -> Result<Self, UnknownLevel> {
        Level::ALL.into_iter().find(|level| text.eq_ignore_ascii_case(level.as_str())).ok_or(UnknownLevel)
    }
}

impl TryFrom<u8> for Level {
    type Error = UnknownLevel;

    fn try_from(number: u8) -> Result<Self, UnknownLevel> {
        Level::ALL.into_iter().find(|level| *level as u8 == number).ok_or(UnknownLevel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_round_trip() {
        for level in Level::ALL {
            assert_eq!(level.as_str().to_ascii_lowercase().parse(), Ok(level));
            assert_eq!(Level::try_from(level as u8), Ok(level));
        }
        assert_eq!("loud".parse::<Level>(), Err(UnknownLevel));
        assert_eq!(Level::try_from(0), Err(UnknownLevel));
        assert!(Level::Trace < Level::Error);
    }
}

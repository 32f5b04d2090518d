//! Levels of `tracing` and `log` as ours, and back.

use ttlog_core::Level;

use crate::state;

/// Returns the lowest level that the recorder's filter selects for some target; `None` if nothing is recorded.
pub(crate) fn lowest_recorded() -> Option<Level> {
    let state = state::current().filter(|state| state.is_recording())?;
    // There is no filter only during a storm of changes, at the end of which the question is asked again.
    state.filter.with(|filter| filter.lowest_level()).unwrap_or(Some(Level::Trace))
}

/// Returns whether the recorder's filter selects events of this level and target.
pub(crate) fn is_recorded(level: Level, target: &str) -> bool {
    state::current().is_some_and(|state| {
        state.is_recording() && state.filter.with(|filter| filter.is_on(level, target)).unwrap_or(true)
    })
}

/// Returns whether the recorder records, whatever the filter selects.
#[cfg(feature = "tracing")]
#[inline]
pub(crate) fn is_recording() -> bool {
    state::current().is_some_and(state::State::is_recording)
}

#[cfg(feature = "tracing")]
pub(crate) fn from_tracing(level: &tracing_core::Level) -> Level {
    match *level {
        tracing_core::Level::TRACE => Level::Trace,
        tracing_core::Level::DEBUG => Level::Debug,
        tracing_core::Level::INFO => Level::Info,
        tracing_core::Level::WARN => Level::Warn,
        tracing_core::Level::ERROR => Level::Error,
    }
}

#[cfg(feature = "tracing")]
pub(crate) fn to_tracing(lowest: Option<Level>) -> tracing_core::LevelFilter {
    match lowest {
        None => tracing_core::LevelFilter::OFF,
        Some(Level::Error) => tracing_core::LevelFilter::ERROR,
        Some(Level::Warn) => tracing_core::LevelFilter::WARN,
        Some(Level::Info) => tracing_core::LevelFilter::INFO,
        Some(Level::Debug) => tracing_core::LevelFilter::DEBUG,
        Some(Level::Trace) => tracing_core::LevelFilter::TRACE,
    }
}

#[cfg(feature = "log")]
pub(crate) fn from_log(level: log::Level) -> Level {
    match level {
        log::Level::Trace => Level::Trace,
        log::Level::Debug => Level::Debug,
        log::Level::Info => Level::Info,
        log::Level::Warn => Level::Warn,
        log::Level::Error => Level::Error,
    }
}

#[cfg(feature = "log")]
pub(crate) fn to_log(lowest: Option<Level>) -> log::LevelFilter {
    match lowest {
        None => log::LevelFilter::Off,
        Some(Level::Error) => log::LevelFilter::Error,
        Some(Level::Warn) => log::LevelFilter::Warn,
        Some(Level::Info) => log::LevelFilter::Info,
        Some(Level::Debug) => log::LevelFilter::Debug,
        Some(Level::Trace) => log::LevelFilter::Trace,
    }
}

//! The recorder's filter as that of one layer of `tracing-subscriber`.

use tracing_core::{Interest, LevelFilter, Metadata};
use tracing_subscriber::layer::{Context, Filter};

use super::level::{from_tracing, is_recorded, lowest_recorded, to_tracing};
use super::sites::{known_site, site};

/// Selects the events and spans that the recorder's filter selects, for this layer alone: other layers are not
/// affected.
#[derive(Debug)]
pub struct RecorderFilter(());

impl RecorderFilter {
    pub(crate) const fn new() -> Self {
        RecorderFilter(())
    }
}

/// Returns whether the recorder's filter selects a callsite, in some nanoseconds if it was met before.
#[inline]
pub(crate) fn is_enabled(metadata: &Metadata<'_>) -> bool {
    match known_site(metadata) {
        // Events of `tracing-log` have a target of their own each, and are looked at when they come.
        Some(site) => site.is_log || site.main.is_enabled(),
        None => is_recorded(from_tracing(metadata.level()), metadata.target()),
    }
}

/// Returns whether the recorder's filter selects a callsite, which is known from then on.
pub(crate) fn is_callsite_enabled(metadata: &'static Metadata<'static>) -> bool {
    site(metadata).is_some_and(|site| site.is_log || site.main.is_enabled())
}

/// Returns the most verbose level that the recorder's filter selects.
pub(crate) fn max_level() -> LevelFilter {
    to_tracing(lowest_recorded())
}

impl<S> Filter<S> for RecorderFilter {
    fn enabled(&self, metadata: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        is_enabled(metadata)
    }

    /// Never returns `always`: the registry remembers in the thread which layers want the next event, and forgets it
    /// only when it is asked again. After a question without an event (`log_enabled!` through `tracing-log`), an event
    /// that is always on would be withheld.
    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        if is_callsite_enabled(metadata) { Interest::sometimes() } else { Interest::never() }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(max_level())
    }
}

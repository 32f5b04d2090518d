//! The recorder's filter as that of one layer of `tracing-subscriber`.

use tracing_core::{Interest, LevelFilter, Metadata};
use tracing_subscriber::layer::{Context, Filter};

use super::level::{from_tracing, is_recorded, lowest_recorded, to_tracing};
use super::sites::{known_site, site};

/// Selects the events and spans that the recorder's filter selects, for this layer alone: other layers are not
/// affected.
#[derive(Debug)]
pub(crate) struct RecorderFilter(());

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
    // A question (`enabled!`) is neither, and needs nothing of ours.
    if !metadata.is_event() && !metadata.is_span() {
        return is_enabled(metadata);
    }
    site(metadata).is_some_and(|site| site.is_log || site.main.is_enabled())
}

/// Returns the most verbose level that the recorder's filter selects.
pub(crate) fn max_level() -> LevelFilter {
    to_tracing(lowest_recorded())
}

impl<S> Filter<S> for RecorderFilter {
    /// Always `true`: the layer looks at the recorder's filter itself when an event or a span comes.
    ///
    /// The registry keeps the answer in the thread until the next event, whichever that is. After a question without
    /// an event (`log_enabled!` through `tracing-log`), `false` would withhold another one. And it would spare nothing:
    /// the registry passes on what all filters of layers refuse, too.
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    /// Never `sometimes`, so that `tracing` does not ask before each event.
    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        if is_callsite_enabled(metadata) { Interest::always() } else { Interest::never() }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(max_level())
    }
}

#[cfg(test)]
mod tests {
    use tracing_core::callsite::{DefaultCallsite, Identifier};
    use tracing_core::field::FieldSet;
    use tracing_core::metadata::Kind;
    use tracing_core::{Level, Metadata};

    use super::*;

    macro_rules! callsite {
        ($name:ident, $metadata:ident, $kind:expr) => {
            static $name: DefaultCallsite = DefaultCallsite::new(&$metadata);
            static $metadata: Metadata<'static> = Metadata::new(
                "name",
                "target",
                Level::INFO,
                None,
                None,
                None,
                FieldSet::new(&[], Identifier(&$name)),
                $kind,
            );
        };
    }
    callsite!(EVENT, EVENT_METADATA, Kind::EVENT);
    callsite!(QUESTION, QUESTION_METADATA, Kind::HINT);

    #[test]
    fn questions_leave_no_callsite() {
        // Nothing records here.
        assert!(!is_callsite_enabled(&EVENT_METADATA) && !is_callsite_enabled(&QUESTION_METADATA));
        assert!(known_site(&EVENT_METADATA).is_some());
        assert!(known_site(&QUESTION_METADATA).is_none());
    }
}

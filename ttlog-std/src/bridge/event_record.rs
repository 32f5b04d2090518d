//! Events of `tracing` into the ring.

use tracing_core::Event;

use super::sites::{Site, site};
use super::values::encode;

/// Returns what belongs to the callsite of an event, if the recorder's filter selects it.
#[inline(always)]
pub(crate) fn enabled_site(event: &Event<'_>) -> Option<&'static Site> {
    // Those of `tracing-log` have a target of their own each, which is looked at later.
    site(event.metadata()).filter(|site| site.is_log || site.main.is_enabled())
}

/// Records an event. `span` is the recorded id of the span that it belongs to; 0: none.
#[inline(always)]
pub(crate) fn record_event(site: &'static Site, event: &Event<'_>, span: u64) {
    if site.is_log {
        return super::log_event::record(event, span);
    }
    site.main.record(|out| encode(out, &[span], site.shape, |visit| event.record(visit)));
}

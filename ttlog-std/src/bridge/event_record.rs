//! Events of `tracing` into the ring.

use tracing_core::Event;

use super::sites::site;
use super::values::encode;

/// Records an event if the recorder's filter selects it. `span` returns the recorded id of the span that it belongs to;
/// 0: none.
#[inline]
pub(crate) fn record_event(event: &Event<'_>, span: impl FnOnce() -> u64) {
    let Some(site) = site(event.metadata()) else { return };
    if site.is_log {
        return super::log_event::record(event, span());
    }
    if site.main.is_enabled() {
        site.main.record(|out| encode(out, &[span()], site.shape, |visit| event.record(visit)));
    }
}

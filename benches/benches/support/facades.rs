//! Events, spans and records of `tracing` and `log`, and a layer to compare with.

use std::fmt::Debug;
use std::hint::black_box;

use tracing::field::{Field, Visit};
use tracing::{Dispatch, Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
use ttlog_std::Recorder;

/// An event with three fields, of the kinds of a native standard event.
#[inline(always)] // as where it stands in a program
pub(crate) fn event(n: u64) {
    tracing::info!(symbol = "ACME", quantity = n, price = n as f64 / 4.0, "order executed");
}

/// An event whose message is formatted.
#[inline(always)] // as where it stands in a program
pub(crate) fn formatted(n: u64) {
    tracing::info!("order {n} executed");
}

/// The life of a span: start, enter, leave, end.
#[inline(always)] // as where it stands in a program
pub(crate) fn span(n: u64) {
    tracing::info_span!("order", n).in_scope(|| ());
}

/// An event that is off at level `Warn`.
#[inline(always)] // as where it stands in a program
pub(crate) fn off(n: u64) {
    tracing::debug!(quantity = n, "order executed");
}

/// A record of `log` with two key-values.
#[inline(always)] // as where it stands in a program
pub(crate) fn record(n: u64) {
    log::info!(symbol = "ACME", quantity = n; "order executed");
}

/// Returns a subscriber whose only layer visits the values of events and spans.
pub(crate) fn visiting() -> Dispatch {
    Dispatch::new(tracing_subscriber::registry().with(Visiting))
}

/// Returns a subscriber whose only layer is the recorder's.
pub(crate) fn layer(recorder: &Recorder) -> Dispatch {
    Dispatch::new(tracing_subscriber::registry().with(recorder.layer()))
}

/// Returns the recorder's own subscriber.
pub(crate) fn subscriber() -> Dispatch {
    Dispatch::new(ttlog_std::tracing::subscriber())
}

/// A layer that visits the values of events and spans, and does nothing else.
struct Visiting;

struct Ignore;

impl Visit for Ignore {
    fn record_u64(&mut self, _: &Field, value: u64) {
        black_box(value);
    }
    fn record_f64(&mut self, _: &Field, value: f64) {
        black_box(value);
    }
    fn record_str(&mut self, _: &Field, value: &str) {
        black_box(value);
    }
    fn record_debug(&mut self, _: &Field, value: &dyn Debug) {
        black_box(value);
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Visiting {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        event.record(&mut Ignore);
    }
    fn on_new_span(&self, attributes: &tracing::span::Attributes<'_>, _: &tracing::Id, _: Context<'_, S>) {
        attributes.record(&mut Ignore);
    }
}

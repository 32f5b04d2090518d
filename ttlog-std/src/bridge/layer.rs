//! The layer of `tracing-subscriber`: events and spans of programs that have a subscriber.

use std::any::TypeId;
use std::sync::OnceLock;

use tracing_core::dispatcher::{Dispatch, WeakDispatch};
use tracing_core::span::{Attributes, Id, Record};
use tracing_core::{Event, Interest, LevelFilter, Metadata, Subscriber};
use tracing_subscriber::filter::Filtered;
use tracing_subscriber::layer::{Context, Identity, Layer};
use tracing_subscriber::registry::{LookupSpan, Registry, SpanData as _};

use super::event_record::{enabled_site, record_event};
use super::filter::RecorderFilter;
use super::follow;
use super::span_records;
use crate::span::stack;
use crate::span::table::{OpenSpan, next_owner, prepare, spans};

/// Number of ancestors among which a visible one is searched.
const ANCESTORS_MAX: usize = 1000;

/// A layer that records all events and spans that the recorder's filter selects.
///
/// Created by [`layer`]. It has the recorder's filter for itself alone, so it needs no other.
pub struct RecorderLayer<S> {
    /// Its number among the layers and subscribers of the process.
    owner: u64,
    /// The subscriber that the layer belongs to, without keeping it alive.
    subscriber: OnceLock<WeakDispatch>,
    /// Filter from which `tracing-subscriber` learns which callsites the layer wants, and that others can want more. It
    /// is not asked about single events and spans, for which it would look into the state of the thread, and look each
    /// span up in the registry at each step: the filter selects all that come (see [`RecorderFilter`]), and the spans
    /// that are recorded are in the table of open spans.
    filter: Filtered<Identity, RecorderFilter, S>,
}

/// Returns a layer for a subscriber that is made of layers, with the recorder's filter for this layer alone.
///
/// It records into the recorder of the process, whichever way that is started, before or after; without one it does
/// nothing. Levels and targets are selected by the recorder's filter ([`Recorder::set_filter`](crate::Recorder::set_filter)),
/// so it needs no other.
///
/// ```
/// use tracing_subscriber::prelude::*;
///
/// let recorder = ttlog_std::Recorder::init(100_000, 100, "shop");
/// tracing_subscriber::registry().with(tracing_subscriber::fmt::layer()).with(recorder.layer()).init();
/// tracing::info_span!("order", id = 7).in_scope(|| tracing::info!(price = 150.25, "executed"));
/// # recorder.shutdown();
/// ```
#[must_use]
pub fn layer<S>() -> RecorderLayer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    follow::tracing();
    prepare();
    let filter = Filtered::new(Identity::new(), RecorderFilter::new());
    RecorderLayer { owner: next_owner(), subscriber: OnceLock::new(), filter }
}

impl<S> Layer<S> for RecorderLayer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_register_dispatch(&self, subscriber: &Dispatch) {
        // A layer belongs to one subscriber, so the first one is the only one.
        let _ = self.subscriber.set(subscriber.downgrade());
    }

    fn on_layer(&mut self, subscriber: &mut S) {
        self.filter.on_layer(subscriber);
    }

    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        self.filter.register_callsite(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        self.filter.max_level_hint()
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let Some(site) = enabled_site(event) else { return };
        let span = match event.parent() {
            _ if event.is_contextual() => self.current(),
            None => 0,
            Some(parent) => self.visible(parent, &context),
        };
        record_event(site, event, span);
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let parent = match attributes.parent() {
            _ if attributes.is_contextual() => self.current(),
            None => 0,
            Some(parent) => self.visible(parent, &context),
        };
        span_records::start(self.owner, |_| id.into_u64(), parent, attributes);
    }

    fn on_enter(&self, id: &Id, _: Context<'_, S>) {
        let Some(span) = self.find(id) else { return };
        stack::enter_open(self.owner, span);
        span_records::enter(span);
    }

    fn on_exit(&self, id: &Id, _: Context<'_, S>) {
        let Some(span) = self.find(id) else { return };
        stack::leave(span.id);
        span_records::leave(span);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, _: Context<'_, S>) {
        self.find(id).into_iter().for_each(|span| span_records::update(span, values));
    }

    fn on_follows_from(&self, id: &Id, from: &Id, _: Context<'_, S>) {
        if let (Some(span), Some(from)) = (self.find(id), self.find(from)) {
            span_records::follows(span, from);
        }
    }

    fn on_close(&self, id: Id, _: Context<'_, S>) {
        self.find(&id).into_iter().for_each(span_records::end);
    }

    // Through this, `tracing-subscriber` asks whether a layer has a filter of its own.
    unsafe fn downcast_raw(&self, id: TypeId) -> Option<*const ()> {
        if id == TypeId::of::<Self>() {
            return Some(std::ptr::from_ref(self).cast());
        }
        // SAFETY: passes the question on to a field, which lives as long.
        unsafe { self.filter.downcast_raw(id) }
    }
}

impl<S> RecorderLayer<S> {
    #[inline]
    fn find(&self, id: &Id) -> Option<OpenSpan> {
        spans().find(self.owner, id.into_u64())
    }

    /// Returns the recorded id of the innermost span that the thread is in; 0: none.
    #[inline]
    fn current(&self) -> u64 {
        stack::current_of(self.owner).map_or(0, |entered| entered.span.id())
    }

    /// Returns the recorded id of a span that was named as parent, or else of its nearest ancestor that is recorded; 0:
    /// none.
    #[inline]
    fn visible(&self, id: &Id, context: &Context<'_, S>) -> u64
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        self.find(id).map_or_else(|| self.visible_ancestor(id, context), |span| span.id)
    }

    #[cold]
    #[inline(never)]
    fn visible_ancestor(&self, id: &Id, context: &Context<'_, S>) -> u64
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        // Spans that our own filter does not select are not hidden from the context.
        if let Some(span) = context.span(id) {
            let found = span.scope().take(ANCESTORS_MAX).find_map(|span| self.find(&span.id()));
            if let Some(found) = found {
                return found.id;
            }
        }
        self.visible_ancestor_in_registry(id).map_or(0, |span| span.id)
    }

    /// A filter around the layer hides spans from the context, and so the ways through them. The registry itself knows
    /// all.
    fn visible_ancestor_in_registry(&self, id: &Id) -> Option<OpenSpan> {
        let dispatch = self.subscriber.get()?.upgrade()?;
        let registry = dispatch.downcast_ref::<Registry>()?;
        let mut next = registry.span_data(id)?.parent().cloned();
        for _ in 0..ANCESTORS_MAX {
            let id = next?;
            if let Some(span) = self.find(&id) {
                return Some(span);
            }
            next = registry.span_data(&id)?.parent().cloned();
        }
        None
    }
}

impl<S> std::fmt::Debug for RecorderLayer<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RecorderLayer").field("owner", &self.owner).finish_non_exhaustive()
    }
}

impl<S> Drop for RecorderLayer<S> {
    fn drop(&mut self) {
        spans().forget(self.owner);
    }
}

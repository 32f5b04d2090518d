//! The layer of `tracing-subscriber`: events and spans of programs that have a subscriber.

use std::sync::OnceLock;

use tracing_core::dispatcher::{Dispatch, WeakDispatch};
use tracing_core::span::{Attributes, Id, Record};
use tracing_core::{Event, Subscriber};
use tracing_subscriber::filter::Filtered;
use tracing_subscriber::layer::{Context, Layer};
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
/// Created by [`layer`], together with that filter.
#[derive(Debug)]
pub struct RecorderLayer {
    /// Its number among the layers and subscribers of the process.
    owner: u64,
    /// The subscriber that the layer belongs to, without keeping it alive.
    subscriber: OnceLock<WeakDispatch>,
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
pub fn layer<S>() -> Filtered<RecorderLayer, RecorderFilter, S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    follow::tracing();
    prepare();
    RecorderLayer { owner: next_owner(), subscriber: OnceLock::new() }.with_filter(RecorderFilter::new())
}

impl<S> Layer<S> for RecorderLayer
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_register_dispatch(&self, subscriber: &Dispatch) {
        // A layer belongs to one subscriber, so the first one is the only one.
        let _ = self.subscriber.set(subscriber.downgrade());
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let Some(site) = enabled_site(event) else { return };
        let span = match event.parent() {
            Some(parent) => self.visible(parent, &context),
            None if event.is_root() => 0,
            None => self.current(),
        };
        record_event(site, event, span);
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let parent = match attributes.parent() {
            _ if attributes.is_root() => 0,
            None => self.current(),
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
}

impl RecorderLayer {
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
    fn visible<S>(&self, id: &Id, context: &Context<'_, S>) -> u64
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        self.find(id).map_or_else(|| self.visible_ancestor(id, context), |span| span.id)
    }

    #[cold]
    #[inline(never)]
    fn visible_ancestor<S>(&self, id: &Id, context: &Context<'_, S>) -> u64
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

impl Drop for RecorderLayer {
    fn drop(&mut self) {
        spans().forget(self.owner);
    }
}

//! A whole subscriber of `tracing`, for programs that have none.
//!
//! It does without a registry: all that is known of a span is in the table of open spans.

use std::sync::atomic::{Ordering, fence};

use tracing_core::span::{Attributes, Current, Id, Record};
use tracing_core::{Event, Interest, LevelFilter, Metadata, Subscriber};

use super::event_record::{enabled_site, record_event};
use super::filter::{is_callsite_enabled, is_enabled, max_level};
use super::follow;
use super::span_records;
use crate::span::freed;
use crate::span::stack;
use crate::span::table::{OpenSpan, next_owner, prepare, spans};

/// Id of all spans that are not recorded.
const UNRECORDED: u64 = u64::MAX;

/// A subscriber that records all events and spans that the recorder's filter selects, and does nothing else.
///
/// Created by [`subscriber`].
#[derive(Debug)]
pub struct RecorderSubscriber {
    /// Its number among the layers and subscribers of the process.
    owner: u64,
}

/// Returns a subscriber for programs that want nothing but the recorder. [`init`](crate::tracing::init) installs one.
///
/// It has no limit of threads. It records into the recorder of the process, whichever way that is started, before or
/// after; without one it does nothing.
#[must_use]
pub fn subscriber() -> RecorderSubscriber {
    follow::tracing();
    prepare();
    RecorderSubscriber { owner: next_owner() }
}

impl Subscriber for RecorderSubscriber {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        // Events look at the filter again, so a change takes effect at once if it turns them off, and as soon as the
        // cache is renewed if it turns them on.
        if is_callsite_enabled(metadata) { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        is_enabled(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(max_level())
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let parent = match attributes.parent() {
            _ if attributes.is_contextual() => self.current_id(),
            None => 0,
            Some(parent) => self.recorded_id(parent),
        };
        let mut key = UNRECORDED;
        let new_key = |id| {
            key = spans().key_for(self.owner, id);
            key
        };
        let span = span_records::start(self.owner, new_key, parent, attributes);
        Id::from_u64(if span.is_some() { key } else { UNRECORDED })
    }

    fn record(&self, id: &Id, values: &Record<'_>) {
        self.find(id).into_iter().for_each(|span| span_records::update(span, values));
    }

    fn record_follows_from(&self, id: &Id, from: &Id) {
        if let (Some(span), Some(from)) = (self.find(id), self.find(from)) {
            span_records::follows(span, from);
        }
    }

    fn event(&self, event: &Event<'_>) {
        let Some(site) = enabled_site(event) else { return };
        let span = match event.parent() {
            _ if event.is_contextual() => self.current_id(),
            None => 0,
            Some(parent) => self.recorded_id(parent),
        };
        record_event(site, event, span);
    }

    fn enter(&self, id: &Id) {
        let Some(span) = self.find(id) else { return };
        stack::enter_open(self.owner, span);
        span_records::enter(span);
    }

    fn exit(&self, id: &Id) {
        let Some(span) = self.find(id) else { return };
        stack::leave(span.id);
        span_records::leave(span);
    }

    fn clone_span(&self, id: &Id) -> Id {
        if let Some(span) = self.find(id) {
            // Like the count of an `Arc`: whoever clones has a handle, so the count is not 0.
            spans().slot(span).handle_count.fetch_add(1, Ordering::Relaxed);
        }
        id.clone()
    }

    fn try_close(&self, id: Id) -> bool {
        let Some(span) = self.find(&id) else { return false };
        // Release, and acquire if it was the last: what was done with any handle comes before the end.
        let was_last = spans().slot(span).handle_count.fetch_sub(1, Ordering::Release) == 1;
        if was_last {
            fence(Ordering::Acquire);
            span_records::end(span);
            freed::put(span.slot_index() as u32);
        }
        was_last
    }

    fn current_span(&self) -> Current {
        let current = self.current();
        let known =
            current.and_then(|span| Some((Id::from_u64(spans().key_of(span)?), span_records::metadata_of(span)?)));
        known.map_or_else(Current::none, |(id, metadata)| Current::new(id, metadata))
    }
}

impl RecorderSubscriber {
    #[inline]
    fn find(&self, id: &Id) -> Option<OpenSpan> {
        spans().find(self.owner, id.into_u64())
    }

    #[inline]
    fn current(&self) -> Option<OpenSpan> {
        stack::current_owned_by(self.owner)
    }

    /// Returns the id of the innermost span that the thread is in; 0: none.
    #[inline]
    fn current_id(&self) -> u64 {
        stack::current_of(self.owner).map_or(0, |entered| entered.span.id())
    }

    /// Returns the id of a span if it is recorded, and 0 otherwise.
    #[inline]
    fn recorded_id(&self, id: &Id) -> u64 {
        self.find(id).map_or(0, |span| span.id)
    }
}

impl Drop for RecorderSubscriber {
    fn drop(&mut self) {
        spans().forget(self.owner);
    }
}

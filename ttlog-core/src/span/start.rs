//! The start of a span, as the macros expand to it.
//!
//! The start takes an id, then the macro evaluates and records the fields, then [`SpanStart::span`] or
//! [`SpanStart::scope`] makes the handle.

#[cfg(not(ttlog_device_callsites))]
use core::cell::Cell;

use super::handle::{Scope, Span};
use super::parent::{AnyParent, Parent};
use super::steps;
#[cfg(not(ttlog_device_callsites))]
use super::trace::Traceparent;
#[cfg(not(ttlog_device_callsites))]
use crate::event::callsite::Callsite;
#[cfg(not(ttlog_device_callsites))]
use crate::event::fields::Fields;
use crate::event::span_context::{SpanContext, SpanNumber};
#[cfg(not(ttlog_device_callsites))]
use crate::record::SpanId;

/// The id of a span as the value of a field.
#[cfg(not(ttlog_device_callsites))]
pub(crate) type IdValue = SpanId;
/// The id of a span as the value of a field.
#[cfg(ttlog_device_callsites)]
pub(crate) type IdValue = SpanNumber;

/// Returns an id as the value of a field.
#[inline(always)]
const fn value_of(id: SpanNumber) -> IdValue {
    #[cfg(not(ttlog_device_callsites))]
    return SpanId(id);
    #[cfg(ttlog_device_callsites)]
    id
}

/// A span that starts.
#[derive(Debug)]
pub struct SpanStart {
    context: SpanContext,
    parent: SpanNumber,
    /// Place where the recorder keeps the start of the parent, or 0.
    #[cfg(not(ttlog_device_callsites))]
    parent_place: u32,
    /// Place where the recorder keeps this start, or 0.
    #[cfg(not(ttlog_device_callsites))]
    place: Cell<u32>,
    #[cfg(not(ttlog_device_callsites))]
    remote: Option<Traceparent>,
}

impl SpanStart {
    /// Starts a span with this id, unique in the recording, or no span if that is 0.
    #[inline(always)]
    #[must_use]
    pub const fn new(id: SpanNumber, parent: SpanContext) -> Self {
        SpanStart {
            #[cfg(not(ttlog_device_callsites))]
            context: if id == 0 { SpanContext::NONE } else { parent.child(id) },
            #[cfg(ttlog_device_callsites)]
            context: SpanContext { id },
            parent: parent.id,
            #[cfg(not(ttlog_device_callsites))]
            parent_place: parent.place(),
            #[cfg(not(ttlog_device_callsites))]
            place: Cell::new(0),
            #[cfg(not(ttlog_device_callsites))]
            remote: None,
        }
    }

    /// Starts a span with this id whose parent may be in another process.
    ///
    /// `current` returns the span that the context is in. It is the parent if the named one is off.
    #[inline]
    #[must_use]
    pub fn of(id: SpanNumber, parent: Parent, current: impl FnOnce() -> SpanContext) -> Self {
        match parent {
            Parent::None => SpanStart::new(id, SpanContext::NONE),
            Parent::Of(parent) => SpanStart::new(id, if parent.is_none() { current() } else { parent }),
            #[cfg(not(ttlog_device_callsites))]
            Parent::Remote(parent) => {
                let start = SpanStart::new(id, SpanContext::NONE);
                if id == 0 { start } else { SpanStart { context: parent.child(id), remote: Some(parent), ..start } }
            }
        }
    }

    /// Returns the id of the span; 0: it is not recorded.
    #[inline(always)]
    #[must_use]
    pub const fn id(&self) -> SpanNumber {
        self.context.id
    }

    /// Returns the id of its parent; 0: none.
    #[inline(always)]
    #[must_use]
    pub const fn parent(&self) -> SpanNumber {
        self.parent
    }

    /// Returns the id of the span as a value.
    #[inline(always)]
    #[must_use]
    pub const fn id_value(&self) -> IdValue {
        value_of(self.context.id)
    }

    /// Returns the id of its parent as a value.
    #[inline(always)]
    #[must_use]
    pub const fn parent_value(&self) -> IdValue {
        value_of(self.parent)
    }

    /// Returns the id of the parent with the place where the recorder keeps its start.
    #[cfg(not(ttlog_device_callsites))]
    #[inline(always)]
    #[must_use]
    pub const fn parent_context(&self) -> SpanContext {
        SpanContext::outermost(self.parent).kept_at(self.parent_place)
    }

    /// Notes the place where the recorder keeps this start, from 1.
    #[cfg(not(ttlog_device_callsites))]
    #[inline(always)]
    pub fn keep_at(&self, place: u32) {
        self.place.set(place);
    }

    #[inline(always)]
    fn context(&self) -> SpanContext {
        #[cfg(not(ttlog_device_callsites))]
        return self.context.kept_at(self.place.get());
        #[cfg(ttlog_device_callsites)]
        self.context
    }

    /// Returns the span, whose start is recorded.
    #[inline(always)]
    pub fn span(&self) -> Span {
        self.record_remote();
        Span::new(self.context())
    }

    /// Returns the guard of the span, whose start and entering are recorded; `enter` makes it the current one.
    #[inline(always)]
    pub fn scope(&self, enter: impl FnOnce(&SpanContext)) -> Scope {
        self.record_remote();
        let context = self.context();
        if !context.is_none() {
            enter(&context);
        }
        Scope::new(context)
    }

    #[inline(always)]
    fn record_remote(&self) {
        #[cfg(not(ttlog_device_callsites))]
        if let Some(parent) = &self.remote {
            steps::record_remote(self.context.id, parent);
        }
    }
}

/// Starts a span whose parent is the one that the context is in.
#[inline]
#[must_use]
pub fn contextual() -> SpanStart {
    SpanStart::new(steps::new_id(), steps::current())
}

/// Starts a span without a parent.
#[inline]
#[must_use]
pub fn root() -> SpanStart {
    SpanStart::new(steps::new_id(), SpanContext::NONE)
}

/// Starts a span with a named parent.
#[inline]
#[must_use]
pub fn under(parent: &impl AnyParent) -> SpanStart {
    SpanStart::of(steps::new_id(), parent.parent(), steps::current)
}

/// Records a start. `fields` begin with the ids of the span and of its parent.
#[cfg(not(ttlog_device_callsites))]
#[inline]
pub fn start<F: Fields>(start: &SpanStart, callsite: &'static Callsite, fields: F) {
    start.keep_at(steps::start(callsite, &fields, start.id(), &start.parent_context()));
}

/// Returns the id of the span that the context is in, for a warning or an error; 0: none. A number of any length,
/// because most warnings are in no span, and then it takes one byte.
#[cfg(not(ttlog_device_callsites))]
#[inline]
#[must_use]
pub fn current_id() -> SpanNumber {
    steps::current().id
}

/// Returns the span of a start.
#[inline(always)]
pub fn span(start: &SpanStart) -> Span {
    start.span()
}

/// Returns the guard of a start.
#[inline(always)]
pub fn scope(start: &SpanStart) -> Scope {
    start.scope(steps::enter_silently)
}

/// Stands for no span.
pub const NO_SPAN: SpanNumber = 0;

/// Returns the id of the span that an event names as its parent; 0: it belongs to none. If that is off, or in another
/// process, it is the one that the context is in.
#[inline]
#[must_use]
pub fn event_parent(parent: &impl AnyParent) -> SpanNumber {
    parent_of_event(parent.parent(), steps::current)
}

/// As [`event_parent`], for a recorder that knows the span that the context is in.
#[inline]
#[must_use]
pub fn parent_of_event(parent: Parent, current: impl FnOnce() -> SpanContext) -> SpanNumber {
    match parent {
        Parent::None => 0,
        Parent::Of(span) if !span.is_none() => span.id,
        _ => current().id,
    }
}

/// Returns the id of a span that gets values; 0: it is off.
#[inline]
#[must_use]
pub fn updated(span: &impl AnyParent) -> SpanNumber {
    match span.parent() {
        Parent::Of(span) => span.id,
        _ => 0,
    }
}

//! The start of a span, as the macros expand to it.
//!
//! The start takes an id, then the macro evaluates and records the fields, then [`SpanStart::span`] or
//! [`SpanStart::scope`] makes the handle.

use super::handle::{Scope, Span};
use super::parent::{AnyParent, Parent};
use super::steps;
#[cfg(not(ttlog_device_callsites))]
use super::trace::Traceparent;
use crate::event::span_context::{SpanContext, SpanNumber};

/// A span that starts.
#[derive(Debug)]
pub struct SpanStart {
    context: SpanContext,
    parent: SpanNumber,
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

    /// Returns the span, whose start is recorded.
    #[inline(always)]
    pub fn span(&self) -> Span {
        self.record_remote();
        Span::new(self.context)
    }

    /// Returns the guard of the span, whose start and entering are recorded; `enter` makes it the current one.
    #[inline(always)]
    pub fn scope(&self, enter: impl FnOnce(&SpanContext)) -> Scope {
        self.record_remote();
        if !self.context.is_none() {
            enter(&self.context);
        }
        Scope::new(self.context)
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

/// Returns the id of a span that gets values; 0: it is off.
#[inline]
#[must_use]
pub fn updated(span: &impl AnyParent) -> SpanNumber {
    match span.parent() {
        Parent::Of(span) => span.id,
        _ => 0,
    }
}

//! A span, and the guards of spans that are entered.

use core::fmt;
use core::marker::PhantomData;
use core::mem;
#[cfg(not(ttlog_device_callsites))]
use core::sync::atomic::{AtomicBool, Ordering};

use super::parent::{AnyParent, Parent};
use super::steps;
#[cfg(not(ttlog_device_callsites))]
use super::trace::Traceparent;
use crate::event::span_context::SpanContext;

/// A span that has started. It ends when this is dropped.
///
/// Created by [`span!`](crate::span!) and its like. A span can be sent to other threads, entered by several at once,
/// and entered many times. If it is off, or there is no recorder, all methods do nothing.
#[must_use = "the span ends when this is dropped"]
pub struct Span {
    context: SpanContext,
    /// Whether the id for other processes is recorded.
    #[cfg(not(ttlog_device_callsites))]
    is_known: AtomicBool,
}

impl Span {
    /// Creates a span that stands for none.
    #[inline(always)]
    pub const fn none() -> Self {
        Span::new(SpanContext::NONE)
    }

    #[inline(always)]
    pub(crate) const fn new(context: SpanContext) -> Self {
        Span {
            context,
            #[cfg(not(ttlog_device_callsites))]
            is_known: AtomicBool::new(false),
        }
    }

    /// Returns the innermost span that the calling context is in, to be the parent of spans elsewhere.
    ///
    /// On devices this is always [`SpanContext::NONE`]: only readers know it.
    #[must_use]
    pub fn current() -> SpanContext {
        steps::current()
    }

    /// Returns whether the span is off.
    #[must_use]
    pub const fn is_none(&self) -> bool {
        self.context.is_none()
    }

    /// Returns the identity of the span, to be the parent of spans elsewhere.
    #[must_use]
    pub const fn context(&self) -> SpanContext {
        self.context
    }

    /// Enters the span until the guard is dropped. Do not hold the guard across `.await`: use
    /// [`in_span`](super::InSpanExt::in_span).
    #[inline]
    pub fn enter(&self) -> Entered<'_> {
        if !self.is_none() {
            steps::enter(&self.context);
        }
        Entered { span: self, not_send: PhantomData }
    }

    /// Enters the span until the guard is dropped, at which it ends.
    #[inline]
    pub fn entered(self) -> Scope {
        if !self.is_none() {
            steps::enter(&self.context);
        }
        let context = self.context;
        mem::forget(self);
        Scope::new(context)
    }

    /// Calls `work` in the span.
    #[inline]
    pub fn in_scope<R>(&self, work: impl FnOnce() -> R) -> R {
        let _entered = self.enter();
        work()
    }

    /// Records that this span follows from another, without being its child.
    pub fn follows_from(&self, other: impl AnyParent) {
        if let (false, Parent::Of(other)) = (self.is_none(), other.parent()) {
            if !other.is_none() {
                steps::follow(&self.context, &other);
            }
        }
    }

    /// Returns the header `traceparent` for a request to another process, whose spans then are children of this one.
    /// `None` if the span is off.
    ///
    /// If no trace came from another process, that of the outermost span gets an id now. The first call records the
    /// ids, by which readers join the recordings.
    #[cfg(not(ttlog_device_callsites))]
    #[must_use]
    pub fn traceparent(&self) -> Option<Traceparent> {
        if self.is_none() {
            return None;
        }
        // Two threads at once record it twice, which does no harm.
        let is_known = self.is_known.swap(true, Ordering::Relaxed);
        steps::make_known(&self.context, is_known)
    }
}

#[cfg(not(ttlog_device_callsites))]
impl SpanContext {
    /// Returns the header `traceparent`, like [`Span::traceparent`], and records the ids at each call.
    #[must_use]
    pub fn traceparent(&self) -> Option<Traceparent> {
        if self.is_none() { None } else { steps::make_known(self, false) }
    }
}

impl Drop for Span {
    #[inline]
    fn drop(&mut self) {
        if !self.is_none() {
            steps::end(&self.context);
        }
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Span").field(&self.context.id).finish()
    }
}

/// A span that the thread is in until this is dropped. Guards can be dropped in any order.
#[derive(Debug)]
#[must_use = "the span is left when this is dropped"]
pub struct Entered<'s> {
    span: &'s Span,
    /// The thread that enters is the one that leaves.
    not_send: PhantomData<*const ()>,
}

impl Drop for Entered<'_> {
    #[inline]
    fn drop(&mut self) {
        if !self.span.is_none() {
            steps::leave(&self.span.context);
        }
    }
}

/// A span of its own that the thread is in until this is dropped, at which it ends. Guards can be dropped in any order.
///
/// Created by [`scope!`](crate::scope!) and [`Span::entered`].
#[derive(Debug)]
#[must_use = "the span is left and ends when this is dropped"]
pub struct Scope {
    context: SpanContext,
    /// The thread that enters is the one that leaves.
    not_send: PhantomData<*const ()>,
}

impl Scope {
    /// Creates a guard that stands for none.
    #[inline(always)]
    pub const fn none() -> Self {
        Scope::new(SpanContext::NONE)
    }

    /// The span must be entered.
    #[inline(always)]
    pub(crate) const fn new(context: SpanContext) -> Self {
        Scope { context, not_send: PhantomData }
    }

    /// Returns whether the span is off.
    #[must_use]
    pub const fn is_none(&self) -> bool {
        self.context.is_none()
    }

    /// Returns the identity of the span, to be the parent of spans elsewhere.
    #[must_use]
    pub const fn context(&self) -> SpanContext {
        self.context
    }

    /// Leaves the span without ending it.
    pub fn exit(self) -> Span {
        let context = self.context;
        mem::forget(self);
        if !context.is_none() {
            steps::leave(&context);
        }
        Span::new(context)
    }
}

impl Drop for Scope {
    #[inline]
    fn drop(&mut self) {
        if !self.is_none() {
            steps::finish(&self.context);
        }
    }
}

impl AnyParent for Span {
    fn parent(&self) -> Parent {
        Parent::Of(self.context())
    }
}

impl AnyParent for Scope {
    fn parent(&self) -> Parent {
        Parent::Of(self.context())
    }
}

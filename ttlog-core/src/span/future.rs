//! Futures in spans.

use core::future::Future;
use core::mem::ManuallyDrop;
use core::pin::Pin;
use core::task::{Context, Poll};

use super::handle::Span;

/// Adds [`in_span`](InSpanExt::in_span) to all futures.
pub trait InSpanExt: Future + Sized {
    /// Enters the span at each poll of the future, and while it is dropped. The span ends with it.
    fn in_span(self, span: Span) -> InSpan<Self> {
        InSpan::new(self, span)
    }
}

impl<F: Future> InSpanExt for F {}

/// A future with a span, which is entered at each poll and ends when this is dropped. Takes no memory but its own.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct InSpan<F> {
    /// Pinned if this is. Dropped by `drop` only.
    future: ManuallyDrop<F>,
    /// Declared last: ends after the future was dropped.
    span: Span,
}

impl<F> InSpan<F> {
    /// Joins a future and its span.
    pub fn new(future: F, span: Span) -> Self {
        InSpan { future: ManuallyDrop::new(future), span }
    }

    /// Returns the span.
    pub fn span(&self) -> &Span {
        &self.span
    }
}

impl<F: Future> Future for InSpan<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        // SAFETY: nothing is moved out of `this`: the future is pinned again, and the span is only borrowed.
        let this = unsafe { self.get_unchecked_mut() };
        let _entered = this.span.enter();
        // SAFETY: the future is pinned because `self` is: no method moves it or lends it unpinned, `drop` drops it in
        // place, and `InSpan` is `Unpin` only if the future is.
        unsafe { Pin::new_unchecked(&mut *this.future) }.poll(context)
    }
}

impl<F> Drop for InSpan<F> {
    fn drop(&mut self) {
        let _entered = self.span.enter();
        // SAFETY: dropped here only, in place, and not used afterwards.
        unsafe { ManuallyDrop::drop(&mut self.future) }
    }
}

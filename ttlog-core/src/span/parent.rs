//! Parents of spans, and the types that name them.

#[cfg(not(ttlog_device_callsites))]
use super::trace::Traceparent;
use crate::event::span_context::SpanContext;

/// The parent of a span that starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parent {
    /// There is none.
    None,
    /// The span, or the one that the context is in if that is off.
    Of(SpanContext),
    /// A span of another process.
    #[cfg(not(ttlog_device_callsites))]
    Remote(Traceparent),
}

/// A value that names a parent: a span, its [`context`](super::Span::context), a [`Traceparent`], and an `Option` of them, of
/// which `None` means that the span has no parent.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the parent of a span",
    label = "a parent is a span, its `context()`, a `Traceparent`, or `None`"
)]
pub trait AnyParent {
    /// Returns the parent.
    fn parent(&self) -> Parent;
}

impl AnyParent for SpanContext {
    fn parent(&self) -> Parent {
        Parent::Of(*self)
    }
}

#[cfg(not(ttlog_device_callsites))]
impl AnyParent for Traceparent {
    fn parent(&self) -> Parent {
        Parent::Remote(*self)
    }
}

impl<T: AnyParent> AnyParent for Option<T> {
    fn parent(&self) -> Parent {
        self.as_ref().map_or(Parent::None, AnyParent::parent)
    }
}

impl<T: AnyParent + ?Sized> AnyParent for &T {
    fn parent(&self) -> Parent {
        (**self).parent()
    }
}

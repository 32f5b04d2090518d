//! The records of a span on a device: two for a [`Scope`](super::Scope), with its id alone.

use portable_atomic::Ordering;

use crate::device::callsite::CallsiteText;
use crate::event::fields::{Cons, Nil};
use crate::event::level::Level;
use crate::event::metadata::{Field, Metadata, Role};
use crate::event::span_context::SpanContext;
use crate::memory::atomic::AtomicU32;
use crate::table::callsite_text::encoded_len;

/// Defines a function that records ids.
macro_rules! record_of_ids {
    (
        $(#[$doc:meta])*
        $name:ident = $message:literal, [$($field:expr),*], $(($value:ident: $of:ty)),+ => $fields:expr
    ) => {
        $(#[$doc])*
        #[inline(never)]
        pub(crate) fn $name($($value: $of),+) {
            const METADATA: Metadata = Metadata {
                level: Level::Trace,
                target: "ttlog::span",
                message: $message,
                file: "",
                line: 0,
                fields: &[$($field),*],
            };
            #[unsafe(link_section = ".ttlog.text")]
            static TEXT: CallsiteText<{ encoded_len(&METADATA) }> = CallsiteText::new(&METADATA);
            crate::__ttlog_record_callsite!(TEXT, $fields);
        }
    };
}

record_of_ids!(
    /// Records that the context enters a span.
    enter = "enter", [Field::id("span", Role::Enter)], (span: &SpanContext) => Cons(span.id, Nil)
);
record_of_ids!(
    /// Records that the context leaves a span.
    leave = "leave", [Field::id("span", Role::Leave)], (span: &SpanContext) => Cons(span.id, Nil)
);
record_of_ids!(
    /// Records that the context leaves a span, which ends.
    finish = "finish", [Field::id("span", Role::Finish)], (span: &SpanContext) => Cons(span.id, Nil)
);
record_of_ids!(
    /// Records that a span ends.
    end = "end", [Field::id("span", Role::End)], (span: &SpanContext) => Cons(span.id, Nil)
);
record_of_ids!(
    /// Records that a span follows from another.
    follow = "follows",
    [Field::id("span", Role::Update), Field::id("from", Role::Follows)],
    (span: &SpanContext), (from: &SpanContext) => Cons(span.id, Cons(from.id, Nil))
);

/// Number of spans in this session.
static COUNT: AtomicU32 = AtomicU32::new(0);

/// Returns the id of a new span: they are numbered from 1 in each session. After 4 billion they repeat.
#[inline]
pub(crate) fn new_id() -> u32 {
    COUNT.fetch_add(1, Ordering::Relaxed).wrapping_add(1).max(1)
}

/// Only readers know the span that a context is in.
#[inline(always)]
pub(crate) const fn current() -> SpanContext {
    SpanContext::NONE
}

/// The start of the span says that it is entered.
#[inline(always)]
pub(crate) const fn enter_silently(_: &SpanContext) {}

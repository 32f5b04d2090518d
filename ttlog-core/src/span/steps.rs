//! The records of a span after its start, through whichever recorder the program has.

use super::trace::{TraceId, Traceparent};
use crate::event::callsite::Callsite;
use crate::event::fields::{AnyFields, Cons, Nil};
use crate::event::level::Level;
use crate::event::metadata::{Field, Metadata, Role};
use crate::event::span_context::SpanContext;
use crate::recorder::install::{installed, record_any};

/// Defines callsites of records that consist of ids.
macro_rules! records_of_ids {
    ($($(#[$doc:meta])* $name:ident = $message:literal, [$($field:expr),*];)*) => {$(
        $(#[$doc])*
        pub static $name: Callsite = Callsite::new(&Metadata {
            level: Level::Trace,
            target: "ttlog::span",
            message: $message,
            file: "",
            line: 0,
            fields: &[$($field),*],
        });
    )*};
}

records_of_ids! {
    /// The context enters a span.
    ENTER = "enter", [Field::id("span", Role::Enter)];
    /// The context leaves a span.
    LEAVE = "leave", [Field::id("span", Role::Leave)];
    /// A span ends.
    END = "end", [Field::id("span", Role::End)];
    /// The context leaves a span, which ends.
    FINISH = "finish", [Field::id("span", Role::Finish)];
    /// A span follows from another.
    FOLLOWS = "follows", [Field::id("span", Role::Update), Field::id("from", Role::Follows)];
    /// A span has a parent in another process.
    REMOTE = "remote parent", [
        Field::id("span", Role::Update),
        Field::id("trace_id", Role::Trace),
        Field::id("parent_id", Role::RemoteParent)
    ];
    /// Another process gets to know a span.
    KNOWN = "traceparent",
        [Field::id("span", Role::Update), Field::id("trace_id", Role::Trace), Field::id("span_id", Role::KnownAs)];
}

/// Indices of the random numbers of a span.
const TRACE_HIGH: u8 = 0;
const TRACE_LOW: u8 = 1;
const SPAN: u8 = 2;

#[inline]
pub(crate) fn new_id() -> u64 {
    installed().map_or(0, |recorder| recorder.new_span_id())
}

/// Records a start, and returns the number of the place where it is kept, or 0. `fields` begin with the ids of the span
/// and of its parent.
#[inline(never)]
pub fn start(callsite: &'static Callsite, fields: &dyn AnyFields, id: u64, parent: &SpanContext) -> u32 {
    installed().map_or(0, |recorder| recorder.start_span(callsite, fields, id, parent))
}

#[inline]
pub(crate) fn current() -> SpanContext {
    installed().map_or(SpanContext::NONE, |recorder| recorder.current_span())
}

#[inline]
pub(crate) fn enter(span: &SpanContext) {
    if let Some(recorder) = installed() {
        recorder.enter_span(span, false);
    }
}

/// Enters a span whose start says so.
#[inline]
pub(crate) fn enter_silently(span: &SpanContext) {
    if let Some(recorder) = installed() {
        recorder.enter_span(span, true);
    }
}

#[inline]
pub(crate) fn leave(span: &SpanContext) {
    if let Some(recorder) = installed() {
        recorder.leave_span(span, false);
    }
}

#[inline]
pub(crate) fn finish(span: &SpanContext) {
    if let Some(recorder) = installed() {
        recorder.leave_span(span, true);
    }
}

#[inline]
pub(crate) fn end(span: &SpanContext) {
    if let Some(recorder) = installed() {
        recorder.end_span(span);
    }
}

pub(crate) fn follow(span: &SpanContext, from: &SpanContext) {
    record_any(&FOLLOWS, &Cons(span.id, Cons(from.id, Nil)));
}

#[cold]
pub(crate) fn record_remote(id: u64, parent: &Traceparent) {
    record_any(&REMOTE, &Cons(id, Cons(parent.trace_id().to_u128(), Cons(parent.span_id(), Nil))));
}

/// Returns the ids of a span for other processes, and records them unless they are known. `None` without a recorder
/// that has such ids.
pub(crate) fn make_known(span: &SpanContext, is_known: bool) -> Option<Traceparent> {
    let recorder = installed()?;
    let (trace, flags) = span.foreign_trace().unwrap_or_else(|| {
        let half = |index| u128::from(recorder.random_of_span(span.trace_low, index));
        (half(TRACE_HIGH) << 64 | half(TRACE_LOW), Traceparent::SAMPLED | Traceparent::RANDOM)
    });
    let known_as = recorder.random_of_span(span.id, SPAN);
    let header = Traceparent::new(TraceId::new(trace)?, known_as, flags)?;
    if !is_known {
        record_any(&KNOWN, &Cons(span.id, Cons(trace, Cons(known_as, Nil))));
    }
    Some(header)
}

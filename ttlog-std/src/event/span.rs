//! Spans of this crate's own macros, and of libraries that use only ttlog-core.
//!
//! The hot path is that of an event: an id from the thread's block, the thread's stack of spans, and one record.

use std::hash::BuildHasher as _;

use ttlog_core::event::{Cons, Nil, SpanContext};
use ttlog_core::span::steps::{END, ENTER, FINISH, LEAVE};
use ttlog_core::span::{AnyParent, Parent, Scope, SpanStart};
use ttlog_core::{Callsite, Fields};

use super::record::record;
use crate::span::ids::next_id;
use crate::span::stack;
use crate::state::{self, State};

/// Starts a span whose parent is the one that the thread is in. The macros of this crate expand to this and the
/// following ones.
#[inline(always)]
#[must_use]
pub fn contextual() -> SpanStart {
    SpanStart::new(next_id(), stack::current())
}

/// Starts a span without a parent.
#[inline(always)]
#[must_use]
pub fn root() -> SpanStart {
    SpanStart::new(next_id(), SpanContext::NONE)
}

/// Starts a span with a named parent.
#[inline]
#[must_use]
pub fn under(parent: &impl AnyParent) -> SpanStart {
    SpanStart::of(next_id(), parent.parent(), stack::current)
}

/// Returns the guard of a span whose start and entering are recorded.
#[inline(always)]
pub fn scope(start: &SpanStart) -> Scope {
    start.scope(stack::enter_new)
}

/// Returns the id of a span that gets values; 0: it is off, or nothing is recorded any more.
#[inline]
#[must_use]
pub fn updated(span: &impl AnyParent) -> u64 {
    match span.parent() {
        Parent::Of(span) if is_recording() => span.id(),
        _ => 0,
    }
}

/// Enters a span, and records that unless its start says so.
#[inline]
pub(crate) fn enter(span: &SpanContext, is_recorded: bool) {
    if is_recorded {
        stack::enter_new(span);
    } else {
        stack::enter(span);
        record_id(&ENTER, span.id());
    }
}

/// Leaves a span, and ends it if it `ends`.
#[inline]
pub(crate) fn leave(id: u64, ends: bool) {
    if ends {
        stack::leave_wholly(id);
        record_id(&FINISH, id);
    } else {
        stack::leave(id);
        record_id(&LEAVE, id);
    }
}

/// Ends a span.
#[inline]
pub(crate) fn end(id: u64) {
    stack::forget(id);
    record_id(&END, id);
}

/// Returns a random number of a span, see [`Recorder::random_of_span`](ttlog_core::recorder::Recorder).
pub(crate) fn random_of(state: &State, id: u64, index: u8) -> u64 {
    state.span_keys.hash_one((state.process().random(), id, index)).max(1)
}

/// Records an id, whatever the filter selects: the start of the span was recorded.
#[inline(always)]
fn record_id(callsite: &'static Callsite, id: u64) {
    if is_recording() {
        record_fields(callsite, Cons(id, Nil));
    }
}

#[inline(always)]
fn record_fields(callsite: &'static Callsite, fields: impl Fields) {
    record::<false, _>(callsite, fields);
}

#[inline(always)]
fn is_recording() -> bool {
    state::current().is_some_and(State::is_recording)
}

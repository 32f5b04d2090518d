//! Spans of this crate's own macros, and of libraries that use only ttlog-core.
//!
//! The hot path is that of an event: an id from the thread's block, the thread's stack of spans, and one record. The
//! start is encoded where it is [kept](crate::span::open), and copied into the ring.

use std::hash::BuildHasher as _;

use ttlog_core::event::{Cons, Nil, SpanContext};
use ttlog_core::record::SpanId;
use ttlog_core::span::kept::{Claimed, KeptStart};
use ttlog_core::span::steps::{self, END, ENTER, FINISH, LEAVE};
use ttlog_core::span::{AnyParent, Parent, Scope, SpanStart};
use ttlog_core::{AnyFields, Callsite, Fields};

use super::record::{append_start, record, record_from, record_slow, registered_id};
use crate::span::ids::next_id;
use crate::span::open::{self, Place};
use crate::span::{round, stack};
use crate::state::registry::{Origin, repeating_id};
use crate::state::{self, State};
use crate::sys::report;

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

/// Records a start. `fields` begin with the ids of the span and of its parent.
///
/// The ids are encoded twice, here and where the start is kept, of which the compiler makes one computation.
#[inline(always)]
pub fn start<F: Fields>(start: &SpanStart, callsite: &'static Callsite, fields: F) {
    let (id, parent) = (start.id(), start.parent_context());
    if let (Some(callsite_id), true) = (callsite.id_for(F::HASH), Claimed::has_room_for(&fields)) {
        if let (Some(place), true) = (open::claim(), KeptStart::can_keep(id)) {
            start.keep_at(place.number());
            let len = place.start.encode(&fields);
            place.publish(id, repeating_id(callsite_id), len, &parent, round::current());
            if append_start(callsite_id, &fields) {
                return;
            }
            // A copy, so that the hot path keeps the fields in registers.
            let copy = fields;
            return record_slow(callsite, &copy);
        }
    }
    let copy = fields;
    start.keep_at(start_other(callsite, &copy, id, &{ parent }));
}

#[cold]
#[inline(never)]
fn start_other(callsite: &'static Callsite, fields: &dyn AnyFields, id: u64, parent: &SpanContext) -> u32 {
    if state::current().is_none() {
        // In a library that was loaded at run time: the program's recorder keeps it.
        return steps::start(callsite, fields, id, parent);
    }
    start_from(Origin::Program, callsite, fields, id, parent)
}

/// Records the start of a span of a callsite that is in the program or in a plugin, and returns the number of the place
/// where it is kept.
pub(crate) fn start_from(
    origin: Origin,
    callsite: &'static Callsite,
    fields: &dyn AnyFields,
    id: u64,
    parent: &SpanContext,
) -> u32 {
    record_from(origin, callsite, fields);
    keep(origin, callsite, fields, id, parent).unwrap_or(0)
}

fn keep(
    origin: Origin,
    callsite: &'static Callsite,
    fields: &dyn AnyFields,
    id: u64,
    parent: &SpanContext,
) -> Option<u32> {
    let callsite = registered_id(state::current()?, origin, callsite, fields)?;
    let place = open::claim().or_else(report_full)?;
    let len = place.start.encode_cut(fields, id, parent.id()).filter(|_| KeptStart::can_keep(id))?;
    let number = place.number();
    place.publish(id, repeating_id(callsite), len, parent, round::current());
    Some(number)
}

/// Reports that there is no place for the start of a span.
#[cold]
fn report_full() -> Option<Place> {
    static FULL: report::Once = report::Once::new();
    FULL.warn(format_args!(
        "too many open spans: further ones are recorded, but their starts are not repeated before they are overwritten"
    ));
    None
}

/// Returns the guard of a span whose start and entering are recorded.
#[inline(always)]
pub fn scope(start: &SpanStart) -> Scope {
    start.scope(stack::enter_new)
}

/// Returns the id of the span that the thread is in, for a warning or an error; 0: none.
#[inline(always)]
#[must_use]
pub fn current_id() -> u64 {
    stack::current().id()
}

/// Returns the id of the span that an event names as its parent.
#[inline]
#[must_use]
pub fn event_parent(parent: &impl AnyParent) -> u64 {
    ttlog_core::__private::parent_of_event(parent.parent(), stack::current)
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
pub(crate) fn leave(span: &SpanContext, ends: bool) {
    if ends {
        stack::leave_wholly(span.id());
        open::release(span);
        record_id(&FINISH, span.id());
    } else {
        stack::leave(span.id());
        record_id(&LEAVE, span.id());
    }
}

/// Ends a span.
#[inline]
pub(crate) fn end(span: &SpanContext) {
    stack::forget(span.id());
    open::release(span);
    record_id(&END, span.id());
}

/// Returns a random number of a span, see [`Recorder::random_of_span`](ttlog_core::recorder::Recorder).
pub(crate) fn random_of(state: &State, id: u64, index: u8) -> u64 {
    state.span_keys.hash_one((state.process().random(), id, index)).max(1)
}

/// Records an id, whatever the filter selects: the start of the span was recorded.
#[inline(always)]
fn record_id(callsite: &'static Callsite, id: u64) {
    if is_recording() {
        record::<false, _>(callsite, Cons(SpanId(id), Nil));
    }
}

#[inline(always)]
fn is_recording() -> bool {
    state::current().is_some_and(State::is_recording)
}

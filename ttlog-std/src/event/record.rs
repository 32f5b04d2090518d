//! The path of an event from the macro into the ring.
//!
//! The hot path is [`record`]: the callsite's id, the clock, and an append to the thread's own segment. Everything
//! else takes `record_slow`, once per callsite, per segment, and per change of the filter.

use ttlog_core::event::{Role, is_priority};
use ttlog_core::ring::Cursor;
use ttlog_core::{AnyFields, Callsite, DropReason, Fields, Level, Metadata};

use super::append::{append, append_priority};
use super::warned;
use crate::snapshot::cause::Cause;
use crate::state::registry::Origin;
use crate::state::thread::{SlowPathGuard, cursor, lane, priority_cursor};
use crate::state::{self, State};
use crate::{clock, fork};

/// Records an event; the macros of this crate expand to this.
///
/// Never blocks or allocates. (Off Linux and Apple systems, the first event of a thread can allocate.) After that event
/// it makes no system call except to ask for the thread's name when it opens a segment. Callable anywhere: in
/// signal handlers, destructors of thread-locals, allocators and panic hooks too.
///
/// `PRIORITY` is whether its level belongs to the priority class. A thread that warns often has a segment of its own in
/// that class; the other ones take the slow path.
#[inline(always)] // out of line, the fields would go through memory: some thirty instructions more
pub fn record<const PRIORITY: bool, F: Fields>(callsite: &'static Callsite, fields: F) {
    if let (Some(id), true) = (callsite.id_for(F::HASH), fields.are_small()) {
        // The clock is read only now: reading it takes longer than everything else, and the other path reads it itself.
        if let Some(ticks) = clock::now_inline() {
            if hot_cursor::<PRIORITY>().append_small(id, ticks, &fields) {
                if PRIORITY {
                    complete_priority(callsite);
                }
                return;
            }
        }
    }
    // A copy, so that the hot path keeps the fields in registers.
    let copy = fields;
    record_other::<PRIORITY, F>(callsite, &copy);
}

/// Records an event that is not small, or not simple.
#[inline(never)]
fn record_other<const PRIORITY: bool, F: Fields>(callsite: &'static Callsite, fields: &F) {
    if let Some(id) = callsite.id_for(F::HASH) {
        if hot_cursor::<PRIORITY>().append_plain(id, clock::now(), fields) {
            if PRIORITY {
                complete_priority(callsite);
            }
            return;
        }
    }
    record_slow(callsite, fields);
}

/// Returns the thread's place in a segment of its own.
#[inline(always)]
fn hot_cursor<'a, const PRIORITY: bool>() -> &'a Cursor<'static> {
    if PRIORITY { priority_cursor().own() } else { cursor() }
}

/// Appends an event whose payload is there already to the thread's segment, if that is simple. `id` is that of its
/// callsite, and `is_priority` whether that belongs to the priority class.
///
/// Like [`record`]: never blocks, and allocates nothing after a thread's first event.
#[cfg(any(feature = "tracing", feature = "log"))]
#[inline(always)]
pub(crate) fn append_words(callsite: &'static Callsite, id: u16, is_priority: bool, payload: &[u64]) -> bool {
    // The clock is read only now, as by `record`.
    let ticks = clock::now_inline().unwrap_or_else(clock::now);
    if is_priority {
        let is_appended = hot_cursor::<true>().append_words(id, ticks, payload);
        if is_appended {
            complete_priority(callsite);
        }
        return is_appended;
    }
    cursor().append_words(id, ticks, payload)
}

/// Appends the start of a span of small values to the thread's segment, if that is simple.
#[inline(always)]
pub(crate) fn append_start<F: Fields>(id: u16, fields: &F) -> bool {
    clock::now_inline().is_some_and(|ticks| cursor().append_small(id, ticks, fields))
}

/// Returns whether events of a callsite belong to the priority class: warnings and errors, except for the records of
/// spans. The level of a span is that at which it is visible, and does not mean that something is wrong.
#[inline]
pub(crate) fn belongs_to_priority(metadata: &Metadata) -> bool {
    let is_of_span = |role| !matches!(role, Role::Value | Role::Span);
    is_priority(metadata.level) && !metadata.fields.first().is_some_and(|field| is_of_span(field.role))
}

/// Records an event on the slow path. In a library that was loaded at run time and is attached to the recorder of its
/// program, all events come here and are passed to that recorder.
#[cold]
#[inline(never)]
pub(crate) fn record_slow(callsite: &'static Callsite, fields: &dyn AnyFields) {
    if state::current().is_some() {
        record_from(Origin::Program, callsite, fields);
    } else {
        ttlog_core::recorder::record_any(callsite, fields);
    }
}

/// Records an event of a callsite that is in the program or in a plugin.
pub(crate) fn record_from(origin: Origin, callsite: &'static Callsite, fields: &dyn AnyFields) {
    let Some(state) = state::current() else { return };
    let Some(_slow_path) = SlowPathGuard::enter(state) else { return state.count_kept_out(lane()) };
    if !state.renewal.is_ready() && !fork::may_record(state) {
        return;
    }
    if let Some(id) = id_of(state, origin, callsite, fields) {
        if state.ring.priority_segment_count() > 0 && belongs_to_priority(callsite.metadata()) {
            append_priority(state, id, fields);
        } else {
            append(state, id, fields);
        }
    }
    state.write_anchor_if_due();
    if belongs_to_priority(callsite.metadata()) {
        warned::add_starts_if_needed();
        ask_for_snapshot(state, callsite.metadata().level);
    }
}

/// Completes a warning or an error, just recorded on the hot path: records the span that it is in, unless that is known
/// there, and requests a snapshot if it triggers one.
#[inline(always)]
fn complete_priority(callsite: &'static Callsite) {
    if let Some(state) = state::current() {
        if !warned::is_known() {
            warned::add_starts();
        }
        ask_for_snapshot(state, callsite.metadata().level);
    }
}

/// Requests a snapshot if events of `level` trigger one. Called after a warning or an error was recorded: no other
/// event triggers any. Never waits.
#[inline]
fn ask_for_snapshot(state: &State, level: Level) {
    if state.settings.snapshot_on_level.is_some_and(|least| level >= least) {
        raise_trigger(state);
    }
}

#[cold]
fn raise_trigger(state: &State) {
    state.process().queue.triggers.raise(Cause::Level);
}

/// Registers a callsite of this crate before its first event, which then needs neither time nor stack for that.
pub(crate) fn register(state: &'static State, callsite: &'static Callsite, fields: &dyn AnyFields) {
    if let Some(id) =
        state.registry.register(&state.ring, callsite, fields.types(), fields.types_hash(), Origin::Program)
    {
        callsite.bind(fields.types_hash(), id);
    }
}

/// Returns the id of a callsite that was used.
pub(crate) fn registered_id(
    state: &State,
    origin: Origin,
    callsite: &'static Callsite,
    fields: &dyn AnyFields,
) -> Option<u16> {
    let hash = fields.types_hash();
    callsite.id_for(hash).or_else(|| state.registry.register(&state.ring, callsite, fields.types(), hash, origin))
}

/// Returns the callsite's id, from the registry if it is new. Returns `None` if it was refused and the event counted.
fn id_of(state: &'static State, origin: Origin, callsite: &'static Callsite, fields: &dyn AnyFields) -> Option<u16> {
    let hash = fields.types_hash();
    if let Some(id) = callsite.id_for(hash) {
        return Some(id);
    }
    let id = state.registry.register(&state.ring, callsite, fields.types(), hash, origin);
    match id {
        Some(id) => callsite.bind(hash, id),
        None => state.ring.count_dropped(DropReason::Unregistered, 1),
    }
    id
}

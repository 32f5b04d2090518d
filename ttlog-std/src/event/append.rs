//! The slow path into the ring, of events with an id.

use ttlog_core::event::dynamic::DynamicFields;
use ttlog_core::{AnyFields, DropReason, TypeList};

use crate::state::thread::{IDENTITY, IdentityState, SlowPathGuard, cursor, lane, priority_cursor};
use crate::state::{self, State};
use crate::{clock, fork};

/// Records an event of the callsite with this id, whose payload is there already, in the priority class if so wanted.
/// It is no warning: it triggers nothing.
#[cold]
#[inline(never)]
pub(crate) fn record_payload(id: u16, payload: &[u64], in_priority: bool) {
    let Some(state) = state::current().filter(|state| state.is_recording()) else { return };
    let Some(_slow_path) = SlowPathGuard::enter(state) else { return state.count_kept_out(lane()) };
    if !state.renewal.is_ready() && !fork::may_record(state) {
        return;
    }
    let fields = DynamicFields::new(TypeList::Nil, 0, payload);
    if in_priority && state.ring.priority_segment_count() > 0 {
        append_priority(state, id, &fields);
    } else {
        append(state, id, &fields);
    }
}

/// Records an event in the segments of all levels.
pub(super) fn append(state: &'static State, id: u16, fields: &dyn AnyFields) {
    IDENTITY.with(|identity| {
        if identity.number() {
            identity.find_out();
        }
        match identity.state.get() {
            IdentityState::Known => {
                cursor().append_slow(&state.ring, &clock::now, identity, id, fields);
            }
            // An event while the identity is being determined (an allocator that logs, a panic), or after the thread's
            // end: the thread holds no segment then, or will not return it.
            IdentityState::New | IdentityState::FindingOut | IdentityState::Ended => {
                let context = identity.context.get();
                state.ring.append_shared(clock::now(), context, id, fields, DropReason::Reentrant);
            }
        }
    });
}

/// Records an event in the segments that events of lower levels do not overwrite.
pub(super) fn append_priority(state: &'static State, id: u16, fields: &dyn AnyFields) {
    IDENTITY.with(|identity| {
        if identity.number() {
            identity.find_out();
        }
        let cursor = priority_cursor();
        match identity.state.get() {
            IdentityState::Known => {
                cursor.append_slow(&state.ring, &clock::now, identity, id, fields);
            }
            // As in `append`. While the thread's name is being determined, it is not recorded.
            other => {
                let introduces = other != IdentityState::FindingOut;
                cursor.append_shared(&state.ring, clock::now(), identity, introduces, id, fields);
            }
        }
    });
}

//! Requests from outside: what another process of the user wrote into the control block of the ring's file.
//!
//! There is one kind so far, `level DIRECTIVES`, which changes the filter. The service thread looks ten times a
//! second, so that a change is in force 100 ms later, or as soon after as the thread gets to run. What is asked for is
//! not trusted: a text that is not whole or makes no sense is refused and changes nothing.

use ttlog_core::Filter;
use ttlog_core::ring::{CONTROL_TEXT_MAX, ControlCommand, ControlResult};

use crate::state::State;

/// Answers the request that waits, if there is one. Two loads otherwise.
pub(crate) fn poll(state: &State) {
    let mut buffer = [0; CONTROL_TEXT_MAX];
    let Some(request) = state.ring.pending_request(&mut buffer) else { return };
    let result = request.text.map_or(ControlResult::BadText, |text| obey(state, text));
    state.with_filter_text(|filter| state.ring.answer_request(request.number, result, filter));
}

fn obey(state: &State, text: &str) -> ControlResult {
    match ControlCommand::parse(text) {
        None => ControlResult::UnknownCommand,
        Some(ControlCommand::Level(directives)) => match Filter::parse(directives) {
            Err(_) => ControlResult::BadText,
            Ok(filter) => {
                state.set_filter(filter);
                ControlResult::Done
            }
        },
    }
}

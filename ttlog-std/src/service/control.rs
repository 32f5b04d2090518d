//! Requests from outside: written by another process of the user into the control block of the ring's file.
//!
//! There is one kind so far, `level DIRECTIVES`, which changes the filter. The service thread looks ten times a second,
//! so a change is in force within 100 ms, or as soon afterwards as the thread gets to run. Requests are not trusted: a
//! text that is incomplete or invalid is rejected and changes nothing.

use ttlog_core::Filter;
use ttlog_core::ring::{CONTROL_TEXT_MAX, ControlCommand, ControlResult};

use crate::state::State;

/// Answers the pending request, if there is one. Otherwise costs two loads.
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

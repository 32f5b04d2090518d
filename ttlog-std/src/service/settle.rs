//! Setup in a child of `fork`: at its first use of the recorder it gets a service thread and memory for snapshots.

use std::sync::atomic::Ordering;

use super::thread::{self, Work};
use crate::fork;
use crate::state::State;
use crate::sys::report;

/// Ensures that this process has the same facilities as its parent, besides the ring. In the process that started the
/// recorder, and from the second call on, the cost is a load and a test.
///
/// Not async-signal-safe: it allocates and starts a thread.
pub(crate) fn settle(state: &'static State) {
    let process = state.process();
    if process.is_settled.load(Ordering::Acquire)
        || !state.is_recording()
        || !fork::make_sure_of_ring(state)
        || process.is_settled.swap(true, Ordering::AcqRel)
    {
        return;
    }
    process.allocate_scratch();
    let work = Work { orphan_directory: None, populated_words: usize::MAX };
    if let Err(error) = thread::start(state, work) {
        if report::is_first(fork::NO_SERVICE_THREAD) {
            report::warn(format_args!("no service thread in a child process, so no snapshots on request: {error}"));
        }
    }
}

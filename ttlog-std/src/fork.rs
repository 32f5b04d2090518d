//! Forks: the child of `fork` has a copy of everything, and the ring of its parent mapped.
//!
//! Two processes must not write to one ring, for each thread believes that its segment is its alone. So recording ends in the
//! child, and before any of the child's code runs, private memory takes the place of the parent's ring: what writes there all
//! the same (an append that was under way, the end of the thread) changes nothing that the parent can see. The parent's
//! lock on the file is let go of too, for otherwise the ring would not count as an orphan as long as the child lives.

use std::sync::Once;
use std::sync::atomic::Ordering;

use ttlog_core::callsite::start_epoch;

use crate::recorder::recorder;
use crate::report;

/// Has recording ended in children that are forked from here on. A child made without `fork`'s handlers (`vfork`, a bare `clone`)
/// is not noticed, and must do nothing but `exec`.
pub(crate) fn end_recording_in_children() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        if let Err(error) = crate::sys::at_fork_in_child(in_child) {
            report::warn(format_args!("children of fork must not log: {error}"));
        }
    });
}

/// Runs in the child, with its only thread, before `fork` returns there. Nothing but atomics and system calls.
extern "C" fn in_child() {
    let Some(recorder) = recorder() else { return };
    recorder.ended.store(true, Ordering::Relaxed);
    start_epoch();
    if let Some(file) = recorder.generation().file() {
        crate::sys::detach_mapping(recorder.words);
        file.release();
    }
}

//! The service thread: everything that the recorder does automatically, and requested snapshots.
//!
//! One thread named `ttlog`, with all signals except those of faults (and the one that requests snapshots) blocked, so
//! that it runs no handler of the program. Ten times a second it does its [housekeeping](super::housekeeping), and it
//! wakes earlier for a [request](crate::snapshot::queue).
//!
//! Snapshots are throttled and coalesced; after each, the retention limits are applied. In between, the rings of dead
//! processes are recovered, one at a time.

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::backlog::Backlog;
use super::housekeeping::Housekeeping;
use super::snapshot_signal;
use super::take::retain;
use crate::snapshot::queue::Next;
use crate::snapshot::retention::Scope;
use crate::state::State;
use crate::sys::{self, monotonic_ns};

/// Starts the thread, with signals blocked in it.
///
/// # Errors
/// The error of the operating system if it cannot create a thread.
pub(crate) fn start(state: &'static State, work: Work) -> std::io::Result<()> {
    let process = state.process();
    let queue = &process.queue;
    queue.begin();
    process.is_recovering.store(work.orphan_directory.is_some(), Ordering::Release);
    let blocked = sys::SignalsBlocked::new();
    let spawned = std::thread::Builder::new().name("ttlog".into()).stack_size(256 * 1024).spawn(move || {
        let _ended = EndGuard(state);
        run(state, work);
    });
    drop(blocked);
    spawned.map(drop).inspect_err(|_| {
        process.is_recovering.store(false, Ordering::Release);
        queue.note_absent();
    })
}

/// Marks the thread as ended, however it ends.
struct EndGuard(&'static State);

impl Drop for EndGuard {
    fn drop(&mut self) {
        self.0.process().is_recovering.store(false, Ordering::Release);
        self.0.process().queue.end();
    }
}

/// Work of the thread besides requests.
#[derive(Debug)]
pub(crate) struct Work {
    /// Directory to search for orphans.
    pub(crate) orphan_directory: Option<PathBuf>,
    /// Number of words at the start of the region that are already populated.
    pub(crate) populated_words: usize,
}

fn run(state: &'static State, work: Work) {
    snapshot_signal::accept(state.settings.snapshot_on_signal);
    if let Some(rest) = state.words.get(work.populated_words..).filter(|rest| !rest.is_empty()) {
        sys::populate(rest);
    }
    state.ring.set_min_age_ns(state.settings.min_age_ns());
    let mut orphans = Backlog::find(work.orphan_directory.as_deref());
    let mut housekeeping = Housekeeping::new(state);
    retain(state, Scope::Service(&state.service_name), None);
    loop {
        housekeeping.look(state);
        #[cfg(unix)]
        if orphans.is_empty() {
            state.process().is_recovering.store(false, Ordering::Release);
            if let Some(directory) = super::hand_over::orphan_directory(state) {
                orphans = Backlog::find(Some(&directory));
            }
        }
        let service = &state.process().queue;
        // Requests come first, orphans one at a time between them.
        let until = if orphans.is_empty() { housekeeping.next() } else { Instant::now() };
        match service.next(until, !housekeeping.causes.is_empty()) {
            Next::Snapshot(requests) => housekeeping.take_snapshot(state, requests),
            Next::Stop(requests) => {
                housekeeping.causes.add(service.triggers.take());
                service.throttle.begin(monotonic_ns());
                housekeeping.take_snapshot(state, requests);
                break;
            }
            Next::Timeout => orphans.recover_one(state),
        }
    }
}

//! The panic hook: a panic becomes an event and a snapshot, then the previous hook runs.
//!
//! The event comes first, before anything that can fail (see [`panic_event`]); the backtrace is an event of its own,
//! and the snapshot the last step.
//!
//! std ends the process at once when a hook panics, and blocks the panicking thread for as long as the hook runs. So
//! nothing here unwraps, indexes unchecked or waits without a bound, and steps that fail are skipped: without memory or
//! stack for it, the backtrace; without the large working memory, the compression; without a disk, the snapshot. The
//! ring itself has the event in any case, and a ring in a file outlives the process.
//!
//! When several threads panic at once, each panic is an event, and one snapshot that began after the last of them
//! serves them all. The same applies to panics in quick succession: while their [throttle](crate::snapshot::throttle)
//! allows no snapshot, the service thread is asked to take one as soon as possible. If the process ends before that,
//! the panic is in the ring; a ring that would be lost with the process is not throttled.

use std::path::PathBuf;
use std::sync::TryLockError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::backtrace;
use super::means::Means;
use super::panic_event::{self, PanicEvent};
use crate::service::settle::settle;
use crate::service::take::write_snapshot_with;
use crate::snapshot::cause::Cause;
use crate::snapshot::error::SnapshotError;
use crate::snapshot::room::Urgency;
use crate::state::thread_name::is_asking_std;
use crate::state::{self, State};
use crate::sys::monotonic_ns;
use crate::sys::report;

/// Longest time that a panicking thread waits for a snapshot in progress before it writes its own, uncompressed.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// Installs our hook before the current one. `with_backtrace`: whether an event with the backtrace is recorded.
pub(crate) fn install_hook(state: &'static State, with_backtrace: bool) {
    panic_event::register(state);
    if std::thread::panicking() {
        // Hooks cannot be changed while panicking; trying would cause a second panic.
        report::warn(format_args!("initialized while panicking: panics are not recorded"));
        return;
    }
    let previous = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if is_asking_std() {
            return;
        }
        if let Some(state) = state::current().filter(|state| state.is_recording()) {
            let event = PanicEvent::record(state, info);
            let means = Means::of_this_thread(state);
            if means.allocator {
                event.introduce_thread(state);
                settle(state);
            }
            // Takes some kilobytes of stack.
            if means.snapshot {
                crate::event::repeat::repeat_thread();
                #[cfg(feature = "tracing")]
                crate::bridge::repeat::repeat_thread();
            }
            if with_backtrace && means.backtrace {
                event.record_backtrace(backtrace::capture);
            }
            snapshot(state, means);
        }
        previous(info);
    }));
}

/// Number of panics that were recorded.
static RECORDED: AtomicU64 = AtomicU64::new(0);
/// Number of panics that are certainly in a snapshot. Changed only by the holder of the scratch.
static COVERED: AtomicU64 = AtomicU64::new(0);

/// Writes a snapshot, unless another thread's snapshot contains this thread's panic as well. If this thread is not able
/// to, the service thread is asked to.
fn snapshot(state: &State, means: Means) {
    let mine = RECORDED.fetch_add(1, Ordering::SeqCst) + 1;
    let service = &state.process().queue;
    if !means.snapshot {
        let follows = means.snapshot_elsewhere && service.ask(Cause::Panic);
        let snapshot = if follows { "its snapshot follows" } else { "but not in a snapshot" };
        report::warn(format_args!(
            "panic recorded, {snapshot}: its thread lacks memory or stack, or is in the allocator"
        ));
        return;
    }
    let outlives = state.outlives();
    let now = monotonic_ns();
    if !service.panic_throttle.try_begin(now) && outlives && service.ask(Cause::Panic) {
        report::warn(format_args!("panic recorded, its snapshot follows: one of another panic was taken just now"));
        return;
    }
    service.throttle.begin(now);
    let deadline = Instant::now() + WAIT_MAX;
    let result = loop {
        match state.process().scratch.try_lock() {
            Ok(mut scratch) => {
                break covering(mine, || write_snapshot_with(state, "panic", Urgency::LastWords, scratch.borrow()));
            }
            Err(TryLockError::Poisoned(poisoned)) => {
                break covering(mine, || {
                    write_snapshot_with(state, "panic", Urgency::LastWords, poisoned.into_inner().borrow())
                });
            }
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(1));
            }
            // Its owner hangs, or is this very thread, or no longer exists (after fork).
            Err(TryLockError::WouldBlock) => break with_spare_scratch(state),
        }
    };
    match result {
        Ok(Some(path)) => {
            service.note_written();
            report::warn(format_args!("panic recorded, snapshot in {path:?}"));
        }
        Ok(None) => {}
        Err(error) => report::warn(format_args!("panic recorded, but not in a snapshot: {error}")),
    }
}

/// Writes a snapshot while another one does not finish.
fn with_spare_scratch(state: &State) -> Result<Option<PathBuf>, SnapshotError> {
    let mut scratch = match state.process().spare_scratch.try_lock() {
        Ok(scratch) => scratch,
        Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
        Err(TryLockError::WouldBlock) => return Err(SnapshotError::Busy),
    };
    write_snapshot_with(state, "panic", Urgency::LastWords, scratch.borrow()).map(Some)
}

/// Runs `write` unless the panic with number `mine` is already in a snapshot.
fn covering<T>(mine: u64, write: impl FnOnce() -> Result<T, SnapshotError>) -> Result<Option<T>, SnapshotError> {
    if COVERED.load(Ordering::SeqCst) >= mine {
        return Ok(None);
    }
    // Each panic counted so far had recorded its event before.
    let covered = RECORDED.load(Ordering::SeqCst);
    let value = write()?;
    COVERED.fetch_max(covered, Ordering::SeqCst);
    Ok(Some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_snapshot_covers_all_that_were_recorded_before_it() {
        let mine = RECORDED.fetch_add(3, Ordering::SeqCst) + 3;
        let failed = covering(mine - 2, || Err::<(), _>(SnapshotError::QueueFull));
        assert!(failed.is_err());
        assert_eq!(covering(mine - 2, || Ok("written")).unwrap(), Some("written"));
        assert_eq!(covering(mine, || Ok("again")).unwrap(), None);
    }
}

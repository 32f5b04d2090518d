//! The panic hook: a panic becomes an event and a snapshot, then the previous hook runs.
//!
//! std ends the process at once when a hook panics, and blocks the panicking thread for as long as the hook runs. So
//! nothing here unwraps, indexes unchecked or waits without a bound, and steps that fail are skipped: without memory
//! for it, the backtrace; without the large working memory, the compression; without a disk, the snapshot. The ring
//! itself has the event in any case, and a ring in a file outlives the process.
//!
//! When several threads panic at once, each panic is an event, and one snapshot that began after the last of them
//! serves them all. The same applies to panics in quick succession: while their [throttle](crate::snapshot::throttle)
//! allows no snapshot, the service thread is asked to take one as soon as possible. If the process ends before that,
//! the panic is in the ring; a ring that would be lost with the process is not throttled.

use std::fmt::{self, Write as _};
use std::panic::PanicHookInfo;
use std::path::PathBuf;
use std::sync::TryLockError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::service::settle::settle;
use crate::service::take::write_snapshot_with;
use crate::snapshot::cause::Cause;
use crate::snapshot::error::SnapshotError;
use crate::snapshot::room::Urgency;
use crate::state::{self, State};
use crate::sys::cut;
use crate::sys::monotonic_ns;
use crate::sys::report;

/// Longest panic message that is recorded, in bytes.
const MESSAGE_LEN_MAX: usize = 2 * 1024;
/// Longest backtrace that is recorded, in bytes.
const BACKTRACE_LEN_MAX: usize = 16 * 1024;
/// Longest time that a panicking thread waits for a snapshot in progress before it writes its own, uncompressed.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// Installs our hook before the current one. `with_backtrace`: whether the event has a backtrace.
pub(crate) fn install_hook(with_backtrace: bool) {
    if std::thread::panicking() {
        // Hooks cannot be changed while panicking; trying would cause a second panic.
        report::warn(format_args!("initialized while panicking: panics are not recorded"));
        return;
    }
    let previous = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if let Some(state) = state::current().filter(|state| state.is_recording()) {
            settle(state);
            // This comes first: a panic while a panic's message is formatted gets no further than this.
            let passage = state.enter(0);
            state.ring.count_panic(state.clock.precise_now(), crate::sys::thread_id());
            drop(passage);
            record(info, with_backtrace);
            snapshot(state);
        }
        previous(info);
    }));
}

/// Records the panic as an event.
fn record(info: &PanicHookInfo<'_>, with_backtrace: bool) {
    let payload = info.payload();
    let message = match (payload.downcast_ref::<&'static str>(), payload.downcast_ref::<String>()) {
        (Some(text), _) => *text,
        (None, Some(text)) => text.as_str(),
        (None, None) => "(no message)",
    };
    let message = cut(message, MESSAGE_LEN_MAX);
    let mut location = Capped::<256>::new();
    if let Some(place) = info.location() {
        location.push(format_args!("{place}"));
    }
    let location = location.as_str();

    let mut backtrace = CappedString::new(if with_backtrace { BACKTRACE_LEN_MAX } else { 0 });
    if backtrace.has_room() {
        backtrace.push(format_args!("{}", std::backtrace::Backtrace::force_capture()));
    }
    let backtrace = backtrace.as_str();
    crate::error!(target: "panic", "panicked at {location}: {message}", backtrace);
}

/// Number of panics that were recorded.
static RECORDED: AtomicU64 = AtomicU64::new(0);
/// Number of panics that are certainly in a snapshot. Changed only by the holder of the scratch.
static COVERED: AtomicU64 = AtomicU64::new(0);

/// Writes a snapshot, unless another thread's snapshot contains this thread's panic as well.
fn snapshot(state: &State) {
    let mine = RECORDED.fetch_add(1, Ordering::SeqCst) + 1;
    let service = &state.process().queue;
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

/// A text on the stack; excess text is dropped.
struct Capped<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Capped<N> {
    fn new() -> Self {
        Capped { bytes: [0; N], len: 0 }
    }

    fn push(&mut self, text: fmt::Arguments<'_>) {
        // The error means that the buffer is full, and ends the formatting.
        let _ = self.write_fmt(text);
    }

    fn as_str(&self) -> &str {
        self.bytes.get(..self.len).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or("")
    }
}

impl<const N: usize> fmt::Write for Capped<N> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let kept = cut(text, N - self.len);
        if let Some(room) = self.bytes.get_mut(self.len..self.len + kept.len()) {
            room.copy_from_slice(kept.as_bytes());
            self.len += kept.len();
        }
        if kept.len() < text.len() { Err(fmt::Error) } else { Ok(()) }
    }
}

/// A text on the heap; excess text is dropped, and it is empty if there is no memory for it.
struct CappedString {
    text: String,
    max_len: usize,
}

impl CappedString {
    fn new(max_len: usize) -> Self {
        let mut text = String::new();
        let max_len = if text.try_reserve_exact(max_len).is_ok() { max_len } else { 0 };
        CappedString { text, max_len }
    }

    fn has_room(&self) -> bool {
        self.max_len > 0
    }

    fn push(&mut self, text: fmt::Arguments<'_>) {
        // The error means that the buffer is full, and ends the formatting.
        let _ = self.write_fmt(text);
    }

    fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Write for CappedString {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let kept = cut(text, self.max_len - self.text.len());
        self.text.push_str(kept);
        if kept.len() < text.len() { Err(fmt::Error) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_keep_what_fits() {
        let mut text = Capped::<4>::new();
        text.push(format_args!("{}{}", "aä", "ä"));
        assert_eq!(text.as_str(), "aä");
        let mut text = CappedString::new(4);
        text.push(format_args!("{}{}{}", "aä", "ä", "never"));
        assert_eq!(text.as_str(), "aä");
        assert!(!CappedString::new(0).has_room());
        assert!(!CappedString::new(usize::MAX).has_room());
    }

    #[test]
    fn one_snapshot_covers_all_that_were_recorded_before_it() {
        let mine = RECORDED.fetch_add(3, Ordering::SeqCst) + 3;
        let failed = covering(mine - 2, || Err::<(), _>(SnapshotError::QueueFull));
        assert!(failed.is_err());
        assert_eq!(covering(mine - 2, || Ok("written")).unwrap(), Some("written"));
        assert_eq!(covering(mine, || Ok("again")).unwrap(), None);
    }
}

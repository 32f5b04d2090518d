//! The signal that asks for a snapshot: SIGUSR1 or SIGUSR2, and only when the program or its user asked for it.
//!
//! The handler sets a flag and hands the signal on to the handler that was there before, if there was one. (Without
//! one the signal would have ended the process; now it does not.) The service thread takes the signal too, so that it
//! arrives in a program that blocks it in all threads of its own. A handler that the program installs later takes the
//! signal away, unless it hands it on.

use std::io;
use std::sync::OnceLock;

use libc::{c_int, c_void, sigaction, siginfo_t};

use crate::config::settings::SnapshotSignal;
use crate::snapshot::cause::Cause;
use crate::state;
use crate::sys::signal_chain;

/// The previous action of the signal. Set once, before the handler is installed.
static PREVIOUS: OnceLock<sigaction> = OnceLock::new();

/// Returns the number of the signal.
fn number(signal: SnapshotSignal) -> c_int {
    match signal {
        SnapshotSignal::Usr1 => libc::SIGUSR1,
        SnapshotSignal::Usr2 => libc::SIGUSR2,
    }
}

/// Has a snapshot taken whenever the process gets this signal, for the life of the process. Once.
///
/// # Errors
/// What the operating system says; the signal then does what it did before.
pub(crate) fn install(signal: SnapshotSignal) -> io::Result<()> {
    let previous = signal_chain::present(number(signal))?;
    if PREVIOUS.set(previous).is_err() {
        return Ok(());
    }
    signal_chain::install(number(signal), handle, libc::SA_RESTART, &previous)
}

/// Lets the signal that asks for snapshots arrive in the calling thread, which blocks all others.
pub(crate) fn accept(signal: Option<SnapshotSignal>) {
    if let Some(signal) = signal {
        crate::sys::unblock_signal(number(signal));
    }
}

extern "C" fn handle(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    if let Some(state) = state::current() {
        state.process().queue.triggers.raise(Cause::Signal);
    }
    if let Some(previous) = PREVIOUS.get().filter(|previous| !signal_chain::is_default_or_ignored(previous)) {
        // SAFETY: the arguments are those of the kernel.
        unsafe { signal_chain::chain(previous, signal, info, context) };
    }
}

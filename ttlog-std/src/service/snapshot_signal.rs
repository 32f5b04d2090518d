//! The signal that requests a snapshot: SIGUSR1 or SIGUSR2, and only if the program or its user asked for it.
//!
//! The handler sets a flag and passes the signal on to the previous handler, if there was one. (Without one the signal
//! would have ended the process; now it does not.) The service thread accepts the signal too, so that it arrives in a
//! program that blocks it in all its own threads. A handler that the program installs later takes the signal away,
//! unless it passes it on.

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

/// Makes the service thread take a snapshot whenever the process gets this signal, for the life of the process. Called
/// once.
///
/// # Errors
/// The error of the operating system; the signal then keeps its previous action.
pub(crate) fn install(signal: SnapshotSignal) -> io::Result<()> {
    let previous = signal_chain::present(number(signal))?;
    if PREVIOUS.set(previous).is_err() {
        return Ok(());
    }
    signal_chain::install(number(signal), handle, libc::SA_RESTART, &previous)
}

/// Unblocks the signal that requests snapshots in the calling thread, which blocks all others.
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
        // SAFETY: the arguments come from the kernel.
        unsafe { signal_chain::chain(previous, signal, info, context) };
    }
}

//! The signal that asks for a snapshot: SIGUSR1 or SIGUSR2, and only when the program or its user asked for it.
//!
//! The handler sets a flag and hands the signal on to the handler that was there before, if there was one. (Without one the signal
//! would have ended the process; now it does not.) The service thread takes the signal too, so that it arrives in a program that
//! blocks it in all threads of its own. A handler that the program installs later takes the signal away, unless it hands it on.

use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::OnceLock;

use libc::{c_int, c_void, sigaction, siginfo_t};

use super::Cause;
use crate::recorder::recorder;
use crate::settings::SnapshotSignal;

/// What the signal did before. Set once, before the handler is installed.
static PREVIOUS: OnceLock<sigaction> = OnceLock::new();

/// Gives the number of the signal.
pub(crate) fn number(signal: SnapshotSignal) -> c_int {
    match signal {
        SnapshotSignal::Usr1 => libc::SIGUSR1,
        SnapshotSignal::Usr2 => libc::SIGUSR2,
    }
}

/// Installs the handler, for the life of the process. Once.
///
/// # Errors
/// What the operating system says; the signal then does what it did before.
pub(crate) fn install(signal: SnapshotSignal) -> io::Result<()> {
    let mut previous = MaybeUninit::<sigaction>::uninit();
    // SAFETY: no new action is set, and `previous` is a valid place for the present one.
    if unsafe { libc::sigaction(number(signal), ptr::null(), previous.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call succeeded, so it was written.
    let previous = unsafe { previous.assume_init() };
    if PREVIOUS.set(previous).is_err() {
        return Ok(());
    }
    // The previous handler gets the mask that it asked for. A system call that is interrupted goes on by itself.
    let mut action = previous;
    action.sa_sigaction = handle as extern "C" fn(c_int, *mut siginfo_t, *mut c_void) as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESTART;
    if crate::fault::is_default_or_ignored(&previous) {
        // SAFETY: `sa_mask` is a valid place for one set.
        unsafe { libc::sigemptyset(&raw mut action.sa_mask) };
    }
    // SAFETY: the action is complete, and its handler is async-signal-safe.
    match unsafe { libc::sigaction(number(signal), &raw const action, ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

extern "C" fn handle(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    if let Some(recorder) = recorder() {
        recorder.generation().service.triggers.raise(Cause::Signal);
    }
    if let Some(previous) = PREVIOUS.get().filter(|previous| !crate::fault::is_default_or_ignored(previous)) {
        // SAFETY: the arguments are those of the kernel.
        unsafe { crate::fault::chain(previous, signal, info, context) };
    }
}

//! Signal handlers that share a signal with its previous action.
//!
//! A handler of the recorder examines a signal and then passes it on as if the handler did not exist: to the previous
//! handler with the arguments and the mask that it requested, or to the kernel's default. All of this is
//! async-signal-safe except for [`install`].

use std::io;
use std::mem::MaybeUninit;
use std::ptr;

use libc::{c_int, c_void, sigaction, siginfo_t};

/// A handler, as the kernel calls one that was installed with `SA_SIGINFO`.
pub(crate) type Handler = extern "C" fn(c_int, *mut siginfo_t, *mut c_void);

/// Returns the current action of a signal.
///
/// # Errors
/// The error of the operating system.
pub(crate) fn present(signal: c_int) -> io::Result<sigaction> {
    let mut action = MaybeUninit::<sigaction>::uninit();
    // SAFETY: no new action is set, and `action` is a valid location for the current one.
    if unsafe { libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call succeeded, so it was written.
    Ok(unsafe { action.assume_init() })
}

/// Installs an async-signal-safe handler in place of `previous`.
///
/// It runs on the alternate stack, because the signal might be caused by an exhausted stack, and with the signal itself
/// unblocked: only the previous handler needs it blocked, see [`chain`]. Its mask is that of the previous handler.
/// `flags` are added: `SA_RESTART` or 0.
///
/// # Errors
/// The error of the operating system; the signal then keeps its previous action.
pub(crate) fn install(signal: c_int, handler: Handler, flags: c_int, previous: &sigaction) -> io::Result<()> {
    let mut action = *previous;
    action.sa_sigaction = handler as usize;
    let kept = previous.sa_flags & libc::SA_RESTART;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER | kept | flags;
    if is_default_or_ignored(previous) {
        // SAFETY: `sa_mask` is a valid place for one set.
        unsafe { libc::sigemptyset(&raw mut action.sa_mask) };
    }
    // SAFETY: the action is complete, and its handler is async-signal-safe.
    match unsafe { libc::sigaction(signal, &raw const action, ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Returns whether this handler is the current action of the signal, rather than one that passes the signal on to it.
pub(crate) fn is_installed(signal: c_int, handler: Handler) -> bool {
    present(signal).is_ok_and(|action| action.sa_sigaction == handler as usize)
}

/// Returns whether an action has no handler.
pub(crate) fn is_default_or_ignored(action: &sigaction) -> bool {
    action.sa_sigaction == libc::SIG_DFL || action.sa_sigaction == libc::SIG_IGN
}

/// Returns whether the cause of a signal is repeated when its handler returns: an access or an instruction, and not a
/// signal sent by a process.
pub(crate) fn recurs(signal: c_int, code: c_int) -> bool {
    code > 0 && matches!(signal, libc::SIGSEGV | libc::SIGBUS | libc::SIGILL | libc::SIGFPE)
}

/// Returns whether a signal is pending until this thread unblocks it.
pub(crate) fn is_pending(signal: c_int) -> bool {
    let mut pending = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: a valid location for a set, read only if it was written.
    unsafe { libc::sigpending(pending.as_mut_ptr()) == 0 && libc::sigismember(pending.as_ptr(), signal) == 1 }
}

/// Passes a signal on to its previous action.
///
/// # Safety
/// - Called in a signal handler, with the arguments that the kernel passed to it.
pub(crate) unsafe fn chain(previous: &sigaction, signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    if is_default_or_ignored(previous) {
        // SAFETY: the kernel passes a complete siginfo.
        let code = unsafe { (*info).si_code };
        if code <= 0 && previous.sa_sigaction == libc::SIG_IGN {
            return; // sent by kill and the like
        }
        // A faulting access or instruction is repeated when this handler returns, and encounters the old action; the
        // kernel lets nobody ignore it. A breakpoint or a forbidden system call has already been passed. SAFETY: the
        // action is one that the kernel returned.
        unsafe { libc::sigaction(signal, previous, ptr::null_mut()) };
        if !recurs(signal, code) {
            // SAFETY: async-signal-safe; ends the process, at the latest when the handler returns.
            unsafe { libc::raise(signal) };
        }
        return;
    }
    let mut block = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: the set is initialized before it is used, the actions are valid, and all of this is async-signal-safe.
    unsafe {
        if previous.sa_flags & libc::SA_RESETHAND != 0 {
            let mut default = *previous;
            default.sa_sigaction = libc::SIG_DFL;
            default.sa_flags = 0;
            libc::sigaction(signal, &raw const default, ptr::null_mut());
        }
        if previous.sa_flags & libc::SA_NODEFER == 0 {
            libc::sigemptyset(block.as_mut_ptr());
            libc::sigaddset(block.as_mut_ptr(), signal);
            // The previous mask is restored when the handler returns.
            libc::pthread_sigmask(libc::SIG_BLOCK, block.as_ptr(), ptr::null_mut());
        }
    }
    if previous.sa_flags & libc::SA_SIGINFO != 0 {
        // SAFETY: the flag means that it is a handler with these parameters.
        let handler: Handler = unsafe { std::mem::transmute(previous.sa_sigaction) };
        handler(signal, info, context);
    } else {
        // SAFETY: neither default nor ignored, and without the flag: a handler of the plain kind.
        let handler: extern "C" fn(c_int) = unsafe { std::mem::transmute(previous.sa_sigaction) };
        handler(signal);
    }
}

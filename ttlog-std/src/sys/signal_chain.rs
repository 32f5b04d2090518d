//! Signal handlers that share a signal with the action that was there before them.
//!
//! A handler of the recorder looks at a signal and then hands it on as if it were not there: to the previous handler
//! with the arguments and the mask that it asked for, or to the kernel's default. All of this is async-signal-safe but
//! for [`install`].

use std::io;
use std::mem::MaybeUninit;
use std::ptr;

use libc::{c_int, c_void, sigaction, siginfo_t};

/// A handler as the kernel calls one that was installed with `SA_SIGINFO`.
pub(crate) type Handler = extern "C" fn(c_int, *mut siginfo_t, *mut c_void);

/// Returns what a signal does at present.
///
/// # Errors
/// What the operating system says.
pub(crate) fn present(signal: c_int) -> io::Result<sigaction> {
    let mut action = MaybeUninit::<sigaction>::uninit();
    // SAFETY: no new action is set, and `action` is a valid place for the present one.
    if unsafe { libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call succeeded, so it was written.
    Ok(unsafe { action.assume_init() })
}

/// Installs an async-signal-safe handler in the place of `previous`.
///
/// It runs on the alternate stack, for the signal may come of a stack that is used up, and with the signal itself
/// unblocked: who needs it blocked is the previous handler, see [`chain`]. Its mask is that of the previous handler.
/// `flags` are added: `SA_RESTART` or 0.
///
/// # Errors
/// What the operating system says; the signal then does what it did before.
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

/// Returns whether this handler is what the signal does at present, rather than one that hands it on to this one.
pub(crate) fn is_installed(signal: c_int, handler: Handler) -> bool {
    present(signal).is_ok_and(|action| action.sa_sigaction == handler as usize)
}

/// Returns whether an action has no handler.
pub(crate) fn is_default_or_ignored(action: &sigaction) -> bool {
    action.sa_sigaction == libc::SIG_DFL || action.sa_sigaction == libc::SIG_IGN
}

/// Returns whether what has caused a signal is done again when its handler returns: an access or an instruction, not a
/// process that has sent it.
pub(crate) fn recurs(signal: c_int, code: c_int) -> bool {
    code > 0 && matches!(signal, libc::SIGSEGV | libc::SIGBUS | libc::SIGILL | libc::SIGFPE)
}

/// Returns whether a signal waits for this thread to unblock it.
pub(crate) fn is_pending(signal: c_int) -> bool {
    let mut pending = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: a valid place for a set, read only if it was written.
    unsafe { libc::sigpending(pending.as_mut_ptr()) == 0 && libc::sigismember(pending.as_ptr(), signal) == 1 }
}

/// Hands a signal on to the action that was there before.
///
/// # Safety
/// - Called in a signal handler, with the arguments that the kernel gave it.
pub(crate) unsafe fn chain(previous: &sigaction, signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    if is_default_or_ignored(previous) {
        // SAFETY: the kernel hands a complete siginfo over.
        let code = unsafe { (*info).si_code };
        if code <= 0 && previous.sa_sigaction == libc::SIG_IGN {
            return; // sent by kill and the like
        }
        // An access or an instruction that is at fault is done again when this handler returns, and meets the old
        // action; the kernel lets nobody ignore it. A breakpoint or a system call that is not allowed was passed
        // already. SAFETY: the action is one that the kernel gave.
        unsafe { libc::sigaction(signal, previous, ptr::null_mut()) };
        if !recurs(signal, code) {
            // SAFETY: async-signal-safe; ends the process, at the latest when the handler returns.
            unsafe { libc::raise(signal) };
        }
        return;
    }
    let mut block = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: the set is made before it is used, the actions are valid, and all of this is async-signal-safe.
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
            // The mask from before is restored when the handler returns.
            libc::pthread_sigmask(libc::SIG_BLOCK, block.as_ptr(), ptr::null_mut());
        }
    }
    if previous.sa_flags & libc::SA_SIGINFO != 0 {
        // SAFETY: the flag says that it is a handler with these parameters.
        let handler: Handler = unsafe { std::mem::transmute(previous.sa_sigaction) };
        handler(signal, info, context);
    } else {
        // SAFETY: neither default nor ignored, and without the flag: a handler of the plain kind.
        let handler: extern "C" fn(c_int) = unsafe { std::mem::transmute(previous.sa_sigaction) };
        handler(signal);
    }
}

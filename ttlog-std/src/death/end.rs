//! The end of the process: its kind, written into the ring while that is still possible.
//!
//! | end | noticed by |
//! | --- | --- |
//! | a fault: SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS, SIGTRAP | a signal handler |
//! | SIGTERM, SIGINT, SIGHUP, SIGQUIT without a handler | a signal handler |
//! | `exit`, the return from `main` | a function that `exit` calls |
//! | SIGKILL, `_exit`, the out-of-memory killer | nobody; its end block stays empty |
//!
//! A stamp is a few stores into the ring's end block; the mapped file does the rest. Everything here runs in signal
//! handlers: no lock, no allocation, and one or two system calls, which come after the stamp of a fault or an exit,
//! because a seccomp filter can forbid them. After the stamp, a signal goes to its previous action, so that the process
//! ends as it would without this handler, with the same status and the same core dump.
//!
//! **A signal that is survived.** A previous handler can repair the fault and return, or return from a signal that was
//! only sent. The stamp is then removed. If the handler leaves by a jump instead, the stamp stays, older than the
//! process's latest events. The same is true of a survived `raise(SIGABRT)`, which looks like `abort`.
//!
//! **A handler that is installed later** takes the signal; if it passes faults on to this one, they are stamped.
//! Libraries for graceful shutdown pass *everything* on to the previous handler. SIGTERM and the like are therefore
//! ignored here unless this handler is the installed one: the process of such a library is about to end cleanly, or not
//! at all.

use std::sync::OnceLock;
use std::sync::atomic::Ordering;

use libc::{c_int, c_void, sigaction, siginfo_t};
use ttlog_core::ring::{EndKind, ProcessEnd};

use crate::config::settings::FatalSignals;
use crate::state::thread;
use crate::state::{self, State};
use crate::sys::report;
use crate::sys::signal_chain;
use crate::{clock, sys};

/// Signals of faults.
const FAULTS: [c_int; 7] =
    [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGABRT, libc::SIGSYS, libc::SIGTRAP];
/// Signals that ask a process to terminate.
const TERMINATIONS: [c_int; 4] = [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGQUIT];
/// Larger than the highest number among them.
const NUMBERS: usize = 64;

/// The previous action of each signal, by its number. Set once, before the handler is installed.
static PREVIOUS: [OnceLock<sigaction>; NUMBERS] = [const { OnceLock::new() }; NUMBERS];

/// Installs the handlers that stamp the end of the process into the ring. Called once, before the [guard of the ring's
/// file](crate::memory::guard) is installed: the guard must see faults in the ring first, because they do not end the
/// process.
pub(crate) fn watch(signals: FatalSignals) {
    if let Err(error) = sys::at_exit(at_exit) {
        report::warn(format_args!("a call of exit will not be recorded in the ring: {error}"));
    }
    let (faults, terminations): (&[_], &[_]) = match signals {
        FatalSignals::Off => return,
        FatalSignals::Faults => (&FAULTS, &[]),
        FatalSignals::All => (&FAULTS, &TERMINATIONS),
    };
    let watched = faults.iter().map(|signal| (*signal, false)).chain(terminations.iter().map(|signal| (*signal, true)));
    for (signal, only_default) in watched {
        if let Err(error) = watch_signal(signal, only_default) {
            report::warn(format_args!("an end by signal {signal} will not be recorded in the ring: {error}"));
        }
    }
}

fn watch_signal(signal: c_int, only_default: bool) -> std::io::Result<()> {
    let previous = signal_chain::present(signal)?;
    // An ignored signal does not end the process. The first process of a container is not ended by a signal without a
    // handler, but would be by one with a handler.
    let is_default = previous.sa_sigaction == libc::SIG_DFL;
    if previous.sa_sigaction == libc::SIG_IGN || only_default && (!is_default || std::process::id() == 1) {
        return Ok(());
    }
    let Some(slot) = usize::try_from(signal).ok().and_then(|number| PREVIOUS.get(number)) else { return Ok(()) };
    if slot.set(previous).is_err() {
        return Ok(());
    }
    signal_chain::install(signal, handle, 0, &previous)
}

/// The handler of all these signals.
extern "C" fn handle(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    let Some(previous) = usize::try_from(signal).ok().and_then(|number| PREVIOUS.get(number)?.get()) else { return };
    if TERMINATIONS.contains(&signal) && !signal_chain::is_installed(signal, handle) {
        return;
    }
    let stamped = {
        let _errno = sys::ErrnoKept::new();
        // SAFETY: the arguments come from the kernel.
        let end = unsafe { end_of(signal, info) };
        // A ring whose own memory faulted cannot be written to: that would repeat the fault endlessly.
        stamp(end, |state| !is_in_ring(state, end.address))
    };
    // SAFETY: the kernel hands a complete siginfo to a handler with SA_SIGINFO.
    let code = unsafe { (*info).si_code };
    // SAFETY: the arguments come from the kernel.
    unsafe { signal_chain::chain(previous, signal, info, context) };
    if let Some(state) = stamped.filter(|_| is_survived(previous, signal, code)) {
        state.ring.withdraw_end();
    }
}

/// Returns whether the process continues after this signal, which was passed to the previous action. Async-signal-safe.
fn is_survived(previous: &sigaction, signal: c_int, code: c_int) -> bool {
    if signal == libc::SIGABRT && code <= 0 {
        // When the handler returns, `abort` ends the process without another signal.
        return false;
    }
    if signal_chain::recurs(signal, code) {
        // The faulting access is repeated. Either it succeeds now, or it meets the action with which the previous
        // handler has replaced this one.
        return !signal_chain::is_default_or_ignored(previous) && signal_chain::is_installed(signal, handle);
    }
    // The handler of std, for example, restores the default and expects the fault to recur. A signal that was sent does
    // not recur, unless the handler has sent it again.
    !signal_chain::is_pending(signal)
}

/// Returns whether an address is in the memory of the ring.
fn is_in_ring(state: &State, address: u64) -> bool {
    let range = state.words.as_ptr_range();
    (range.start as u64..range.end as u64).contains(&address)
}

/// Records an end, if the recorder records into a ring of this process and `is_good` holds. Returns it then.
///
/// The block is stored before the first system call, because a seccomp filter can forbid that. The end is then
/// withdrawn if this is a child that was not created by the C library's `fork`, and still has its parent's ring.
fn stamp(mut end: ProcessEnd, is_good: impl FnOnce(&State) -> bool) -> Option<&'static State> {
    let is_own = |state: &&State| state.is_recording() && !state.forked.is_lost.load(Ordering::Acquire);
    let state = state::current().filter(is_own).filter(|state| is_good(state))?;
    // If possible, not while the ring is moved to another file.
    let _passage = state.enter(0);
    if !state.ring.stamp_end(&end) {
        return None;
    }
    if state.process().is_in_fork() {
        state.ring.withdraw_end();
        return None;
    }
    if end.os_thread_id == 0 {
        end.os_thread_id = sys::thread_id() as u32;
        state.ring.name_end_thread(&end);
    }
    Some(state)
}

/// Describes the end caused by a signal.
///
/// # Safety
/// - Called in a signal handler, with the arguments that the kernel gave it.
unsafe fn end_of(signal: c_int, info: *mut siginfo_t) -> ProcessEnd {
    // SAFETY: the kernel hands a complete siginfo to a handler with SA_SIGINFO.
    let code = unsafe { (*info).si_code };
    let mut end = now(EndKind::Signal);
    end.signal = u8::try_from(signal).unwrap_or(0);
    end.code = code;
    if code > 0 {
        if FAULTS.contains(&signal) {
            // SAFETY: a fault signal sent by the kernel has an address.
            end.address = unsafe { (*info).si_addr() } as usize as u64;
        }
    } else {
        // SAFETY: a signal sent by a process carries the sender's id.
        let (pid, uid) = unsafe { ((*info).si_pid(), (*info).si_uid()) };
        let sender = u32::try_from(pid).unwrap_or(0);
        // Another code already records that the process sent it to itself, as `abort` does. Processes of another pid
        // namespace have no id here: 0.
        if sender != std::process::id() || code == libc::SI_USER {
            (end.sender_pid, end.sender_uid) = (sender, uid);
        }
    }
    end
}

/// Returns an end that happens now, in this thread, whose id is included if it is known. No system call.
fn now(kind: EndKind) -> ProcessEnd {
    ProcessEnd {
        ticks: state::current().map_or(0, |state| state.clock.precise_now()),
        unix_ns: clock::unix_ns_now(),
        os_thread_id: thread::known_os_thread_id() as u32,
        context: thread::context(),
        ..ProcessEnd::of(kind)
    }
}

/// Called by `exit`, after the functions that were registered later.
extern "C" fn at_exit(status: c_int, _: *mut c_void) {
    stamp(ProcessEnd { code: status, ..now(EndKind::Exit) }, |_| true);
}

//! The end of the process: what it was, stamped into the ring while that can still be done.
//!
//! | end | noticed by |
//! | --- | --- |
//! | a fault: SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS, SIGTRAP | a signal handler |
//! | SIGTERM, SIGINT, SIGHUP, SIGQUIT without a handler | a signal handler |
//! | `exit`, the return from `main` | a function that `exit` calls |
//! | SIGKILL, `_exit`, the out-of-memory killer | nobody; its end block stays empty |
//!
//! A stamp is a few stores into the ring's end block; the mapped file does the rest. Everything here runs in signal
//! handlers: there is no lock, no allocation and nothing but a system call or two. After the stamp a signal goes to
//! whoever had it before, so that the process ends as it would without this, with the same status and the same core
//! dump.
//!
//! **A signal that is survived.** A previous handler may mend the fault and return, or return from a signal that was
//! only sent. The stamp is taken back then. Where it leaves by a jump instead, the stamp stays, older than the
//! process's latest events. So it does where `raise(SIGABRT)` is survived, which looks like `abort`.
//!
//! **A handler that is installed later** takes the signal; if it hands faults on to this one they are stamped.
//! Libraries for graceful shutdown hand on *everything* to the handler they found. SIGTERM and the like are therefore
//! left alone unless this handler is the installed one: that library's process is about to end in good order, or not
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
/// Signals by which a process is asked to end.
const TERMINATIONS: [c_int; 4] = [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGQUIT];
/// More than the highest number among them.
const NUMBERS: usize = 64;

/// The previous action of each signal, by its number. Set once, before the handler is installed.
static PREVIOUS: [OnceLock<sigaction>; NUMBERS] = [const { OnceLock::new() }; NUMBERS];

/// Has the end of the process stamped into the ring from here on. Once. Before the [guard of the ring's
/// file](crate::memory::guard) is installed, which must see the faults in the ring first: those are no ends.
pub(crate) fn watch(signals: FatalSignals) {
    if let Err(error) = sys::at_exit(at_exit) {
        report::warn(format_args!("a call of exit will not be noted in the ring: {error}"));
    }
    let (faults, terminations): (&[_], &[_]) = match signals {
        FatalSignals::Off => return,
        FatalSignals::Faults => (&FAULTS, &[]),
        FatalSignals::All => (&FAULTS, &TERMINATIONS),
    };
    let watched = faults.iter().map(|signal| (*signal, false)).chain(terminations.iter().map(|signal| (*signal, true)));
    for (signal, only_default) in watched {
        if let Err(error) = watch_signal(signal, only_default) {
            report::warn(format_args!("an end by signal {signal} will not be noted in the ring: {error}"));
        }
    }
}

fn watch_signal(signal: c_int, only_default: bool) -> std::io::Result<()> {
    let previous = signal_chain::present(signal)?;
    // An ignored signal does not end the process. The first process of a container is not ended by a signal that has
    // no handler, and would be by one that has.
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
        // SAFETY: the arguments are those of the kernel.
        let end = unsafe { end_of(signal, info) };
        // A ring that is at fault itself cannot be written to: that would be the same fault again, without end.
        let is_good = |state: &&State| !is_in_ring(state, end.address);
        own_recorder().filter(is_good).filter(|state| state.ring.stamp_end(&end))
    };
    // SAFETY: the kernel hands a complete siginfo to a handler with SA_SIGINFO.
    let code = unsafe { (*info).si_code };
    // SAFETY: the arguments are those of the kernel.
    unsafe { signal_chain::chain(previous, signal, info, context) };
    if let Some(state) = stamped.filter(|_| is_survived(previous, signal, code)) {
        state.ring.withdraw_end();
    }
}

/// Returns whether the process goes on after this signal, which the previous action has had. Async-signal-safe.
fn is_survived(previous: &sigaction, signal: c_int, code: c_int) -> bool {
    if signal == libc::SIGABRT && code <= 0 {
        // When the handler returns, `abort` ends the process without one.
        return false;
    }
    if signal_chain::recurs(signal, code) {
        // What is at fault is done again. It is mended, or meets the action that the previous handler has put in the
        // place of this one.
        return !signal_chain::is_default_or_ignored(previous) && signal_chain::is_installed(signal, handle);
    }
    // The handler of std, as one example, restores the default and expects the fault to come again. One that was sent
    // does not, unless the handler has sent it once more.
    !signal_chain::is_pending(signal)
}

/// Returns whether an address is in the memory of the ring.
fn is_in_ring(state: &State, address: u64) -> bool {
    let range = state.words.as_ptr_range();
    (range.start as u64..range.end as u64).contains(&address)
}

/// Returns the recorder if it records, into a ring of this process. A child that was not made by the C library's
/// `fork` has its parent's ring still.
fn own_recorder() -> Option<&'static State> {
    let is_own = |state: &State| !state.process().is_in_fork() && !state.forked.is_lost.load(Ordering::Acquire);
    state::current().filter(|state| is_own(state) && state.is_recording())
}

/// Describes the end that a signal is.
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
            // SAFETY: the signal of a fault that the kernel has sent has an address.
            end.address = unsafe { (*info).si_addr() } as usize as u64;
        }
    } else {
        // SAFETY: a signal that a process has sent says which.
        let (pid, uid) = unsafe { ((*info).si_pid(), (*info).si_uid()) };
        let sender = u32::try_from(pid).unwrap_or(0);
        // The code already says that a process sent it to itself, as `abort` does.
        if sender != std::process::id() {
            (end.sender_pid, end.sender_uid) = (sender, uid);
        }
    }
    end
}

/// Returns an end that happens now, in this thread.
fn now(kind: EndKind) -> ProcessEnd {
    ProcessEnd {
        ticks: state::current().map_or(0, |state| state.clock.precise_now()),
        unix_ns: clock::unix_ns_now(),
        os_thread_id: sys::thread_id() as u32,
        context: thread::context(),
        ..ProcessEnd::of(kind)
    }
}

/// Called by `exit`, after the functions that were registered later.
extern "C" fn at_exit(status: c_int, _: *mut c_void) {
    if let Some(state) = own_recorder() {
        state.ring.stamp_end(&ProcessEnd { code: status, ..now(EndKind::Exit) });
    }
}

//! Log calls take a lock like that of the RP2040: a reset does not free it, and another core can hold it. The first
//! argument chooses who holds it:
//!
//! - 0: this core, when it is reset in a critical section. The next start frees the lock first.
//! - 1: another core, for ever, when this one panics.
//! - 2: as 1, with a fault.
//! - 3: another core, for a while, when this one panics: it is waited for.
//!
//! Sends the recorded events after the reset.
#![no_std]
#![no_main]

use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};

use critical_section::RawRestoreState;
use support::{fail, print, println, succeed};
use ttlog_embedded::dump::{DumpOptions, dump_text_with};
use ttlog_embedded::{Config, FailureAction, info};

support::entry!(main);
ttlog_embedded::fault_handler!();

ttlog_embedded::recorder!(static RECORDER: 2048);

/// How often the lock is looked at before it is freed. On the RP2040: a millisecond.
const PATIENCE: u32 = 10_000;
const TAKEN: u32 = 1;

/// The lock, which a reset leaves as it is.
#[unsafe(link_section = ".uninit.lock")]
static LOCK: MaybeUninit<AtomicU32> = MaybeUninit::uninit();
/// Whether this core holds it.
static IS_OURS: AtomicBool = AtomicBool::new(false);
/// Number of looks after which the other core frees the lock.
static OTHER_HOLDS_FOR: AtomicU32 = AtomicU32::new(u32::MAX);

fn lock() -> &'static AtomicU32 {
    // SAFETY: every bit pattern is a number.
    unsafe { LOCK.assume_init_ref() }
}

/// Returns whether the lock is taken.
fn look() -> bool {
    let looks = OTHER_HOLDS_FOR.load(SeqCst);
    if looks == 0 {
        lock().store(0, SeqCst);
    }
    OTHER_HOLDS_FOR.store(if looks == u32::MAX { looks } else { looks.saturating_sub(1) }, SeqCst);
    lock().load(SeqCst) == TAKEN
}

struct Lock;
critical_section::set_impl!(Lock);

// SAFETY: one core, and interrupts are not used.
unsafe impl critical_section::Impl for Lock {
    unsafe fn acquire() -> RawRestoreState {
        if !IS_OURS.load(SeqCst) {
            while look() {}
            lock().store(TAKEN, SeqCst);
            IS_OURS.store(true, SeqCst);
        }
    }

    unsafe fn release(_: RawRestoreState) {
        IS_OURS.store(false, SeqCst);
        lock().store(0, SeqCst);
    }
}

/// Waits for the lock with a bound, then frees it.
fn free_lock() {
    for _ in 0..PATIENCE {
        if IS_OURS.load(SeqCst) || !look() {
            return println!("the lock is free");
        }
    }
    println!("the lock is freed by force");
    lock().store(0, SeqCst);
}

fn main() -> ! {
    let was_taken = lock().load(SeqCst) == TAKEN;
    lock().store(0, SeqCst);
    let config = Config {
        before_failure: Some(free_lock),
        after_failure: FailureAction::Call(support::reset),
        ..Config::DEFAULT
    };
    let started = RECORDER.start(config);
    info!("started", boot = started.boot, was_taken);
    if started.boot > 1 {
        send();
    }
    match support::argument(0) {
        0 => critical_section::with(|_| support::reset()),
        how => {
            OTHER_HOLDS_FOR.store(if how == 3 { 100 } else { u32::MAX }, SeqCst);
            lock().store(TAKEN, SeqCst);
            if how == 2 { execute_nothing() } else { panic!("with the lock taken") }
        }
    }
}

fn execute_nothing() -> ! {
    // SAFETY: it fails on purpose.
    unsafe {
        #[cfg(target_arch = "arm")]
        core::arch::asm!("udf #0", options(noreturn));
        #[cfg(target_arch = "riscv32")]
        core::arch::asm!("unimp", options(noreturn));
    }
}

/// Prints the ring as lines of text, and ends the run.
fn send() -> ! {
    let printed: Result<(), ()> = dump_text_with(DumpOptions::DEFAULT, |bytes| {
        let text = core::str::from_utf8(bytes).map_err(drop)?;
        print!("{}", text);
        Ok(())
    });
    if printed.is_ok() { succeed() } else { fail() }
}

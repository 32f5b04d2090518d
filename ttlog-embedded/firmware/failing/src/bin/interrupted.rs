//! Logs until an interrupt panics, in each run some instructions later. Sends the recorded events after each run. The
//! argument is the number of runs.
#![no_std]
#![no_main]

use core::sync::atomic::{AtomicBool, Ordering};

use ttlog_embedded::{Config, FailureAction, info};

support::entry!(main);
support::timer_handler!(interrupt);

ttlog_embedded::recorder!(static RECORDER: 2048);

/// Whether a log call is in progress.
static IS_IN_CALL: AtomicBool = AtomicBool::new(false);

fn main() -> ! {
    let after_failure = FailureAction::Call(support::reset);
    let started = RECORDER.start(Config { after_failure, ..Config::DEFAULT });
    if started.boot > 1 {
        failing::dump();
    }
    if started.boot > support::argument(0) {
        support::succeed();
    }
    support::arm_timer(20);
    support::delay(64 + 8 * started.boot);
    for number in 0_u32.. {
        IS_IN_CALL.store(true, Ordering::SeqCst);
        info!("counted", number);
        IS_IN_CALL.store(false, Ordering::SeqCst);
        support::delay(50);
    }
    support::fail()
}

fn interrupt() {
    panic!("interrupted, {} a log call", if IS_IN_CALL.load(Ordering::SeqCst) { "in" } else { "outside of" });
}

//! Logs until an interrupt comes that panics: in each run after some instructions more. Sends what was recorded after each
//! run; there are so many as the argument says.
#![no_std]
#![no_main]

use core::sync::atomic::{AtomicBool, Ordering};

use ttlog_embedded::{FailureAction, Config, info};

support::entry!(main);
support::timer_handler!(interrupt);

ttlog_embedded::recorder!(static RECORDER: 2048);

/// Whether a log call is under way.
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

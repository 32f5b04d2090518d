//! Records failures of the firmware: panics and faults.
//!
//! Their handlers go through `enter` and `leave`, so that a failure inside of a handler comes to an end: a second
//! failure is recorded in brief, a third one is not, and each action is tried once.

#[cfg(feature = "fault-handler")]
pub mod fault;
pub mod panic;

use core::sync::atomic::{AtomicU8, Ordering};

use crate::config::{FailureAction, call_before_failure};
use crate::reset::flush;

/// How much of a failure to record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    Whole,
    /// It came during another failure: no code of the firmware is run.
    Brief,
    Nothing,
}

/// How far the handling of failures has come. Only goes up.
static STAGE: AtomicU8 = AtomicU8::new(FINE);
const FINE: u8 = 0;
const RECORDING: u8 = 1;
const RECORDING_SECOND: u8 = 2;
const ACTING: u8 = 3;
const LAST: u8 = 4;

/// Begins to handle a failure.
pub(crate) fn enter() -> Extent {
    // Plain loads and stores suffice: a handler that fails does so after its store. If two cores fail at the same
    // moment, both are recorded whole.
    let (stage, extent) = match STAGE.load(Ordering::Relaxed) {
        FINE => (RECORDING, Extent::Whole),
        RECORDING => (RECORDING_SECOND, Extent::Brief),
        ACTING => (LAST, Extent::Brief),
        stage => (stage, Extent::Nothing),
    };
    STAGE.store(stage, Ordering::SeqCst);
    if extent != Extent::Nothing {
        call_before_failure(); // if it fails itself, the next failure is brief
    }
    extent
}

/// Ends it: takes the action in force, unless that is what failed.
pub(crate) fn leave() -> ! {
    mask_interrupts();
    if STAGE.load(Ordering::Relaxed) < ACTING {
        STAGE.store(ACTING, Ordering::SeqCst);
        flush();
        match FailureAction::in_force() {
            #[cfg(target_arch = "arm")]
            FailureAction::Reset => {}
            FailureAction::Halt => halt(),
            FailureAction::Call(function) => function(),
        }
    }
    #[cfg(target_arch = "arm")]
    crate::reset::reset();
    #[cfg(not(target_arch = "arm"))]
    halt()
}

fn halt() -> ! {
    flush();
    loop {
        core::hint::spin_loop(); // awake: a probe cannot attach to some chips while they sleep
    }
}

fn mask_interrupts() {
    // SAFETY: has no effect on memory; what follows does not return.
    #[cfg(target_arch = "arm")]
    unsafe {
        core::arch::asm!("cpsid i", options(nostack, preserves_flags));
    }
    // SAFETY: as above; bit 3 of mstatus enables interrupts in machine mode.
    #[cfg(target_arch = "riscv32")]
    unsafe {
        core::arch::asm!("csrci mstatus, 8", options(nostack, preserves_flags));
    }
}

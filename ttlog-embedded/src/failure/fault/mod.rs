//! Faults: hard faults of Cortex-M and exceptions of RISC-V, recorded as events at level error with the target `fault`, with the registers
//! that the core or its runtime saved, and the registers that say why.
//!
//! With the feature `fault-handler` the firmware has one line more, at the level of a module, and needs no handler of its own:
//!
//! ```ignore
//! ttlog_embedded::fault_handler!();
//! ```
//!
//! What follows is up to [`Config::after_failure`](crate::Config::after_failure). Firmware that keeps its own handler calls [`record`] in it.
//!
//! # What cannot be recorded
//!
//! - A handler needs a stack, some 300 bytes of it. **A stack overflow** that leaves RAM leaves none: Cortex-M locks up (a watchdog ends that),
//!   RISC-V faults for ever in the entry of its trap handler. One that does not leave RAM overwrites what is below the stack, which is the
//!   ring, as the linker scripts of cortex-m-rt and riscv-rt have it: variables first, `.uninit` behind them, the stack from the end of RAM
//!   down. The ring's checks find that out at the next start, and so much is lost. The linker wrapper `flip-link` puts the stack below all
//!   variables: an overflow faults then at once, and nothing is overwritten, but the handler has no stack either: the events before it are
//!   there after the reset, without one for the fault. It moves `.uninit`, so a ring is not found again where a firmware was linked once with
//!   it and once without. Where threads have stacks of their own (process stack), their overflow can be recorded.
//! - **A fault in the fault handler**: Cortex-M locks up by itself, RISC-V comes here again: that is recorded in brief, a third one is not,
//!   and then follows what is to follow.
//! - Faults with handlers of their own (`MemoryManagement`, `BusFault`, `UsageFault`, `SecureFault`), where the firmware enables them.
//!   They are hard faults as long as it does not.
//! - On ARMv6-M a fault while the stack pointer of a thread is wrong: there is no register that would say so, and reading what was stacked
//!   fails like stacking it did.

#[cfg(target_arch = "arm")]
mod cortex_m;
#[cfg(any(target_arch = "riscv32", target_arch = "riscv64"))]
mod riscv;

#[cfg(target_arch = "arm")]
pub use cortex_m::{ExceptionFrame, handle, record};
#[cfg(any(target_arch = "riscv32", target_arch = "riscv64"))]
pub use riscv::{TrapFrame, handle, record};

/// Makes [`handle`] the program's handler of hard faults, for cortex-m-rt 0.7, which the firmware depends on too.
#[cfg(target_arch = "arm")]
#[macro_export]
macro_rules! fault_handler {
    () => {
        #[::cortex_m_rt::exception]
        unsafe fn HardFault(frame: &::cortex_m_rt::ExceptionFrame) -> ! {
            $crate::fault::handle(frame)
        }
    };
}

/// Makes [`handle`] the program's handler of exceptions without a handler of their own, for riscv-rt (0.12 to 0.18) and runtimes
/// that save the same registers first.
#[cfg(any(target_arch = "riscv32", target_arch = "riscv64"))]
#[macro_export]
macro_rules! fault_handler {
    () => {
        #[unsafe(export_name = "ExceptionHandler")]
        extern "C" fn __ttlog_exception_handler(frame: &$crate::fault::TrapFrame) -> ! {
            $crate::fault::handle(frame)
        }
    };
}

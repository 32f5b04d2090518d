//! Records hard faults of Cortex-M and exceptions of RISC-V as events at level error with the target `fault`: the
//! registers that the core or its runtime saved, and those that name the cause.
//!
//! With the feature `fault-handler`, one line at the level of a module replaces a handler of the firmware's own:
//!
//! ```ignore
//! ttlog_embedded::fault_handler!();
//! ```
//!
//! [`Config::after_failure`](crate::Config::after_failure) decides what follows. Firmware that keeps its own handler
//! calls [`record`] in it.
//!
//! # What cannot be recorded
//!
//! - **A stack overflow**, because a handler needs some 300 bytes of stack. If the stack leaves RAM, Cortex-M locks up
//!   until a watchdog ends that, and RISC-V faults forever at the entry of its trap handler. If it stays in RAM, it
//!   overwrites the ring, which is below the stack (the linker scripts of cortex-m-rt and riscv-rt place variables
//!   first, then `.uninit`, and the stack from the end of RAM down); the next start detects the damage and loses those
//!   events. The linker wrapper `flip-link` places the stack below all variables, so that an overflow faults at once
//!   and overwrites nothing: the events before it survive, without one for the fault. `flip-link` moves `.uninit`, so
//!   the ring of a firmware linked without it is not found again. An overflow of a thread's own stack (process stack)
//!   is recorded.
//! - **A fault in the fault handler** on Cortex-M, which locks up. On RISC-V a second fault is recorded in brief and a
//!   third one is not; then `after_failure` follows.
//! - Faults with handlers of their own (`MemoryManagement`, `BusFault`, `UsageFault`, `SecureFault`), if the firmware
//!   enables them. Otherwise they are hard faults.
//! - On ARMv6-M, a fault while the stack pointer of a thread is invalid: no register reports it, and reading the
//!   stacked registers fails as stacking them did.

#[cfg(target_arch = "arm")]
mod cortex_m;
#[cfg(any(target_arch = "riscv32", target_arch = "riscv64"))]
mod riscv;

#[cfg(target_arch = "arm")]
pub use cortex_m::{ExceptionFrame, handle, record};
#[cfg(any(target_arch = "riscv32", target_arch = "riscv64"))]
pub use riscv::{TrapFrame, handle, record};

/// Makes [`handle`] the program's handler of hard faults. The firmware must depend on cortex-m-rt 0.7.
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

/// Makes [`handle`] the program's handler of all exceptions without a handler of their own, for riscv-rt (0.12 to 0.18)
/// and runtimes that save the same registers first.
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

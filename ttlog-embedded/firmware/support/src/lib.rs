//! The machine of the test programs, with the same interface for all machines: an entry, output and exit status through
//! semihosting, a serial port, a reset, and an interrupt after a number of instructions.
//!
//! QEMU must run with `-icount shift=0`: then an instruction takes a nanosecond of the guest's time, and timers
//! interrupt at the same instruction each time.
#![no_std]

#[cfg(target_arch = "arm")]
mod cortex_m_core;
#[cfg(target_arch = "arm")]
use cortex_m_core as core_;
#[cfg(target_arch = "riscv32")]
mod riscv_core;
#[cfg(target_arch = "riscv32")]
use riscv_core as core_;
pub mod uart;

pub use core_::{arm_timer, pend_urgent, reset, stop_timer};
#[cfg(target_arch = "arm")]
pub use core_::{configure_irq, pend_irq};
pub use semihosting::{print, println};

/// Makes a function the program's entry.
#[macro_export]
macro_rules! entry {
    ($main:path) => {
        #[unsafe(export_name = "main")]
        extern "C" fn __support_main() -> ! {
            let main: fn() -> ! = $main;
            main()
        }
    };
}

/// Makes a function the handler of the timer's interrupt.
#[macro_export]
macro_rules! timer_handler {
    ($handler:path) => {
        #[cfg_attr(target_arch = "arm", unsafe(export_name = "SysTick"))]
        #[cfg_attr(target_arch = "riscv32", unsafe(export_name = "MachineTimer"))]
        extern "C" fn __support_timer() {
            let handler: fn() = $handler;
            $crate::stop_timer();
            handler()
        }
    };
}

/// Makes a function the handler of [`pend_urgent`]: the non-maskable interrupt, on RISC-V the software interrupt.
#[macro_export]
macro_rules! urgent_handler {
    ($handler:path) => {
        #[cfg_attr(target_arch = "arm", unsafe(export_name = "NonMaskableInt"))]
        #[cfg_attr(target_arch = "riscv32", unsafe(export_name = "MachineSoft"))]
        extern "C" fn __support_urgent() {
            let handler: fn() = $handler;
            #[cfg(target_arch = "riscv32")]
            $crate::clear_urgent();
            handler()
        }
    };
}
#[cfg(target_arch = "riscv32")]
pub use core_::clear_urgent;

/// Ends the run; QEMU exits with 0.
pub fn succeed() -> ! {
    semihosting::process::exit(0)
}

/// Ends the run; QEMU exits with 1.
pub fn fail() -> ! {
    semihosting::process::exit(1)
}

/// Returns the argument of the test at `index` as a number; 0 if there is none.
pub fn argument(index: usize) -> u32 {
    let Ok(arguments) = semihosting::experimental::env::args::<128>() else { return 0 };
    (&arguments).nth(index + 1).and_then(|text| text.ok()?.parse().ok()).unwrap_or(0)
}

/// Executes about `instructions` instructions, at least 16. A difference of one is exactly one instruction.
#[inline(never)]
pub fn delay(instructions: u32) {
    core_::delay(instructions.max(16))
}

#[cfg(feature = "panic-handler")]
#[panic_handler]
fn panic(info: &core::panic::PanicInfo) -> ! {
    println!("{}", info);
    fail()
}

//! Fails in the way of the first argument, and sends the recorded events after the reset. The second argument chooses
//! what follows the failure: 0 a reset, 1 a halt, 2 a function, 3 a function that fails too.
#![no_std]
#![no_main]

use core::arch::asm;
use core::fmt;

use ttlog_embedded::{Config, FailureAction, info};

support::entry!(main);
support::urgent_handler!(urgent);
ttlog_embedded::fault_handler!();

ttlog_embedded::recorder!(static RECORDER: 2048);

fn main() -> ! {
    failing::set_up();
    let after_failure = match support::argument(1) {
        #[cfg(target_arch = "arm")]
        0 => FailureAction::Reset,
        #[cfg(target_arch = "riscv32")]
        0 => FailureAction::Call(support::reset),
        1 => FailureAction::Halt,
        2 => FailureAction::Call(hook),
        _ => FailureAction::Call(bad_hook),
    };
    let started = RECORDER.start(Config { after_failure, ..Config::DEFAULT });
    info!("started", boot = started.boot);
    if started.boot > 1 {
        failing::dump();
        support::succeed();
    }
    match support::argument(0) {
        0 => panic_with(41),
        1 => support::pend_urgent(),
        2 => drop(load_from_nowhere()),
        3 => execute_nothing(),
        4 => panic!("{}", Panics),
        5 => panic!("{}", Faults),
        #[cfg(target_arch = "arm")]
        6 => fault_without_stack(),
        _ => {}
    }
    // Reached only if nothing failed.
    support::fail()
}

#[inline(never)]
fn panic_with(value: u32) {
    panic!("the answer is {value}, not 42");
}

fn urgent() {
    panic!("in an urgent interrupt");
}

/// An address that is unmapped on all machines.
const NOWHERE: *const u32 = (if cfg!(target_arch = "arm") { 0xB000_0000_u32 } else { 0x0180_0000 }) as *const u32;

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn load_from_nowhere() -> u32 {
    // SAFETY: it fails on purpose.
    unsafe { NOWHERE.read_volatile() }
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn execute_nothing() {
    // SAFETY: it fails on purpose.
    unsafe {
        #[cfg(target_arch = "arm")]
        asm!("udf #0");
        #[cfg(target_arch = "riscv32")]
        asm!("unimp");
    }
}

/// Points a thread's stack to an unmapped address, so that registers cannot be stacked.
#[cfg(target_arch = "arm")]
#[inline(never)]
fn fault_without_stack() {
    // SAFETY: it fails on purpose.
    unsafe {
        asm!(
            "msr PSP, {nowhere}",
            "movs {two}, #2",
            "msr CONTROL, {two}",
            "isb",
            "udf #0",
            nowhere = in(reg) NOWHERE as u32 + 0x100,
            two = out(reg) _,
        );
    }
}

/// Panics in its `Display`.
struct Panics;

impl fmt::Display for Panics {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic_with(40);
        Ok(())
    }
}

/// Faults in its `Display`.
struct Faults;

impl fmt::Display for Faults {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        load_from_nowhere();
        Ok(())
    }
}

fn hook() -> ! {
    support::println!("the hook was called");
    support::reset()
}

fn bad_hook() -> ! {
    support::println!("the bad hook was called");
    panic_with(39);
    support::fail()
}

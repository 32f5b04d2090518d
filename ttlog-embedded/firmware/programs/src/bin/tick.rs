//! Checks that the timer interrupts at a chosen instruction: one more instruction of delay interrupts a row of
//! instructions one instruction earlier, repeatably.
#![no_std]
#![no_main]

use core::arch::global_asm;
use core::sync::atomic::{AtomicU32, Ordering};

support::entry!(main);

const SLED_LEN: u32 = 512;
/// Ticks until the interrupt: on all machines between the shortest and the longest delay.
const TICKS: u32 = 40;
const NOT_YET: u32 = u32::MAX;

static INTERRUPTED_AT: AtomicU32 = AtomicU32::new(NOT_YET);

unsafe extern "C" {
    fn sled();
}

#[cfg(target_arch = "arm")]
global_asm!(
    ".syntax unified",
    ".section .text.sled,\"ax\",%progbits",
    ".thumb_func",
    ".global sled",
    "sled:",
    ".rept 512",
    "nop",
    ".endr",
    "bx lr",
    // The stacked registers are at the top of the stack.
    ".thumb_func",
    ".global SysTick",
    "SysTick:",
    "ldr r0, [sp, #24]",
    "b interrupted",
);

#[cfg(target_arch = "riscv32")]
global_asm!(".section .text.sled,\"ax\",%progbits", ".global sled", "sled:", ".rept 512", "c.nop", ".endr", "ret",);

#[unsafe(no_mangle)]
extern "C" fn interrupted(at: u32) {
    support::stop_timer();
    INTERRUPTED_AT.store(at, Ordering::Relaxed);
}

#[cfg(target_arch = "riscv32")]
#[unsafe(export_name = "MachineTimer")]
extern "C" fn timer() {
    interrupted(riscv::register::mepc::read() as u32);
}

/// Returns how many instructions of the row were executed; `None` if the interrupt came outside of it.
fn run(delay: u32) -> Option<u32> {
    INTERRUPTED_AT.store(NOT_YET, Ordering::Relaxed);
    support::arm_timer(TICKS);
    support::delay(delay);
    // SAFETY: does nothing, and returns.
    unsafe { sled() };
    let mut patience = 100_000;
    while INTERRUPTED_AT.load(Ordering::Relaxed) == NOT_YET {
        patience -= 1;
        assert!(patience > 0, "the timer did not interrupt");
    }
    let start = sled as *const () as u32 & !1;
    let done = INTERRUPTED_AT.load(Ordering::Relaxed).wrapping_sub(start) / 2;
    (done < SLED_LEN).then_some(done)
}

fn main() -> ! {
    let (mut last, mut points) = (None, 0);
    for delay in 16..6000 {
        let done = run(delay);
        assert_eq!(done, run(delay), "the second time, with a delay of {delay}");
        match (last, done) {
            (Some(last), Some(done)) => assert_eq!(done, last - 1, "after one instruction more, a delay of {delay}"),
            (Some(last), None) => assert_eq!(last, 0, "left the row"),
            _ => {}
        }
        points += u32::from(done.is_some());
        last = done;
    }
    // From the last instruction, or the one of the first delay, to the first.
    assert!(points > 300, "only {points} interrupts were in the row");
    support::println!("exact at {} instructions", points);
    support::succeed()
}

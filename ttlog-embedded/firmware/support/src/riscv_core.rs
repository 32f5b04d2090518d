//! The RISC-V machine `virt`.

use core::arch::asm;

use riscv::register::{mcycle, mepc, mie, mstatus};
use riscv_rt as _;

/// Device that resets or ends the machine.
const FINISHER: *mut u32 = 0x10_0000 as *mut u32;
const MSIP: *mut u32 = 0x200_0000 as *mut u32;
const MTIMECMP: *mut u32 = 0x200_4000 as *mut u32;
const MTIME: *const u32 = 0x200_BFF8 as *const u32;
/// The timer runs at 10 MHz; an instruction takes a nanosecond.
const INSTRUCTIONS_PER_TICK: u32 = 100;

/// Resets the machine.
pub fn reset() -> ! {
    // SAFETY: a device's register.
    unsafe { FINISHER.write_volatile(0x7777) };
    loop {
        riscv::asm::nop();
    }
}

/// Arms a one-shot interrupt about `ticks` from now. The delay after this returns is exact to one instruction.
pub fn arm_timer(ticks: u32) {
    // SAFETY: registers of a device and the core, used by nothing else here.
    unsafe {
        // Waits for a fixed position within a tick, because the timer itself is too coarse.
        let phase = mcycle::read() as u32 % INSTRUCTIONS_PER_TICK;
        delay(2 * INSTRUCTIONS_PER_TICK - phase);
        let due = MTIME.read_volatile() + ticks;
        MTIMECMP.add(1).write_volatile(u32::MAX);
        MTIMECMP.write_volatile(due);
        MTIMECMP.add(1).write_volatile(0);
        mie::set_mtimer();
        mstatus::set_mie();
    }
}

/// Stops the timer and clears its pending interrupt.
pub fn stop_timer() {
    // SAFETY: as above.
    unsafe {
        mie::clear_mtimer();
        // A time in the past, whose interrupt is disabled. QEMU would jump to a time in the far future as soon as the
        // machine is reset.
        MTIMECMP.write_volatile(0);
        MTIMECMP.add(1).write_volatile(0);
    }
}

/// Triggers the software interrupt, which comes before this returns, also in the handler of another interrupt.
pub fn pend_urgent() {
    // SAFETY: registers of a device and the core. Those that the handler of another interrupt needs to return are
    // restored.
    unsafe {
        let (mepc, mstatus) = (mepc::read(), mstatus::read());
        mie::set_msoft();
        mstatus::set_mie();
        MSIP.write_volatile(1);
        // The interrupt is taken within the next instructions, and clears its request.
        while MSIP.read_volatile() != 0 {}
        mstatus::clear_mie();
        mepc::write(mepc);
        mstatus::write(mstatus);
    }
}

/// Clears the request for the software interrupt.
pub fn clear_urgent() {
    // SAFETY: a device's register.
    unsafe { MSIP.write_volatile(0) };
}

pub(crate) fn delay(instructions: u32) {
    // SAFETY: counts down in registers.
    unsafe {
        asm!(
            "andi {odd}, {n}, 1",
            "srli {n}, {n}, 1",
            "beqz {odd}, 2f",
            "nop",
            "2:",
            "addi {n}, {n}, -1",
            "bnez {n}, 2b",
            n = inout(reg) instructions => _,
            odd = out(reg) _,
            options(nomem, nostack),
        );
    }
}

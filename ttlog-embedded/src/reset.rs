//! The flush before a reset, and a reset.

use crate::recorder::DEVICE;

/// Makes sure that all recorded events are in RAM and stay there through a reset.
///
/// Call it before every reset that the firmware itself asks for; `reset` and the handlers of panics and faults do so
/// already. Takes some ten instructions. Callable anywhere.
///
/// Waits for pending stores, and makes RAM with error correction write down the last one, which some chips hold back
/// (STM32H7, H5 and others; the feature `ecc-flush` does this after each event). It cleans no data cache: see
/// "Cortex-M7" in docs/firmware.md.
pub fn flush() {
    DEVICE.settle();
    // SAFETY: barriers have no other effect.
    #[cfg(all(target_arch = "arm", target_os = "none"))]
    unsafe {
        core::arch::asm!("dsb", options(nostack, preserves_flags));
    }
    // SAFETY: as above.
    #[cfg(all(target_arch = "riscv32", target_os = "none"))]
    unsafe {
        core::arch::asm!("fence", options(nostack, preserves_flags));
    }
}

/// Resets the chip after a [`flush`], so that the events are there when the firmware starts again. Callable anywhere.
///
/// Source: ARMv7-M Architecture Reference Manual (DDI 0403E.e), B3.2.6, AIRCR.SYSRESETREQ; ARMv6-M and ARMv8-M
/// likewise.
#[cfg(all(target_arch = "arm", any(target_os = "none", doc)))]
pub fn reset() -> ! {
    const AIRCR: *mut u32 = 0xE000_ED0C as *mut u32;
    const VECTKEY: u32 = 0x05FA << 16;
    const PRIGROUP: u32 = 0x700;
    const SYSRESETREQ: u32 = 1 << 2;
    flush();
    // SAFETY: a register of the core; the bit resets the chip, and does nothing else.
    unsafe { AIRCR.write_volatile(VECTKEY | AIRCR.read_volatile() & PRIGROUP | SYSRESETREQ) };
    flush(); // the store reaches the register before anything else happens
    loop {
        core::hint::spin_loop(); // the reset may take some cycles
    }
}

//! Cortex-M.

use core::arch::asm;

use cortex_m::peripheral::{NVIC, SCB};
use cortex_m_rt as _;

const SYST_CSR: *mut u32 = 0xE000_E010 as *mut u32;
const SYST_RVR: *mut u32 = 0xE000_E014 as *mut u32;
const SYST_CVR: *mut u32 = 0xE000_E018 as *mut u32;
const ICSR: *mut u32 = 0xE000_ED04 as *mut u32;

/// Resets the machine.
pub fn reset() -> ! {
    SCB::sys_reset()
}

/// Arms a one-shot interrupt `ticks` (at least 1, below 2^24) of the core's clock from now.
pub fn arm_timer(ticks: u32) {
    // SAFETY: registers of the core, used by nothing else here.
    unsafe {
        SYST_CSR.write_volatile(0);
        SYST_RVR.write_volatile(ticks);
        SYST_CVR.write_volatile(0);
        SYST_CSR.write_volatile(0b111);
    }
}

/// Stops the timer and clears its pending interrupt.
pub fn stop_timer() {
    // SAFETY: as above; the bit of ICSR clears the pending exception.
    unsafe {
        SYST_CSR.write_volatile(0);
        ICSR.write_volatile(1 << 25);
    }
}

/// Triggers the non-maskable interrupt.
pub fn pend_urgent() {
    // SAFETY: the bit triggers the exception and does nothing else.
    unsafe { ICSR.write_volatile(1 << 31) };
    cortex_m::asm::dsb();
    cortex_m::asm::isb();
}

/// An interrupt line without a device, triggered by software.
#[derive(Clone, Copy)]
struct Line(u16);

// SAFETY: the numbers are those of `configure_irq`'s callers, below 32.
unsafe impl cortex_m::interrupt::InterruptNumber for Line {
    fn number(self) -> u16 {
        self.0
    }
}

/// Enables an interrupt line with a priority from 0 (urgent) to 3. Its handler is `DefaultHandler`.
pub fn configure_irq(line: u16, priority: u8) {
    // SAFETY: nobody else uses the peripherals; the handlers may run from here on.
    unsafe {
        let mut nvic = cortex_m::Peripherals::steal().NVIC;
        nvic.set_priority(Line(line), priority << 6);
        NVIC::unmask(Line(line));
    }
}

/// Triggers an interrupt.
pub fn pend_irq(line: u16) {
    NVIC::pend(Line(line));
    cortex_m::asm::dsb();
    cortex_m::asm::isb();
}

pub(crate) fn delay(instructions: u32) {
    // SAFETY: counts down in registers.
    unsafe {
        asm!(
            "lsrs {n}, {n}, #1",
            "bcc 2f",
            "nop",
            "2:",
            "subs {n}, {n}, #1",
            "bne 2b",
            n = inout(reg) instructions => _,
            options(nomem, nostack),
        );
    }
}

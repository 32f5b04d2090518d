//! Hard faults of Cortex-M.
//!
//! Source: ARMv7-M Architecture Reference Manual (DDI 0403E.e), B1.5.6 (what is stacked) and B3.2.15 to B3.2.18 (CFSR,
//! HFSR, MMFAR, BFAR); ARMv8-M (DDI 0553B) likewise, with STKOF. ARMv6-M has none of the four.

use ttlog_core::error;

pub use cortex_m_rt::ExceptionFrame;

use crate::failure::{Extent, enter, leave};

/// Registers that name the cause of a fault.
#[cfg(ttlog_fault_status)]
struct Status {
    cfsr: u32,
    hfsr: u32,
    mmfar: u32,
    bfar: u32,
}

#[cfg(ttlog_fault_status)]
impl Status {
    fn read() -> Self {
        const CFSR: *const u32 = 0xE000_ED28 as *const u32;
        const HFSR: *const u32 = 0xE000_ED2C as *const u32;
        const MMFAR: *const u32 = 0xE000_ED34 as *const u32;
        const BFAR: *const u32 = 0xE000_ED38 as *const u32;
        // SAFETY: registers of the core, whose reads have no side effects. Addresses first, because a later fault
        // replaces them.
        unsafe {
            let (mmfar, bfar) = (MMFAR.read_volatile(), BFAR.read_volatile());
            Status { cfsr: CFSR.read_volatile(), hfsr: HFSR.read_volatile(), mmfar, bfar }
        }
    }

    /// Whether the core failed to stack the registers, so that there is no valid frame.
    fn has_no_frame(&self) -> bool {
        const MSTKERR: u32 = 1 << 4;
        const STKERR: u32 = 1 << 12;
        const STKOF: u32 = 1 << 20; // ARMv8-M; reserved, and 0, before
        self.cfsr & (MSTKERR | STKERR | STKOF) != 0
    }
}

/// Records a hard fault: the stacked registers of the code that failed (`pc`, `lr`, …), their address (`sp`), and CFSR,
/// HFSR, MMFAR and BFAR on cores that have them. MMFAR is valid if bit 7 of CFSR is set, BFAR if bit 15 is.
///
/// For firmware with its own handler; others use [`handle`].
pub fn record(frame: &ExceptionFrame) {
    // Several events of four words, the most important first: a tenth of the code of one event with all words.
    let sp = core::ptr::from_ref(frame) as u32;
    #[cfg(ttlog_fault_status)]
    let status = Status::read();
    #[cfg(ttlog_fault_status)]
    if status.has_no_frame() {
        let Status { cfsr, hfsr, .. } = status;
        // The core does not set the addresses in this case.
        error!(
            target: "fault",
            "hard fault with the invalid stack pointer {sp:#010x}; CFSR {cfsr:#010x}, HFSR {hfsr:#010x}",
            sp, cfsr, hfsr
        );
        return;
    }
    let (pc, lr, xpsr) = (frame.pc(), frame.lr(), frame.xpsr());
    #[cfg(ttlog_fault_status)]
    {
        let Status { cfsr, hfsr, mmfar, bfar } = status;
        error!(
            target: "fault",
            "hard fault at {pc:#010x}, called from {lr:#010x}; CFSR {cfsr:#010x}, HFSR {hfsr:#010x}",
            pc, lr, cfsr, hfsr
        );
        error!(
            target: "fault",
            "MMFAR {mmfar:#010x}, BFAR {bfar:#010x}, xPSR {xpsr:#010x}, SP {sp:#010x}",
            mmfar, bfar, xpsr, sp
        );
    }
    #[cfg(not(ttlog_fault_status))]
    error!(
        target: "fault",
        "hard fault at {pc:#010x}, called from {lr:#010x}; xPSR {xpsr:#010x}, SP {sp:#010x}",
        pc, lr, xpsr, sp
    );
    let (r0, r1, r2, r3, r12) = (frame.r0(), frame.r1(), frame.r2(), frame.r3(), frame.r12());
    error!(target: "fault", "r0 {r0:#010x}, r1 {r1:#010x}, r2 {r2:#010x}, r3 {r3:#010x}", r0, r1, r2, r3);
    error!(target: "fault", "r12 {r12:#010x}", r12);
}

/// Records a hard fault, then takes [`Config::after_failure`](crate::Config::after_failure). This is the handler that
/// [`fault_handler!`](crate::fault_handler) installs.
pub fn handle(frame: &ExceptionFrame) -> ! {
    match enter() {
        Extent::Whole => record(frame),
        Extent::Brief => {
            let (pc, lr) = (frame.pc(), frame.lr());
            error!(target: "fault", "hard fault at {pc:#010x}, called from {lr:#010x}, after another failure", pc, lr);
        }
        Extent::Nothing => {}
    }
    leave()
}

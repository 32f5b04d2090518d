//! Hard faults of Cortex-M.
//!
//! Source: ARMv7-M Architecture Reference Manual (DDI 0403E.e), B1.5.6 (what is stacked) and B3.2.15 to B3.2.18 (CFSR, HFSR, MMFAR, BFAR);
//! ARMv8-M (DDI 0553B) likewise, with STKOF. ARMv6-M has none of the four.

use ttlog_core::error;

pub use cortex_m_rt::ExceptionFrame;

use crate::failure::{Extent, enter, leave};

/// What the core says about a fault.
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
        // SAFETY: registers of the core, which reading does not change. The addresses before the rest, as a later fault would replace them.
        unsafe {
            let (mmfar, bfar) = (MMFAR.read_volatile(), BFAR.read_volatile());
            Status { cfsr: CFSR.read_volatile(), hfsr: HFSR.read_volatile(), mmfar, bfar }
        }
    }

    /// Tells whether the core failed to stack the registers: what is at the frame's address, if anything, is something else.
    fn has_no_frame(&self) -> bool {
        const MSTKERR: u32 = 1 << 4;
        const STKERR: u32 = 1 << 12;
        const STKOF: u32 = 1 << 20; // ARMv8-M; reserved, and 0, before
        self.cfsr & (MSTKERR | STKERR | STKOF) != 0
    }
}

/// Records a hard fault: the registers that were stacked (of the code that failed, with `pc` and `lr`), where they are (`sp`), and where
/// the core has them CFSR, HFSR, MMFAR and BFAR. MMFAR says something if bit 7 of CFSR is set, BFAR if bit 15 is.
///
/// For firmware with a handler of its own; [`handle`] does all of it.
pub fn record(frame: &ExceptionFrame) {
    // Several events, the most important first: of four words each, which take a tenth of the code that one event with all of them would.
    let sp = core::ptr::from_ref(frame) as u32;
    #[cfg(ttlog_fault_status)]
    let status = Status::read();
    #[cfg(ttlog_fault_status)]
    if status.has_no_frame() {
        let Status { cfsr, hfsr, .. } = status;
        // The core leaves the addresses alone then.
        error!(
            target: "fault",
            "hard fault with the stack pointer at {sp:#010x}, where nothing can be stacked; CFSR {cfsr:#010x}, HFSR {hfsr:#010x}",
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

/// Records a hard fault and does what is to follow: what [`fault_handler!`](crate::fault_handler) makes the handler. Does not return.
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

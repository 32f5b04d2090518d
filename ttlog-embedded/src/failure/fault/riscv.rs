//! Exceptions of RISC-V.
//!
//! Source: RISC-V Privileged Architecture 1.12, 3.1.14 to 3.1.16 (mepc, mcause, mtval).

use core::arch::asm;

use ttlog_core::error;

use crate::failure::{Extent, enter, leave};

/// Registers saved at the entry of a trap, in the layout of riscv-rt 0.12 to 0.18. Runtimes that save more do so after
/// these.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
#[allow(missing_docs)] // each is the register of this name
pub struct TrapFrame {
    pub ra: usize,
    pub t0: usize,
    pub t1: usize,
    pub t2: usize,
    pub t3: usize,
    pub t4: usize,
    pub t5: usize,
    pub t6: usize,
    pub a0: usize,
    pub a1: usize,
    pub a2: usize,
    pub a3: usize,
    pub a4: usize,
    pub a5: usize,
    pub a6: usize,
    pub a7: usize,
}

/// Why and where an exception came.
struct Cause {
    mcause: u32,
    mepc: u32,
    mtval: u32,
}

impl Cause {
    fn read() -> Self {
        let (mcause, mepc, mtval): (usize, usize, usize);
        // SAFETY: reads registers.
        unsafe {
            asm!("csrr {}, mcause", "csrr {}, mepc", "csrr {}, mtval", out(reg) mcause, out(reg) mepc, out(reg) mtval,
                options(nomem, nostack, preserves_flags));
        }
        Cause { mcause: mcause as u32, mepc: mepc as u32, mtval: mtval as u32 }
    }
}

/// Records an exception: `mcause`, `mepc` (where it came), `mtval`, and the saved registers: return address, arguments,
/// temporaries, and their address (`frame`, at the stack pointer). A runtime saves no others.
///
/// For firmware with its own handler; others use [`handle`]. Call it in the handler of the exception, because it reads
/// the registers of the cause.
pub fn record(frame: &TrapFrame) {
    // Several events of four words, the most important first: a tenth of the code of one event with all words.
    let Cause { mcause, mepc, mtval } = Cause::read();
    let place = core::ptr::from_ref(frame) as u32;
    let TrapFrame { ra, t0, t1, t2, t3, t4, t5, t6, a0, a1, a2, a3, a4, a5, a6, a7 } = *frame;
    let ra = ra as u32;
    error!(
        target: "fault",
        "exception {mcause} at {mepc:#010x}, called from {ra:#010x}; mtval {mtval:#010x}",
        mcause, mepc, mtval, ra
    );
    let [a0, a1, a2, a3, a4, a5, a6, a7] = [a0, a1, a2, a3, a4, a5, a6, a7].map(|value| value as u32);
    error!(target: "fault", "a0 {a0:#010x}, a1 {a1:#010x}, a2 {a2:#010x}, a3 {a3:#010x}", a0, a1, a2, a3);
    error!(target: "fault", "a4 {a4:#010x}, a5 {a5:#010x}, a6 {a6:#010x}, a7 {a7:#010x}", a4, a5, a6, a7);
    let [t0, t1, t2, t3, t4, t5, t6] = [t0, t1, t2, t3, t4, t5, t6].map(|value| value as u32);
    error!(target: "fault", "t0 {t0:#010x}, t1 {t1:#010x}, t2 {t2:#010x}, t3 {t3:#010x}", t0, t1, t2, t3);
    error!(
        target: "fault",
        "t4 {t4:#010x}, t5 {t5:#010x}, t6 {t6:#010x}, saved at {frame:#010x}",
        t4, t5, t6, frame = place
    );
}

/// Records an exception, then takes [`Config::after_failure`](crate::Config::after_failure). This is the handler that
/// [`fault_handler!`](crate::fault_handler) installs.
pub fn handle(frame: &TrapFrame) -> ! {
    match enter() {
        Extent::Whole => record(frame),
        Extent::Brief => {
            let Cause { mcause, mepc, mtval } = Cause::read();
            error!(
                target: "fault",
                "exception {mcause} at {mepc:#010x}, after another failure; mtval {mtval:#010x}",
                mcause, mepc, mtval
            );
        }
        Extent::Nothing => {}
    }
    leave()
}

//! What follows a failure of the firmware once it is recorded, and what to do before a reset.
//!
//! Handlers of panics and faults go through `enter` and `leave`, so that a failure in a handler ends, whatever fails in it: a second one is
//! recorded in brief, a third one is not, and each action is tried once.

#[cfg(all(feature = "fault-handler", target_os = "none"))]
pub mod fault;
#[cfg(target_os = "none")]
pub mod panic;

use core::sync::atomic::{AtomicPtr, AtomicU8, Ordering};

use crate::recorder::DEVICE;

/// What follows a panic or a fault that was recorded.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum After {
    /// Resets the chip, as `reset` does. Only on Arm: RISC-V leaves resets to the makers of chips, so there [`Call`](Self::Call) what
    /// the chip's HAL has for it.
    #[cfg(not(any(target_arch = "riscv32", target_arch = "riscv64")))]
    Reset,
    /// Masks interrupts and stays: for a probe to be attached, or for a watchdog.
    Halt,
    /// Calls a function of the firmware, with interrupts masked, in the context that failed: to switch off what must not stay on, to send the
    /// ring, to reset in another way. If it fails itself, that is recorded too, and the chip is reset (RISC-V: halts).
    Call(fn() -> !),
}

impl After {
    /// On Arm a reset: a device in the field has to go on, and what happened is in the ring. On RISC-V, where that takes a function of the
    /// chip, a halt. Also in force until [`Recorder::start`](crate::Recorder::start), where nothing can be recorded yet.
    #[cfg(not(any(target_arch = "riscv32", target_arch = "riscv64")))]
    pub const DEFAULT: Self = After::Reset;
    /// On Arm a reset: a device in the field has to go on, and what happened is in the ring. On RISC-V, where that takes a function of the
    /// chip, a halt. Also in force until [`Recorder::start`](crate::Recorder::start), where nothing can be recorded yet.
    #[cfg(any(target_arch = "riscv32", target_arch = "riscv64"))]
    pub const DEFAULT: Self = After::Halt;

    /// Has it done after failures from now on.
    pub(crate) fn keep(self) {
        let action = match self {
            #[cfg(not(any(target_arch = "riscv32", target_arch = "riscv64")))]
            After::Reset => USUAL,
            After::Halt => HALT,
            After::Call(hook) => {
                HOOK.store(hook as *mut (), Ordering::Relaxed);
                CALL
            }
        };
        ACTION.store(action, Ordering::Release);
    }
}

impl Default for After {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// What is done: `USUAL` is [`After::DEFAULT`].
static ACTION: AtomicU8 = AtomicU8::new(USUAL);
const USUAL: u8 = 0;
const HALT: u8 = 1;
const CALL: u8 = 2;
/// A `fn() -> !`, stored before `CALL` is.
static HOOK: AtomicPtr<()> = AtomicPtr::new(core::ptr::null_mut());

/// Sees to it that what was recorded is in RAM, and stays there, when a reset comes. To be called before a reset that the firmware asks
/// for itself; `reset` and the handlers of panics and faults do so. Some ten instructions; callable anywhere.
///
/// Waits for stores that are under way, and lets RAM with error correction write down the last one, which some of them hold back (STM32H7, H5
/// and others; see the feature `ecc-flush`, which does that after each event). It cleans no cache: see the crate's documentation for
/// Cortex-M7.
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

/// Resets the chip, after [`flush`]: what was recorded is there when the firmware starts again. Callable anywhere.
///
/// Source: ARMv7-M Architecture Reference Manual (DDI 0403E.e), B3.2.6, AIRCR.SYSRESETREQ; likewise of ARMv6-M and ARMv8-M.
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
        core::hint::spin_loop(); // the reset may take some cycles to come
    }
}

/// How much of a failure is to be recorded.
#[cfg(target_os = "none")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    Whole,
    /// It came while another one was recorded or followed up: no code of the firmware is run.
    Brief,
    Nothing,
}

/// How far the handling of failures is. Only goes up.
#[cfg(target_os = "none")]
static STAGE: AtomicU8 = AtomicU8::new(FINE);
#[cfg(target_os = "none")]
const FINE: u8 = 0;
#[cfg(target_os = "none")]
const RECORDING: u8 = 1;
#[cfg(target_os = "none")]
const RECORDING_SECOND: u8 = 2;
#[cfg(target_os = "none")]
const ACTING: u8 = 3;
#[cfg(target_os = "none")]
const LAST: u8 = 4;

/// Begins the handling of a failure.
#[cfg(target_os = "none")]
pub(crate) fn enter() -> Extent {
    // Loads and stores do: who fails in a handler fails after its store. Should two cores fail in the same moment, both are recorded whole.
    let (stage, extent) = match STAGE.load(Ordering::Relaxed) {
        FINE => (RECORDING, Extent::Whole),
        RECORDING => (RECORDING_SECOND, Extent::Brief),
        ACTING => (LAST, Extent::Brief),
        stage => (stage, Extent::Nothing),
    };
    STAGE.store(stage, Ordering::SeqCst);
    extent
}

/// Ends it: does what was asked for, unless that is what failed.
#[cfg(target_os = "none")]
pub(crate) fn leave() -> ! {
    mask_interrupts();
    if STAGE.load(Ordering::Relaxed) < ACTING {
        STAGE.store(ACTING, Ordering::SeqCst);
        flush();
        match ACTION.load(Ordering::Acquire) {
            HALT => halt(),
            CALL => {
                let hook = HOOK.load(Ordering::Relaxed);
                // SAFETY: it was a function of this type when it was stored, before CALL was.
                let hook = unsafe { core::mem::transmute::<*mut (), fn() -> !>(hook) };
                hook()
            }
            _ => {}
        }
    }
    #[cfg(target_arch = "arm")]
    reset();
    #[cfg(not(target_arch = "arm"))]
    halt()
}

#[cfg(target_os = "none")]
fn halt() -> ! {
    flush();
    loop {
        core::hint::spin_loop(); // awake: some chips take no probe while they sleep
    }
}

#[cfg(target_os = "none")]
fn mask_interrupts() {
    // SAFETY: has no effect on memory; what follows does not return.
    #[cfg(target_arch = "arm")]
    unsafe {
        core::arch::asm!("cpsid i", options(nostack, preserves_flags));
    }
    // SAFETY: as above; bit 3 of mstatus enables interrupts in machine mode.
    #[cfg(target_arch = "riscv32")]
    unsafe {
        core::arch::asm!("csrci mstatus, 8", options(nostack, preserves_flags));
    }
}

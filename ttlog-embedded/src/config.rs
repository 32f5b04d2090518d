//! How a session is recorded, and what follows a failure.

use core::sync::atomic::{AtomicPtr, AtomicU8, Ordering};

use ttlog_core::Level;

use crate::clock::Clock;

/// How a session is recorded.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Clock of the events.
    pub clock: Clock,
    /// Why the device was reset, in the bits of the manufacturer's manual; 0 if unknown. Shown with the session. Read
    /// the register before something clears it.
    pub reset_reason: u32,
    /// Lowest level that is recorded; `None` records nothing. [`set_level`](crate::Recorder::set_level) changes it
    /// later.
    pub level: Option<Level>,
    /// Function that the handlers of panics and faults call before they record anything, with the features
    /// `panic-handler` and `fault-handler`. For chips on which log calls take a lock (feature `critical-section`) that
    /// another core can hold for ever: it waits for the lock for a bounded time, then frees it. Without it the handler
    /// would wait until a watchdog ends that. It must neither log nor block.
    pub before_failure: Option<fn()>,
    /// Action after a panic or a fault, with the features `panic-handler` and `fault-handler`.
    pub after_failure: FailureAction,
}

impl Config {
    /// All levels, [`Clock::NONE`], nothing before a failure, and [`FailureAction::DEFAULT`] after it.
    pub const DEFAULT: Self = Config {
        clock: Clock::NONE,
        reset_reason: 0,
        level: Some(Level::Trace),
        before_failure: None,
        after_failure: FailureAction::DEFAULT,
    };
}

impl Config {
    /// Makes the functions for failures those of failures from now on.
    pub(crate) fn put_in_force(&self) {
        BEFORE.store(
            self.before_failure.map_or(core::ptr::null_mut(), |function| function as *mut ()),
            Ordering::Release,
        );
        self.after_failure.put_in_force();
    }
}

/// Calls the function in force for the time before a failure is recorded, if there is one.
#[cfg(target_os = "none")]
pub(crate) fn call_before_failure() {
    let function = BEFORE.load(Ordering::Acquire);
    if !function.is_null() {
        // SAFETY: it was a function of this type when it was stored.
        let function = unsafe { core::mem::transmute::<*mut (), fn()>(function) };
        function();
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Action after a panic or a fault, once it is recorded.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum FailureAction {
    /// Resets the chip, as `reset` does. Arm only: on RISC-V a reset is specific to the chip, so use
    /// [`Call`](Self::Call) with the function of its HAL.
    #[cfg(not(any(target_arch = "riscv32", target_arch = "riscv64")))]
    Reset,
    /// Masks interrupts and loops forever, until a probe or a watchdog takes over.
    Halt,
    /// Calls a function of the firmware in the context that failed, with interrupts masked: to switch outputs off, send
    /// the ring, or reset in another way. If the function itself fails, that is recorded too, and the chip is reset (on
    /// RISC-V halted).
    Call(fn() -> !),
}

impl FailureAction {
    /// A reset on Arm, because a device in the field must go on and the ring keeps what happened; a halt on RISC-V.
    /// Also in force before [`Recorder::start`](crate::Recorder::start), when nothing can be recorded yet.
    #[cfg(not(any(target_arch = "riscv32", target_arch = "riscv64")))]
    pub const DEFAULT: Self = FailureAction::Reset;
    /// A reset on Arm, because a device in the field must go on and the ring keeps what happened; a halt on RISC-V.
    /// Also in force before [`Recorder::start`](crate::Recorder::start), when nothing can be recorded yet.
    #[cfg(any(target_arch = "riscv32", target_arch = "riscv64"))]
    pub const DEFAULT: Self = FailureAction::Halt;

    /// Makes this the action for failures from now on.
    fn put_in_force(self) {
        let kind = match self {
            #[cfg(not(any(target_arch = "riscv32", target_arch = "riscv64")))]
            FailureAction::Reset => DEFAULT,
            FailureAction::Halt => HALT,
            FailureAction::Call(function) => {
                FUNCTION.store(function as *mut (), Ordering::Relaxed);
                CALL
            }
        };
        KIND.store(kind, Ordering::Release);
    }

    /// Returns the action in force.
    #[cfg(target_os = "none")]
    pub(crate) fn in_force() -> Self {
        match KIND.load(Ordering::Acquire) {
            HALT => FailureAction::Halt,
            CALL => {
                let function = FUNCTION.load(Ordering::Relaxed);
                // SAFETY: it was a function of this type when it was stored, before CALL was.
                FailureAction::Call(unsafe { core::mem::transmute::<*mut (), fn() -> !>(function) })
            }
            _ => FailureAction::DEFAULT,
        }
    }
}

impl Default for FailureAction {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// A `fn()`, or null.
static BEFORE: AtomicPtr<()> = AtomicPtr::new(core::ptr::null_mut());
/// Kind of the action in force; `DEFAULT` is [`FailureAction::DEFAULT`].
static KIND: AtomicU8 = AtomicU8::new(DEFAULT);
const DEFAULT: u8 = 0;
const HALT: u8 = 1;
const CALL: u8 = 2;
/// A `fn() -> !`, stored before `CALL` is.
static FUNCTION: AtomicPtr<()> = AtomicPtr::new(core::ptr::null_mut());

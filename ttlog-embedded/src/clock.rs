//! Clocks for the times of events.
//!
//! The firmware starts and configures them; a stopped clock gives all events the same time. All can be read before they
//! run, in interrupts and in fault handlers. Each event records the lower 32 bits, which the reader unwraps; see
//! [`Recorder::keep_time`](crate::Recorder::keep_time). The order of events does not depend on the clock.

use core::sync::atomic::{AtomicU32, Ordering};

use ttlog_core::device::DeviceClock;

/// A clock.
#[derive(Clone, Copy, Debug)]
pub struct Clock(DeviceClock);

impl Clock {
    /// No clock: events have an order, but all the same time.
    pub const NONE: Self = Clock(DeviceClock::NONE);

    /// A clock of the firmware's own. `ticks` returns its lower 32 bits and is called for each event; `ticks64` returns
    /// all 64 bits, if there are more than 32, and is called for each segment. A `ticks_per_second` of 0 means unknown.
    ///
    /// Both functions must be callable at any time, wherever the firmware logs, and must not block, panic or log.
    #[must_use]
    pub const fn new(ticks: fn() -> u32, ticks64: Option<fn() -> u64>, ticks_per_second: u32) -> Self {
        Clock(DeviceClock::new(ticks, ticks64, ticks_per_second))
    }

    /// A register that counts up and wraps at 2^32: the fastest kind of clock.
    ///
    /// # Safety
    /// - `register` can be read at any time, wherever the firmware logs, without side effects.
    #[must_use]
    pub const unsafe fn of_register(register: *const u32, ticks_per_second: u32) -> Self {
        // SAFETY: as the caller vouches.
        Clock(unsafe { DeviceClock::of_register(register, false, ticks_per_second) })
    }

    /// The cycle counter of Cortex-M3 and above. The firmware enables it (with the crate cortex-m: `DCB::enable_trace`,
    /// `DWT::enable_cycle_counter`). It wraps within seconds to minutes, and some parts stop it while they sleep.
    ///
    /// Source: ARMv7-M Architecture Reference Manual (DDI 0403E.e), C1.8.8, DWT_CYCCNT. Cortex-M0, M0+ and M23 have
    /// none; there it reads as 0.
    #[must_use]
    pub const fn dwt(cycles_per_second: u32) -> Self {
        const DWT_CYCCNT: *const u32 = 0xE000_1004 as *const u32;
        // SAFETY: a register of the core, whose reads have no side effects.
        unsafe { Clock::of_register(DWT_CYCCNT, cycles_per_second) }
    }

    /// The machine timer of RISC-V: 64 bits that count up, at an address specific to the chip (with a CLINT: base +
    /// 0xBFF8).
    ///
    /// Source: RISC-V Privileged Architecture 1.12, 3.2.1.
    ///
    /// # Safety
    /// - `mtime` is the address of the timer and can be read at any time, wherever the firmware logs.
    #[must_use]
    pub const unsafe fn mtime(mtime: *const u64, ticks_per_second: u32) -> Self {
        // SAFETY: as the caller vouches.
        Clock(unsafe { DeviceClock::of_register(mtime.cast(), true, ticks_per_second) })
    }

    /// The SysTick timer of Cortex-M, whose handler must call [`count_systick`]. Works with any reload value that stays
    /// the same.
    #[must_use]
    pub const fn systick(cycles_per_second: u32) -> Self {
        Clock::new(|| systick64() as u32, Some(systick64), cycles_per_second)
    }

    /// The clock of the crate embassy-time, from the driver of the HAL. Start the recorder after the HAL is
    /// initialized: before that, some drivers fault.
    #[cfg(feature = "embassy-time")]
    #[must_use]
    pub const fn embassy() -> Self {
        let ticks_per_second = embassy_time::TICK_HZ;
        let now = embassy_time_driver::now;
        Clock::new(|| embassy_time_driver::now() as u32, Some(now), ticks_per_second as u32)
    }

    pub(crate) const fn device(self) -> DeviceClock {
        self.0
    }
}

/// Rounds that SysTick has completed.
static SYSTICK_ROUNDS: AtomicU32 = AtomicU32::new(0);

/// Counts a round of SysTick, for [`Clock::systick`]. Call it once in each run of the exception's handler.
pub fn count_systick() {
    // Only the handler writes it, and it does not interrupt itself.
    SYSTICK_ROUNDS.store(SYSTICK_ROUNDS.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
}

/// Returns the cycles that SysTick has counted.
fn systick64() -> u64 {
    const SYST_RVR: *const u32 = 0xE000_E014 as *const u32;
    const SYST_CVR: *const u32 = 0xE000_E018 as *const u32;
    const ICSR: *const u32 = 0xE000_ED04 as *const u32;
    const PENDSTSET: u32 = 1 << 26;
    let rounds = || SYSTICK_ROUNDS.load(Ordering::Relaxed);
    // SAFETY: registers of the core, whose reads have no side effects (SYST_CSR, whose flag is cleared by a read, is
    // not read).
    let read =
        || unsafe { (SYST_CVR.read_volatile(), ICSR.read_volatile() & PENDSTSET != 0, SYST_RVR.read_volatile()) };
    let mut before = rounds();
    let (mut left, mut is_pending, mut reload) = read();
    if rounds() != before {
        before = rounds(); // the handler ran in between, and will not again so soon
        (left, is_pending, reload) = read();
    }
    let done = reload.saturating_sub(left);
    // A round whose handler could not run yet.
    let rounds = u64::from(before) + u64::from(is_pending && done < reload / 2);
    rounds * (u64::from(reload) + 1) + u64::from(done)
}

//! Clocks for the times of events.
//!
//! None of them is started or configured here: that is the firmware's affair, and a clock that does not run shows the same time for all
//! events. All can be read before they run, in interrupts and in fault handlers. Their lower 32 bits are recorded with each event; the
//! reader unwraps them, see [`Recorder::keep_time`](crate::Recorder::keep_time). Events are in the order in which they were recorded
//! whatever the clock says.

use core::sync::atomic::{AtomicU32, Ordering};

use ttlog_core::ring::DeviceClock;

/// A clock.
#[derive(Clone, Copy, Debug)]
pub struct Clock(DeviceClock);

impl Clock {
    /// No clock: events have an order, and all the same time.
    pub const NONE: Self = Clock(DeviceClock::NONE);

    /// A clock of the firmware's own: `ticks` gives its lower 32 bits, and is called for each event; `ticks64` all of it, if there is more,
    /// and is called for each segment. `ticks_per_second` 0 stands for unknown.
    ///
    /// Both must be callable at any time, from wherever the firmware logs, and neither block, panic nor log.
    #[must_use]
    pub const fn new(ticks: fn() -> u32, ticks64: Option<fn() -> u64>, ticks_per_second: u32) -> Self {
        Clock(DeviceClock::new(ticks, ticks64, ticks_per_second))
    }

    /// A clock that is a register which counts up and turns around at 2^32: the fastest kind.
    ///
    /// # Safety
    /// - `register` can be read at any time, from wherever the firmware logs, without an effect.
    #[must_use]
    pub const unsafe fn of_register(register: *const u32, ticks_per_second: u32) -> Self {
        // SAFETY: as the caller vouches.
        Clock(unsafe { DeviceClock::of_register(register, false, ticks_per_second) })
    }

    /// The cycle counter of Cortex-M3 and above, at so many cycles a second. The firmware enables it (of the crate cortex-m:
    /// `DCB::enable_trace`, `DWT::enable_cycle_counter`). It turns around within seconds. Some parts stop it while they sleep.
    ///
    /// Source: ARMv7-M Architecture Reference Manual (DDI 0403E.e), C1.8.8, DWT_CYCCNT. There is none on Cortex-M0, M0+ and M23, where it
    /// reads as 0.
    #[must_use]
    pub const fn dwt(cycles_per_second: u32) -> Self {
        const DWT_CYCCNT: *const u32 = 0xE000_1004 as *const u32;
        // SAFETY: a register of the core that can be read without an effect.
        unsafe { Clock::of_register(DWT_CYCCNT, cycles_per_second) }
    }

    /// The machine timer of RISC-V: 64 bits that count up, at an address that is the chip's own (with a CLINT, its base + 0xBFF8).
    ///
    /// Source: RISC-V Privileged Architecture 1.12, 3.2.1.
    ///
    /// # Safety
    /// - `mtime` is the address of the timer, and can be read at any time, from wherever the firmware logs.
    #[must_use]
    pub const unsafe fn mtime(mtime: *const u64, ticks_per_second: u32) -> Self {
        // SAFETY: as the caller vouches.
        Clock(unsafe { DeviceClock::of_register(mtime.cast(), true, ticks_per_second) })
    }

    /// The SysTick timer of Cortex-M, whose handler calls [`count_systick`]. It counts the cycles of so many in a second; whatever its
    /// reload value, as long as that stays.
    #[must_use]
    pub const fn systick(cycles_per_second: u32) -> Self {
        Clock::new(|| systick64() as u32, Some(systick64), cycles_per_second)
    }

    /// The time of the crate embassy-time, as the driver of its HAL gives it. Before the HAL was initialised some drivers do not answer but
    /// fault: start the recorder after that.
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

/// Times that SysTick has started over.
static SYSTICK_ROUNDS: AtomicU32 = AtomicU32::new(0);

/// Counts a round of SysTick, for [`Clock::systick`]. To be called by the handler of its exception, once each time.
pub fn count_systick() {
    // Only the handler writes it, and does not interrupt itself.
    SYSTICK_ROUNDS.store(SYSTICK_ROUNDS.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
}

/// Gives the cycles that SysTick has counted.
fn systick64() -> u64 {
    const SYST_RVR: *const u32 = 0xE000_E014 as *const u32;
    const SYST_CVR: *const u32 = 0xE000_E018 as *const u32;
    const ICSR: *const u32 = 0xE000_ED04 as *const u32;
    const PENDSTSET: u32 = 1 << 26;
    let rounds = || SYSTICK_ROUNDS.load(Ordering::Relaxed);
    // SAFETY: registers of the core that can be read without an effect (SYST_CSR, whose flag reading clears, is not read).
    let read =
        || unsafe { (SYST_CVR.read_volatile(), ICSR.read_volatile() & PENDSTSET != 0, SYST_RVR.read_volatile()) };
    let mut before = rounds();
    let (mut left, mut is_pending, mut reload) = read();
    if rounds() != before {
        before = rounds(); // the handler came in between, and will not again so soon
        (left, is_pending, reload) = read();
    }
    let done = reload.saturating_sub(left);
    // A round whose handler could not run yet.
    let rounds = u64::from(before) + u64::from(is_pending && done < reload / 2);
    rounds * (u64::from(reload) + 1) + u64::from(done)
}

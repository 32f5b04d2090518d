//! Clocks for the times of events.
//!
//! The firmware starts and configures them; a stopped clock gives all events the same time. All can be read before they
//! run, in interrupts and in fault handlers. Each event records the lower 32 bits, which the reader unwraps; see
//! [`Recorder::keep_time`](crate::Recorder::keep_time). The order of events does not depend on the clock.

use core::sync::atomic::{AtomicU32, Ordering, compiler_fence};

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
    /// the same. Start the timer before the recorder.
    ///
    /// The exception can be masked for up to a round without harm. If it is masked for longer, a round in which nothing
    /// is recorded is not counted: later times are too early by that round, but never before an event that was
    /// recorded.
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

/// Rounds that [`count_systick`] has counted. Only the handler of SysTick writes it.
static SYSTICK_ROUNDS: AtomicU32 = AtomicU32::new(0);
/// A time that SysTick has reached, as a lower bound of the next one read: the lowest 8 bits of its round, and 24 bits
/// of cycles. One word, so that no context sees half of it. An interrupted reader can put an older time in place of a
/// newer one, which is a bound too.
static SYSTICK_REACHED: AtomicU32 = AtomicU32::new(0);

/// Counts a round of SysTick, for [`Clock::systick`]. Call it once in each run of the exception's handler, first of
/// all: an event that is recorded before this call, in the handler or in an interrupt above it, can be dated one round
/// early if it comes later in its round than all events of the round before.
pub fn count_systick() {
    // The handler does not interrupt itself.
    SYSTICK_ROUNDS.store(SYSTICK_ROUNDS.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    // Also sets the bound, which is therefore at most a round old.
    let now = systick();
    if !now.is_pending {
        // More than was counted, if rounds passed while the exception was masked and events were recorded in them.
        SYSTICK_ROUNDS.store(now.rounds, Ordering::Relaxed);
    }
}

/// Returns the cycles that SysTick has counted.
fn systick64() -> u64 {
    let now = systick();
    u64::from(now.rounds) * (u64::from(now.reload) + 1) + u64::from(now.cycles)
}

/// A time of SysTick.
struct SystickTime {
    rounds: u32,
    /// Cycles since the beginning of the round.
    cycles: u32,
    reload: u32,
    /// Whether the exception is waiting, and its handler will count a round.
    is_pending: bool,
}

/// Reads SysTick. Never returns an earlier time than a call that returned before this one began, if fewer than two
/// rounds passed in between.
fn systick() -> SystickTime {
    const SYST_RVR: *const u32 = 0xE000_E014 as *const u32;
    const SYST_CVR: *const u32 = 0xE000_E018 as *const u32;
    const ICSR: *const u32 = 0xE000_ED04 as *const u32;
    const PENDSTSET: u32 = 1 << 26;
    const CYCLES: u32 = 0xFF_FFFF;
    // SAFETY: a register of the core, whose reads have no side effects (SYST_CSR, whose flag is cleared by a read, is
    // not read).
    let read = |register: *const u32| unsafe { register.read_volatile() };
    let is_pending = || read(ICSR) & PENDSTSET != 0;
    let sample = || (SYSTICK_ROUNDS.load(Ordering::Relaxed), is_pending(), read(SYST_CVR), is_pending());

    let reached = SYSTICK_REACHED.load(Ordering::Relaxed);
    compiler_fence(Ordering::SeqCst); // the bound was reached before the counter is read
    let (mut counted, mut was_pending, mut left, mut is_pending) = sample();
    if SYSTICK_ROUNDS.load(Ordering::Relaxed) != counted {
        (counted, was_pending, left, is_pending) = sample(); // the handler ran in between, and will not again so soon
    }
    let reload = read(SYST_RVR);
    // The counter goes down from `reload`. A round begins when it reaches 0, which is when the exception becomes
    // pending.
    let cycles = if left == 0 { 0 } else { (reload + 1).saturating_sub(left) };
    // A round whose handler could not run yet: it had begun before the counter was read, or perhaps just then.
    let mut rounds = counted.wrapping_add(u32::from(was_pending || is_pending && cycles < reload / 2));
    // A round whose handler runs and has not counted yet: the counter is below the bound.
    let ahead = ((reached >> 24) as u8).wrapping_sub(rounds as u8) as i8;
    let is_new_round = cycles < reached & CYCLES;
    if ahead > 0 || ahead == 0 && is_new_round {
        rounds = rounds.wrapping_add(ahead as u32 + u32::from(is_new_round));
    }
    compiler_fence(Ordering::SeqCst);
    SYSTICK_REACHED.store(rounds << 24 | cycles, Ordering::Relaxed);
    SystickTime { rounds, cycles, reload, is_pending: is_pending || was_pending }
}

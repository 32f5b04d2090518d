//! Reading the clock, converting its ticks, and pairing it with the wall clock.
//!
//! Events carry raw ticks; nothing is converted while recording. Three sources, chosen once at the start:
//!
//! - the processor's **counter** (TSC, CNTVCT), when it runs at one rate on all cores and through idle states;
//! - otherwise **CLOCK_MONOTONIC**, in nanoseconds;
//! - on request, the **coarse** clock: the last reading stored by a dedicated thread, once per millisecond.
//!
//! The service thread pairs the clock with the wall clock each second and looks for steps. A counter that proves faulty
//! at run time is [given up](give_counter_up) permanently: the operating system's clock continues from its last good
//! reading, in the same ticks.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering, fence};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ttlog_core::Anchor;

use super::watch::Reading;

/// Names of the clocks underlying the coarse one.
pub(super) const MONOTONIC_NAME: &str = "monotonic";
pub(super) const COUNTER_NAME: &str = if cfg!(target_arch = "aarch64") { "cntvct" } else { "tsc" };

/// Mode: read the processor's counter.
pub(crate) const MODE_COUNTER: u32 = 0;
/// Mode: read the value stored by the coarse clock's thread.
pub(crate) const MODE_COARSE: u32 = 1;
/// Mode: ask the operating system.
pub(crate) const MODE_SYSTEM: u32 = 2;

/// Number of attempts to read two clocks at once; the attempt with the least time between them counts.
const BRACKET_TRIES: u32 = 12;

/// One of the `MODE_` constants. Written before the first event, and when the counter is given up.
pub(crate) static MODE: AtomicU32 = AtomicU32::new(MODE_COUNTER);

/// The coarse clock's reading, alone in its cache line: it is written every millisecond and read by every event.
#[repr(align(128))]
pub(crate) struct CoarseTicks(AtomicU64);

/// The coarse clock's reading, in ticks of the underlying clock.
pub(crate) static COARSE: CoarseTicks = CoarseTicks(AtomicU64::new(0));

/// Whether the counter was given up.
static COUNTER_LOST: AtomicBool = AtomicBool::new(false);

/// The operating system's clock, in ticks.
static SYSTEM: SystemTicks = SystemTicks::new();

/// Reads the clock if that takes no call. A call in the hot path costs it registers, even if it is never made.
#[inline(always)]
pub(crate) fn now_inline() -> Option<u64> {
    /// Makes the compiler lay out the code so that the counter needs no jump.
    #[cold]
    fn other() {}
    let mode = MODE.load(Ordering::Relaxed);
    if mode == MODE_COUNTER {
        return Some(counter());
    }
    other();
    (mode == MODE_COARSE).then(|| COARSE.0.load(Ordering::Relaxed))
}

/// Reads the clock.
///
/// Callable at any time, also before the start (it then reads the counter) and in signal handlers.
pub(crate) fn now() -> u64 {
    now_inline().unwrap_or_else(|| {
        fence(Ordering::Acquire); // what SYSTEM was given before the mode was stored
        SYSTEM.at(crate::sys::monotonic_ns())
    })
}

/// Reads the processor's counter; 0 on processors without a known one.
#[inline(always)]
pub(super) fn counter() -> u64 {
    #[cfg(target_arch = "x86_64")]
    {
        // SAFETY: the instruction reads a register and is part of every x86_64 processor.
        unsafe { core::arch::x86_64::_rdtsc() }
    }
    #[cfg(target_arch = "aarch64")]
    {
        let ticks: u64;
        // SAFETY: reads a register that operating systems open to programs; no memory, no flags.
        unsafe { core::arch::asm!("mrs {}, cntvct_el0", out(reg) ticks, options(nomem, nostack, preserves_flags)) };
        ticks
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    0
}

/// Converts CLOCK_MONOTONIC to ticks: nanoseconds, unless it stands in for a counter. In that case it continues where
/// the counter was given up, at the counter's rate.
struct SystemTicks {
    /// Ticks per second; 0 if a tick is a nanosecond.
    ticks_per_second: AtomicU64,
    /// Ticks at which it started to stand in.
    from_ticks: AtomicU64,
    /// The same moment, by CLOCK_MONOTONIC, in nanoseconds.
    from_ns: AtomicU64,
}

impl SystemTicks {
    const fn new() -> Self {
        SystemTicks { ticks_per_second: AtomicU64::new(0), from_ticks: AtomicU64::new(0), from_ns: AtomicU64::new(0) }
    }

    /// Makes it continue from `ticks` at `monotonic_ns` at the given rate.
    fn stand_in(&self, ticks: u64, monotonic_ns: u64, ticks_per_second: u64) {
        self.from_ticks.store(ticks, Ordering::Relaxed);
        self.from_ns.store(monotonic_ns, Ordering::Relaxed);
        self.ticks_per_second.store(ticks_per_second, Ordering::Release);
    }

    /// Returns the ticks at a reading of CLOCK_MONOTONIC.
    fn at(&self, monotonic_ns: u64) -> u64 {
        match self.ticks_per_second.load(Ordering::Acquire) {
            0 => monotonic_ns,
            ticks_per_second => {
                let since_ns = monotonic_ns.saturating_sub(self.from_ns.load(Ordering::Relaxed));
                let ticks = u128::from(since_ns) * u128::from(ticks_per_second) / 1_000_000_000;
                self.from_ticks.load(Ordering::Relaxed).wrapping_add(ticks as u64)
            }
        }
    }
}

/// The clock chosen at the start, as recorded in the ring's process item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ClockInfo {
    /// `tsc`, `cntvct`, `monotonic` or `coarse`.
    pub(crate) name: &'static str,
    /// Ticks per second, as measured or stated by the hardware.
    pub(crate) ticks_per_second: u64,
    /// Whether precise ticks came from the processor's counter at the start.
    pub(super) from_counter: bool,
}

impl ClockInfo {
    /// Reads the clock underlying the coarse one.
    pub(crate) fn precise_now(&self) -> u64 {
        if self.reads_counter() { counter() } else { SYSTEM.at(crate::sys::monotonic_ns()) }
    }

    /// Returns whether precise ticks come from the processor's counter now.
    pub(crate) fn reads_counter(&self) -> bool {
        self.from_counter && !COUNTER_LOST.load(Ordering::Acquire)
    }

    /// Stores the current reading as the coarse clock's.
    fn update_coarse(&self) {
        COARSE.0.store(self.precise_now(), Ordering::Relaxed);
    }

    /// Pairs the clock with the wall clock.
    pub(crate) fn anchor(&self) -> Anchor {
        let (_, ticks, unix_ns) = bracket(|| self.precise_now(), unix_ns_now);
        Anchor { ticks, unix_ns }
    }

    /// Reads all clocks at once.
    pub(crate) fn reading(&self) -> Reading {
        use crate::sys::{boot_ns, monotonic_ns, monotonic_raw_ns};
        let others = || (unix_ns_now(), monotonic_ns(), monotonic_raw_ns(), boot_ns());
        let (width_ticks, ticks, (unix_ns, monotonic_ns, raw_ns, boot_ns)) = bracket(|| self.precise_now(), others);
        Reading { ticks, width_ticks, unix_ns, monotonic_ns, raw_ns, boot_ns }
    }

    /// Applies the choice: from here on [`now`] reads the chosen clock.
    pub(crate) fn activate(&self) {
        let mode = if self.name == "coarse" { MODE_COARSE } else { self.precise_mode() };
        MODE.store(mode, Ordering::Relaxed);
    }

    fn precise_mode(&self) -> u32 {
        if self.reads_counter() { MODE_COUNTER } else { MODE_SYSTEM }
    }

    /// Returns the name of the clock underlying the coarse one.
    #[cfg(target_os = "linux")]
    pub(crate) fn precise_name(&self) -> &'static str {
        if self.from_counter { COUNTER_NAME } else { MONOTONIC_NAME }
    }
}

/// Makes events read the clock underlying the coarse one, in a child of `fork`: the thread that updates the coarse
/// clock does not exist there. Async-signal-safe.
#[cfg(target_os = "linux")]
pub(crate) fn leave_coarse(clock: &ClockInfo) {
    if MODE.load(Ordering::Relaxed) == MODE_COARSE {
        MODE.store(clock.precise_mode(), Ordering::Relaxed);
    }
}

/// Makes CLOCK_MONOTONIC stand in for the counter from here on: its ticks continue from `ticks`, which is the value the
/// counter should have had at `monotonic_ns`.
pub(crate) fn give_counter_up(clock: &ClockInfo, ticks: u64, monotonic_ns: u64) {
    SYSTEM.stand_in(ticks, monotonic_ns, clock.ticks_per_second);
    COUNTER_LOST.store(true, Ordering::Release);
    if MODE.load(Ordering::Relaxed) == MODE_COUNTER {
        MODE.store(MODE_SYSTEM, Ordering::Release);
    }
}

/// Time between two updates of the coarse clock.
const COARSE_INTERVAL: Duration = Duration::from_millis(1);
/// Whether the coarse clock is no longer needed.
static COARSE_STOPPED: AtomicBool = AtomicBool::new(false);

/// Starts the thread that updates the coarse clock of `clock` until [`stop_coarse`].
pub(super) fn start_coarse(clock: ClockInfo) -> std::io::Result<()> {
    clock.update_coarse();
    let blocked = crate::sys::SignalsBlocked::new();
    let spawned = std::thread::Builder::new().name("ttlog-clock".into()).stack_size(64 * 1024).spawn(move || {
        while !COARSE_STOPPED.load(Ordering::Relaxed) {
            clock.update_coarse();
            std::thread::sleep(COARSE_INTERVAL);
        }
    });
    drop(blocked);
    spawned.map(drop)
}

/// Stops the coarse clock's thread.
pub(crate) fn stop_coarse() {
    COARSE_STOPPED.store(true, Ordering::Relaxed);
}

/// Returns the wall clock, in nanoseconds since 1970; saturates outside the years 1677 to 2262.
pub(crate) fn unix_ns_now() -> i64 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_nanos()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |ns| -ns),
    }
}

/// Reads two clocks as nearly at once as possible: the first before and after the second, taking the middle; the
/// tightest of several attempts is kept. Also returns the width of that bracket: the true reading of the first clock at
/// the time of the second is within half of it from the returned one.
pub(super) fn bracket<T>(mut first: impl FnMut() -> u64, mut second: impl FnMut() -> T) -> (u64, u64, T) {
    let mut attempt = || {
        let before = first();
        let value = second();
        // A clock that goes backward yields a width that no other attempt exceeds.
        let width = first().wrapping_sub(before);
        (width, before.wrapping_add(width / 2), value)
    };
    let mut best = attempt();
    for _ in 1..BRACKET_TRIES {
        let next = attempt();
        if next.0 < best.0 {
            best = next;
        }
    }
    best
}

#[cfg(test)]
mod tests;

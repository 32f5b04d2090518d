//! The clock of the recorder: what it reads, how fast it goes, what time of day it means.
//!
//! Events carry raw ticks; nothing is converted while recording. Three sources, chosen once at the start:
//!
//! - the processor's **counter** (TSC, CNTVCT), when it runs at one rate on all cores and through idle states;
//! - **CLOCK_MONOTONIC** else, in nanoseconds;
//! - the **coarse** clock, when asked for: the last reading that a thread of its own stored, each millisecond.
//!
//! The rate of the TSC is measured at the start against CLOCK_MONOTONIC_RAW for [`CALIBRATION_NS`], good to about 20 ppm. That
//! figure is needed only for a ring with a single anchor: the service thread writes another one soon after, and one each
//! second, and readers convert between anchors.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ttlog_core::Anchor;

/// Reading the processor's counter.
pub(crate) const MODE_COUNTER: u32 = 0;
/// Reading what the coarse clock's thread stored.
pub(crate) const MODE_COARSE: u32 = 1;
/// Asking the operating system.
pub(crate) const MODE_MONOTONIC: u32 = 2;

/// How long the rate of the TSC is measured at the start.
#[cfg(target_arch = "x86_64")]
const CALIBRATION_NS: u64 = 4_000_000;
/// Tries for one reading of two clocks at once; the one with the least time between them counts.
const BRACKET_TRIES: u32 = 12;

/// One of the `MODE_` constants. Written once, before the first event.
pub(crate) static MODE: AtomicU32 = AtomicU32::new(MODE_COUNTER);

/// The coarse clock's reading, alone in its cache line: it is written each millisecond and read by every event.
#[repr(align(128))]
pub(crate) struct CoarseTicks(AtomicU64);

/// The coarse clock's reading, in ticks of the clock beneath it.
pub(crate) static COARSE: CoarseTicks = CoarseTicks(AtomicU64::new(0));

/// Reads the clock if that takes no call: a call in the hot path, even one that is never made, costs it registers.
#[inline(always)]
pub(crate) fn now_inline() -> Option<u64> {
    match MODE.load(Ordering::Relaxed) {
        MODE_COUNTER => Some(counter()),
        MODE_COARSE => Some(COARSE.0.load(Ordering::Relaxed)),
        _ => None,
    }
}

/// Reads the clock.
///
/// Callable at any time, also before the start (then it reads the counter) and in signal handlers.
pub(crate) fn now() -> u64 {
    now_inline().unwrap_or_else(crate::sys::monotonic_ns)
}

/// Reads the processor's counter; 0 where there is none that is known.
#[inline(always)]
fn counter() -> u64 {
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

/// What was chosen at the start, as the ring's process item tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ClockInfo {
    /// `tsc`, `cntvct`, `monotonic` or `coarse`.
    pub(crate) name: &'static str,
    /// Ticks per second, as measured or stated by the hardware.
    pub(crate) ticks_per_second: u64,
    /// Whether precise ticks come from the processor's counter.
    from_counter: bool,
}

impl ClockInfo {
    /// Reads the clock beneath the coarse one.
    pub(crate) fn precise_now(&self) -> u64 {
        if self.from_counter { counter() } else { crate::sys::monotonic_ns() }
    }

    /// Stores the present reading as the coarse clock's.
    fn update_coarse(&self) {
        COARSE.0.store(self.precise_now(), Ordering::Relaxed);
    }

    /// Pairs the clock with the wall clock.
    pub(crate) fn anchor(&self) -> Anchor {
        let (ticks, unix_ns) = bracket(|| self.precise_now(), unix_ns_now);
        Anchor { ticks, unix_ns }
    }

    /// Makes the choice stick: from here on [`now`] reads the chosen clock.
    pub(crate) fn activate(&self) {
        let mode = match (self.name, self.from_counter) {
            ("coarse", _) => MODE_COARSE,
            (_, true) => MODE_COUNTER,
            (_, false) => MODE_MONOTONIC,
        };
        MODE.store(mode, Ordering::Relaxed);
    }
}

/// Time between two readings of the coarse clock.
const COARSE_INTERVAL: Duration = Duration::from_millis(1);
/// Set when nobody needs the coarse clock any more.
static COARSE_STOPPED: AtomicBool = AtomicBool::new(false);

/// Starts the thread that keeps the coarse clock of `clock` going until [`stop_coarse`].
fn start_coarse(clock: ClockInfo) -> std::io::Result<()> {
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

/// Ends the coarse clock's thread.
pub(crate) fn stop_coarse() {
    COARSE_STOPPED.store(true, Ordering::Relaxed);
}

const COUNTER_NAME: &str = if cfg!(target_arch = "aarch64") { "cntvct" } else { "tsc" };

/// Chooses the clock, learns its rate and, for the coarse one, starts its thread; if there is none to be had, warns and
/// chooses the clock beneath. Takes about 4 ms where the TSC is measured, nothing elsewhere.
pub(crate) fn choose(coarse: bool) -> ClockInfo {
    let precise = match counter_rate() {
        Some(ticks_per_second) => ClockInfo { name: COUNTER_NAME, ticks_per_second, from_counter: true },
        None => ClockInfo { name: "monotonic", ticks_per_second: 1_000_000_000, from_counter: false },
    };
    if !coarse {
        return precise;
    }
    match start_coarse(precise) {
        Ok(()) => ClockInfo { name: "coarse", ..precise },
        Err(error) => {
            let name = precise.name;
            crate::report::warn(format_args!("no thread for the coarse clock, events use the {name} clock: {error}"));
            precise
        }
    }
}

/// Gives the wall clock, in nanoseconds since 1970; saturates outside the years 1677 to 2262.
pub(crate) fn unix_ns_now() -> i64 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_nanos()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |ns| -ns),
    }
}

/// Reads two clocks as nearly at once as it can be had: the first before and after the second, the middle taken, the
/// tightest of several tries kept.
fn bracket<T>(mut first: impl FnMut() -> u64, mut second: impl FnMut() -> T) -> (u64, T) {
    let mut attempt = || {
        let before = first();
        let value = second();
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
    (best.1, best.2)
}

/// Gives the rate of the processor's counter, `None` if it cannot be trusted as a clock.
#[cfg(target_arch = "x86_64")]
fn counter_rate() -> Option<u64> {
    use core::arch::x86_64::{__cpuid, _rdtsc};
    // Bit 8 of EDX of leaf 0x8000_0007: one rate in all power states.
    #[allow(unused_unsafe, reason = "safe since Rust 1.94, unsafe in the oldest version supported")]
    // SAFETY: every x86_64 processor has the instruction; the leaf is asked for only when the processor knows it.
    let invariant = unsafe { __cpuid(0x8000_0000).eax >= 0x8000_0007 && __cpuid(0x8000_0007).edx & (1 << 8) != 0 };
    if !invariant || !kernel_trusts_tsc() {
        return None;
    }
    // SAFETY: as in `counter`.
    let read = || unsafe { _rdtsc() };
    let (ticks_0, ns_0) = bracket(read, crate::sys::monotonic_raw_ns);
    std::thread::sleep(Duration::from_nanos(CALIBRATION_NS));
    let (ticks_1, ns_1) = bracket(read, crate::sys::monotonic_raw_ns);
    rate_between(ticks_0, ns_0, ticks_1, ns_1)
}

/// Gives the rate of the processor's counter, `None` if it cannot be trusted as a clock.
#[cfg(target_arch = "aarch64")]
fn counter_rate() -> Option<u64> {
    // The generic timer has one rate by architecture, and firmware says which.
    let rate: u64;
    // SAFETY: reads a register that operating systems open to programs; no memory, no flags.
    unsafe { core::arch::asm!("mrs {}, cntfrq_el0", out(reg) rate, options(nomem, nostack, preserves_flags)) };
    (rate >= 1_000_000).then_some(rate)
}

/// Gives the rate of the processor's counter, `None` if it cannot be trusted as a clock.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn counter_rate() -> Option<u64> {
    None
}

/// Tells whether the kernel uses the TSC itself. It watches it at run time, and leaves it when cores disagree. Under a
/// hypervisor the paravirtual clocks stand on an invariant TSC.
#[cfg(target_arch = "x86_64")]
fn kernel_trusts_tsc() -> bool {
    match std::fs::read_to_string("/sys/devices/system/clocksource/clocksource0/current_clocksource") {
        Ok(source) => {
            let source = source.trim();
            source == "tsc" || source == "kvm-clock" || source.starts_with("hyperv_clocksource_tsc")
        }
        // Not Linux, or hidden: the processor's own word has to do.
        Err(_) => true,
    }
}

/// Gives ticks per second between two readings; `None` when they make no sense (a counter that stands or goes back).
#[cfg(any(target_arch = "x86_64", test))]
fn rate_between(ticks_0: u64, ns_0: u64, ticks_1: u64, ns_1: u64) -> Option<u64> {
    let ticks = u128::from(ticks_1.checked_sub(ticks_0)?);
    let ns = u128::from(ns_1.checked_sub(ns_0)?);
    let rate = u64::try_from((ticks * 1_000_000_000).checked_div(ns)?).ok()?;
    (1_000_000..=100_000_000_000).contains(&rate).then_some(rate)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn counter_that_stands_or_goes_back_is_no_clock() {
        assert_eq!(rate_between(0, 0, 3_000_000, 1_000_000), Some(3_000_000_000));
        assert_eq!(rate_between(5, 0, 5, 1_000_000), None);
        assert_eq!(rate_between(6, 0, 5, 1_000_000), None);
        assert_eq!(rate_between(0, 7, 5, 7), None);
        assert_eq!(rate_between(0, 8, 5, 7), None);
        assert_eq!(rate_between(0, 0, u64::MAX, 1), None);
    }

    #[test]
    fn stated_rate_is_the_true_one() {
        let start = Instant::now();
        let clock = choose(false);
        assert!(start.elapsed() < Duration::from_millis(200), "calibration took {:?}", start.elapsed());
        let (ticks_0, time_0) = bracket(|| clock.precise_now(), Instant::now);
        std::thread::sleep(Duration::from_millis(50));
        let (ticks_1, time_1) = bracket(|| clock.precise_now(), Instant::now);
        let expected = (time_1 - time_0).as_secs_f64() * clock.ticks_per_second as f64;
        let error = ((ticks_1 - ticks_0) as f64 / expected - 1.0).abs();
        assert!(error < 1e-3, "{clock:?} is off by {error}");
    }

    #[test]
    fn anchors_pair_with_the_wall_clock() {
        let clock = choose(false);
        let before = unix_ns_now();
        let anchor = clock.anchor();
        assert!((before..=unix_ns_now()).contains(&anchor.unix_ns));
        assert!(anchor.ticks <= clock.precise_now());
    }

    #[test]
    fn coarse_clock_goes_on_by_itself() {
        let clock = choose(true);
        assert_eq!(clock.name, "coarse");
        let before = COARSE.0.load(Ordering::Relaxed);
        assert!(before <= clock.precise_now());
        let deadline = Instant::now() + Duration::from_secs(5);
        while COARSE.0.load(Ordering::Relaxed) == before {
            assert!(Instant::now() < deadline, "the coarse clock stands");
            std::thread::sleep(Duration::from_millis(1));
        }
        stop_coarse();
    }

    #[test]
    fn tightest_try_wins() {
        let mut readings = [0, 100, 200, 204, 300, 400].into_iter().chain((5..).map(|n| n * 100));
        let mut n = 0;
        let (ticks, which) = bracket(
            || readings.next().unwrap(),
            || {
                n += 1;
                n
            },
        );
        assert_eq!((ticks, which), (202, 2));
    }
}

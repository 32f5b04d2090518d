//! Selection of the clock source.

use super::read::{COUNTER_NAME, ClockInfo, MONOTONIC_NAME, start_coarse};
#[cfg(target_arch = "x86_64")]
use super::tsc;

/// Chooses the clock, measures its rate and, for the coarse clock, starts its thread. If that thread cannot be started,
/// prints a warning and uses the underlying clock. Takes about 4 ms where the TSC is measured, and no measurable time
/// elsewhere.
pub(crate) fn choose(coarse: bool) -> ClockInfo {
    let precise = precise(counter_rate());
    if !coarse {
        return precise;
    }
    match start_coarse(precise) {
        Ok(()) => ClockInfo { name: "coarse", ..precise },
        Err(error) => {
            let name = precise.name;
            crate::sys::report::warn(format_args!(
                "no thread for the coarse clock, events use the {name} clock: {error}"
            ));
            precise
        }
    }
}

/// Returns the precise clock for the rate of the processor's counter, or `None` if the counter cannot be trusted.
fn precise(counter_rate: Option<u64>) -> ClockInfo {
    match counter_rate {
        Some(ticks_per_second) => ClockInfo { name: COUNTER_NAME, ticks_per_second, from_counter: true },
        None => ClockInfo { name: MONOTONIC_NAME, ticks_per_second: 1_000_000_000, from_counter: false },
    }
}

/// Returns the rate of the processor's counter, or `None` if it cannot be trusted as a clock.
#[cfg(target_arch = "x86_64")]
fn counter_rate() -> Option<u64> {
    use core::arch::x86_64::__cpuid;
    // Bit 8 of EDX of leaf 0x8000_0007: one rate in all power states.
    #[allow(unused_unsafe, reason = "safe since Rust 1.94, unsafe in the oldest version supported")]
    // SAFETY: every x86_64 processor has the instruction; the leaf is queried only when the processor supports it.
    let invariant = unsafe { __cpuid(0x8000_0000).eax >= 0x8000_0007 && __cpuid(0x8000_0007).edx & (1 << 8) != 0 };
    let kernel = std::fs::read_to_string("/sys/devices/system/clocksource/clocksource0/current_clocksource");
    let measure = || tsc::measure(super::read::counter, crate::sys::monotonic_raw_ns);
    tsc::rate(invariant, kernel.ok().as_deref(), measure)
}

/// Returns the rate of the processor's counter, or `None` if it cannot be trusted as a clock.
#[cfg(target_arch = "aarch64")]
fn counter_rate() -> Option<u64> {
    // The generic timer has one rate by architecture, and firmware reports it.
    let rate: u64;
    // SAFETY: reads a register that operating systems open to programs; no memory, no flags.
    unsafe { core::arch::asm!("mrs {}, cntfrq_el0", out(reg) rate, options(nomem, nostack, preserves_flags)) };
    (rate >= 1_000_000).then_some(rate)
}

/// Returns the rate of the processor's counter, or `None` if it cannot be trusted as a clock.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn counter_rate() -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counter_without_a_rate_leaves_the_system_clock() {
        let system = precise(None);
        assert_eq!((system.name, system.ticks_per_second, system.reads_counter()), ("monotonic", 1_000_000_000, false));
        let counter = precise(Some(7_000_000));
        assert_eq!((counter.name, counter.ticks_per_second, counter.reads_counter()), (COUNTER_NAME, 7_000_000, true));
    }
}

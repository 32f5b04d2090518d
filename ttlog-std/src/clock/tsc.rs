//! Whether the TSC can be trusted, and its rate.
//!
//! The rate is measured at the start against CLOCK_MONOTONIC_RAW for [`CALIBRATION_NS`], to about 20 ppm. Readers
//! convert between anchors, which yield a better rate once there are several. The measured rate shows them which of the
//! intervals contain a step of the wall clock, for which an accuracy of 0.1 % is enough.

use std::time::Duration;

use super::read::bracket;

/// Duration of the measurement of the TSC's rate at the start.
const CALIBRATION_NS: u64 = 4_000_000;
/// Largest combined uncertainty of the two readings of a measurement, as a fraction of the time between them.
const CALIBRATION_DOUBT_MAX: f64 = 50e-6;
/// Number of attempts at a measurement whose uncertainty is larger, as when the thread was interrupted in all its
/// brackets.
const CALIBRATION_TRIES: u32 = 5;

/// Returns the rate of the TSC, as determined by `measure`, or `None` if it is not `invariant` or the kernel does not
/// use it itself. The kernel monitors it, and abandons it when cores disagree. Under a hypervisor the paravirtual
/// clocks are based on an invariant TSC. A `kernel_source` of `None` means not Linux, or hidden; then the processor's
/// own claim has to suffice.
pub(super) fn rate(invariant: bool, kernel_source: Option<&str>, measure: impl FnOnce() -> Option<u64>) -> Option<u64> {
    let trusted = kernel_source
        .map(str::trim)
        .is_none_or(|source| source == "tsc" || source == "kvm-clock" || source.starts_with("hyperv_clocksource_tsc"));
    if invariant && trusted { measure() } else { None }
}

/// Measures the ticks per second of `counter` against a clock in nanoseconds; `None` if the readings are implausible.
pub(super) fn measure(counter: impl Fn() -> u64, reference_ns: impl Fn() -> u64) -> Option<u64> {
    let mut best: Option<(f64, u64)> = None;
    for _ in 0..CALIBRATION_TRIES {
        let (width_0, ticks_0, ns_0) = bracket(&counter, &reference_ns);
        std::thread::sleep(Duration::from_nanos(CALIBRATION_NS));
        let (width_1, ticks_1, ns_1) = bracket(&counter, &reference_ns);
        let rate = rate_between(ticks_0, ns_0, ticks_1, ns_1)?;
        let doubt = (width_0 as f64 + width_1 as f64) / 2.0 / (ticks_1 - ticks_0) as f64;
        if best.is_none_or(|(least, _)| doubt < least) {
            best = Some((doubt, rate));
        }
        if doubt <= CALIBRATION_DOUBT_MAX {
            break;
        }
    }
    best.map(|(_, rate)| rate)
}

/// Returns ticks per second between two readings; `None` if they are implausible (a counter that stands still or goes
/// backward).
fn rate_between(ticks_0: u64, ns_0: u64, ticks_1: u64, ns_1: u64) -> Option<u64> {
    let ticks = u128::from(ticks_1.checked_sub(ticks_0)?);
    let ns = u128::from(ns_1.checked_sub(ns_0)?);
    let rate = u64::try_from((ticks * 1_000_000_000).checked_div(ns)?).ok()?;
    (1_000_000..=100_000_000_000).contains(&rate).then_some(rate)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

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
    fn tsc_that_is_not_invariant_or_not_trusted_is_not_chosen() {
        let rate_with = |invariant, source| rate(invariant, source, || Some(3_000_000_000));
        for source in [Some("tsc\n"), Some("kvm-clock"), Some("hyperv_clocksource_tsc_page\n"), None] {
            assert_eq!(rate_with(true, source), Some(3_000_000_000), "{source:?}");
            assert_eq!(rate_with(false, source), None, "{source:?}");
        }
        for source in ["hpet\n", "acpi_pm", "xen", "tsc-early", ""] {
            assert_eq!(rate_with(true, Some(source)), None, "{source}");
        }
        assert_eq!(rate(true, Some("tsc"), || None), None);
        assert_eq!(rate(false, None, || unreachable!("it is not measured for nothing")), None);
    }

    #[test]
    fn uncertain_measurement_is_repeated() {
        // Twelve attempts per bracket, two brackets per measurement: the first measurement is interrupted in each
        // attempt of its second bracket, for half a millisecond.
        let (reads, ticks) = (Cell::new(0), Cell::new(0_u64));
        let counter = || {
            reads.set(reads.get() + 1);
            let interrupted = (25..=48).contains(&reads.get()) && reads.get() % 2 == 0;
            ticks.set(ticks.get() + if interrupted { 1_500_000 } else { 3 });
            ticks.get()
        };
        let ns = || {
            // The sleep between brackets.
            if reads.get() % 24 == 1 {
                ticks.set(ticks.get() + 12_000_000);
            }
            ticks.get() / 3
        };
        let rate = measure(counter, ns).unwrap();
        assert!(reads.get() > 48, "measured again");
        assert!(rate.abs_diff(3_000_000_000) < 3_000_000, "{rate}");
    }
}

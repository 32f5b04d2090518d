//! Detection, from readings of all clocks, that the wall clock was set, that the machine slept, or that the processor's
//! counter is unusable as a clock.
//!
//! Nothing here reads a clock, so each case is tested with made-up readings. The comparisons are:
//!
//! - the *counter* with CLOCK_MONOTONIC_RAW, which is never slewed: the counter can advance or stop while the machine
//!   sleeps, but otherwise keeps to the measured rate;
//! - the *wall clock* with the recording clock, and with CLOCK_MONOTONIC: slewing moves the latter along with the wall
//!   clock, and setting the wall clock does not.

use ttlog_core::Anchor;

/// Tolerated difference between two readings, in addition to a thousandth of the time between them.
const TOLERANCE_NS: i128 = 1_000_000;

/// All clocks at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    /// The recording clock.
    pub(crate) ticks: u64,
    /// Ticks that passed while the other clocks were read.
    pub(crate) width_ticks: u64,
    /// The wall clock, in nanoseconds since 1970.
    pub(crate) unix_ns: i64,
    /// CLOCK_MONOTONIC: slewed with the wall clock, stops while the machine sleeps.
    pub(crate) monotonic_ns: u64,
    /// CLOCK_MONOTONIC_RAW: not slewed, stops while the machine sleeps.
    pub(crate) raw_ns: u64,
    /// CLOCK_BOOTTIME: slewed, continues while the machine sleeps.
    pub(crate) boot_ns: u64,
}

/// Conclusion drawn from a reading and the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    /// All clocks agree.
    Steady,
    /// The wall clock was set, or the machine slept while the recording clock stopped.
    Step {
        /// The expected reading of the wall clock, one tick before `after`.
        before: Anchor,
        /// Its actual reading.
        after: Anchor,
    },
    /// The counter went backward, stopped, jumped, or changed its rate.
    CounterWrong {
        /// Its expected reading. Never less than the actual one, so that giving it up does not turn time back.
        ticks: u64,
        /// The last good reading.
        last_good: Anchor,
    },
}

/// Compares each reading with the previous one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StepWatch {
    last: Reading,
    /// Not 0.
    ticks_per_second: u64,
}

impl StepWatch {
    /// Starts at a reading.
    pub(crate) fn new(first: Reading, ticks_per_second: u64) -> Self {
        StepWatch { last: first, ticks_per_second: ticks_per_second.max(1) }
    }

    /// Processes the next reading. `from_counter`: its ticks come from the processor's counter, which might be wrong.
    pub(crate) fn look(&mut self, now: Reading, from_counter: bool) -> Finding {
        let last = std::mem::replace(&mut self.last, now);
        let passed = |of: fn(&Reading) -> u64| i128::from(of(&now)) - i128::from(of(&last));
        let raw_ns = passed(|reading| reading.raw_ns);
        let monotonic_ns = passed(|reading| reading.monotonic_ns);
        let asleep_ns = (passed(|reading| reading.boot_ns) - monotonic_ns).max(0);
        let clock_ns = self.ns(passed(|reading| reading.ticks));
        let doubt_ns = self.ns(i128::from(now.width_ticks) + i128::from(last.width_ticks));
        let tolerance_ns = TOLERANCE_NS + doubt_ns + raw_ns.max(clock_ns) / 1000;

        let may_be = raw_ns - tolerance_ns..=raw_ns + asleep_ns + tolerance_ns;
        if from_counter && !may_be.contains(&clock_ns) {
            let expected = last.ticks.saturating_add(self.ticks(raw_ns));
            // For the next reading the current one is as good a base as any.
            self.last.ticks = expected.max(now.ticks);
            return Finding::CounterWrong {
                ticks: self.last.ticks,
                last_good: Anchor { ticks: last.ticks, unix_ns: last.unix_ns },
            };
        }

        // CLOCK_MONOTONIC shows exactly what the wall clock should show, unless the recording clock continued without
        // it.
        let with_monotonic = (clock_ns - monotonic_ns).abs() <= tolerance_ns;
        let expected_ns = i128::from(last.unix_ns) + if with_monotonic { monotonic_ns } else { clock_ns };
        let unix_ns = i128::from(now.unix_ns) - i128::from(last.unix_ns);
        let off_ns = i128::from(now.unix_ns) - expected_ns;
        let was_set = (unix_ns - monotonic_ns).abs() > TOLERANCE_NS / 2 + doubt_ns;
        if off_ns.abs() <= TOLERANCE_NS + doubt_ns || !was_set {
            return Finding::Steady;
        }
        Finding::Step {
            before: Anchor { ticks: now.ticks.saturating_sub(1), unix_ns: saturate(expected_ns) },
            after: Anchor { ticks: now.ticks, unix_ns: now.unix_ns },
        }
    }

    /// Converts ticks to nanoseconds.
    fn ns(&self, ticks: i128) -> i128 {
        ticks * 1_000_000_000 / i128::from(self.ticks_per_second)
    }

    /// Converts nanoseconds to ticks; negative values become 0.
    fn ticks(&self, ns: i128) -> u64 {
        u64::try_from(ns.max(0) * i128::from(self.ticks_per_second) / 1_000_000_000).unwrap_or(u64::MAX)
    }
}

fn saturate(ns: i128) -> i64 {
    i64::try_from(ns).unwrap_or(if ns < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests;

//! Maintenance of the clock by the service thread, several times a second.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use crate::clock::watch::{Finding, StepWatch};
use crate::clock::{ClockInfo, give_counter_up};
use crate::state::State;
use crate::sys::report;

/// Time between anchors, once recording has been running for a while.
const ANCHOR_INTERVAL: Duration = Duration::from_secs(1);
/// Times of the first anchors after the one of the start. A process that dies early is dated by them; later ones make
/// the rate more accurate.
const EARLY_ANCHORS: [Duration; 3] =
    [Duration::from_millis(20), Duration::from_millis(150), Duration::from_millis(500)];
/// Longest time between two checks of the clocks. The time of a step of the wall clock is known to this precision.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// State of [`maintain`] between two calls.
#[derive(Debug)]
pub(crate) struct ClockMaintenance {
    watch: StepWatch,
    started: Instant,
    /// Number of anchors written on schedule.
    written: usize,
    next_anchor: Instant,
}

impl ClockMaintenance {
    /// Starts maintaining a clock.
    pub(crate) fn new(clock: &ClockInfo) -> Self {
        let started = Instant::now();
        ClockMaintenance {
            watch: StepWatch::new(clock.reading(), clock.ticks_per_second),
            started,
            written: 0,
            next_anchor: started + EARLY_ANCHORS[0],
        }
    }
}

/// Writes the anchor that is due, and those around a step of the wall clock; gives up a faulty counter. Returns the
/// time until the next call is due.
///
/// Takes a few microseconds, or waits for another thread that writes an anchor, which takes as long. Called by one
/// thread only.
pub(crate) fn maintain(state: &State, maintenance: &mut ClockMaintenance) -> Duration {
    let clock = &state.clock;
    let reading = clock.reading();
    match maintenance.watch.look(reading, clock.reads_counter()) {
        Finding::Steady => {}
        Finding::Step { before, after } => {
            let _one_at_a_time = state.process().anchor_lock.lock().unwrap_or_else(PoisonError::into_inner);
            state.ring.write_step(before, after);
        }
        Finding::CounterWrong { ticks, last_good } => {
            give_counter_up(clock, ticks, reading.monotonic_ns);
            static WRONG: report::Once = report::Once::new();
            WRONG.warn(format_args!(
                "the processor's counter no longer keeps time (it shows {}, and should show {ticks}): events \
                 are timed by the operating system's clock from here on",
                reading.ticks
            ));
            let _one_at_a_time = state.process().anchor_lock.lock().unwrap_or_else(PoisonError::into_inner);
            state.ring.write_step(last_good, clock.anchor());
        }
    }
    let now = Instant::now();
    if now >= maintenance.next_anchor {
        state.write_anchor();
        maintenance.written += 1;
        maintenance.next_anchor = match EARLY_ANCHORS.get(maintenance.written) {
            Some(early) => maintenance.started + *early,
            None => now + ANCHOR_INTERVAL,
        };
    }
    maintenance.next_anchor.saturating_duration_since(now).min(LOOK_INTERVAL)
}

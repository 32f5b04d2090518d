//! Housekeeping: recurring work of the service thread, and the resulting snapshots.
//!
//! Ten times a second: a sign of life in the ring, requests from outside, the triggers, the window. Twice a second: a
//! look at the ring's file. Anchors are written on the schedule of the clock.

use std::time::{Duration, Instant};

use super::clock::{self, ClockMaintenance};
use super::control;
use super::repeating::Repeating;
use super::ring_watch::RingWatch;
use super::take::{self, retain};
use crate::clock::unix_ns_now;
use crate::snapshot::batch::Batch;
use crate::snapshot::cause::{Cause, Causes};
use crate::snapshot::error::SnapshotError;
use crate::snapshot::retention::{self, Limits, Scope};
use crate::snapshot::room::Urgency;
use crate::snapshot::schedule::{Progress, Schedule};
use crate::snapshot::ticket::Request;
use crate::state::State;
use crate::state::window::Window;
use crate::sys::{can_map, report};

/// Time between two checks for due work.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// Bytes of address space that must be left for the work after a panic.
const RETENTION_MEMORY_LEN: usize = 1 << 20;

/// Recurring work, and its due times.
pub(crate) struct Housekeeping {
    next_poll: Instant,
    clock: ClockMaintenance,
    next_clock: Instant,
    schedule: Schedule,
    ring_watch: RingWatch,
    repeating: Repeating,
    /// Causes of a snapshot that has not been taken yet.
    pub(crate) causes: Causes,
}

impl Housekeeping {
    /// Creates the schedule; everything is due from now on.
    pub(crate) fn new(state: &State) -> Self {
        let now = Instant::now();
        Housekeeping {
            next_poll: now,
            clock: ClockMaintenance::new(&state.clock),
            next_clock: now,
            schedule: Schedule::new(
                &state.settings,
                state.ring.segment_count() - state.ring.priority_segment_count(),
                now,
            ),
            ring_watch: RingWatch::new(now),
            repeating: Repeating::default(),
            causes: Causes::default(),
        }
    }

    /// Does the work that is due.
    pub(crate) fn look(&mut self, state: &State) {
        let now = Instant::now();
        // Also at each poll, so that the thread does not wake twice for the two.
        if now >= self.next_clock.min(self.next_poll) {
            self.next_clock = now + clock::maintain(state, &mut self.clock);
        }
        if now < self.next_poll {
            return;
        }
        self.next_poll = now + POLL_INTERVAL;
        state.ring.beat(u64::try_from(unix_ns_now()).unwrap_or(0));
        state.report_cut();
        self.ring_watch.look(state, now);
        control::poll(state);
        #[cfg(any(feature = "tracing", feature = "log"))]
        crate::bridge::follow::follow_filter();
        self.repeating.look(state);
        warn_of_short_window(state);
        let queue = &state.process().queue;
        if queue.take_written() {
            if can_map(RETENTION_MEMORY_LEN) {
                retain(state, Scope::Service(&state.service_name), None);
            } else {
                // Listing a directory without memory would end the process. A later look does it.
                queue.note_written();
            }
        }
        self.causes.add(state.process().queue.triggers.take());
        self.causes.add(self.schedule.causes(now, || Progress::of(&state.ring)));
    }

    /// Returns the next due time.
    pub(crate) fn next(&self) -> Instant {
        self.next_poll.min(self.next_clock)
    }

    /// Takes one snapshot for everybody who wants one, unless nobody does.
    pub(crate) fn take_snapshot(&mut self, state: &State, requests: Vec<Request>) {
        static TROUBLE: report::Once = report::Once::new();
        let batch = Batch { causes: std::mem::take(&mut self.causes), requests };
        if batch.is_empty() {
            return;
        }
        let progress = Progress::of(&state.ring);
        let urgency = if batch.causes.has(Cause::Panic) { Urgency::LastWords } else { Urgency::Normal };
        let reason = batch.reason();
        let write = || {
            // A bug there must not cost the process its anchors and later snapshots.
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| take::write_snapshot(state, &reason, urgency)))
                .unwrap_or_else(|_| Err(SnapshotError::Ring { cause: "the snapshot writer panicked".to_owned() }))
        };
        let own = Scope::Service(&state.service_name);
        let mut result = write();
        // Older snapshots, if there are any, are removed to make room for it: as much as a packed ring takes, or as the
        // whole ring.
        let ring_len = state.ring.len_bytes() as u64;
        for room in [ring_len / 4, 2 * ring_len] {
            if !matches!(result, Err(SnapshotError::DiskAlmostFull { .. })) {
                break;
            }
            let limits = Limits { room, ..Limits::of(&state.settings) };
            retention::sweep(state.snapshot_directory.get(), own, &limits, None);
            result = write();
        }
        match &result {
            Ok(path) => {
                self.schedule.begin(progress);
                retain(state, own, Some(path));
            }
            // Those who wait are informed in any case.
            Err(error) if !batch.causes.is_empty() => TROUBLE.warn(format_args!(
                "no snapshot (reason {reason}): {error} (further trouble of this kind is not reported)"
            )),
            Err(_) => {}
        }
        batch.answer(&result);
    }
}

/// Warns once if the ring reaches less far back than requested.
fn warn_of_short_window(state: &State) {
    static SHORT: report::Once = report::Once::new();
    let Some(min_age) = state.settings.min_age else { return };
    let window = Window::of(&state.ring, &state.clock, Some(min_age));
    if !window.is_long_enough() {
        SHORT.warn(format_args!(
            "the ring reaches {:.1?} back, and min_age asks for {min_age:?}: a larger capacity_bytes or a higher level \
             makes it reach further",
            window.covered
        ));
    }
}

//! The triggers that only the service thread notices: the interval, and the amount written.

use std::time::{Duration, Instant};

use ttlog_core::Ring;

use super::cause::{Cause, Causes};
use crate::config::settings::Settings;

/// State with which the service thread notices that the interval has passed, or that enough was written.
#[derive(Debug)]
pub(crate) struct Schedule {
    every: Option<Duration>,
    /// Due time of the next periodic snapshot.
    next: Instant,
    /// Number of segments that must be opened after a snapshot to cause another one.
    filled_count: Option<u64>,
    last: Progress,
}

/// The progress of the ring at a moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Number of segments opened since the start.
    pub(crate) opened: u64,
    /// Number of events recorded since the start.
    pub(crate) events: u64,
}

impl Progress {
    /// Returns the progress of a ring.
    pub(crate) fn of(ring: &Ring<'_>) -> Self {
        Progress { opened: ring.opened_count(), events: ring.recorded_count() }
    }
}

impl Schedule {
    /// Creates the schedule for a ring of `segment_count` segments in which nothing was recorded yet.
    pub(crate) fn new(settings: &Settings, segment_count: u32, now: Instant) -> Self {
        let share = |share: f64| ((f64::from(segment_count) * share).ceil() as u64).max(1);
        Schedule {
            every: settings.snapshot_every,
            next: settings.snapshot_every.map_or(now, |every| now + every),
            filled_count: settings.snapshot_when_filled.map(share),
            last: Progress::default(),
        }
    }

    /// Returns the causes that are due now. A periodic snapshot is skipped if nothing was recorded since the last one,
    /// because it would repeat it and displace older ones.
    pub(crate) fn causes(&mut self, now: Instant, progress: impl FnOnce() -> Progress) -> Causes {
        let mut causes = Causes::default();
        let is_due = self.every.is_some() && now >= self.next;
        if !is_due && self.filled_count.is_none() {
            return causes;
        }
        let progress = progress();
        if let Some(every) = self.every.filter(|_| is_due) {
            self.next = now + every;
            causes.add_if(progress.events != self.last.events, Cause::Periodic);
        }
        let written = progress.opened.saturating_sub(self.last.opened);
        causes.add_if(self.filled_count.is_some_and(|count| written >= count), Cause::Filled);
        causes
    }

    /// Notes the progress of the ring when the last snapshot began.
    pub(crate) fn begin(&mut self, progress: Progress) {
        self.last = progress;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(every_s: Option<u64>, filled: Option<f64>) -> (Schedule, Instant) {
        let settings = Settings {
            snapshot_every: every_s.map(Duration::from_secs),
            snapshot_when_filled: filled,
            ..Settings::default()
        };
        let now = Instant::now();
        (Schedule::new(&settings, 10, now), now)
    }

    fn progress(opened: u64, events: u64) -> impl FnOnce() -> Progress {
        move || Progress { opened, events }
    }

    #[test]
    fn periodic_ones_come_when_they_are_due_and_there_is_something_new() {
        let (mut schedule, start) = schedule(Some(10), None);
        let at = |s: u64| start + Duration::from_secs(s);
        assert!(schedule.causes(at(9), || unreachable!("nothing is due")).is_empty());
        assert!(schedule.causes(at(10), progress(1, 5)).has(Cause::Periodic));
        schedule.begin(Progress { opened: 1, events: 5 });
        assert!(schedule.causes(at(11), progress(1, 9)).is_empty());
        assert!(schedule.causes(at(20), progress(1, 5)).is_empty(), "nothing new");
        assert!(schedule.causes(at(21), progress(1, 6)).is_empty(), "not due again");
        assert!(schedule.causes(at(30), progress(1, 6)).has(Cause::Periodic));
        assert!(schedule.causes(at(1000), progress(1, 7)).has(Cause::Periodic));
        assert!(schedule.causes(at(1009), progress(1, 8)).is_empty(), "what was missed is not made up for");
    }

    #[test]
    fn share_of_the_ring_counts_from_the_last_snapshot() {
        let (mut schedule, now) = schedule(None, Some(0.75));
        assert!(schedule.causes(now, progress(7, 0)).is_empty());
        assert!(schedule.causes(now, progress(8, 0)).has(Cause::Filled));
        assert!(schedule.causes(now, progress(9, 0)).has(Cause::Filled), "until there is a snapshot");
        schedule.begin(Progress { opened: 9, events: 0 });
        assert!(schedule.causes(now, progress(16, 0)).is_empty());
        assert!(schedule.causes(now, progress(17, 0)).has(Cause::Filled));
        assert!(schedule.causes(now, progress(0, 0)).is_empty(), "a ring that was cut begins anew");
    }

    #[test]
    fn without_a_trigger_nothing_is_looked_at() {
        let (mut schedule, now) = schedule(None, None);
        assert!(schedule.causes(now + Duration::from_secs(1 << 20), || unreachable!("no trigger")).is_empty());
    }
}

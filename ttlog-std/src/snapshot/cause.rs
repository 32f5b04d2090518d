//! Triggers: what makes the recorder take a snapshot by itself.
//!
//! | trigger | noticed by | reason of the snapshot |
//! | --- | --- | --- |
//! | an event of a level or above | the thread that records it, which sets a flag | `level` |
//! | a signal | its handler, which sets a flag | `signal` |
//! | a panic, when the throttle keeps the panicking thread from writing | the panic hook, which sets a flag | `panic` |
//! | time | the service thread | `periodic` |
//! | a share of the ring was written since the last snapshot | the service thread | `filled` |
//!
//! Setting a flag is at most one atomic operation, in signal handlers too, and never waits. The service thread looks at the
//! flags ten times a second and takes one snapshot for all that are set.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use ttlog_core::{Level, Ring};

use crate::config::settings::{Settings, SnapshotSignal};
use crate::recorder::RecorderInner;

/// What asks for a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Cause {
    /// A thread panicked and was not allowed to write a snapshot itself.
    Panic = 1,
    /// An event of the level or above.
    Level = 2,
    /// The signal.
    Signal = 4,
    /// It is time.
    Periodic = 8,
    /// So much was written since the last one.
    Filled = 16,
}

impl Cause {
    /// The most important ones first: file names have room for the first few reasons.
    const ALL: [Cause; 5] = [Cause::Panic, Cause::Level, Cause::Signal, Cause::Filled, Cause::Periodic];

    /// Gives the reason of a snapshot that this causes.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Cause::Panic => "panic",
            Cause::Level => "level",
            Cause::Signal => "signal",
            Cause::Periodic => "periodic",
            Cause::Filled => "filled",
        }
    }
}

/// A set of causes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Causes(u32);

impl Causes {
    /// Tells whether there is none.
    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Tells whether `cause` is among them.
    pub(crate) fn has(self, cause: Cause) -> bool {
        self.0 & cause as u32 != 0
    }

    /// Adds one if it is so.
    fn add_if(&mut self, is_so: bool, cause: Cause) {
        if is_so {
            self.0 |= cause as u32;
        }
    }

    /// Adds all of `others`.
    pub(crate) fn add(&mut self, others: Causes) {
        self.0 |= others.0;
    }

    /// Gives them one by one.
    pub(crate) fn iter(self) -> impl Iterator<Item = Cause> {
        Cause::ALL.into_iter().filter(move |cause| self.has(*cause))
    }
}

/// The flags.
#[derive(Debug, Default)]
pub(crate) struct Triggers {
    raised: AtomicU32,
}

impl Triggers {
    /// Asks for a snapshot. Never waits; async-signal-safe.
    pub(crate) fn raise(&self, cause: Cause) {
        // A flag that is set already is not written again: in a storm of errors the cache line stays where it is.
        if self.raised.load(Ordering::Relaxed) & cause as u32 == 0 {
            self.raised.fetch_or(cause as u32, Ordering::Release);
        }
    }

    /// Gives what was asked for, and forgets it: what happens from here on asks anew.
    pub(crate) fn take(&self) -> Causes {
        if self.raised.load(Ordering::Relaxed) == 0 {
            return Causes::default();
        }
        Causes(self.raised.swap(0, Ordering::Acquire))
    }
}

/// Asks for a snapshot if an event of `level` is one that does. Called after an event was recorded the slow way, as all events are
/// that can ask: warnings and errors. Never waits.
pub(crate) fn on_event(recorder: &RecorderInner, level: Level) {
    if recorder.settings.snapshot_on_level.is_some_and(|least| level >= least) {
        recorder.generation().service.triggers.raise(Cause::Level);
    }
}

/// Has a snapshot taken whenever the process gets this signal. Once.
///
/// # Errors
/// What the operating system says, or that this one has no such signals here.
pub(crate) fn watch_signal(signal: SnapshotSignal) -> std::io::Result<()> {
    #[cfg(target_os = "linux")]
    return crate::service::snapshot_signal::install(signal);
    #[cfg(not(target_os = "linux"))]
    {
        let message = format!("{signal:?} is not supported on this system");
        Err(std::io::Error::new(std::io::ErrorKind::Unsupported, message))
    }
}

/// Lets the signal that asks for snapshots arrive in the calling thread, which blocks all others.
pub(crate) fn accept_signal(recorder: &RecorderInner) {
    #[cfg(target_os = "linux")]
    if let Some(signal) = recorder.settings.snapshot_on_signal {
        crate::sys::unblock_signal(crate::service::snapshot_signal::number(signal));
    }
    #[cfg(not(target_os = "linux"))]
    let _ = recorder;
}

/// What the service thread must remember to notice that it is time, or that enough was written.
#[derive(Debug)]
pub(crate) struct Schedule {
    every: Option<Duration>,
    /// When the next periodic snapshot is due.
    next: Instant,
    /// Segments that must be opened after a snapshot to cause another one.
    filled_count: Option<u64>,
    last: Progress,
}

/// How far the ring was at a moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Segments opened since the start.
    pub(crate) opened: u64,
    /// Events recorded since the start.
    pub(crate) events: u64,
}

impl Progress {
    /// Gives that of a ring.
    pub(crate) fn of(ring: &Ring<'_>) -> Self {
        Progress { opened: ring.opened_count(), events: ring.recorded_count() }
    }
}

impl Schedule {
    /// Makes that of a ring of `segment_count` segments in which nothing was recorded yet.
    pub(crate) fn new(settings: &Settings, segment_count: u32, now: Instant) -> Self {
        let share = |share: f64| ((f64::from(segment_count) * share).ceil() as u64).max(1);
        Schedule {
            every: settings.snapshot_every,
            next: settings.snapshot_every.map_or(now, |every| now + every),
            filled_count: settings.snapshot_when_filled.map(share),
            last: Progress::default(),
        }
    }

    /// Gives what asks for a snapshot now. A periodic one is left out when nothing was recorded since the last snapshot, for it
    /// would say the same again, and make the older ones go.
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

    /// Notes how far the ring was when the last snapshot began.
    pub(crate) fn begin(&mut self, progress: Progress) {
        self.last = progress;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_taken_once() {
        let triggers = Triggers::default();
        assert!(triggers.take().is_empty());
        triggers.raise(Cause::Level);
        triggers.raise(Cause::Level);
        triggers.raise(Cause::Panic);
        let causes = triggers.take();
        assert_eq!(causes.iter().collect::<Vec<_>>(), [Cause::Panic, Cause::Level]);
        assert!(causes.has(Cause::Panic) && !causes.has(Cause::Signal));
        assert!(triggers.take().is_empty());
    }

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

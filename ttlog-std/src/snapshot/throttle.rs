//! The throttle: at most one snapshot per interval, whoever requests it.
//!
//! A snapshot takes a few hundredths of a second of one processor and some room on the disk. A program that panics in a
//! loop, or logs an error for every request, must not spend its time on snapshots.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Start time of the last snapshot. Shared by the service thread and by panicking threads; nobody waits for it.
#[derive(Debug)]
pub(crate) struct Throttle {
    /// Least time between the starts of two snapshots, in nanoseconds.
    interval_ns: u64,
    /// Monotonic time from which on a snapshot can begin.
    ready_ns: AtomicU64,
}

impl Throttle {
    /// Creates a throttle that lets the first snapshot begin at once.
    pub(crate) fn new(interval: Duration) -> Self {
        let interval_ns = u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX);
        Throttle { interval_ns, ready_ns: AtomicU64::new(0) }
    }

    /// Returns the least time between two snapshots.
    #[cfg(target_os = "linux")]
    pub(crate) fn interval(&self) -> Duration {
        Duration::from_nanos(self.interval_ns)
    }

    /// Takes the right to begin a snapshot at `now_ns` (of [`monotonic_ns`](crate::sys::monotonic_ns)). Returns `false`
    /// if it is too early. Of several simultaneous callers, one gets it.
    pub(crate) fn try_begin(&self, now_ns: u64) -> bool {
        let ready = self.ready_ns.load(Ordering::Relaxed);
        let next = now_ns.saturating_add(self.interval_ns);
        now_ns >= ready && self.ready_ns.compare_exchange(ready, next, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Notes that a snapshot begins at `now_ns` although it might be too early: that of a panic, or the last one of a
    /// recorder that shuts down.
    pub(crate) fn begin(&self, now_ns: u64) {
        self.ready_ns.store(now_ns.saturating_add(self.interval_ns), Ordering::Relaxed);
    }

    /// Returns the time from `now_ns` until a snapshot can begin.
    pub(crate) fn wait(&self, now_ns: u64) -> Duration {
        Duration::from_nanos(self.ready_ns.load(Ordering::Relaxed).saturating_sub(now_ns))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_begins_at_once_and_the_next_after_the_interval() {
        let throttle = Throttle::new(Duration::from_nanos(100));
        assert!(throttle.try_begin(7));
        assert_eq!(throttle.wait(7), Duration::from_nanos(100));
        assert!(!throttle.try_begin(106));
        assert_eq!(throttle.wait(106), Duration::from_nanos(1));
        assert!(throttle.try_begin(107));
        assert!(!throttle.try_begin(108), "counted from the last that began");
        assert_eq!(throttle.wait(1000), Duration::ZERO);
        throttle.begin(150);
        assert!(!throttle.try_begin(249) && throttle.try_begin(250));
    }

    #[test]
    fn without_an_interval_nothing_is_too_early() {
        let throttle = Throttle::new(Duration::ZERO);
        assert!((0..5).all(|_| throttle.try_begin(9)));
    }

    #[test]
    fn endless_interval_lets_one_begin() {
        let throttle = Throttle::new(Duration::MAX);
        assert!(throttle.try_begin(1) && !throttle.try_begin(u64::MAX - 1));
    }

    #[test]
    fn of_many_at_once_one_begins() {
        let throttle = Throttle::new(Duration::from_secs(3600));
        let begun = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| throttle.try_begin(1_000_000))).collect();
            threads.into_iter().filter_map(|thread| thread.join().ok()).filter(|begun| *begun).count()
        });
        assert_eq!(begun, 1);
    }
}

//! The queue of snapshot requests, which the [service thread](crate::service::thread) shares with all threads.
//!
//! The queue is bounded: if it is full, a request fails immediately; nobody waits.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Condvar, Mutex, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use super::cause::{Cause, Triggers};
use super::error::SnapshotError;
use super::throttle::Throttle;
use super::ticket::{Request, SnapshotTicket};
use crate::sys::{lock, monotonic_ns};

/// State of the service thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// It does not exist (yet).
    Absent,
    /// It accepts requests.
    Running,
    /// It answers the queued requests and then ends.
    Stopping,
    /// It has ended.
    Ended,
}

/// The waiting requests.
struct Waiting {
    requests: VecDeque<Request>,
    phase: Phase,
}

/// The part of the service that all threads share.
pub(crate) struct SnapshotQueue {
    waiting: Mutex<Waiting>,
    /// Signaled when the queue changes.
    changed: Condvar,
    /// Largest number of waiting requests.
    capacity: usize,
    /// Earliest time of the next snapshot.
    pub(crate) throttle: Throttle,
    /// Earliest time of the next snapshot by a panicking thread. It does not wait for the throttle of the others: the
    /// last events must not be missing because of a snapshot shortly before.
    pub(crate) panic_throttle: Throttle,
    /// Automatic causes of snapshots.
    pub(crate) triggers: Triggers,
    /// Whether another thread has written a snapshot, so that there might be too many.
    was_written: AtomicBool,
    /// Whether the thread has nothing to do.
    is_idle: AtomicBool,
    /// Number of times that the thread was asked to try the allocator.
    trials_wanted: AtomicU32,
    /// Number of those that it has begun.
    trials_begun: AtomicU32,
    /// Number of those that it has finished.
    trials_done: AtomicU32,
}

impl fmt::Debug for SnapshotQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SnapshotQueue").field("capacity", &self.capacity).finish_non_exhaustive()
    }
}

impl SnapshotQueue {
    /// Creates the shared part, without a thread, for at most `capacity` waiting requests and at most one snapshot per
    /// `throttle`.
    pub(crate) fn new(capacity: usize, throttle: Duration) -> Self {
        SnapshotQueue {
            waiting: Mutex::new(Waiting { requests: VecDeque::new(), phase: Phase::Absent }),
            changed: Condvar::new(),
            capacity,
            throttle: Throttle::new(throttle),
            panic_throttle: Throttle::new(throttle),
            triggers: Triggers::default(),
            was_written: AtomicBool::new(false),
            is_idle: AtomicBool::new(false),
            trials_wanted: AtomicU32::new(0),
            trials_begun: AtomicU32::new(0),
            trials_done: AtomicU32::new(0),
        }
    }

    /// Creates that of a child of `fork`, without a thread. Allocates nothing.
    #[cfg(target_os = "linux")]
    pub(crate) fn in_child(parent: &SnapshotQueue) -> Self {
        SnapshotQueue::new(parent.capacity, parent.throttle.interval())
    }

    /// Notes that there is a thread that accepts requests, before it is started.
    pub(crate) fn begin(&self) {
        lock(&self.waiting).phase = Phase::Running;
    }

    /// Notes that the thread could not be started.
    pub(crate) fn note_absent(&self) {
        lock(&self.waiting).phase = Phase::Absent;
    }

    /// Notes that the thread has ended, and drops the requests that remain.
    pub(crate) fn end(&self) {
        let left = {
            let mut waiting = lock(&self.waiting);
            waiting.phase = Phase::Ended;
            std::mem::take(&mut waiting.requests)
        };
        self.changed.notify_all();
        drop(left);
    }

    /// Queues a snapshot request. Waits only for other callers of this function.
    pub(crate) fn request(&self, reason: &str) -> SnapshotTicket {
        let (request, ticket) = Request::new(reason);
        let mut waiting = lock(&self.waiting);
        let refused = match waiting.phase {
            Phase::Absent => SnapshotError::NoServiceThread,
            Phase::Stopping | Phase::Ended => SnapshotError::ShutDown,
            Phase::Running if waiting.requests.len() >= self.capacity => SnapshotError::QueueFull,
            Phase::Running => {
                waiting.requests.push_back(request);
                self.changed.notify_all();
                return ticket;
            }
        };
        drop(waiting);
        request.answer(Err(refused));
        ticket
    }

    /// Makes the thread take a snapshot for `cause` as soon as possible. Returns `false` if there is no thread to do
    /// so. Never waits.
    pub(crate) fn ask(&self, cause: Cause) -> bool {
        let is_there = match self.waiting.try_lock() {
            Ok(waiting) => waiting.phase == Phase::Running,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner().phase == Phase::Running,
            // Somebody is making a request, or the thread itself is checking.
            Err(TryLockError::WouldBlock) => true,
        };
        if is_there {
            self.triggers.raise(cause);
        }
        is_there
    }

    /// Notes that another thread has written a snapshot: the service thread then applies the retention limits.
    pub(crate) fn note_written(&self) {
        self.was_written.store(true, Ordering::Relaxed);
    }

    /// Returns whether another thread has written a snapshot since the last call.
    pub(crate) fn take_written(&self) -> bool {
        self.was_written.swap(false, Ordering::Relaxed)
    }

    /// Returns `false` if the allocator does not return to the thread within `timeout`: then the caller probably holds
    /// the allocator's lock. Returns `true` if the thread is busy with something else, or too slow to try. Allocates
    /// nothing.
    pub(crate) fn can_allocate(&self, timeout: Duration) -> bool {
        if !self.is_idle.load(Ordering::Acquire) {
            return true;
        }
        let mine = self.trials_wanted.fetch_add(1, Ordering::AcqRel).wrapping_add(1);
        // A difference, because the numbers wrap.
        let has_reached = |number: &AtomicU32| number.load(Ordering::Acquire).wrapping_sub(mine) as i32 >= 0;
        self.changed.notify_all();
        let deadline = Instant::now() + timeout;
        while !has_reached(&self.trials_done) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_micros(50));
        }
        has_reached(&self.trials_done) || !has_reached(&self.trials_begun)
    }

    /// Tries the allocator for those who have asked for it. Called by the thread.
    pub(crate) fn try_allocator(&self) {
        let wanted = self.trials_wanted.load(Ordering::Acquire);
        self.trials_begun.store(wanted, Ordering::Release);
        // It may well refuse; what matters is that it returns.
        let _ = std::hint::black_box(Vec::<u8>::new()).try_reserve_exact(1024);
        self.trials_done.store(wanted, Ordering::Release);
    }

    fn is_trial_wanted(&self) -> bool {
        self.trials_wanted.load(Ordering::Acquire) != self.trials_done.load(Ordering::Acquire)
    }

    /// Makes the thread answer the queued requests and end, and waits at most `timeout` for that. Returns `true` if it
    /// has ended.
    pub(crate) fn stop(&self, timeout: Duration) -> bool {
        let mut waiting = lock(&self.waiting);
        if waiting.phase == Phase::Running {
            waiting.phase = Phase::Stopping;
            self.changed.notify_all();
        }
        let (waiting, _) = self
            .changed
            .wait_timeout_while(waiting, timeout, |waiting| waiting.phase == Phase::Stopping)
            .unwrap_or_else(PoisonError::into_inner);
        waiting.phase != Phase::Stopping
    }
}

/// Next task of the service thread.
pub(crate) enum Next {
    /// A snapshot can begin, and is wanted: by these requests, or only by the triggers.
    Snapshot(Vec<Request>),
    /// The recorder is shutting down; these requests want a last snapshot.
    Stop(Vec<Request>),
    /// Another thread wants to know whether the allocator works.
    Trial,
    Timeout,
}

impl SnapshotQueue {
    /// Waits until a snapshot is wanted and can begin, the recorder shuts down, or `until` is reached. `is_wanted`:
    /// whether a snapshot is wanted in any case.
    ///
    /// The requests leave the queue only when their snapshot begins, so that it also answers those that arrive
    /// meanwhile.
    pub(crate) fn next(&self, until: Instant, is_wanted: bool) -> Next {
        let mut waiting = lock(&self.waiting);
        loop {
            if waiting.phase != Phase::Running {
                return Next::Stop(waiting.requests.drain(..).collect());
            }
            let now = Instant::now();
            let mut wait = until.saturating_duration_since(now);
            if is_wanted || !waiting.requests.is_empty() {
                if self.throttle.try_begin(monotonic_ns()) {
                    return Next::Snapshot(waiting.requests.drain(..).collect());
                }
                // At least 1 ms: of two threads that see it become ready, the other might be faster.
                wait = wait.min(self.throttle.wait(monotonic_ns()).max(Duration::from_millis(1)));
            }
            if now >= until {
                return Next::Timeout;
            }
            self.is_idle.store(true, Ordering::Release);
            if !self.is_trial_wanted() {
                (waiting, _) = self.changed.wait_timeout(waiting, wait).unwrap_or_else(PoisonError::into_inner);
            }
            self.is_idle.store(false, Ordering::Release);
            if self.is_trial_wanted() {
                return Next::Trial;
            }
        }
    }
}

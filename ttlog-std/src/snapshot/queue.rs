//! The queue of snapshot requests: what the [service thread](crate::service::thread) shares with everybody.
//!
//! The queue is bounded: when it is full a request fails at once, nobody waits.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use super::cause::{Cause, Triggers};
use super::error::SnapshotError;
use super::throttle::Throttle;
use super::ticket::{Request, SnapshotTicket};
use crate::sys::{lock, monotonic_ns};

/// How far the service thread is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// There is none (yet).
    Absent,
    /// It takes requests.
    Running,
    /// It answers what it has and then ends.
    Stopping,
    /// It has ended.
    Ended,
}

/// The requests that wait.
struct Waiting {
    requests: VecDeque<Request>,
    phase: Phase,
}

/// The half of the service that all threads share.
pub(crate) struct SnapshotQueue {
    waiting: Mutex<Waiting>,
    /// Something changed in the queue.
    changed: Condvar,
    /// Most requests that wait.
    capacity: usize,
    /// When the next snapshot may begin.
    pub(crate) throttle: Throttle,
    /// When the next one of a thread that panics may begin. It does not wait for the throttle of the others: what
    /// comes last must not be missing because something came shortly before.
    pub(crate) panic_throttle: Throttle,
    /// Automatic causes of snapshots.
    pub(crate) triggers: Triggers,
    /// Another thread has written a snapshot, so that there may be too many.
    was_written: AtomicBool,
}

impl fmt::Debug for SnapshotQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SnapshotQueue").field("capacity", &self.capacity).finish_non_exhaustive()
    }
}

impl SnapshotQueue {
    /// Makes the shared part, without a thread, for at most `capacity` requests that wait and at most one snapshot per
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
        }
    }

    /// Makes that of a child of `fork`, without a thread. Allocates nothing.
    #[cfg(target_os = "linux")]
    pub(crate) fn in_child(parent: &SnapshotQueue) -> Self {
        SnapshotQueue::new(parent.capacity, parent.throttle.interval())
    }

    /// Says that there is a thread that takes requests, before it is started.
    pub(crate) fn begin(&self) {
        lock(&self.waiting).phase = Phase::Running;
    }

    /// Says that the thread could not be started.
    pub(crate) fn note_absent(&self) {
        lock(&self.waiting).phase = Phase::Absent;
    }

    /// Says that the thread has ended, and drops the requests that it leaves.
    pub(crate) fn end(&self) {
        let left = {
            let mut waiting = lock(&self.waiting);
            waiting.phase = Phase::Ended;
            std::mem::take(&mut waiting.requests)
        };
        self.changed.notify_all();
        drop(left);
    }

    /// Queues a snapshot. Waits for nothing but other callers of this function.
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

    /// Has the thread take a snapshot for `cause` as soon as it may. `false`: there is no thread that would. Waits for
    /// nothing.
    pub(crate) fn ask(&self, cause: Cause) -> bool {
        let is_there = match self.waiting.try_lock() {
            Ok(waiting) => waiting.phase == Phase::Running,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner().phase == Phase::Running,
            // Somebody is in the middle of a request, or the thread itself looks.
            Err(TryLockError::WouldBlock) => true,
        };
        if is_there {
            self.triggers.raise(cause);
        }
        is_there
    }

    /// Notes that another thread has written a snapshot: the service thread sees to it that there are not too many.
    pub(crate) fn note_written(&self) {
        self.was_written.store(true, Ordering::Relaxed);
    }

    /// Returns whether another thread has written a snapshot since the last call.
    pub(crate) fn take_written(&self) -> bool {
        self.was_written.swap(false, Ordering::Relaxed)
    }

    /// Has the thread answer what is queued and end, and waits for that at most `timeout`. `true` if it has ended.
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
    /// A snapshot may begin, and somebody wants one: these, or nobody but the triggers.
    Snapshot(Vec<Request>),
    /// The recorder ends; these want a last snapshot.
    Stop(Vec<Request>),
    Timeout,
}

impl SnapshotQueue {
    /// Waits until somebody wants a snapshot and one may begin, the recorder ends, or it is `until`. `is_wanted`: one
    /// is wanted in any case.
    ///
    /// The requests leave the queue only when their snapshot begins, so that those which come meanwhile are answered
    /// by the same.
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
                // At least 1 ms: of two who see it become ready, the other may be the faster.
                wait = wait.min(self.throttle.wait(monotonic_ns()).max(Duration::from_millis(1)));
            }
            if now >= until {
                return Next::Timeout;
            }
            (waiting, _) = self.changed.wait_timeout(waiting, wait).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

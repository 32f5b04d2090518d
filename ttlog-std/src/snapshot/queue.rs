//! The service thread: everything that the recorder does by itself, and the queue of what it is asked for.
//!
//! One thread named `ttlog`, with all signals but those of faults (and the one that asks for snapshots) blocked, so that it runs no
//! handler of the program. Ten times a second it sees to its [duties](crate::service::housekeeping), and wakes earlier for a request. Requests come
//! through a bounded queue: when it is full a request fails at once, nobody waits.
//!
//! Snapshots are [throttled](crate::snapshot::throttle) and [coalesced](crate::snapshot::batch); after each, [what is too much](crate::snapshot::retention)
//! is removed. The rings of dead processes are recovered between all this, one at a time.

use std::collections::VecDeque;
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use crate::recorder::RecorderInner;
use crate::service::backlog::Backlog;
use crate::service::housekeeping::{Duties, retain};
use crate::snapshot::cause::{self, Cause, Triggers};
use crate::snapshot::file::SnapshotError;
use crate::snapshot::retention::Scope;
use crate::snapshot::throttle::Throttle;
use crate::snapshot::ticket::{Request, SnapshotTicket};
use crate::sys::monotonic_ns;

/// Locks, whether or not a thread panicked while it held the lock: what is protected here is always whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

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

struct Queue {
    requests: VecDeque<Request>,
    phase: Phase,
}

/// What the service thread shares with everybody.
pub(crate) struct Service {
    queue: Mutex<Queue>,
    /// Something changed in the queue.
    changed: Condvar,
    /// Most requests that wait.
    capacity: usize,
    /// When the next snapshot may begin.
    pub(crate) throttle: Throttle,
    /// When the next one of a thread that panics may begin. It does not wait for the throttle of the others: what comes last must not
    /// be missing because something came shortly before.
    pub(crate) panic_throttle: Throttle,
    /// What asks for snapshots by itself.
    pub(crate) triggers: Triggers,
    /// Another thread has written a snapshot, so that there may be too many.
    was_written: AtomicBool,
    /// The process that has the thread; a fork of it has none.
    pid: u32,
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").field("capacity", &self.capacity).finish_non_exhaustive()
    }
}

impl Service {
    /// Makes the shared part, without a thread, for at most `capacity` requests that wait and at most one snapshot per `throttle`.
    pub(crate) fn new(capacity: usize, throttle: Duration) -> Self {
        Service {
            queue: Mutex::new(Queue { requests: VecDeque::new(), phase: Phase::Absent }),
            changed: Condvar::new(),
            capacity,
            throttle: Throttle::new(throttle),
            panic_throttle: Throttle::new(throttle),
            triggers: Triggers::default(),
            was_written: AtomicBool::new(false),
            pid: std::process::id(),
        }
    }

    /// Makes that of a child of `fork`, without a thread. Allocates nothing.
    #[cfg(target_os = "linux")]
    pub(crate) fn in_child(parent: &Service) -> Self {
        Service::new(parent.capacity, parent.throttle.interval())
    }

    /// Tells whether this process is a fork of the one that made the recorder. The queue may then be locked by a thread that
    /// does not exist here, and is not touched.
    pub(crate) fn is_in_fork(&self) -> bool {
        std::process::id() != self.pid
    }

    /// Starts the thread, with signals blocked in it.
    ///
    /// # Errors
    /// What the operating system says, when it gives no thread.
    pub(crate) fn start(recorder: &'static RecorderInner, work: Work) -> std::io::Result<()> {
        lock(&recorder.generation().service.queue).phase = Phase::Running;
        let blocked = crate::sys::SignalsBlocked::new();
        let spawned = std::thread::Builder::new().name("ttlog".into()).stack_size(256 * 1024).spawn(move || {
            let _ended = EndGuard(recorder);
            run(recorder, work);
        });
        drop(blocked);
        spawned.map(drop).inspect_err(|_| lock(&recorder.generation().service.queue).phase = Phase::Absent)
    }

    /// Queues a snapshot. Waits for nothing but other callers of this function.
    pub(crate) fn request(&self, reason: &str) -> SnapshotTicket {
        if self.is_in_fork() {
            return SnapshotTicket::failed(SnapshotError::NoServiceThread);
        }
        let (request, ticket) = Request::new(reason);
        let mut queue = lock(&self.queue);
        let refused = match queue.phase {
            Phase::Absent => SnapshotError::NoServiceThread,
            Phase::Stopping | Phase::Ended => SnapshotError::ShutDown,
            Phase::Running if queue.requests.len() >= self.capacity => SnapshotError::QueueFull,
            Phase::Running => {
                queue.requests.push_back(request);
                self.changed.notify_all();
                return ticket;
            }
        };
        drop(queue);
        request.answer(Err(refused));
        ticket
    }

    /// Has the thread take a snapshot for `cause` as soon as it may. `false`: there is no thread that would. Waits for nothing.
    pub(crate) fn ask(&self, cause: Cause) -> bool {
        let is_there = match self.queue.try_lock() {
            Ok(queue) => queue.phase == Phase::Running,
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

    /// Tells whether another thread has written a snapshot since the last call.
    pub(crate) fn take_written(&self) -> bool {
        self.was_written.swap(false, Ordering::Relaxed)
    }

    /// Has the thread answer what is queued and end, and waits for that at most `timeout`. `true` if it has ended.
    pub(crate) fn stop(&self, timeout: Duration) -> bool {
        if self.is_in_fork() {
            return false;
        }
        let mut queue = lock(&self.queue);
        if queue.phase == Phase::Running {
            queue.phase = Phase::Stopping;
            self.changed.notify_all();
        }
        let (queue, _) = self
            .changed
            .wait_timeout_while(queue, timeout, |queue| queue.phase == Phase::Stopping)
            .unwrap_or_else(PoisonError::into_inner);
        queue.phase != Phase::Stopping
    }
}

/// Marks the thread as ended, however it ends.
struct EndGuard(&'static RecorderInner);

impl Drop for EndGuard {
    fn drop(&mut self) {
        let service = &self.0.generation().service;
        let left = {
            let mut queue = lock(&service.queue);
            queue.phase = Phase::Ended;
            std::mem::take(&mut queue.requests)
        };
        service.changed.notify_all();
        drop(left);
    }
}

/// What the thread has to do besides requests.
#[derive(Debug)]
pub(crate) struct Work {
    /// Where to look for orphans.
    pub(crate) orphan_directory: Option<PathBuf>,
    /// How many words at the start of the region have been populated already.
    pub(crate) populated_words: usize,
}

fn run(recorder: &'static RecorderInner, work: Work) {
    cause::accept_signal(recorder);
    if let Some(rest) = recorder.words.get(work.populated_words..).filter(|rest| !rest.is_empty()) {
        crate::sys::populate(rest);
    }
    recorder.ring.set_min_age_ns(recorder.settings.min_age_ns());
    let mut orphans = Backlog::find(work.orphan_directory.as_deref());
    let mut duties = Duties::new(recorder);
    retain(recorder, Scope::Service(&recorder.service_name), None);
    loop {
        duties.look(recorder);
        let service = &recorder.generation().service;
        // Requests come first, orphans one at a time between them.
        let until = if orphans.is_empty() { duties.next() } else { Instant::now() };
        match service.next(until, !duties.causes.is_empty()) {
            Next::Snapshot(requests) => duties.take_snapshot(recorder, requests),
            Next::Stop(requests) => {
                duties.causes.add(service.triggers.take());
                service.throttle.begin(monotonic_ns());
                duties.take_snapshot(recorder, requests);
                break;
            }
            Next::Timeout => orphans.recover_one(recorder),
        }
    }
}

enum Next {
    /// A snapshot may begin, and somebody wants one: these, or nobody but the triggers.
    Snapshot(Vec<Request>),
    /// The recorder ends; these want a last snapshot.
    Stop(Vec<Request>),
    Timeout,
}

impl Service {
    /// Waits until somebody wants a snapshot and one may begin, the recorder ends, or it is `until`. `is_wanted`: one is wanted in
    /// any case.
    ///
    /// The requests leave the queue only when their snapshot begins, so that those which come meanwhile are answered by the same.
    fn next(&self, until: Instant, is_wanted: bool) -> Next {
        let mut queue = lock(&self.queue);
        loop {
            if queue.phase != Phase::Running {
                return Next::Stop(queue.requests.drain(..).collect());
            }
            let now = Instant::now();
            let mut wait = until.saturating_duration_since(now);
            if is_wanted || !queue.requests.is_empty() {
                if self.throttle.try_begin(monotonic_ns()) {
                    return Next::Snapshot(queue.requests.drain(..).collect());
                }
                // At least 1 ms: of two who see it become ready, the other may be the faster.
                wait = wait.min(self.throttle.wait(monotonic_ns()).max(Duration::from_millis(1)));
            }
            if now >= until {
                return Next::Timeout;
            }
            (queue, _) = self.changed.wait_timeout(queue, wait).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

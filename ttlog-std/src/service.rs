//! The service thread: everything that the recorder does by itself, and the queue of what it is asked for.
//!
//! One thread named `ttlog`, with all signals but those of faults (and the one that asks for snapshots) blocked, so that it runs no
//! handler of the program. Ten times a second it looks at what has become due: the ring's heartbeat, requests from outside, anchors, the
//! [triggers](crate::trigger), the window. It wakes earlier for a request. Requests come through a bounded queue: when it is full a
//! request fails at once, nobody waits.
//!
//! Snapshots are [throttled](crate::throttle) and [coalesced](crate::coalesce); after each the [retention](crate::retention) removes
//! what is too much.

use std::collections::VecDeque;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use crate::clock::{self, Tending};
use crate::coalesce::Batch;
use crate::control;
use crate::orphans::{self, Outcome};
use crate::recorder::RecorderInner;
use crate::report;
use crate::retention::{self, Scope};
use crate::snapshot_file::{SnapshotError, Urgency};
use crate::sys::monotonic_ns;
use crate::throttle::Throttle;
use crate::ticket::{Request, SnapshotTicket};
use crate::trigger::{self, Cause, Causes, Progress, Schedule, Triggers};
use crate::window::Window;

/// Time between two looks at what has become due.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
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
    trigger::accept_signal(recorder);
    if let Some(rest) = recorder.words.get(work.populated_words..).filter(|rest| !rest.is_empty()) {
        crate::sys::populate(rest);
    }
    let min_age = recorder.settings.min_age.unwrap_or_default();
    recorder.ring.set_min_age_ns(u64::try_from(min_age.as_nanos()).unwrap_or(u64::MAX));
    let mut orphans = Orphans::find(work.orphan_directory.as_deref());
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

/// What becomes due in the course of time, and how far it is.
struct Duties {
    next_poll: Instant,
    clock: Tending,
    next_clock: Instant,
    schedule: Schedule,
    /// What has asked for a snapshot and has none yet.
    causes: Causes,
}

impl Duties {
    fn new(recorder: &RecorderInner) -> Self {
        let now = Instant::now();
        Duties {
            next_poll: now,
            clock: Tending::new(&recorder.clock),
            next_clock: now,
            schedule: Schedule::new(
                &recorder.settings,
                recorder.ring.segment_count() - recorder.ring.kept_segment_count(),
                now,
            ),
            causes: Causes::default(),
        }
    }

    /// Does what is due.
    fn look(&mut self, recorder: &RecorderInner) {
        let now = Instant::now();
        // At each poll too, so that the thread does not wake twice for the two.
        if now >= self.next_clock.min(self.next_poll) {
            self.next_clock = now + clock::tend(recorder, &mut self.clock);
        }
        if now < self.next_poll {
            return;
        }
        self.next_poll = now + POLL_INTERVAL;
        recorder.ring.beat(u64::try_from(crate::clock::unix_ns_now()).unwrap_or(0));
        recorder.report_cut();
        control::poll(recorder);
        warn_of_short_window(recorder);
        if recorder.generation().service.was_written.swap(false, Ordering::Relaxed) {
            retain(recorder, Scope::Service(&recorder.service_name), None);
        }
        self.causes.add(recorder.generation().service.triggers.take());
        self.causes.add(self.schedule.causes(now, || Progress::of(&recorder.ring)));
    }

    /// Gives when something is due next.
    fn next(&self) -> Instant {
        self.next_poll.min(self.next_clock)
    }

    /// Takes one snapshot for everybody who wants one, unless nobody does.
    fn take_snapshot(&mut self, recorder: &RecorderInner, requests: Vec<Request>) {
        static TROUBLE: report::Once = report::Once::new();
        let batch = Batch { causes: std::mem::take(&mut self.causes), requests };
        if batch.is_empty() {
            return;
        }
        let progress = Progress::of(&recorder.ring);
        let urgency = if batch.causes.has(Cause::Panic) { Urgency::LastWords } else { Urgency::Normal };
        let reason = batch.reason();
        let write = || {
            // A defect there must not cost the process its anchors and later snapshots.
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| recorder.write_snapshot(&reason, urgency)))
                .unwrap_or_else(|_| Err(SnapshotError::Ring { cause: "the snapshot writer panicked".to_owned() }))
        };
        let own = Scope::Service(&recorder.service_name);
        let mut result = write();
        if matches!(result, Err(SnapshotError::DiskAlmostFull { .. })) {
            // Older ones make room for it, if there are any.
            retain(recorder, own, None);
            result = write();
        }
        match &result {
            Ok(path) => {
                self.schedule.begin(progress);
                retain(recorder, own, Some(path));
            }
            // Those who wait learn it anyway.
            Err(error) if !batch.causes.is_empty() => TROUBLE.warn(format_args!(
                "no snapshot (reason {reason}): {error} (further trouble of this kind is not reported)"
            )),
            Err(_) => {}
        }
        batch.answer(&result);
    }
}

/// Warns once when the ring reaches less far back than was asked for.
fn warn_of_short_window(recorder: &RecorderInner) {
    static SHORT: report::Once = report::Once::new();
    let Some(min_age) = recorder.settings.min_age else { return };
    let window = Window::of(&recorder.ring, &recorder.clock, Some(min_age));
    if !window.is_long_enough() {
        SHORT.warn(format_args!(
            "the ring reaches {:.1?} back, and min_age asks for {min_age:?}: a larger capacity_bytes or a higher level makes it \
             reach further",
            window.covered
        ));
    }
}

/// Removes what is too much in the directory of snapshots.
fn retain(recorder: &RecorderInner, scope: Scope<'_>, written: Option<&Path>) {
    retention::sweep(&recorder.snapshot_directory, scope, &recorder.settings.retention(), written);
}

/// The rings of dead processes that were found at the start, and what came of them: told in one line however many there are.
struct Orphans {
    left: std::vec::IntoIter<PathBuf>,
    recovered_count: u64,
    last: PathBuf,
}

impl Orphans {
    fn find(directory: Option<&Path>) -> Self {
        let left = directory.map(orphans::candidates).unwrap_or_default().into_iter();
        Orphans { left, recovered_count: 0, last: PathBuf::new() }
    }

    fn is_empty(&self) -> bool {
        self.left.len() == 0
    }

    fn recover_one(&mut self, recorder: &'static RecorderInner) {
        static TROUBLE: report::Once = report::Once::new();
        let Some(path) = self.left.next() else { return };
        let mut scratch = lock(&recorder.generation().scratch);
        let (directory, free_percent) = (&recorder.snapshot_directory, recorder.settings.retain_free_percent);
        let rules = orphans::Rules::new(directory, free_percent, recorder.ring.len_bytes());
        let outcome = orphans::recover(&path, &rules, &mut scratch);
        drop(scratch);
        match outcome {
            Ok(Outcome::Recovered(snapshot)) => {
                self.retain_recovered(recorder, &snapshot);
                self.recovered_count += 1;
                self.last = snapshot;
            }
            Ok(Outcome::Removed | Outcome::LeftAlone) => {}
            Err(error) => TROUBLE.warn(format_args!("{error} (further trouble of this kind is not reported)")),
        }
        if self.is_empty() {
            self.report();
        }
    }

    /// The dead process may have been one of another service.
    fn retain_recovered(&self, recorder: &RecorderInner, snapshot: &Path) {
        let name = snapshot.file_name().unwrap_or_default();
        let Some(service) = retention::service_of(name.as_encoded_bytes()) else { return };
        let own = crate::names::service(&recorder.service_name).to_string();
        let scope = if service == own { Scope::Service(&own) } else { Scope::RecoveredOf(service) };
        retain(recorder, scope, Some(snapshot));
    }

    fn report(&self) {
        match self.recovered_count {
            0 => {}
            1 => report::warn(format_args!("recovered the events of a process that died: {:?}", self.last)),
            count => report::warn(format_args!(
                "recovered the events of {count} processes that died, the last into {:?}",
                self.last
            )),
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

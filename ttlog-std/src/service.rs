//! The service thread: snapshots on request, anchors, orphans.
//!
//! One thread named `ttlog`, with all signals but those of faults blocked, so that it runs no handler of the program. It
//! sleeps until the next anchor is due (a second) or somebody asks for something. Requests come through a bounded queue: when
//! it is full a request fails at once, nobody waits.

use std::collections::VecDeque;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::orphans::{self, Outcome};
use crate::recorder::RecorderInner;
use crate::report;
use crate::snapshot_file::SnapshotError;

/// Time between anchors, once recording has been under way for a while.
const ANCHOR_INTERVAL: Duration = Duration::from_secs(1);
/// When the first anchors after the one of the start are written. A process that dies early is dated by them; later ones make
/// the rate more exact.
const EARLY_ANCHORS: [Duration; 3] =
    [Duration::from_millis(20), Duration::from_millis(150), Duration::from_millis(500)];

/// Locks, whether or not a thread panicked while it held the lock: what is protected here is always whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The answer to one request, shared by who waits and who answers.
#[derive(Debug, Default)]
struct Answer {
    result: Mutex<Option<Result<PathBuf, SnapshotError>>>,
    answered: Condvar,
}

/// A snapshot that was asked for. Dropping it changes nothing: the snapshot is made all the same.
#[derive(Debug)]
pub struct SnapshotTicket {
    answer: Arc<Answer>,
}

impl SnapshotTicket {
    /// Waits until the snapshot is on disk, and gives its path.
    ///
    /// Takes as long as the disk and the requests before this one take.
    ///
    /// # Errors
    /// [`SnapshotError`] if there is none.
    ///
    /// # Examples
    /// ```no_run
    /// # let trace = ttlog_std::Trace::init(1000, 10, "example");
    /// let path = trace.request_snapshot("checkpoint").wait()?;
    /// println!("ttlog-view {}", path.display());
    /// # Ok::<(), ttlog_std::SnapshotError>(())
    /// ```
    pub fn wait(self) -> Result<PathBuf, SnapshotError> {
        let mut result = lock(&self.answer.result);
        loop {
            if let Some(result) = result.take() {
                return result;
            }
            result = self.answer.answered.wait(result).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits as [`wait`](Self::wait) does, but no longer than `timeout`; gives the ticket back when it has passed.
    ///
    /// # Errors
    /// The ticket, when there is no answer yet.
    pub fn wait_timeout(self, timeout: Duration) -> Result<Result<PathBuf, SnapshotError>, SnapshotTicket> {
        let result = {
            let guard = lock(&self.answer.result);
            let (mut guard, _) = self
                .answer
                .answered
                .wait_timeout_while(guard, timeout, |result| result.is_none())
                .unwrap_or_else(PoisonError::into_inner);
            guard.take()
        };
        result.ok_or(self)
    }

    /// Tells whether [`wait`](Self::wait) would return at once.
    #[must_use]
    pub fn is_done(&self) -> bool {
        lock(&self.answer.result).is_some()
    }

    /// Makes a ticket that has failed.
    pub(crate) fn failed(error: SnapshotError) -> Self {
        SnapshotTicket { answer: Arc::new(Answer { result: Mutex::new(Some(Err(error))), ..Answer::default() }) }
    }
}

/// A request in the queue. Answered when dropped, if not before, so that nobody waits for ever.
struct Request {
    reason: String,
    answer: Arc<Answer>,
}

impl Request {
    fn answer(&self, result: Result<PathBuf, SnapshotError>) {
        let mut slot = lock(&self.answer.result);
        if slot.is_none() {
            *slot = Some(result);
        }
        drop(slot);
        self.answer.answered.notify_all();
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        // The first answer stays.
        if Arc::strong_count(&self.answer) > 1 && lock(&self.answer.result).is_none() {
            self.answer(Err(SnapshotError::NoServiceThread));
        }
    }
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
    /// The process that has the thread; a fork of it has none.
    pid: u32,
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").field("capacity", &self.capacity).finish_non_exhaustive()
    }
}

impl Service {
    /// Makes the shared part, without a thread.
    pub(crate) fn new(capacity: usize) -> Self {
        let queue = Queue { requests: VecDeque::new(), phase: Phase::Absent };
        Service { queue: Mutex::new(queue), changed: Condvar::new(), capacity, pid: std::process::id() }
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
        let reason = reason.to_owned();
        let mut queue = lock(&self.queue);
        let refused = match queue.phase {
            Phase::Absent => SnapshotError::NoServiceThread,
            Phase::Stopping | Phase::Ended => SnapshotError::ShutDown,
            Phase::Running if queue.requests.len() >= self.capacity => SnapshotError::QueueFull,
            Phase::Running => {
                let answer = Arc::new(Answer::default());
                queue.requests.push_back(Request { reason, answer: Arc::clone(&answer) });
                self.changed.notify_all();
                return SnapshotTicket { answer };
            }
        };
        drop(queue);
        SnapshotTicket::failed(refused)
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
    let start = Instant::now();
    let mut early = EARLY_ANCHORS.iter().map(|after| start + *after);
    let mut next_anchor = early.next().unwrap_or(start + ANCHOR_INTERVAL);
    if let Some(rest) = recorder.words.get(work.populated_words..).filter(|rest| !rest.is_empty()) {
        crate::sys::populate(rest);
    }
    let orphans = work.orphan_directory.map(|directory| orphans::candidates(&directory)).unwrap_or_default();
    let mut orphans = orphans.into_iter();
    let mut recovered = Recovered::default();

    loop {
        recorder.report_cut();
        let now = Instant::now();
        if now >= next_anchor {
            recorder.write_anchor();
            next_anchor = early.next().unwrap_or(now + ANCHOR_INTERVAL);
        }
        // Requests come first, orphans one at a time between them.
        let wait = if orphans.len() > 0 { Duration::ZERO } else { next_anchor.saturating_duration_since(now) };
        match next_request(&recorder.generation().service, wait) {
            Next::Request(request) => {
                let write = || recorder.write_snapshot(&request.reason);
                // A defect there must not cost the process its anchors and later snapshots.
                let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(write));
                request.answer(
                    result.unwrap_or_else(|_| {
                        Err(SnapshotError::Ring { cause: "the snapshot writer panicked".to_owned() })
                    }),
                );
            }
            Next::Stop => break,
            Next::Timeout => {
                if let Some(path) = orphans.next() {
                    recovered.count(recorder, &path);
                    if orphans.len() == 0 {
                        recovered.report();
                    }
                }
            }
        }
    }
}

/// What came of the orphans, told in one line however many there are.
#[derive(Default)]
struct Recovered {
    count: u64,
    last: PathBuf,
}

impl Recovered {
    fn count(&mut self, recorder: &'static RecorderInner, path: &std::path::Path) {
        static TROUBLE: report::Once = report::Once::new();
        let mut scratch = lock(&recorder.generation().scratch);
        match orphans::recover(path, &recorder.snapshot_directory, &mut scratch) {
            Ok(Outcome::Recovered(snapshot)) => {
                self.count += 1;
                self.last = snapshot;
            }
            Ok(Outcome::Removed | Outcome::LeftAlone) => {}
            Err(error) => TROUBLE.warn(format_args!("{error} (further trouble of this kind is not reported)")),
        }
    }

    fn report(&self) {
        match self.count {
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
    Request(Request),
    Stop,
    Timeout,
}

fn next_request(service: &Service, wait: Duration) -> Next {
    let queue = lock(&service.queue);
    let idle = |queue: &mut Queue| queue.requests.is_empty() && queue.phase == Phase::Running;
    let (mut queue, _) = service.changed.wait_timeout_while(queue, wait, idle).unwrap_or_else(PoisonError::into_inner);
    match queue.requests.pop_front() {
        Some(request) => Next::Request(request),
        None if queue.phase == Phase::Running => Next::Timeout,
        None => Next::Stop,
    }
}

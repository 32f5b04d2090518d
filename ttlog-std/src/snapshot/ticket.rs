//! Tickets: how the one who asked for a snapshot learns what became of it.
//!
//! A ticket and the request in the queue of the [service](crate::snapshot::queue) share an answer. Either may be
//! dropped first: a snapshot is made whether or not somebody waits for it, and a request that nobody will answer any
//! more fails.

use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::error::SnapshotError;
use crate::sys::lock;

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
    /// Takes as long as the disk does, and the rest of [`snapshot_throttle`](crate::Builder::snapshot_throttle) when
    /// the last snapshot was just now: 1 s at most, unless chosen otherwise.
    ///
    /// # Errors
    /// [`SnapshotError`] if there is none.
    ///
    /// # Examples
    /// ```no_run
    /// # let recorder = ttlog_std::Recorder::init(1000, 10, "example");
    /// let path = recorder.request_snapshot("checkpoint").wait()?;
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

    /// Returns whether [`wait`](Self::wait) would return at once.
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
pub(crate) struct Request {
    /// Why the snapshot is asked for.
    pub(crate) reason: String,
    answer: Arc<Answer>,
}

impl Request {
    /// Makes a request and its ticket.
    pub(crate) fn new(reason: &str) -> (Self, SnapshotTicket) {
        let answer = Arc::new(Answer::default());
        (Request { reason: reason.to_owned(), answer: Arc::clone(&answer) }, SnapshotTicket { answer })
    }

    /// Returns the answer. The first one stays.
    pub(crate) fn answer(&self, result: Result<PathBuf, SnapshotError>) {
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
        if Arc::strong_count(&self.answer) > 1 && lock(&self.answer.result).is_none() {
            self.answer(Err(SnapshotError::NoServiceThread));
        }
    }
}

//! Tickets: how a requester gets the result of a snapshot.
//!
//! A ticket and the request in the queue of the [service](crate::snapshot::queue) share an answer. Either can be
//! dropped first: a snapshot is taken whether or not somebody waits for it, and a request that nobody will answer
//! fails.

use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::error::SnapshotError;
use crate::sys::lock;

/// The answer to one request, shared by the waiting and the answering side.
#[derive(Debug, Default)]
struct Answer {
    result: Mutex<Option<Result<PathBuf, SnapshotError>>>,
    answered: Condvar,
}

/// A requested snapshot. Dropping the ticket changes nothing: the snapshot is taken all the same.
#[derive(Debug)]
pub struct SnapshotTicket {
    answer: Arc<Answer>,
}

impl SnapshotTicket {
    /// Waits until the snapshot is on disk, and returns its path.
    ///
    /// Takes as long as the disk does, plus the rest of [`snapshot_throttle`](crate::Builder::snapshot_throttle) if the
    /// last snapshot was very recent: at most 1 s, unless set otherwise.
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

    /// Waits as [`wait`](Self::wait) does, but no longer than `timeout`; returns the ticket if it expires.
    ///
    /// # Errors
    /// The ticket, if there is no answer yet.
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

    /// Creates a ticket that has failed.
    pub(crate) fn failed(error: SnapshotError) -> Self {
        SnapshotTicket { answer: Arc::new(Answer { result: Mutex::new(Some(Err(error))), ..Answer::default() }) }
    }
}

/// A request in the queue. Answered when dropped, if not before, so that nobody waits forever.
pub(crate) struct Request {
    /// Reason for the snapshot.
    pub(crate) reason: String,
    answer: Arc<Answer>,
}

impl Request {
    /// Creates a request and its ticket.
    pub(crate) fn new(reason: &str) -> (Self, SnapshotTicket) {
        let answer = Arc::new(Answer::default());
        (Request { reason: reason.to_owned(), answer: Arc::clone(&answer) }, SnapshotTicket { answer })
    }

    /// Sets the answer. The first one stays.
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

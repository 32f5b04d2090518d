//! Coalescing: one snapshot for everybody who wants one when it begins.
//!
//! A snapshot contains everything that was recorded before it began, so it answers every earlier request, whatever its
//! reason. Requests that arrive while it is written wait for the next one.

use std::fmt::Write as _;
use std::path::PathBuf;

use super::cause::Causes;
use super::error::SnapshotError;
use super::ticket::Request;
use crate::sys::cut;

/// Longest list of several reasons, in bytes. A single reason is never cut.
const REASONS_LEN_MAX: usize = 240;

/// Causes and requests that one snapshot answers.
#[derive(Default)]
pub(crate) struct Batch {
    /// Automatic causes.
    pub(crate) causes: Causes,
    /// Waiting requests.
    pub(crate) requests: Vec<Request>,
}

impl Batch {
    /// Returns whether nobody wants a snapshot.
    pub(crate) fn is_empty(&self) -> bool {
        self.causes.is_empty() && self.requests.is_empty()
    }

    /// Returns the reason of the snapshot: every distinct reason once, joined by `+`; reasons that do not fit are left
    /// out and counted.
    pub(crate) fn reason(&self) -> String {
        let own = self.causes.iter().map(|cause| cause.reason());
        let mut reasons: Vec<&str> = Vec::new();
        for reason in own.chain(self.requests.iter().map(|request| request.reason.as_str())) {
            if !reasons.contains(&reason) {
                reasons.push(reason);
            }
        }
        if let [reason] = reasons[..] {
            return reason.to_owned();
        }
        let mut text = String::new();
        let mut left = reasons.len();
        for reason in reasons {
            if text.len() + reason.len() > REASONS_LEN_MAX {
                // Infallible: the text is a string.
                let _ = write!(text, "{}{left} more", if text.is_empty() { "" } else { "+" });
                break;
            }
            if !text.is_empty() {
                text.push('+');
            }
            text.push_str(reason);
            left -= 1;
        }
        cut(&text, REASONS_LEN_MAX + 32).to_owned()
    }

    /// Sends the result to everybody who waits.
    pub(crate) fn answer(self, result: &Result<PathBuf, SnapshotError>) {
        for request in self.requests {
            request.answer(match result {
                Ok(path) => Ok(path.clone()),
                Err(error) => Err(error.duplicate()),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::cause::{Cause, Triggers};
    use super::super::ticket::SnapshotTicket;
    use super::*;

    fn batch(causes: &[Cause], reasons: &[&str]) -> (Batch, Vec<SnapshotTicket>) {
        let triggers = Triggers::default();
        causes.iter().for_each(|cause| triggers.raise(*cause));
        let (requests, tickets) = reasons.iter().map(|reason| Request::new(reason)).unzip();
        (Batch { causes: triggers.take(), requests }, tickets)
    }

    #[test]
    fn reasons_are_joined_once_each() {
        for (causes, reasons, expected) in [
            (&[][..], &["a"][..], "a"),
            (&[], &["a", "b", "a"], "a+b"),
            (&[Cause::Level, Cause::Panic], &["a", "panic"], "panic+level+a"),
            (&[Cause::Signal], &[], "signal"),
            (&[Cause::Signal], &[""], "signal+"),
        ] {
            assert_eq!(batch(causes, reasons).0.reason(), expected);
        }
        assert!(Batch::default().is_empty());
        assert!(!batch(&[Cause::Periodic], &[]).0.is_empty() && !batch(&[], &["x"]).0.is_empty());
    }

    #[test]
    fn long_list_is_cut_and_a_long_reason_alone_is_not() {
        let long = "ü".repeat(1000);
        assert_eq!(batch(&[], &[&long]).0.reason(), long);
        assert_eq!(batch(&[], &[&long, "x"]).0.reason(), "2 more");
        assert_eq!(batch(&[], &["x", &long]).0.reason(), "x+1 more");
        let many: Vec<String> = (0..1000).map(|n| format!("reason {n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let text = batch(&[], &many).0.reason();
        assert!(text.starts_with("reason 0+reason 1+") && text.ends_with(" more"), "{text}");
        assert!(text.len() <= REASONS_LEN_MAX + 32);
    }

    #[test]
    fn everybody_gets_the_answer() {
        let (all, tickets) = batch(&[], &["a", "b"]);
        all.answer(&Ok(PathBuf::from("/x")));
        assert!(tickets.into_iter().all(|ticket| ticket.wait().unwrap().as_os_str() == "/x"));
        let (all, tickets) = batch(&[], &["a", "b"]);
        let cause = std::io::Error::from_raw_os_error(28);
        all.answer(&Err(SnapshotError::Io { action: "write", path: PathBuf::from("/y"), cause }));
        for ticket in tickets {
            let error = ticket.wait().unwrap_err();
            assert!(matches!(&error, SnapshotError::Io { cause, .. } if cause.raw_os_error() == Some(28)), "{error}");
        }
        let (unanswered, tickets) = batch(&[], &["a"]);
        drop(unanswered);
        assert!(matches!(tickets.into_iter().next().unwrap().wait(), Err(SnapshotError::NoServiceThread)));
    }
}

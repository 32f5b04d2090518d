//! Reports of a source that vanishes and returns: one line when it goes and one when it is there again, however often
//! it comes and goes in between without delivering anything.

use std::time::{Duration, Instant};

use super::place::OpenError;

/// Time after which a source that is open again counts as there although it is silent.
const SETTLED: Duration = Duration::from_secs(1);
/// Time for which a port that returns may be unusable without a report, until its access rights are set.
const GRACE: Duration = Duration::from_secs(2);
/// Most reasons that are reported in one outage.
const REASONS_MAX: usize = 4;

/// Whether a source is there, and what was reported about it. The methods return what is to be reported now, if
/// anything.
#[derive(Debug, Default)]
pub struct Outage {
    state: State,
    /// Whether the source was there before.
    was_there: bool,
    /// Reasons reported in this outage.
    reasons: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default)]
enum State {
    /// Being opened for the first time, or there.
    #[default]
    Fine,
    Gone {
        since: Instant,
    },
    /// Open again, but perhaps not for long.
    Opened {
        at: Instant,
    },
}

impl Outage {
    /// The source was opened.
    pub fn opened(&mut self, now: Instant) {
        if !matches!(self.state, State::Fine) {
            self.state = State::Opened { at: now };
        }
    }

    /// The open source ended, for this reason.
    pub fn lost(&mut self, reason: &str, now: Instant) -> Option<String> {
        let is_new = matches!(self.state, State::Fine);
        self.state = State::Gone { since: now };
        self.was_there |= is_new;
        is_new.then(|| format!("gone ({reason}); waiting for it"))
    }

    /// The source could not be opened.
    pub fn absent(&mut self, error: &OpenError, now: Instant) -> Option<String> {
        match (self.state, error) {
            (State::Fine, _) => {
                self.state = State::Gone { since: now };
                Some(format!("{}; waiting for it", error.reason()))
            }
            (State::Gone { since }, OpenError::Unusable(reason)) if now.duration_since(since) >= GRACE => {
                let is_new = self.reasons.len() < REASONS_MAX && !self.reasons.contains(reason);
                is_new.then(|| {
                    self.reasons.push(reason.clone());
                    format!("{reason}; still waiting for it")
                })
            }
            (State::Gone { .. }, _) => None,
            (State::Opened { .. }, _) => {
                self.state = State::Gone { since: now };
                None
            }
        }
    }

    /// Bytes came, or none did for a while.
    pub fn looked(&mut self, has_bytes: bool, now: Instant) -> Option<String> {
        let State::Opened { at } = self.state else { return None };
        if !has_bytes && now.duration_since(at) < SETTLED {
            return None;
        }
        let line = if self.was_there { "there again" } else { "there now" };
        *self = Outage { was_there: true, ..Outage::default() };
        Some(line.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn an_outage_is_reported_once() {
        let (mut outage, start) = (Outage::default(), Instant::now());
        outage.opened(start);
        assert_eq!(outage.looked(true, start), None);
        assert_eq!(outage.lost("closed", start).as_deref(), Some("gone (closed); waiting for it"));
        // A forwarder that accepts and closes while its server is down.
        for n in 1..100 {
            let now = start + n * 250 * MS;
            outage.opened(now);
            assert_eq!(outage.looked(false, now + 100 * MS), None);
            assert_eq!(outage.lost("closed", now + 100 * MS), None);
            assert_eq!(outage.absent(&OpenError::Absent("refused".to_owned()), now + 200 * MS), None);
        }
        let end = start + Duration::from_secs(60);
        outage.opened(end);
        assert_eq!(outage.looked(true, end).as_deref(), Some("there again"));
        assert_eq!(outage.looked(true, end), None);
        assert!(outage.lost("closed", end).is_some(), "the next outage");
    }

    #[test]
    fn a_silent_source_is_there_after_a_second() {
        let (mut outage, start) = (Outage::default(), Instant::now());
        let absent = OpenError::Absent("no such file".to_owned());
        assert_eq!(outage.absent(&absent, start).as_deref(), Some("no such file; waiting for it"));
        assert_eq!(outage.absent(&absent, start + 250 * MS), None);
        outage.opened(start + 500 * MS);
        assert_eq!(outage.looked(false, start + 700 * MS), None);
        assert_eq!(outage.looked(false, start + 1500 * MS).as_deref(), Some("there now"));
    }

    #[test]
    fn what_keeps_a_returning_port_unusable_is_reported_once_and_late() {
        let (mut outage, start) = (Outage::default(), Instant::now());
        outage.opened(start);
        assert!(outage.lost("broken", start).is_some());
        let denied = OpenError::Unusable("permission denied".to_owned());
        assert_eq!(outage.absent(&denied, start + 250 * MS), None);
        let line = outage.absent(&denied, start + 2250 * MS);
        assert_eq!(line.as_deref(), Some("permission denied; still waiting for it"));
        assert_eq!(outage.absent(&denied, start + 2500 * MS), None);
        for n in 0..100 {
            outage.absent(&OpenError::Unusable(n.to_string()), start + 2500 * MS);
        }
        assert!(outage.reasons.len() <= REASONS_MAX);
    }
}

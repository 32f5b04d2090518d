//! Limits in time, and the range they resolve to once the last event is known.

use jiff::tz::TimeZone;

use super::time::{TimeLimit, parse_duration};

/// Limits in time, as people type them.
#[derive(Clone, Debug)]
pub struct Limits {
    since: Option<TimeLimit>,
    until: Option<TimeLimit>,
    zone: TimeZone,
}

impl Default for Limits {
    fn default() -> Self {
        Self::utc()
    }
}

impl Limits {
    /// Creates empty limits. Times without a zone are local.
    #[must_use]
    pub fn local() -> Self {
        Limits { since: None, until: None, zone: TimeZone::system() }
    }

    /// Creates empty limits. Times without a zone are UTC.
    #[must_use]
    pub fn utc() -> Self {
        Limits { since: None, until: None, zone: TimeZone::UTC }
    }

    /// Leaves out events before a time: a date and time, a time of the last day, or `-5s` before the last event.
    ///
    /// # Errors
    /// A sentence that explains which forms are understood.
    pub fn since(self, text: &str) -> Result<Self, String> {
        let since = TimeLimit::parse(text, &self.zone)?;
        Ok(Limits { since: Some(since), ..self })
    }

    /// Leaves out events after a time, in the same forms.
    ///
    /// # Errors
    /// A sentence that explains which forms are understood.
    pub fn until(self, text: &str) -> Result<Self, String> {
        let until = TimeLimit::parse(text, &self.zone)?;
        Ok(Limits { until: Some(until), ..self })
    }

    /// Leaves out events that are more than a duration, such as `5s`, before the last event.
    ///
    /// # Errors
    /// A sentence that explains which forms are understood.
    pub fn last(self, text: &str) -> Result<Self, String> {
        let since = TimeLimit::BeforeEnd(parse_duration(text)?);
        Ok(Limits { since: Some(since), ..self })
    }

    /// Returns the range of these limits if the last event stands at `end`.
    pub(crate) fn resolve(&self, end: i64) -> Range {
        let mut range = Range::ALL;
        if let Some(since) = self.since {
            bounds(&mut range, since).0 = since.resolve(end, &self.zone);
        }
        if let Some(until) = self.until {
            bounds(&mut range, until).1 = until.resolve(end, &self.zone);
        }
        range
    }

    /// Returns whether the limits can be resolved only once the last event is known.
    pub(crate) fn depend_on_end(&self) -> bool {
        [self.since, self.until].into_iter().flatten().any(|limit| !matches!(limit, TimeLimit::At(_)))
    }

    /// Returns whether events before a time are left out.
    #[must_use]
    pub fn has_start(&self) -> bool {
        self.since.is_some()
    }

    /// Returns whether events after a time are left out.
    #[must_use]
    pub fn has_end(&self) -> bool {
        self.until.is_some()
    }
}

/// Returns the bounds that `limit` applies to: a clock time limits the wall clock's reading; a time before the end
/// limits the place in the timeline.
fn bounds(range: &mut Range, limit: TimeLimit) -> &mut (i64, i64) {
    if matches!(limit, TimeLimit::BeforeEnd(_)) { &mut range.place } else { &mut range.clock }
}

/// A range of time, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// Range of wall-clock readings.
    pub clock: (i64, i64),
    /// Range of places in the timeline.
    pub place: (i64, i64),
}

impl Range {
    /// Unbounded range.
    pub const ALL: Range = Range { clock: (i64::MIN, i64::MAX), place: (i64::MIN, i64::MAX) };

    /// Returns whether the range contains an event at `key` whose wall clock showed `clock`.
    pub(crate) fn contains(&self, key: i64, clock: impl FnOnce() -> i64) -> bool {
        (self.place.0..=self.place.1).contains(&key)
            // Most ranges are not bounded by the clock, and finding its reading takes a while.
            && (self.clock == Self::ALL.clock || (self.clock.0..=self.clock.1).contains(&clock()))
    }
}

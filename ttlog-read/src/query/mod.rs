//! Which events are wanted: conditions, a range of time, how many.

mod condition;
mod key;
mod limits;
mod number;
mod time;
mod verdict;

pub use condition::{Condition, FilterError, Operator, Wanted};
pub use key::Key;
pub use limits::{Limits, Range};
pub use verdict::Verdict;

/// How many of the matching events are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    /// All.
    #[default]
    All,
    /// The last so many.
    Last(usize),
    /// The first so many.
    First(usize),
}

/// Which events are wanted. The default wants all.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// All must hold.
    pub conditions: Vec<Condition>,
    /// How many events are kept.
    pub keep: Keep,
    /// Only events between these times.
    pub limits: Limits,
    /// Whether copies of a segment are read again.
    pub duplicates: bool,
}

impl Query {
    /// Returns whether events at the start are left out.
    #[must_use]
    pub fn cuts_start(&self) -> bool {
        matches!(self.keep, Keep::Last(_)) || self.limits.has_start()
    }

    /// Returns whether events at the end are left out.
    #[must_use]
    pub fn cuts_end(&self) -> bool {
        matches!(self.keep, Keep::First(_)) || self.limits.has_end()
    }
}

//! Selection of events: conditions, a range of time, and a maximum number.

mod address;
mod clock;
mod compare;
mod condition;
mod filter;
mod key;
mod limits;
mod list;
mod mismatches;
mod number;
mod parse;
mod period;
mod range;
mod scalar;
mod time;
mod unknown;
mod verdict;
mod wanted;

pub use compare::{Match, Mismatch, Operator};
pub use condition::Condition;
pub use filter::Filter;
pub use key::Key;
pub use limits::Limits;
pub use list::List;
pub use mismatches::Mismatches;
pub use parse::FilterError;
pub use scalar::ByValue;
pub use unknown::{Selected, UnknownField};
pub use verdict::{SpanOutcomes, Subject, Verdict};
pub use wanted::Wanted;

pub(crate) use limits::Extent;
pub(crate) use period::Period;
pub(crate) use range::{Range, Within};
pub(crate) use verdict::selects_span;

/// The language of filters: its grammar, keys and rules, with examples. For people, 80 columns wide.
pub const FILTER_HELP: &str = include_str!("filter.txt");

/// Number of matching events to retain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    /// All.
    #[default]
    All,
    /// The last N events.
    Last(usize),
    /// The first N events.
    First(usize),
}

/// Selection of events. The default selects all, except for the records of spans.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// Conditions on each event.
    pub filter: Filter,
    /// Number of events to retain.
    pub keep: Keep,
    /// Limits in time.
    pub limits: Limits,
    /// Whether every copy of a segment is read.
    pub duplicates: bool,
    /// Whether the records of spans are selected too: where one starts, is entered, left, and so on.
    pub span_records: bool,
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

//! A range of time: what the limits are once the recording is known, and whether an event is within.

use std::cmp::Ordering;

use crate::source::Source;
use crate::text::time::When;

/// One end of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bound {
    /// A reading of the wall clock, in nanoseconds since 1970.
    Clock(i64),
    /// A place in the timeline.
    Place(i64),
    /// A time since the start of a device's clock, in nanoseconds.
    Boot { boot: u32, ns: i64 },
    /// A reading of the recording clock, in one session of a device or anywhere.
    Ticks { boot: Option<u32>, ticks: u64 },
}

/// A range of time, both ends included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Range {
    pub(super) since: Option<Bound>,
    pub(super) until: Option<Bound>,
}

/// Whether an event is in a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Within {
    Yes,
    No,
    /// The event has no time of this kind.
    Undated,
}

impl Range {
    /// Returns whether the range contains an event: its source, the reading of its clock, and its place.
    #[inline]
    pub(crate) fn contains(&self, source: &Source<'_>, ticks: u64, place: i64) -> Within {
        if self.since.is_none() && self.until.is_none() {
            return Within::Yes;
        }
        let is_out = |bound: Option<Bound>, side: Ordering| {
            bound.map_or(Some(false), |bound| Some(bound.order_of(source, ticks, place)? == side))
        };
        match (is_out(self.since, Ordering::Less), is_out(self.until, Ordering::Greater)) {
            (Some(false), Some(false)) => Within::Yes,
            (Some(true), _) | (_, Some(true)) => Within::No,
            _ => Within::Undated,
        }
    }
}

impl Range {
    /// Returns whether the range contains any time between two places, each with the reading of the source's clock.
    /// `None` as the last one: it goes on. Without times of the kind of a limit it does not.
    pub(crate) fn overlaps(&self, source: &Source<'_>, first: (i64, u64), last: Option<(i64, u64)>) -> bool {
        let is_in = |bound: Bound, (place, ticks): (i64, u64), outside: Ordering| {
            bound.order_of(source, ticks, place).is_some_and(|order| order != outside)
        };
        self.until.is_none_or(|until| is_in(until, first, Ordering::Greater))
            && self.since.is_none_or(|since| last.is_none_or(|last| is_in(since, last, Ordering::Less)))
    }
}

impl Bound {
    /// Returns where an event is relative to the bound; `None` if it has no time of this kind.
    fn order_of(self, source: &Source<'_>, ticks: u64, place: i64) -> Option<Ordering> {
        match self {
            Bound::Place(limit) => Some(place.cmp(&limit)),
            Bound::Ticks { boot: None, ticks: limit } => Some(ticks.cmp(&limit)),
            Bound::Ticks { boot: Some(boot), ticks: limit } => Some((source.session?.boot, ticks).cmp(&(boot, limit))),
            Bound::Clock(limit) => match source.when(ticks) {
                When::Clock(unix_ns) => Some(unix_ns.cmp(&limit)),
                When::Boot { .. } | When::Ticks { .. } => None,
            },
            Bound::Boot { boot: limit, ns: limit_ns } => match source.when(ticks) {
                When::Boot { boot, ns } => Some((boot, ns).cmp(&(limit, limit_ns))),
                When::Ticks { boot, .. } => Some(boot.cmp(&limit)).filter(|order| order.is_ne()),
                When::Clock(_) => None,
            },
        }
    }
}

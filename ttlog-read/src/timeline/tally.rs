//! Findings from reading a source.

use crate::source::{Damage, Kind, Source};

/// Findings from reading a source.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Events read, including the records of spans.
    pub events: u64,
    /// Records of spans among them: where one starts, is entered, and so on.
    pub span_records: u64,
    /// Events left out because a fuller copy of their segment is in another source.
    pub duplicates: u64,
    /// Records that were being written.
    pub pending: u64,
    /// Places where records are damaged.
    pub damage: Vec<Damage>,
    /// Events known to be lost to damage: the recorded counts minus the events read.
    pub damaged_events: u64,
    /// First and last reading of the recording clock at an event.
    pub(super) ticks: Option<(u64, u64)>,
}

impl Tally {
    /// Returns whether any part of its source is damaged.
    #[must_use]
    pub fn is_damaged(&self, source: &Source<'_>) -> bool {
        let cut_off = matches!(source.kind, Kind::Snapshot { complete: false, .. });
        cut_off || self.damaged_events > 0 || !source.damage.is_empty() || !self.damage.is_empty()
    }
}

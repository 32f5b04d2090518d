//! What was read of a source.

use crate::source::{Damage, Kind, Source};

/// What was found in a source while it was read.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Events read.
    pub events: u64,
    /// Events left out because a fuller copy of their segment is in another source.
    pub duplicates: u64,
    /// Records that were being written.
    pub pending: u64,
    /// Places where records are damaged.
    pub damage: Vec<Damage>,
    /// Events known to be lost to damage: what the counts say less what was read.
    pub damaged_events: u64,
}

impl Tally {
    /// Returns whether anything of the source that it is of is damaged.
    #[must_use]
    pub fn is_damaged(&self, source: &Source<'_>) -> bool {
        let cut_off = matches!(source.kind, Kind::Snapshot { complete: false, .. });
        cut_off || self.damaged_events > 0 || !source.damage.is_empty() || !self.damage.is_empty()
    }
}

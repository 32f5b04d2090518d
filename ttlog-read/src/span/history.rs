//! The innermost span of a context, over time.

/// The innermost span of a context, over time.
#[derive(Clone, Debug)]
pub(super) struct History {
    /// From which time on, and order among equal times, the innermost span has this id; 0: the context is in none.
    changes: Vec<(i64, u64, u64)>,
    /// Number of changes before which no span can have been entered unseen.
    settled: usize,
}

impl History {
    pub(super) fn new() -> Self {
        History { changes: vec![(i64::MIN, 0, 0)], settled: 0 }
    }

    /// Notes the innermost span from a time on. Times must not decrease.
    pub(super) fn change(&mut self, at: i64, order: u64, span: u64) {
        if self.changes.last().is_none_or(|(.., last)| *last != span) {
            self.changes.push((at, order, span));
        }
    }

    /// Notes that the context leaves a span that it was not seen to enter: it was in it whenever it seemed to be in
    /// none, since the last one that it left like this.
    pub(super) fn claim(&mut self, span: u64) {
        for change in &mut self.changes[self.settled..] {
            if change.2 == 0 {
                change.2 = span;
            }
        }
        self.settled = self.changes.len();
    }

    /// Returns the id of the innermost span at a time; 0: none.
    pub(super) fn at(&self, at: i64, order: u64) -> u64 {
        let after = self.changes.partition_point(|change| (change.0, change.1) <= (at, order));
        self.changes[..after].last().map_or(0, |(.., span)| *span)
    }
}

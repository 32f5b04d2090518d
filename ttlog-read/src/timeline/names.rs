//! Names of the contexts of a ring: which one a context had at which time.
//!
//! A context records its name once in each segment, together with an event. From that event on it has the name, in all
//! segments, until it records another one. Events before the first record get its name, too: it was unknown then.

use std::collections::HashMap;

/// Name of a context from a time on: the ticks, and the index of the name.
type Told = (u64, u32);

/// All names of a ring, each once.
#[derive(Debug, Default)]
pub(super) struct Names {
    names: Vec<Box<str>>,
    by_name: HashMap<Box<str>, u32>,
}

impl Names {
    /// Returns the index of a name, adding it if necessary.
    pub(super) fn index_of(&mut self, name: &str) -> u32 {
        if let Some(index) = self.by_name.get(name) {
            return *index;
        }
        let index = self.names.len() as u32; // each name takes more than one byte of the input
        self.names.push(name.into());
        self.by_name.insert(name.into(), index);
        index
    }

    fn get(&self, index: u32) -> &str {
        self.names.get(index as usize).map_or("", |name| name)
    }
}

/// Names of one context, in order of time once all segments are read.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    told: Vec<Told>,
    /// The name that the next event of the context has.
    pending: Option<u32>,
}

impl History {
    /// Notes that the next event has this name. An empty name says nothing.
    pub(super) fn announce(&mut self, names: &mut Names, name: &str) {
        self.pending = (!name.is_empty()).then(|| names.index_of(name));
    }

    /// Notes the time of an event of the context, or of the end of the segment.
    #[inline]
    pub(super) fn reach(&mut self, ticks: u64) {
        if let Some(name) = self.pending.take() {
            self.told.push((ticks, name));
        }
    }

    /// Puts the names in order of time.
    pub(super) fn finish(&mut self) {
        self.told.sort_by_key(|(ticks, _)| *ticks);
        self.told.dedup_by_key(|(_, name)| *name);
    }

    /// Returns the name at a time; empty if there is none.
    pub(super) fn at<'n>(&self, names: &'n Names, ticks: u64) -> &'n str {
        let after = self.told.partition_point(|(from, _)| *from <= ticks);
        self.told.get(after.saturating_sub(1)).map_or("", |(_, name)| names.get(*name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_hold_from_the_event_that_they_were_told_with() {
        let (mut names, mut history) = (Names::default(), History::default());
        // The segments are not read in order of time.
        for (ticks, name) in [(10, "a"), (20, "b"), (40, "b"), (15, "a"), (30, "a"), (50, "")] {
            history.announce(&mut names, name);
            history.reach(ticks);
            history.reach(99);
        }
        history.finish();
        let at = |ticks| history.at(&names, ticks);
        assert_eq!([0, 10, 19, 20, 29, 30, 39, 40, u64::MAX].map(at), ["a", "a", "a", "b", "b", "a", "a", "b", "b"]);
        assert_eq!(History::default().at(&names, 5), "");
    }
}

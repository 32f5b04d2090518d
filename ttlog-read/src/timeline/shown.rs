//! Memory of the events already shown, for reading the same ring repeatedly.

use std::collections::{HashMap, HashSet};

use super::{PartRef, Timeline};
use crate::query::Mismatches;
use crate::source::Source;

/// Remembers which events were shown.
#[derive(Debug, Default)]
pub struct ShownEvents {
    /// Places of events, by ring and segment.
    segments: HashMap<(u64, u64), HashSet<u16>>,
    /// Sources that were reported, by ring and session.
    sessions: HashSet<(u64, u32)>,
    /// Kinds of values that did not compare and were reported.
    mismatches: Mismatches,
}

/// New findings when the same ring is read again.
#[derive(Debug)]
pub struct News {
    /// Whether nothing was shown before.
    pub is_first: bool,
    /// Whether each source is reported for the first time.
    pub new_sources: Vec<bool>,
}

impl ShownEvents {
    /// Removes the events already shown from the timeline, and what was already reported of conditions; records the
    /// rest as shown.
    pub fn take(&mut self, timeline: &mut Timeline<'_, '_>) -> News {
        let is_first = self.sessions.is_empty();
        timeline.mismatches.take_new(&mut self.mismatches);
        let new_sources = timeline.sources.iter().map(|source| self.is_new(source)).collect();
        let (sources, parts) = (timeline.sources, &timeline.parts);
        let segment = |part: &PartRef| {
            let source = &sources[part.source as usize];
            (source.ring_id, source.parts[part.part as usize].sequence)
        };
        // Events that a ring no longer holds cannot come again.
        let rings: HashSet<u64> = sources.iter().map(|source| source.ring_id).collect();
        let held: HashSet<(u64, u64)> = parts.iter().map(segment).collect();
        self.segments.retain(|key, _| held.contains(key) || !rings.contains(&key.0));
        timeline.entries.retain(|entry| {
            self.segments.entry(segment(&parts[entry.part as usize])).or_default().insert(entry.payload_offset)
        });
        News { is_first, new_sources }
    }

    /// Returns whether a source is reported for the first time.
    fn is_new(&mut self, source: &Source<'_>) -> bool {
        self.sessions.insert((source.ring_id, source.session.map_or(0, |session| session.boot)))
    }
}

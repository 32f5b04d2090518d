//! Choice of the segments to read, and of the clock that orders each ring.

use std::cmp::Reverse;
use std::collections::HashMap;

use super::entry::PartRef;
use super::ring::RingView;
use crate::source::Source;

/// The rings, and the segments of them to read.
pub(super) struct Chosen {
    pub(super) rings: Vec<RingView>,
    /// The segments, in reading order.
    pub(super) parts: Vec<PartRef>,
    /// Events of each source that are left out because another source has a fuller copy of their segment.
    pub(super) left_out: Vec<u64>,
}

/// Chooses the segments to read, and their order. With `duplicates`, every copy of a segment is read.
pub(super) fn choose(sources: &[Source<'_>], duplicates: bool) -> Chosen {
    let mut rings: Vec<RingView> = Vec::new();
    let mut parts = Vec::new();
    let mut left_out = vec![0; sources.len()];
    let mut ring_of = HashMap::new();
    // Sessions of one ring are read one after the other, because each is placed after the one before.
    let mut order: Vec<(usize, u32, usize)> = Vec::new(); // first source of the ring, session, source
    let mut first_of = HashMap::new();
    for (index, source) in sources.iter().enumerate() {
        let first = if source.ring_id == 0 { index } else { *first_of.entry(source.ring_id).or_insert(index) };
        order.push((first, source.session.map_or(0, |session| session.boot), index));
    }
    order.sort_unstable();
    let mut chosen: Vec<(u32, u64, u32, u32, u32)> = Vec::new(); // ring, sequence, source, part, count
    for (first, boot, index) in order {
        let source = &sources[index];
        // A snapshot that has lost its header does not say which ring it is of, so it gets its own.
        let ring = *ring_of.entry((first, boot)).or_insert_with(|| {
            rings.push(RingView::new());
            rings.len() - 1
        });
        rings[ring].session_of = source.session.map(|_| source.ring_id);
        rings[ring].sources.push(index);
        for (part, segment) in source.parts.iter().enumerate() {
            chosen.push((ring as u32, segment.sequence, index as u32, part as u32, segment.count));
        }
    }
    choose_scales(sources, &mut rings);
    // The fullest copy of a segment comes first; segments only ever grow. If all copies are read, each source is read
    // separately.
    chosen.sort_unstable_by_key(|&(ring, sequence, source, part, count)| {
        (ring, if duplicates { source } else { 0 }, sequence, Reverse(count), source, part)
    });
    let mut last = None;
    for (ring, sequence, source, part, count) in chosen {
        if !duplicates && sequence != 0 && last == Some((ring, sequence)) {
            left_out[source as usize] += u64::from(count);
            continue;
        }
        last = Some((ring, sequence));
        parts.push(PartRef { source, part, ring });
    }
    Chosen { rings, parts, left_out }
}

/// Chooses the time scale that orders each ring.
fn choose_scales(sources: &[Source<'_>], rings: &mut [RingView]) {
    let newest_of = |indexes: &mut dyn Iterator<Item = usize>| {
        indexes.max_by_key(|&index| (sources[index].newest_anchor, std::cmp::Reverse(index))).unwrap_or(0)
    };
    for ring in rings.iter_mut() {
        ring.newest = newest_of(&mut ring.sources.iter().copied());
    }
    // Recorders on one host share a clock if it has the same name; a clock step that one saw applies to all.
    let clock = |index: usize| {
        sources[index].process.map(|process| (process.host, process.clock)).filter(|(host, _)| !host.is_empty())
    };
    for ring in rings.iter_mut() {
        let own = sources[ring.newest].newest_anchor;
        if let (Some(name), 1..) = (clock(ring.newest), own) {
            let newest = newest_of(&mut (0..sources.len()).filter(|&index| clock(index) == Some(name)));
            let scale = &sources[newest].scale;
            ring.later_steps_ns = scale.smooth_ns(own).saturating_sub(scale.unix_ns(own));
        }
    }
}

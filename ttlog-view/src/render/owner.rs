//! Names of processes, as far as they are needed to tell events of several rings apart.

use std::collections::HashMap;

use ttlog_read::source::Source;
use ttlog_read::text::escape::{LineBreaks, push_escaped};
use ttlog_read::timeline::Timeline;

/// Names a process by its service and id, and if that is not enough, by its ring.
pub(super) fn push_owner(out: &mut String, source: &Source<'_>, same_owners: bool) {
    match &source.process {
        Some(process) if source.session.is_none() => {
            push_escaped(out, process.service, LineBreaks::Escape);
            out.push_str(&format!("[{}]", process.pid));
            if same_owners {
                out.push('-');
                push_ring(out, source);
            }
        }
        _ => out.push_str(&format!("ring-{:08x}", source.ring_id >> 32)),
    }
}

/// Names a ring by the second half of its id, which is random.
pub(super) fn push_ring(out: &mut String, source: &Source<'_>) {
    out.push_str(&format!("{:08x}", source.ring_id & 0xffff_ffff));
}

/// Returns whether the events are from more than one ring; sessions of a device share theirs.
pub(super) fn several_rings(timeline: &Timeline<'_, '_>) -> bool {
    let session_of = |source: &Source<'_>| source.session.map(|_| source.ring_id);
    let first = timeline.sources.first().and_then(session_of);
    timeline.rings.len() > 1 && (first.is_none() || timeline.sources.iter().any(|source| session_of(source) != first))
}

/// Returns whether processes of several rings have the same service and id: ids are given again, and in containers, all
/// processes have the same.
pub(super) fn same_owners(timeline: &Timeline<'_, '_>) -> bool {
    let owner = |source: &Source<'_>| source.process.map(|process| (process.service.to_owned(), process.pid));
    let mut rings = HashMap::new();
    let sources = timeline.sources.iter().filter(|source| source.session.is_none());
    sources
        .filter_map(|source| Some((owner(source)?, source.ring_id)))
        .any(|(owner, ring)| *rings.entry(owner).or_insert(ring) != ring)
}

//! The timeline: the events of all sources in time order, with the places where events are missing.
//!
//! Sources are read segment by segment, in the order in which each ring's segments were opened. For each event that
//! passes the filter only a small [`Entry`] is retained. Values are read again when the event is shown, so filtering
//! and counting allocate nothing per event. Snapshots of one ring share segments; the fullest copy of each is read and
//! the others are left out.
//!
//! Entries are sorted by a time without steps of the wall clock
//! ([`TimeScale::smooth_ns`](ttlog_core::TimeScale::smooth_ns)), so the order is right even if somebody set the clock;
//! a [`Mark`] shows where it was set. All sources of a ring are ordered by the scale of the source that knows most. A
//! ring that ended before a step is ordered by what other rings of its host know of the step. Within one context the
//! recorded order rules: if the clock reading of an event is before that of its predecessor, it is placed as if both
//! had the same reading. (Warnings and errors have their own segments and their own order; among the other events of
//! their context they are placed by time.) Equal times are ordered by source, then by place in the ring.
//!
//! Sessions of a device follow one another, each as a ring of its own: their clocks start anew, or continue.
//!
//! The records of spans are collected meanwhile, and folded at the end. Conditions on spans are evaluated then.
//!
//! Memory: 32 bytes per retained event, and the unpacked segments of retained events up to [`UNPACKED_MAX`] bytes.
//! Beyond that, segments are unpacked again as needed. Spans and their records take some 16 times the length of the
//! input and [`SPAN_BYTES_MAX`] at most; beyond that, records are ignored, and counted.

mod choose;
mod collect;
mod entry;
mod event;
mod forest;
mod marks;
mod names;
mod progress;
mod ring;
mod scan;
mod shown;
mod spans;
mod tally;
mod unpacked;

use std::collections::HashMap;

use crate::query::{
    Extent, Keep, Key, Limits, Mismatches, Period, Query, Range, SpanOutcomes, Subject, Verdict, Within,
};
use crate::source::{Body, Damage, RecordedSpans, Source, SourceCallsite};
use crate::text::time::When;
use choose::choose;
use collect::{Collection, order_of};
use marks::{complete_from, find_marks};
use scan::{At, Scan, read_names};
use unpacked::{Unpacked, with_room};

pub use collect::SPAN_BYTES_MAX;
pub use entry::{Entry, PartRef, Place};
pub use event::{Event, EventRoom, Events};
pub use forest::SpanNode;
pub use marks::Mark;
pub use progress::Progress;
pub use ring::{Context, RingView};
pub use scan::ENTRIES_MAX;
pub use shown::{News, ShownEvents};
pub use spans::{OpenSpan, SpanTree};
pub use tally::Tally;
pub use unpacked::UNPACKED_MAX;

/// The events of all sources in time order.
#[derive(Debug)]
pub struct Timeline<'s, 'a> {
    /// Sources of the events.
    pub sources: &'s [Source<'a>],
    /// Findings in each source.
    pub found: Vec<Tally>,
    /// The rings.
    pub rings: Vec<RingView>,
    /// The segments, in reading order.
    pub parts: Vec<PartRef>,
    /// The events that passed the filter, in order.
    pub entries: Vec<Entry>,
    /// Annotations between the events, in order.
    pub marks: Vec<(Place, Mark)>,
    /// Place of the last event of all, whether or not it passed the filter.
    pub end: Option<i64>,
    /// Place of the first event of all.
    pub start: Option<i64>,
    /// Number of matching events that were left out because there were too many.
    pub overflow: u64,
    /// Spans of each ring; of each source, if every copy of a segment is read.
    pub spans: Vec<RecordedSpans>,
    /// Number of records of spans that were ignored because there were too many.
    pub span_overflow: u64,
    /// Events that a condition could not compare, because their values are of another kind than what it wants.
    pub mismatches: Mismatches,
    /// Number of matching events that were left out because they have no time of the kind of a limit: a date or a time
    /// of day, and a device without a wall clock.
    pub undated: u64,
    /// Whether every copy of a segment is read.
    duplicates: bool,
    unpacked: Unpacked,
}

impl<'s, 'a> Timeline<'s, 'a> {
    /// Reads all sources.
    #[must_use]
    pub fn read(sources: &'s [Source<'a>], query: &Query, progress: &mut dyn Progress) -> Self {
        let chosen = choose(sources, query.duplicates);
        let tally = |duplicates| Tally { duplicates, ..Tally::default() };
        let mut timeline = Timeline {
            sources,
            found: chosen.left_out.into_iter().map(tally).collect(),
            rings: chosen.rings,
            unpacked: Unpacked::new(chosen.parts.len()),
            parts: chosen.parts,
            entries: Vec::new(),
            marks: Vec::new(),
            end: None,
            start: None,
            overflow: 0,
            spans: Vec::new(),
            span_overflow: 0,
            mismatches: Mismatches::default(),
            undated: 0,
            duplicates: query.duplicates,
        };
        // Limits that depend on the recording's extent can be applied only once it is known. So it is with spans: a
        // segment that is read later can have the start of one.
        let concerns_spans = query.filter.concerns_spans();
        let late = query.limits.depend_on_extent() || concerns_spans;
        let (keep, range) = match late {
            true => (Keep::All, Range::default()),
            false => (query.keep, query.limits.resolve(Extent::default())),
        };
        let span_count = if query.duplicates { sources.len() } else { timeline.rings.len() };
        let mut scan = Scan::new(sources, query, keep, range, Collection::new(sources, span_count));
        let mut scratch = Vec::new();
        let total = timeline.parts.len();
        if query.filter.conditions().iter().any(|condition| condition.key == Key::Thread) {
            // Whether an event is wanted depends on a name that can be recorded in a segment that is read later.
            for index in 0..total {
                timeline.read_names(index, &mut scratch);
            }
            timeline.rings.iter_mut().for_each(RingView::finish_names);
            scan.has_names = true;
        }
        for index in 0..total {
            timeline.read_part(index, &mut scan, &mut scratch);
            progress.step(index, total, scan.matched);
        }
        if !scan.has_names {
            timeline.rings.iter_mut().for_each(RingView::finish_names);
        }
        timeline.entries = std::mem::take(&mut scan.kept);
        // This sort is stable, and fast on input that consists of sorted stretches, as the events of each context do.
        timeline.entries.sort_by_key(Entry::place);
        timeline.cut(keep);
        (timeline.start, timeline.end) = (scan.start, scan.end);
        timeline.overflow = scan.overflow;
        timeline.undated = scan.undated;
        timeline.mismatches = std::mem::take(&mut scan.mismatches);
        timeline.span_overflow = scan.spans.overflow;
        timeline.spans = timeline.fold_spans(scan.spans);
        if concerns_spans {
            timeline.select_by_spans(query, &mut scratch);
        }
        timeline.marks = find_marks(sources, &mut timeline.rings, scan.start.zip(scan.end));
        if late && timeline.end.is_some() {
            timeline.narrow(&query.limits, query.keep);
        }
        timeline
    }

    fn fold_spans(&self, collection: Collection) -> Vec<RecordedSpans> {
        let end =
            |ring: &RingView, source: usize| (complete_from(self.sources, ring), ring.last_sign(self.sources), source);
        let ends: Vec<_> = if self.duplicates {
            let rings = (0..self.sources.len()).map(|source| (self.ring_of(source), source));
            rings.map(|(ring, source)| ring.map_or((i64::MIN, 0, source), |ring| end(ring, source))).collect()
        } else {
            self.rings.iter().map(|ring| end(ring, ring.newest)).collect()
        };
        collection.fold(self.sources, &ends)
    }

    /// Drops entries of which the spans do not fulfill the conditions. The others were evaluated without counting what
    /// does not compare.
    fn select_by_spans(&mut self, query: &Query, scratch: &mut Vec<u8>) {
        let verdicts_of = |source: &Source<'_>| -> Vec<Verdict> {
            let callsites = std::iter::once(None).chain(source.callsites.places());
            callsites.map(|callsite| Verdict::new(&query.filter, source, callsite)).collect()
        };
        let verdicts: Vec<_> = self.sources.iter().map(verdicts_of).collect();
        let mut outcomes: HashMap<(usize, u64), SpanOutcomes> = HashMap::new();
        let (mut mismatches, mut payload) = (Mismatches::default(), Vec::new());
        let mut entries = std::mem::take(&mut self.entries);
        entries.retain(|entry| {
            self.payload(entry, scratch, &mut payload);
            let index = self.parts[entry.part as usize].source as usize;
            let source = &self.sources[index];
            let callsite = source.callsite(entry.callsite);
            let (spans, id) = (self.spans_of(entry), self.span_id_of(entry, callsite, &payload));
            let spans_index = self.spans_index(self.parts[entry.part as usize]);
            let outcomes = outcomes
                .entry((spans_index, id))
                .or_insert_with(|| SpanOutcomes::new(&query.filter, &spans.path(self.sources, id)));
            let thread = self.thread_of(entry).map_or("", |(name, _)| name);
            let subject =
                Subject { callsite, payload: &payload, context: entry.context, thread, spans: Some(outcomes) };
            let verdict = verdicts[index].get(source.callsites.place(entry.callsite).map_or(0, |place| place + 1));
            verdict.is_none_or(|verdict| verdict.decide(&query.filter, &subject, &mut mismatches))
        });
        (self.entries, self.mismatches) = (entries, mismatches);
    }

    /// Returns the spans of the ring of an entry.
    #[must_use]
    pub fn spans_of(&self, entry: &Entry) -> &RecordedSpans {
        &self.spans[self.spans_index(self.parts[entry.part as usize])]
    }

    fn spans_index(&self, part: PartRef) -> usize {
        (if self.duplicates { part.source } else { part.ring }) as usize
    }

    /// Returns the id of the span that an event is in: the one that it names, or else the one that its context is in.
    /// 0: none.
    fn span_id_of(&self, entry: &Entry, callsite: Option<&SourceCallsite<'_>>, payload: &[u8]) -> u64 {
        match callsite.and_then(|callsite| Some((callsite, callsite.roles?))) {
            Some((callsite, roles)) => roles.read(&callsite.fields, payload).map_or(0, |(id, _)| id),
            None => self.spans_of(entry).folded().current_at(entry.context, entry.key, order_of(entry)),
        }
    }

    /// Drops entries outside the limits, then all except those to keep.
    pub fn narrow(&mut self, limits: &Limits, keep: Keep) {
        let range = limits.resolve(Extent { end: self.end.unwrap_or(0), clock: self.clock_period() });
        let (sources, parts, rings) = (self.sources, &self.parts, &self.rings);
        let undated = &mut self.undated;
        self.entries.retain(|entry| {
            let PartRef { source, ring, .. } = parts[entry.part as usize];
            // The distance from the end that is shown, not the place that the order within its context demands.
            let place = if entry.time_known { rings[ring as usize].key(sources, entry.ticks) } else { entry.key };
            let within = range.contains(&sources[source as usize], entry.ticks, place);
            *undated += u64::from(within == Within::Undated);
            within == Within::Yes
        });
        self.cut(keep);
    }

    /// Returns the earliest and the latest time that a wall clock showed at events; `None` if there was none.
    fn clock_period(&self) -> Option<Period> {
        let mut period: Option<Period> = None;
        for (source, found) in self.sources.iter().zip(&self.found) {
            let Some((first, last)) = found.ticks else { continue };
            let clock = |ticks| match source.when(ticks) {
                When::Clock(unix_ns) => Some(unix_ns),
                When::Boot { .. } | When::Ticks { .. } => None,
            };
            // The clock went on between its steps.
            let steps = source.scale.steps().filter(|step| (first..=last).contains(&step.ticks));
            let at_steps = steps.flat_map(|step| [step.expected_unix_ns, step.unix_ns]);
            for unix_ns in [clock(first), clock(last)].into_iter().flatten().chain(at_steps) {
                let Period { first, last } = period.unwrap_or(Period { first: unix_ns, last: unix_ns });
                period = Some(Period { first: first.min(unix_ns), last: last.max(unix_ns) });
            }
        }
        period
    }

    fn cut(&mut self, keep: Keep) {
        match keep {
            Keep::All => {}
            Keep::Last(count) => _ = self.entries.drain(..self.entries.len().saturating_sub(count)),
            Keep::First(count) => self.entries.truncate(count),
        }
    }

    fn read_part(&mut self, index: usize, scan: &mut Scan<'_, 'a>, scratch: &mut Vec<u8>) {
        let spans = self.spans_index(self.parts[index]);
        let PartRef { source, part, ring } = self.parts[index];
        let found = &mut self.found[source as usize];
        let part = &self.sources[source as usize].parts[part as usize];
        let kept_before = scan.kept.len();
        let ring = &mut self.rings[ring as usize];
        if scan.query.duplicates && std::mem::replace(&mut ring.reading, source as usize) != source as usize {
            // The same events come again.
            ring.contexts.iter_mut().for_each(|context| context.last_keys = [None; 4]);
        }
        let at = At { source: source as usize, part: index as u32, spans, file: part };
        match &part.body {
            Body::Plain(segment) => scan.read_segment(segment, &at, ring, found),
            Body::Packed(packed) => match packed.unpack(with_room(scratch)) {
                Ok(segment) => {
                    scan.read_segment(&segment, &at, ring, found);
                    // If few events are retained in the end, the segments unpacked now are hardly ever those needed
                    // then.
                    if scan.keep == Keep::All && scan.kept.len() > kept_before {
                        self.unpacked.keep(index as u32, segment.records);
                    }
                }
                Err(error) => {
                    found.damaged_events += u64::from(part.count);
                    found.damage.push(Damage {
                        offset: part.offset,
                        len_bytes: part.len_bytes,
                        reason: format!("segment {} cannot be unpacked: {}", part.index, error.kind),
                    });
                }
            },
        }
    }

    /// Reads the names of the contexts in a segment.
    fn read_names(&mut self, index: usize, scratch: &mut Vec<u8>) {
        let PartRef { source, part, ring } = self.parts[index];
        let ring = &mut self.rings[ring as usize];
        match &self.sources[source as usize].parts[part as usize].body {
            Body::Plain(segment) => read_names(segment, ring),
            Body::Packed(packed) => {
                // Damage is counted when the events are read.
                if let Ok(segment) = packed.unpack(with_room(scratch)) {
                    read_names(&segment, ring);
                }
            }
        }
    }

    /// Returns the source of an entry.
    #[must_use]
    pub fn source_of(&self, entry: &Entry) -> &'s Source<'a> {
        &self.sources[self.parts[entry.part as usize].source as usize]
    }

    /// Returns the ring that a source holds a copy of.
    #[must_use]
    pub fn ring_of(&self, source: usize) -> Option<&RingView> {
        self.rings.iter().find(|ring| ring.sources.contains(&source))
    }

    /// Returns how long before the last event of all an entry was, by its own clock reading.
    #[must_use]
    pub fn before_end_ns(&self, entry: &Entry) -> i64 {
        let ring = &self.rings[self.parts[entry.part as usize].ring as usize];
        self.end.unwrap_or(0).saturating_sub(ring.key(self.sources, entry.ticks))
    }

    /// Returns the context of an entry, if anything is known of it.
    #[must_use]
    pub fn context_of(&self, entry: &Entry) -> Option<&Context> {
        self.rings[self.parts[entry.part as usize].ring as usize].context(entry.context)
    }

    /// Returns the name of the context of an entry, as it was then, and its system id, if anything is known of it.
    #[must_use]
    pub fn thread_of(&self, entry: &Entry) -> Option<(&str, u64)> {
        let ring = &self.rings[self.parts[entry.part as usize].ring as usize];
        let context = ring.context(entry.context)?;
        Some((ring.name_of(context, entry.ticks), context.os_thread_id))
    }

    /// Copies the payload of an entry into `out`.
    pub fn payload(&mut self, entry: &Entry, scratch: &mut Vec<u8>, out: &mut Vec<u8>) {
        out.clear();
        let part = self.parts[entry.part as usize];
        let start = usize::from(entry.payload_offset);
        let range = start..start + usize::from(entry.payload_len);
        match &self.sources[part.source as usize].parts[part.part as usize].body {
            Body::Plain(segment) => out.extend_from_slice(segment.records.get(range).unwrap_or_default()),
            Body::Packed(packed) => {
                let records = self.unpacked.records(entry.part, packed, scratch);
                out.extend_from_slice(records.and_then(|records| records.get(range)).unwrap_or_default());
            }
        }
    }
}

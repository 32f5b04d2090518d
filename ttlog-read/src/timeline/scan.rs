//! Reading segments into entries.

use std::cmp::Reverse;

use ttlog_core::Record;
use ttlog_core::record::ContextInfo;
use ttlog_core::ring::{Item, Mode, Segment};

use super::collect::Collection;
use super::entry::{Entry, Place};
use super::ring::{RingView, Run};
use super::tally::Tally;
use crate::query::{Keep, Mismatches, Query, Range, Subject, Verdict, Within};
use crate::source::{Damage, Part, Source};

/// Most entries that are retained, in addition to one for each two bytes of input. Real recordings need fewer; a file
/// made to exhaust memory gets no more.
pub const ENTRIES_MAX: usize = 32 << 20;

/// Reads segments into entries, and retains the wanted ones.
pub(super) struct Scan<'q, 'a> {
    sources: &'q [Source<'a>],
    pub(super) query: &'q Query,
    pub(super) keep: Keep,
    range: Range,
    /// Verdict of the filter per source and callsite, as far as the callsite determines it; the first is for events of
    /// unknown callsites.
    verdicts: Vec<Vec<Verdict>>,
    /// Events that conditions could not compare.
    pub(super) mismatches: Mismatches,
    /// Number of matching events that have no time of the kind of a limit.
    pub(super) undated: u64,
    pub(super) kept: Vec<Entry>,
    /// Number of events that matched so far, whether or not they are among those retained.
    pub(super) matched: usize,
    /// Lower limit: entries below this place are not among the last N.
    floor: Option<Place>,
    /// Upper limit: entries above this place are not among the first N.
    ceiling: Option<Place>,
    /// Most entries that are retained.
    most: usize,
    /// Number of entries beyond that.
    pub(super) overflow: u64,
    pub(super) end: Option<i64>,
    pub(super) start: Option<i64>,
    /// Session that was read last.
    session: Option<ReadSession>,
    /// Whether the names of the contexts are known already.
    pub(super) has_names: bool,
    /// Records of spans.
    pub(super) spans: Collection,
}

/// A session of a device that was read.
#[derive(Clone, Copy, Debug)]
struct ReadSession {
    ring_id: u64,
    /// Shift from its clock to its place in the timeline, in nanoseconds.
    shift_ns: i64,
    /// Place of its last event.
    last_key: i64,
}

impl ReadSession {
    /// Returns the shift of the next session, whose first event its own clock puts at `first_ns`. A clock that started
    /// anew starts after the last event; a clock that continued keeps its shift.
    fn next_shift_ns(&self, first_ns: i64) -> i64 {
        if first_ns.saturating_add(self.shift_ns) > self.last_key {
            self.shift_ns
        } else {
            self.last_key.saturating_add(1)
        }
    }
}

impl<'q, 'a> Scan<'q, 'a> {
    pub(super) fn new(
        sources: &'q [Source<'a>],
        query: &'q Query,
        keep: Keep,
        range: Range,
        spans: Collection,
    ) -> Self {
        let verdicts = sources
            .iter()
            .map(|source| {
                let callsites = std::iter::once(None).chain(source.callsites.places());
                callsites.map(|callsite| Verdict::new(&query.filter, source, callsite)).collect()
            })
            .collect();
        let input_len: u64 = sources.iter().map(|source| source.len_bytes).sum();
        let most = usize::try_from(input_len / 2).unwrap_or(usize::MAX).saturating_add(ENTRIES_MAX);
        Scan {
            sources,
            query,
            keep,
            range,
            verdicts,
            mismatches: Mismatches::default(),
            undated: 0,
            kept: Vec::new(),
            matched: 0,
            floor: None,
            ceiling: None,
            most,
            overflow: 0,
            end: None,
            start: None,
            session: None,
            has_names: false,
            spans,
        }
    }

    /// Reads the events of a segment, in the order in which they were recorded.
    pub(super) fn read_segment(&mut self, segment: &Segment<'_>, at: &At<'_>, ring: &mut RingView, tally: &mut Tally) {
        let (events_before, damage_before) = (tally.events, tally.damage.len());
        let verdicts = std::mem::take(&mut self.verdicts[at.source]);
        let origin = segment.records.as_ptr().addr();
        let has_ids = self.spans.has_ids(at.source);
        let mut reading = Reading::default();
        let mut items = segment.items();
        for item in items.by_ref() {
            match item {
                Item::Event(record) => {
                    tally.events += 1;
                    if record.ticks_known {
                        let (first, last) = tally.ticks.unwrap_or((record.ticks, record.ticks));
                        tally.ticks = Some((first.min(record.ticks), last.max(record.ticks)));
                    }
                    let context = reading.context(ring, record.context);
                    if !self.has_names {
                        reading.names.note(&record, context, ring);
                    }
                    let key = self.place(&record, at, ring, context, segment.header.mode);
                    reading.last_key = reading.last_key.max(Some(key));
                    let payload_offset = record.payload.as_ptr().addr().wrapping_sub(origin);
                    let entry = Entry {
                        key,
                        ticks: record.ticks,
                        part: at.part,
                        context: record.context,
                        // A segment has at most 65,536 bytes, including its header.
                        payload_offset: if record.payload.is_empty() { record.offset } else { payload_offset } as u16,
                        payload_len: record.payload.len() as u16,
                        callsite: record.callsite,
                        time_known: record.ticks_known,
                    };
                    match record.index {
                        Some(index) => reading.extend_run(ring, &self.sources[at.source], &entry, index),
                        // Events in shared segments and in the priority class neither have an index nor use one up.
                        None => {
                            let is_indexed = segment.header.mode == Mode::Exclusive && !segment.header.is_priority();
                            ring.contexts[context].unindexed += u64::from(is_indexed);
                        }
                    }
                    if has_ids && self.spans.note(at.source, self.sources, at.spans, &record, &entry) {
                        tally.span_records += 1;
                        if !self.query.span_records {
                            continue;
                        }
                    }
                    let thread = if self.has_names { ring.name_of(&ring.contexts[context], record.ticks) } else { "" };
                    if self.accepts(&record, key, at, &verdicts, thread) {
                        self.keep(entry);
                    }
                }
                Item::Context(info) if !self.has_names => reading.names.learn(&info, ring),
                Item::Context(_) => {}
                Item::Pending { .. } => reading.pending += 1,
                Item::Damaged { offset, len_bytes } => tally.damage.push(Damage {
                    offset: at.file.records_offset + offset as u64,
                    len_bytes: len_bytes as u64,
                    reason: format!("records of segment {} are damaged", segment.header.index),
                }),
            }
        }
        reading.names.finish(segment, ring);
        self.verdicts[at.source] = verdicts;
        ring.runs.extend(reading.run);
        self.remember_session(ring, reading.last_key);
        let events = tally.events - events_before;
        tally.pending += if segment.header.mode == Mode::Exclusive || tally.damage.len() > damage_before {
            // A snapshot's writer counted too, and can have seen records that are not in its data.
            reading.pending.max(at.file.pending.into())
        } else {
            // Reservations that are not events; consecutive ones can look like a single one.
            u64::from(segment.header.count).saturating_sub(events)
        };
        tally.damaged_events += u64::from(items.missing().max(at.file.damaged));
    }

    /// Returns the place of an event in the timeline: its clock reading, but never before its predecessor in the same
    /// run of the context.
    fn place(&mut self, record: &Record<'_>, at: &At<'_>, ring: &mut RingView, context: usize, mode: Mode) -> i64 {
        let smooth_ns = self.sources[ring.newest].scale.smooth_ns(record.ticks).saturating_add(ring.later_steps_ns);
        let smooth_ns = smooth_ns.saturating_add(self.session_shift_ns(ring, smooth_ns));
        let run = 2 * usize::from(at.file.is_priority()) + usize::from(mode != Mode::Exclusive);
        let last_key = &mut ring.contexts[context].last_keys[run];
        let key = match *last_key {
            Some(last) if !record.ticks_known => last,
            Some(last) => last.max(smooth_ns),
            None => smooth_ns,
        };
        *last_key = Some(key);
        self.end = self.end.max(Some(key));
        self.start = Some(self.start.map_or(key, |start| start.min(key)));
        key
    }

    /// Returns by how much a session of a device is shifted because of earlier sessions; 0 if there are none.
    fn session_shift_ns(&self, ring: &mut RingView, first_ns: i64) -> i64 {
        let Some(ring_id) = ring.session_of else { return 0 };
        *ring.shift_ns.get_or_insert_with(|| {
            let before = self.session.filter(|session| session.ring_id == ring_id);
            before.map_or(0, |before| before.next_shift_ns(first_ns))
        })
    }

    /// Records the place of the last event of a device session, for the session after it.
    fn remember_session(&mut self, ring: &RingView, last_key: Option<i64>) {
        if let (Some(ring_id), Some(shift_ns)) = (ring.session_of, ring.shift_ns) {
            let same = self.session.filter(|session| (session.ring_id, session.shift_ns) == (ring_id, shift_ns));
            let last_key = last_key.unwrap_or(i64::MIN);
            let last_key = same.map_or(last_key, |session| session.last_key.max(last_key));
            self.session = Some(ReadSession { ring_id, shift_ns, last_key });
        }
    }

    /// Returns whether an event is wanted.
    #[inline]
    fn accepts(&mut self, record: &Record<'_>, key: i64, at: &At<'_>, verdicts: &[Verdict], thread: &str) -> bool {
        let source = &self.sources[at.source];
        let within = self.range.contains(source, record.ticks, key);
        if within == Within::No {
            return false;
        }
        let verdict = verdicts.get(source.callsites.place(record.callsite).map_or(0, |place| place + 1));
        let is_selected = verdict.is_none_or(|verdict| {
            let callsite = source.callsite(record.callsite);
            let subject = Subject { callsite, payload: record.payload, context: record.context, thread, spans: None };
            verdict.decide(&self.query.filter, &subject, &mut self.mismatches)
        });
        self.undated += u64::from(is_selected && within == Within::Undated);
        is_selected && within == Within::Yes
    }

    fn keep(&mut self, entry: Entry) {
        self.matched += 1;
        match self.keep {
            Keep::All if self.kept.len() >= self.most => self.overflow += 1,
            Keep::All => self.kept.push(entry),
            Keep::Last(count) => {
                if self.floor.is_none_or(|floor| entry.place() > floor) {
                    self.kept.push(entry);
                }
                if self.kept.len() >= count.saturating_mul(2).saturating_add(4096) {
                    self.kept.select_nth_unstable_by_key(count, |entry| Reverse(entry.place()));
                    self.floor = Some(self.kept[count].place());
                    self.kept.truncate(count);
                }
            }
            Keep::First(count) => {
                if self.ceiling.is_none_or(|ceiling| entry.place() < ceiling) {
                    self.kept.push(entry);
                }
                if self.kept.len() >= count.saturating_mul(2).saturating_add(4096) {
                    self.kept.select_nth_unstable_by_key(count, Entry::place);
                    self.ceiling = Some(self.kept[count].place());
                    self.kept.truncate(count);
                }
            }
        }
    }
}

/// The segment being read.
pub(super) struct At<'p> {
    /// Index of the source.
    pub(super) source: usize,
    /// Index among the segments to read.
    pub(super) part: u32,
    /// Index of its spans.
    pub(super) spans: usize,
    /// The segment in its source.
    pub(super) file: &'p Part<'p>,
}

/// State carried from one event of a segment to the next.
#[derive(Default)]
struct Reading {
    /// Context of the last event, and its index in the ring's list.
    context: Option<(u32, usize)>,
    /// Consecutive events of one context without a gap.
    run: Option<Run>,
    /// Number of records that were being written.
    pending: u64,
    /// Place of the last event.
    last_key: Option<i64>,
    names: ReadingNames,
}

/// Reads only the names of the contexts in a segment.
pub(super) fn read_names(segment: &Segment<'_>, ring: &mut RingView) {
    let mut names = ReadingNames::default();
    for item in segment.items() {
        match item {
            Item::Event(record) => {
                let context = ring.index_of(record.context);
                names.note(&record, context, ring);
            }
            Item::Context(info) => names.learn(&info, ring),
            Item::Pending { .. } | Item::Damaged { .. } => {}
        }
    }
    names.finish(segment, ring);
}

/// Names of contexts in the segment being read.
#[derive(Default)]
struct ReadingNames {
    /// Contexts that have told their names here.
    told: Vec<usize>,
    /// Time of the last event.
    last_ticks: u64,
}

impl ReadingNames {
    fn learn(&mut self, info: &ContextInfo<'_>, ring: &mut RingView) {
        self.told.push(ring.learn(info));
    }

    #[inline]
    fn note(&mut self, record: &Record<'_>, context: usize, ring: &mut RingView) {
        if record.ticks_known {
            self.last_ticks = record.ticks;
            ring.contexts[context].history.reach(record.ticks);
        }
    }

    /// Dates the names of contexts without a later event in the segment.
    fn finish(self, segment: &Segment<'_>, ring: &mut RingView) {
        for context in self.told {
            ring.contexts[context].history.reach(self.last_ticks.max(segment.header.base_ticks));
        }
    }
}

impl Reading {
    /// Returns the index of a context in the ring's list.
    #[inline]
    fn context(&mut self, ring: &mut RingView, id: u32) -> usize {
        match self.context {
            Some((last, index)) if last == id => index,
            _ => {
                let index = ring.index_of(id);
                self.context = Some((id, index));
                index
            }
        }
    }

    /// Extends the run by an event, or starts a new run if the event's index does not follow.
    #[inline]
    fn extend_run(&mut self, ring: &mut RingView, source: &Source<'_>, entry: &Entry, index: u64) {
        match &mut self.run {
            Some(run) if run.context == entry.context && run.start.wrapping_add(run.count) == index => run.count += 1,
            run => {
                let begun = Run {
                    context: entry.context,
                    start: index,
                    count: 1,
                    first: entry.place(),
                    first_when: source.when(entry.ticks),
                };
                ring.runs.extend(run.replace(begun));
            }
        }
    }
}

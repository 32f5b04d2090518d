//! The timeline: the events of all sources in time order, with the places where events are missing.
//!
//! Sources are read segment by segment, in the order in which each ring's segments were opened. For each event that passes the
//! filter only a small [`Entry`] is kept; values are read again when the event is shown, so filtering and counting allocate nothing
//! per event. Snapshots of one ring share segments; of these the fullest copy is read and the others are left out.
//!
//! Entries are sorted by a time in which no step of the wall clock occurs ([`TimeScale::smooth_ns`](ttlog_core::TimeScale::smooth_ns)),
//! so the order is right although somebody set the clock; where it was set a [`Mark`] says so. All sources of a ring are ordered by the
//! scale of that which knows most, and a ring that ended before a step by what others of its host know of it. Within one context
//! the recorded order rules: an event whose clock reading is before that of its predecessor is placed as if both had the same.
//! (Warnings and errors have segments of their own, and an order of their own; among the others of their context they stand by time.)
//! Equal times are ordered by source, then by place in the ring.
//!
//! Sessions of a device stand one after the other, each as a ring of its own: their clocks start anew, or go on.
//!
//! Memory: 32 bytes per kept event, and the unpacked segments of kept events up to [`UNPACKED_MAX`] bytes; beyond that
//! segments are unpacked again as they are needed.

mod event;
mod progress;
mod shown;

pub use event::{Event, EventRoom, Events};
pub use progress::Progress;
pub use shown::{News, ShownEvents};

use std::cmp::Reverse;
use std::collections::{HashMap, VecDeque};

use ttlog_core::record::ContextInfo;
use ttlog_core::ring::{Item, Mode, Segment};

use crate::query::{Keep, Limits, Query, Range, Verdict};
use crate::source::{Body, Damage, Kind, Part, Source, UNPACK_LEN};
use crate::text::time::When;

/// Most bytes of unpacked segments that are held at a time.
pub const UNPACKED_MAX: usize = 512 << 20;

/// Most entries that are kept, beside one for each two bytes of input. Real recordings need fewer; a file made to exhaust memory gets
/// no more.
pub const ENTRIES_MAX: usize = 32 << 20;

/// An event as the timeline holds it: when it is shown and where it lies.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Where it stands in the timeline: nanoseconds since 1970 but for steps of the wall clock, never before its predecessor in the
    /// same context.
    pub key: i64,
    /// The reading of the recording clock.
    pub ticks: u64,
    /// Index of its segment in [`Timeline::parts`].
    pub part: u32,
    /// The context; 0: unknown.
    pub context: u32,
    /// Where its payload starts in the segment's records.
    pub payload_offset: u16,
    /// Bytes of its payload.
    pub payload_len: u16,
    /// Its callsite.
    pub callsite: u16,
    /// Whether its time is known: damage before it may have hidden what the clock readings count from.
    pub time_known: bool,
}

impl Entry {
    /// Returns where it stands among entries and marks.
    #[must_use]
    pub fn place(&self) -> Place {
        (self.key, self.part, self.payload_offset)
    }
}

/// Where something stands in the timeline; ordered.
pub type Place = (i64, u32, u16);

/// A segment that is part of the timeline.
#[derive(Clone, Copy, Debug)]
pub struct PartRef {
    /// Index of the source.
    pub source: u32,
    /// Index of the segment in the source.
    pub part: u32,
    /// Index of the ring in [`Timeline::rings`].
    pub ring: u32,
}

/// A ring, of which several sources can be pictures.
#[derive(Debug)]
pub struct RingView {
    /// Indexes of the sources, in the order given.
    pub sources: Vec<usize>,
    /// The source whose scale knows most of the wall clock's steps.
    newest: usize,
    /// The source that is being read, where each is read by itself.
    reading: usize,
    /// Steps of the wall clock after all of this ring, which others know of; in nanoseconds.
    later_steps_ns: i64,
    /// Of a session of a device, the identity of its ring.
    session_of: Option<u64>,
    /// How much later it stands than its clock says, for there are earlier sessions; `None` until its first event was met.
    shift_ns: Option<i64>,
    contexts: Vec<Context>,
    /// Where each context stands in `contexts`.
    by_id: HashMap<u32, usize>,
    runs: Vec<Run>,
}

impl RingView {
    fn new() -> Self {
        RingView {
            sources: Vec::new(),
            newest: 0,
            reading: 0,
            later_steps_ns: 0,
            session_of: None,
            shift_ns: None,
            contexts: Vec::new(),
            by_id: HashMap::new(),
            runs: Vec::new(),
        }
    }

    /// Gives where ticks stand in the timeline.
    fn key(&self, sources: &[Source<'_>], ticks: u64) -> i64 {
        let smooth_ns = sources[self.newest].scale.smooth_ns(ticks);
        smooth_ns.saturating_add(self.later_steps_ns).saturating_add(self.shift_ns.unwrap_or(0))
    }

    /// Gives the name of the thread with this context (0: unknown) or system id (0: unknown), if it has one.
    #[must_use]
    pub fn thread_name(&self, context: u32, os_thread_id: u64) -> Option<&str> {
        let of_id = || self.contexts.iter().find(|context| os_thread_id != 0 && context.os_thread_id == os_thread_id);
        let context = if context == 0 { of_id() } else { self.context(context).or_else(of_id) };
        context.map(|context| context.name.as_str()).filter(|name| !name.is_empty())
    }

    /// Gives what is known of a context, if anything is.
    #[must_use]
    pub fn context(&self, id: u32) -> Option<&Context> {
        self.by_id.get(&id).map(|&index| &self.contexts[index])
    }

    /// Gives the index of a context, known from now on.
    fn index_of(&mut self, id: u32) -> usize {
        *self.by_id.entry(id).or_insert_with(|| {
            self.contexts.push(Context::default());
            self.contexts.len() - 1
        })
    }
}

/// A thread, task, core or interrupt that recorded.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// The name it had last; may be empty.
    pub name: String,
    /// The operating system's id of the thread; 0: unknown.
    pub os_thread_id: u64,
    /// Where its last event stands, once there was one: of the kept class, and of the others.
    last_keys: [Option<i64>; 2],
    /// Events of which it is not known which of the context's they are.
    unindexed: u64,
}

/// Events of one context that follow one another without a gap.
#[derive(Clone, Copy, Debug)]
struct Run {
    context: u32,
    start: u64,
    count: u64,
    first: Place,
    /// When the first was.
    first_when: When,
}

/// What was found in a source while it was read.
#[derive(Clone, Debug, Default)]
pub struct Found {
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

impl Found {
    /// Returns whether anything of the source that it is of is damaged.
    #[must_use]
    pub fn is_damaged(&self, source: &Source<'_>) -> bool {
        let cut_off = matches!(source.kind, Kind::Snapshot { complete: false, .. });
        cut_off || self.damaged_events > 0 || !source.damage.is_empty() || !self.damage.is_empty()
    }
}

/// A place where something is to be said between events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mark {
    /// From here on the ring's events are all there.
    CompleteFrom {
        /// Index of the ring.
        ring: usize,
        /// The time.
        when: When,
        /// Whether that is said of warnings and errors, which have segments of their own; else of all others.
        kept: bool,
        /// Events overwritten before, where known.
        overwritten: Option<u64>,
        /// Events before that a snapshot left out.
        left_out: u64,
    },
    /// The wall clock was set, or went on while the recording clock stood (the machine slept).
    ClockStep {
        /// Index of the ring.
        ring: usize,
        /// What it would have shown.
        expected_unix_ns: i64,
        /// What it showed.
        unix_ns: i64,
    },
    /// Events of a context are missing.
    Gap {
        /// Index of the ring.
        ring: usize,
        /// The context.
        context: u32,
        /// How many.
        count: u64,
        /// When the event after them was.
        when: When,
    },
}

/// The events of all sources in time order.
#[derive(Debug)]
pub struct Timeline<'s, 'a> {
    /// Where the events come from.
    pub sources: &'s [Source<'a>],
    /// What was found in each.
    pub found: Vec<Found>,
    /// The rings.
    pub rings: Vec<RingView>,
    /// The segments, in reading order.
    pub parts: Vec<PartRef>,
    /// The events that passed the filter, in order.
    pub entries: Vec<Entry>,
    /// What is to be said between them, in order.
    pub marks: Vec<(Place, Mark)>,
    /// Where the last event of all stands, whether it passed the filter or not.
    pub end: Option<i64>,
    /// Where the first stands.
    pub start: Option<i64>,
    /// Matching events that are left out because there were too many.
    pub overflow: u64,
    unpacked: Unpacked,
}

/// Unpacked records of segments, the oldest given up first.
#[derive(Debug)]
struct Unpacked {
    records: Vec<Option<Box<[u8]>>>,
    order: VecDeque<u32>,
    bytes: usize,
    limit: usize,
}

impl Unpacked {
    fn keep(&mut self, part: u32, records: &[u8]) {
        while self.bytes + records.len() > self.limit {
            let Some(oldest) = self.order.pop_front() else { break };
            if let Some(freed) = self.records[oldest as usize].take() {
                self.bytes -= freed.len();
            }
        }
        self.bytes += records.len();
        self.order.push_back(part);
        self.records[part as usize] = Some(records.into());
    }
}

impl<'s, 'a> Timeline<'s, 'a> {
    /// Reads all sources.
    #[must_use]
    pub fn read(sources: &'s [Source<'a>], query: &Query, progress: &mut dyn Progress) -> Self {
        let mut timeline = Timeline {
            sources,
            found: vec![Found::default(); sources.len()],
            rings: Vec::new(),
            parts: Vec::new(),
            entries: Vec::new(),
            marks: Vec::new(),
            end: None,
            start: None,
            overflow: 0,
            unpacked: Unpacked { records: Vec::new(), order: VecDeque::new(), bytes: 0, limit: UNPACKED_MAX },
        };
        timeline.choose_parts(query.duplicates);
        timeline.unpacked.records.resize_with(timeline.parts.len(), || None);
        // What depends on the last event can be left out only once that is known.
        let late = query.limits.depend_on_end();
        let (keep, range) = if late { (Keep::All, Range::ALL) } else { (query.keep, query.limits.resolve(0)) };
        let mut scan = Scan::new(sources, query, keep, range);
        let mut scratch = Vec::new();
        let total = timeline.parts.len();
        for index in 0..total {
            timeline.read_part(index, &mut scan, &mut scratch);
            progress.step(index, total, timeline.entries.len());
        }
        timeline.entries = std::mem::take(&mut scan.kept);
        // Stable, and quick on what comes in sorted stretches, as the events of each context do.
        timeline.entries.sort_by_key(Entry::place);
        timeline.cut(keep);
        (timeline.start, timeline.end) = (scan.start, scan.end);
        timeline.overflow = scan.overflow;
        timeline.mark_gaps();
        timeline.mark_complete_from();
        timeline.mark_steps();
        timeline.marks.sort_by_key(|(place, _)| *place);
        if late && timeline.end.is_some() {
            timeline.narrow(&query.limits, query.keep);
        }
        timeline
    }

    /// Drops entries outside the limits, then all but those to keep.
    pub fn narrow(&mut self, limits: &Limits, keep: Keep) {
        let range = limits.resolve(self.end.unwrap_or(0));
        let (sources, parts) = (self.sources, &self.parts);
        let clock = |entry: &Entry| sources[parts[entry.part as usize].source as usize].scale.unix_ns(entry.ticks);
        self.entries.retain(|entry| range.contains(entry.key, || clock(entry)));
        self.cut(keep);
    }

    fn cut(&mut self, keep: Keep) {
        match keep {
            Keep::All => {}
            Keep::Last(count) => _ = self.entries.drain(..self.entries.len().saturating_sub(count)),
            Keep::First(count) => self.entries.truncate(count),
        }
    }

    /// Decides which segments are read, and in which order.
    fn choose_parts(&mut self, duplicates: bool) {
        let mut ring_of = HashMap::new();
        // Sessions of one ring are read one after the other, for each stands behind the one before.
        let mut order: Vec<(usize, u32, usize)> = Vec::new(); // first source of the ring, session, source
        let mut first_of = HashMap::new();
        for (index, source) in self.sources.iter().enumerate() {
            let first = if source.ring_id == 0 { index } else { *first_of.entry(source.ring_id).or_insert(index) };
            order.push((first, source.session.map_or(0, |session| session.boot), index));
        }
        order.sort_unstable();
        let mut chosen: Vec<(u32, u64, u32, u32, u32)> = Vec::new(); // ring, sequence, source, part, count
        for (first, boot, index) in order {
            let source = &self.sources[index];
            // A snapshot that has lost its header does not say whose it is: it is its own first.
            let ring = *ring_of.entry((first, boot)).or_insert_with(|| {
                self.rings.push(RingView::new());
                self.rings.len() - 1
            });
            self.rings[ring].session_of = source.session.map(|_| source.ring_id);
            self.rings[ring].sources.push(index);
            for (part, segment) in source.parts.iter().enumerate() {
                chosen.push((ring as u32, segment.sequence, index as u32, part as u32, segment.count));
            }
        }
        self.choose_scales();
        // Of the copies of a segment the fullest comes first; segments only ever grow. With all copies each source is read by
        // itself.
        chosen.sort_unstable_by_key(|&(ring, sequence, source, part, count)| {
            (ring, if duplicates { source } else { 0 }, sequence, Reverse(count), source, part)
        });
        let mut last = None;
        for (ring, sequence, source, part, count) in chosen {
            if !duplicates && sequence != 0 && last == Some((ring, sequence)) {
                self.found[source as usize].duplicates += u64::from(count);
                continue;
            }
            last = Some((ring, sequence));
            self.parts.push(PartRef { source, part, ring });
        }
    }

    /// Decides by which scale each ring is ordered.
    fn choose_scales(&mut self) {
        let sources = self.sources;
        let newest_of = |indexes: &mut dyn Iterator<Item = usize>| {
            indexes.max_by_key(|&index| (sources[index].newest_anchor, std::cmp::Reverse(index))).unwrap_or(0)
        };
        for ring in &mut self.rings {
            ring.newest = newest_of(&mut ring.sources.iter().copied());
        }
        // Recorders of one host have one clock in common, if it has the same name; what one saw of its steps is true for all.
        let clock = |index: usize| {
            sources[index].process.map(|process| (process.host, process.clock)).filter(|(host, _)| !host.is_empty())
        };
        for ring in &mut self.rings {
            let own = sources[ring.newest].newest_anchor;
            if let (Some(name), 1..) = (clock(ring.newest), own) {
                let newest = newest_of(&mut (0..sources.len()).filter(|&index| clock(index) == Some(name)));
                let scale = &sources[newest].scale;
                ring.later_steps_ns = scale.smooth_ns(own).saturating_sub(scale.unix_ns(own));
            }
        }
    }

    fn read_part(&mut self, index: usize, scan: &mut Scan<'_, 'a>, scratch: &mut Vec<u8>) {
        let PartRef { source, part, ring } = self.parts[index];
        let found = &mut self.found[source as usize];
        let part = &self.sources[source as usize].parts[part as usize];
        let kept_before = scan.kept.len();
        let ring = &mut self.rings[ring as usize];
        if scan.query.duplicates && std::mem::replace(&mut ring.reading, source as usize) != source as usize {
            // The same events come again.
            ring.contexts.iter_mut().for_each(|context| context.last_keys = [None; 2]);
        }
        match &part.body {
            Body::Plain(segment) => scan.read_segment(segment, index as u32, source as usize, part, ring, found),
            Body::Packed(packed) => match packed.unpack(with_room(scratch)) {
                Ok(segment) => {
                    scan.read_segment(&segment, index as u32, source as usize, part, ring, found);
                    // Where few are kept in the end, what is unpacked now is hardly ever what is needed then.
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

    /// Gives the source of an entry.
    #[must_use]
    pub fn source_of(&self, entry: &Entry) -> &'s Source<'a> {
        &self.sources[self.parts[entry.part as usize].source as usize]
    }

    /// Gives the ring that a source is a picture of.
    #[must_use]
    pub fn ring_of(&self, source: usize) -> Option<&RingView> {
        self.rings.iter().find(|ring| ring.sources.contains(&source))
    }

    /// Gives how long before the last event of all an entry was, by its own clock reading.
    #[must_use]
    pub fn before_end_ns(&self, entry: &Entry) -> i64 {
        let ring = &self.rings[self.parts[entry.part as usize].ring as usize];
        self.end.unwrap_or(0).saturating_sub(ring.key(self.sources, entry.ticks))
    }

    /// Gives the context of an entry, if anything is known of it.
    #[must_use]
    pub fn context_of(&self, entry: &Entry) -> Option<&Context> {
        self.rings[self.parts[entry.part as usize].ring as usize].context(entry.context)
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
                if self.unpacked.records[entry.part as usize].is_none() {
                    // It was unpacked before, or there would be no entry.
                    if let Ok(segment) = packed.unpack(with_room(scratch)) {
                        self.unpacked.keep(entry.part, segment.records);
                    }
                }
                let records = self.unpacked.records[entry.part as usize].as_deref();
                out.extend_from_slice(records.and_then(|records| records.get(range)).unwrap_or_default());
            }
        }
    }

    /// Finds where the indexes of a context's events jump.
    fn mark_gaps(&mut self) {
        for (index, ring) in self.rings.iter_mut().enumerate() {
            let of =
                |&source: &usize| main_overwritten(&self.sources[source]).saturating_add(self.sources[source].left_out);
            let overwritten = ring.sources.iter().map(of).fold(0, u64::saturating_add);
            let mut runs = std::mem::take(&mut ring.runs);
            runs.sort_by_key(|run| (run.context, run.start));
            let mut previous: Option<(u32, u64)> = None;
            for run in &runs {
                let expected = match previous {
                    Some((context, end)) if context == run.context => end,
                    // What is missing before the first event was overwritten, where anything was.
                    _ if overwritten > 0 => run.start,
                    _ => 0,
                };
                if run.start > expected {
                    // Events that are there, but of which it is not known which they are, may be the missing ones.
                    let context = ring.index_of(run.context);
                    let unindexed = &mut ring.contexts[context].unindexed;
                    let count = run.start - expected;
                    let explained = count.min(*unindexed);
                    *unindexed -= explained;
                    if count > explained {
                        self.marks.push((
                            run.first,
                            Mark::Gap {
                                ring: index,
                                context: run.context,
                                count: count - explained,
                                when: run.first_when,
                            },
                        ));
                    }
                }
                let end = run
                    .start
                    .saturating_add(run.count)
                    .max(previous.map_or(0, |(context, end)| if context == run.context { end } else { 0 }));
                previous = Some((run.context, end));
            }
        }
    }

    /// Finds from when on each ring's events are all there, of both classes. Sources of one ring complete each other where they overlap.
    fn mark_complete_from(&mut self) {
        for (index, ring) in self.rings.iter().enumerate() {
            for kept in [false, true] {
                let stretches = ring
                    .sources
                    .iter()
                    .map(|&source| Stretch::of(&self.sources[source], kept, |ticks| ring.key(self.sources, ticks)));
                let mut stretches: Vec<_> = stretches.collect();
                stretches.sort_unstable_by_key(|stretch| (stretch.from, stretch.until));
                let mut covered: Option<i64> = None;
                for stretch in stretches {
                    let first = covered.is_none();
                    if covered.is_none_or(|covered| stretch.from > covered) && stretch.from != i64::MIN {
                        let mark = Mark::CompleteFrom {
                            ring: index,
                            when: stretch.when,
                            kept,
                            overwritten: first.then_some(stretch.overwritten),
                            left_out: if first { stretch.left_out } else { 0 },
                        };
                        self.marks.push(((stretch.from, u32::MAX, u16::MAX), mark));
                    }
                    covered = Some(covered.map_or(stretch.until, |covered| covered.max(stretch.until)));
                }
            }
        }
    }
}

/// The stretch of time of which a source has every event of a class.
struct Stretch {
    from: i64,
    until: i64,
    /// When it started.
    when: When,
    overwritten: u64,
    left_out: u64,
}

impl Stretch {
    fn of(source: &Source<'_>, kept: bool, key: impl Fn(u64) -> i64) -> Self {
        let (from, overwritten, left_out) = if kept {
            (source.kept_complete_from, source.loss.kept_overwritten, 0)
        } else {
            (source.complete_from, main_overwritten(source), source.left_out)
        };
        Stretch {
            from: if from == 0 { i64::MIN } else { key(from) },
            until: source.taken_at.map_or(i64::MAX, key),
            when: source.when(from),
            overwritten,
            left_out,
        }
    }
}

/// Gives the events overwritten that were not of the kept class.
fn main_overwritten(source: &Source<'_>) -> u64 {
    source.loss.overwritten.saturating_sub(source.loss.kept_overwritten)
}

/// Steps of one host's clock that are as near to each other in time, and in length, are one.
const SAME_STEP_NS: (u64, u64) = (2_000_000_000, 20_000_000);

impl Timeline<'_, '_> {
    /// Finds where the wall clock was set, as far as there are events.
    fn mark_steps(&mut self) {
        let (Some(start), Some(end)) = (self.start, self.end) else { return };
        let mut steps: Vec<(i64, Mark, &str)> = Vec::new();
        for (index, ring) in self.rings.iter().enumerate() {
            let source = &self.sources[ring.newest];
            let host = source.process.map_or("", |process| process.host);
            for step in source.scale.steps() {
                let place = ring.key(self.sources, step.ticks);
                if (start..=end).contains(&place) {
                    let (expected_unix_ns, unix_ns) = (step.expected_unix_ns, step.unix_ns);
                    steps.push((place, Mark::ClockStep { ring: index, expected_unix_ns, unix_ns }, host));
                }
            }
        }
        steps.sort_by_key(|(place, ..)| *place);
        // Each recorder of the host saw it.
        let delta = |mark: &Mark| match mark {
            Mark::ClockStep { expected_unix_ns, unix_ns, .. } => unix_ns.saturating_sub(*expected_unix_ns),
            _ => 0,
        };
        steps.dedup_by(|later, earlier| {
            later.2 == earlier.2
                && later.0.abs_diff(earlier.0) < SAME_STEP_NS.0
                && delta(&later.1).abs_diff(delta(&earlier.1)) < SAME_STEP_NS.1
        });
        self.marks.extend(steps.into_iter().map(|(place, mark, _)| ((place, 0, 0), mark)));
    }
}

/// Gives the scratch the room that unpacking needs, the first time.
fn with_room(scratch: &mut Vec<u8>) -> &mut [u8] {
    if scratch.is_empty() {
        *scratch = vec![0; UNPACK_LEN];
    }
    scratch
}

/// The reading of segments into entries.
struct Scan<'q, 'a> {
    sources: &'q [Source<'a>],
    query: &'q Query,
    keep: Keep,
    range: Range,
    /// Per source and callsite id: what the filter says as far as the callsite decides.
    verdicts: Vec<Vec<Verdict>>,
    kept: Vec<Entry>,
    /// Entries below this place are not among the last that are kept.
    floor: Option<Place>,
    /// Entries above this place are not among the first that are kept.
    ceiling: Option<Place>,
    /// Most entries that are kept.
    most: usize,
    /// Entries beyond those.
    overflow: u64,
    end: Option<i64>,
    start: Option<i64>,
    /// The session that was read last.
    session: Option<ReadSession>,
}

/// A session of a device that was read.
#[derive(Clone, Copy, Debug)]
struct ReadSession {
    ring_id: u64,
    /// How much later it stands than its clock says.
    shift_ns: i64,
    /// Where its last event stands.
    last_key: i64,
}

impl ReadSession {
    /// Gives the shift of the session that follows, whose first event its clock puts at `first_ns`: a clock that started anew starts after
    /// the last event, one that went on goes on.
    fn next_shift_ns(&self, first_ns: i64) -> i64 {
        if first_ns.saturating_add(self.shift_ns) > self.last_key {
            self.shift_ns
        } else {
            self.last_key.saturating_add(1)
        }
    }
}

impl<'q, 'a> Scan<'q, 'a> {
    fn new(sources: &'q [Source<'a>], query: &'q Query, keep: Keep, range: Range) -> Self {
        let verdicts = sources
            .iter()
            .map(|source| {
                let ids = source.callsites.len().max(1);
                (0..ids).map(|id| Verdict::new(&query.conditions, source, source.callsite(id as u16))).collect()
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
            kept: Vec::new(),
            floor: None,
            ceiling: None,
            most,
            overflow: 0,
            end: None,
            start: None,
            session: None,
        }
    }

    fn read_segment(
        &mut self,
        segment: &Segment<'_>,
        part: u32,
        source_index: usize,
        file: &Part<'_>,
        ring: &mut RingView,
        found: &mut Found,
    ) {
        let source = &self.sources[source_index];
        let verdicts = std::mem::take(&mut self.verdicts[source_index]);
        let origin = segment.records.as_ptr().addr();
        let mut current = None; // the context of the last event, and where it stands
        let mut run: Option<Run> = None;
        let mut pending = 0;
        let (events_before, damage_before) = (found.events, found.damage.len());
        let scale = &self.sources[ring.newest].scale;
        let later_steps_ns = ring.later_steps_ns;
        let mut last_key_here = i64::MIN;
        let mut items = segment.items();
        for item in items.by_ref() {
            match item {
                Item::Event(record) => {
                    found.events += 1;
                    let context = match current {
                        Some((id, context)) if id == record.context => context,
                        _ => {
                            let context = ring.index_of(record.context);
                            current = Some((record.context, context));
                            context
                        }
                    };
                    let context = &mut ring.contexts[context];
                    let mut smooth_ns = scale.smooth_ns(record.ticks).saturating_add(later_steps_ns);
                    if let Some(ring_id) = ring.session_of {
                        let shift_ns = ring.shift_ns.get_or_insert_with(|| {
                            let before = self.session.filter(|session| session.ring_id == ring_id);
                            before.map_or(0, |before| before.next_shift_ns(smooth_ns))
                        });
                        smooth_ns = smooth_ns.saturating_add(*shift_ns);
                    }
                    let last_key = &mut context.last_keys[usize::from(file.is_kept())];
                    let key = match *last_key {
                        Some(last) if !record.ticks_known => last,
                        Some(last) => last.max(smooth_ns),
                        None => smooth_ns,
                    };
                    *last_key = Some(key);
                    last_key_here = last_key_here.max(key);
                    self.end = self.end.max(Some(key));
                    self.start = Some(self.start.map_or(key, |start| start.min(key)));
                    let payload_offset = record.payload.as_ptr().addr().wrapping_sub(origin);
                    let entry = Entry {
                        key,
                        ticks: record.ticks,
                        part,
                        context: record.context,
                        // A segment has at most 65,536 bytes, of which its header takes some.
                        payload_offset: if record.payload.is_empty() { record.offset } else { payload_offset } as u16,
                        payload_len: record.payload.len() as u16,
                        callsite: record.callsite,
                        time_known: record.ticks_known,
                    };
                    match (&mut run, record.index) {
                        // Events in shared segments have no index and take none.
                        (_, None) => context.unindexed += u64::from(segment.header.mode == Mode::Exclusive),
                        (Some(run), Some(index))
                            if run.context == record.context && run.start.wrapping_add(run.count) == index =>
                        {
                            run.count += 1;
                        }
                        (run, Some(start)) => {
                            let begun = Run {
                                context: record.context,
                                start,
                                count: 1,
                                first: entry.place(),
                                first_when: source.when(record.ticks),
                            };
                            ring.runs.extend(run.replace(begun));
                        }
                    }
                    if !self.range.contains(key, || source.scale.unix_ns(record.ticks)) {
                        continue;
                    }
                    let verdict = verdicts.get(usize::from(record.callsite)).or(verdicts.first());
                    let accepted = verdict.is_none_or(|verdict| {
                        let callsite = source.callsite(record.callsite);
                        verdict.decide(&self.query.conditions, callsite, record.payload, record.context, &context.name)
                    });
                    if accepted {
                        self.keep(entry);
                    }
                }
                Item::Context(info) => {
                    let context = ring.index_of(info.context);
                    ring.contexts[context].learn(&info);
                }
                Item::Pending { .. } => pending += 1,
                Item::Damaged { offset, len_bytes } => found.damage.push(Damage {
                    offset: file.records_offset + offset as u64,
                    len_bytes: len_bytes as u64,
                    reason: format!("records of segment {} are damaged", segment.header.index),
                }),
            }
        }
        ring.runs.extend(run);
        if let (Some(ring_id), Some(shift_ns)) = (ring.session_of, ring.shift_ns) {
            let same = self.session.filter(|session| (session.ring_id, session.shift_ns) == (ring_id, shift_ns));
            let last_key = same.map_or(last_key_here, |session| session.last_key.max(last_key_here));
            self.session = Some(ReadSession { ring_id, shift_ns, last_key });
        }
        let events = found.events - events_before;
        found.pending += if segment.header.mode == Mode::Exclusive || found.damage.len() > damage_before {
            // A snapshot's writer counted too, and may have seen what is not in its data.
            pending.max(file.pending.into())
        } else {
            // Reservations that are no events; several that follow one another can look like one.
            u64::from(segment.header.count).saturating_sub(events)
        };
        found.damaged_events += u64::from(items.missing().max(file.damaged));
        self.verdicts[source_index] = verdicts;
    }

    fn keep(&mut self, entry: Entry) {
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

impl Context {
    fn learn(&mut self, info: &ContextInfo<'_>) {
        if self.name != info.name {
            info.name.clone_into(&mut self.name);
        }
        self.os_thread_id = info.os_thread_id;
    }
}

//! Collection of the records of spans while segments are read.

use std::collections::HashMap;

use ttlog_core::Record;

use super::entry::Entry;
use crate::source::{RecordedSpans, Source, Stored};
use crate::span::{Action, SpanRecord, Spans};

/// Most bytes for spans, in addition to 16 for each byte of input. Recordings up to some hundred MiB need fewer; a file
/// made to exhaust memory gets no more.
pub const SPAN_BYTES_MAX: u64 = 256 << 20;

/// Bytes that a span takes once its records are folded.
const SPAN_LEN: u64 = 320;

/// Records of spans, of all rings.
#[derive(Debug)]
pub(super) struct Collection {
    /// Whether any callsite of a source has ids of spans.
    has_ids: Vec<bool>,
    rings: Vec<RingRecords>,
    /// Number of bytes that further records can take.
    room: u64,
    /// Number of records for which there was no room.
    pub(super) overflow: u64,
}

/// Records of the spans of one ring.
#[derive(Debug, Default)]
struct RingRecords {
    records: Vec<SpanRecord<u32>>,
    stored: Vec<Stored>,
    payloads: Vec<u8>,
    /// Times of the first and the last event in each span.
    mentions: HashMap<u64, (Moment, Moment)>,
    /// The span of the last event in one, and those times of it, which are not in `mentions` yet.
    mentioned: Option<(u64, (Moment, Moment))>,
}

/// Place in the timeline, and the reading of the recording clock.
type Moment = (i64, u64);

impl RingRecords {
    /// Notes an event in a span. Returns `false` if the span is new and there is no room for it.
    #[inline]
    fn mention(&mut self, span: u64, at: Moment, room: &mut u64) -> bool {
        match &mut self.mentioned {
            Some((last, times)) if *last == span => {
                *times = (times.0.min(at), times.1.max(at));
                true
            }
            _ => {
                let has_room = self.settle(room);
                self.mentioned = Some((span, (at, at)));
                has_room
            }
        }
    }

    fn settle(&mut self, room: &mut u64) -> bool {
        let Some((span, (first, last))) = self.mentioned.take() else { return true };
        if let Some(times) = self.mentions.get_mut(&span) {
            *times = (times.0.min(first), times.1.max(last));
            return true;
        }
        let Some(rest) = room.checked_sub(SPAN_LEN) else { return false };
        *room = rest;
        self.mentions.insert(span, (first, last));
        true
    }

    /// Adds records for the events in spans, and puts all records in order of time.
    fn finish(&mut self, room: &mut u64) {
        self.settle(room);
        for (&span, &(first, last)) in &self.mentions {
            let mention =
                |(at, ticks)| SpanRecord { at, order: 0, ticks, context: 0, span, action: Action::Mention, entry: 0 };
            self.records.extend([mention(first), mention(last)]);
        }
        self.records.sort_by_key(|record| (record.at, record.order, record.span));
    }
}

impl Collection {
    pub(super) fn new(sources: &[Source<'_>], ring_count: usize) -> Self {
        let has_ids = |source: &Source<'_>| source.callsites.iter().any(|callsite| callsite.roles.is_some());
        let input_len: u64 = sources.iter().map(|source| source.len_bytes).sum();
        Collection {
            has_ids: sources.iter().map(has_ids).collect(),
            rings: (0..ring_count).map(|_| RingRecords::default()).collect(),
            room: input_len.saturating_mul(16).saturating_add(SPAN_BYTES_MAX),
            overflow: 0,
        }
    }

    /// Returns whether any callsite of a source has ids of spans.
    #[inline]
    pub(super) fn has_ids(&self, source: usize) -> bool {
        self.has_ids[source]
    }

    /// Notes the effect of an event on spans, and returns whether it is a record of a span.
    pub(super) fn note(
        &mut self,
        source: usize,
        sources: &[Source<'_>],
        ring: usize,
        record: &Record<'_>,
        entry: &Entry,
    ) -> bool {
        let Some(callsite) = sources[source].callsite(record.callsite) else { return false };
        let Some(roles) = callsite.roles else { return false };
        let is_record = !roles.is_event();
        let Some((span, action)) = roles.read(&callsite.fields, record.payload) else { return is_record };
        let of = &mut self.rings[ring];
        let Some(action) = action else {
            if span != 0 && !of.mention(span, (entry.key, entry.ticks), &mut self.room) {
                self.overflow += 1;
            }
            return is_record;
        };
        let has_values = matches!(
            action,
            Action::Start { .. } | Action::Begin { .. } | Action::Repeat { .. } | Action::Update { .. }
        );
        let payload_len = if has_values { record.payload.len() } else { 0 };
        let span_len = if matches!(action, Action::Start { .. } | Action::Begin { .. }) { SPAN_LEN } else { 0 };
        let len = (size_of::<SpanRecord<u32>>() + size_of::<Stored>() + payload_len) as u64 + span_len;
        if self.room < len {
            self.overflow += 1;
            return is_record;
        }
        self.room -= len;
        let index = of.stored.len() as u32; // each takes several bytes of a bounded room
        if has_values {
            of.stored.push(Stored {
                payload_offset: of.payloads.len(),
                payload_len: record.payload.len() as u16, // a segment has at most 65,536 bytes, including its header
                callsite: record.callsite,
                source: source as u32,
            });
            of.payloads.extend_from_slice(record.payload);
        }
        let order = order_of(entry);
        let (at, ticks, context) = (entry.key, entry.ticks, entry.context);
        of.records.push(SpanRecord { at, order, ticks, context, span, action, entry: index });
        is_record
    }

    /// Folds the records into spans. `ends` are the times of each ring from which all events are there, and of its last
    /// sign of life; `newest` is its source for names.
    pub(super) fn fold(mut self, sources: &[Source<'_>], rings: &[(i64, i64, usize)]) -> Vec<RecordedSpans> {
        let folded = self.rings.into_iter().zip(rings).map(|(mut of, &(complete_from, now, source))| {
            of.finish(&mut self.room);
            let spans = Spans::fold(of.records, complete_from);
            RecordedSpans::new(spans, of.stored, of.payloads, sources, source, now)
        });
        folded.collect()
    }
}

/// Returns the order of an event among those of the same time.
pub(super) fn order_of(entry: &Entry) -> u64 {
    u64::from(entry.part) << 16 | u64::from(entry.payload_offset)
}

//! The spans of a recording, with their names and values.

use std::collections::HashMap;

use ttlog_core::Level;

use super::callsite::SourceCallsite;
use super::model::Source;
use crate::event::path::find_field;
use crate::event::value::FieldValue;
use crate::span::{Span, Spans, State, TraceIds};
use crate::text::time::When;

/// Location and values of a record that starts a span or has values of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stored {
    /// Offset of its payload among the payloads.
    pub(crate) payload_offset: usize,
    /// Length of its payload, in bytes.
    pub(crate) payload_len: u16,
    /// Id of its callsite.
    pub(crate) callsite: u16,
    /// Index of its source.
    pub(crate) source: u32,
}

/// The spans of one ring, or of one source if each is read separately.
#[derive(Debug, Default)]
pub struct RecordedSpans {
    pub(crate) spans: Spans<u32>,
    pub(crate) stored: Vec<Stored>,
    pub(crate) payloads: Vec<u8>,
    /// Index of the source with the names of contexts and times of spans whose start is overwritten.
    pub(crate) source: usize,
    /// Time up to which open spans count as open, in nanoseconds.
    pub(crate) now: i64,
    /// Ids in traces, of the spans for which they were recorded, and of the outermost spans around them.
    traces: HashMap<u64, TraceIds>,
}

impl RecordedSpans {
    /// Returns the spans, in order of their first records.
    pub fn iter<'e, 'a>(&'e self, sources: &'e [Source<'a>]) -> impl Iterator<Item = SpanRef<'e, 'a>> {
        self.spans.all().iter().map(move |span| SpanRef { sources, of: self, span })
    }

    /// Returns the spans and how they are nested.
    #[must_use]
    pub fn folded(&self) -> &Spans<u32> {
        &self.spans
    }

    /// Returns the time up to which open spans count as open, in nanoseconds: the last sign of life.
    #[must_use]
    pub fn now(&self) -> i64 {
        self.now
    }

    /// Returns a span with its names and values.
    #[must_use]
    pub fn view<'e, 'a>(&'e self, sources: &'e [Source<'a>], span: &'e Span<u32>) -> SpanRef<'e, 'a> {
        SpanRef { sources, of: self, span }
    }

    /// Returns a span and its ancestors, outermost first, as far as they are known.
    #[must_use]
    pub fn path<'e, 'a>(&'e self, sources: &'e [Source<'a>], id: u64) -> Vec<SpanRef<'e, 'a>> {
        self.spans.path(id).into_iter().map(|span| SpanRef { sources, of: self, span }).collect()
    }

    /// Creates the spans of a ring; see the fields.
    pub(crate) fn new(
        spans: Spans<u32>,
        stored: Vec<Stored>,
        payloads: Vec<u8>,
        sources: &[Source<'_>],
        source: usize,
        now: i64,
    ) -> Self {
        let mut new = RecordedSpans { spans, stored, payloads, source, now, traces: HashMap::new() };
        new.find_traces(sources);
        new.reduce_updates(sources);
        new
    }

    fn find_traces(&mut self, sources: &[Source<'_>]) {
        let mut traces: HashMap<u64, TraceIds> = HashMap::new();
        for span in self.spans.all() {
            for &record in span.start.iter().chain(&span.updates) {
                let Some((callsite, payload)) = resolve(&self.stored, &self.payloads, sources, record) else {
                    continue;
                };
                let ids = callsite.roles.and_then(|roles| roles.read_trace(&callsite.fields, payload));
                if let Some(ids) = ids {
                    let known = traces.entry(span.id).or_default();
                    known.trace = ids.trace;
                    known.remote_parent = if ids.remote_parent == 0 { known.remote_parent } else { ids.remote_parent };
                    known.known_as = if ids.known_as == 0 { known.known_as } else { ids.known_as };
                }
            }
        }
        // The whole tree is of one trace, wherever its id was recorded.
        for (id, ids) in traces.clone() {
            if let Some(outermost) = self.spans.path(id).first() {
                traces.entry(outermost.id).or_insert(TraceIds { trace: ids.trace, ..TraceIds::default() });
            }
        }
        self.traces = traces;
    }

    /// Leaves of each span's updates those whose values count: of each field, the last.
    fn reduce_updates(&mut self, sources: &[Source<'_>]) {
        let (stored, payloads) = (&self.stored, &self.payloads);
        self.spans.reduce_updates(|updates| {
            let mut names = Vec::new();
            let mut needed = Vec::new();
            for &update in updates.iter().rev() {
                let Some((callsite, payload)) = resolve(stored, payloads, sources, update) else { continue };
                let known = names.len();
                for (name, _) in callsite.named_values(payload) {
                    if !names.contains(&name) {
                        names.push(name);
                    }
                }
                if names.len() > known {
                    needed.push(update);
                }
                // More names than a callsite can have come only from a hostile file.
                if names.len() >= NAMES_MAX {
                    break;
                }
            }
            needed.reverse();
            needed
        });
    }
}

/// Most fields of a span. Values of further ones, which only a hostile file has, are left out.
const NAMES_MAX: usize = 256;

fn resolve<'e, 'a>(
    stored: &[Stored],
    payloads: &'e [u8],
    sources: &'e [Source<'a>],
    index: u32,
) -> Option<(&'e SourceCallsite<'a>, &'e [u8])> {
    let stored = stored.get(index as usize)?;
    let callsite = sources.get(stored.source as usize)?.callsite(stored.callsite)?;
    let payload = payloads.get(stored.payload_offset..)?.get(..usize::from(stored.payload_len))?;
    Some((callsite, payload))
}

/// A span, with its name and values.
#[derive(Clone, Copy, Debug)]
pub struct SpanRef<'e, 'a> {
    sources: &'e [Source<'a>],
    of: &'e RecordedSpans,
    span: &'e Span<u32>,
}

impl<'e, 'a> SpanRef<'e, 'a> {
    /// Returns what is known of its life: its parent, times, and the contexts that are in it.
    #[must_use]
    pub fn life(&self) -> &'e Span<u32> {
        self.span
    }

    /// Returns its id, unique in its ring.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.span.id
    }

    /// Returns whether it is open at the end of the recording.
    #[must_use]
    pub fn state(&self) -> State {
        self.span.state()
    }

    /// Returns its ancestors and itself, outermost first, as far as they are known.
    #[must_use]
    pub fn path(&self) -> Vec<SpanRef<'e, 'a>> {
        self.of.path(self.sources, self.span.id)
    }

    /// Returns the source of its start, or of its ring if that is overwritten.
    #[must_use]
    pub fn source(&self) -> Option<&'e Source<'a>> {
        self.sources.get(self.start().map_or(self.of.source, |start| start.source as usize))
    }

    /// Returns the callsite of its start; `None` if its start is overwritten, or the table has lost the callsite.
    #[must_use]
    pub fn callsite(&self) -> Option<&'e SourceCallsite<'a>> {
        self.resolved(self.span.start?).map(|(callsite, _)| callsite)
    }

    /// Returns its name; `None` if its start is overwritten.
    #[must_use]
    pub fn name(&self) -> Option<&'e str> {
        let callsite = self.callsite()?;
        Some(callsite.template.constant().unwrap_or(callsite.info.message))
    }

    /// Returns its level; `None` if its start is overwritten.
    #[must_use]
    pub fn level(&self) -> Option<Level> {
        self.callsite().map(|callsite| callsite.info.level)
    }

    /// Returns the time of its start; `None` if its start is overwritten.
    #[must_use]
    pub fn started(&self) -> Option<When> {
        self.start().filter(|_| !self.span.start_is_repeated)?;
        Some(self.source()?.when(self.span.ticks.0))
    }

    /// Returns the names and values of its fields, in source order, with the values that it got last. Fields without a
    /// value are missing.
    #[must_use]
    pub fn fields(&self) -> Vec<(&'a str, FieldValue<'e>)> {
        let records = self.span.start.iter().chain(&self.span.updates);
        let mut records = records.filter_map(|&index| self.resolved(index));
        let values_of = |(callsite, payload): (&'e SourceCallsite<'a>, &'e [u8])| callsite.named_values(payload);
        let mut fields: Vec<_> = records.next().map(values_of).into_iter().flatten().collect();
        for (name, value) in records.flat_map(values_of) {
            match fields.iter().position(|(known, _)| *known == name) {
                Some(known) => fields[known].1 = value,
                None if fields.len() < NAMES_MAX => fields.push((name, value)),
                None => {}
            }
        }
        if !self.span.updates.is_empty() {
            self.sort(&mut fields);
        }
        fields
    }

    /// Puts fields in source order.
    fn sort(&self, fields: &mut [(&'a str, FieldValue<'e>)]) {
        if let Some(callsite) = self.callsite() {
            fields.sort_by_key(|(name, _)| callsite.field_index(name).unwrap_or(usize::MAX));
        }
    }

    /// Returns how other processes know it, as far as that was recorded for this span.
    #[must_use]
    pub fn trace_ids(&self) -> TraceIds {
        self.of.traces.get(&self.span.id).copied().unwrap_or_default()
    }

    /// Returns the id of the trace that it belongs to, in the form of W3C Trace Context, 32 hexadecimal digits; `None`
    /// if the program neither got one nor told one.
    #[must_use]
    pub fn trace_id(&self) -> Option<String> {
        if self.of.traces.is_empty() {
            return None;
        }
        let ids = self.of.spans.path(self.span.id).into_iter().rev().find_map(|span| self.of.traces.get(&span.id));
        ids.map(|ids| format!("{:032x}", ids.trace))
    }

    /// Returns how long it was open, in nanoseconds: to its end, or if it is open to the last sign of life. This is too
    /// short if its start is overwritten.
    #[must_use]
    pub fn total_ns(&self) -> i64 {
        self.span.total_ns(self.of.now)
    }

    /// Returns how long at least one thread was in it, in nanoseconds; never more than the total.
    #[must_use]
    pub fn busy_ns(&self) -> i64 {
        self.span.busy_ns(self.of.now)
    }

    /// Returns the value of a field, if it has one.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<FieldValue<'e>> {
        self.fields().into_iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// Returns the value of the field with this name, or of the one whose name the path to a value inside of it begins
    /// with, and the rest of the path (see [`FieldValue::visit`]).
    #[must_use]
    pub fn find_field<'p>(&self, path: &'p str) -> Option<(FieldValue<'e>, &'p str)> {
        let mut fields = self.fields();
        let (index, rest) = find_field(fields.iter().map(|(name, _)| name), path)?;
        Some((fields.swap_remove(index).1, rest))
    }

    /// Returns all spans of its ring.
    pub(crate) fn of(&self) -> &'e RecordedSpans {
        self.of
    }

    fn start(&self) -> Option<&'e Stored> {
        self.of.stored.get(self.span.start? as usize)
    }

    fn resolved(&self, index: u32) -> Option<(&'e SourceCallsite<'a>, &'e [u8])> {
        resolve(&self.of.stored, &self.of.payloads, self.sources, index)
    }
}

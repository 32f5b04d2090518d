//! An event of a timeline, fully read.

use ttlog_core::Level;

use super::{Entry, Timeline};
use crate::event::value::FieldValue;
use crate::query::Key;
use crate::source::{RecordedSpans, Source, SourceCallsite, SpanRef};
use crate::span::Action;
use crate::text::time::When;

/// An event, fully read.
#[derive(Debug)]
pub struct Event<'e, 'a> {
    /// Entry in the timeline.
    pub entry: Entry,
    /// Time of the event.
    pub when: When,
    /// Nanoseconds before (or, if negative, after) the last event of all, by a clock that nobody set.
    pub before_end_ns: i64,
    /// Source of the event.
    pub source: &'e Source<'a>,
    /// Index of the source in the timeline.
    pub source_index: usize,
    /// Callsite; `None` if the table has lost it, or contradicts itself.
    pub callsite: Option<&'e SourceCallsite<'a>>,
    /// Name and system id of the thread at that time, as far as known.
    pub thread: Option<(&'e str, u64)>,
    /// Field values in field order; unreadable values are missing.
    pub values: Vec<Option<FieldValue<'e>>>,
    /// Reason that values are unreadable.
    pub damage: Option<String>,
    /// Payload.
    pub payload: &'e [u8],
    /// Whether the raw payload can contain secrets, and must not be shown.
    pub payload_withheld: bool,
    /// Id of the span that it is in; 0: none.
    pub span_id: u64,
    /// Spans of its ring.
    ring_spans: &'e RecordedSpans,
    sources: &'e [Source<'a>],
}

impl<'e, 'a> Event<'e, 'a> {
    /// Reads an event of the timeline; `payload` is its payload.
    #[must_use]
    pub fn read(timeline: &'e Timeline<'e, 'a>, entry: Entry, payload: &'e [u8]) -> Self {
        let source = timeline.source_of(&entry);
        let callsite = source.callsite(entry.callsite);
        let (values, error) = callsite.map(|callsite| callsite.values(payload)).unwrap_or_default();
        let damage = match (callsite, error) {
            (None, _) if source.callsites.is_contradictory(entry.callsite) => {
                Some(format!("callsite {} is defined twice, differently", entry.callsite))
            }
            (None, _) => Some(format!("callsite {} is not in the table", entry.callsite)),
            (_, Some(error)) => Some(format!("payload, {error}")),
            _ => None,
        };
        let payload_withheld = match callsite {
            Some(callsite) => callsite.withholds_any(),
            None => !source.secrets.are_shown(),
        };
        let thread = timeline.thread_of(&entry);
        let when = source.when(entry.ticks);
        let before_end_ns = timeline.before_end_ns(&entry);
        let source_index = timeline.parts[entry.part as usize].source as usize;
        Event {
            entry,
            when,
            before_end_ns,
            source,
            source_index,
            callsite,
            thread,
            values,
            damage,
            payload,
            payload_withheld,
            span_id: timeline.span_id_of(&entry, callsite, payload),
            ring_spans: timeline.spans_of(&entry),
            sources: timeline.sources,
        }
    }

    /// Returns the spans that it is in, outermost first, as far as they are known. It is in the span that it names; if
    /// it names none, in the one that its context was in then.
    ///
    /// A span whose start is overwritten has no name.
    #[must_use]
    pub fn spans(&self) -> Vec<SpanRef<'e, 'a>> {
        if self.span_id == 0 { Vec::new() } else { self.ring_spans.path(self.sources, self.span_id) }
    }

    /// Returns the id of the trace that it belongs to, in hexadecimal digits: that of its spans, or else the value of a
    /// field `trace_id`, its own or of a span.
    #[must_use]
    pub fn trace_id(&self) -> Option<String> {
        let path = self.spans();
        let name = Key::TraceId.name();
        path.last().and_then(SpanRef::trace_id).or_else(|| {
            let own = self.fields().find(|(own, _)| *own == name).map(|(_, value)| value.clone());
            let value = own.or_else(|| path.iter().rev().find_map(|span| span.field(name)))?;
            let mut text = String::new();
            value.push_plain(&mut text);
            Some(text)
        })
    }

    /// Returns its effect on the span with [`span_id`](Self::span_id), if it is a record of a span. [`Query`] selects
    /// these only on request.
    ///
    /// [`Query`]: crate::Query
    #[must_use]
    pub fn span_action(&self) -> Option<Action> {
        let callsite = self.callsite?;
        callsite.roles?.read(&callsite.fields, self.payload)?.1
    }

    /// Returns the wall-clock time, in nanoseconds since 1970; `None` for devices, which have no wall clock.
    #[must_use]
    pub fn unix_ns(&self) -> Option<i64> {
        match self.when {
            When::Clock(unix_ns) => Some(unix_ns),
            When::Boot { .. } | When::Ticks { .. } => None,
        }
    }

    /// Returns the level; `None` if the callsite is lost.
    #[must_use]
    pub fn level(&self) -> Option<Level> {
        self.callsite.map(|callsite| callsite.info.level)
    }

    /// Returns the target, usually the module path; empty if the callsite is lost.
    #[must_use]
    pub fn target(&self) -> &str {
        self.callsite.map_or("", |callsite| callsite.info.target)
    }

    /// Returns the message with its template filled in, as it was logged. Use
    /// [`escaped`](crate::text::escape::escaped) before showing it on a terminal.
    #[must_use]
    pub fn message(&self) -> String {
        let mut message = String::new();
        self.push_message(&mut message);
        message
    }

    /// Returns the names and values of the fields, in source order, without unreadable values and ids of spans.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &FieldValue<'e>)> {
        self.indexed_fields().map(|(_, name, value)| (name, value))
    }

    /// Returns the index, name and value of each of the [fields](Self::fields).
    pub fn indexed_fields(&self) -> impl Iterator<Item = (usize, &str, &FieldValue<'e>)> {
        self.callsite.into_iter().flat_map(|callsite| {
            let fields = callsite.fields.iter().zip(&self.values).enumerate();
            fields.filter_map(|(index, (field, value))| {
                Some((index, field.name, value.as_ref().filter(|_| callsite.is_value(index))?))
            })
        })
    }

    /// Appends the message with its template filled in.
    pub fn push_message(&self, out: &mut String) {
        if let Some(callsite) = self.callsite {
            callsite.template.render(&self.values, out);
        }
    }
}

/// Buffers for reading events one after the other.
#[derive(Debug, Default)]
pub struct EventRoom {
    scratch: Vec<u8>,
    payload: Vec<u8>,
}

impl<'a> Timeline<'_, 'a> {
    /// Reads the event of an entry.
    pub fn event<'e>(&'e mut self, entry: &Entry, room: &'e mut EventRoom) -> Event<'e, 'a> {
        self.payload(entry, &mut room.scratch, &mut room.payload);
        Event::read(self, *entry, &room.payload)
    }
}

impl<'s, 'a> Timeline<'s, 'a> {
    /// Returns the events, read one after the other, in order of time.
    pub fn events(&mut self) -> Events<'_, 's, 'a> {
        Events { timeline: self, next: 0, room: EventRoom::default() }
    }
}

/// The events of a timeline, read one after the other. Each event borrows from this, so this is not an `Iterator`.
#[derive(Debug)]
pub struct Events<'t, 's, 'a> {
    timeline: &'t mut Timeline<'s, 'a>,
    next: usize,
    room: EventRoom,
}

impl<'a> Events<'_, '_, 'a> {
    /// Reads the next event; `None` after the last.
    pub fn next_event(&mut self) -> Option<Event<'_, 'a>> {
        let entry = *self.timeline.entries.get(self.next)?;
        self.next += 1;
        Some(self.timeline.event(&entry, &mut self.room))
    }
}

//! What is printed.

pub mod ending;
pub mod json;
pub mod stats;
pub mod text;

use crate::event::value::Value;
use crate::source::callsite::Callsite;
use crate::source::{Kind, Source, process::Liveness};
use crate::text::time::When;
use crate::timeline::{Entry, Found, Timeline};

/// An event, read completely.
#[derive(Debug)]
pub struct Event<'e, 'a> {
    /// Its place in the timeline.
    pub entry: Entry,
    /// When it was.
    pub when: When,
    /// Nanoseconds before (or, negative, after) the last event of all: what a clock that nobody set would have shown.
    pub before_end_ns: i64,
    /// Where it comes from.
    pub source: &'e Source<'a>,
    /// Its callsite, unless the table has lost it.
    pub callsite: Option<&'e Callsite<'a>>,
    /// Name and system id of its thread, as far as known.
    pub thread: Option<(&'e str, u64)>,
    /// Its field values in field order; those that cannot be read are missing.
    pub values: Vec<Option<Value<'e>>>,
    /// Why they cannot be read.
    pub damage: Option<String>,
    /// Its payload.
    pub payload: &'e [u8],
    /// Whether the payload as it is may hold secrets, and is not to be shown.
    pub payload_withheld: bool,
}

impl<'e, 'a> Event<'e, 'a> {
    /// Reads an event of the timeline; `payload` is its own.
    #[must_use]
    pub fn read(timeline: &'e Timeline<'e, 'a>, entry: Entry, payload: &'e [u8]) -> Self {
        let source = timeline.source_of(&entry);
        let callsite = source.callsite(entry.callsite);
        let (values, error) = callsite.map(|callsite| callsite.values(payload)).unwrap_or_default();
        let damage = match (callsite, error) {
            (None, _) => Some(format!("callsite {} is not in the table", entry.callsite)),
            (_, Some(error)) => Some(format!("payload, {error}")),
            _ => None,
        };
        let payload_withheld = match callsite {
            Some(callsite) => callsite.withholds_any(),
            None => !source.secrets.are_shown(),
        };
        let thread = timeline.context_of(&entry).map(|context| (context.name.as_str(), context.os_thread_id));
        let when = source.when(entry.ticks);
        let before_end_ns = timeline.before_end_ns(&entry);
        Event { entry, when, before_end_ns, source, callsite, thread, values, damage, payload, payload_withheld }
    }

    /// Appends the message with its template filled in.
    pub fn push_message(&self, out: &mut String) {
        if let Some(callsite) = self.callsite {
            callsite.template.render(&self.values, out);
        }
    }
}

/// The reasons for which events are refused, as JSON names them and as text does.
pub const DROP_REASONS: [(&str, &str); 4] = [
    ("too_large", "too large"),
    ("reentrant", "re-entrant"),
    ("no_segment", "no free segment"),
    ("unregistered", "table full"),
];

/// Gives one word for what a source is.
#[must_use]
pub fn kind_name(source: &Source<'_>) -> &'static str {
    match &source.kind {
        Kind::Snapshot { .. } if source.session.is_some() => "session of a device",
        Kind::Snapshot { .. } => "snapshot",
        Kind::Ring(Liveness::Running) => "ring of a running process",
        Kind::Ring(_) if source.ended => "ring, ended in good order",
        Kind::Ring(Liveness::LetGo) => "ring that its process has let go of",
        Kind::Ring(Liveness::Gone) => "ring of a dead process",
        Kind::Ring(Liveness::Unknown) => "ring",
    }
}

/// Tells whether anything of a source is damaged.
#[must_use]
pub fn is_damaged(source: &Source<'_>, found: &Found) -> bool {
    let cut_off = matches!(source.kind, Kind::Snapshot { complete: false, .. });
    cut_off || found.damaged_events > 0 || !source.damage.is_empty() || !found.damage.is_empty()
}

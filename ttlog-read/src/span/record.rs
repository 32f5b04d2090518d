//! The role of an event among spans, and the ids in it.

use ttlog_core::event::Role;
use ttlog_core::record::ValueRef;
use ttlog_core::table::{FieldInfo, values_of};

/// The effect of an event on a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Starts it.
    Start {
        /// Id of the parent; 0: there is none. `None`: the span that the context is in.
        parent: Option<u64>,
    },
    /// Starts it, and its context enters it.
    Begin {
        /// Id of the parent; 0: there is none. `None`: the span that the context is in.
        parent: Option<u64>,
    },
    /// Its context enters it.
    Enter,
    /// Its context leaves it.
    Leave,
    /// Ends it.
    End,
    /// Has its parent and its first values once more, because its start can be overwritten.
    Repeat {
        /// Id of the parent.
        parent: u64,
    },
    /// Its context leaves it, and it ends.
    Finish,
    /// Has values of it; and names the span that it follows from, unless that is 0.
    Update {
        /// Id of the span that came before.
        follows: u64,
    },
    /// Nothing: an event happened in it.
    Mention,
}

/// The place of the ids of spans among the fields of a callsite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RolesOf {
    /// Role of the callsite: [`Role::Span`] for an ordinary event, or what it does to a span.
    role: Role,
    /// Index of the field with the id of the span.
    id: usize,
    /// Index of the field with the id of another span: the parent, or the one that came before.
    other: Option<usize>,
    /// Whether that is the parent.
    is_parent: bool,
    /// Whether there is an id of a trace.
    has_trace: bool,
}

/// How other processes know a span. 0 stands for an id that is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TraceIds {
    /// Id of the trace of the span and its descendants.
    pub trace: u128,
    /// Id, in that trace, of its parent in another process.
    pub remote_parent: u64,
    /// Id, in that trace, of the span itself.
    pub known_as: u64,
}

impl RolesOf {
    /// Finds the roles of a callsite's fields; `None` if no field has one.
    #[must_use]
    pub fn find(fields: &[FieldInfo<'_>]) -> Option<Self> {
        let mut found: Option<(Role, usize)> = None;
        let (mut other, mut is_parent) = (None, false);
        for (index, field) in fields.iter().enumerate() {
            match field.role {
                Role::Value | Role::Trace | Role::RemoteParent | Role::KnownAs => {}
                Role::Parent | Role::Follows => (other, is_parent) = (Some(index), field.role == Role::Parent),
                role => found = found.or(Some((role, index))),
            }
        }
        let (role, id) = found?;
        let has_trace = fields.iter().any(|field| field.role == Role::Trace);
        Some(RolesOf { role, id, other, is_parent, has_trace })
    }

    /// Returns whether events of the callsite are ordinary ones, not records of spans.
    #[must_use]
    pub fn is_event(&self) -> bool {
        self.role == Role::Span
    }

    /// Returns the ids of the trace of a span, if the record has them.
    #[must_use]
    pub fn read_trace(&self, fields: &[FieldInfo<'_>], payload: &[u8]) -> Option<TraceIds> {
        if !self.has_trace {
            return None;
        }
        let mut ids = TraceIds::default();
        for (field, value) in fields.iter().zip(values_of(fields, payload)) {
            match (field.role, value.ok()?) {
                (Role::Trace, ValueRef::U128(trace)) => ids.trace = trace,
                (Role::RemoteParent, ValueRef::Unsigned(id)) => ids.remote_parent = id,
                (Role::KnownAs, ValueRef::Unsigned(id)) => ids.known_as = id,
                _ => {}
            }
        }
        (ids.trace != 0).then_some(ids)
    }

    /// Returns the id of the span of an event, 0 if it has none, and what it does to the span, if anything. `None` if
    /// the ids cannot be read.
    #[must_use]
    pub fn read(&self, fields: &[FieldInfo<'_>], payload: &[u8]) -> Option<(u64, Option<Action>)> {
        let (mut id, mut other) = (None, None);
        let last = self.id.max(self.other.unwrap_or(0));
        for (index, value) in values_of(fields, payload).enumerate().take(last + 1) {
            let ValueRef::Unsigned(number) = value.ok()? else { continue };
            if index == self.id {
                id = Some(number);
            } else if Some(index) == self.other {
                other = Some(number);
            }
        }
        let named = other;
        let other = other.unwrap_or(0);
        let action = match self.role {
            Role::Begin => Some(Action::Begin { parent: named }),
            Role::Finish => Some(Action::Finish),
            // On devices a span that names no parent is started in the one that the context is in.
            Role::Start => Some(Action::Start { parent: named }),
            Role::Enter => Some(Action::Enter),
            Role::Leave => Some(Action::Leave),
            Role::End => Some(Action::End),
            Role::Update if self.is_parent => Some(Action::Repeat { parent: other }),
            Role::Update => Some(Action::Update { follows: other }),
            Role::Value
            | Role::Span
            | Role::Parent
            | Role::Follows
            | Role::Trace
            | Role::RemoteParent
            | Role::KnownAs => None,
        };
        Some((id?, action))
    }
}

/// An event that does something to a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanRecord<E> {
    /// Time, in nanoseconds.
    pub at: i64,
    /// Order among records of the same time.
    pub order: u64,
    /// Reading of the recording clock.
    pub ticks: u64,
    /// Context that recorded it.
    pub context: u32,
    /// Id of the span.
    pub span: u64,
    /// Its effect.
    pub action: Action,
    /// Location of the event, for its callsite and values. Meaningful for starts and updates.
    pub entry: E,
}

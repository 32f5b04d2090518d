//! The role of an event among spans, and the ids in it.

use ttlog_core::event::Role;
use ttlog_core::record::ValueRef;
use ttlog_core::table::{FieldInfo, values_of};

/// What an event does to a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Starts it, as a child of another one; 0: of none.
    Start {
        /// Id of the parent.
        parent: u64,
    },
    /// Its context enters it.
    Enter,
    /// Its context leaves it.
    Leave,
    /// Ends it.
    End,
    /// Has its parent and its first values once more, because its start can be overwritten.
    Restate {
        /// Id of the parent.
        parent: u64,
    },
    /// Has values of it; and names the span that it follows from, unless that is 0.
    Update {
        /// Id of the span that came before.
        follows: u64,
    },
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
}

impl RolesOf {
    /// Finds the roles of a callsite's fields; `None` if no field has one.
    #[must_use]
    pub fn find(fields: &[FieldInfo<'_>]) -> Option<Self> {
        let mut found: Option<(Role, usize)> = None;
        let (mut other, mut is_parent) = (None, false);
        for (index, field) in fields.iter().enumerate() {
            match field.role {
                Role::Value => {}
                Role::Parent | Role::Follows => (other, is_parent) = (Some(index), field.role == Role::Parent),
                role => found = found.or(Some((role, index))),
            }
        }
        let (role, id) = found?;
        Some(RolesOf { role, id, other, is_parent })
    }

    /// Returns whether events of the callsite are ordinary ones, not records of spans.
    #[must_use]
    pub fn is_event(&self) -> bool {
        self.role == Role::Span
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
        let other = other.unwrap_or(0);
        let action = match self.role {
            Role::Start => Some(Action::Start { parent: other }),
            Role::Enter => Some(Action::Enter),
            Role::Leave => Some(Action::Leave),
            Role::End => Some(Action::End),
            Role::Update if self.is_parent => Some(Action::Restate { parent: other }),
            Role::Update => Some(Action::Update { follows: other }),
            Role::Value | Role::Span | Role::Parent | Role::Follows => None,
        };
        Some((id?, action))
    }
}

/// An event that does something to a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanRecord<E> {
    /// Time, in nanoseconds.
    pub at: i64,
    /// Context that recorded it.
    pub context: u32,
    /// Id of the span.
    pub span: u64,
    /// What it does.
    pub action: Action,
    /// Where the event is, for its callsite and values.
    pub entry: E,
}

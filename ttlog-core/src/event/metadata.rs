//! Compile-time metadata of a callsite.
//!
//! # Format
//! docs/format.md §3.2, encoded and decoded in [`table`](crate::table).

use super::level::Level;

/// Compile-time metadata of a callsite.
#[derive(Clone, Copy, Debug)]
pub struct Metadata {
    /// Level of its events.
    pub level: Level,
    /// Target: the module path, or the text after `target:`.
    pub target: &'static str,
    /// Message or template; empty if there is none.
    pub message: &'static str,
    /// Source file, as the path passed to the compiler.
    pub file: &'static str,
    /// Line in the source file, from 1.
    pub line: u32,
    /// Fields in source order.
    pub fields: &'static [Field],
}

/// Compile-time metadata of a field.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Name of the field.
    pub name: &'static str,
    /// Value, if it is a literal; otherwise the value is in each record.
    pub literal: Option<Literal>,
    /// Whether the source marks the field as secret: its value is withheld from snapshots and exports.
    pub secret: bool,
    /// Relation between the event and the span whose id is the value.
    pub role: Role,
    /// How readers show the value.
    pub shown: Shown,
}

/// How readers show the value of a field that is recorded natively.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Shown {
    /// As readers show values of its type.
    #[default]
    Plain = 0,
    /// As its `Display` does.
    Display = 1,
    /// As its `Debug` does.
    Debug = 2,
}

impl Shown {
    /// Returns how a field with this number in the table is shown; unknown ones are plain.
    pub(crate) const fn from_code(code: u64) -> Self {
        match code {
            1 => Shown::Display,
            2 => Shown::Debug,
            _ => Shown::Plain,
        }
    }
}

/// Relation between an event and the span whose id is in one of its fields, of type u64 (on devices u32). The id 0
/// stands for no span.
///
/// An event without a field of a role from [`Start`](Role::Start) on is an ordinary event; the others are the records of
/// spans.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Role {
    /// None: a plain value.
    #[default]
    Value = 0,
    /// The event belongs to the span.
    Span = 1,
    /// The span starts here; the message is its name, and the other fields are its own.
    Start = 2,
    /// The span is the parent of the one that starts.
    Parent = 3,
    /// The context enters the span.
    Enter = 4,
    /// The context leaves the span.
    Leave = 5,
    /// The span ends.
    End = 6,
    /// The other fields are values of the span that were not known at its start, or have changed.
    Update = 7,
    /// The span that is updated follows from this one.
    Follows = 8,
    /// The span starts here, as with [`Start`](Role::Start), and the context enters it.
    Begin = 9,
    /// The context leaves the span, which ends.
    Finish = 10,
    /// Not a span, but the id of the trace that the span and its descendants belong to: a u128.
    Trace = 11,
    /// The id, in that trace, of the parent, which is a span of another recording.
    RemoteParent = 12,
    /// The id, in that trace, under which others know the span.
    KnownAs = 13,
}

impl Role {
    /// Returns the role with this number in the table; unknown ones are plain values.
    pub(crate) const fn from_code(code: u64) -> Self {
        match code {
            1 => Role::Span,
            2 => Role::Start,
            3 => Role::Parent,
            4 => Role::Enter,
            5 => Role::Leave,
            6 => Role::End,
            7 => Role::Update,
            8 => Role::Follows,
            9 => Role::Begin,
            10 => Role::Finish,
            11 => Role::Trace,
            12 => Role::RemoteParent,
            13 => Role::KnownAs,
            _ => Role::Value,
        }
    }
}

impl Field {
    /// Creates a field whose value is in each record.
    #[must_use]
    pub const fn dynamic(name: &'static str) -> Self {
        Field { name, literal: None, secret: false, role: Role::Value, shown: Shown::Plain }
    }

    /// Creates a field whose value is a literal.
    #[must_use]
    pub const fn literal(name: &'static str, value: Literal) -> Self {
        Field { name, literal: Some(value), secret: false, role: Role::Value, shown: Shown::Plain }
    }

    /// Creates a field that holds the id of a span, a u64.
    #[must_use]
    pub const fn id(name: &'static str, role: Role) -> Self {
        Field { name, literal: None, secret: false, role, shown: Shown::Plain }
    }

    /// Marks the field as secret.
    #[must_use]
    pub const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    /// Sets how the value is shown.
    #[must_use]
    pub const fn shown(mut self, shown: Shown) -> Self {
        self.shown = shown;
        self
    }
}

/// A literal that is part of the callsite: it costs no bytes and no instructions per event.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs)] // each name is the type of the literal
pub enum Literal {
    Bool(bool),
    U64(u64),
    I64(i64),
    U128(u128),
    I128(i128),
    F64(f64),
    Str(&'static str),
    Char(char),
}

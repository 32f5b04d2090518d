//! What the source says of a callsite.
//!
//! # Format
//! docs/format.md §3.2, encoded and decoded in [`table`](crate::table).

use super::level::Level;

/// What the source says of a callsite.
#[derive(Clone, Copy, Debug)]
pub struct Metadata {
    /// How much it matters.
    pub level: Level,
    /// The module path, or what `target:` said.
    pub target: &'static str,
    /// The message or template; empty if there is none.
    pub message: &'static str,
    /// The source file, as the compiler was given it.
    pub file: &'static str,
    /// The line, from 1.
    pub line: u32,
    /// The fields in source order.
    pub fields: &'static [Field],
}

/// A field as the source says it.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// Its value if that is a literal; else the value is in each record.
    pub literal: Option<Literal>,
    /// Whether the source marks it as secret: its value is withheld from snapshots and exports.
    pub secret: bool,
}

impl Field {
    /// A field whose value is in each record.
    #[must_use]
    pub const fn dynamic(name: &'static str) -> Self {
        Field { name, literal: None, secret: false }
    }

    /// A field whose value is a literal.
    #[must_use]
    pub const fn literal(name: &'static str, value: Literal) -> Self {
        Field { name, literal: Some(value), secret: false }
    }

    /// Marks the field as secret.
    #[must_use]
    pub const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }
}

/// A literal that became part of the callsite: no bytes and no instructions per event.
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

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
}

impl Field {
    /// Creates a field whose value is in each record.
    #[must_use]
    pub const fn dynamic(name: &'static str) -> Self {
        Field { name, literal: None, secret: false }
    }

    /// Creates a field whose value is a literal.
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

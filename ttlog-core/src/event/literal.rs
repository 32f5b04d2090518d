//! Literal values of fields, as they are encoded and decoded.

use crate::record::value::{Text, ValueRef};

/// Value of a literal field.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs)] // the CBOR type of the same name
pub enum LiteralRef<'a> {
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    U128(u128),
    I128(i128),
    Float(f64),
    Text(&'a str),
    Char(char),
}

impl<'a> LiteralRef<'a> {
    /// Returns zero, or the empty text, in the same form.
    pub(crate) fn without_value(self) -> Self {
        match self {
            LiteralRef::Bool(_) => LiteralRef::Bool(false),
            LiteralRef::Unsigned(_) => LiteralRef::Unsigned(0),
            LiteralRef::Signed(_) => LiteralRef::Signed(0),
            LiteralRef::U128(_) => LiteralRef::U128(0),
            LiteralRef::I128(_) => LiteralRef::I128(0),
            LiteralRef::Float(_) => LiteralRef::Float(0.0),
            LiteralRef::Text(_) => LiteralRef::Text(""),
            LiteralRef::Char(_) => LiteralRef::Char('\0'),
        }
    }

    /// Returns the literal as the value that a record would contain.
    #[must_use]
    pub fn to_value(self) -> ValueRef<'a> {
        match self {
            LiteralRef::Bool(value) => ValueRef::Bool(value),
            LiteralRef::Unsigned(value) => ValueRef::Unsigned(value),
            LiteralRef::Signed(value) => ValueRef::Signed(value),
            LiteralRef::U128(value) => ValueRef::U128(value),
            LiteralRef::I128(value) => ValueRef::I128(value),
            LiteralRef::Float(value) => ValueRef::F64(value),
            LiteralRef::Text(text) => ValueRef::Str(Text { text, full_len: None }),
            LiteralRef::Char(value) => ValueRef::Char(value),
        }
    }
}

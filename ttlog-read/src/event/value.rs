//! A field's value: what the record holds, joined with the field's type.
//!
//! The record's reader returns numbers without their width and options without their `Some`. The width matters to
//! `{:x}` of a negative number and the `Some` to `{:?}`, so both are restored here from the type.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ttlog_core::event::Shown;
use ttlog_core::record::{MemberRef, Text, UnixTime, ValueRef};
use ttlog_core::table::FieldInfo;

use crate::event::secrets::{Hidden, Place, WITHHELD};
use crate::text::escape::{LineBreaks, push_escaped, push_quoted};
use crate::text::time::push_time;

/// Most elements of sequences that are read in one value. More than a record can hold, unless the elements take no
/// room.
const ELEMENTS_MAX: usize = 65_536;

const TAG_I8: u8 = 7;
const TAG_I16: u8 = 8;
const TAG_I32: u8 = 9;
const TAG_STR: u8 = 15;
const TAG_OPTION: u8 = 32;
const TAG_SEQUENCE: u8 = 33;

/// A value with its type.
#[derive(Clone, Debug, PartialEq)]
pub enum FieldValue<'a> {
    /// A bool.
    Bool(bool),
    /// An unsigned integer of up to 64 bits.
    Unsigned(u64),
    /// A `u128`.
    U128(u128),
    /// A signed integer of up to 64 bits, and its original width.
    Signed {
        /// The number.
        value: i64,
        /// Width: 8, 16, 32 or 64.
        bits: u32,
    },
    /// An `i128`.
    I128(i128),
    /// An `f32`.
    F32(f32),
    /// An `f64`.
    F64(f64),
    /// A char.
    Char(char),
    /// A string.
    Str(Text<'a>),
    /// Text that the program formatted with `Display`.
    Display(Text<'a>),
    /// Text that the program formatted with `Debug`.
    Debug(Text<'a>),
    /// Bytes, and their original number if they were capped.
    Bytes(&'a [u8], Option<u32>),
    /// The texts of an error and its sources, and their original number if some were dropped.
    Error(Vec<Text<'a>>, Option<u32>),
    /// `()`.
    Unit,
    /// An option without a value.
    None,
    /// An option with a value.
    Some(Box<FieldValue<'a>>),
    /// A sequence, and its original number of elements if it was capped.
    Sequence(Vec<FieldValue<'a>>, Option<u32>),
    /// A tuple, a struct, or a variant of an enum.
    Nested(Box<Nested<'a>>),
    /// A UUID, by its bytes.
    Uuid([u8; 16]),
    /// An IP address.
    Ip(IpAddr),
    /// An IP address with a port.
    Socket(SocketAddr),
    /// A duration.
    Duration(Duration),
    /// A time of the wall clock.
    Time(UnixTime),
    /// A secret value, hidden or absent.
    Withheld,
    /// A value of any other kind that is shown as its `Display` or `Debug` does, because the program marked the field
    /// with `%` or `?`.
    Shown(Box<FieldValue<'a>>, Shown),
}

/// A tuple, a struct, or a variant of an enum.
#[derive(Clone, Debug, PartialEq)]
pub struct Nested<'a> {
    /// Name of the struct or the enum; empty for a tuple.
    pub name: &'a str,
    /// Name of the variant, if this is one.
    pub variant: Option<&'a str>,
    /// Names and values of the members, in source order. The name of a member without one is empty.
    pub members: Vec<(&'a str, FieldValue<'a>)>,
}

impl Nested<'_> {
    /// Returns whether the members have names, rather than only positions.
    #[must_use]
    pub fn has_names(&self) -> bool {
        self.members.first().is_some_and(|(name, _)| !name.is_empty())
    }

    /// Appends the value as text output shows it: `{id: 7, lines: 2}`, `(1, 2)`, `Open`, `Retry(3)` or
    /// `Failed {code: 5}`. The name of a struct is only shown if it has no members.
    fn push_shown(&self, out: &mut String, breaks: LineBreaks) {
        push_escaped(out, self.variant.unwrap_or(""), LineBreaks::Escape);
        if self.members.is_empty() {
            if self.variant.is_none() {
                push_escaped(out, if self.name.is_empty() { "()" } else { self.name }, LineBreaks::Escape);
            }
            return;
        }
        let has_names = self.has_names();
        out.push_str(match (has_names, self.variant) {
            (true, Some(_)) => " {",
            (true, None) => "{",
            (false, _) => "(",
        });
        for (index, (name, value)) in self.members.iter().enumerate() {
            out.push_str(if index > 0 { ", " } else { "" });
            if has_names {
                push_escaped(out, name, LineBreaks::Escape);
                out.push_str(": ");
            }
            value.push_shown(out, breaks);
        }
        // As Rust writes a tuple of one.
        out.push_str(match (has_names, self.name, self.members.len()) {
            (true, ..) => "}",
            (false, "", 1) => ",)",
            _ => ")",
        });
    }
}

/// State of joining one value with its type.
struct Joining<'h> {
    hidden: &'h Hidden,
    /// Number of members and elements that can still be read.
    budget: usize,
    /// Place of the current member, if places matter.
    place: Place,
}

impl Joining<'_> {
    /// Returns whether another member or element can be read.
    fn take_one(&mut self) -> bool {
        let left = self.budget.checked_sub(1);
        self.budget = left.unwrap_or(0);
        left.is_some()
    }
}

impl<'a> FieldValue<'a> {
    /// Joins the value in a record with the field's type and the way in which the program shows it, and withholds
    /// members.
    #[must_use]
    pub fn of(value: ValueRef<'a>, field: &FieldInfo<'_>, hidden: &Hidden) -> Self {
        match (Self::hiding(value, field.type_tags, hidden), field.shown) {
            (value, Shown::Plain) => value,
            // The program has made the text itself.
            (value @ (FieldValue::Display(_) | FieldValue::Debug(_)), _) => value,
            (value, shown) => FieldValue::Shown(Box::new(value), shown),
        }
    }

    /// Returns the value itself, without how it is shown.
    #[must_use]
    pub fn peeled(&self) -> &Self {
        match self {
            FieldValue::Shown(value, _) => value,
            value => value,
        }
    }

    /// Joins the value in a record with the tags of the field's type.
    #[must_use]
    pub fn new(value: ValueRef<'a>, tags: &[u8]) -> Self {
        Self::hiding(value, tags, &Hidden::default())
    }

    /// Joins the value in a record with the tags of the field's type, and withholds members.
    #[inline]
    #[must_use]
    pub fn hiding(value: ValueRef<'a>, tags: &[u8], hidden: &Hidden) -> Self {
        if let Some(simple) = Self::simple(&value, tags) {
            return simple;
        }
        Self::join(value, tags, &mut Joining { hidden, budget: ELEMENTS_MAX, place: Place::default() })
    }

    /// Joins a value that holds no others. `None`: it can.
    #[inline]
    fn simple(value: &ValueRef<'a>, tags: &[u8]) -> Option<Self> {
        let tag = tags.first().copied().unwrap_or(0);
        if tag == TAG_OPTION {
            return None;
        }
        Some(match *value {
            ValueRef::Bool(value) => FieldValue::Bool(value),
            ValueRef::Unsigned(value) => FieldValue::Unsigned(value),
            ValueRef::U128(value) => FieldValue::U128(value),
            ValueRef::Signed(value) => {
                let bits = match tag {
                    TAG_I8 => 8,
                    TAG_I16 => 16,
                    TAG_I32 => 32,
                    _ => 64,
                };
                FieldValue::Signed { value, bits }
            }
            ValueRef::I128(value) => FieldValue::I128(value),
            ValueRef::F32(value) => FieldValue::F32(value),
            ValueRef::F64(value) => FieldValue::F64(value),
            ValueRef::Char(value) => FieldValue::Char(value),
            ValueRef::Str(text) => FieldValue::Str(text),
            ValueRef::Display(text) => FieldValue::Display(text),
            ValueRef::Debug(text) => FieldValue::Debug(text),
            ValueRef::Bytes(blob) => FieldValue::Bytes(blob.bytes, blob.full_len),
            ValueRef::Unit => FieldValue::Unit,
            ValueRef::None | ValueRef::SomeNone(_) | ValueRef::Absent => FieldValue::None,
            ValueRef::Uuid(bytes) => FieldValue::Uuid(bytes),
            ValueRef::Ip(address) => FieldValue::Ip(address),
            ValueRef::Socket(address) => FieldValue::Socket(address),
            ValueRef::Duration(duration) => FieldValue::Duration(duration),
            ValueRef::Time(time) => FieldValue::Time(time),
            ValueRef::Withheld => FieldValue::Withheld,
            ValueRef::Error(_) | ValueRef::Any(_) | ValueRef::Composite(_) | ValueRef::Sequence(_) => return None,
        })
    }

    fn join(value: ValueRef<'a>, tags: &[u8], joining: &mut Joining<'_>) -> Self {
        let (tag, inner) = tags.split_first().map_or((0, tags), |(&tag, inner)| (tag, inner));
        if tag == TAG_OPTION {
            return match value {
                ValueRef::None => FieldValue::None,
                ValueRef::SomeNone(1) => FieldValue::Some(Box::new(FieldValue::None)),
                ValueRef::SomeNone(depth) => {
                    FieldValue::Some(Box::new(Self::join(ValueRef::SomeNone(depth - 1), inner, joining)))
                }
                value => FieldValue::Some(Box::new(Self::join(value, inner, joining))),
            };
        }
        match value {
            ValueRef::Error(texts) => {
                let full_len = texts.full_len;
                let texts = texts.filter_map(|text| match text {
                    ValueRef::Str(text) => Some(text),
                    _ => None,
                });
                FieldValue::Error(texts.collect(), full_len)
            }
            ValueRef::Any(any) => Self::join(any.value(), any.type_tags, joining),
            ValueRef::Composite(composite) => {
                let (name, variant) = (composite.name, composite.variant);
                let mut members = Vec::new();
                for (position, member) in composite.enumerate() {
                    if !joining.take_one() {
                        break;
                    }
                    members.push((member.name, Self::join_member(member, variant, position, joining)));
                }
                FieldValue::Nested(Box::new(Nested { name, variant, members }))
            }
            ValueRef::Sequence(elements) => {
                let full_len = elements.full_len;
                let count = elements.len();
                let inner = if tag == TAG_SEQUENCE { inner } else { &[TAG_STR] };
                let mut kept = Vec::new();
                for element in elements {
                    if !joining.take_one() {
                        break;
                    }
                    kept.push(Self::join(element, inner, joining));
                }
                let full_len = full_len.or((kept.len() < count).then(|| u32::try_from(count).unwrap_or(u32::MAX)));
                FieldValue::Sequence(kept, full_len)
            }
            // All others are simple.
            value => Self::simple(&value, tags).unwrap_or(FieldValue::None),
        }
    }

    fn join_member(member: MemberRef<'a>, variant: Option<&str>, position: usize, joining: &mut Joining<'_>) -> Self {
        let needs_place = joining.hidden.any_named();
        if needs_place {
            joining.place.enter(variant, position);
        }
        let value = if joining.hidden.hides(&member, &joining.place) {
            FieldValue::Withheld
        } else {
            Self::join(member.value, member.type_tags, joining)
        };
        if needs_place {
            joining.place.leave();
        }
        value
    }

    /// Appends the value as text output shows it after `key=`: numbers bare, strings quoted, and capped values marked.
    pub fn push_shown(&self, out: &mut String, breaks: LineBreaks) {
        use std::fmt::Write as _;
        // Writing to a String cannot fail.
        let mut number = |value: &dyn std::fmt::Debug| _ = write!(out, "{value:?}");
        match self {
            FieldValue::Bool(value) => number(value),
            FieldValue::Unsigned(value) => number(value),
            FieldValue::U128(value) => number(value),
            FieldValue::Signed { value, .. } => number(value),
            FieldValue::I128(value) => number(value),
            FieldValue::F32(value) => number(value),
            FieldValue::F64(value) => number(value),
            FieldValue::Char(value) => {
                out.push('\'');
                push_escaped(out, value.encode_utf8(&mut [0; 4]), breaks);
                out.push('\'');
            }
            FieldValue::Str(text) => {
                push_quoted(out, text.text, breaks);
                push_capped(out, text.text.len(), text.full_len, "bytes");
            }
            FieldValue::Display(text) | FieldValue::Debug(text) => {
                push_bare(out, text.text, breaks);
                push_capped(out, text.text.len(), text.full_len, "bytes");
            }
            FieldValue::Bytes(bytes, full_len) => {
                out.push_str("0x");
                push_hex(out, bytes);
                push_capped(out, bytes.len(), *full_len, "bytes");
            }
            FieldValue::Error(texts, full_len) => {
                push_quoted(out, &chain(texts), breaks);
                push_capped(out, texts.len(), *full_len, "sources");
            }
            FieldValue::Uuid(bytes) => push_uuid(out, bytes),
            FieldValue::Ip(address) => number(address),
            FieldValue::Socket(address) => number(address),
            FieldValue::Duration(duration) => number(duration),
            FieldValue::Time(time) => push_time(out, *time),
            FieldValue::Withheld => out.push_str(WITHHELD),
            FieldValue::Shown(value, shown) => {
                match shown {
                    Shown::Debug => push_escaped(out, &format!("{:?}", StdText(value)), breaks),
                    Shown::Display | Shown::Plain => push_bare(out, &StdText(value).to_string(), breaks),
                }
                match &**value {
                    FieldValue::Str(text) => push_capped(out, text.text.len(), text.full_len, "bytes"),
                    FieldValue::Sequence(elements, full_len) => {
                        push_capped(out, elements.len(), *full_len, "elements");
                    }
                    _ => {}
                }
            }
            FieldValue::Unit => out.push_str("()"),
            FieldValue::None => out.push_str("None"),
            FieldValue::Some(value) => value.push_shown(out, breaks),
            FieldValue::Nested(nested) => nested.push_shown(out, breaks),
            FieldValue::Sequence(elements, full_len) => {
                out.push('[');
                for (index, element) in elements.iter().enumerate() {
                    if index > 0 {
                        out.push_str(", ");
                    }
                    element.push_shown(out, breaks);
                }
                out.push(']');
                push_capped(out, elements.len(), *full_len, "elements");
            }
        }
    }

    /// Appends the value as plain text, without quotes, for comparisons with text and for groups of statistics.
    pub fn push_plain(&self, out: &mut String) {
        match self {
            FieldValue::Str(text) | FieldValue::Display(text) | FieldValue::Debug(text) => out.push_str(text.text),
            FieldValue::Char(value) => out.push(*value),
            FieldValue::Error(texts, _) => out.push_str(&chain(texts)),
            FieldValue::Bytes(bytes, _) => push_hex(out, bytes),
            FieldValue::Some(value) | FieldValue::Shown(value, _) => value.push_plain(out),
            other => other.push_shown(out, LineBreaks::Keep),
        }
    }
}

/// Shows the value as text output does, with everything unsafe for a terminal made visible.
impl fmt::Display for FieldValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        self.push_shown(&mut text, LineBreaks::Escape);
        f.pad(&text)
    }
}

/// A value as std's `Display` and `Debug` show it. Values without such an impl, which only a damaged file asks to show
/// so, are shown as always.
#[derive(Clone, Copy)]
pub struct StdText<'v, 'a>(pub &'v FieldValue<'a>);

impl fmt::Display for StdText<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            FieldValue::Bool(value) => fmt::Display::fmt(value, f),
            FieldValue::Unsigned(value) => fmt::Display::fmt(value, f),
            FieldValue::U128(value) => fmt::Display::fmt(value, f),
            FieldValue::Signed { value, .. } => fmt::Display::fmt(value, f),
            FieldValue::I128(value) => fmt::Display::fmt(value, f),
            FieldValue::F32(value) => fmt::Display::fmt(value, f),
            FieldValue::F64(value) => fmt::Display::fmt(value, f),
            FieldValue::Char(value) => fmt::Display::fmt(value, f),
            FieldValue::Str(text) => fmt::Display::fmt(text.text, f),
            FieldValue::Ip(address) => fmt::Display::fmt(address, f),
            FieldValue::Socket(address) => fmt::Display::fmt(address, f),
            _ => fmt::Debug::fmt(self, f),
        }
    }
}

impl fmt::Debug for StdText<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            FieldValue::Bool(value) => fmt::Debug::fmt(value, f),
            FieldValue::Unsigned(value) => fmt::Debug::fmt(value, f),
            FieldValue::U128(value) => fmt::Debug::fmt(value, f),
            FieldValue::Signed { value, .. } => fmt::Debug::fmt(value, f),
            FieldValue::I128(value) => fmt::Debug::fmt(value, f),
            FieldValue::F32(value) => fmt::Debug::fmt(value, f),
            FieldValue::F64(value) => fmt::Debug::fmt(value, f),
            FieldValue::Char(value) => fmt::Debug::fmt(value, f),
            FieldValue::Str(text) => fmt::Debug::fmt(text.text, f),
            FieldValue::Ip(address) => fmt::Debug::fmt(address, f),
            FieldValue::Socket(address) => fmt::Debug::fmt(address, f),
            FieldValue::Duration(duration) => fmt::Debug::fmt(duration, f),
            FieldValue::Display(text) | FieldValue::Debug(text) => f.write_str(text.text),
            FieldValue::Unit => f.write_str("()"),
            FieldValue::None => f.write_str("None"),
            FieldValue::Some(value) => f.debug_tuple("Some").field(&StdText(value)).finish(),
            FieldValue::Sequence(elements, _) => f.debug_list().entries(elements.iter().map(StdText)).finish(),
            FieldValue::Nested(nested) => fmt_nested(nested, f),
            FieldValue::Shown(value, _) => fmt::Debug::fmt(&StdText(value), f),
            value @ (FieldValue::Bytes(..)
            | FieldValue::Error(..)
            | FieldValue::Uuid(_)
            | FieldValue::Time(_)
            | FieldValue::Withheld) => {
                let mut text = String::new();
                value.push_shown(&mut text, LineBreaks::Keep);
                f.write_str(&text)
            }
        }
    }
}

/// Shows a tuple, a struct or a variant as the derived `Debug` does.
fn fmt_nested(nested: &Nested<'_>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let name = nested.variant.unwrap_or(nested.name);
    if nested.members.is_empty() {
        return f.write_str(if name.is_empty() { "()" } else { name });
    }
    if nested.has_names() {
        let mut out = f.debug_struct(name);
        nested.members.iter().for_each(|(name, value)| _ = out.field(name, &StdText(value)));
        return out.finish();
    }
    let mut out = f.debug_tuple(name);
    nested.members.iter().for_each(|(_, value)| _ = out.field(&StdText(value)));
    out.finish()
}

/// Returns the texts of an error and its sources in one line, outermost first.
#[must_use]
pub fn chain(texts: &[Text<'_>]) -> String {
    let mut out = String::new();
    for (index, text) in texts.iter().enumerate() {
        if index > 0 {
            out.push_str(": ");
        }
        out.push_str(text.text);
        if text.full_len.is_some() {
            out.push('…');
        }
    }
    out
}

/// Appends a UUID in its usual form, with hyphens.
pub fn push_uuid(out: &mut String, bytes: &[u8; 16]) {
    for (index, part) in [&bytes[..4], &bytes[4..6], &bytes[6..8], &bytes[8..10], &bytes[10..]].into_iter().enumerate()
    {
        out.push_str(if index > 0 { "-" } else { "" });
        push_hex(out, part);
    }
}

/// Appends `bytes` in hexadecimal.
pub fn push_hex(out: &mut String, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        out.push(char::from(DIGITS[usize::from(byte >> 4)]));
        out.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
}

/// Appends text, in quotes only where it would not be clear where it ends.
fn push_bare(out: &mut String, text: &str, breaks: LineBreaks) {
    if !text.is_empty() && text.chars().all(|c| !c.is_whitespace() && !matches!(c, '"' | '=' | '\\')) {
        push_escaped(out, text, breaks);
    } else {
        push_quoted(out, text, breaks);
    }
}

fn push_capped(out: &mut String, kept: usize, full_len: Option<u32>, what: &str) {
    if let Some(full) = full_len {
        out.push_str("…(");
        out.push_str(&kept.to_string());
        out.push_str(" of ");
        out.push_str(&full.to_string());
        out.push(' ');
        out.push_str(what);
        out.push(')');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(value: &FieldValue<'_>) -> String {
        let mut out = String::new();
        value.push_shown(&mut out, LineBreaks::Escape);
        out
    }

    fn text(text: &str) -> Text<'_> {
        Text { text, full_len: None }
    }

    #[test]
    fn values_as_text() {
        let capped = Text { text: "abc", full_len: Some(1000) };
        let cases: &[(FieldValue<'_>, &str)] = &[
            (FieldValue::Bool(true), "true"),
            (FieldValue::Unsigned(u64::MAX), "18446744073709551615"),
            (FieldValue::I128(i128::MIN), "-170141183460469231731687303715884105728"),
            (FieldValue::F64(1.0), "1.0"),
            (FieldValue::F64(1e300), "1e300"),
            (FieldValue::F32(0.1), "0.1"),
            (FieldValue::F64(f64::NAN), "NaN"),
            (FieldValue::Char('\n'), "'\\n'"),
            (FieldValue::Str(text("a b")), "\"a b\""),
            (FieldValue::Str(text("\x1b]0;x")), "\"\\u{1b}]0;x\""),
            (FieldValue::Str(capped), "\"abc\"…(3 of 1000 bytes)"),
            (FieldValue::Display(text("10.0.0.1:80")), "10.0.0.1:80"),
            (FieldValue::Display(text("a b")), "\"a b\""),
            (FieldValue::Debug(text("Open { a: 1 }")), "\"Open { a: 1 }\""),
            (FieldValue::Bytes(&[0, 0xfe], None), "0x00fe"),
            (FieldValue::Error(vec![text("cannot read"), text("no such file")], None), "\"cannot read: no such file\""),
            (FieldValue::Some(Box::new(FieldValue::Unit)), "()"),
            (FieldValue::None, "None"),
            (
                FieldValue::Sequence(vec![FieldValue::Unsigned(1), FieldValue::None], Some(9)),
                "[1, None]…(2 of 9 elements)",
            ),
        ];
        for (value, expected) in cases {
            assert_eq!(shown(value), *expected);
        }
    }

    #[test]
    fn width_and_some_come_from_the_type() {
        assert_eq!(
            FieldValue::new(ValueRef::Signed(-1), &[TAG_OPTION, TAG_I16]),
            FieldValue::Some(Box::new(FieldValue::Signed { value: -1, bits: 16 }))
        );
        assert_eq!(FieldValue::new(ValueRef::None, &[TAG_OPTION, TAG_I16]), FieldValue::None);
    }
}

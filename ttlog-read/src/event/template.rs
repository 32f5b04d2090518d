//! Message templates: `user {id} took {ms:.1} ms` and the field values make the message.
//!
//! A template is parsed once per callsite. The format specs are those of Rust's `std::fmt` and are applied in the same
//! way, so a message reads as if the program had formatted it. If a spec does not fit its value, or is not understood,
//! the value is shown unformatted.
//!
//! # Format
//! docs/format.md §5.

use std::fmt::Write as _;

use ttlog_core::event::Shown;

use crate::event::secrets::WITHHELD;
use crate::event::value::{FieldValue, Nested, chain};
use crate::text::escape::LineBreaks;

/// Largest width and precision that are applied: a file could ask for gigabytes of blanks.
const WIDTH_MAX: usize = 1_000;

/// A parsed message.
#[derive(Clone, Debug)]
pub struct Template {
    pieces: Vec<Piece>,
    used: Vec<bool>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Field { index: usize, spec: Option<Spec> },
}

/// A format spec, `[[fill]align][sign]['#']['0'][width]['.' precision][type]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spec {
    fill: char,
    align: Option<Align>,
    plus: bool,
    alternate: bool,
    zero: bool,
    width: usize,
    precision: Option<usize>,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Align {
    Left,
    Center,
    Right,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Display,
    Debug,
    DebugLowerHex,
    DebugUpperHex,
    LowerHex,
    UpperHex,
    Octal,
    Binary,
    LowerExp,
    UpperExp,
}

impl Template {
    /// Parses `message`, whose fields have these names, in field order. Braces that are not a placeholder of a known
    /// field stay text.
    #[must_use]
    pub fn parse(message: &str, names: &[&str]) -> Self {
        let mut template = Template { pieces: Vec::new(), used: vec![false; names.len()] };
        let mut text = String::new();
        let mut rest = message;
        while let Some(at) = rest.find(['{', '}']) {
            text.push_str(&rest[..at]);
            let brace = rest.as_bytes()[at];
            rest = &rest[at + 1..];
            if rest.as_bytes().first() == Some(&brace) {
                text.push(char::from(brace));
                rest = &rest[1..];
                continue;
            }
            match placeholder(brace, rest, names) {
                Some((index, spec, len)) => {
                    if !text.is_empty() {
                        template.pieces.push(Piece::Text(std::mem::take(&mut text)));
                    }
                    template.used[index] = true;
                    template.pieces.push(Piece::Field { index, spec });
                    rest = &rest[len..];
                }
                None => text.push(char::from(brace)),
            }
        }
        text.push_str(rest);
        if !text.is_empty() {
            template.pieces.push(Piece::Text(text));
        }
        template
    }

    /// Returns whether the field appears in the message.
    #[must_use]
    pub fn uses(&self, index: usize) -> bool {
        self.used.get(index).copied().unwrap_or(false)
    }

    /// Returns the message when it has no placeholders.
    #[must_use]
    pub fn constant(&self) -> Option<&str> {
        match self.pieces.as_slice() {
            [] => Some(""),
            [Piece::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Appends the message to `out`. `values` has the fields' values in field order; unreadable values are missing.
    pub fn render(&self, values: &[Option<FieldValue<'_>>], out: &mut String) {
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Field { index, spec } => match (values.get(*index).and_then(Option::as_ref), spec) {
                    (Some(value), Some(spec)) => push_formatted(out, value, spec),
                    (Some(value), None) => push_unformatted(out, value),
                    (None, _) => out.push('�'),
                },
            }
        }
    }
}

/// Parses the text after a lone brace. Returns the field's index, its spec, and the length up to and including the
/// closing brace.
fn placeholder(brace: u8, rest: &str, names: &[&str]) -> Option<(usize, Option<Spec>, usize)> {
    if brace != b'{' {
        return None;
    }
    // A fill character can be a brace, so names are tried first, and then specs by length.
    let index = names.iter().position(|name| {
        rest.strip_prefix(name).is_some_and(|after| !name.is_empty() && after.trim_start().starts_with([':', '}']))
    })?;
    let after = rest[names[index].len()..].trim_start();
    let start = rest.len() - after.len();
    if after.starts_with('}') {
        return Some((index, Some(Spec::PLAIN), start + 1));
    }
    let body = &after[1..];
    let fill_is_brace = body.starts_with('}') && body[1..].starts_with(['<', '^', '>']);
    let from = usize::from(fill_is_brace);
    let end = from + body[from..].find('}')?;
    Some((index, Spec::parse(body[..end].trim_end()), start + 1 + end + 1))
}

impl Spec {
    const PLAIN: Spec = Spec {
        fill: ' ',
        align: None,
        plus: false,
        alternate: false,
        zero: false,
        width: 0,
        precision: None,
        kind: Kind::Display,
    };

    /// Parses a spec. Returns `None` if it is not understood.
    fn parse(text: &str) -> Option<Spec> {
        let mut spec = Spec::PLAIN;
        let mut rest = text;
        let align_of = |c: Option<char>| match c {
            Some('<') => Some(Align::Left),
            Some('^') => Some(Align::Center),
            Some('>') => Some(Align::Right),
            _ => None,
        };
        let mut chars = rest.chars();
        let first = chars.next();
        if let (Some(fill), Some(align)) = (first, align_of(chars.next())) {
            spec.fill = fill;
            spec.align = Some(align);
            rest = chars.as_str();
        } else if let Some(align) = align_of(first) {
            spec.align = Some(align);
            rest = &rest[1..];
        }
        if let Some(after) = rest.strip_prefix('+') {
            spec.plus = true;
            rest = after;
        } else if let Some(after) = rest.strip_prefix('-') {
            rest = after; // accepted by Rust, without effect
        }
        if let Some(after) = rest.strip_prefix('#') {
            spec.alternate = true;
            rest = after;
        }
        if let Some(after) = rest.strip_prefix('0') {
            spec.zero = true;
            rest = after;
        }
        let (width, after) = number(rest)?;
        spec.width = width.unwrap_or(0);
        rest = after;
        if let Some(after) = rest.strip_prefix('.') {
            let (precision, after) = number(after)?;
            spec.precision = Some(precision?);
            rest = after;
        }
        spec.kind = match rest {
            "" => Kind::Display,
            "?" => Kind::Debug,
            "x?" => Kind::DebugLowerHex,
            "X?" => Kind::DebugUpperHex,
            "x" => Kind::LowerHex,
            "X" => Kind::UpperHex,
            "o" => Kind::Octal,
            "b" => Kind::Binary,
            "e" => Kind::LowerExp,
            "E" => Kind::UpperExp,
            _ => return None,
        };
        Some(spec)
    }

    fn is_debug(&self) -> bool {
        matches!(self.kind, Kind::Debug | Kind::DebugLowerHex | Kind::DebugUpperHex)
    }

    fn pad(&self, out: &mut String, text: &str, default: Align) {
        let missing = self.width.saturating_sub(text.chars().count());
        let left = match self.align.unwrap_or(default) {
            Align::Left => 0,
            Align::Center => missing / 2,
            Align::Right => missing,
        };
        out.extend(std::iter::repeat_n(self.fill, left));
        out.push_str(text);
        out.extend(std::iter::repeat_n(self.fill, missing - left));
    }

    /// Pads a number: zeros go between the sign or prefix and the digits.
    fn pad_number(&self, out: &mut String, sign: &str, prefix: &str, digits: &str) {
        if self.zero {
            let len = sign.len() + prefix.len() + digits.len();
            out.push_str(sign);
            out.push_str(prefix);
            out.extend(std::iter::repeat_n('0', self.width.saturating_sub(len)));
            out.push_str(digits);
        } else {
            self.pad(out, &format!("{sign}{prefix}{digits}"), Align::Right);
        }
    }

    fn pad_text(&self, out: &mut String, text: &str) {
        match self.precision {
            Some(precision) => {
                let end = text.char_indices().nth(precision).map_or(text.len(), |(at, _)| at);
                self.pad(out, &text[..end], Align::Left);
            }
            None if self.width == 0 => out.push_str(text),
            None => self.pad(out, text, Align::Left),
        }
    }
}

/// Parses the digits at the front of `text`. Returns `None` if the number exceeds the largest width.
fn number(text: &str) -> Option<(Option<usize>, &str)> {
    let len = text.bytes().take_while(u8::is_ascii_digit).count();
    if len == 0 {
        return Some((None, text));
    }
    let value = text[..len].parse().ok().filter(|value| *value <= WIDTH_MAX)?;
    Some((Some(value), &text[len..]))
}

/// Appends the value unformatted.
fn push_unformatted(out: &mut String, value: &FieldValue<'_>) {
    push_formatted(out, value, &Spec { kind: Kind::Display, ..Spec::PLAIN });
}

fn push_formatted(out: &mut String, value: &FieldValue<'_>, spec: &Spec) {
    match value {
        FieldValue::Bool(value) if spec.is_debug() || spec.kind == Kind::Display => {
            spec.pad_text(out, if *value { "true" } else { "false" });
        }
        FieldValue::Unsigned(value) => push_integer(out, false, u128::from(*value), u128::from(*value), spec),
        FieldValue::U128(value) => push_integer(out, false, *value, *value, spec),
        FieldValue::Signed { value, bits } => {
            let mask = u64::MAX >> (64 - bits);
            let twos_complement = value.cast_unsigned() & mask;
            push_integer(out, *value < 0, u128::from(value.unsigned_abs()), u128::from(twos_complement), spec);
        }
        FieldValue::I128(value) => push_integer(out, *value < 0, value.unsigned_abs(), value.cast_unsigned(), spec),
        FieldValue::F32(value) => push_float(out, *value, value.is_nan(), value.is_sign_negative(), value.abs(), spec),
        FieldValue::F64(value) => push_float(out, *value, value.is_nan(), value.is_sign_negative(), value.abs(), spec),
        FieldValue::Char(value) if spec.is_debug() => _ = write!(out, "{value:?}"),
        FieldValue::Char(value) => spec.pad_text(out, value.encode_utf8(&mut [0; 4])),
        FieldValue::Str(text) if spec.is_debug() => {
            _ = write!(out, "{:?}", text.text);
            push_ellipsis(out, text.full_len);
        }
        // Text that the program formatted with `Debug` is not formatted with `Debug` again.
        FieldValue::Display(text) | FieldValue::Debug(text) if spec.is_debug() => {
            out.push_str(text.text);
            push_ellipsis(out, text.full_len);
        }
        FieldValue::Str(text) | FieldValue::Display(text) | FieldValue::Debug(text) => {
            spec.pad_text(out, text.text);
            push_ellipsis(out, text.full_len);
        }
        FieldValue::Bytes(bytes, full_len) if spec.is_debug() => {
            push_list(out, bytes.iter().map(|byte| FieldValue::Unsigned(u64::from(*byte))), spec);
            push_ellipsis(out, *full_len);
        }
        FieldValue::Error(texts, _) if spec.is_debug() => out.push_str(&chain(texts)),
        FieldValue::Error(texts, _) => {
            if let Some(text) = texts.first() {
                spec.pad_text(out, text.text);
                push_ellipsis(out, text.full_len);
            }
        }
        FieldValue::Uuid(_) | FieldValue::Ip(_) | FieldValue::Socket(_) | FieldValue::Time(_) => {
            let mut text = String::new();
            value.push_shown(&mut text, LineBreaks::Keep);
            spec.pad_text(out, &text);
        }
        FieldValue::Duration(duration) => {
            let text = match spec.precision {
                Some(precision) => format!("{duration:.precision$?}"),
                None => format!("{duration:?}"),
            };
            spec.pad(out, &if spec.plus { format!("+{text}") } else { text }, Align::Left);
        }
        // Neither padded nor cut: this is not the value.
        FieldValue::Withheld => out.push_str(WITHHELD),
        FieldValue::Unit => spec.pad_text(out, "()"),
        // The derived `Debug` of a variant without fields does not pad.
        FieldValue::None if spec.is_debug() => out.push_str("None"),
        FieldValue::None => spec.pad_text(out, "None"),
        FieldValue::Some(value) if spec.is_debug() => {
            out.push_str("Some(");
            push_element(out, value, spec);
            out.push_str(if spec.alternate { ",\n)" } else { ")" });
        }
        FieldValue::Some(value) => push_formatted(out, value, spec),
        // The mark on the field decides, unless the placeholder asks for digits of another base.
        FieldValue::Shown(value, shown) => {
            let kind = match (spec.kind, shown) {
                (Kind::Display | Kind::Debug, Shown::Display) => Kind::Display,
                (Kind::Display | Kind::Debug, Shown::Debug) => Kind::Debug,
                (kind, _) => kind,
            };
            push_formatted(out, value, &Spec { kind, ..*spec });
        }
        FieldValue::Sequence(elements, full_len) if spec.is_debug() => {
            push_list(out, elements.iter().cloned(), spec);
            push_ellipsis(out, *full_len);
        }
        FieldValue::Nested(nested) if spec.is_debug() => push_nested(out, nested, spec),
        FieldValue::Bool(_) | FieldValue::Bytes(..) | FieldValue::Sequence(..) | FieldValue::Nested(_) => {
            value.push_shown(out, LineBreaks::Keep);
        }
    }
}

fn push_ellipsis(out: &mut String, full_len: Option<u32>) {
    if full_len.is_some() {
        out.push('…');
    }
}

fn push_list<'a>(out: &mut String, elements: impl Iterator<Item = FieldValue<'a>>, spec: &Spec) {
    out.push('[');
    let mut any = false;
    for element in elements {
        if any && !spec.alternate {
            out.push_str(", ");
        } else if any {
            out.push(',');
        }
        any = true;
        push_element(out, &element, spec);
    }
    out.push_str(if any && spec.alternate { ",\n]" } else { "]" });
}

/// Appends a tuple, a struct or a variant as the derived `Debug` does.
fn push_nested(out: &mut String, nested: &Nested<'_>, spec: &Spec) {
    let name = nested.variant.unwrap_or(nested.name);
    out.push_str(name);
    if nested.members.is_empty() {
        out.push_str(if name.is_empty() { "()" } else { "" });
        return;
    }
    let has_names = nested.has_names();
    out.push_str(match (has_names, spec.alternate) {
        (true, true) => " {",
        (true, false) => " { ",
        (false, _) => "(",
    });
    for (index, (name, value)) in nested.members.iter().enumerate() {
        out.push_str(match (index, spec.alternate) {
            (0, _) => "",
            (_, true) => ",",
            (_, false) => ", ",
        });
        let mut member = String::new();
        if has_names {
            member.push_str(name);
            member.push_str(": ");
        }
        push_formatted(&mut member, value, spec);
        if spec.alternate {
            out.push_str("\n    ");
            out.push_str(&member.replace('\n', "\n    "));
        } else {
            out.push_str(&member);
        }
    }
    let is_tuple_of_one = name.is_empty() && nested.members.len() == 1;
    out.push_str(match (has_names, spec.alternate) {
        (true, true) => ",\n}",
        (true, false) => " }",
        (false, true) => ",\n)",
        (false, false) if is_tuple_of_one => ",)",
        (false, false) => ")",
    });
}

/// Appends an element. In the alternate form it is indented on its own line.
fn push_element(out: &mut String, value: &FieldValue<'_>, spec: &Spec) {
    if spec.alternate {
        let mut text = String::new();
        push_formatted(&mut text, value, spec);
        out.push_str("\n    ");
        out.push_str(&text.replace('\n', "\n    "));
    } else {
        push_formatted(out, value, spec);
    }
}

fn push_integer(out: &mut String, negative: bool, magnitude: u128, bits: u128, spec: &Spec) {
    let sign = if negative {
        "-"
    } else if spec.plus {
        "+"
    } else {
        ""
    };
    // Two's complement has no minus sign.
    let plus = if spec.plus { "+" } else { "" };
    let prefix = |prefix| if spec.alternate { prefix } else { "" };
    match spec.kind {
        Kind::Display | Kind::Debug if spec.width == 0 => {
            out.push_str(sign);
            _ = match u64::try_from(magnitude) {
                Ok(short) => write!(out, "{short}"),
                Err(_) => write!(out, "{magnitude}"),
            };
        }
        Kind::Display | Kind::Debug => spec.pad_number(out, sign, "", &magnitude.to_string()),
        Kind::LowerHex | Kind::DebugLowerHex => spec.pad_number(out, plus, prefix("0x"), &format!("{bits:x}")),
        Kind::UpperHex | Kind::DebugUpperHex => spec.pad_number(out, plus, prefix("0x"), &format!("{bits:X}")),
        Kind::Octal => spec.pad_number(out, plus, prefix("0o"), &format!("{bits:o}")),
        Kind::Binary => spec.pad_number(out, plus, prefix("0b"), &format!("{bits:b}")),
        Kind::LowerExp | Kind::UpperExp => {
            let digits = match spec.precision {
                Some(precision) => format!("{magnitude:.precision$e}"),
                None => format!("{magnitude:e}"),
            };
            spec.pad_number(out, sign, "", &upper_exp(digits, spec));
        }
    }
}

fn upper_exp(digits: String, spec: &Spec) -> String {
    if spec.kind == Kind::UpperExp { digits.replace('e', "E") } else { digits }
}

fn push_float<F>(out: &mut String, value: F, nan: bool, negative: bool, magnitude: F, spec: &Spec)
where
    F: std::fmt::Display + std::fmt::Debug + std::fmt::LowerExp,
{
    let sign = match (nan, negative) {
        (true, _) => "",
        (false, true) => "-",
        (false, false) if spec.plus => "+",
        (false, false) => "",
    };
    let digits = match (spec.kind, spec.precision) {
        (Kind::Display, None) => format!("{magnitude}"),
        (Kind::Debug | Kind::DebugLowerHex | Kind::DebugUpperHex, None) => format!("{magnitude:?}"),
        (Kind::LowerExp | Kind::UpperExp, None) => upper_exp(format!("{magnitude:e}"), spec),
        (Kind::LowerExp | Kind::UpperExp, Some(precision)) => upper_exp(format!("{magnitude:.precision$e}"), spec),
        (Kind::LowerHex | Kind::UpperHex | Kind::Octal | Kind::Binary, _) => {
            _ = write!(out, "{value}"); // cannot fail on a String
            return;
        }
        (_, Some(precision)) => format!("{magnitude:.precision$}"),
    };
    spec.pad_number(out, sign, "", &digits);
}

#[cfg(test)]
mod tests;

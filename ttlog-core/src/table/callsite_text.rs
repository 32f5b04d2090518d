//! Text of a callsite on a device: its description in the source, as bytes that the compiler generates and no device
//! loads.
//!
//! On servers, a callsite's metadata goes into the ring's table as CBOR when it is first used. On a device, it is in a
//! section of the ELF file that is not part of the image, so it costs neither flash nor RAM; with the feature
//! `embedded-metadata`, it is in flash. `const` code has to lay it out at compile time, so its format is simpler than
//! CBOR. The source does not determine the types of the run-time fields; they are stored next to it as a list of type
//! tags (`ttlog-core/src/device/callsite.rs`). A reader combines both into the callsite item of a snapshot, see
//! [`encode_callsite_text`](crate::table::encode_callsite_text).
//!
//! # Format
//! docs/format.md §3.3.

use crate::error::{FormatError, FormatErrorKind};
use crate::event::level::Level;
use crate::event::literal::LiteralRef;
use crate::event::metadata::{Literal, Metadata, Role, Shown};
use crate::record::packed::Unpacker;

/// Version of the layout.
const VERSION: u8 = 1;
/// Bit of a field's flags: the source marks it as secret.
const SECRET: u8 = 1;
/// Bit of a field's flags: it is a literal, and its value follows.
const LITERAL: u8 = 2;
/// Position of the role in a field's flags.
const ROLE_SHIFT: u32 = 2;
/// Mask of the role, at that position.
const ROLE_MASK: u8 = 15;
/// Position of how the field is shown, in the two bits after the role.
const SHOWN_SHIFT: u32 = 6;
/// Number of bytes before the texts.
const HEAD_LEN: usize = 8;

/// Returns the length of the bytes that [`encode`] returns for a callsite.
#[must_use]
pub const fn encoded_len(metadata: &Metadata) -> usize {
    let mut len = HEAD_LEN + text_len(metadata.target) + text_len(metadata.message) + text_len(metadata.file) + 1;
    let mut index = 0;
    while index < metadata.fields.len() {
        let field = &metadata.fields[index];
        len += 1 + text_len(field.name);
        if let Some(literal) = field.literal {
            len += 1 + literal_len(literal);
        }
        index += 1;
    }
    len
}

const fn text_len(text: &str) -> usize {
    2 + text.len()
}

const fn literal_len(literal: Literal) -> usize {
    match literal {
        Literal::Bool(_) => 1,
        Literal::Char(_) => 4,
        Literal::U64(_) | Literal::I64(_) | Literal::F64(_) => 8,
        Literal::U128(_) | Literal::I128(_) => 16,
        Literal::Str(text) => text_len(text),
    }
}

/// Encodes the text of a callsite; `N` is its [`encoded_len`].
///
/// # Panics
/// Panics (at compile time, in the macros) if `N` is not that length, the text is longer than 65,535 bytes in total, or
/// there are more than 255 fields.
#[must_use]
pub const fn encode<const N: usize>(metadata: &Metadata) -> [u8; N] {
    assert!(N <= 0xFFFF, "the texts of a log call are longer than 65,535 bytes in total");
    assert!(metadata.fields.len() <= 255, "a log call has more than 255 fields");
    let mut out = Out { bytes: [0; N], len: 0 };
    out = out.put(&(N as u16).to_le_bytes());
    out = out.put(&[VERSION, metadata.level as u8]);
    out = out.put(&metadata.line.to_le_bytes());
    out = out.put_text(metadata.target).put_text(metadata.message).put_text(metadata.file);
    out = out.put(&[metadata.fields.len() as u8]);
    let mut index = 0;
    while index < metadata.fields.len() {
        let field = &metadata.fields[index];
        let flags = if field.secret { SECRET } else { 0 }
            | if field.literal.is_some() { LITERAL } else { 0 }
            | (field.role as u8) << ROLE_SHIFT
            | (field.shown as u8) << SHOWN_SHIFT;
        out = out.put(&[flags]).put_text(field.name);
        if let Some(literal) = field.literal {
            out = match literal {
                Literal::Bool(value) => out.put(&[1, value as u8]),
                Literal::U64(value) => out.put(&[5]).put(&value.to_le_bytes()),
                Literal::U128(value) => out.put(&[6]).put(&value.to_le_bytes()),
                Literal::I64(value) => out.put(&[10]).put(&value.to_le_bytes()),
                Literal::I128(value) => out.put(&[11]).put(&value.to_le_bytes()),
                Literal::F64(value) => out.put(&[13]).put(&value.to_bits().to_le_bytes()),
                Literal::Char(value) => out.put(&[14]).put(&(value as u32).to_le_bytes()),
                Literal::Str(text) => out.put(&[15]).put_text(text),
            };
        }
        index += 1;
    }
    assert!(out.len == N, "the length differs from `encoded_len`");
    out.bytes
}

/// Output buffer. Passed by value from call to call, which suits code that runs at compile time.
struct Out<const N: usize> {
    bytes: [u8; N],
    /// Number of bytes written so far, in 0..=N.
    len: usize,
}

impl<const N: usize> Out<N> {
    const fn put(mut self, bytes: &[u8]) -> Self {
        let mut index = 0;
        while index < bytes.len() {
            self.bytes[self.len] = bytes[index];
            self.len += 1;
            index += 1;
        }
        self
    }

    const fn put_text(self, text: &str) -> Self {
        self.put(&(text.len() as u16).to_le_bytes()).put(text.as_bytes())
    }
}

/// The text of a callsite, decoded.
#[derive(Clone, Copy, Debug)]
pub struct CallsiteText<'a> {
    /// Severity level.
    pub level: Level,
    /// Module path, or the value of `target:`.
    pub target: &'a str,
    /// Message or template.
    pub message: &'a str,
    /// Source file.
    pub file: &'a str,
    /// Line, from 1.
    pub line: u32,
    /// Encoded fields, already validated.
    fields: &'a [u8],
    field_count: u8,
}

/// A field of such a callsite.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CallsiteField<'a> {
    /// Name.
    pub name: &'a str,
    /// Type tag and value, if it is a literal; otherwise each record holds the value.
    pub literal: Option<(u8, LiteralRef<'a>)>,
    /// Whether the source marks it as secret.
    pub secret: bool,
    /// Relation between the event and the span whose id is the value.
    pub role: Role,
    /// How the value is shown.
    pub shown: Shown,
}

impl<'a> CallsiteText<'a> {
    /// Reads the text at the start of `bytes`, which can hold anything and continue after the text.
    ///
    /// # Errors
    /// [`FormatErrorKind::TooShort`] if `bytes` end before the text does, [`FormatErrorKind::BadGeometry`] if the text
    /// is invalid; with the offset up to which reading succeeded.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, FormatError> {
        let too_short = FormatError::new(bytes.len() as u64, FormatErrorKind::TooShort);
        let len = u16::from_le_bytes(*bytes.first_chunk().ok_or(too_short)?);
        let text = bytes.get(..usize::from(len)).ok_or(too_short)?;
        let mut from = Unpacker::new(text);
        let decoded = decode_text(&mut from);
        let at = (text.len() - from.rest().len()) as u64;
        decoded.ok_or(FormatError::new(at, FormatErrorKind::BadGeometry))
    }

    /// Iterates over the fields in source order.
    pub fn fields(&self) -> impl ExactSizeIterator<Item = CallsiteField<'a>> + Clone + use<'a> {
        let mut from = Unpacker::new(self.fields);
        // `decode` has validated the fields, so this cannot fail.
        (0..self.field_count).map(move |_| decode_field(&mut from).unwrap_or_default())
    }
}

fn decode_text<'a>(from: &mut Unpacker<'a>) -> Option<CallsiteText<'a>> {
    let [_, _, VERSION, level] = from.array()? else { return None };
    let level = Level::try_from(level).ok()?;
    let line = u32::from_le_bytes(from.array()?);
    let (target, message, file) = (text(from)?, text(from)?, text(from)?);
    let field_count = from.byte()?;
    let fields = from.rest();
    for _ in 0..field_count {
        decode_field(from)?;
    }
    from.rest().is_empty().then_some(CallsiteText { level, target, message, file, line, fields, field_count })
}

fn decode_field<'a>(from: &mut Unpacker<'a>) -> Option<CallsiteField<'a>> {
    let flags = from.byte()?;
    let name = text(from)?;
    let literal = if flags & LITERAL != 0 { Some(decode_literal(from)?) } else { None };
    let role = Role::from_code(u64::from(flags >> ROLE_SHIFT & ROLE_MASK));
    let shown = Shown::from_code(u64::from(flags >> SHOWN_SHIFT));
    Some(CallsiteField { name, literal, secret: flags & SECRET != 0, role, shown })
}

fn decode_literal<'a>(from: &mut Unpacker<'a>) -> Option<(u8, LiteralRef<'a>)> {
    let tag = from.byte()?;
    let literal = match tag {
        1 => LiteralRef::Bool(match from.byte()? {
            0 => false,
            1 => true,
            _ => return None,
        }),
        5 => LiteralRef::Unsigned(from.word()?),
        6 => LiteralRef::U128(u128::from_le_bytes(from.array()?)),
        10 => LiteralRef::Signed(i64::from_le_bytes(from.array()?)),
        11 => LiteralRef::I128(i128::from_le_bytes(from.array()?)),
        13 => LiteralRef::Float(f64::from_bits(from.word()?)),
        14 => LiteralRef::Char(char::from_u32(u32::from_le_bytes(from.array()?))?),
        15 => LiteralRef::Text(text(from)?),
        _ => return None,
    };
    Some((tag, literal))
}

fn text<'a>(from: &mut Unpacker<'a>) -> Option<&'a str> {
    let len = u16::from_le_bytes(from.array()?);
    core::str::from_utf8(from.bytes(usize::from(len))?).ok()
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;
    use crate::event::metadata::Field;

    const METADATA: Metadata = Metadata {
        level: Level::Warn,
        target: "motor::drive",
        message: "stalled at {angle}",
        file: "src/drive.rs",
        line: 70_000,
        fields: &[
            Field::dynamic("angle"),
            Field::literal("axis", Literal::Char('é')),
            Field::literal("on", Literal::Bool(true)).secret(),
            Field::literal("n", Literal::I64(-5)),
            Field::literal("u", Literal::U64(u64::MAX)),
            Field::literal("w", Literal::U128(1 << 100)),
            Field::literal("v", Literal::I128(-1)),
            Field::literal("f", Literal::F64(0.5)),
            Field::literal("unit", Literal::Str("mm")),
            Field::dynamic("token").secret().shown(Shown::Debug),
            Field::id("span", Role::Begin),
            Field::id("parent", Role::KnownAs),
        ],
    };
    const LEN: usize = encoded_len(&METADATA);
    static TEXT: [u8; LEN] = encode(&METADATA);

    #[test]
    fn a_text_comes_back_as_it_was() {
        let mut padded = TEXT.to_vec();
        padded.extend([0xEE; 3]); // the section continues
        let text = CallsiteText::decode(&padded).unwrap();
        assert_eq!((text.level, text.target, text.message), (Level::Warn, "motor::drive", "stalled at {angle}"));
        assert_eq!((text.file, text.line), ("src/drive.rs", 70_000));
        let fields: Vec<_> = text.fields().map(|field| (field.name, field.secret, field.literal)).collect();
        let literals = [
            ("axis", false, Some((14, LiteralRef::Char('é')))),
            ("on", true, Some((1, LiteralRef::Bool(true)))),
            ("n", false, Some((10, LiteralRef::Signed(-5)))),
            ("u", false, Some((5, LiteralRef::Unsigned(u64::MAX)))),
            ("w", false, Some((6, LiteralRef::U128(1 << 100)))),
            ("v", false, Some((11, LiteralRef::I128(-1)))),
            ("f", false, Some((13, LiteralRef::Float(0.5)))),
            ("unit", false, Some((15, LiteralRef::Text("mm")))),
        ];
        assert_eq!(fields[0], ("angle", false, None));
        assert_eq!(fields[1..9], literals);
        assert_eq!(fields[9], ("token", true, None));
        assert_eq!(text.fields().filter(|field| field.shown != Shown::Plain).count(), 1);
        assert_eq!(text.fields().nth(9).unwrap().shown, Shown::Debug);
        let roles: Vec<_> = text.fields().map(|field| field.role).skip(9).collect();
        assert_eq!(roles, [Role::Value, Role::Begin, Role::KnownAs]);
    }

    #[test]
    fn truncated_texts_and_flipped_bits_do_no_harm() {
        for len in 0..TEXT.len() {
            assert!(CallsiteText::decode(&TEXT[..len]).is_err(), "{len} bytes");
        }
        for bit in (0..TEXT.len() * 8).step_by(if cfg!(miri) { 13 } else { 1 }) {
            let mut text = TEXT;
            text[bit / 8] ^= 1 << (bit % 8);
            if let Ok(text) = CallsiteText::decode(&text) {
                assert_eq!(text.fields().count(), METADATA.fields.len(), "bit {bit}");
            }
        }
    }
}

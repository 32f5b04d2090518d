//! Items of the table: process and callsites, encoded to and decoded from CBOR.
//!
//! # Format
//! docs/format.md §3.

pub mod callsite_text;

use minicbor::data::Type as Cbor;
use minicbor::encode::write::{Cursor, EndOfSlice};
use minicbor::{Decoder, Encoder};

use crate::error::{FormatError, FormatErrorKind};
use crate::event::fields::TypeList;
use crate::event::level::Level;
use crate::event::literal::LiteralRef;
use crate::event::metadata::{Literal, Metadata, Role, Shown};
use crate::record::CALLSITE_MAX;
use crate::record::members::{MemberPath, mark_members};
use crate::record::packed::Unpacker;
use crate::record::types::{MEMBER_SECRET, TYPE_LEN_MAX, Type, has_members, split_type};
use crate::record::value::{ValueRef, decode_packed, decode_split, decode_wide, head_len, wide_words};
use callsite_text::CallsiteText;

const KIND_PROCESS: u64 = 1;
const KIND_CALLSITE: u64 = 2;
/// A callsite whose payloads have the heads of all values in front of their tails.
const KIND_SPLIT_CALLSITE: u64 = 3;
/// Flag of a field: the source marks it as secret.
const FIELD_SECRET: u64 = 1;
/// Flag of a field: its value was withheld when the snapshot was written.
const FIELD_WITHHELD: u64 = 2;
/// Position and mask of the role of a field among its flags.
const ROLE_SHIFT: u32 = 2;
const ROLE_MASK: u64 = 15;
/// Position and mask, among those flags, of how a field is shown.
const SHOWN_SHIFT: u32 = 6;
const SHOWN_MASK: u64 = 3;

/// An item of the table.
#[derive(Clone, Copy, Debug)]
pub enum TableItem<'a> {
    /// Process that the ring belongs to.
    Process(ProcessInfo<'a>),
    /// A callsite.
    Callsite(CallsiteInfo<'a>),
    /// An item of a kind that this version does not know.
    Unknown(u64),
}

/// Process that the ring belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProcessInfo<'a> {
    /// Name of the service, as set by the program.
    pub service: &'a str,
    /// Process id.
    pub pid: u64,
    /// Host name.
    pub host: &'a str,
    /// Path of the executable.
    pub executable: &'a str,
    /// Start of recording, nanoseconds since 1970.
    pub start_unix_ns: i64,
    /// Build id of the executable; empty if unknown.
    pub build_id: &'a [u8],
    /// Name of the recording clock.
    pub clock: &'a str,
    /// Rate of that clock, as calibrated when recording started; 0 if unknown.
    pub ticks_per_second: u64,
    /// Start time of the process in the operating system's units; 0 if unknown.
    pub process_start: u64,
    /// Operating system.
    pub os: &'a str,
}

/// A callsite, decoded from the table; borrows from the entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallsiteInfo<'a> {
    /// Id in records, from 1.
    pub id: u16,
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
    /// Whether the values in records are split into head and tail.
    pub split: bool,
    /// CBOR of the fields, already validated.
    fields: &'a [u8],
    field_count: u64,
}

/// A field of a callsite.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FieldInfo<'a> {
    /// Name.
    pub name: &'a str,
    /// Type (docs/format.md §4.2).
    pub type_tags: &'a [u8],
    /// Value, if it is a literal.
    pub literal: Option<LiteralRef<'a>>,
    /// Whether the source marks it as secret.
    pub secret: bool,
    /// Whether the value was withheld when the snapshot was written. If so, neither the literal nor the values in
    /// records are meaningful.
    pub withheld: bool,
    /// Relation between the event and the span whose id this is.
    pub role: Role,
    /// How the value is shown, unless it is text that the program formatted.
    pub shown: Shown,
    /// Whether the value in a record is split into head and tail.
    pub split: bool,
}

type EncodeError = minicbor::encode::Error<EndOfSlice>;

/// Kind of an entry, decoded from its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryStart {
    /// A process item.
    Process,
    /// A callsite with this id.
    Callsite(u64),
    /// Something else, or unreadable.
    Unknown,
}

impl EntryStart {
    /// Reads the first bytes of an entry: at least 16, or the whole entry if it is shorter. Uses little stack;
    /// async-signal-safe.
    #[must_use]
    pub fn decode(start: &[u8]) -> Self {
        let mut decoder = Decoder::new(start);
        let mut read = || -> Result<Self, minicbor::decode::Error> {
            decoder.array()?;
            Ok(match decoder.u64()? {
                KIND_PROCESS => EntryStart::Process,
                KIND_CALLSITE | KIND_SPLIT_CALLSITE => EntryStart::Callsite(decoder.u64()?),
                _ => EntryStart::Unknown,
            })
        };
        read().unwrap_or(EntryStart::Unknown)
    }
}

/// Encodes the process item into `out`. Returns its length, or `None` if `out` is too short.
#[must_use]
pub fn encode_process(info: &ProcessInfo<'_>, out: &mut [u8]) -> Option<usize> {
    encode_into(out, |encoder| {
        encoder.array(2)?.u64(KIND_PROCESS)?.map(10)?;
        encoder.u8(0)?.str(info.service)?.u8(1)?.u64(info.pid)?.u8(2)?.str(info.host)?;
        encoder.u8(3)?.str(info.executable)?.u8(4)?.i64(info.start_unix_ns)?.u8(5)?.bytes(info.build_id)?;
        encoder.u8(6)?.str(info.clock)?.u8(7)?.u64(info.ticks_per_second)?;
        encoder.u8(8)?.u64(info.process_start)?.u8(9)?.str(info.os)?;
        Ok(())
    })
}

/// Encodes a callsite with the types of its run-time fields into `out`. Returns its length, or `None` if `out` is too
/// short.
#[must_use]
pub fn encode_callsite(id: u16, metadata: &Metadata, types: TypeList, out: &mut [u8]) -> Option<usize> {
    encode_callsite_marking(id, metadata, types, |_, is_marked| is_marked, out)
}

/// Like [`encode_callsite`], but marks the fields and members as secret for which `is_secret` returns `true`. It gets
/// the path, and whether the source marks them.
#[must_use]
pub fn encode_callsite_marking(
    id: u16,
    metadata: &Metadata,
    types: TypeList,
    is_secret: impl Fn(&MemberPath<'_>, bool) -> bool,
    out: &mut [u8],
) -> Option<usize> {
    encode_callsite_as(id, metadata, types, |role| role, is_secret, out)
}

/// Number of recorded fields, ids included, of starts of spans that are repeated with their values.
const REPEATED_FIELDS_MAX: usize = 10;

/// Returns whether the starts of spans with fields of these types are repeated with their values. If not, there are
/// only the ids of the span and of its parent.
pub(crate) const fn repeats_values(types: &TypeList) -> bool {
    let mut rest = types;
    if let TypeList::Split(fields) = rest {
        rest = fields;
    }
    let mut count = 0;
    while let TypeList::Cons(_, more) = rest {
        (rest, count) = (more, count + 1);
    }
    count <= REPEATED_FIELDS_MAX
}

/// Like [`encode_callsite_marking`], for the callsite of records that repeat the starts of a span's callsite: with the
/// same values, or with the ids alone if there are very many.
#[must_use]
pub fn encode_repeating_callsite(
    id: u16,
    metadata: &Metadata,
    types: TypeList,
    is_secret: impl Fn(&MemberPath<'_>, bool) -> bool,
    out: &mut [u8],
) -> Option<usize> {
    let role_of = |role| if matches!(role, Role::Start | Role::Begin) { Role::Update } else { role };
    let ids_alone = || metadata.fields.get(..2).unwrap_or(metadata.fields);
    let fields = if repeats_values(&types) { metadata.fields } else { ids_alone() };
    encode_callsite_as(id, &Metadata { fields, ..*metadata }, types, role_of, is_secret, out)
}

fn encode_callsite_as(
    id: u16,
    metadata: &Metadata,
    types: TypeList,
    role_of: impl Fn(Role) -> Role,
    is_secret: impl Fn(&MemberPath<'_>, bool) -> bool,
    out: &mut [u8],
) -> Option<usize> {
    encode_into(out, |encoder| {
        encoder.array(8)?.u64(kind_of(types.is_split()))?.u16(id)?.u8(metadata.level as u8)?.str(metadata.target)?;
        encoder.str(metadata.message)?.str(metadata.file)?.u32(metadata.line)?;
        encoder.array(metadata.fields.len() as u64)?;
        let mut types = types.iter();
        for field in metadata.fields {
            let is_withheld = is_secret(&MemberPath::of_field(field.name), field.secret);
            let flags = flags_of(is_withheld, role_of(field.role), field.shown);
            match field.literal {
                None => {
                    // The macro creates one type for each field without a literal; a unit replaces a missing one.
                    let of = types.next().unwrap_or(Type::Unit);
                    encode_recorded(encoder, field.name, of, &is_secret, flags)?;
                }
                Some(literal) => {
                    let (tag, literal) = split_literal(literal);
                    encode_field(encoder, field.name, &[tag], Some(literal), flags)?;
                }
            }
        }
        Ok(())
    })
}

/// Encodes a field whose values are in records. Members for which `is_secret` returns `true` are marked as well.
fn encode_recorded<W: minicbor::encode::Write>(
    encoder: &mut Encoder<W>,
    name: &str,
    of: Type,
    is_secret: &impl Fn(&MemberPath<'_>, bool) -> bool,
    flags: u64,
) -> Result<(), minicbor::encode::Error<W::Error>> {
    match of {
        Type::Option(_) | Type::Sequence(_) | Type::Tuple(_) | Type::Struct(_) | Type::Enum(_) => {
            encode_nested(encoder, name, of, is_secret, flags)
        }
        simple => encode_field(encoder, name, &[simple.tag()], None, flags),
    }
}

#[inline(never)] // the description takes stack
fn encode_nested<W: minicbor::encode::Write>(
    encoder: &mut Encoder<W>,
    name: &str,
    of: Type,
    is_secret: &impl Fn(&MemberPath<'_>, bool) -> bool,
    flags: u64,
) -> Result<(), minicbor::encode::Error<W::Error>> {
    let mut tags = [0; TYPE_LEN_MAX];
    let len = of.describe(&mut tags).ok_or_else(|| minicbor::encode::Error::message("type without a description"))?;
    let tags = &mut tags[..len];
    let mut mark = |flags: &mut u8, path: &MemberPath<'_>| {
        if is_secret(path, *flags & MEMBER_SECRET != 0) {
            *flags |= MEMBER_SECRET;
        }
        true
    };
    if has_members(tags) {
        mark_members(name, tags, &mut mark);
    }
    encode_field(encoder, name, tags, None, flags)
}

/// Encodes a callsite for a snapshot from which values are withheld. [`TableItem::decode`] is the inverse.
///
/// `withhold` returns whether a field is withheld, and marks withheld members in the copy of its type (empty if the
/// type is invalid). Withheld fields are flagged, and their literals are replaced by a meaningless value of the same
/// type.
pub(crate) fn encode_withheld<W: minicbor::encode::Write>(
    encoder: &mut Encoder<W>,
    info: &CallsiteInfo<'_>,
    withhold: impl Fn(&FieldInfo<'_>, &mut [u8]) -> bool,
) -> Result<(), minicbor::encode::Error<W::Error>> {
    encoder.array(8)?.u64(kind_of(info.split))?.u16(info.id)?.u8(info.level as u8)?.str(info.target)?;
    encoder.str(info.message)?.str(info.file)?.u32(info.line)?.array(info.field_count)?;
    let mut copy = [0; TYPE_LEN_MAX];
    for field in info.fields() {
        let flags = flags_of(field.secret, field.role, field.shown);
        let copy = copy.get_mut(..field.type_tags.len()).unwrap_or_default();
        copy.copy_from_slice(field.type_tags.get(..copy.len()).unwrap_or_default());
        let is_withheld = withhold(&field, copy);
        let type_tags = if copy.is_empty() { field.type_tags } else { copy };
        if is_withheld {
            let literal = field.literal.map(LiteralRef::without_value);
            encode_field(encoder, field.name, type_tags, literal, flags | FIELD_WITHHELD)?;
        } else {
            encode_field(encoder, field.name, type_tags, field.literal, flags)?;
        }
    }
    Ok(())
}

/// Encodes a device's callsite: its text and the concatenated type tags of its run-time fields, up to trailing zeros.
/// Returns `None` if `out` is too short, the id is invalid, or the tags do not match the number of run-time fields.
///
/// # Format
/// docs/format.md §3.2, from the input of §3.3.
#[must_use]
pub fn encode_callsite_text(id: u16, text: &CallsiteText<'_>, type_tags: &[u8], out: &mut [u8]) -> Option<usize> {
    if !(1..=CALLSITE_MAX).contains(&id) {
        return None;
    }
    let fields = text.fields();
    let mut tags = type_tags;
    for _ in fields.clone().filter(|field| field.literal.is_none()) {
        tags = split_type(tags)?.1;
    }
    if tags.iter().any(|&tag| tag != 0) {
        return None;
    }
    let mut tags = type_tags;
    encode_into(out, |encoder| {
        encoder.array(8)?.u64(KIND_CALLSITE)?.u16(id)?.u8(text.level as u8)?.str(text.target)?;
        encoder.str(text.message)?.str(text.file)?.u32(text.line)?.array(fields.len() as u64)?;
        for field in fields {
            let flags = flags_of(field.secret, field.role, field.shown);
            if let Some((tag, literal)) = field.literal {
                encode_field(encoder, field.name, &[tag], Some(literal), flags)?;
            } else {
                let (first, rest) = split_type(tags).unwrap_or((&[], &[])); // one exists, as checked above
                tags = rest;
                encode_field(encoder, field.name, first, None, flags)?;
            }
        }
        Ok(())
    })
}

/// A callsite with at most one field, which is a text in its records. Viewers use it for log records of other systems.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // as in `CallsiteInfo`
pub struct TextCallsite<'a> {
    pub id: u16,
    pub level: Level,
    pub target: &'a str,
    pub message: &'a str,
    pub file: &'a str,
    pub line: u32,
    /// Name of the field.
    pub field: Option<&'a str>,
}

/// Encodes such a callsite into `out`. Returns its length, or `None` if `out` is too short or the id is invalid.
#[must_use]
pub fn encode_text_callsite(callsite: &TextCallsite<'_>, out: &mut [u8]) -> Option<usize> {
    let TextCallsite { id, level, target, message, file, line, field } = *callsite;
    if !(1..=CALLSITE_MAX).contains(&id) {
        return None;
    }
    encode_into(out, |encoder| {
        encoder.array(8)?.u64(KIND_CALLSITE)?.u16(id)?.u8(level as u8)?.str(target)?;
        encoder.str(message)?.str(file)?.u32(line)?.array(field.iter().len() as u64)?;
        if let Some(name) = field {
            encode_field(encoder, name, &[Type::Str.tag()], None, 0)?;
        }
        Ok(())
    })
}

/// Returns the kind of a callsite item.
const fn kind_of(split: bool) -> u64 {
    if split { KIND_SPLIT_CALLSITE } else { KIND_CALLSITE }
}

/// Returns the flags of a field.
const fn flags_of(secret: bool, role: Role, shown: Shown) -> u64 {
    (shown as u64) << SHOWN_SHIFT | (role as u64) << ROLE_SHIFT | if secret { FIELD_SECRET } else { 0 }
}

fn encode_into(
    out: &mut [u8],
    encode: impl FnOnce(&mut Encoder<Cursor<&mut [u8]>>) -> Result<(), EncodeError>,
) -> Option<usize> {
    let mut encoder = Encoder::new(Cursor::new(out));
    encode(&mut encoder).ok()?;
    Some(encoder.writer().position())
}

/// Encodes a field, without trailing elements that carry no information.
fn encode_field<W: minicbor::encode::Write>(
    encoder: &mut Encoder<W>,
    name: &str,
    type_tags: &[u8],
    literal: Option<LiteralRef<'_>>,
    flags: u64,
) -> Result<(), minicbor::encode::Error<W::Error>> {
    let count = if flags != 0 { 4 } else { 2 + u64::from(literal.is_some()) };
    encoder.array(count)?.str(name)?.bytes(type_tags)?;
    match literal {
        Some(LiteralRef::Bool(value)) => encoder.bool(value)?,
        Some(LiteralRef::Unsigned(value)) => encoder.u64(value)?,
        Some(LiteralRef::Signed(value)) => encoder.i64(value)?,
        Some(LiteralRef::U128(value)) => encoder.bytes(&value.to_be_bytes())?,
        Some(LiteralRef::I128(value)) => encoder.bytes(&value.to_be_bytes())?,
        Some(LiteralRef::Float(value)) => encoder.f64(value)?,
        Some(LiteralRef::Text(value)) => encoder.str(value)?,
        Some(LiteralRef::Char(value)) => encoder.u32(value.into())?,
        None if flags != 0 => encoder.null()?,
        None => encoder,
    };
    if flags != 0 {
        encoder.u64(flags)?;
    }
    Ok(())
}

/// Returns the type of a literal and the form in which it is encoded.
fn split_literal(literal: Literal) -> (u8, LiteralRef<'static>) {
    match literal {
        Literal::Bool(value) => (Type::Bool.tag(), LiteralRef::Bool(value)),
        Literal::U64(value) => (Type::U64.tag(), LiteralRef::Unsigned(value)),
        Literal::I64(value) => (Type::I64.tag(), LiteralRef::Signed(value)),
        Literal::U128(value) => (Type::U128.tag(), LiteralRef::U128(value)),
        Literal::I128(value) => (Type::I128.tag(), LiteralRef::I128(value)),
        Literal::F64(value) => (Type::F64.tag(), LiteralRef::Float(value)),
        Literal::Str(value) => (Type::Str.tag(), LiteralRef::Text(value)),
        Literal::Char(value) => (Type::Char.tag(), LiteralRef::Char(value)),
    }
}

fn decode_literal<'a>(tags: &[u8], from: &mut Decoder<'a>) -> Option<LiteralRef<'a>> {
    let wide = |bytes: &[u8]| bytes.try_into().ok();
    Some(match (tags, from.datatype().ok()?) {
        ([6], Cbor::Bytes) => LiteralRef::U128(u128::from_be_bytes(wide(from.bytes().ok()?)?)),
        ([11], Cbor::Bytes) => LiteralRef::I128(i128::from_be_bytes(wide(from.bytes().ok()?)?)),
        ([14], _) => LiteralRef::Char(char::from_u32(from.u32().ok()?)?),
        (_, Cbor::Bool) => LiteralRef::Bool(from.bool().ok()?),
        (_, Cbor::F16 | Cbor::F32 | Cbor::F64) => LiteralRef::Float(from.f64().ok()?),
        (_, Cbor::String) => LiteralRef::Text(from.str().ok()?),
        ([10], _) => LiteralRef::Signed(from.i64().ok()?),
        (_, Cbor::U8 | Cbor::U16 | Cbor::U32 | Cbor::U64) => LiteralRef::Unsigned(from.u64().ok()?),
        _ => LiteralRef::Signed(from.i64().ok()?),
    })
}

fn decode_field<'a>(from: &mut Decoder<'a>, split: bool) -> Option<FieldInfo<'a>> {
    let count = from.array().ok()??;
    let name = from.str().ok()?;
    let type_tags = from.bytes().ok()?;
    let literal = match count {
        ..=2 => None,
        _ if from.datatype().ok()? == Cbor::Null => from.null().map(|()| None).ok()?,
        _ => Some(decode_literal(type_tags, from)?),
    };
    let flags = if count > 3 { from.u64().ok()? } else { 0 };
    for _ in 4..count {
        from.skip().ok()?;
    }
    let (secret, withheld) = (flags & FIELD_SECRET != 0, flags & FIELD_WITHHELD != 0);
    let role = if literal.is_none() { role_of(flags, type_tags) } else { Role::Value };
    let shown = Shown::from_code(flags >> SHOWN_SHIFT & SHOWN_MASK);
    Some(FieldInfo { name, type_tags, literal, secret, withheld, role, shown, split })
}

/// Returns the role of a field whose value is in the record. Only ids have one: fields of other types, and roles of
/// later versions, are plain.
fn role_of(flags: u64, type_tags: &[u8]) -> Role {
    let role = Role::from_code(flags >> ROLE_SHIFT & ROLE_MASK);
    let is_id = match role {
        Role::Trace => type_tags == [Type::U128.tag()],
        _ => type_tags == [Type::U64.tag()] || type_tags == [Type::U32.tag()],
    };
    if is_id { role } else { Role::Value }
}

impl<'a> TableItem<'a> {
    /// Reads an entry of the table.
    ///
    /// # Errors
    /// [`FormatErrorKind::BadCbor`], with the offset in `bytes` up to which reading succeeded.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, FormatError> {
        let mut from = Decoder::new(bytes);
        decode_item(bytes, &mut from).ok_or(FormatError::new(from.position() as u64, FormatErrorKind::BadCbor))
    }
}

fn decode_item<'a>(bytes: &'a [u8], from: &mut Decoder<'a>) -> Option<TableItem<'a>> {
    let count = from.array().ok()??;
    match from.u64().ok()? {
        KIND_PROCESS => {
            let mut info = ProcessInfo::default();
            for _ in 0..from.map().ok()?? {
                match from.u64().ok()? {
                    0 => info.service = from.str().ok()?,
                    1 => info.pid = from.u64().ok()?,
                    2 => info.host = from.str().ok()?,
                    3 => info.executable = from.str().ok()?,
                    4 => info.start_unix_ns = from.i64().ok()?,
                    5 => info.build_id = from.bytes().ok()?,
                    6 => info.clock = from.str().ok()?,
                    7 => info.ticks_per_second = from.u64().ok()?,
                    8 => info.process_start = from.u64().ok()?,
                    9 => info.os = from.str().ok()?,
                    _ => from.skip().ok()?,
                }
            }
            Some(TableItem::Process(info))
        }
        kind @ (KIND_CALLSITE | KIND_SPLIT_CALLSITE) if count >= 8 => {
            let split = kind == KIND_SPLIT_CALLSITE;
            let id = from.u16().ok().filter(|id| (1..=CALLSITE_MAX).contains(id))?;
            let level = Level::try_from(from.u8().ok()?).ok()?;
            let (target, message, file) = (from.str().ok()?, from.str().ok()?, from.str().ok()?);
            let line = from.u32().ok()?;
            let field_count = from.array().ok()??;
            let start = from.position();
            for _ in 0..field_count {
                decode_field(from, split)?;
            }
            let fields = &bytes[start..from.position()];
            let info = CallsiteInfo { id, level, target, message, file, line, split, fields, field_count };
            Some(TableItem::Callsite(info))
        }
        unknown => Some(TableItem::Unknown(unknown)),
    }
}

impl<'a> CallsiteInfo<'a> {
    /// Iterates over the fields in source order.
    pub fn fields(&self) -> impl Iterator<Item = FieldInfo<'a>> + Clone + use<'a> {
        let mut from = Decoder::new(self.fields);
        let (mut rest, split) = (self.field_count, self.split);
        core::iter::from_fn(move || {
            rest = rest.checked_sub(1)?;
            decode_field(&mut from, split)
        })
    }

    /// Iterates over the fields and their values in source order, literals included. `payload` belongs to a record of
    /// this callsite. The iterator ends after an error.
    ///
    /// Decodes the fields again on each call. To read many records, decode the fields once and use [`values_of`].
    pub fn values(
        &self,
        payload: &'a [u8],
    ) -> impl Iterator<Item = Result<(FieldInfo<'a>, ValueRef<'a>), FormatError>> + use<'a> {
        let mut values = Payload::new(self.fields().map(|field| field.front_lens()), payload);
        self.fields().map_while(move |field| values.next(&field).map(|value| value.map(|value| (field, value))))
    }
}

/// Iterates over the values of a record whose callsite has these `fields`, in the same order, literals included. The
/// iterator ends after an error. Several times as fast as [`CallsiteInfo::values`], which decodes the fields each time.
///
/// ```
/// # use ttlog_core::table::{CallsiteInfo, values_of};
/// # fn read(callsite: &CallsiteInfo<'_>, payloads: &[&[u8]]) {
/// let fields: Vec<_> = callsite.fields().collect();
/// for payload in payloads {
///     for (field, value) in fields.iter().zip(values_of(&fields, payload)) {
///         println!("{} is {value:?}", field.name);
///     }
/// }
/// # }
/// ```
#[inline]
pub fn values_of<'f, 'a>(
    fields: &'f [FieldInfo<'a>],
    payload: &'a [u8],
) -> impl Iterator<Item = Result<ValueRef<'a>, FormatError>> + use<'f, 'a> {
    let mut values = Payload::new(fields.iter().map(FieldInfo::front_lens), payload);
    fields.iter().map_while(move |field| values.next(field))
}

/// A payload whose values are decoded field by field.
struct Payload<'a> {
    wide: Unpacker<'a>,
    heads: Unpacker<'a>,
    packed: Unpacker<'a>,
    len: usize,
    failed: bool,
}

impl<'a> Payload<'a> {
    /// `front_lens` are those of the fields, see [`FieldInfo::front_lens`].
    #[inline]
    fn new(front_lens: impl Iterator<Item = (usize, usize)>, payload: &'a [u8]) -> Self {
        let (wide_len, heads_len) = front_lens.fold((0, 0), |(wide, heads), lens| {
            (usize::saturating_add(wide, lens.0), usize::saturating_add(heads, lens.1))
        });
        let (wide, packed) = payload.split_at_checked(wide_len).unwrap_or((&[], &[]));
        let (heads, packed) = packed.split_at_checked(heads_len).unwrap_or((&[], &[]));
        let [wide, heads, packed] = [wide, heads, packed].map(Unpacker::new);
        Payload { wide, heads, packed, len: payload.len(), failed: false }
    }

    #[inline]
    fn next(&mut self, field: &FieldInfo<'a>) -> Option<Result<ValueRef<'a>, FormatError>> {
        if self.failed {
            return None;
        }
        let value = match field.literal {
            Some(literal) => Ok(literal.to_value()),
            None if wide_words(field.type_tags) > 0 => decode_wide(field.type_tags, &mut self.wide),
            None if field.split => decode_split(field.type_tags, &mut self.heads, &mut self.packed),
            None => decode_packed(field.type_tags, &mut self.packed),
        };
        Some(value.map_err(|error| {
            self.failed = true;
            FormatError::new((self.len - self.packed.rest().len()) as u64, FormatErrorKind::Value(error))
        }))
    }
}

impl FieldInfo<'_> {
    /// Returns the numbers of bytes of the field in the wide part of the payload and among the heads.
    #[inline]
    fn front_lens(&self) -> (usize, usize) {
        if self.literal.is_some() {
            return (0, 0);
        }
        (wide_words(self.type_tags) * 8, if self.split { head_len(self.type_tags) } else { 0 })
    }
}

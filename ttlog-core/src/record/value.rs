//! Types and values of fields: how they are packed and read back.
//!
//! [`Native`] is the sealed set of types with an encoding. Programs use [`Value`](crate::event::capture::Value), which
//! maps their types to native ones; readers use [`ValueRef`].
//!
//! # Format
//! docs/format.md §4.2, §4.3.

use super::packed::{
    Length, Packer, SHORT_VARINT_LEN, SMALL_BYTES_MAX, Unpacker, is_short, length_len, unzigzag, varint_len, zigzag,
};
use super::types::{TAG_ABSENT, TAG_ANY, TYPE_DEPTH_MAX, Type, split_carried_type};
use crate::error::ValueError;

mod sealed {
    pub trait Sealed {}
}
pub(crate) use sealed::Sealed;

/// A type with its own encoding. Sealed, because rings trust the lengths that implementations return.
///
/// The hot path takes *small* values (numbers below 2^53, texts below 8 bytes): their encoding has no loop, and a bound
/// that is known at compile time.
///
/// Every method is bounded, does not block or allocate, and is callable from any context.
pub trait Native: Sealed + Copy {
    /// Type as recorded for readers.
    const TYPE: Type;
    /// Number of words in the wide part if this is the type of a field itself; 0: the value is packed.
    const WIDE_WORDS: usize = 0;
    /// Maximum length of the packed value in bytes, if it is small.
    const SMALL_LEN_MAX: usize;
    /// Length of every packed value in bytes, if it is the same for all.
    const FIXED_LEN: Option<usize> = None;

    /// Returns the packed value if it has a fixed size, in the lowest bytes; otherwise 0.
    #[inline(always)]
    fn fixed_bits(&self) -> u64 {
        0
    }

    /// Returns whether the value is small.
    #[inline(always)]
    fn is_small(&self) -> bool {
        true
    }

    /// Packs a small value.
    #[inline(always)]
    fn pack_small(&self, packer: &mut Packer) {
        self.pack(packer, usize::MAX);
    }

    /// Returns the exact length of the packed value in bytes, with its texts and sequences capped at `cap` bytes each.
    fn packed_len(&self, cap: usize) -> usize;

    /// Packs the value with its texts and sequences capped at `cap` bytes each.
    fn pack(&self, packer: &mut Packer, cap: usize);

    /// Stores the wide words.
    #[inline(always)]
    fn put_wide(&self, _packer: &mut Packer) {}
}

macro_rules! native_fixed {
    ($($rust:ty => $variant:ident, $bytes:literal, |$value:ident| $bits:expr;)*) => {$(
        impl Sealed for $rust {}
        impl Native for $rust {
            const TYPE: Type = Type::$variant;
            const SMALL_LEN_MAX: usize = $bytes;
            const FIXED_LEN: Option<usize> = Some($bytes);
            #[inline(always)]
            fn fixed_bits(&self) -> u64 {
                let $value = *self;
                $bits
            }
            #[inline(always)]
            fn packed_len(&self, _cap: usize) -> usize {
                $bytes
            }
            #[inline(always)]
            fn pack(&self, packer: &mut Packer, _cap: usize) {
                let $value = *self;
                packer.put_bits($bits, $bytes * 8);
            }
        }
    )*};
}

native_fixed! {
    bool => Bool, 1, |v| u64::from(v);
    u8 => U8, 1, |v| u64::from(v);
    u16 => U16, 2, |v| u64::from(v);
    u32 => U32, 4, |v| u64::from(v);
    i8 => I8, 1, |v| u64::from(v as u8);
    i16 => I16, 2, |v| u64::from(v as u16);
    i32 => I32, 4, |v| u64::from(v as u32);
    f32 => F32, 4, |v| u64::from(v.to_bits());
    char => Char, 4, |v| u64::from(v);
}

macro_rules! native_varint {
    ($($rust:ty => $variant:ident, |$value:ident| $mapped:expr;)*) => {$(
        impl Sealed for $rust {}
        impl Native for $rust {
            const TYPE: Type = Type::$variant;
            const SMALL_LEN_MAX: usize = SHORT_VARINT_LEN;
            #[inline(always)]
            fn is_small(&self) -> bool {
                let $value = *self;
                is_short($mapped)
            }
            #[inline(always)]
            fn pack_small(&self, packer: &mut Packer) {
                let $value = *self;
                packer.put_short_varint($mapped);
            }
            #[inline(always)]
            fn packed_len(&self, _cap: usize) -> usize {
                let $value = *self;
                varint_len($mapped)
            }
            #[inline(always)]
            fn pack(&self, packer: &mut Packer, _cap: usize) {
                let $value = *self;
                packer.put_varint($mapped);
            }
        }
    )*};
}

native_varint! {
    u64 => U64, |v| v;
    i64 => I64, |v| zigzag(v);
}

macro_rules! native_wide {
    ($($rust:ty => $variant:ident, |$value:ident| [$($word:expr),+];)*) => {$(
        impl Sealed for $rust {}
        impl Native for $rust {
            const TYPE: Type = Type::$variant;
            const WIDE_WORDS: usize = size_of::<$rust>() / 8;
            const SMALL_LEN_MAX: usize = size_of::<$rust>();
            #[inline(always)]
            fn packed_len(&self, _cap: usize) -> usize {
                size_of::<$rust>()
            }
            #[inline(always)]
            fn pack(&self, packer: &mut Packer, _cap: usize) {
                let $value = *self;
                $(packer.put_bits($word, 64);)+
            }
            #[inline(always)]
            fn put_wide(&self, packer: &mut Packer) {
                let $value = *self;
                $(packer.put_word($word);)+
            }
        }
    )*};
}

native_wide! {
    f64 => F64, |v| [v.to_bits()];
    u128 => U128, |v| [v as u64, (v >> 64) as u64];
    i128 => I128, |v| [v as u64, (v >> 64) as u64];
}

impl Sealed for () {}
impl Native for () {
    const TYPE: Type = Type::Unit;
    const SMALL_LEN_MAX: usize = 0;
    fn packed_len(&self, _cap: usize) -> usize {
        0
    }
    fn pack(&self, _packer: &mut Packer, _cap: usize) {}
}

/// Cuts `text` to at most `cap` bytes at a character boundary.
fn cap_text(text: &str, cap: usize) -> &str {
    if text.len() <= cap {
        return text;
    }
    let mut end = cap;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[inline(always)]
fn pack_text(text: &str, full_len: Option<u32>, packer: &mut Packer, cap: usize) {
    if text.len() <= cap {
        packer.put_len_and_bytes(text.as_bytes(), full_len);
    } else {
        let kept = cap_text(text, cap);
        let full = full_len.unwrap_or(u32::try_from(text.len()).unwrap_or(u32::MAX));
        packer.put_len_and_bytes(kept.as_bytes(), Some(full));
    }
}

fn text_len(text: &str, full_len: Option<u32>, cap: usize) -> usize {
    let kept = cap_text(text, cap).len();
    length_len(kept, full_len.is_some() || kept < text.len()) + kept
}

impl Sealed for &str {}
impl Native for &str {
    const TYPE: Type = Type::Str;
    const SMALL_LEN_MAX: usize = 1 + SMALL_BYTES_MAX;
    #[inline(always)]
    fn is_small(&self) -> bool {
        self.len() <= SMALL_BYTES_MAX
    }
    #[inline(always)]
    fn pack_small(&self, packer: &mut Packer) {
        packer.put_small_bytes(self.as_bytes());
    }
    fn packed_len(&self, cap: usize) -> usize {
        text_len(self, None, cap)
    }
    #[inline(always)]
    fn pack(&self, packer: &mut Packer, cap: usize) {
        pack_text(self, None, packer, cap);
    }
}

/// Bytes as one value, shown in hexadecimal. (A plain `&[u8]` is a sequence of numbers.)
///
/// ```
/// # use ttlog_core::Bytes;
/// # let frame = [0u8; 4];
/// ttlog_core::info!("frame received", frame = Bytes(&frame));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bytes<'a>(pub &'a [u8]);

impl Sealed for Bytes<'_> {}
impl Native for Bytes<'_> {
    const TYPE: Type = Type::Bytes;
    const SMALL_LEN_MAX: usize = 1 + SMALL_BYTES_MAX;
    #[inline(always)]
    fn is_small(&self) -> bool {
        self.0.len() <= SMALL_BYTES_MAX
    }
    #[inline(always)]
    fn pack_small(&self, packer: &mut Packer) {
        packer.put_small_bytes(self.0);
    }
    fn packed_len(&self, cap: usize) -> usize {
        let kept = self.0.len().min(cap);
        length_len(kept, kept < self.0.len()) + kept
    }
    #[inline(always)]
    fn pack(&self, packer: &mut Packer, cap: usize) {
        let kept = self.0.len().min(cap);
        let full = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        packer.put_len_and_bytes(&self.0[..kept], (kept < self.0.len()).then_some(full));
    }
}

/// Text that was formatted into a bounded buffer; `DEBUG` is whether `Debug` was used instead of `Display`.
#[derive(Clone, Copy, Debug)]
pub struct FormattedText<'a, const DEBUG: bool> {
    /// Text that fit.
    pub(crate) text: &'a str,
    /// Original length in bytes, if the buffer was too small.
    pub(crate) full_len: Option<u32>,
}

impl<const DEBUG: bool> Sealed for FormattedText<'_, DEBUG> {}
impl<const DEBUG: bool> Native for FormattedText<'_, DEBUG> {
    const TYPE: Type = if DEBUG { Type::Debug } else { Type::Display };
    const SMALL_LEN_MAX: usize = 1 + SMALL_BYTES_MAX;
    #[inline(always)]
    fn is_small(&self) -> bool {
        self.text.len() <= SMALL_BYTES_MAX && self.full_len.is_none()
    }
    #[inline(always)]
    fn pack_small(&self, packer: &mut Packer) {
        packer.put_small_bytes(self.text.as_bytes());
    }
    fn packed_len(&self, cap: usize) -> usize {
        text_len(self.text, self.full_len, cap)
    }
    #[inline(always)]
    fn pack(&self, packer: &mut Packer, cap: usize) {
        pack_text(self.text, self.full_len, packer, cap);
    }
}

/// Texts of an error and its sources, formatted into a bounded buffer.
#[derive(Clone, Copy, Debug)]
pub struct ErrorTexts<'a> {
    /// All stored texts, one after another.
    pub(crate) text: &'a str,
    /// End of each text in `text`. Ascending, at character boundaries; the last one is at `text.len()`.
    pub(crate) ends: &'a [TextEnd],
    /// Original number of texts, if not all were stored.
    pub(crate) full_len: Option<u32>,
}

/// End of one of several texts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TextEnd {
    pub(crate) end: u16,
    /// Original length of the text, if it was cut.
    pub(crate) full_len: Option<u32>,
}

impl ErrorTexts<'_> {
    /// Returns the texts, each with its original length if it was cut.
    fn texts(&self) -> impl Iterator<Item = (&str, Option<u32>)> {
        let mut start = 0;
        self.ends.iter().map(move |text| {
            let end = usize::from(text.end);
            let stored = self.text.get(start..end).unwrap_or_default();
            start = end;
            (stored, text.full_len)
        })
    }
}

impl Sealed for ErrorTexts<'_> {}
impl Native for ErrorTexts<'_> {
    const TYPE: Type = Type::Error;
    const SMALL_LEN_MAX: usize = 0;
    fn is_small(&self) -> bool {
        false
    }
    fn packed_len(&self, cap: usize) -> usize {
        length_len(self.ends.len(), self.full_len.is_some())
            + self.texts().map(|(text, full_len)| text_len(text, full_len, cap)).sum::<usize>()
    }
    fn pack(&self, packer: &mut Packer, cap: usize) {
        packer.put_len(self.ends.len(), self.full_len);
        for (text, full_len) in self.texts() {
            pack_text(text, full_len, packer, cap);
        }
    }
}

impl<T: Native> Sealed for Option<T> {}
impl<T: Native> Native for Option<T> {
    const TYPE: Type = Type::Option(&T::TYPE);
    const SMALL_LEN_MAX: usize = 1 + T::SMALL_LEN_MAX;
    #[inline(always)]
    fn is_small(&self) -> bool {
        self.as_ref().is_none_or(T::is_small)
    }
    #[inline(always)]
    fn pack_small(&self, packer: &mut Packer) {
        match self {
            None => packer.put_bits(0, 8),
            Some(value) => {
                packer.put_bits(1, 8);
                value.pack_small(packer);
            }
        }
    }
    fn packed_len(&self, cap: usize) -> usize {
        1 + self.as_ref().map_or(0, |value| value.packed_len(cap))
    }
    #[inline(always)]
    fn pack(&self, packer: &mut Packer, cap: usize) {
        match self {
            None => packer.put_bits(0, 8),
            Some(value) => {
                packer.put_bits(1, 8);
                value.pack(packer, cap);
            }
        }
    }
}

// ----------------------------------------------------------------------------------------------------------------
// reading

/// A value read from a record; borrows from its payload.
#[derive(Clone, Debug, PartialEq)]
pub enum ValueRef<'a> {
    /// A bool.
    Bool(bool),
    /// An integer from u8 to u64, or a usize.
    Unsigned(u64),
    /// A u128.
    U128(u128),
    /// An integer from i8 to i64, or an isize.
    Signed(i64),
    /// An i128.
    I128(i128),
    /// An f32.
    F32(f32),
    /// An f64.
    F64(f64),
    /// A char.
    Char(char),
    /// A string.
    Str(Text<'a>),
    /// Bytes.
    Bytes(Blob<'a>),
    /// Text formatted with `Display`.
    Display(Text<'a>),
    /// Text formatted with `Debug`.
    Debug(Text<'a>),
    /// Texts of an error and its sources.
    Error(Seq<'a>),
    /// `()`.
    Unit,
    /// An option without a value. (An option with a value is that value.)
    None,
    /// A sequence.
    Sequence(Seq<'a>),
    /// A value with its type.
    Any(AnyRef<'a>),
    /// In place of a value with its type: the event has none.
    Absent,
}

/// A value that carries its type. It was validated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnyRef<'a> {
    /// Type (docs/format.md §4.2).
    pub type_tags: &'a [u8],
    bytes: &'a [u8],
}

impl<'a> AnyRef<'a> {
    /// Returns the value.
    #[must_use]
    pub fn value(&self) -> ValueRef<'a> {
        decode_packed(self.type_tags, &mut Unpacker::new(self.bytes)).unwrap_or(ValueRef::Absent)
    }
}

/// Text, and its original length if it was capped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text<'a> {
    /// Text that was stored.
    pub text: &'a str,
    /// Original length in bytes, if the text was capped.
    pub full_len: Option<u32>,
}

/// Bytes, and their original number if they were capped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blob<'a> {
    /// Bytes that were stored.
    pub bytes: &'a [u8],
    /// Original number of bytes, if they were capped.
    pub full_len: Option<u32>,
}

/// A sequence; iterate over it for its elements. It was validated, so all elements are valid.
#[derive(Clone, Debug, PartialEq)]
pub struct Seq<'a> {
    element_tags: &'a [u8],
    count: usize,
    bytes: &'a [u8],
    /// Original number of elements, if the sequence was capped.
    pub full_len: Option<u32>,
}

impl Seq<'_> {
    /// Returns the number of stored elements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Returns whether no element was stored.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

impl<'a> Iterator for Seq<'a> {
    type Item = ValueRef<'a>;

    fn next(&mut self) -> Option<ValueRef<'a>> {
        self.count = self.count.checked_sub(1)?;
        let mut unpacker = Unpacker::new(self.bytes);
        let value = decode_packed(self.element_tags, &mut unpacker).ok()?;
        self.bytes = unpacker.rest();
        Some(value)
    }
}

/// Returns the number of wide words of a field of this type; 0 if it is packed.
#[inline]
pub(crate) fn wide_words(tags: &[u8]) -> usize {
    match tags.first() {
        Some(6 | 11) => 2,
        Some(13) => 1,
        _ => 0,
    }
}

/// Reads the value of a wide field from its words.
#[inline]
pub(crate) fn decode_wide<'a>(tags: &'a [u8], words: &mut Unpacker<'a>) -> Result<ValueRef<'a>, ValueError> {
    decode_packed(tags, words) // the same bytes, since words are stored in little-endian order too
}

/// Reads one packed value of the type that starts `tags`.
#[inline]
pub(crate) fn decode_packed<'a>(tags: &'a [u8], from: &mut Unpacker<'a>) -> Result<ValueRef<'a>, ValueError> {
    if tags.len() > TYPE_DEPTH_MAX {
        return Err(ValueError::BadType);
    }
    let (&tag, inner) = tags.split_first().ok_or(ValueError::BadType)?;
    let short = ValueError::TooShort;
    Ok(match tag {
        1 => match from.byte().ok_or(short)? {
            0 => ValueRef::Bool(false),
            1 => ValueRef::Bool(true),
            _ => return Err(ValueError::BadValue),
        },
        2 => ValueRef::Unsigned(u64::from(from.byte().ok_or(short)?)),
        3 => ValueRef::Unsigned(u64::from(u16::from_le_bytes(from.array().ok_or(short)?))),
        4 => ValueRef::Unsigned(u64::from(u32::from_le_bytes(from.array().ok_or(short)?))),
        5 => ValueRef::Unsigned(from.varint().ok_or(short)?),
        6 => ValueRef::U128(u128::from_le_bytes(from.array().ok_or(short)?)),
        7 => ValueRef::Signed(i64::from(i8::from_le_bytes(from.array().ok_or(short)?))),
        8 => ValueRef::Signed(i64::from(i16::from_le_bytes(from.array().ok_or(short)?))),
        9 => ValueRef::Signed(i64::from(i32::from_le_bytes(from.array().ok_or(short)?))),
        10 => ValueRef::Signed(unzigzag(from.varint().ok_or(short)?)),
        11 => ValueRef::I128(i128::from_le_bytes(from.array().ok_or(short)?)),
        12 => ValueRef::F32(f32::from_le_bytes(from.array().ok_or(short)?)),
        13 => ValueRef::F64(f64::from_le_bytes(from.array().ok_or(short)?)),
        14 => {
            let scalar = u32::from_le_bytes(from.array().ok_or(short)?);
            ValueRef::Char(char::from_u32(scalar).ok_or(ValueError::BadValue)?)
        }
        15 => ValueRef::Str(decode_text(from)?),
        16 => {
            let Length { kept, full } = from.length().ok_or(short)?;
            ValueRef::Bytes(Blob { bytes: from.bytes(kept).ok_or(short)?, full_len: full })
        }
        17 => ValueRef::Display(decode_text(from)?),
        18 => ValueRef::Debug(decode_text(from)?),
        20 => ValueRef::Unit,
        _ => return decode_composed(tag, inner, from),
    })
}

/// Reads a composite value. A separate function, so that the reading of simple values can be inlined.
#[inline(never)]
fn decode_composed<'a>(tag: u8, inner: &'a [u8], from: &mut Unpacker<'a>) -> Result<ValueRef<'a>, ValueError> {
    match tag {
        19 => decode_seq(&[15], from).map(ValueRef::Error),
        32 => match from.byte().ok_or(ValueError::TooShort)? {
            0 => Ok(ValueRef::None),
            1 => decode_packed(inner, from),
            _ => Err(ValueError::BadValue),
        },
        33 => decode_seq(inner, from).map(ValueRef::Sequence),
        TAG_ANY => decode_any(from),
        unknown => Err(ValueError::UnknownTag(unknown)),
    }
}

fn decode_any<'a>(from: &mut Unpacker<'a>) -> Result<ValueRef<'a>, ValueError> {
    if from.rest().first() == Some(&TAG_ABSENT) {
        from.byte();
        return Ok(ValueRef::Absent);
    }
    let (type_tags, rest) = split_carried_type(from.rest()).ok_or(ValueError::BadType)?;
    from.bytes(type_tags.len()).ok_or(ValueError::TooShort)?;
    decode_packed(type_tags, from)?;
    Ok(ValueRef::Any(AnyRef { type_tags, bytes: &rest[..rest.len() - from.rest().len()] }))
}

#[inline]
fn decode_text<'a>(from: &mut Unpacker<'a>) -> Result<Text<'a>, ValueError> {
    let Length { kept, full } = from.length().ok_or(ValueError::TooShort)?;
    let bytes = from.bytes(kept).ok_or(ValueError::TooShort)?;
    let text = core::str::from_utf8(bytes).map_err(|_| ValueError::BadValue)?;
    Ok(Text { text, full_len: full })
}

fn decode_seq<'a>(element_tags: &'a [u8], from: &mut Unpacker<'a>) -> Result<Seq<'a>, ValueError> {
    let Length { kept: count, full: full_len } = from.length().ok_or(ValueError::TooShort)?;
    let bytes = from.rest();
    // Each element takes at least a byte, except units. No writer creates sequences of units, so a small limit is
    // enough.
    const UNITS_MAX: usize = 64;
    if count > bytes.len() && (element_tags != [20] || count > UNITS_MAX) {
        return Err(ValueError::TooShort);
    }
    for _ in 0..count {
        decode_packed(element_tags, from)?;
    }
    Ok(Seq { element_tags, count, bytes: &bytes[..bytes.len() - from.rest().len()], full_len })
}

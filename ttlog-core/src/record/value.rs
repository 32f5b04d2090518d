//! Types and values: what a field can hold, how it is packed, how it is read back.
//!
//! [`Native`] is the sealed set of types that have an encoding of their own. Programs meet [`Value`](crate::event::capture::Value), which
//! maps their types to native ones, and readers meet [`ValueRef`].
//!
//! # Format
//! docs/format.md §4.2, §4.3.

use core::fmt;

use crate::event::capture::Element;
use crate::record::packed::{
    Length, Packer, SHORT_VARINT_LEN, SMALL_BYTES_MAX, Unpacker, is_short, length_len, unzigzag, varint_len, zigzag,
};

/// The type of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // each name is the Rust type of the same name
pub enum Type {
    Bool,
    U8,
    U16,
    U32,
    U64,
    U128,
    I8,
    I16,
    I32,
    I64,
    I128,
    F32,
    F64,
    Char,
    Str,
    Bytes,
    /// Text the program made with `Display`.
    Display,
    /// Text the program made with `Debug`.
    Debug,
    /// An error and its sources, each as text.
    Error,
    Unit,
    Option(&'static Type),
    Sequence(&'static Type),
}

/// Tag of an option, which the type of its value follows.
pub(crate) const TAG_OPTION: u8 = 32;
/// Tag of a sequence, which the type of its elements follows.
pub(crate) const TAG_SEQUENCE: u8 = 33;

/// How deep options and sequences may nest in a type that is read. Deeper types are refused.
pub const TYPE_DEPTH_MAX: usize = 8;

impl Type {
    /// Gives the tag (docs/format.md §4.2) of the outermost type.
    #[must_use]
    pub const fn tag(self) -> u8 {
        match self {
            Type::Bool => 1,
            Type::U8 => 2,
            Type::U16 => 3,
            Type::U32 => 4,
            Type::U64 => 5,
            Type::U128 => 6,
            Type::I8 => 7,
            Type::I16 => 8,
            Type::I32 => 9,
            Type::I64 => 10,
            Type::I128 => 11,
            Type::F32 => 12,
            Type::F64 => 13,
            Type::Char => 14,
            Type::Str => 15,
            Type::Bytes => 16,
            Type::Display => 17,
            Type::Debug => 18,
            Type::Error => 19,
            Type::Unit => 20,
            Type::Option(_) => TAG_OPTION,
            Type::Sequence(_) => TAG_SEQUENCE,
        }
    }

    /// Gives the type inside an option or a sequence.
    #[must_use]
    pub const fn inner(self) -> Option<Type> {
        match self {
            Type::Option(inner) | Type::Sequence(inner) => Some(*inner),
            _ => None,
        }
    }

    /// Writes the tags into `out`, outermost first, and returns how many; [`TYPE_DEPTH_MAX`] at most, for deeper types are not
    /// told apart.
    pub fn encode_tags(self, out: &mut [u8; TYPE_DEPTH_MAX]) -> usize {
        let mut current = Some(self);
        let mut len = 0;
        while let (Some(now), true) = (current, len < TYPE_DEPTH_MAX) {
            out[len] = now.tag();
            len += 1;
            current = now.inner();
        }
        len
    }

    /// Folds the type into a hash (FNV-1a over its tags).
    pub(crate) const fn hash(self, mut hash: u32) -> u32 {
        let mut current = Some(self);
        while let Some(now) = current {
            hash = (hash ^ now.tag() as u32).wrapping_mul(0x0100_0193);
            current = now.inner();
        }
        hash
    }
}

mod sealed {
    pub trait Sealed {}
}
pub(crate) use sealed::Sealed;

/// A type with an encoding of its own. Sealed: rings trust what implementations say of their lengths.
///
/// *Small* values (numbers below 2^53, texts below 8 bytes) are what the hot path takes: their encoding has no loop and a
/// bound that is known at compile time.
///
/// Every method is bounded, does not block or allocate, and is callable anywhere.
pub trait Native: Sealed + Copy {
    /// The type readers are told.
    const TYPE: Type;
    /// Words in the wide part when this is the type of a field itself; 0: the value is packed.
    const WIDE_WORDS: usize = 0;
    /// Most bytes the packed value takes if it is small.
    const SMALL_LEN_MAX: usize;
    /// Bytes that every packed value takes, where they are the same for all.
    const FIXED_LEN: Option<usize> = None;

    /// Gives the packed value where it is of fixed size, in the lowest bytes; else 0.
    #[inline(always)]
    fn fixed_bits(&self) -> u64 {
        0
    }

    /// Tells whether the value is small.
    #[inline(always)]
    fn is_small(&self) -> bool {
        true
    }

    /// Packs a small value.
    #[inline(always)]
    fn pack_small(&self, packer: &mut Packer) {
        self.pack(packer, usize::MAX);
    }

    /// Gives the exact bytes the packed value takes when its texts and sequences are capped at `cap` bytes each.
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

/// Bytes as one value, shown in hexadecimal. (A `&[u8]` by itself is a sequence of numbers.)
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

/// Text that was formatted into bounded room; `DEBUG` tells with which trait.
#[derive(Clone, Copy, Debug)]
pub struct FormattedText<'a, const DEBUG: bool> {
    /// What was kept.
    pub(crate) text: &'a str,
    /// The length there was, where the room did not suffice.
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

/// The texts of an error and its sources, formatted into bounded room.
#[derive(Clone, Copy, Debug)]
pub struct ErrorTexts<'a> {
    /// All kept texts, one after another.
    pub(crate) text: &'a str,
    /// Where each ends in `text`. Ascending, character boundaries, the last is `text.len()`.
    pub(crate) ends: &'a [u16],
    /// How many there were, where not all were kept.
    pub(crate) full_len: Option<u32>,
}

impl ErrorTexts<'_> {
    fn texts(&self) -> impl Iterator<Item = &str> {
        let mut start = 0;
        self.ends.iter().map(move |&end| {
            let text = self.text.get(start..usize::from(end)).unwrap_or_default();
            start = usize::from(end);
            text
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
            + self.texts().map(|text| text_len(text, None, cap)).sum::<usize>()
    }
    fn pack(&self, packer: &mut Packer, cap: usize) {
        packer.put_len(self.ends.len(), self.full_len);
        for text in self.texts() {
            pack_text(text, None, packer, cap);
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

/// The elements of a sequence, as one value.
#[derive(Debug)]
pub struct Elements<'a, T>(pub(crate) &'a [T]);

// By hand, for `derive` would ask `T` to be `Copy` too.
impl<T> Clone for Elements<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Elements<'_, T> {}

impl<T: Element> Elements<'_, T> {
    /// How many leading elements fit `cap` bytes, and the bytes they take.
    fn fitting(&self, cap: usize) -> (usize, usize) {
        let mut len = 0;
        for (index, element) in self.0.iter().enumerate() {
            let next = len + element.native().packed_len(cap);
            if next > cap {
                return (index, len);
            }
            len = next;
        }
        (self.0.len(), len)
    }
}

impl<T> Sealed for Elements<'_, T> {}
impl<'a, T: Element> Native for Elements<'a, T> {
    const TYPE: Type = Type::Sequence(&<T::Native<'a> as Native>::TYPE);
    const SMALL_LEN_MAX: usize = 0;
    fn is_small(&self) -> bool {
        false
    }
    fn packed_len(&self, cap: usize) -> usize {
        let (count, len) = self.fitting(cap);
        length_len(count, count < self.0.len()) + len
    }
    fn pack(&self, packer: &mut Packer, cap: usize) {
        let count = if cap == usize::MAX { self.0.len() } else { self.fitting(cap).0 };
        let full = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        packer.put_len(count, (count < self.0.len()).then_some(full));
        for element in &self.0[..count] {
            element.native().pack(packer, cap);
        }
    }
}

// ---------------------------------------------------------------------------------------------------------------- reading

/// A value read from a record; borrows from its payload.
#[derive(Clone, Debug, PartialEq)]
pub enum ValueRef<'a> {
    /// A bool.
    Bool(bool),
    /// u8 to u64 and usize.
    Unsigned(u64),
    /// A u128.
    U128(u128),
    /// i8 to i64 and isize.
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
    /// Text made with `Display`.
    Display(Text<'a>),
    /// Text made with `Debug`.
    Debug(Text<'a>),
    /// An error's text and those of its sources.
    Error(Seq<'a>),
    /// `()`.
    Unit,
    /// An option without a value. (One with a value is that value.)
    None,
    /// A sequence.
    Sequence(Seq<'a>),
}

/// Text, and how long it was where it was capped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text<'a> {
    /// What was kept.
    pub text: &'a str,
    /// Bytes there were, where the text was capped.
    pub full_len: Option<u32>,
}

/// Bytes, and how many there were where they were capped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blob<'a> {
    /// What was kept.
    pub bytes: &'a [u8],
    /// Bytes there were, where they were capped.
    pub full_len: Option<u32>,
}

/// A sequence; iterate it for its elements. It was read once already, so that the elements are good.
#[derive(Clone, Debug, PartialEq)]
pub struct Seq<'a> {
    element_tags: &'a [u8],
    count: usize,
    bytes: &'a [u8],
    /// Elements there were, where the sequence was capped.
    pub full_len: Option<u32>,
}

impl Seq<'_> {
    /// Gives the number of elements kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Tells whether no element was kept.
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

/// Why a value cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueError {
    /// A type tag that this version does not know.
    UnknownTag(u8),
    /// Options and sequences nested deeper than [`TYPE_DEPTH_MAX`], or a type that ends early.
    BadType,
    /// The payload ends inside the value.
    TooShort,
    /// Bytes that cannot be a value of this type: text that is not UTF-8, a bool other than 0 and 1, a char out of range.
    BadValue,
}

impl fmt::Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ValueError::UnknownTag(tag) => write!(f, "unknown type tag {tag}"),
            ValueError::BadType => f.write_str("type incomplete or nested too deep"),
            ValueError::TooShort => f.write_str("payload ends inside a value"),
            ValueError::BadValue => f.write_str("bytes that are no value of their type"),
        }
    }
}

/// Gives the wide words of a field of this type: 0 when it is packed.
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
    decode_packed(tags, words) // the same bytes, as it happens: words are stored in little-endian order too
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

/// Reads a value that is made of others. Apart, so that the reading of simple ones can be inlined.
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
        unknown => Err(ValueError::UnknownTag(unknown)),
    }
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
    // Each element takes a byte or more, except units: no writer makes sequences of those, so a few are enough to be polite.
    const UNITS_MAX: usize = 64;
    if count > bytes.len() && (element_tags != [20] || count > UNITS_MAX) {
        return Err(ValueError::TooShort);
    }
    for _ in 0..count {
        decode_packed(element_tags, from)?;
    }
    Ok(Seq { element_tags, count, bytes: &bytes[..bytes.len() - from.rest().len()], full_len })
}

/// Gives the length of the packed value of the type that starts `tags` at the start of `bytes`, as [`decode_packed`] reads it, and
/// overwrites it if `mask` says so: texts and bytes with asterisks, numbers with zeros. Lengths stay, and whether an option has a
/// value, so that the value can be read as before. `None` for bytes that `decode_packed` refuses; some of them may be changed.
pub(crate) fn mask_packed(tags: &[u8], bytes: &mut [u8], mask: bool) -> Option<usize> {
    let (&tag, inner) = tags.split_first().filter(|_| tags.len() <= TYPE_DEPTH_MAX)?;
    let fixed_len = match tag {
        1 | 2 | 7 => 1,
        3 | 8 => 2,
        4 | 9 | 12 | 14 => 4,
        13 => 8,
        6 | 11 => 16,
        5 | 10 => {
            let more = usize::from(bytes.first()? & 7);
            let len = if more == 7 { 9 } else { more + 1 };
            if mask {
                bytes.get_mut(..len)?.fill(0);
                bytes[0] = more as u8;
            }
            return (len <= bytes.len()).then_some(len);
        }
        20 => return Some(0),
        32 => {
            let (&mut present, rest) = bytes.split_first_mut()?;
            return match present {
                0 => Some(1),
                1 => mask_packed(inner, rest, mask).map(|len| len + 1),
                _ => None,
            };
        }
        _ => 0,
    };
    if fixed_len > 0 {
        let value = bytes.get_mut(..fixed_len)?;
        if mask {
            value.fill(0);
        }
        return Some(fixed_len);
    }
    let mut from = Unpacker::new(bytes);
    let count = from.length()?.kept;
    let start = bytes.len() - from.rest().len();
    match tag {
        15..=18 => {
            let value = bytes.get_mut(start..start.checked_add(count)?)?;
            if mask {
                value.fill(b'*');
            }
            Some(start + count)
        }
        19 | 33 => {
            let inner = if tag == 19 { &[15] } else { inner };
            let mut at = start;
            if inner == [20] {
                return Some(at); // elements without a byte
            }
            for _ in 0..count {
                at += mask_packed(inner, bytes.get_mut(at..)?, mask)?;
            }
            Some(at)
        }
        _ => None,
    }
}

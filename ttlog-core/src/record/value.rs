//! Types and values of fields: how they are packed and read back.
//!
//! [`Native`] is the sealed set of types with an encoding. Programs use [`Value`](crate::event::capture::Value), which
//! maps their types to native ones; readers use [`ValueRef`].
//!
//! # Format
//! docs/format.md §4.2, §4.3.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use super::native::{UnixTime, decode_duration, decode_ip, decode_socket, decode_time};
use super::packed::{
    Length, Packer, SHORT_LEN_MAX, SPLIT_NUMBER_LEN, Unpacker, len_head, length_len, split_head, split_tail, unzigzag,
    varint_len, zigzag,
};
use super::types::{
    MEMBER_SECRET, MEMBER_WITHHELD, Rest, TAG_ABSENT, TAG_ANY, TAG_ENUM, TAG_OPTION, TAG_SEQUENCE, TAG_STRUCT,
    TAG_TUPLE, Type, VARIANTS_MAX, split_carried_type, split_type, takes_no_bytes,
};
use crate::error::ValueError;

mod sealed {
    pub trait Sealed {}
}
pub(crate) use sealed::Sealed;

/// A type with its own encoding. Sealed, because rings trust the lengths that implementations return.
///
/// A packed value consists of a *head*, whose length depends only on the type, and a *tail*. The heads of all fields
/// come first, then the tails. In an option, a sequence or another value, and on devices, a value is *joined*: it has
/// its own encoding, in one piece. Types without a head have the same encoding in both places.
///
/// The hot path takes *small* values: all numbers, and texts below 250 bytes. The length of their encoding is at most
/// [`SMALL_LEN_MAX`](Native::SMALL_LEN_MAX) plus [`content_len`](Native::content_len).
///
/// Every method is bounded, does not block or allocate, and is callable from any context.
pub trait Native: Sealed + Copy {
    /// Type as recorded for readers.
    const TYPE: Type;
    /// Number of words in the wide part if this is the type of a field itself; 0: the value is packed.
    const WIDE_WORDS: usize = 0;
    /// Length of the head in bytes, at most 8.
    const HEAD_LEN: usize = 0;
    /// Maximum length of a small packed value in bytes, joined or not, without [`content_len`](Self::content_len).
    const SMALL_LEN_MAX: usize;
    /// Maximum of [`content_len`](Self::content_len) of a small value.
    const CONTENT_LEN_MAX: usize = 0;
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

    /// Returns the length of the texts and bytes in a small value.
    #[inline(always)]
    fn content_len(&self) -> usize {
        0
    }

    /// Packs a small value, joined.
    #[inline(always)]
    fn pack_small(&self, packer: &mut Packer) {
        self.pack(packer, usize::MAX);
    }

    /// Returns the head of a small value: [`HEAD_LEN`](Self::HEAD_LEN) bytes.
    #[inline(always)]
    fn small_head(&self) -> u64 {
        0
    }

    /// Packs the tail of a small value.
    #[inline(always)]
    fn pack_small_tail(&self, packer: &mut Packer) {
        self.pack_small(packer);
    }

    /// Returns the exact length of the value in bytes, joined, with its texts and sequences capped at `cap` bytes each.
    fn packed_len(&self, cap: usize) -> usize;

    /// Packs the value, joined, with its texts and sequences capped at `cap` bytes each.
    fn pack(&self, packer: &mut Packer, cap: usize);

    /// Returns the head under the same cap.
    #[inline(always)]
    fn head(&self, _cap: usize) -> u64 {
        self.small_head()
    }

    /// Returns the exact length of the tail under the same cap.
    #[inline(always)]
    fn tail_len(&self, cap: usize) -> usize {
        self.packed_len(cap) - Self::HEAD_LEN
    }

    /// Packs the tail under the same cap.
    fn pack_tail(&self, packer: &mut Packer, cap: usize) {
        self.pack(packer, cap);
    }

    /// Stores the wide words.
    #[inline(always)]
    fn put_wide(&self, _packer: &mut Packer) {}
}

macro_rules! native_fixed {
    ($($rust:ty => $variant:ident, $bytes:literal, |$value:ident| $bits:expr;)*) => {$(
        impl Sealed for $rust {}
        impl Native for $rust {
            const TYPE: Type = Type::$variant;
            const HEAD_LEN: usize = $bytes;
            const SMALL_LEN_MAX: usize = $bytes;
            const FIXED_LEN: Option<usize> = Some($bytes);
            #[inline(always)]
            fn fixed_bits(&self) -> u64 {
                let $value = *self;
                $bits
            }
            #[inline(always)]
            fn small_head(&self) -> u64 {
                self.fixed_bits()
            }
            #[inline(always)]
            fn pack_small_tail(&self, _packer: &mut Packer) {}
            fn pack_tail(&self, _packer: &mut Packer, _cap: usize) {}
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
            const HEAD_LEN: usize = 1;
            const SMALL_LEN_MAX: usize = SPLIT_NUMBER_LEN;
            #[inline(always)]
            fn small_head(&self) -> u64 {
                let $value = *self;
                split_head($mapped)
            }
            #[inline(always)]
            fn pack_small_tail(&self, packer: &mut Packer) {
                let $value = *self;
                packer.put_split_tail($mapped);
            }
            fn tail_len(&self, _cap: usize) -> usize {
                let $value = *self;
                split_tail($mapped).1
            }
            fn pack_tail(&self, packer: &mut Packer, _cap: usize) {
                let $value = *self;
                let (tail, len) = split_tail($mapped);
                packer.put_bits(tail, len as u32 * 8);
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

/// Texts or bytes, as they are after capping.
#[derive(Clone, Copy)]
struct Kept<'a> {
    bytes: &'a [u8],
    /// Original length, if it was capped.
    full_len: Option<u32>,
}

impl<'a> Kept<'a> {
    fn of_text(text: &'a str, full_len: Option<u32>, cap: usize) -> Self {
        let kept = cap_text(text, cap);
        let cut_len = (kept.len() < text.len()).then(|| u32::try_from(text.len()).unwrap_or(u32::MAX));
        Kept { bytes: kept.as_bytes(), full_len: full_len.or(cut_len) }
    }

    fn of_bytes(bytes: &'a [u8], cap: usize) -> Self {
        let kept = bytes.len().min(cap);
        let full_len = (kept < bytes.len()).then(|| u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        Kept { bytes: &bytes[..kept], full_len }
    }

    fn packed_len(&self) -> usize {
        length_len(self.bytes.len(), self.full_len.is_some()) + self.bytes.len()
    }

    fn head(&self) -> u64 {
        len_head(self.bytes.len(), self.full_len)
    }

    fn pack(&self, packer: &mut Packer) {
        packer.put_len_and_bytes(self.bytes, self.full_len);
    }

    fn pack_tail(&self, packer: &mut Packer) {
        packer.put_len_tail(self.bytes.len(), self.full_len);
        packer.put_bytes(self.bytes);
    }
}

macro_rules! native_text {
    ($(
        ($($generics:tt)*) $rust:ty => $type:expr,
            |$value:ident| $bytes:expr, $is_whole:expr, |$cap:ident| $kept:expr;
    )*) => {$(
        impl<$($generics)*> Sealed for $rust {}
        impl<$($generics)*> Native for $rust {
            const TYPE: Type = $type;
            const HEAD_LEN: usize = 1;
            const SMALL_LEN_MAX: usize = 1;
            const CONTENT_LEN_MAX: usize = SHORT_LEN_MAX;
            #[inline(always)]
            fn is_small(&self) -> bool {
                let $value = *self;
                $bytes.len() <= SHORT_LEN_MAX && $is_whole
            }
            #[inline(always)]
            fn content_len(&self) -> usize {
                let $value = *self;
                $bytes.len()
            }
            #[inline(always)]
            fn pack_small(&self, packer: &mut Packer) {
                packer.put_loose(self.small_head(), 8);
                self.pack_small_tail(packer);
            }
            #[inline(always)]
            fn small_head(&self) -> u64 {
                self.content_len() as u64
            }
            #[inline(always)]
            fn pack_small_tail(&self, packer: &mut Packer) {
                let $value = *self;
                packer.put_bytes_loose($bytes);
            }
            fn packed_len(&self, $cap: usize) -> usize {
                let $value = *self;
                $kept.packed_len()
            }
            fn pack(&self, packer: &mut Packer, $cap: usize) {
                let $value = *self;
                $kept.pack(packer);
            }
            fn head(&self, $cap: usize) -> u64 {
                let $value = *self;
                $kept.head()
            }
            fn pack_tail(&self, packer: &mut Packer, $cap: usize) {
                let $value = *self;
                $kept.pack_tail(packer);
            }
        }
    )*};
}

native_text! {
    () &str => Type::Str, |v| v.as_bytes(), true, |cap| Kept::of_text(v, None, cap);
    () Bytes<'_> => Type::Bytes, |v| v.0, true, |cap| Kept::of_bytes(v.0, cap);
    (const DEBUG: bool) FormattedText<'_, DEBUG> => if DEBUG { Type::Debug } else { Type::Display },
        |v| v.text.as_bytes(), v.full_len.is_none(), |cap| Kept::of_text(v.text, v.full_len, cap);
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

/// Text that was formatted into a bounded buffer; `DEBUG` is whether `Debug` was used instead of `Display`.
#[derive(Clone, Copy, Debug)]
pub struct FormattedText<'a, const DEBUG: bool> {
    /// Text that fit.
    pub(crate) text: &'a str,
    /// Original length in bytes, if the buffer was too small.
    pub(crate) full_len: Option<u32>,
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
            + self.texts().map(|(text, full_len)| Kept::of_text(text, full_len, cap).packed_len()).sum::<usize>()
    }
    fn pack(&self, packer: &mut Packer, cap: usize) {
        packer.put_len(self.ends.len(), self.full_len);
        for (text, full_len) in self.texts() {
            Kept::of_text(text, full_len, cap).pack(packer);
        }
    }
}

impl<T: Native> Sealed for Option<T> {}
impl<T: Native> Native for Option<T> {
    const TYPE: Type = Type::Option(&T::TYPE);
    const SMALL_LEN_MAX: usize = 1 + T::SMALL_LEN_MAX;
    const CONTENT_LEN_MAX: usize = T::CONTENT_LEN_MAX;
    #[inline(always)]
    fn is_small(&self) -> bool {
        self.as_ref().is_none_or(T::is_small)
    }
    #[inline(always)]
    fn content_len(&self) -> usize {
        self.as_ref().map_or(0, T::content_len)
    }
    #[inline(always)]
    fn pack_small(&self, packer: &mut Packer) {
        match self {
            None => packer.put_loose(0, 8),
            Some(value) => {
                packer.put_loose(1, 8);
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
    /// An option without a value. (An option with a value is that value, unless it is the next one.)
    None,
    /// As many options, each with the next one as its value, around an option without a value.
    SomeNone(u8),
    /// A sequence.
    Sequence(Seq<'a>),
    /// A tuple, a struct, or a variant of an enum.
    Composite(Composite<'a>),
    /// In place of a variant of an enum that was withheld.
    Withheld,
    /// A value with its type.
    Any(AnyRef<'a>),
    /// In place of a value with its type: the event has none.
    Absent,
    /// A UUID, by its bytes in the order of its text.
    Uuid([u8; 16]),
    /// An IP address.
    Ip(IpAddr),
    /// An IP address with a port.
    Socket(SocketAddr),
    /// A duration.
    Duration(Duration),
    /// A time of the wall clock.
    Time(UnixTime),
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
        decode_valid(self.type_tags, &mut Unpacker::new(self.bytes)).unwrap_or(ValueRef::Absent)
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
        let value = decode_valid(self.element_tags, &mut unpacker).ok()?;
        self.bytes = unpacker.rest();
        Some(value)
    }
}

/// Returns the number of wide words of a field of this type; 0 if it is packed.
#[inline]
pub(crate) fn wide_words(tags: &[u8]) -> usize {
    tags.first().map_or(0, |&tag| wide_words_of(tag))
}

/// Returns the number of wide words of a field whose type starts with `tag`.
#[inline]
pub(crate) const fn wide_words_of(tag: u8) -> usize {
    match tag {
        6 | 11 | 22 => 2,
        13 => 1,
        _ => 0,
    }
}

/// Returns the length of the head of a packed field of this type (docs/format.md §4.3).
#[inline]
pub(crate) fn head_len(tags: &[u8]) -> usize {
    tags.first().map_or(0, |&tag| head_len_of(tag))
}

/// Returns the length of the head of a field whose type starts with `tag`.
#[inline]
pub(crate) const fn head_len_of(tag: u8) -> usize {
    match tag {
        1 | 2 | 5 | 7 | 10 | 15..=18 | TAG_SEQUENCE => 1,
        3 | 8 => 2,
        4 | 9 | 12 | 14 => 4,
        _ => 0,
    }
}

/// Reads the value of a packed field from its head and its tail.
#[inline]
pub(crate) fn decode_split<'a>(
    tags: &'a [u8],
    heads: &mut Unpacker<'a>,
    tails: &mut Unpacker<'a>,
) -> Result<ValueRef<'a>, ValueError> {
    let short = ValueError::TooShort;
    let (&tag, inner) = tags.split_first().ok_or(ValueError::BadType)?;
    match tag {
        5 | 10 => {
            let head = heads.byte().ok_or(short)?;
            let number = tails.split_tail(head).ok_or(short)?;
            Ok(if tag == 5 { ValueRef::Unsigned(number) } else { ValueRef::Signed(unzigzag(number)) })
        }
        15..=18 | TAG_SEQUENCE => {
            let head = heads.byte().ok_or(short)?;
            let length = tails.length_tail(head).ok_or(short)?;
            match tag {
                15 => decode_text(length, tails).map(ValueRef::Str),
                16 => decode_blob(length, tails).map(ValueRef::Bytes),
                17 => decode_text(length, tails).map(ValueRef::Display),
                18 => decode_text(length, tails).map(ValueRef::Debug),
                _ if !is_valid(tags) => Err(ValueError::BadType),
                _ => decode_seq(inner, length, tails).map(ValueRef::Sequence),
            }
        }
        _ if head_len(tags) > 0 => decode_packed(tags, heads),
        _ => decode_packed(tags, tails),
    }
}

/// Reads the value of a wide field from its words.
#[inline]
pub(crate) fn decode_wide<'a>(tags: &'a [u8], words: &mut Unpacker<'a>) -> Result<ValueRef<'a>, ValueError> {
    decode_packed(tags, words) // the same bytes, since words are stored in little-endian order too
}

/// Reads one packed value of the type `tags`.
#[inline]
pub(crate) fn decode_packed<'a>(tags: &'a [u8], from: &mut Unpacker<'a>) -> Result<ValueRef<'a>, ValueError> {
    // A type of one tag does not nest.
    if tags.len() != 1 && !is_valid(tags) {
        return Err(ValueError::BadType);
    }
    decode_valid(tags, from)
}

/// Returns whether this is the description of one type.
fn is_valid(tags: &[u8]) -> bool {
    split_type(tags).is_some_and(|(_, rest)| rest.is_empty())
}

/// Reads one packed value of the type `tags`, which [`split_type`] has accepted.
#[inline]
fn decode_valid<'a>(tags: &'a [u8], from: &mut Unpacker<'a>) -> Result<ValueRef<'a>, ValueError> {
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
        15 => ValueRef::Str(decode_text(from.length().ok_or(short)?, from)?),
        16 => ValueRef::Bytes(decode_blob(from.length().ok_or(short)?, from)?),
        17 => ValueRef::Display(decode_text(from.length().ok_or(short)?, from)?),
        18 => ValueRef::Debug(decode_text(from.length().ok_or(short)?, from)?),
        20 => ValueRef::Unit,
        _ => return decode_composed(tag, inner, from),
    })
}

/// Reads a composite value. A separate function, so that the reading of simple values can be inlined.
#[inline(never)]
fn decode_composed<'a>(tag: u8, inner: &'a [u8], from: &mut Unpacker<'a>) -> Result<ValueRef<'a>, ValueError> {
    let mut length = || from.length().ok_or(ValueError::TooShort);
    match tag {
        19 => decode_seq(&[15], length()?, from).map(ValueRef::Error),
        TAG_OPTION => match from.byte().ok_or(ValueError::TooShort)? {
            0 => Ok(ValueRef::None),
            1 => decode_valid(inner, from).map(|value| match value {
                ValueRef::None => ValueRef::SomeNone(1),
                ValueRef::SomeNone(depth) => ValueRef::SomeNone(depth + 1), // less than TYPE_DEPTH_MAX
                value => value,
            }),
            _ => Err(ValueError::BadValue),
        },
        TAG_SEQUENCE => decode_seq(inner, length()?, from).map(ValueRef::Sequence),
        TAG_TUPLE | TAG_STRUCT | TAG_ENUM => decode_composite(tag, inner, from),
        22 => from.array().map(ValueRef::Uuid).ok_or(ValueError::TooShort),
        23 => decode_ip(from).map(ValueRef::Ip),
        24 => decode_socket(from).map(ValueRef::Socket),
        25 => decode_duration(from).map(ValueRef::Duration),
        26 => decode_time(from).map(ValueRef::Time),
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
    decode_valid(type_tags, from)?;
    Ok(ValueRef::Any(AnyRef { type_tags, bytes: &rest[..rest.len() - from.rest().len()] }))
}

#[inline]
fn decode_blob<'a>(length: Length, from: &mut Unpacker<'a>) -> Result<Blob<'a>, ValueError> {
    let Length { kept, full } = length;
    Ok(Blob { bytes: from.bytes(kept).ok_or(ValueError::TooShort)?, full_len: full })
}

#[inline]
fn decode_text<'a>(length: Length, from: &mut Unpacker<'a>) -> Result<Text<'a>, ValueError> {
    let Length { kept, full } = length;
    let bytes = from.bytes(kept).ok_or(ValueError::TooShort)?;
    let text = core::str::from_utf8(bytes).map_err(|_| ValueError::BadValue)?;
    Ok(Text { text, full_len: full })
}

fn decode_seq<'a>(element_tags: &'a [u8], length: Length, from: &mut Unpacker<'a>) -> Result<Seq<'a>, ValueError> {
    let Length { kept: count, full: full_len } = length;
    let bytes = from.rest();
    // Each element takes at least a byte, except units. No writer creates sequences of units, so a small limit is
    // enough.
    const UNITS_MAX: usize = 64;
    if count > bytes.len() && (count > UNITS_MAX || !takes_no_bytes(element_tags)) {
        return Err(ValueError::TooShort);
    }
    for _ in 0..count {
        decode_valid(element_tags, from)?;
    }
    Ok(Seq { element_tags, count, bytes: &bytes[..bytes.len() - from.rest().len()], full_len })
}

// ----------------------------------------------------------------------------------------------------------------
// reading composite values

/// In place of the index of a variant that was withheld and took one byte.
pub(crate) const WITHHELD_INDEX: u8 = 254;
/// In place of the index of a variant that was withheld; its length follows, and as many bytes.
pub(crate) const WITHHELD_BYTES: u8 = 255;

/// A tuple, a struct, or a variant of an enum; iterate over it for its members. It was validated, so all members are
/// valid.
#[derive(Clone, Debug, PartialEq)]
pub struct Composite<'a> {
    /// Name of the struct or the enum; empty for a tuple.
    pub name: &'a str,
    /// Name of the variant, if this is one.
    pub variant: Option<&'a str>,
    /// Description of the members that were not read yet.
    tags: Rest<'a>,
    /// Number of members that were not read yet.
    count: u8,
    /// Whether the members have flags and names, unlike those of a tuple.
    has_names: bool,
    bytes: &'a [u8],
}

/// A member of a composite value.
#[derive(Clone, Debug, PartialEq)]
pub struct MemberRef<'a> {
    /// Name; empty: the member has only a position.
    pub name: &'a str,
    /// Whether the source marks it as secret.
    pub secret: bool,
    /// Whether the value was withheld when the snapshot was written. If so, it is meaningless.
    pub withheld: bool,
    /// Type (docs/format.md §4.2).
    pub type_tags: &'a [u8],
    /// Value.
    pub value: ValueRef<'a>,
}

impl Composite<'_> {
    /// Returns the number of members.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count.into()
    }

    /// Returns whether there are no members.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

impl<'a> Iterator for Composite<'a> {
    type Item = MemberRef<'a>;

    fn next(&mut self) -> Option<MemberRef<'a>> {
        self.count = self.count.checked_sub(1)?;
        let mut from = Unpacker::new(self.bytes);
        let member = decode_member(&mut self.tags, self.has_names, &mut from).ok()?;
        self.bytes = from.rest();
        Some(member)
    }
}

/// Reads a composite value of the type that consists of `tag` and `inner` and is valid.
fn decode_composite<'a>(tag: u8, inner: &'a [u8], from: &mut Unpacker<'a>) -> Result<ValueRef<'a>, ValueError> {
    let bad_type = ValueError::BadType;
    let mut tags = Rest(inner);
    let (mut name, mut variant) = ("", None);
    if tag != TAG_TUPLE {
        name = decode_name(&mut tags)?;
    }
    if tag != TAG_TUPLE && tag != TAG_STRUCT {
        let index = from.byte().ok_or(ValueError::TooShort)?;
        if usize::from(index) >= VARIANTS_MAX {
            skip_withheld(index, from)?;
            return Ok(ValueRef::Withheld);
        }
        if index >= tags.byte().ok_or(bad_type)? {
            return Err(ValueError::BadValue);
        }
        tags.skip_variants(index).ok_or(bad_type)?;
        variant = Some(decode_name(&mut tags)?);
    }
    let has_names = tag != TAG_TUPLE;
    let count = tags.byte().ok_or(bad_type)?;
    let (mut rest, bytes) = (tags, from.rest());
    for _ in 0..count {
        decode_member(&mut rest, has_names, from)?;
    }
    let bytes = &bytes[..bytes.len() - from.rest().len()];
    Ok(ValueRef::Composite(Composite { name, variant, tags, count, has_names, bytes }))
}

/// Takes the rest of a variant that was withheld, after its index.
fn skip_withheld(index: u8, from: &mut Unpacker<'_>) -> Result<(), ValueError> {
    if index == WITHHELD_BYTES {
        let len = from.length().ok_or(ValueError::TooShort)?.kept;
        from.bytes(len).ok_or(ValueError::TooShort)?;
    }
    Ok(())
}

fn decode_member<'a>(
    tags: &mut Rest<'a>,
    has_names: bool,
    from: &mut Unpacker<'a>,
) -> Result<MemberRef<'a>, ValueError> {
    let (flags, name) = if has_names { (tags.byte().ok_or(ValueError::BadType)?, decode_name(tags)?) } else { (0, "") };
    let type_tags = tags.split_type().ok_or(ValueError::BadType)?;
    let value = decode_valid(type_tags, from)?;
    let (secret, withheld) = (flags & MEMBER_SECRET != 0, flags & MEMBER_WITHHELD != 0);
    Ok(MemberRef { name, secret, withheld, type_tags, value })
}

fn decode_name<'a>(tags: &mut Rest<'a>) -> Result<&'a str, ValueError> {
    let name = tags.name().ok_or(ValueError::BadType)?;
    core::str::from_utf8(name).map_err(|_| ValueError::BadType)
}

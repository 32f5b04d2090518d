//! Native forms of values that consist of members: tuples, and types with `#[derive(Value)]`.

use core::fmt;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use super::capture::{Element, SMALL_BLOCK_MAX, Value};
use super::walk::{
    Format, Head, Measure, Pack, PackSmall, PackSmallTail, PackTail, PutWide, SmallHead, Smallness, TextReader, Texts,
};
use crate::record::native::UnixTime;
use crate::record::packed::{Packer, SHORT_LEN_MAX, SPLIT_NUMBER_LEN};
use crate::record::types::{Member, StructType, Type};
use crate::record::value::{Native, Sealed, head_len_of, wide_words_of};

/// Place for the formatted members of a value. Sealed.
pub trait Room: Sealed + Copy {
    /// Formats the members that have no native encoding.
    fn capture<T: Element + ?Sized>(value: &T) -> Self;
    /// Returns the texts.
    fn texts(&self) -> Option<&Texts>;
}

/// No place: for a value without formatted members.
#[derive(Clone, Copy, Debug)]
pub struct NoTexts;

impl Sealed for NoTexts {}
impl Room for NoTexts {
    #[inline(always)]
    fn capture<T: Element + ?Sized>(_value: &T) -> Self {
        const { assert!(!T::IS_FORMATTED, "this value has formatted members, and no place for them") };
        NoTexts
    }
    #[inline(always)]
    fn texts(&self) -> Option<&Texts> {
        None
    }
}

impl Sealed for Texts {}
impl Room for Texts {
    #[inline(always)]
    fn capture<T: Element + ?Sized>(value: &T) -> Self {
        let mut texts = Texts::new();
        if T::IS_FORMATTED {
            value.walk(&mut Format(&mut texts));
        }
        texts
    }
    #[inline(always)]
    fn texts(&self) -> Option<&Texts> {
        Some(self)
    }
}

/// A value with `#[derive(Value)]`, by reference, with its formatted members.
pub struct Nested<'a, T: ?Sized, R> {
    value: &'a T,
    room: R,
}

impl<'a, T: Element + ?Sized, R: Room> Nested<'a, T, R> {
    /// Captures the value: formats what has no native encoding.
    #[inline(always)]
    pub fn new(value: &'a T) -> Self {
        Nested { value, room: R::capture(value) }
    }

    #[inline(always)]
    fn smallness(&self) -> Smallness<'_> {
        let mut walk = Smallness { texts: self.texts(), is_small: true, content_len: 0 };
        self.value.walk(&mut walk);
        walk
    }

    fn head_and_tail(&self, cap: usize) -> Head<'_> {
        let mut walk = Head { texts: self.texts(), cap, head: 0, tail_len: 0 };
        self.value.walk(&mut walk);
        walk
    }

    #[inline(always)]
    fn texts(&self) -> TextReader<'_> {
        TextReader::new(if T::IS_FORMATTED { self.room.texts() } else { None })
    }
}

// Not derived, because `derive` would require the same of `T`.
impl<T: ?Sized, R: Copy> Clone for Nested<'_, T, R> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}
impl<T: ?Sized, R: Copy> Copy for Nested<'_, T, R> {}
impl<T: ?Sized, R> fmt::Debug for Nested<'_, T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nested").finish_non_exhaustive()
    }
}

impl<T: ?Sized, R> Sealed for Nested<'_, T, R> {}
impl<T: Element + ?Sized, R: Room> Native for Nested<'_, T, R> {
    const TYPE: Type = T::TYPE;
    const WIDE_WORDS: usize = wide_words_of(T::TYPE.tag());
    const HEAD_LEN: usize = head_len_of(T::TYPE.tag());
    const SMALL_LEN_MAX: usize = small_len_max(T::TYPE);
    const CONTENT_LEN_MAX: usize = content_len_max(T::TYPE);
    #[inline(always)]
    fn is_small(&self) -> bool {
        self.smallness().is_small
    }
    #[inline(always)]
    fn content_len(&self) -> usize {
        self.smallness().content_len
    }
    #[inline(always)]
    fn pack_small(&self, packer: &mut Packer) {
        self.value.walk(&mut PackSmall { texts: self.texts(), packer });
    }
    #[inline(always)]
    fn small_head(&self) -> u64 {
        let mut walk = SmallHead { texts: self.texts(), head: 0 };
        self.value.walk(&mut walk);
        walk.head
    }
    #[inline(always)]
    fn pack_small_tail(&self, packer: &mut Packer) {
        if Self::HEAD_LEN > 0 {
            self.value.walk(&mut PackSmallTail { texts: self.texts(), packer });
        } else {
            self.pack_small(packer);
        }
    }
    fn packed_len(&self, cap: usize) -> usize {
        let mut measure = Measure { texts: self.texts(), cap, len: 0 };
        self.value.walk(&mut measure);
        measure.len
    }
    fn pack(&self, packer: &mut Packer, cap: usize) {
        self.value.walk(&mut Pack { texts: self.texts(), cap, packer });
    }
    fn head(&self, cap: usize) -> u64 {
        self.head_and_tail(cap).head
    }
    fn tail_len(&self, cap: usize) -> usize {
        if Self::HEAD_LEN > 0 { self.head_and_tail(cap).tail_len } else { self.packed_len(cap) }
    }
    fn pack_tail(&self, packer: &mut Packer, cap: usize) {
        if Self::HEAD_LEN > 0 {
            self.value.walk(&mut PackTail { texts: self.texts(), cap, packer });
        } else {
            self.pack(packer, cap);
        }
    }
    #[inline(always)]
    fn put_wide(&self, packer: &mut Packer) {
        self.value.walk(&mut PutWide { texts: self.texts(), packer });
    }
}

/// Returns [`Native::SMALL_LEN_MAX`] of a type. (No type is left to a last arm: the number must not be too low.)
const fn small_len_max(of: Type) -> usize {
    match of {
        Type::Bool | Type::U8 | Type::I8 => 1,
        Type::U16 | Type::I16 => 2,
        Type::U32 | Type::I32 | Type::F32 | Type::Char => 4,
        Type::F64 => 8,
        Type::U64 | Type::I64 => SPLIT_NUMBER_LEN,
        Type::U128 | Type::I128 | Type::Uuid => 16,
        Type::Str | Type::Bytes | Type::Display | Type::Debug | Type::Sequence(_) => 1,
        Type::Ip => <IpAddr as Native>::SMALL_LEN_MAX,
        Type::Socket => <SocketAddr as Native>::SMALL_LEN_MAX,
        Type::Duration => <Duration as Native>::SMALL_LEN_MAX,
        Type::Time => <UnixTime as Native>::SMALL_LEN_MAX,
        Type::Unit | Type::Error | Type::Any => 0, // the latter are never parts of a value
        Type::Option(inner) => 1 + small_len_max(*inner),
        Type::Tuple(types) => {
            let (mut sum, mut index) = (0, 0);
            while index < types.len() {
                sum += small_len_max(types[index]);
                index += 1;
            }
            sum
        }
        Type::Struct(of) => members_max(of).0,
        Type::Enum(of) => 1 + variants_max(of.variants).0,
    }
}

/// Returns [`Native::CONTENT_LEN_MAX`] of a type.
const fn content_len_max(of: Type) -> usize {
    match of {
        Type::Str | Type::Bytes | Type::Display | Type::Debug => SHORT_LEN_MAX,
        Type::Sequence(_) => SMALL_BLOCK_MAX,
        Type::Option(inner) => content_len_max(*inner),
        Type::Tuple(types) => {
            let (mut sum, mut index) = (0, 0);
            while index < types.len() {
                sum += content_len_max(types[index]);
                index += 1;
            }
            sum
        }
        Type::Struct(of) => members_max(of).1,
        Type::Enum(of) => variants_max(of.variants).1,
        _ => 0,
    }
}

/// Returns both maxima of the members together.
const fn members_max(of: &StructType) -> (usize, usize) {
    let (mut small, mut content, mut index) = (0, 0, 0);
    while index < of.members.len() {
        let Member { of, .. } = of.members[index];
        small += small_len_max(of);
        content += content_len_max(of);
        index += 1;
    }
    (small, content)
}

/// Returns both maxima of any variant.
const fn variants_max(variants: &[StructType]) -> (usize, usize) {
    let (mut small, mut content, mut index) = (0, 0, 0);
    while index < variants.len() {
        let (one_small, one_content) = members_max(&variants[index]);
        small = if one_small > small { one_small } else { small };
        content = if one_content > content { one_content } else { content };
        index += 1;
    }
    (small, content)
}

/// A tuple of native values, as one value.
#[derive(Clone, Copy, Debug)]
pub struct Tuple<T>(pub T);

macro_rules! tuples {
    ($(($($name:ident $index:tt),+))*) => {$(
        impl<$($name: Native),+> Sealed for Tuple<($($name,)+)> {}
        impl<$($name: Native),+> Native for Tuple<($($name,)+)> {
            const TYPE: Type = Type::Tuple(&[$($name::TYPE),+]);
            const SMALL_LEN_MAX: usize = 0 $(+ $name::SMALL_LEN_MAX)+;
            const CONTENT_LEN_MAX: usize = 0 $(+ $name::CONTENT_LEN_MAX)+;
            #[inline(always)]
            fn is_small(&self) -> bool {
                true $(& self.0.$index.is_small())+
            }
            #[inline(always)]
            fn content_len(&self) -> usize {
                0 $(+ self.0.$index.content_len())+
            }
            #[inline(always)]
            fn pack_small(&self, packer: &mut Packer) {
                $(self.0.$index.pack_small(packer);)+
            }
            #[inline(always)]
            fn packed_len(&self, cap: usize) -> usize {
                0 $(+ self.0.$index.packed_len(cap))+
            }
            #[inline(always)]
            fn pack(&self, packer: &mut Packer, cap: usize) {
                $(self.0.$index.pack(packer, cap);)+
            }
        }

        impl<$($name: Value),+> Value for ($($name,)+) {
            type Native<'a>
                = Tuple<($($name::Native<'a>,)+)>
            where
                Self: 'a;
            #[inline(always)]
            fn native(&self) -> Self::Native<'_> {
                Tuple(($(self.$index.native(),)+))
            }
        }

        // SAFETY: visits its members in their order, every time.
        unsafe impl<$($name: Element),+> Element for ($($name,)+) {
            const TYPE: Type = Type::Tuple(&[$(<$name as Element>::TYPE),+]);
            const IS_FORMATTED: bool = false $(|| $name::IS_FORMATTED)+;
            #[inline(always)]
            fn walk<W: super::walk::Walk>(&self, walk: &mut W) {
                $(self.$index.walk(walk);)+
            }
        }
    )*};
}
tuples! {
    (A 0)
    (A 0, B 1)
    (A 0, B 1, C 2)
    (A 0, B 1, C 2, D 3)
    (A 0, B 1, C 2, D 3, E 4)
    (A 0, B 1, C 2, D 3, E 4, F 5)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11)
}

#[cfg(test)]
mod tests;

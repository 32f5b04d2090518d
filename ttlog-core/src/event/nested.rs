//! Native forms of values that consist of members: tuples, and types with `#[derive(Value)]`.

use core::fmt;

use super::capture::{Element, Value};
use super::walk::{Format, Measure, Pack, TextReader, Texts};
use crate::record::packed::Packer;
use crate::record::types::Type;
use crate::record::value::{Native, Sealed};

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
    const SMALL_LEN_MAX: usize = 0;
    #[inline(always)]
    fn is_small(&self) -> bool {
        false
    }
    #[inline]
    fn packed_len(&self, cap: usize) -> usize {
        let mut measure = Measure { cap, texts: self.texts(), len: 0 };
        self.value.walk(&mut measure);
        measure.len
    }
    #[inline]
    fn pack(&self, packer: &mut Packer, cap: usize) {
        self.value.walk(&mut Pack { cap, texts: self.texts(), packer });
    }
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
            #[inline(always)]
            fn is_small(&self) -> bool {
                true $(& self.0.$index.is_small())+
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

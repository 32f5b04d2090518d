//! Run-time fields of one event, as a list of statically known types.
//!
//! The macros build `Cons(a, Cons(b, Nil))`. Everything that depends only on types (the type list, its hash, the number
//! of wide words, the bound on small values) is constant, so the hot path of a callsite contains only operations on
//! values.

use crate::record::packed::Packer;
use crate::record::types::Type;
use crate::record::value::{Native, Sealed};

/// Minimum hash of a type list.
pub(crate) const TYPES_HASH_MIN: u32 = 2;

/// Types of an event's run-time fields, in source order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TypeList {
    /// No more fields.
    Nil,
    /// A field of this type, then the rest.
    Cons(Type, &'static TypeList),
}

impl TypeList {
    /// Returns the hash of the list, which is at least 2. It distinguishes the different lists of one callsite
    /// (docs/architecture.md has the odds).
    #[must_use]
    pub const fn hash(&self) -> u32 {
        let mut hash = 0x811C_9DC5;
        let mut rest = self;
        while let TypeList::Cons(head, tail) = rest {
            hash = head.hash(hash);
            rest = tail;
        }
        if hash < TYPES_HASH_MIN { TYPES_HASH_MIN } else { hash }
    }

    /// Returns the list itself.
    ///
    /// # Panics
    /// If a type has no valid description, see [`Type::check`]. Only used at compile time.
    #[must_use]
    pub const fn checked(self) -> Self {
        let mut rest = &self;
        while let TypeList::Cons(head, tail) = rest {
            head.check();
            rest = tail;
        }
        self
    }

    /// Returns the descriptions of the types one after the other (docs/format.md §4.2), zero-padded.
    ///
    /// # Panics
    /// If they take more than `N` bytes, or a type has no valid description. Only used at compile time.
    #[must_use]
    pub const fn tag_bytes<const N: usize>(&self) -> [u8; N] {
        let (mut tags, mut len, mut rest) = ([0; N], 0, self);
        while let TypeList::Cons(head, tail) = rest {
            head.check();
            let (_, room) = tags.split_at_mut(len);
            match head.describe(room) {
                Some(more) => len += more,
                None => panic!(
                    "a log call on a device has too many fields, or names of members: their types take more than 64 \
                     bytes"
                ),
            }
            rest = tail;
        }
        tags
    }

    /// Returns an iterator over the types.
    pub fn iter(&self) -> impl Iterator<Item = Type> + use<> {
        let mut rest = *self;
        core::iter::from_fn(move || match rest {
            TypeList::Nil => None,
            TypeList::Cons(head, tail) => {
                rest = *tail;
                Some(head)
            }
        })
    }
}

/// A list of native values. Sealed like [`Native`], because rings trust the lengths that it returns.
pub trait Fields: Copy + Sealed {
    /// Types of the fields.
    const TYPES: TypeList;
    /// Hash of the types.
    const HASH: u32 = Self::TYPES.checked().hash();
    /// Number of words in the wide part.
    const WIDE_WORDS: usize;
    /// Maximum length of the packed part in bytes, if all values are small.
    const SMALL_LEN_MAX: usize;
    /// Length of the payload in bytes, if all fields have fixed sizes and it is at most 16.
    const FIXED_LEN: Option<usize>;

    /// Returns the payload if it has a fixed size, with the first field in the lowest bytes; otherwise 0.
    fn fixed(&self) -> u128;
    /// Returns whether all values are small, see [`Native`].
    fn are_small(&self) -> bool;
    /// Stores the packed part of small values.
    fn pack_small(&self, packer: &mut Packer);
    /// Returns the exact length of the packed part in bytes, with texts and sequences capped at `cap` bytes each.
    fn packed_len(&self, cap: usize) -> usize;
    /// Stores the wide part.
    fn put_wide(&self, packer: &mut Packer);
    /// Stores the packed part with texts and sequences capped at `cap` bytes each.
    fn pack(&self, packer: &mut Packer, cap: usize);
}

/// End of a field list.
#[derive(Clone, Copy, Debug)]
pub struct Nil;

/// A field and the rest of the list.
#[derive(Clone, Copy, Debug)]
pub struct Cons<H, T>(pub H, pub T);

impl Sealed for Nil {}
impl Fields for Nil {
    const TYPES: TypeList = TypeList::Nil;
    const WIDE_WORDS: usize = 0;
    const SMALL_LEN_MAX: usize = 0;
    const FIXED_LEN: Option<usize> = Some(0);
    #[inline(always)]
    fn fixed(&self) -> u128 {
        0
    }
    #[inline(always)]
    fn are_small(&self) -> bool {
        true
    }
    #[inline(always)]
    fn pack_small(&self, _packer: &mut Packer) {}
    fn packed_len(&self, _cap: usize) -> usize {
        0
    }
    #[inline(always)]
    fn put_wide(&self, _packer: &mut Packer) {}
    #[inline(always)]
    fn pack(&self, _packer: &mut Packer, _cap: usize) {}
}

impl<H: Native, T: Fields> Sealed for Cons<H, T> {}
impl<H: Native, T: Fields> Fields for Cons<H, T> {
    const TYPES: TypeList = TypeList::Cons(H::TYPE, &T::TYPES);
    const WIDE_WORDS: usize = H::WIDE_WORDS + T::WIDE_WORDS;
    const SMALL_LEN_MAX: usize = T::SMALL_LEN_MAX + if H::WIDE_WORDS > 0 { 0 } else { H::SMALL_LEN_MAX };
    const FIXED_LEN: Option<usize> = match (H::FIXED_LEN, T::FIXED_LEN) {
        (Some(head), Some(tail)) if head + tail <= 16 => Some(head + tail),
        _ => None,
    };
    #[inline(always)]
    fn fixed(&self) -> u128 {
        match H::FIXED_LEN {
            Some(len) if len < 16 => u128::from(self.0.fixed_bits()) | self.1.fixed() << (len * 8),
            _ => 0,
        }
    }
    #[inline(always)]
    fn are_small(&self) -> bool {
        (H::WIDE_WORDS > 0 || self.0.is_small()) && self.1.are_small()
    }
    #[inline(always)]
    fn pack_small(&self, packer: &mut Packer) {
        if H::WIDE_WORDS == 0 {
            self.0.pack_small(packer);
        }
        self.1.pack_small(packer);
    }
    fn packed_len(&self, cap: usize) -> usize {
        self.1.packed_len(cap) + if H::WIDE_WORDS > 0 { 0 } else { self.0.packed_len(cap) }
    }
    #[inline(always)]
    fn put_wide(&self, packer: &mut Packer) {
        if H::WIDE_WORDS > 0 {
            self.0.put_wide(packer);
        }
        self.1.put_wide(packer);
    }
    #[inline(always)]
    fn pack(&self, packer: &mut Packer, cap: usize) {
        if H::WIDE_WORDS == 0 {
            self.0.pack(packer, cap);
        }
        self.1.pack(packer, cap);
    }
}

/// A field list behind a pointer, for the slow path and for recorders that are not known at compile time. Sealed.
pub trait AnyFields: Sealed {
    /// Returns the types.
    fn types(&self) -> TypeList;
    /// Returns the hash of the types.
    fn types_hash(&self) -> u32;
    /// Returns the exact number of payload words, with texts and sequences capped at `cap` bytes each.
    fn payload_words(&self, cap: usize) -> usize;
    /// Stores the whole payload, with the same cap.
    fn put(&self, packer: &mut Packer, cap: usize);
}

impl<F: Fields> AnyFields for F {
    fn types(&self) -> TypeList {
        F::TYPES
    }
    fn types_hash(&self) -> u32 {
        F::HASH
    }
    fn payload_words(&self, cap: usize) -> usize {
        F::WIDE_WORDS + self.packed_len(cap).div_ceil(8)
    }
    fn put(&self, packer: &mut Packer, cap: usize) {
        self.put_wide(packer);
        self.pack(packer, cap);
    }
}

impl core::fmt::Debug for dyn AnyFields + '_ {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("AnyFields").field("types", &self.types()).finish()
    }
}

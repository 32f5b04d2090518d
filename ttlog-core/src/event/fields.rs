//! Run-time fields of one event, as a list of statically known types.
//!
//! The macros build `Cons(a, Cons(b, Nil))`. Everything that depends only on types (the type list, its hash, the number
//! of wide words, the bound on small values) is constant, so the hot path of a callsite contains only operations on
//! values.

#[allow(unused_imports, reason = "for the documentation")]
use crate::record::packed::LOOSE_LEN;
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
    /// The same fields, with heads and tails apart; in front of all others.
    Split(&'static TypeList),
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
                    "the types of the fields of a log call on a device take more than 64 bytes, with the names of \
                     members: leave members out with `#[value(skip)]`, shorten their names with `#[value(rename = \
                     \"…\")]`, record a value with `%` or `?`, or make two log calls"
                ),
            }
            rest = tail;
        }
        tags
    }

    /// Returns an iterator over the types.
    pub fn iter(&self) -> impl Iterator<Item = Type> + use<> {
        let mut rest = *self;
        if let TypeList::Split(fields) = rest {
            rest = *fields;
        }
        core::iter::from_fn(move || match rest {
            TypeList::Nil | TypeList::Split(_) => None,
            TypeList::Cons(head, tail) => {
                rest = *tail;
                Some(head)
            }
        })
    }

    /// Returns whether the heads of all packed fields are in front of their tails, instead of each value in one piece
    /// (docs/format.md §4.3).
    #[must_use]
    pub const fn is_split(&self) -> bool {
        matches!(self, TypeList::Split(_))
    }
}

/// A list of native values. Sealed like [`Native`], because rings trust the lengths that it returns.
pub trait Fields: Copy + Sealed {
    /// Types of the fields.
    const TYPES: TypeList;
    /// Types of the fields, as recorded with heads and tails apart.
    const SPLIT_TYPES: TypeList = TypeList::Split(&Self::TYPES);
    /// Hash of the types.
    const HASH: u32 = Self::TYPES.checked().hash();
    /// Number of words in the wide part.
    const WIDE_WORDS: usize;
    /// Length of all heads in bytes.
    const HEAD_LEN: usize;
    /// Maximum length of the packed part in bytes, if all values are small, without [`content_len`](Self::content_len).
    const SMALL_LEN_MAX: usize;
    /// Maximum of [`content_len`](Self::content_len) of small values.
    const CONTENT_LEN_MAX: usize;
    /// Length of the payload in bytes, if all fields have fixed sizes and it is at most 16.
    const FIXED_LEN: Option<usize>;

    /// Returns the payload if it has a fixed size, with the first field in the lowest bytes; otherwise 0.
    fn fixed(&self) -> u128;
    /// Returns whether all values are small, see [`Native`].
    fn are_small(&self) -> bool;
    /// Returns the length of all texts and bytes in small values.
    fn content_len(&self) -> usize;
    /// Returns the heads of small values, if they are at most 8 bytes together.
    fn small_heads(&self) -> u64;
    /// Stores the heads of small values, one by one.
    fn put_small_heads(&self, packer: &mut Packer);
    /// Stores the tails of small values.
    fn put_small_tails(&self, packer: &mut Packer);
    /// Returns the exact length of all tails in bytes, with texts and sequences capped at `cap` bytes each.
    fn tail_len(&self, cap: usize) -> usize;
    /// Stores the heads under the same cap.
    fn put_heads(&self, packer: &mut Packer, cap: usize);
    /// Stores the tails under the same cap.
    fn put_tails(&self, packer: &mut Packer, cap: usize);
    /// Returns the exact length of the packed part in bytes under the same cap, if all values are joined.
    fn joined_len(&self, cap: usize) -> usize;
    /// Stores the packed part under the same cap, with all values joined.
    fn put_joined(&self, packer: &mut Packer, cap: usize);
    /// Stores the wide part.
    fn put_wide(&self, packer: &mut Packer);

    /// Stores the payload of small values. Overwrites up to [`LOOSE_LEN`] bytes behind it, unless all have fixed sizes.
    #[inline(always)]
    fn put_small(&self, packer: &mut Packer) {
        self.put_wide(packer);
        if const { Self::HEAD_LEN <= 8 } {
            packer.put_first(self.small_heads(), const { Self::HEAD_LEN as u32 * 8 });
        } else {
            self.put_small_heads(packer);
        }
        self.put_small_tails(packer);
    }
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
    const HEAD_LEN: usize = 0;
    const SMALL_LEN_MAX: usize = 0;
    const CONTENT_LEN_MAX: usize = 0;
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
    fn content_len(&self) -> usize {
        0
    }
    #[inline(always)]
    fn small_heads(&self) -> u64 {
        0
    }
    #[inline(always)]
    fn put_small_heads(&self, _packer: &mut Packer) {}
    #[inline(always)]
    fn put_small_tails(&self, _packer: &mut Packer) {}
    fn tail_len(&self, _cap: usize) -> usize {
        0
    }
    fn put_heads(&self, _packer: &mut Packer, _cap: usize) {}
    fn put_tails(&self, _packer: &mut Packer, _cap: usize) {}
    fn joined_len(&self, _cap: usize) -> usize {
        0
    }
    #[inline(always)]
    fn put_joined(&self, _packer: &mut Packer, _cap: usize) {}
    #[inline(always)]
    fn put_wide(&self, _packer: &mut Packer) {}
}

impl<H: Native, T: Fields> Cons<H, T> {
    const IS_PACKED: bool = H::WIDE_WORDS == 0;
    const FIRST_HEAD_LEN: usize = if Self::IS_PACKED { H::HEAD_LEN } else { 0 };
}

impl<H: Native, T: Fields> Sealed for Cons<H, T> {}
impl<H: Native, T: Fields> Fields for Cons<H, T> {
    const TYPES: TypeList = TypeList::Cons(H::TYPE, &T::TYPES);
    const WIDE_WORDS: usize = H::WIDE_WORDS + T::WIDE_WORDS;
    const HEAD_LEN: usize = Self::FIRST_HEAD_LEN + T::HEAD_LEN;
    const SMALL_LEN_MAX: usize = T::SMALL_LEN_MAX + if Self::IS_PACKED { H::SMALL_LEN_MAX } else { 0 };
    const CONTENT_LEN_MAX: usize = T::CONTENT_LEN_MAX + if Self::IS_PACKED { H::CONTENT_LEN_MAX } else { 0 };
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
        (!Self::IS_PACKED || self.0.is_small()) && self.1.are_small()
    }
    #[inline(always)]
    fn content_len(&self) -> usize {
        self.1.content_len() + if Self::IS_PACKED { self.0.content_len() } else { 0 }
    }
    #[inline(always)]
    fn small_heads(&self) -> u64 {
        let first = if Self::FIRST_HEAD_LEN > 0 { self.0.small_head() } else { 0 };
        // A shift by all bits happens only if nothing follows.
        first | self.1.small_heads().wrapping_shl(const { Self::FIRST_HEAD_LEN as u32 * 8 })
    }
    #[inline(always)]
    fn put_small_heads(&self, packer: &mut Packer) {
        if Self::FIRST_HEAD_LEN > 0 {
            packer.put_bits(self.0.small_head(), const { Self::FIRST_HEAD_LEN as u32 * 8 });
        }
        self.1.put_small_heads(packer);
    }
    #[inline(always)]
    fn put_small_tails(&self, packer: &mut Packer) {
        if Self::IS_PACKED {
            self.0.pack_small_tail(packer);
        }
        self.1.put_small_tails(packer);
    }
    fn tail_len(&self, cap: usize) -> usize {
        self.1.tail_len(cap) + if Self::IS_PACKED { self.0.tail_len(cap) } else { 0 }
    }
    fn put_heads(&self, packer: &mut Packer, cap: usize) {
        if Self::FIRST_HEAD_LEN > 0 {
            packer.put_bits(self.0.head(cap), const { Self::FIRST_HEAD_LEN as u32 * 8 });
        }
        self.1.put_heads(packer, cap);
    }
    fn put_tails(&self, packer: &mut Packer, cap: usize) {
        if Self::IS_PACKED {
            self.0.pack_tail(packer, cap);
        }
        self.1.put_tails(packer, cap);
    }
    fn joined_len(&self, cap: usize) -> usize {
        self.1.joined_len(cap) + if Self::IS_PACKED { self.0.packed_len(cap) } else { 0 }
    }
    #[inline(always)]
    fn put_joined(&self, packer: &mut Packer, cap: usize) {
        if Self::IS_PACKED {
            self.0.pack(packer, cap);
        }
        self.1.put_joined(packer, cap);
    }
    #[inline(always)]
    fn put_wide(&self, packer: &mut Packer) {
        if !Self::IS_PACKED {
            self.0.put_wide(packer);
        }
        self.1.put_wide(packer);
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
        F::SPLIT_TYPES
    }
    fn types_hash(&self) -> u32 {
        F::HASH
    }
    fn payload_words(&self, cap: usize) -> usize {
        F::WIDE_WORDS + (F::HEAD_LEN + self.tail_len(cap)).div_ceil(8)
    }
    fn put(&self, packer: &mut Packer, cap: usize) {
        self.put_wide(packer);
        self.put_heads(packer, cap);
        self.put_tails(packer, cap);
    }
}

/// As [`AnyFields`], with all values joined: how devices record them, whose code it makes smaller. Sealed.
pub trait JoinedFields: Sealed {
    /// Returns the exact number of payload words, with texts and sequences capped at `cap` bytes each.
    fn payload_words(&self, cap: usize) -> usize;
    /// Stores the whole payload, with the same cap.
    fn put(&self, packer: &mut Packer, cap: usize);
}

impl<F: Fields> JoinedFields for F {
    fn payload_words(&self, cap: usize) -> usize {
        F::WIDE_WORDS + self.joined_len(cap).div_ceil(8)
    }
    fn put(&self, packer: &mut Packer, cap: usize) {
        self.put_wide(packer);
        self.put_joined(packer, cap);
    }
}

/// Fields of unknown types stay split, as their [`types`](AnyFields::types) say.
impl JoinedFields for &(dyn AnyFields + '_) {
    fn payload_words(&self, cap: usize) -> usize {
        AnyFields::payload_words(*self, cap)
    }
    fn put(&self, packer: &mut Packer, cap: usize) {
        AnyFields::put(*self, packer, cap);
    }
}
impl Sealed for &(dyn AnyFields + '_) {}

impl core::fmt::Debug for dyn AnyFields + '_ {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("AnyFields").field("types", &self.types()).finish()
    }
}

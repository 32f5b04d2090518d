//! Types of fields, and their tags.
//!
//! # Format
//! docs/format.md §4.2.

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
    /// Text that the program formatted with `Display`.
    Display,
    /// Text that the program formatted with `Debug`.
    Debug,
    /// An error and its sources, each as text.
    Error,
    Unit,
    Option(&'static Type),
    Sequence(&'static Type),
}

/// Tag of an option, followed by the type of its value.
pub(crate) const TAG_OPTION: u8 = 32;
/// Tag of a sequence, followed by the type of its elements.
pub(crate) const TAG_SEQUENCE: u8 = 33;

/// Maximum nesting depth of options and sequences in a type that is read. Deeper types are rejected.
pub const TYPE_DEPTH_MAX: usize = 8;

impl Type {
    /// Returns the tag (docs/format.md §4.2) of the outermost type.
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

    /// Returns the type inside an option or a sequence.
    #[must_use]
    pub const fn inner(self) -> Option<Type> {
        match self {
            Type::Option(inner) | Type::Sequence(inner) => Some(*inner),
            _ => None,
        }
    }

    /// Writes the tags to `out`, outermost first, and returns their number: at most [`TYPE_DEPTH_MAX`], since deeper
    /// types are not distinguished.
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

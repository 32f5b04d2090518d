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
    /// A value of any other type, which it carries with it, or none at all.
    Any,
    /// A UUID.
    Uuid,
    /// An IP address of either version.
    Ip,
    /// An IP address of either version with a port.
    Socket,
    Duration,
    /// A time of the wall clock.
    Time,
    Option(&'static Type),
    Sequence(&'static Type),
}

/// Tag of a value that carries its type.
pub(crate) const TAG_ANY: u8 = 21;
/// In place of the type of such a value: there is none.
pub(crate) const TAG_ABSENT: u8 = 0;
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
            Type::Any => TAG_ANY,
            Type::Uuid => 22,
            Type::Ip => 23,
            Type::Socket => 24,
            Type::Duration => 25,
            Type::Time => 26,
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

/// Splits off the tags of the first type. Returns `None` if there is none, or it is nested too deep.
pub(crate) fn split_type(tags: &[u8]) -> Option<(&[u8], &[u8])> {
    let is_outer = |tag: &&u8| matches!(**tag, TAG_OPTION | TAG_SEQUENCE);
    let depth = tags.iter().take(TYPE_DEPTH_MAX).take_while(is_outer).count();
    if depth >= TYPE_DEPTH_MAX || tags.get(depth).is_none_or(|&tag| tag == 0) {
        return None;
    }
    Some(tags.split_at(depth + 1))
}

/// Splits off the tags of the type that a value of type [`Type::Any`] carries. Such a value holds no other one, so that
/// readers do not descend as deep as a hostile record wants.
pub(crate) fn split_carried_type(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    split_type(bytes).filter(|(tags, _)| tags.last() != Some(&TAG_ANY))
}

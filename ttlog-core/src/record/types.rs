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
    Tuple(&'static [Type]),
    Struct(&'static StructType),
    Enum(&'static EnumType),
}

/// Type of a struct.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StructType {
    /// Name of the type.
    pub name: &'static str,
    /// Members in source order.
    pub members: &'static [Member],
}

/// Type of an enum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EnumType {
    /// Name of the type.
    pub name: &'static str,
    /// Variants; a value holds the index of one of them. At most [`VARIANTS_MAX`].
    pub variants: &'static [StructType],
}

/// A member of a struct or of a variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Member {
    /// Name; empty: the member has only a position.
    pub name: &'static str,
    /// Whether the source marks it as secret.
    pub secret: bool,
    /// Type.
    pub of: Type,
}

/// Tag of a value that carries its type.
pub(crate) const TAG_ANY: u8 = 21;
/// In place of the type of such a value: there is none.
pub(crate) const TAG_ABSENT: u8 = 0;
/// Tag of a unit.
pub(crate) const TAG_UNIT: u8 = 20;
/// Tag of an option, followed by the type of its value.
pub(crate) const TAG_OPTION: u8 = 32;
/// Tag of a sequence, followed by the type of its elements.
pub(crate) const TAG_SEQUENCE: u8 = 33;
/// Tag of a tuple, followed by the number of its members and their types.
pub(crate) const TAG_TUPLE: u8 = 34;
/// Tag of a struct, followed by its name, the number of its members, and for each its flags, name and type.
pub(crate) const TAG_STRUCT: u8 = 35;
/// Tag of an enum, followed by its name, the number of its variants, and each of them as a struct is described.
pub(crate) const TAG_ENUM: u8 = 36;

/// Flag of a member: the source marks it as secret.
pub(crate) const MEMBER_SECRET: u8 = 1;
/// Flag of a member: its value was withheld when the snapshot was written.
pub(crate) const MEMBER_WITHHELD: u8 = 2;

/// Maximum number of types nested in each other, from the outermost to the innermost. Deeper types are rejected.
pub const TYPE_DEPTH_MAX: usize = 16;
/// Maximum length of the description of a type, in bytes. Longer ones are rejected.
pub const TYPE_LEN_MAX: usize = 2048;
/// Maximum number of variants of an enum. The two highest indexes stand for variants that were withheld.
pub const VARIANTS_MAX: usize = 254;
/// Maximum length of the type that a value of type [`Type::Any`] carries.
pub(crate) const CARRIED_LEN_MAX: usize = 8;

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
            Type::Unit => TAG_UNIT,
            Type::Any => TAG_ANY,
            Type::Uuid => 22,
            Type::Ip => 23,
            Type::Socket => 24,
            Type::Duration => 25,
            Type::Time => 26,
            Type::Option(_) => TAG_OPTION,
            Type::Sequence(_) => TAG_SEQUENCE,
            Type::Tuple(_) => TAG_TUPLE,
            Type::Struct(_) => TAG_STRUCT,
            Type::Enum(_) => TAG_ENUM,
        }
    }

    /// Writes the description (docs/format.md §4.2) to the front of `out`, and returns its length. `None`: `out` is too
    /// short, or the type has no valid description (see [`check`](Self::check)).
    #[must_use]
    pub const fn describe(self, out: &mut [u8]) -> Option<usize> {
        if self.flaw().is_some() {
            return None;
        }
        let mut sink = Sink { out, len: 0, hash: 0 };
        sink.put_type(self);
        if sink.len <= sink.out.len() { Some(sink.len) } else { None }
    }

    /// Checks that the type has a valid description. Meant for compile time.
    ///
    /// # Panics
    /// If types are nested deeper than [`TYPE_DEPTH_MAX`], if the description is longer than [`TYPE_LEN_MAX`], if there
    /// are more than [`VARIANTS_MAX`] variants or 255 members, or if a name is longer than 255 bytes.
    pub const fn check(self) {
        if let Some(flaw) = self.flaw() {
            panic!("{}", flaw);
        }
    }

    const fn flaw(self) -> Option<&'static str> {
        if self.depth() > TYPE_DEPTH_MAX {
            return Some("the type of a field nests other types too deeply: record part of it with `%` or `?`");
        }
        let mut sink = Sink { out: &mut [], len: 0, hash: 0 };
        if !sink.put_type(self) {
            return Some("the type of a field has too many members or variants, or too long a name");
        }
        if sink.len > TYPE_LEN_MAX {
            return Some("the names in the type of a field are too long in total: record part of it with `%` or `?`");
        }
        None
    }

    /// Returns the number of types nested in each other, counted up to one more than is allowed.
    const fn depth(self) -> usize {
        self.depth_within(TYPE_DEPTH_MAX + 1)
    }

    const fn depth_within(self, limit: usize) -> usize {
        if limit == 0 {
            return 0;
        }
        1 + match self {
            Type::Option(inner) | Type::Sequence(inner) => inner.depth_within(limit - 1),
            Type::Tuple(types) => {
                let (mut deepest, mut index) = (0, 0);
                while index < types.len() {
                    deepest = max(deepest, types[index].depth_within(limit - 1));
                    index += 1;
                }
                deepest
            }
            Type::Struct(of) => of.depth_within(limit - 1),
            Type::Enum(of) => {
                let (mut deepest, mut index) = (0, 0);
                while index < of.variants.len() {
                    deepest = max(deepest, of.variants[index].depth_within(limit - 1));
                    index += 1;
                }
                deepest
            }
            _ => 0,
        }
    }

    /// Returns whether the values take no bytes.
    pub(crate) const fn takes_no_bytes(self) -> bool {
        match self {
            Type::Unit => true,
            Type::Tuple(types) => {
                let mut index = 0;
                while index < types.len() {
                    if !types[index].takes_no_bytes() {
                        return false;
                    }
                    index += 1;
                }
                true
            }
            Type::Struct(of) => {
                let mut index = 0;
                while index < of.members.len() {
                    if !of.members[index].of.takes_no_bytes() {
                        return false;
                    }
                    index += 1;
                }
                true
            }
            _ => false,
        }
    }

    /// Folds the type into a hash (FNV-1a over its description).
    pub(crate) const fn hash(self, hash: u32) -> u32 {
        let mut sink = Sink { out: &mut [], len: 0, hash };
        sink.put_type(self);
        sink.hash
    }
}

const fn max(a: usize, b: usize) -> usize {
    if a > b { a } else { b }
}

impl StructType {
    const fn depth_within(&self, limit: usize) -> usize {
        let (mut deepest, mut index) = (0, 0);
        while index < self.members.len() {
            deepest = max(deepest, self.members[index].of.depth_within(limit));
            index += 1;
        }
        deepest
    }
}

/// Destination of a description: writes as much as there is room for, and counts and hashes all of it.
struct Sink<'b> {
    out: &'b mut [u8],
    len: usize,
    hash: u32,
}

impl Sink<'_> {
    const fn put(&mut self, byte: u8) {
        if self.len < self.out.len() {
            self.out[self.len] = byte;
        }
        self.len += 1;
        self.hash = (self.hash ^ byte as u32).wrapping_mul(0x0100_0193);
    }

    /// Writes a number of things that is at most `most`. Returns whether it is.
    const fn put_count(&mut self, count: usize, most: usize) -> bool {
        self.put(count as u8);
        count <= most
    }

    const fn put_text(&mut self, text: &str) -> bool {
        let is_short = self.put_count(text.len(), 255);
        let mut index = 0;
        while index < text.len() {
            self.put(text.as_bytes()[index]);
            index += 1;
        }
        is_short
    }

    /// Writes a type, and returns whether its numbers and names are within their limits.
    const fn put_type(&mut self, of: Type) -> bool {
        self.put(of.tag());
        match of {
            Type::Option(inner) | Type::Sequence(inner) => self.put_type(*inner),
            Type::Tuple(types) => {
                let (mut fits, mut index) = (self.put_count(types.len(), 255), 0);
                while index < types.len() {
                    fits &= self.put_type(types[index]);
                    index += 1;
                }
                fits
            }
            Type::Struct(of) => self.put_members(of),
            Type::Enum(of) => {
                let mut fits = self.put_text(of.name) & self.put_count(of.variants.len(), VARIANTS_MAX);
                let mut index = 0;
                while index < of.variants.len() {
                    fits &= self.put_members(&of.variants[index]);
                    index += 1;
                }
                fits
            }
            _ => true,
        }
    }

    const fn put_members(&mut self, of: &StructType) -> bool {
        let mut fits = self.put_text(of.name) & self.put_count(of.members.len(), 255);
        let mut index = 0;
        while index < of.members.len() {
            let Member { name, secret, of } = of.members[index];
            self.put(if secret { MEMBER_SECRET } else { 0 });
            fits &= self.put_text(name) & self.put_type(of);
            index += 1;
        }
        fits
    }
}

// ----------------------------------------------------------------------------------------------------------------
// reading

/// Splits off the description of the first type. Returns `None` if there is none, or it is nested too deep, too long or
/// incomplete.
pub(crate) fn split_type(tags: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut rest = Rest(tags);
    rest.skip_type(TYPE_DEPTH_MAX)?;
    let len = tags.len() - rest.0.len();
    (len <= TYPE_LEN_MAX).then(|| tags.split_at(len))
}

/// Splits off the tags of the type that a value of type [`Type::Any`] carries. Such a value holds no other one and no
/// tuple, struct or enum, so that readers do not descend as deep as a hostile record wants.
pub(crate) fn split_carried_type(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let is_outer = |tag: &&u8| matches!(**tag, TAG_OPTION | TAG_SEQUENCE);
    let outer = bytes.iter().take(CARRIED_LEN_MAX).take_while(is_outer).count();
    let is_valid = outer < CARRIED_LEN_MAX
        && bytes.get(outer).is_some_and(|&tag| !matches!(tag, 0 | TAG_ANY | TAG_TUPLE | TAG_STRUCT | TAG_ENUM));
    is_valid.then(|| bytes.split_at(outer + 1))
}

/// The rest of a description that can be anything.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rest<'a>(pub(crate) &'a [u8]);

impl<'a> Rest<'a> {
    pub(crate) fn byte(&mut self) -> Option<u8> {
        let (&byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(byte)
    }

    /// Takes a name, which might not be UTF-8.
    pub(crate) fn name(&mut self) -> Option<&'a [u8]> {
        let len = usize::from(self.byte()?);
        let (name, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(name)
    }

    /// Takes the description of a type, nested at most `depth` deep.
    fn skip_type(&mut self, depth: usize) -> Option<()> {
        let depth = depth.checked_sub(1)?;
        match self.byte()? {
            0 => return None,
            TAG_OPTION | TAG_SEQUENCE => self.skip_type(depth)?,
            TAG_TUPLE => {
                for _ in 0..self.byte()? {
                    self.skip_type(depth)?;
                }
            }
            TAG_STRUCT => self.skip_members(depth)?,
            TAG_ENUM => {
                self.name()?;
                let count = self.byte().filter(|&count| usize::from(count) <= VARIANTS_MAX)?;
                for _ in 0..count {
                    self.skip_members(depth)?;
                }
            }
            _ => {}
        }
        Some(())
    }

    /// Takes the description of a struct or a variant, without its tag.
    fn skip_members(&mut self, depth: usize) -> Option<()> {
        self.name()?;
        for _ in 0..self.byte()? {
            self.byte()?;
            self.name()?;
            self.skip_type(depth)?;
        }
        Some(())
    }

    /// Takes the type of a member.
    pub(crate) fn split_type(&mut self) -> Option<&'a [u8]> {
        let (first, rest) = split_type(self.0)?;
        self.0 = rest;
        Some(first)
    }

    /// Takes the variants before the one with this index, of which there are enough.
    pub(crate) fn skip_variants(&mut self, index: u8) -> Option<()> {
        (0..index).try_for_each(|_| self.skip_members(TYPE_DEPTH_MAX))
    }
}

/// Returns whether the values of a valid type take no bytes.
pub(crate) fn takes_no_bytes(tags: &[u8]) -> bool {
    match tags.split_first() {
        Some((&TAG_UNIT, _)) => true,
        Some((&TAG_TUPLE, inner)) => members_take_no_bytes(Rest(inner), false).unwrap_or(false),
        Some((&TAG_STRUCT, inner)) => {
            let mut rest = Rest(inner);
            rest.name().and_then(|_| members_take_no_bytes(rest, true)).unwrap_or(false)
        }
        _ => false,
    }
}

fn members_take_no_bytes(mut rest: Rest<'_>, have_names: bool) -> Option<bool> {
    let count = rest.byte()?;
    (0..count).try_fold(true, |empty, _| {
        if have_names {
            rest.byte()?;
            rest.name()?;
        }
        Some(empty & takes_no_bytes(rest.split_type()?))
    })
}

/// Returns whether a type has members, in which secrets can be.
pub(crate) fn has_members(tags: &[u8]) -> bool {
    let outer = tags.iter().take_while(|&&tag| matches!(tag, TAG_OPTION | TAG_SEQUENCE)).count();
    tags.get(outer).is_some_and(|tag| matches!(*tag, TAG_TUPLE | TAG_STRUCT | TAG_ENUM))
}

#[cfg(test)]
mod tests;

//! What is wrong with bytes from outside, and where.

use core::fmt;

/// Bytes that are not what they should be: where, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FormatError {
    /// Byte offset from the start of what was given to the function that failed.
    pub offset: u64,
    /// Why.
    pub kind: FormatErrorKind,
}

impl FormatError {
    /// Makes an error.
    #[must_use]
    pub const fn new(offset: u64, kind: FormatErrorKind) -> Self {
        FormatError { offset, kind }
    }
}

/// Why a value cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueError {
    /// A type tag that this version does not know.
    UnknownTag(u8),
    /// Options and sequences nested deeper than [`TYPE_DEPTH_MAX`](crate::record::types::TYPE_DEPTH_MAX), or a type that ends early.
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

/// The ways in which bytes can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FormatErrorKind {
    /// The bytes end before what must be there.
    TooShort,
    /// Neither a ring nor a snapshot starts here.
    BadMagic,
    /// Written by a newer version that asks for a reader of at least this version.
    TooNew(u16),
    /// A checksum does not match.
    BadChecksum,
    /// Sizes or offsets that contradict each other or leave the region.
    BadGeometry,
    /// Not the CBOR that was expected.
    BadCbor,
    /// A value that cannot be read.
    Value(ValueError),
    /// A compressed block that cannot be expanded, or not to the length that was stated.
    BadCompression,
    /// A codec that this version does not know.
    UnknownCodec(u64),
    /// A declared size above the limit that the format sets.
    TooLarge,
    /// The buffer handed in is too small.
    OutOfSpace,
    /// The segment was being overwritten while it was copied.
    Overwritten,
}

impl fmt::Display for FormatErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FormatErrorKind::TooShort => f.write_str("ends too early"),
            FormatErrorKind::BadMagic => f.write_str("neither a ring nor a snapshot"),
            FormatErrorKind::TooNew(version) => {
                write!(f, "needs a reader of format version {version} or later")
            }
            FormatErrorKind::BadChecksum => f.write_str("checksum does not match"),
            FormatErrorKind::BadGeometry => f.write_str("sizes or offsets contradict each other"),
            FormatErrorKind::BadCbor => f.write_str("not the CBOR expected here"),
            FormatErrorKind::Value(error) => error.fmt(f),
            FormatErrorKind::BadCompression => f.write_str("compressed block is damaged"),
            FormatErrorKind::UnknownCodec(codec) => write!(f, "unknown codec {codec}"),
            FormatErrorKind::TooLarge => f.write_str("declared size is above the limit"),
            FormatErrorKind::OutOfSpace => f.write_str("buffer too small"),
            FormatErrorKind::Overwritten => f.write_str("overwritten while it was copied"),
        }
    }
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "offset {}: {}", self.offset, self.kind)
    }
}

impl core::error::Error for FormatError {}

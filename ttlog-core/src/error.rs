//! Errors in bytes from outside, and their positions.

use core::fmt;

/// An error in a ring, a snapshot or other bytes: its position and kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FormatError {
    /// Byte offset from the start of the function's input.
    pub offset: u64,
    /// Kind of error.
    pub kind: FormatErrorKind,
}

impl FormatError {
    /// Creates an error.
    #[must_use]
    pub const fn new(offset: u64, kind: FormatErrorKind) -> Self {
        FormatError { offset, kind }
    }
}

/// Reason that a value cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueError {
    /// A type tag that this version does not know.
    UnknownTag(u8),
    /// Options and sequences nested deeper than [`TYPE_DEPTH_MAX`](crate::record::types::TYPE_DEPTH_MAX), or a type
    /// that ends early.
    BadType,
    /// The payload ends inside the value.
    TooShort,
    /// Bytes that cannot be a value of this type: text that is not UTF-8, a bool other than 0 and 1, a char out of
    /// range.
    BadValue,
}

impl fmt::Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ValueError::UnknownTag(tag) => write!(f, "unknown type tag {tag}"),
            ValueError::BadType => f.write_str("type incomplete or nested too deep"),
            ValueError::TooShort => f.write_str("payload ends inside a value"),
            ValueError::BadValue => f.write_str("bytes are not a value of their type"),
        }
    }
}

/// Kinds of errors in bytes from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FormatErrorKind {
    /// The bytes end early.
    TooShort,
    /// The bytes start with neither a ring nor a snapshot.
    BadMagic,
    /// The bytes were written by a newer version and need a reader of at least this version.
    TooNew(u16),
    /// A checksum does not match.
    BadChecksum,
    /// Sizes or offsets contradict each other or leave the region.
    BadGeometry,
    /// The bytes are not the expected CBOR.
    BadCbor,
    /// A value cannot be read.
    Value(ValueError),
    /// A compressed block cannot be decompressed, or not to the stated length.
    BadCompression,
    /// The codec is not known to this version.
    UnknownCodec(u64),
    /// A declared size exceeds the limit of the format.
    TooLarge,
    /// The caller's buffer is too small.
    OutOfSpace,
    /// The segment was overwritten while it was copied.
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

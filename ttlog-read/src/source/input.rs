//! The bytes of a file, and the damage known before parsing them.

use super::file::Bytes;

/// A file that was read.
#[derive(Debug)]
pub struct Input {
    /// Path as given.
    pub path: String,
    /// Contents of the file.
    pub bytes: Bytes,
    /// Damage and gaps known before the bytes are parsed.
    pub damage: Vec<Damage>,
}

impl Input {
    /// Wraps the contents of a file.
    #[must_use]
    pub fn new(path: String, bytes: Bytes) -> Self {
        Input { path, bytes, damage: Vec::new() }
    }
}

/// A damaged place in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Byte offset in the file.
    pub offset: u64,
    /// Number of damaged bytes; 0: unknown.
    pub len_bytes: u64,
    /// Description of the damage.
    pub reason: String,
}

//! The bytes of a file, and what is known to be wrong with them.

use super::file::Bytes;

/// A file that was read.
#[derive(Debug)]
pub struct Input {
    /// As it was named.
    pub path: String,
    /// What it held.
    pub bytes: Bytes,
    /// What is known to be damaged, or missing, before its bytes are looked at.
    pub damage: Vec<Damage>,
}

impl Input {
    /// Takes what a file held.
    #[must_use]
    pub fn new(path: String, bytes: Bytes) -> Self {
        Input { path, bytes, damage: Vec::new() }
    }
}

/// A place in a file that is damaged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Byte offset in the file.
    pub offset: u64,
    /// Bytes concerned; 0: unknown.
    pub len_bytes: u64,
    /// What is wrong.
    pub reason: String,
}

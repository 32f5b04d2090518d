//! The bytes of a recording, and the damage known before parsing them.

use super::file::Bytes;

/// A file that was read, or one of the recordings in it.
#[derive(Debug)]
pub struct Input {
    /// Path as given. If the file holds several recordings, it is followed by the number of this one.
    pub path: String,
    /// Byte offset of the contents in the file.
    pub offset: u64,
    /// Contents of the file, or of one recording.
    pub bytes: Bytes,
    /// Damage and gaps known before the bytes are parsed.
    pub damage: Vec<Damage>,
    /// Whether the bytes are known to be one recording.
    pub(super) is_one: bool,
}

impl Input {
    /// Wraps the contents of a file. If there can be several recordings in it, pass it to
    /// [`Inputs::of_file`](super::Inputs::of_file).
    #[must_use]
    pub fn new(path: String, bytes: Bytes) -> Self {
        Input { path, offset: 0, bytes, damage: Vec::new(), is_one: false }
    }

    /// Wraps one recording.
    pub(super) fn one(path: String, bytes: Bytes, damage: Vec<Damage>) -> Self {
        Input { damage, is_one: true, ..Input::new(path, bytes) }
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

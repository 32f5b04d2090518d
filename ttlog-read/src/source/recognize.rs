//! Creating a source from a file, according to its contents.

use ttlog_core::error::FormatError;
use ttlog_core::snapshot::{Content, content_of, holds_items};

use super::input::Input;
use super::model::Source;
use super::{ring, snapshot};
use crate::event::secrets::Secrets;

impl<'a> Source<'a> {
    /// Reads everything except the records. Values of secret fields are withheld.
    ///
    /// # Errors
    /// Fails if the file is neither a ring nor a snapshot, has an unsupported version, or has no readable contents
    /// left.
    pub fn new(input: &'a Input) -> Result<Self, FormatError> {
        Self::with_secrets(input, &Secrets::default())
    }

    /// Same as [`new`](Self::new), with the given fields withheld.
    ///
    /// # Errors
    /// Those of [`new`](Self::new).
    pub fn with_secrets(input: &'a Input, secrets: &Secrets) -> Result<Self, FormatError> {
        match content_of(&input.bytes.data) {
            Content::Ring => ring::read(input, secrets),
            // A snapshot can be damaged at its start, and a ring can have a flipped bit in its magic.
            Content::Snapshot => snapshot::read(input, secrets),
            Content::Frames | Content::Unknown if holds_items(&input.bytes.data) => snapshot::read(input, secrets),
            Content::Frames | Content::Unknown => ring::read(input, secrets),
        }
    }
}

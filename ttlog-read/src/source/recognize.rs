//! Making a source of a file, by what the file holds.

use ttlog_core::error::FormatError;
use ttlog_core::snapshot::{Content, content_of, holds_items};

use super::input::Input;
use super::model::Source;
use super::{ring, snapshot};
use crate::event::secrets::Secrets;

impl<'a> Source<'a> {
    /// Reads everything but the records. Values of secret fields are withheld.
    ///
    /// # Errors
    /// Where the file is neither a ring nor a snapshot, is from a version that this one cannot read, or has nothing left to read.
    pub fn new(input: &'a Input) -> Result<Self, FormatError> {
        Self::with_secrets(input, &Secrets::default())
    }

    /// As [`new`](Self::new), with what is withheld given.
    ///
    /// # Errors
    /// Those of [`new`](Self::new).
    pub fn with_secrets(input: &'a Input, secrets: &Secrets) -> Result<Self, FormatError> {
        match content_of(&input.bytes.data) {
            Content::Ring => ring::read(input, secrets),
            // A snapshot may be damaged at its start, and a ring may have a flipped bit in its magic.
            Content::Snapshot => snapshot::read(input, secrets),
            Content::Frames | Content::Unknown if holds_items(&input.bytes.data) => snapshot::read(input, secrets),
            Content::Frames | Content::Unknown => ring::read(input, secrets),
        }
    }
}

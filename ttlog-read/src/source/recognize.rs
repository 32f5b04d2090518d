//! Creating a source from a recording, according to its contents.

use ttlog_core::error::FormatError;
use ttlog_core::snapshot::{Content, content_of, holds_items, recordings};

use super::input::{Damage, Input};
use super::model::Source;
use super::{ring, snapshot};
use crate::event::secrets::Secrets;

impl<'a> Source<'a> {
    /// Reads everything except the records. Values of secret fields are withheld.
    ///
    /// A source is one recording. Of a file with several, [`Inputs`](super::Inputs) makes one input each; without that,
    /// this reads the first, and reports the next as damage.
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
        let bytes = &input.bytes.data;
        if input.is_one {
            return Self::of_one(input, bytes, secrets);
        }
        let is_recording = |content| matches!(content, Content::Ring | Content::Snapshot);
        let mut found = recordings(bytes).skip_while(|found| !is_recording(found.content)).skip(1);
        let Some(next) = found.find(|found| is_recording(found.content)) else {
            return Self::of_one(input, bytes, secrets);
        };
        let mut source = Self::of_one(input, &bytes[..next.offset], secrets)?;
        let offset = input.offset + next.offset as u64;
        let reason = "another recording starts here; it was not read".to_owned();
        source.damage.push(Damage { offset, len_bytes: next.bytes.len() as u64, reason });
        Ok(source)
    }

    fn of_one(input: &'a Input, bytes: &'a [u8], secrets: &Secrets) -> Result<Self, FormatError> {
        match content_of(bytes) {
            Content::Ring => ring::read(input, bytes, secrets),
            // A snapshot can be damaged at its start, and a ring can have a flipped bit in its magic.
            Content::Snapshot => snapshot::read(input, bytes, secrets),
            Content::Frames | Content::Unknown if holds_items(bytes) => snapshot::read(input, bytes, secrets),
            Content::Frames | Content::Unknown => ring::read(input, bytes, secrets),
        }
    }
}

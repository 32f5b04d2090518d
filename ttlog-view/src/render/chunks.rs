//! Text that is buffered and written in large pieces.

use std::fmt;
use std::io::{self, Write};

/// Amount of text buffered before it is written, in bytes.
const CHUNK_LEN: usize = 1 << 15;

/// Buffers text and writes it in large pieces.
pub struct Chunks<'o> {
    /// Text not written yet.
    pub text: String,
    out: &'o mut dyn Write,
}

impl<'o> Chunks<'o> {
    /// Creates a buffer that writes to `out`.
    #[must_use]
    pub fn new(out: &'o mut dyn Write) -> Self {
        Chunks { text: String::with_capacity(2 * CHUNK_LEN), out }
    }

    /// Writes the buffered text if it is long enough.
    ///
    /// # Errors
    /// Returns an error if writing fails.
    pub fn write(&mut self) -> io::Result<()> {
        if self.text.len() >= CHUNK_LEN { self.finish() } else { Ok(()) }
    }

    /// Writes the buffered text.
    ///
    /// # Errors
    /// Returns an error if writing fails.
    pub fn finish(&mut self) -> io::Result<()> {
        self.out.write_all(self.text.as_bytes())?;
        self.text.clear();
        Ok(())
    }
}

impl fmt::Debug for Chunks<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chunks").field("text", &self.text).finish_non_exhaustive()
    }
}

//! Text that is gathered, and written in large pieces.

use std::fmt;
use std::io::{self, Write};

/// How much text is gathered before it is written.
const CHUNK_LEN: usize = 1 << 15;

/// Gathers text and writes it in large pieces.
pub struct Chunks<'o> {
    /// What is not written yet.
    pub text: String,
    out: &'o mut dyn Write,
}

impl<'o> Chunks<'o> {
    /// Writes to `out`.
    #[must_use]
    pub fn new(out: &'o mut dyn Write) -> Self {
        Chunks { text: String::with_capacity(2 * CHUNK_LEN), out }
    }

    /// Writes what there is, if it is much.
    ///
    /// # Errors
    /// Returns an error if writing fails.
    pub fn write(&mut self) -> io::Result<()> {
        if self.text.len() >= CHUNK_LEN { self.finish() } else { Ok(()) }
    }

    /// Writes what there is.
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

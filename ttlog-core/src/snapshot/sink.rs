//! Destinations of snapshots.

/// A destination for the bytes of a snapshot.
pub trait Sink {
    /// Error of a write.
    type Error;

    /// Writes all of `bytes`. Can be called with a few bytes at a time, so a sink with slow writes should buffer them.
    ///
    /// # Errors
    /// Any failure to write; the snapshot ends there.
    fn write_all(&mut self, bytes: &[u8]) -> Result<(), Self::Error>;
}

impl<S: Sink + ?Sized> Sink for &mut S {
    type Error = S::Error;

    fn write_all(&mut self, bytes: &[u8]) -> Result<(), S::Error> {
        (**self).write_all(bytes)
    }
}

//! Where the bytes of a snapshot go.

/// Where the bytes of a snapshot go.
pub trait Sink {
    /// Why bytes could not be taken.
    type Error;

    /// Takes all of `bytes`. May be called with a few bytes at a time, so a sink that is slow to call should gather them.
    ///
    /// # Errors
    /// Whatever keeps the sink from taking them; the snapshot ends there.
    fn write_all(&mut self, bytes: &[u8]) -> Result<(), Self::Error>;
}

impl<S: Sink + ?Sized> Sink for &mut S {
    type Error = S::Error;

    fn write_all(&mut self, bytes: &[u8]) -> Result<(), S::Error> {
        (**self).write_all(bytes)
    }
}

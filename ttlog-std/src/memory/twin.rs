//! A second mapping of a ring's file.

use std::io;
use std::ptr::NonNull;

use ttlog_core::Word;

use crate::sys;

/// A second mapping of the file behind a ring, which stays when the ring gets another file. Removed when dropped.
pub(crate) struct Twin {
    /// A mapping of `len_words` words, which only this value knows.
    start: NonNull<u8>,
    len_words: usize,
}

impl Twin {
    /// Maps the file behind `words` once more. Children of `fork` do not inherit it.
    pub(crate) fn of(words: &'static [Word]) -> io::Result<Self> {
        let twin = Twin { start: sys::map_again(words)?, len_words: words.len() };
        sys::exclude_from_forks(twin.words());
        Ok(twin)
    }

    /// Returns the words of the file.
    pub(crate) fn words(&self) -> &[Word] {
        // SAFETY: see the field; the mapping lives as long as this value. Words are atomic and can hold anything.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr().cast::<Word>(), self.len_words) }
    }
}

impl Drop for Twin {
    fn drop(&mut self) {
        // SAFETY: the mapping of this value, which nothing refers to any more.
        unsafe { sys::unmap(self.start, self.len_words * size_of::<Word>()) };
    }
}

//! The backtrace of a panic, as text.

use std::backtrace::Backtrace;
use std::fmt::{self, Write as _};

use crate::sys::cut;

/// Longest backtrace that is recorded, in bytes.
const LEN_MAX: usize = 16 * 1024;

/// Captures the backtrace of this thread as text. Returns `None` if there is no memory for it.
pub(super) fn capture() -> Option<String> {
    let mut text = CappedString::new(LEN_MAX)?;
    // The error means that the buffer is full, and ends the formatting.
    let _ = write!(text, "{}", Backtrace::force_capture());
    Some(text.text)
}

/// A text on the heap; excess text is dropped.
struct CappedString {
    text: String,
    max_len: usize,
}

impl CappedString {
    /// Allocates the memory. Returns `None` if there is none.
    fn new(max_len: usize) -> Option<Self> {
        let mut text = String::new();
        text.try_reserve_exact(max_len).ok()?;
        Some(CappedString { text, max_len })
    }
}

impl fmt::Write for CappedString {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let kept = cut(text, self.max_len - self.text.len());
        self.text.push_str(kept);
        if kept.len() < text.len() { Err(fmt::Error) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_keep_what_fits() {
        let mut text = CappedString::new(4).unwrap();
        let [first, cut, never] = ["aä", "ä", "never"];
        assert!(write!(text, "{first}{cut}{never}").is_err());
        assert_eq!(text.text, "aä");
        assert!(CappedString::new(usize::MAX).is_none());
    }
}

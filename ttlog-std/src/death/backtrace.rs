//! The backtrace of a panic, if there is the memory and the stack for it.
//!
//! Capturing one and finding its names is the work of std. It allocates without asking whether there is memory, so it
//! ends the process if there is none, and it takes tens of kilobytes of stack. A program that would go on after the
//! panic must not end because of that.

use std::backtrace::Backtrace;
use std::fmt::{self, Write as _};

use crate::sys::{self, cut};

/// Longest backtrace that is recorded, in bytes.
const LEN_MAX: usize = 16 * 1024;
/// Bytes of stack that it takes, and some more.
const STACK_LEN: usize = 64 * 1024;
/// Bytes of address space that must be left. How much it takes depends on the size of the program and of its debug
/// information.
const MEMORY_LEN: usize = 16 << 20;

/// Captures the backtrace of this thread as text. Returns `None` if that might end the process.
pub(super) fn capture() -> Option<String> {
    if sys::stack_left().is_some_and(|left| left < STACK_LEN) || !sys::can_map(MEMORY_LEN) {
        return None;
    }
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
        assert!(write!(text, "{}{}{}", "aä", "ä", "never").is_err());
        assert_eq!(text.text, "aä");
        assert!(CappedString::new(usize::MAX).is_none());
    }
}

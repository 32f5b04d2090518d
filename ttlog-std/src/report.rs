//! Warnings of the recorder about itself: one line on stderr.
//!
//! A recorder must not harm its host, so trouble degrades it and is told once; it never panics and never returns through a
//! log macro. The standard `eprintln!` panics when stderr is closed, which is why it is not used in this crate.

use std::fmt;
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};

/// Writes `ttlog: <text>` to stderr, as one write where it fits a pipe buffer. Never panics.
pub(crate) fn warn(text: fmt::Arguments<'_>) {
    let line = format!("ttlog: {text}\n");
    // Nobody is left to be told when stderr itself fails.
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// A warning that is given at most once in the life of the process.
#[derive(Debug)]
pub(crate) struct Once(AtomicBool);

impl Once {
    /// Makes one that has not been given.
    pub(crate) const fn new() -> Self {
        Once(AtomicBool::new(false))
    }

    /// Gives the warning, unless it was given before.
    pub(crate) fn warn(&self, text: fmt::Arguments<'_>) {
        if !self.0.swap(true, Ordering::Relaxed) {
            warn(text);
        }
    }
}

//! Warnings of the recorder about itself: one line each on stderr.
//!
//! A recorder must not harm its host, so a problem degrades it and is reported once; the recorder never panics and
//! never returns an error through a log macro. Warnings can come from wherever the program logs, including its
//! allocator and signal handlers, so they are formatted on the stack and written directly to the descriptor: the
//! standard `eprintln!` panics when stderr is closed, and might need a lock that the interrupted code holds.
//!
//! A process and its children of `fork` are one host: trouble that all of them have is [reported once](is_first), not by
//! each of a hundred workers.

use std::fmt::{self, Write as _};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};

/// Longest warning, in bytes; the rest is cut. It must fit on the alternate stack of a signal handler, which can be as
/// small as 8 KiB.
const LINE_LEN_MAX: usize = 2048;

/// Writes `ttlog: <text>` to stderr, as one write. Never panics or allocates.
pub(crate) fn warn(text: fmt::Arguments<'_>) {
    let mut line = Line { bytes: [0; LINE_LEN_MAX + 1], len: 0 };
    // The error means that the line is full.
    let _ = write!(line, "ttlog: {text}");
    line.bytes[line.len] = b'\n';
    crate::sys::write_to_stderr(&line.bytes[..=line.len]);
}

/// A line on the stack; excess text is dropped.
struct Line {
    bytes: [u8; LINE_LEN_MAX + 1],
    /// Length of the text, at most `LINE_LEN_MAX`, so that the end of the line has room.
    len: usize,
}

impl fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let kept = text.len().min(LINE_LEN_MAX - self.len);
        self.bytes[self.len..self.len + kept].copy_from_slice(&text.as_bytes()[..kept]);
        self.len += kept;
        if kept < text.len() { Err(fmt::Error) } else { Ok(()) }
    }
}

/// Keys of the causes of which a warning was printed. All zero is none; further causes than fit are not reported.
pub(crate) struct Reported([AtomicUsize; 64]);

impl Reported {
    /// Returns whether the key is new, and adds it.
    fn add(&self, key: usize) -> bool {
        for place in &self.0 {
            match place.compare_exchange(0, key, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(found) if found == key => return false,
                Err(_) => {}
            }
        }
        false
    }
}

/// Causes that this process has reported, while it shares none with children.
static OWN: Reported = Reported([const { AtomicUsize::new(0) }; 64]);
/// Causes that the family has reported; null until it is shared. The pointee is never freed.
static FAMILY: AtomicPtr<Reported> = AtomicPtr::new(ptr::null_mut());

/// Has this process and its children note in `reported`, which is in memory that they share, what was reported.
pub(crate) fn share(reported: &'static Reported) {
    FAMILY.store(ptr::from_ref(reported).cast_mut(), Ordering::Release);
}

/// Returns whether no process of the family has reported this cause before; the caller reports it then. Keys are small
/// numbers above 0, or addresses of statics, which are the same in all children. Async-signal-safe.
pub(crate) fn is_first(key: usize) -> bool {
    // SAFETY: null, or never freed.
    unsafe { FAMILY.load(Ordering::Acquire).as_ref() }.unwrap_or(&OWN).add(key)
}

/// A warning that is printed at most once in the life of the process and its children of `fork`.
#[derive(Debug)]
pub(crate) struct Once(AtomicBool);

impl Once {
    /// Creates one that has not been printed.
    pub(crate) const fn new() -> Self {
        Once(AtomicBool::new(false))
    }

    /// Prints the warning, unless it was printed before.
    pub(crate) fn warn(&self, text: fmt::Arguments<'_>) {
        if !self.0.swap(true, Ordering::Relaxed) && is_first(ptr::from_ref(self).addr()) {
            warn(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_line_is_cut() {
        let mut line = Line { bytes: [0; LINE_LEN_MAX + 1], len: 0 };
        assert!(write!(line, "{}", "x".repeat(LINE_LEN_MAX)).is_ok());
        assert!(write!(line, "y").is_err());
        assert_eq!((line.len, line.bytes[LINE_LEN_MAX - 1], line.bytes[LINE_LEN_MAX]), (LINE_LEN_MAX, b'x', 0));
    }

    #[test]
    fn cause_is_reported_once() {
        let reported = Reported([const { AtomicUsize::new(0) }; 64]);
        assert_eq!([28, 12, 28, 12].map(|key| reported.add(key)), [true, true, false, false]);
        assert_eq!((100..200).filter(|key| reported.add(*key)).count(), 62, "then there is no room");
        assert!(!reported.add(28));
    }
}

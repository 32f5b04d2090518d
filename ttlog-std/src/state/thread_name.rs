//! The name of a thread: that of the operating system, which anybody can change, or std's, which is longer.
//!
//! The system keeps 15 bytes of a name on Linux. If std's name of the thread starts with them, std's is the whole of
//! it. The system's name of an unnamed thread is that of the process or of the thread that made it; the former counts
//! as none.

use std::cell::Cell;
use std::panic::catch_unwind;

use ttlog_core::record::CONTEXT_NAME_MAX;
use ttlog_core::ring::NameRoom;

use crate::sys::{OsName, cut};

/// A text of at most [`CONTEXT_NAME_MAX`] bytes.
#[derive(Clone, Copy)]
struct Text {
    bytes: NameRoom,
    /// Length of the text, which is UTF-8.
    len: usize,
}

impl Text {
    const EMPTY: Text = Text { bytes: [0; CONTEXT_NAME_MAX], len: 0 };

    fn push(&mut self, text: &str) {
        let kept = cut(text, CONTEXT_NAME_MAX - self.len);
        self.bytes[self.len..][..kept.len()].copy_from_slice(kept.as_bytes());
        self.len += kept.len();
    }

    fn new(text: &str) -> Self {
        let mut new = Text::EMPTY;
        new.push(text);
        new
    }

    /// Makes a text of what a system keeps of one: the character that it has cut in two is left out.
    fn of_os(name: OsName) -> Self {
        let mut text = Text::EMPTY;
        let mut chunks = name.as_bytes().utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            text.push(chunk.valid());
            let is_cut = chunks.peek().is_none() && name.may_be_cut();
            if !chunk.invalid().is_empty() && !is_cut {
                text.push("\u{FFFD}");
            }
        }
        text
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.len]).unwrap_or_default()
    }
}

/// The name of a thread, and the names that it was chosen from.
pub(super) struct ThreadName {
    shown: Cell<Text>,
    /// std's name, if it matters.
    of_std: Cell<Text>,
    of_os: Cell<OsName>,
}

impl ThreadName {
    pub(super) const fn new() -> Self {
        ThreadName { shown: Cell::new(Text::EMPTY), of_std: Cell::new(Text::EMPTY), of_os: Cell::new(OsName::NONE) }
    }

    /// Determines the name at the first event of the thread, which is the first one of the process if `is_main`, and
    /// has a name in std if `is_of_std`.
    pub(super) fn find_out(&self, is_main: bool, is_of_std: bool) {
        let of_os = OsName::of_this_thread();
        // A short name is the whole name.
        if of_os.is_none_or(|name| name.may_be_cut() || is_default(name)) {
            self.of_std.set(match (is_main, is_of_std) {
                (true, _) => Text::new("main"),
                (false, true) => std_name(),
                (false, false) => Text::EMPTY,
            });
        }
        self.set(of_os.unwrap_or(OsName::NONE));
    }

    /// Asks the system for the present name, and returns whether it is another one. One system call on Linux.
    pub(super) fn look_again(&self) -> bool {
        let Some(now) = OsName::of_this_thread().filter(|now| *now != self.of_os.get()) else { return false };
        self.set(now);
        true
    }

    fn set(&self, of_os: OsName) {
        self.of_os.set(of_os);
        let of_std = self.of_std.get();
        self.shown.set(if is_default(of_os) || of_os.is_of(of_std.as_str()) { of_std } else { Text::of_os(of_os) });
    }

    /// Copies the name into `room` and returns it.
    pub(super) fn copy<'r>(&self, room: &'r mut NameRoom) -> &'r str {
        let Text { bytes, len } = self.shown.get();
        *room = bytes;
        std::str::from_utf8(&room[..len]).unwrap_or_default()
    }
}

/// Returns whether a thread has this name because nobody has named it.
fn is_default(name: OsName) -> bool {
    name == OsName::NONE || name == OsName::of_process()
}

thread_local! {
    /// Whether this thread is asking std for its name.
    static ASKS_STD: Cell<bool> = const { Cell::new(false) };
}

/// Returns whether a panic of this thread is only std's answer that it no longer knows the thread's name.
pub(crate) fn is_asking_std() -> bool {
    ASKS_STD.with(Cell::get)
}

/// Returns std's name of this thread. Allocates nothing if std made the thread.
fn std_name() -> Text {
    ASKS_STD.with(|asks| asks.set(true));
    // std panics if it has already destroyed the thread's handle: in the destructor of a `pthread_key` that runs late.
    let name = catch_unwind(|| Text::new(std::thread::current().name().unwrap_or_default()));
    ASKS_STD.with(|asks| asks.set(false));
    name.unwrap_or(Text::EMPTY)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(of_std: &str, of_os: &[u8]) -> String {
        let name = ThreadName::new();
        name.of_std.set(Text::new(of_std));
        name.set(OsName::new(of_os));
        let mut room = [0; CONTEXT_NAME_MAX];
        name.copy(&mut room).to_owned()
    }

    #[test]
    fn name_of_std_is_used_while_it_agrees() {
        let long = format!("{}-of-the-pool", "worker".repeat(12));
        assert_eq!(chosen(&long, long.as_bytes()), long[..CONTEXT_NAME_MAX]);
        assert_eq!(chosen(&long, b"renamed"), "renamed");
        assert_eq!(chosen("main", OsName::of_process().as_bytes()), "main");
        assert_eq!(chosen("main", b"boss"), "boss");
        assert_eq!(chosen("", OsName::of_process().as_bytes()), "");
        assert_eq!(chosen("", b"made elsewhere"), "made elsewhere");
    }

    #[test]
    fn names_that_are_not_utf8() {
        assert_eq!(chosen("", b"a\xFFb"), "a\u{FFFD}b");
        assert_eq!(chosen("", b"ends with \xC3"), "ends with \u{FFFD}");
        let cut = OsName::new("ääääääääääääääääääääääääääääääääää".as_bytes());
        assert!(chosen("", cut.as_bytes()).chars().all(|char| char == 'ä'));
    }
}

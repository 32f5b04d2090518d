//! Panics: recorded as an event at level error with the target `panic`, with message, file, line and column.
//!
//! The feature `panic-handler` makes this crate the program's panic handler. It works wherever a panic may come: in a log call, in an
//! interrupt, in a fault handler, in itself. What follows is up to [`Config::after_failure`](crate::Config::after_failure).
//!
//! A message is cut at 128 bytes, and it and the file at what a segment of the ring has room for; both say so. Of a long path the end is
//! kept. Nothing is allocated; the stack has to have some 400 bytes left, and what the message's own formatting takes.

use core::panic::PanicInfo;

use ttlog_core::error;

use super::{Extent, enter, leave};
use crate::recorder::DEVICE;

/// Most bytes of a path that are kept, in rings with segments of 128 bytes, and in others.
const PATH_LEN_MAX: [usize; 2] = [24, 64];
/// Words for records in the smallest segments.
const SMALL_RECORD_WORDS: u32 = 10;

/// Records a panic. For firmware with a panic handler of its own; [`handle`] does all of it.
pub fn record(info: &PanicInfo<'_>) {
    let (file, line, column) = place(info);
    error!(target: "panic", "panicked at {file}:{line}:{column}: {message}", message = %info.message(), file, line, column);
}

/// Records a panic and does what is to follow: what the panic handler does. Does not return, nor loop where this panics itself.
pub fn handle(info: &PanicInfo<'_>) -> ! {
    match enter() {
        Extent::Whole => record(info),
        Extent::Brief => {
            // The message is left out: to make it runs the code of others, which may have been what failed.
            let (file, line, column) = place(info);
            error!(target: "panic", "panicked at {file}:{line}:{column}, after another failure", file, line, column);
        }
        Extent::Nothing => {}
    }
    leave()
}

fn place<'a>(info: &'a PanicInfo<'_>) -> (&'a str, u32, u32) {
    let Some(location) = info.location() else { return ("", 0, 0) };
    let is_small = DEVICE.record_words() <= SMALL_RECORD_WORDS;
    (end_of(location.file(), PATH_LEN_MAX[usize::from(!is_small)]), location.line(), location.column())
}

/// Gives the last bytes of a text, at most so many, from a character on.
fn end_of(text: &str, len_max: usize) -> &str {
    let mut start = text.len().saturating_sub(len_max);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    text.get(start..).unwrap_or_default()
}

#[cfg(all(feature = "panic-handler", target_os = "none"))]
#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    handle(info)
}

//! Records a panic as an event at level error with the target `panic`: message, file, line and column.
//!
//! The feature `panic-handler` makes this crate the panic handler of the program. It works wherever a panic comes: in a
//! log call, an interrupt, a fault handler, or in itself. [`Config::after_failure`](crate::Config::after_failure)
//! decides what follows.
//!
//! A message is cut at 128 bytes, and message and file also at the room of a segment; a cut text is marked as such. Of
//! a long path the end is kept. Nothing is allocated. It takes some 400 bytes of stack, and those of the message's own
//! formatting.

use core::panic::PanicInfo;

use ttlog_core::error;

use super::{Extent, enter, leave};
use crate::recorder::DEVICE;

/// Longest path in rings with segments of 128 bytes, and in others; in bytes.
const PATH_LEN_MAX: [usize; 2] = [24, 64];
/// Words for records in the smallest segment.
const SMALL_RECORD_WORDS: u32 = 10;

/// Records a panic. For firmware with its own panic handler; others use [`handle`].
pub fn record(info: &PanicInfo<'_>) {
    let (file, line, column) = place(info);
    error!(
        target: "panic",
        "panicked at {file}:{line}:{column}: {message}",
        message = %info.message(), file, line, column
    );
}

/// Records a panic, then takes [`Config::after_failure`](crate::Config::after_failure). This is the panic handler. Ends
/// even if it panics itself.
pub fn handle(info: &PanicInfo<'_>) -> ! {
    match enter() {
        Extent::Whole => record(info),
        Extent::Brief => {
            // Without the message: formatting it runs foreign code, which may be what failed.
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

/// Returns the end of a text: at most `len_max` bytes, from a character boundary on.
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

//! Width of the terminal.

use std::io;

/// Returns the number of columns of the terminal on standard output; `None` if it is none.
#[must_use]
pub fn columns() -> Option<usize> {
    terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| usize::from(width.0))
}

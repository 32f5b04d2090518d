//! The terminal: its width, and output other than the result: progress, error messages, the outcome of a command, and
//! the request to end it.

mod outcome;
pub mod progress;
pub mod stop;
pub mod times;
pub mod width;

pub use outcome::{Outcome, complain};

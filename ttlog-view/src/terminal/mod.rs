//! Output to the terminal other than the result: progress, error messages, and the outcome of a command.

mod outcome;
pub mod progress;
pub mod times;

pub use outcome::{Outcome, complain};

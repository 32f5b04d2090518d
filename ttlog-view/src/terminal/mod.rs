//! What goes to the terminal beside the output: progress, complaints, and how a command ended.

mod outcome;
pub mod progress;

pub use outcome::{Outcome, complain};

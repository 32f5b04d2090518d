//! What is shown: text that a terminal can take, times, numbers.

pub mod escape;
pub mod number;
pub mod time;

//! Text for people: escapes for terminals, times, numbers.

pub mod escape;
pub mod number;
pub mod time;
pub mod zone;

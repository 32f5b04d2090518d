//! The workload: prepared values, loops that log them, and the floor to compare with.

pub mod cases;
pub mod floor;
pub mod inputs;
pub mod mix;
pub mod strip;

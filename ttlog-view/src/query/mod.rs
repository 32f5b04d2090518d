//! Which events are wanted.

pub mod condition;

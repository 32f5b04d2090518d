//! Checks that the ring holds what was logged.

pub mod readback;

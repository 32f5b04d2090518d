//! The measurements, one per file. Each prints its report, and runs in a process of its own.

pub mod concurrency;
pub mod cost;
pub mod memory;
pub mod places;
pub mod snapshot_time;
pub mod syscalls;
pub mod tail;
pub mod throughput;

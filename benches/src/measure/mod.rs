//! The measurements, one per file. Each runs in child processes and prints a report.

pub mod concurrency;
pub mod cost;
pub mod memory;
pub mod mix;
pub mod places;
pub mod snapshot_time;
pub mod syscalls;
pub mod tail;
pub mod throughput;

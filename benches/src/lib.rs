//! What TTLog costs, measured so that the figures can be believed.
//!
//! A figure counts only events that are accounted for: after each round the ring is read back from its file, as a viewer would
//! read it, and what was emitted must be what is retained, overwritten and dropped, with the values that were logged. Every
//! time is compared with a floor measured in turn with it, in the same process: one reading of the processor's counter and 32
//! bytes stored to memory of the same kind.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`workload::inputs`] | the values that are logged: prepared, and unknown to the compiler |
//! | [`workload::cases`] | the loops that are measured |
//! | [`workload::floor`] | what any recorder has to do |
//! | [`harness::recorder`] | starting and ending the recorder of a process |
//! | [`check::readback`] | counting and checking what a ring holds |
//! | [`measure::cost`] | time and bytes of one event |
//! | [`measure::places`] | the same with the ring in memory of different kinds |
//! | [`measure::throughput`] | several threads at once |
//! | [`measure::memory`] | bytes of an event in ring and snapshot |
//! | [`measure::concurrency`] | very many threads, very many rings |
//! | [`measure::tail`] | the slowest calls |
//! | [`measure::snapshot_time`] | from a full ring to a file |
//! | [`measure::syscalls`] | what the kernel sees |
//! | [`harness::child`], [`harness::stats`], [`harness::report`] | processes, medians and histograms, tables and JSON |
//!
//! The programs are `max_performance` (all of these) and `instructions` (one case, for callgrind; see `ci/instructions`).

pub mod check;
mod error;
pub mod harness;
pub mod measure;
pub mod workload;

pub use error::Result;

//! Measures what TTLog costs, and checks every figure.
//!
//! A figure counts only events that are accounted for. After each round the ring is read back from its file, as a
//! viewer reads it: the emitted events must equal those retained, overwritten and dropped, and must hold the values
//! that were logged. Every time is compared with a floor, measured alternately in the same process: one read of the
//! processor's counter and a store of 32 bytes to memory of the same kind.
//!
//! | room | contents |
//! | --- | --- |
//! | [`harness`] | child processes, the recorder of a process, medians and histograms, tables and JSON |
//! | [`workload`] | prepared values, the loops that log them, and the floor |
//! | [`check`] | whether the ring holds what was logged |
//! | [`measure`] | the measurements, one per file |
//!
//! The programs are `max_performance` (all measurements) and `instructions` (one case, for callgrind; see
//! `ci/checks/instructions`).

pub mod check;
mod error;
pub mod harness;
pub mod measure;
pub mod workload;

pub use error::Result;

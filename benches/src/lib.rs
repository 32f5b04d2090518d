//! What TTLog costs, measured so that the figures can be believed.
//!
//! A figure counts only events that are accounted for: after each round the ring is read back from its file, as a viewer would
//! read it, and what was emitted must be what is retained, overwritten and dropped, with the values that were logged. Every
//! time is compared with a floor measured in turn with it, in the same process: one reading of the processor's counter and 32
//! bytes stored to memory of the same kind.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`inputs`] | the values that are logged: prepared, and unknown to the compiler |
//! | [`cases`] | the loops that are measured |
//! | [`floor`] | what any recorder has to do |
//! | [`recorder`] | starting and ending the recorder of a process |
//! | [`readback`] | counting and checking what a ring holds |
//! | [`cost`] | time and bytes of one event |
//! | [`places`] | the same with the ring in memory of different kinds |
//! | [`throughput`] | several threads at once |
//! | [`memory`] | bytes of an event in ring and snapshot |
//! | [`concurrency`] | very many threads, very many rings |
//! | [`tail`] | the slowest calls |
//! | [`snapshot_time`] | from a full ring to a file |
//! | [`syscalls`] | what the kernel sees |
//! | [`child`], [`stats`], [`report`] | processes, medians and histograms, tables and JSON |
//!
//! The programs are `max_performance` (all of these) and `instructions` (one case, for callgrind; see `ci/checks/instructions`).

pub mod cases;
pub mod child;
pub mod concurrency;
pub mod cost;
pub mod floor;
pub mod inputs;
pub mod memory;
pub mod places;
pub mod readback;
pub mod recorder;
pub mod report;
pub mod snapshot_time;
pub mod stats;
pub mod syscalls;
pub mod tail;
pub mod throughput;

/// What a measurement gives, or why there is no figure: something could not be set up, or an answer was wrong.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Fails with a formatted text unless a condition holds.
macro_rules! ensure {
    ($condition:expr, $($text:tt)+) => {
        if !$condition {
            return Err(format!($($text)+).into());
        }
    };
}
pub(crate) use ensure;

//! The device side of the TTLog flight recorder: the events of a firmware stay readable through panics, faults, watchdogs and resets.
//!
//! Events go into a ring in RAM that a reset does not clear. At the next start they are still there, with those of the runs before, and
//! are sent over whatever there is: a serial line, RTT, semihosting; or a debug probe reads them with no help from the firmware.
//! `ttlog-view` shows them.
//!
//! ```ignore
//! use ttlog_embedded::{Clock, Config, info};
//!
//! ttlog_embedded::recorder!(static RECORDER: 4096); // bytes, in RAM that a reset does not clear
//!
//! #[cortex_m_rt::entry]
//! fn main() -> ! {
//!     let started = RECORDER.start(Config { clock: Clock::dwt(64_000_000), ..Config::DEFAULT });
//!     info!("up", boot = started.boot);
//!     // …
//! }
//! ```
//!
//! # Setting up
//!
//! 1. `-C link-arg=-Tttlog.x -C link-arg=--build-id` among the linker's arguments, behind `-Tlink.x` (`.cargo/config.toml`, or
//!    `cargo::rustc-link-arg` in the build script of the firmware).
//! 2. On targets without compare-and-swap (thumbv6m, riscv32imc): the feature `single-core`, or `critical-section` if there are several
//!    cores.
//! 3. [`recorder!`] and [`Recorder::start`]. Nothing in the start-up code may clear the section `.uninit` (cortex-m-rt: without its features
//!    `zero-init-ram` and `paint-stack`).
//!
//! # What holds
//!
//! - **Bounded**: the ring is as large as it was made; a record is at most a segment; longer texts are capped and say so.
//! - **Never blocks**, neither in a log call nor in a dump's side of the ring. Log calls may come from threads, interrupts of any
//!   priority, non-maskable ones, fault handlers, and other cores; a call that interrupts another one is recorded like any other. Interrupts
//!   are masked never, or on targets without compare-and-swap for a handful of instructions per event.
//! - **When full**, the oldest segment's events are replaced, and counted.
//! - **Lost** are events that were replaced, those that no segment had room for, and those that were being recorded when the reset came;
//!   all are counted. A non-maskable interrupt that comes within those few masked instructions has its event counted as dropped.
//! - **A reset** at any instruction leaves every event whose macro has returned. Loss of power does not: RAM forgets.
//! - **What is in RAM is hostile**: whatever the start finds there, it takes a ring over or makes a new one, in bounded time.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`mod@recorder`] | the ring in retained memory, and the start of a session |
//! | [`clock`] | clocks |
//! | [`dump`] | sending the ring over a byte stream |
//! | `rtt` | the same through a channel of RTT (feature `rtt`) |
//! | `task` | the same from async programs (feature `embedded-io-async`; the task that dumps by itself, with `embassy-time`) |
//! | `defmt_logger` | what is logged with defmt (feature `defmt-logger`) |
//! | [`build_id`] | whose firmware this is |
#![no_std]

pub mod build_id;
pub mod clock;
#[cfg(feature = "defmt-logger")]
pub mod defmt_logger;
pub mod dump;
pub mod recorder;
#[cfg(feature = "rtt")]
pub mod rtt;
#[cfg(feature = "embedded-io-async")]
pub mod task;
#[cfg(all(test, any(feature = "rtt", all(feature = "embedded-io-async", feature = "embassy-time"))))]
mod testing;

pub use clock::Clock;
pub use dump::{Dump, DumpOptions, FRAME_LEN_MAX, LINE_LEN_MAX, dump_text_to, dump_to};
pub use recorder::{Config, Recorder};
pub use ttlog_core::ring::{Found, Started};
pub use ttlog_core::{Bytes, DropReason, Level, Loss, Value};
pub use ttlog_core::{debug, error, event, info, trace, warn};

/// What the macros expand to. Not for use by hand; may change in any version.
#[doc(hidden)]
pub mod __private {
    pub use ttlog_core::Word;
    pub use ttlog_core::ring::RingConfig;
}

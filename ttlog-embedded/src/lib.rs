//! The device side of the TTLog flight recorder: the events of a firmware survive panics, faults, watchdogs and resets.
//!
//! Events go into a ring in RAM that a reset does not clear. After the next start they are still there, and the
//! firmware sends them over a serial line, RTT or semihosting, or a debug probe reads them without its help.
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
//! # Setup
//!
//! 1. Pass `-C link-arg=-Tttlog.x -C link-arg=--build-id` to the linker, after `-Tlink.x` (in `.cargo/config.toml`, or
//!    with `cargo::rustc-link-arg` in the build script of the firmware).
//! 2. On targets without compare-and-swap (thumbv6m, riscv32imc), enable the feature `single-core`, or
//!    `critical-section` if there are several cores.
//! 3. Declare the ring with [`recorder!`] and call [`Recorder::start`] first of all. The start-up code must not clear
//!    the section `.uninit` (cortex-m-rt: leave its features `zero-init-ram` and `paint-stack` off). A runtime without
//!    this section does not link: give the ring a region of its own.
//!
//! docs/firmware.md is the manual: boards, clocks, reset reasons, Cortex-M7 caches, RAM with error correction, defmt.
//!
//! # Contract
//!
//! - **Bounded**: the ring has a fixed size, a record fits in one segment, and a longer text is cut and marked as cut.
//! - **Never blocks**, neither a log call nor the ring's side of a dump; but an implementation of `critical-section`
//!   for several cores waits for the other core. Threads, interrupts of any priority, non-maskable ones (not with
//!   `critical-section` for several cores), fault handlers and other cores may log, also in the middle of another log
//!   call. Interrupts are not masked, except for a handful of instructions per event on targets without
//!   compare-and-swap.
//! - **When the ring is full**, the events of its oldest segment are replaced, and counted.
//! - **Lost** are events that were replaced, that no segment had room for, or that a reset interrupted; all are
//!   counted. So is an event of a non-maskable interrupt that comes during those few masked instructions.
//! - **A reset** at any instruction leaves every event whose macro has returned. Loss of power does not: RAM forgets.
//! - **Memory is not trusted**: from whatever it finds, the start takes over a ring or makes a new one, in bounded
//!   time.
//!
//! # Panics and faults
//!
//! The feature `panic-handler` makes this crate the panic handler of the program. The feature `fault-handler`, together
//! with the line `ttlog_embedded::fault_handler!();` in the firmware, does the same for faults. Both record what
//! happened at level error: target `panic` with message, file, line and column; target `fault` with the saved registers
//! and those that name the cause. They work in a log call, in an interrupt, and in each other. Then
//! [`Config::after_failure`] decides: a reset, a halt, or a function of the firmware. A failure before
//! [`Recorder::start`] is not recorded.
//!
//! A stack overflow leaves no stack to run a handler on; the module `fault` says what happens then, and how `flip-link`
//! helps.
//!
//! The fault handler takes 0.7 KB of code. The panic handler takes 3.0 KB where the firmware formats text for events
//! anyway (`%`, `?`), else 6.5 KB, mostly formatting code of `core`. (thumbv7m; thumbv6m: 0.7, 2.8 and 6.0 KB;
//! opt-level s, LTO, rustc 1.95, 2026-11-26; compared with handlers that only loop.)
//!
//! # Modules
//!
//! | module | feature | contents |
//! | --- | --- | --- |
//! | [`clock`] | | clocks |
//! | [`dump`] | | sends the ring over a byte stream |
//! | `rtt` | `rtt` | sends it through an RTT channel |
//! | `task` | `embedded-io-async` | sends it from async programs; with `embassy-time` also periodically |
//! | `defmt_logger` | `defmt-logger` | records what is logged with defmt |
//! | [`build_id`] | | identifies the firmware |
//! | `panic` | (`panic-handler`) | records panics, on devices |
//! | `fault` | `fault-handler` | records hard faults and exceptions, on devices |
#![no_std]

pub mod build_id;
pub mod clock;
mod config;
#[cfg(feature = "defmt-logger")]
pub mod defmt_logger;
#[cfg(target_os = "none")]
mod failure;
mod output;
mod recorder;
mod reset;

pub use clock::Clock;
pub use config::{Config, FailureAction};
#[cfg(all(feature = "fault-handler", target_os = "none"))]
pub use failure::fault;
#[cfg(target_os = "none")]
pub use failure::panic;
pub use output::dump::{self, Dump, DumpOptions, FRAME_LEN_MAX, LINE_LEN_MAX, dump_text_to, dump_to};
#[cfg(feature = "rtt")]
pub use output::rtt;
#[cfg(feature = "embedded-io-async")]
pub use output::task;
pub use recorder::Recorder;
pub use reset::flush;
#[cfg(all(target_arch = "arm", target_os = "none"))]
pub use reset::reset;
pub use ttlog_core::__private::ValueOfEmbedded as Value;
pub use ttlog_core::device::{Recovered, Started};
pub use ttlog_core::event::capture::Value;
pub use ttlog_core::{Bytes, DropReason, Entered, InSpan, InSpanExt, Level, Loss, Scope, Span, SpanContext};
pub use ttlog_core::{debug, error, event, info, trace, warn};
pub use ttlog_core::{debug_scope, error_scope, info_scope, record, scope, trace_scope, warn_scope};
pub use ttlog_core::{debug_span, error_span, info_span, span, trace_span, warn_span};
/// Runs a function in a span of its own; see [`info_span!`].
pub use ttlog_macros::instrument_embedded as instrument;

/// Used by the expansion of the macros. Not public API; may change in any version.
#[doc(hidden)]
pub mod __private {
    pub use ttlog_core::__private::{derive, never};
    pub use ttlog_core::Word;
    pub use ttlog_core::ring::RingConfig;
}

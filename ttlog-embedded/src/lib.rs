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
//! # Panics and faults
//!
//! With the features `panic-handler` and `fault-handler` this crate has the program's handlers, the second with a line in the firmware,
//! `ttlog_embedded::fault_handler!();`. They record what happened at level error, with the targets `panic` (message, file, line, column) and
//! `fault` (the registers that the core saved, and those that say why), wherever it came: in a log call, in an interrupt, in
//! each other. Then follows what [`Config::after_failure`] says: a reset, a halt, or a function of the firmware. A failure before
//! [`Recorder::start`] is not recorded, so that is to be called first of all.
//!
//! A stack overflow leaves nothing to run a handler on: see the module `fault` for what happens, and what `flip-link` makes of it.
//!
//! The fault handler takes 0.7 KB of code; the panic handler 3.0 KB where the firmware formats text for events anyway (`%`, `?`), else
//! 6.5 KB, most of which is the formatting of `core` (thumbv7m; thumbv6m 0.7, 2.8 and 6.0 KB; opt-level s, LTO, rustc 1.95, 2026-11-26; compared
//! with handlers that only loop).
//!
//! # Resets, error correction, caches
//!
//! `reset()` resets a Cortex-M after [`flush`]. Before a reset in another way [`flush`] is to be called.
//!
//! **RAM with error correction** (STM32H7, H5, N6: all of their SRAM) keeps the last store that was shorter than its words, 32 or 64 bits,
//! in a buffer until the next such store to another word of the same RAM, and a reset makes it forget that. With the feature
//! `ecc-flush` each event is followed by such a store (three instructions), so that even a watchdog leaves every event whose macro has
//! returned. Without it that holds for panics, faults, [`flush`] and `reset()`, which do this once, and the event before any other reset may
//! count as unfinished; only where nothing but the ring is in that RAM, though, for any variable that is written later flushes it too.
//! Source: RM0433 rev. 8, 2.4 (embedded SRAM); AN5342.
//!
//! **A data cache** (Cortex-M7) loses what is in it at a reset, and a probe does not see it. The ring belongs into memory that is not cached:
//! tightly coupled memory (DTCM; on STM32H7 and F7 at 0x2000_0000, which is where `.uninit` is if that is called RAM in memory.x) needs
//! nothing more. Elsewhere, let the ring have a region of its own ([`recorder!`], `region`) whose size is a power of two, and exempt that from
//! caching before the cache is switched on:
//!
//! ```text
//! MEMORY { RETAINED : ORIGIN = 0x24000000, LENGTH = 16K /* and FLASH, RAM as ever */ }
//! __ttlog_ring_start = ORIGIN(RETAINED);
//! __ttlog_ring_end = ORIGIN(RETAINED) + LENGTH(RETAINED);
//! ```
//!
//! ```ignore
//! let mut core = cortex_m::Peripherals::take().unwrap();
//! uncache(&mut core.MPU, 0x2400_0000, 14);
//! core.SCB.enable_dcache(&mut core.CPUID);
//! let started = RECORDER.start(config);
//! ```
//!
//! ```ignore
#![doc = include_str!("../recipes/cortex_m7.rs")]
//! ```
//!
//! Write-through (TEX 0, C 1: `1 << 17` in the place of `NORMAL_NOT_CACHED`) does as well, and makes log calls faster, which read the header
//! of their segment; not on cores of revision r0p1 (some STM32F7), which corrupt data so (see the errata sheet of the part). The memory must
//! not be shareable (S stays 0): compare-and-swap in such memory asks for a monitor outside of the core, which few of these chips have.
//! Source: ARMv7-M Architecture Reference Manual (DDI 0403E.e), B3.5.
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
//! | `failure` | what follows a panic or a fault, and what to do before a reset |
//! | `panic` | records panics; the panic handler with the feature `panic-handler`. On devices only |
//! | `fault` | records hard faults and exceptions, with the feature `fault-handler`. On devices only |
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
pub use ttlog_core::ring::{Found, Started};
pub use ttlog_core::{Bytes, DropReason, Level, Loss, Value};
pub use ttlog_core::{debug, error, event, info, trace, warn};

/// What the macros expand to. Not for use by hand; may change in any version.
#[doc(hidden)]
pub mod __private {
    pub use ttlog_core::Word;
    pub use ttlog_core::ring::RingConfig;
}

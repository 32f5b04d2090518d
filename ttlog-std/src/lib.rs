//! TTLog for servers: a flight recorder whose events outlive the process.
//!
//! A program logs structured events through macros. They go into a ring of fixed size in a mapped file, and stay readable
//! whatever ends the process: a panic, an abort, a segmentation fault, `kill -9`.
//!
//! ```
//! use ttlog_std::{Trace, error, info};
//!
//! let trace = Trace::init(100_000, 100, "shop");
//! let (symbol, price) = ("ACME", 150.25);
//! info!("order executed", symbol, quantity = 1000_u64, price, side = "buy");
//! error!("order {id} rejected", id = 12_345_u64, reason = "insufficient funds");
//! # trace.shutdown();
//! ```
//!
//! # What is bounded, what blocks, what is lost
//!
//! - **An event** costs a test of its level, a reading of the clock, and a few stores into memory that is the thread's own at that
//!   moment. It takes no lock, allocates nothing, makes no system call and never waits. (The first event of a thread and the
//!   first of a callsite do a little more: they take a segment and a number, still without locks or allocation, and ask the
//!   operating system for the thread's number and name.) An event whose level is off does not evaluate its arguments.
//! - **Memory** is what was asked for at the start: the ring ([`Builder::capacity_bytes`], 16 MiB by default), its table of
//!   callsites, the memory for one snapshot (below 1 MiB). It does not grow with threads, callsites or time.
//! - **When the ring is full** the oldest events are overwritten and counted, a segment at a time. Nothing waits, nothing else
//!   is lost. An event that cannot be recorded (longer than a segment; more threads inside log calls than segments; a full
//!   table of callsites) is dropped and counted by cause. [`Trace::loss`] gives the counts, and snapshots carry them.
//! - **When the process ends**, however it does, every event whose macro had returned is in the ring's file, unless it was overwritten
//!   before. The next start of any recorder of the same user finds the file, makes a snapshot with reason `recovered` of it,
//!   and removes it. The end of the *machine* is another matter: the file lives in memory (`/dev/shm`) or in the page cache,
//!   so only snapshots survive it.
//! - **Without a place for the file** (no directory, a full disk, a system other than Linux) the ring is on the heap, which is told
//!   on stderr once: events then end with the process, and snapshots are all that remains.
//! - **A snapshot** ([`Trace::request_snapshot`]) is written by a thread of the recorder while writers go on. The file appears whole
//!   or not at all. Asking never waits: when [`Builder::channel_capacity`] requests are waiting, the next one fails.
//! - **A panic** is recorded as an event of level error with target `panic`: its message, its place, its backtrace. The panicking thread
//!   writes a snapshot (it waits at most 5 s for one that is under way), then the panic hook that was there before runs. A
//!   panic *inside* the formatting of another panic's message ends the process before any hook runs; the ring has the rest.
//! - **What blocks**: [`Builder::build`] (a few milliseconds), [`SnapshotTicket::wait`], [`Trace::shutdown`] (10 s at most), and the
//!   panic hook. Nothing else does.
//! - **The recorder never panics** and never ends the process: trouble makes it do less, and is told on stderr once.
//! - **All levels are recorded** unless [`Builder::level`] or [`Trace::set_level`] says otherwise: a ring that holds the last
//!   moments of a process is worth most when it holds everything.
//!
//! # Where things are
//!
//! | what | where | mode |
//! | --- | --- | --- |
//! | ring | `ttlog-<service>-<pid>-<start>-<random>.ring` in `$TTLOG_DIR`, else `/dev/shm/ttlog-<uid>`, else `ttlog-<uid>` in the temp directory | 0600 in a directory of mode 0700 |
//! | snapshots | `ttlog-<service>-<pid>-<utc time>-<reason>.bin` in `$TTLOG_SNAPSHOT_DIR`, else the temp directory | 0600 |
//!
//! Options of the [`Builder`] come before the environment, and a directory that was named in either way is the only one that is
//! tried. Deleting the ring's file is harmless to the process.
//!
//! When somebody cuts the ring's file short while the process runs, which the modes above leave to the user and to root, the
//! process goes on: a handler of SIGBUS replaces the lost part by memory ([`Builder::fault_handler`]). What that part held is
//! lost and not counted, and from then on the ring does not outlive the process as a whole ([`Trace::ring_path`]).
//!
//! # Forks
//!
//! A child of `fork` records nothing: it would write into its parent's ring. Its events are not counted either, its snapshot
//! requests fail, its `shutdown` does nothing, and its parent's ring stays as it is. Children that are made past the C library's
//! `fork` (`vfork`, a bare `clone`) must not log before they `exec`. `exec` ends the lock on the ring's file, so that the ring
//! of a process that replaces itself becomes an orphan.
//!
//! # Features
//!
//! `max_level_off`, `max_level_error`, `max_level_warn`, `max_level_info` and `max_level_debug` compile events below that level out.

extern crate self as ttlog_std;

mod builder;
mod clock;
#[cfg(target_os = "linux")]
mod fault;
#[cfg(target_os = "linux")]
mod fork;
mod generation;
mod macros;
mod mapping;
mod names;
mod orphans;
mod panic;
mod process;
mod recorder;
mod registry;
mod report;
mod service;
mod snapshot_file;
mod sys;
mod thread;

pub use builder::{
    Builder, CAPACITY_BYTES_DEFAULT, CAPACITY_BYTES_MAX, CAPACITY_BYTES_MIN, CHANNEL_CAPACITY_MAX, InitError,
    RingFileChoice,
};
pub use recorder::Trace;
pub use service::SnapshotTicket;
pub use snapshot_file::SnapshotError;
pub use ttlog_core::{Level, Loss, Value};

/// What the macros expand to. Not for use by hand; may change in any version.
#[doc(hidden)]
pub mod __private {
    pub use crate::thread::record;
    pub use ttlog_core::__private::{
        Bare, Callsite, Cons, Field, Level, Literal, Metadata, Nil, Templ, TemplDebug, Value, ViaBoxedError, ViaDebug,
        ViaDisplay, ViaError, ViaNothing, ViaValue, debug, display, event, level_enabled,
    };
}

/// Compiles the example of the repository's README with the documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
mod readme {}

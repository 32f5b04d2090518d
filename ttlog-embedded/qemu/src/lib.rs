//! Builds the test programs of `ttlog-embedded/firmware` for a machine, and runs them in QEMU: with a time-out, their
//! output, a serial port, and access to the RAM of the running guest.
//!
//! ```no_run
//! let machine = ttlog_qemu::machine("mps2-an385");
//! let output = ttlog_qemu::Run::new(machine, "survive").argument(5).finish();
//! assert_eq!(output.text, "survived 5 resets\n");
//! ```
//!
//! Everything here is for tests: it panics with a reason if something is missing or takes too long.

mod build;
mod guest;
mod machine;
mod qmp;

pub use build::{Variant, link_with, program};
pub use guest::{Guest, Output, Run};
pub use machine::{MACHINES, Machine, machine};
pub use qmp::Qmp;

//! Devices: the ring in memory that a reset does not clear, its writer, and its transfer to a host.
//!
//! | file | content |
//! | --- | --- |
//! | `writer` | the writer, shared by all contexts of a device |
//! | `segment` | reservations in a segment, and how it is closed and claimed |
//! | `clock` | clocks for the writer |
//! | `boot` | recovery of the ring that a reset left in memory |
//! | `callsite` | callsites whose texts take no flash |
//! | `dump` | sending the ring in frames (feature `frames`) |
//! | `frame` | frames in a byte stream (feature `frames`) |
//! | `rewrite` | replacing records in a segment |

pub(crate) mod boot;
#[cfg(ttlog_device_callsites)]
pub mod callsite;
pub(crate) mod clock;
#[cfg(feature = "frames")]
pub(crate) mod dump;
#[cfg(feature = "frames")]
pub mod frame;
pub(crate) mod rewrite;
mod segment;
pub(crate) mod writer;

pub use boot::Recovered;
pub use clock::DeviceClock;
#[cfg(feature = "frames")]
pub use dump::{CallsiteAt, CallsiteBytes, RingDump, RingDumpOptions};
pub use rewrite::{Replace, rewrite_segment};
pub use writer::{DeviceRecorder, SessionStart, Started};

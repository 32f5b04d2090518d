//! Devices: the ring in memory that a reset does not clear, its writer, and how it gets out.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `writer` | the writer, shared by all contexts of a device |
//! | `clock` | what the writer takes the time from |
//! | `boot` | taking over what a reset left in memory |
//! | `site` | callsites whose texts cost no flash |
//! | `dump` | sending the ring in frames (feature `frames`) |
//! | `frame` | the pieces of a byte stream (feature `frames`) |
//! | `rewrite` | a segment with other records in the place of some |

pub(crate) mod boot;
pub(crate) mod clock;
#[cfg(feature = "frames")]
pub(crate) mod dump;
#[cfg(feature = "frames")]
pub mod frame;
pub(crate) mod rewrite;
#[cfg(ttlog_sites)]
pub mod site;
pub(crate) mod writer;

pub use boot::Found;
pub use clock::DeviceClock;
#[cfg(feature = "frames")]
pub use dump::{RingDump, RingDumpOptions, SiteAt, SiteBytes};
pub use rewrite::{Replace, rewrite_segment};
pub use writer::{DeviceRecorder, SessionStart, Started};

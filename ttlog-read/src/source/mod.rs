//! Sources of events: snapshots, rings and recordings of devices, recognized by content.
//!
//! An [`Input`] owns the bytes of a recording; a file can hold several. A [`Source`] borrows from it and presents every
//! kind in the same shape: the process, the callsites, the time scale, the losses, and the segments as [`Part`]s that
//! the [timeline](crate::timeline) reads. [`Inputs`] reads files, directories and patterns.

mod callsite;
mod callsites;
pub mod device;
mod ending;
#[doc(hidden)] // for the commands of ttlog-view; can change with them
pub mod file;
#[doc(hidden)] // for the commands of ttlog-view; can change with them
pub mod find;
#[doc(hidden)] // for the commands of ttlog-view; can change with them
pub mod holder;
mod input;
mod inputs;
mod model;
#[doc(hidden)] // for the commands of ttlog-view; can change with them
pub mod owner;
#[doc(hidden)] // for the commands of ttlog-view; can change with them
pub mod process;
mod recognize;
mod ring;
#[doc(hidden)] // for the commands of ttlog-view; can change with them
pub mod separate;
mod snapshot;
mod spans;

pub use callsite::SourceCallsite;
pub use callsites::Callsites;
pub use ending::Ending;
pub use file::Bytes;
#[doc(hidden)] // like their module
pub use file::{content, files_in, open, read, read_head, read_header, read_stdin, read_with};
pub use holder::Holder;
pub use input::{Damage, Input};
pub use inputs::Inputs;
pub use model::{Body, DeviceSession, Kind, Life, Part, Source, UNPACK_LEN};
pub use process::Liveness;
pub use spans::{RecordedSpans, SpanRef};

pub(crate) use spans::Stored;

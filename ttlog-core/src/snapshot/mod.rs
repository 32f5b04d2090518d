//! The snapshot: a self-contained, checksummed copy of a ring, streamed to a sink, and its reader.
//!
//! [`write_snapshot_of_ring`] takes one of a ring that is being written, [`write_snapshot_of_image`] one of a dead ring's bytes.
//! Nothing is allocated: the caller lends [`scratch_len`] bytes, or as few as [`SCRATCH_LEN_MIN`] for [`Codec::None`]. What
//! writers overwrite meanwhile is noticed, left out and counted. [`SnapshotReader`] gives every intact part of bytes that may
//! hold anything, borrowing from them.
//!
//! [`SnapshotOptions`] say what is kept out: values of secret fields ([`Withhold`]), and what is too old. A [`Codec`] alone stands
//! for all that the ring has, secrets included: whoever writes a snapshot that leaves the machine wants the options.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `item` | the frame of each item, and finding items again after damage |
//! | `columns` | the records of a segment, laid out for compression |
//! | `dictionary` | the names of a device's callsites, without its events |
//! | `withhold` | taking secret values out of what is written |
//! | `options` | how a snapshot is written, and what it leaves out |
//! | `sink`, `result` | where it goes, and what came of it |
//! | `header`, `segment` | the items of these kinds, both directions |
//! | `walk` | what the records of a segment are |
//! | `output` | items on their way to a sink |
//! | `write`, `sessions` | ring to snapshot; a device's ring to one for each session |
//! | `read` | snapshot to table entries and segments |
//! | [`content`] | what the first bytes of a file say |
//! | [`file_name`] | what the file of a snapshot is called |
//! | [`publish`](mod@publish) | how a snapshot becomes a file that is whole or not there |
//!
//! # Format
//! docs/format.md §6.

#[cfg(feature = "lz4")]
mod columns;
pub mod content;
mod dictionary;
pub mod file_name;
mod header;
mod item;
mod options;
mod output;
pub mod publish;
mod read;
mod result;
mod segment;
mod sessions;
mod sink;
mod walk;
mod withhold;
mod write;

#[cfg(feature = "lz4")]
pub use columns::{columns_len_max, decode_columns, encode_columns};
pub use content::{CONTENT_LEN_MAX, Content, content_of, holds_items};
pub use dictionary::write_dictionary;
pub use header::{LeftOut, SessionOf, SnapshotHeader};
pub use item::{ITEM_MARK, ITEM_OVERHEAD_LEN, decode_item, encode_item};
pub use options::{Codec, SCRATCH_LEN_MIN, SnapshotMeta, SnapshotOptions, scratch_len};
pub use read::{SnapshotItem, SnapshotItems, SnapshotReader};
pub use result::{SnapshotError, SnapshotStats};
pub use segment::{PackedSegment, unpack_len};
pub use sessions::{SessionImage, session_scratch_len, write_session};
pub use sink::Sink;
pub use withhold::Withhold;
pub use write::{write_snapshot_of_image, write_snapshot_of_ring};

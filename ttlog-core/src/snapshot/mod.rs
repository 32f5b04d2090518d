//! Snapshots: self-contained, checksummed copies of a ring, streamed to a sink, and their reader.
//!
//! [`write_snapshot_of_ring`] copies a ring that is being written, [`write_snapshot_of_image`] the bytes of a dead
//! ring. Nothing is allocated: the caller provides [`scratch_len`] bytes, or as few as [`SCRATCH_LEN_MIN`] for
//! [`Codec::None`]. Data that writers overwrite meanwhile is detected, left out and counted. [`SnapshotReader`] returns
//! every intact part of arbitrary bytes, and borrows from them.
//!
//! [`SnapshotOptions`] control what is left out: values of secret fields ([`Withhold`]), and events that are too old. A
//! [`Codec`] alone writes everything in the ring, including secrets. For a snapshot that leaves the machine, use the
//! options.
//!
//! | file | content |
//! | --- | --- |
//! | `item` | the frame of each item, and the search for items after damage |
//! | `columns` | the records of a segment, laid out for compression |
//! | `dictionary` | the texts of a device's callsites, without its events |
//! | `withhold` | removing secret values |
//! | `options` | encoding, and what is left out |
//! | `sink`, `result` | the destination, and the result |
//! | `header`, `segment` | the items of these kinds, both directions |
//! | `walk` | counting the records of a segment |
//! | `output` | writing items to a sink |
//! | `write`, `sessions` | ring to snapshot; a device's ring to one for each session |
//! | `read` | snapshot to table entries and segments |
//! | `recordings` | a file with several snapshots and rings to each of them |
//! | `content` | detecting the content type of a file |
//! | [`file_name`] | names of snapshot files |
//! | [`publish`](mod@publish) | publishing a snapshot as a complete file or not at all |
//!
//! # Format
//! docs/format.md §6.

#[cfg(feature = "lz4")]
mod columns;
mod content;
mod dictionary;
pub mod file_name;
mod header;
mod item;
mod options;
mod output;
pub mod publish;
mod read;
mod recordings;
mod result;
mod search;
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
pub use header::{CoveredSession, LeftOut, SnapshotHeader};
pub use item::{ITEM_MARK, ITEM_OVERHEAD_LEN, decode_item, encode_item};
pub use options::{Codec, SCRATCH_LEN_MIN, SnapshotMeta, SnapshotOptions, scratch_len};
pub use read::{SnapshotItem, SnapshotItems, SnapshotReader};
pub use recordings::{Recording, Recordings, recordings};
pub use result::{SnapshotStats, WriteError};
pub use segment::{PackedSegment, unpack_len};
pub use sessions::{SessionImage, session_scratch_len, write_session};
pub use sink::Sink;
pub use withhold::Withhold;
pub use write::{write_snapshot_of_image, write_snapshot_of_ring};

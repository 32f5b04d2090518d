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
//! | `write` | ring to snapshot |
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
mod item;
pub mod publish;
mod read;
mod withhold;
mod write;

#[cfg(feature = "lz4")]
pub use columns::{columns_len_max, decode_columns, encode_columns};
pub use content::{CONTENT_LEN_MAX, Content, content_of, holds_items};
pub use dictionary::write_dictionary;
pub use item::{ITEM_MARK, ITEM_OVERHEAD_LEN, decode_item, encode_item};
pub use read::{
    LeftOut, PackedSegment, SessionOf, SnapshotHeader, SnapshotItem, SnapshotItems, SnapshotReader, unpack_len,
};
pub use withhold::Withhold;
pub use write::{
    Codec, SCRATCH_LEN_MIN, SessionImage, Sink, SnapshotError, SnapshotMeta, SnapshotOptions, SnapshotStats,
    scratch_len, session_scratch_len, write_session, write_snapshot_of_image, write_snapshot_of_ring,
};

/// Data of a segment item: the records as in a ring.
const CODEC_NONE: u64 = 0;
/// Data of a segment item: the records as an LZ4 block.
#[cfg(feature = "lz4")]
const CODEC_LZ4: u64 = 1;
/// Data of a segment item: the records in columns, as an LZ4 block.
#[cfg(feature = "lz4")]
const CODEC_COLUMNS: u64 = 2;

//! How a snapshot is written, what is left out of it, and how much memory that takes.

use super::withhold::{WITHHOLD_LEN, Withhold};

/// Fewest bytes of scratch that a snapshot can be written with.
pub const SCRATCH_LEN_MIN: usize = 64;
/// Entries of a live ring's table that are longer may not fit the scratch, and are left out where something is withheld.
const ENTRY_ROOM_LEN: usize = 4096;

/// What a snapshot says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotMeta<'a> {
    /// Why it was made: `panic`, `manual`, `recovered`, or words of the caller's own.
    pub reason: &'a str,
    /// When, in nanoseconds since 1970.
    pub created_unix_ns: i64,
    /// When, in ticks of the recording clock; 0: unknown.
    pub ticks: u64,
}

/// How the records of a snapshot are encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// As in the ring. Needs next to no memory; the records are not looked at.
    None,
    /// Compressed, in columns where that is possible. Needs [`scratch_len`] bytes and some 24 KiB of stack.
    #[cfg(feature = "lz4")]
    Lz4,
}

/// How a snapshot is written, and what is left out of it.
///
/// A [`Codec`] alone is enough where nothing is: the functions that write snapshots take either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotOptions<'a> {
    /// How records are encoded.
    pub codec: Codec,
    /// What is withheld; `None`: nothing, all values are written as the ring has them.
    ///
    /// A callsite that is not in the ring's table may have secrets, so the payloads of its records are withheld wholly.
    pub withhold: Option<Withhold<'a>>,
    /// Segments closed before this, in ticks, are left out and their events counted; 0: none are. (Events of level WARN and
    /// above that have segments of their own are never left out.)
    pub left_out_before_ticks: u64,
    /// The age from which events are left out, in nanoseconds, for readers to be told; of no effect by itself.
    pub min_age_ns: u64,
}

impl SnapshotOptions<'static> {
    /// Withholds what is marked as secret or named like one, and leaves nothing out.
    #[must_use]
    pub const fn new(codec: Codec) -> Self {
        SnapshotOptions { codec, withhold: Some(Withhold::DEFAULT), left_out_before_ticks: 0, min_age_ns: 0 }
    }
}

impl SnapshotOptions<'_> {
    /// Returns the bytes of scratch that it takes to write a snapshot of segments of `segment_len` bytes. Where something is
    /// withheld that is room for a copy of a segment, and 320 KiB, of which little more is touched than 4 bytes for each callsite.
    #[must_use]
    pub const fn scratch_len(&self, segment_len: usize) -> usize {
        let codec_len = match self.codec {
            Codec::None => SCRATCH_LEN_MIN,
            #[cfg(feature = "lz4")]
            Codec::Lz4 => scratch_len(segment_len),
        };
        if self.withhold.is_none() {
            return codec_len;
        }
        // The copy of a segment, another to look at while it is masked, and the longest usual entry of the table.
        let mut work_len = 2 * segment_len;
        if work_len < codec_len {
            work_len = codec_len;
        }
        if work_len < segment_len + ENTRY_ROOM_LEN {
            work_len = segment_len + ENTRY_ROOM_LEN;
        }
        work_len + WITHHOLD_LEN
    }
}

impl From<Codec> for SnapshotOptions<'static> {
    /// Nothing is withheld, and nothing left out.
    fn from(codec: Codec) -> Self {
        SnapshotOptions { codec, withhold: None, left_out_before_ticks: 0, min_age_ns: 0 }
    }
}

/// Returns the bytes of scratch that compressing segments of `segment_len` bytes takes: some 230 KiB for 64 KiB.
///
/// [`Codec::None`] needs [`SCRATCH_LEN_MIN`] only. Withholding needs more, see [`SnapshotOptions::scratch_len`].
#[must_use]
pub const fn scratch_len(segment_len: usize) -> usize {
    // The copy of a segment, its columns, and what LZ4 asks for in the worst case.
    let columns_len = segment_len + segment_len / 8 + 8;
    segment_len + columns_len + lz4_len_max(columns_len)
}

/// Room that LZ4 wants for the compressed form of `len` bytes.
const fn lz4_len_max(len: usize) -> usize {
    len + len / 8 + 32
}

//! Options for writing a snapshot, and the memory that they take.

use super::withhold::{WITHHOLD_LEN, Withhold};

/// Minimum length of the scratch buffer for writing a snapshot, in bytes.
pub const SCRATCH_LEN_MIN: usize = 64;
/// Length of a table entry, in bytes, that always fits the scratch buffer. Longer entries of a live ring might not fit,
/// and are left out in that case if something is withheld.
const ENTRY_ROOM_LEN: usize = 4096;

/// Metadata of a new snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotMeta<'a> {
    /// Reason for the snapshot: `panic`, `manual`, `recovered`, or the caller's own words.
    pub reason: &'a str,
    /// Time of creation in nanoseconds since 1970.
    pub created_unix_ns: i64,
    /// Time of creation in ticks of the recording clock; 0: unknown.
    pub ticks: u64,
}

/// Encoding of the records in a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// The records as in the ring. Needs almost no memory; the records are not examined.
    None,
    /// Compressed, in columns where possible. Needs [`scratch_len`] bytes and about 24 KiB of stack.
    #[cfg(feature = "lz4")]
    Lz4,
}

/// Options for writing a snapshot.
///
/// If nothing is to be left out, a [`Codec`] alone is enough: the functions that write snapshots take either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotOptions<'a> {
    /// Encoding of the records.
    pub codec: Codec,
    /// Rule for withholding values; `None`: all values are written as they are in the ring.
    ///
    /// A callsite that is not in the ring's table can have secrets, so the payloads of its records are withheld
    /// completely.
    pub withhold: Option<Withhold<'a>>,
    /// Time limit in ticks. Segments closed before it are left out and their events counted; 0: none are left out.
    /// (Events of level WARN and above that have segments of their own are never left out.)
    pub left_out_before_ticks: u64,
    /// Age from which events are left out, in nanoseconds. This is metadata for readers and leaves nothing out.
    pub min_age_ns: u64,
}

impl SnapshotOptions<'static> {
    /// Withholds values that are marked as secret or have a secret name, and leaves nothing else out.
    #[must_use]
    pub const fn new(codec: Codec) -> Self {
        SnapshotOptions { codec, withhold: Some(Withhold::DEFAULT), left_out_before_ticks: 0, min_age_ns: 0 }
    }
}

impl SnapshotOptions<'_> {
    /// Returns the number of bytes of scratch needed to write a snapshot of segments of `segment_len` bytes. If
    /// something is withheld, this includes a copy of a segment and 320 KiB, of which little more than 4 bytes per
    /// callsite are touched.
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
        // The copy of a segment, a second copy to examine while the first is masked, and the longest usual table entry.
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
    /// Withholds nothing and leaves nothing out.
    fn from(codec: Codec) -> Self {
        SnapshotOptions { codec, withhold: None, left_out_before_ticks: 0, min_age_ns: 0 }
    }
}

/// Returns the number of bytes of scratch needed to compress segments of `segment_len` bytes: about 230 KiB for 64 KiB.
///
/// [`Codec::None`] needs only [`SCRATCH_LEN_MIN`]. Withholding needs more, see [`SnapshotOptions::scratch_len`].
#[must_use]
pub const fn scratch_len(segment_len: usize) -> usize {
    // The copy of a segment, its columns, and the worst case of LZ4.
    let columns_len = segment_len + segment_len / 8 + 8;
    segment_len + columns_len + lz4_len_max(columns_len)
}

/// Returns the maximum length in bytes of the LZ4 form of `len` bytes.
const fn lz4_len_max(len: usize) -> usize {
    len + len / 8 + 32
}

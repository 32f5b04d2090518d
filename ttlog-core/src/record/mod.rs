//! Records: events in a ring. Header word, check, and control records, in both directions.
//!
//! # Format
//! docs/format.md §4.1, §4.4.

pub(crate) mod identified;
pub(crate) mod load;
pub(crate) mod mask;
pub(crate) mod members;
pub(crate) mod native;
pub mod packed;
pub(crate) mod span_id;
pub(crate) mod types;
pub(crate) mod value;

pub use members::{MemberInfo, MemberPath, PathStep, visit_members};
pub use native::{UnixTime, UuidBytes};
pub use span_id::SpanId;
pub use types::{EnumType, Member, StructType, TYPE_DEPTH_MAX, TYPE_LEN_MAX, Type, VARIANTS_MAX};
pub use value::{AnyRef, Blob, Bytes, Composite, ErrorTexts, FormattedText, MemberRef, Native, Seq, Text, ValueRef};

use packed::{Packer, Unpacker, byte_sum, length_len, varint_len};

/// Callsite of control records.
pub const CONTROL: u16 = 0;
/// Callsite of a record in a shared segment that is reserved but not committed.
pub const RESERVED: u16 = 0xFFFF;
/// Highest id of a callsite.
pub const CALLSITE_MAX: u16 = 0xFFFE;
/// Maximum number of payload words that the header word can express.
pub const SHORT_PAYLOAD_WORDS: usize = 254;
/// Length in the header if the first payload word holds the number of payload words.
pub(crate) const LONG_PAYLOAD: u8 = 255;

/// A decoded header word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordHeader {
    /// Callsite id, [`CONTROL`] or [`RESERVED`].
    pub callsite: u16,
    /// Number of payload words, or 255.
    pub len: u8,
    /// Ticks since the base; for a control record, its kind; for a reserved record, its payload words.
    pub delta: u32,
    /// Sum of the bytes of the exclusive or of all words of the record.
    pub check: u8,
}

/// Encodes a header word. `others` is the exclusive or of the payload words and the lap.
#[inline(always)]
#[must_use]
pub const fn encode_header(callsite: u16, len: u8, delta: u32, others: u64) -> u64 {
    seal_header(callsite as u64 | (delta as u64) << 24, len as u64, others)
}

/// Like [`encode_header`], for numbers known to be in range: the hot path does not have to truncate them. The callsite
/// and the delta are in their places.
#[inline(always)]
pub(crate) const fn seal_header(delta_and_callsite: u64, len: u64, others: u64) -> u64 {
    debug_assert!(delta_and_callsite & !0x00FF_FFFF_FF00_FFFF == 0 && len <= 0xFF);
    let header = delta_and_callsite | len << 16;
    header | (byte_sum(header ^ others) as u64) << 56
}

/// Decodes a header word.
#[inline(always)]
#[must_use]
pub const fn decode_header(word: u64) -> RecordHeader {
    RecordHeader {
        callsite: word as u16,
        len: (word >> 16) as u8,
        delta: (word >> 24) as u32,
        check: (word >> 56) as u8,
    }
}

/// Returns the `len` for a payload, and the number of words that the payload takes with its own count, if it needs one.
#[inline(always)]
pub(crate) const fn len_field(payload_words: usize) -> (u8, usize) {
    if payload_words <= SHORT_PAYLOAD_WORDS {
        (payload_words as u8, payload_words)
    } else {
        (LONG_PAYLOAD, payload_words + 1)
    }
}

/// A record in a segment, with a verified check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RawRecord<'a> {
    pub(crate) header: RecordHeader,
    /// Payload without the count of a long one.
    pub(crate) payload: &'a [u8],
    /// Number of bytes from its header to the next record.
    pub(crate) len_bytes: usize,
}

/// Reads the word at a byte offset.
pub(crate) fn word_at(bytes: &[u8], offset: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(offset..)?.first_chunk()?))
}

/// Returns the exclusive or of the words of `bytes`, a whole number of words.
pub(crate) fn xor_words(bytes: &[u8]) -> u64 {
    bytes.chunks_exact(8).fold(0, |xor, word| xor ^ u64::from_le_bytes(word.try_into().unwrap_or_default()))
}

/// Properties that the records of a segment share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seal {
    /// Lap of the segment, which every check covers.
    pub(crate) lap: u8,
    /// Whether reservations have the form used on devices, see [`device_reservation`].
    pub(crate) is_device: bool,
}

/// Returns the lower half of the header word of a device's reservation of `payload_words` words. A single store must
/// suffice there, so the upper half, and with it the check, is not valid.
#[inline(always)]
pub(crate) const fn device_reservation(payload_words: u8) -> u32 {
    // The highest byte does not matter; with this value it takes one instruction instead of two.
    RESERVED as u32 | (payload_words as u32) << 16 | 0xFF << 24
}

/// Decodes the record at byte `offset` of `records` if its check and its length are valid. A header word of 0 is not a
/// record.
pub(crate) fn decode_record(records: &[u8], offset: usize, seal: Seal) -> Option<RawRecord<'_>> {
    let word = word_at(records, offset).filter(|&word| word != 0)?;
    let header = decode_header(word);
    if seal.is_device && header.callsite == RESERVED {
        let len_bytes = 8 + usize::from(header.len) * 8;
        records.get(offset..)?.get(..len_bytes)?;
        return Some(RawRecord { header, payload: &[], len_bytes });
    }
    let start = offset + 8;
    let (words, skipped) = match header.len {
        _ if header.callsite == RESERVED => (0, 0), // its payload is not written yet
        LONG_PAYLOAD => {
            let words = usize::try_from(word_at(records, start)?).ok()?;
            if words <= SHORT_PAYLOAD_WORDS || words > records.len() / 8 {
                return None;
            }
            (words, 8)
        }
        short => (usize::from(short), 0),
    };
    let all = records.get(start..start + words * 8)?;
    let sum = byte_sum((word & !(0xFF << 56)) ^ xor_words(all) ^ u64::from(seal.lap));
    if sum != header.check {
        return None;
    }
    let len_words = if header.callsite == RESERVED { header.delta as usize } else { words };
    let len_bytes = len_words.checked_mul(8)?.checked_add(8)?;
    records.get(offset..)?.get(..len_bytes)?;
    Some(RawRecord { header, payload: &all[skipped..], len_bytes })
}

/// Recomputes the check of the record that fills `record`, after its payload was changed.
pub(crate) fn reseal_record(record: &mut [u8], lap: u8) {
    if let Some((word, payload)) = record.split_first_chunk_mut() {
        let unsealed = u64::from_le_bytes(*word) & !(0xFF << 56);
        let check = byte_sum(unsealed ^ xor_words(payload) ^ u64::from(lap));
        *word = (unsealed | u64::from(check) << 56).to_le_bytes();
    }
}

/// Kinds of control records.
pub(crate) const KIND_REBASE: u32 = 1;
pub(crate) const KIND_CONTEXT: u32 = 2;
/// On devices: a reservation that a reset left behind, as found by the next boot.
pub(crate) const KIND_ABANDONED: u32 = 3;

/// Identity of a context, recorded once in each segment that the context writes alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContextInfo<'a> {
    /// Number of the context within the ring, from 1; 0: unknown.
    pub context: u32,
    /// Operating system's id of the thread; 0: unknown.
    pub os_thread_id: u64,
    /// Index of the context's next event, from 0.
    pub next_index: u64,
    /// Name of the context; can be empty.
    pub name: &'a str,
}

/// Maximum length of a recorded context name, in bytes.
pub const CONTEXT_NAME_MAX: usize = 64;

impl<'a> ContextInfo<'a> {
    fn kept_name(&self) -> &str {
        let mut end = self.name.len().min(CONTEXT_NAME_MAX);
        while !self.name.is_char_boundary(end) {
            end -= 1;
        }
        &self.name[..end]
    }

    /// Returns the number of payload words of the control record.
    pub(crate) fn payload_words(&self) -> usize {
        let name_len = self.kept_name().len();
        let ids = varint_len(u64::from(self.context)) + varint_len(self.os_thread_id) + varint_len(self.next_index);
        (ids + length_len(name_len, false) + name_len).div_ceil(8)
    }

    /// Packs the payload of the control record.
    pub(crate) fn pack(&self, packer: &mut Packer) {
        packer.put_varint(u64::from(self.context));
        packer.put_varint(self.os_thread_id);
        packer.put_varint(self.next_index);
        packer.put_len_and_bytes(self.kept_name().as_bytes(), None);
    }

    /// Reads the payload of the control record.
    pub(crate) fn decode(payload: &'a [u8]) -> Option<Self> {
        let mut from = Unpacker::new(payload);
        let context = u32::try_from(from.varint()?).ok()?;
        let (os_thread_id, next_index) = (from.varint()?, from.varint()?);
        let name_len = from.length()?.kept;
        let name = core::str::from_utf8(from.bytes(name_len)?).ok()?;
        Some(ContextInfo { context, os_thread_id, next_index, name })
    }
}

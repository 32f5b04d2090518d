//! Packed encodings: varint, zigzag, length and the record check, in both directions.
//!
//! [`Packer`] writes: it collects bytes in a register and stores whole words. [`Unpacker`] reads from a byte slice that
//! can hold anything.
//!
//! # Format
//! docs/format.md §4.1 (check), §4.2 (varint, length), §4.3 (payload).

use crate::memory::kill::kill_point;
use crate::memory::word::Word;

/// Maximum number of bytes that [`Packer::put_small_bytes`] takes.
pub(crate) const SMALL_BYTES_MAX: usize = 7;
/// Maximum length that is encoded in a single byte.
pub const SHORT_LEN_MAX: usize = 249;
const LONG_LEN: u8 = 250;
const CAPPED_LEN: u8 = 251;

/// Returns the sum of the bytes of `word`, which [`check`](mod@crate::record) stores.
#[inline(always)]
#[must_use]
pub const fn byte_sum(word: u64) -> u8 {
    // The top byte of the product is the sum of all bytes, including carries. On targets where a 64-bit multiplication
    // is a call and a dozen multiplications, sums are used instead.
    if cfg!(ttlog_callsite_id = "thumb1") {
        let pairs = word.wrapping_add(word << 8);
        let halves = pairs.wrapping_add(pairs << 16);
        return ((halves as u32).wrapping_add((halves >> 32) as u32) >> 24) as u8;
    }
    (word.wrapping_mul(0x0101_0101_0101_0101) >> 56) as u8
}

/// Maximum length of a varint that [`is_short`], in bytes.
pub(crate) const SHORT_VARINT_LEN: usize = 7;

/// Returns whether `value` fits a varint of at most 7 bytes.
#[inline(always)]
pub(crate) const fn is_short(value: u64) -> bool {
    value < 1 << 53
}

/// Returns the varint of a short `value` as (bytes in little-endian order, bits).
#[inline(always)]
pub(crate) const fn short_varint(value: u64) -> (u64, u32) {
    let shifted = value << 3;
    let top_bit = (shifted | 1).ilog2();
    (shifted | (top_bit >> 3) as u64, (top_bit | 7) + 1)
}

/// Returns the length in bytes, 1 to 9, of the varint of `value`.
#[inline(always)]
#[must_use]
pub const fn varint_len(value: u64) -> usize {
    if is_short(value) { short_varint(value).1 as usize / 8 } else { 9 }
}

/// Maps a signed number to an unsigned one, so that small magnitudes become small numbers.
#[inline(always)]
#[must_use]
pub const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// Reverses [`zigzag`].
#[inline(always)]
#[must_use]
pub const fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

/// Returns the number of bytes that a length takes: 1 up to 249, else 5; 9 if the value was capped.
#[inline(always)]
#[must_use]
pub const fn length_len(len: usize, capped: bool) -> usize {
    if capped {
        9
    } else if len <= SHORT_LEN_MAX {
        1
    } else {
        5
    }
}

/// Encodes a length at the front of `out`, and returns its bytes; `full_len` is the original length if the value was
/// capped. Writes nothing and returns 0 if there is no room.
#[inline]
pub(crate) fn put_length(len: usize, full_len: Option<u32>, out: &mut [u8]) -> usize {
    let Some(head) = out.get_mut(..length_len(len, full_len.is_some())) else { return 0 };
    if let [short] = head {
        *short = len as u8;
        return 1;
    }
    head[0] = if full_len.is_some() { CAPPED_LEN } else { LONG_LEN };
    head[1..5].copy_from_slice(&(len as u32).to_le_bytes());
    if let Some(full_len) = full_len {
        head[5..].copy_from_slice(&full_len.to_le_bytes());
    }
    head.len()
}

/// Encodes a text as the value of a payload's only field at the front of `out`, and returns its bytes. `full_len` is
/// the original length if the text was capped. Returns `None` if there is no room.
#[inline]
#[must_use]
pub fn encode_text(text: &str, full_len: Option<u32>, out: &mut [u8]) -> Option<usize> {
    let head_len = length_len(text.len(), full_len.is_some());
    let (head, rest) = out.get_mut(..head_len + text.len())?.split_at_mut(head_len);
    rest.copy_from_slice(text.as_bytes());
    Some(put_length(text.len(), full_len, head) + text.len())
}

/// Writes a payload word by word into a ring.
///
/// Bytes are collected in `acc`; each full word is stored once. `check` is the running exclusive or of all stored
/// words.
#[derive(Debug)]
pub struct Packer {
    /// Bits collected and not stored yet; those from `bits` upwards are 0.
    acc: u64,
    /// Number of bits in `acc`: in 0..64, a multiple of 8.
    bits: u32,
    /// Address of the next word. The creator of the packer guarantees the room, see [`Packer::new`].
    out: *const Word,
    /// Exclusive or of the stored words.
    check: u64,
}

impl Packer {
    /// Starts a payload at `out`.
    ///
    /// # Safety
    /// - From `out` on there is room for every word that will be stored, in memory that stays valid as long as the
    ///   packer lives.
    #[inline(always)]
    pub(crate) unsafe fn new(out: *const Word, check: u64) -> Self {
        Packer { acc: 0, bits: 0, out, check }
    }

    /// Stores one whole word. Only allowed while no bytes are collected, before any packed value.
    #[inline(always)]
    pub(crate) fn put_word(&mut self, word: u64) {
        debug_assert_eq!(self.bits, 0, "wide values come before packed ones");
        self.emit(word);
    }

    #[inline(always)]
    fn emit(&mut self, word: u64) {
        self.check ^= word;
        // SAFETY: there is room, as the creator of the packer guaranteed in `new`.
        unsafe {
            (*self.out).store(word);
            self.out = self.out.add(1);
        }
        kill_point!(WordStored);
    }

    /// Appends the lower `bits` bits of `value`. `bits` is a multiple of 8 from 8 to 64, and `value` has no bit above
    /// them.
    #[inline(always)]
    pub(crate) fn put_bits(&mut self, value: u64, bits: u32) {
        debug_assert!(bits.is_multiple_of(8) && bits <= 64 && (bits == 64 || value >> bits == 0));
        self.acc |= value << self.bits;
        let total = self.bits + bits;
        if total >= 64 {
            let word = self.acc;
            // In two shifts, because `bits` can be 0 and a shift by 64 is not defined.
            self.acc = (value >> 1) >> (63 - self.bits);
            self.bits = total - 64;
            self.emit(word);
        } else {
            self.bits = total;
        }
    }

    /// Appends a varint.
    #[inline]
    pub(crate) fn put_varint(&mut self, value: u64) {
        if is_short(value) {
            self.put_short_varint(value);
        } else {
            self.put_bits(7, 8);
            self.put_bits(value, 64);
        }
    }

    /// Appends a varint of a short value.
    #[inline(always)]
    pub(crate) fn put_short_varint(&mut self, value: u64) {
        debug_assert!(is_short(value));
        let (bytes, bits) = short_varint(value);
        self.put_bits(bytes, bits);
    }

    /// Appends a length; `full_len` is the original length if the value was capped.
    pub(crate) fn put_len(&mut self, len: usize, full_len: Option<u32>) {
        match full_len {
            None if len <= SHORT_LEN_MAX => self.put_bits(len as u64, 8),
            None => self.put_bits(u64::from(LONG_LEN) | (len as u64) << 8, 40),
            Some(full_len) => {
                self.put_bits(u64::from(CAPPED_LEN) | (len as u64) << 8, 40);
                self.put_bits(u64::from(full_len), 32);
            }
        }
    }

    /// Appends a length and bytes.
    pub(crate) fn put_len_and_bytes(&mut self, bytes: &[u8], full_len: Option<u32>) {
        self.put_len(bytes.len(), full_len);
        let mut chunks = bytes.chunks_exact(8);
        for chunk in &mut chunks {
            self.put_bits(u64::from_le_bytes(chunk.try_into().unwrap_or_default()), 64);
        }
        let tail = chunks.remainder();
        if !tail.is_empty() {
            self.put_bits(load_tail(tail), tail.len() as u32 * 8);
        }
    }

    /// Appends a length and at most 7 bytes, in one step.
    #[inline(always)]
    pub(crate) fn put_small_bytes(&mut self, bytes: &[u8]) {
        self.put_bits(load_tail(bytes) << 8 | bytes.len() as u64, bytes.len() as u32 * 8 + 8);
    }

    /// Stores the remaining bytes, padded with zeros. Returns the end of the payload, and the exclusive or of all its
    /// words and the start value.
    #[inline(always)]
    pub(crate) fn finish(mut self) -> (*const Word, u64) {
        if self.bits > 0 {
            self.emit(self.acc);
        }
        (self.out, self.check)
    }
}

/// Loads up to 7 bytes as a little-endian number, with at most two overlapping loads and no call to `memcpy`.
#[inline(always)]
fn load_tail(bytes: &[u8]) -> u64 {
    let bits = bytes.len() as u32 * 8;
    debug_assert!(bits < 64);
    if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << (bits.wrapping_sub(32) & 63)
    } else if let (Some(first), Some(last)) = (bytes.first_chunk::<2>(), bytes.last_chunk::<2>()) {
        u64::from(u16::from_le_bytes(*first)) | u64::from(u16::from_le_bytes(*last)) << (bits.wrapping_sub(16) & 63)
    } else {
        bytes.first().map_or(0, |byte| u64::from(*byte))
    }
}

/// Reads packed values from bytes that can hold anything. Every method returns `None` if the bytes end too early or are
/// not a valid value; the position is meaningless after that.
#[derive(Clone, Debug)]
pub struct Unpacker<'a> {
    rest: &'a [u8],
}

/// A decoded length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Length {
    /// Number of bytes or elements that follow.
    pub kept: usize,
    /// Original number, if the value was capped.
    pub full: Option<u32>,
}

impl<'a> Unpacker<'a> {
    /// Creates an unpacker at the first byte.
    #[inline]
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Unpacker { rest: bytes }
    }

    /// Returns the bytes not read yet.
    #[inline]
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Takes `len` bytes.
    #[inline]
    pub fn bytes(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(taken)
    }

    /// Takes `N` bytes as an array.
    #[inline]
    pub fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.bytes(N)?.try_into().ok()
    }

    /// Takes one byte.
    #[inline]
    pub fn byte(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// Takes a word.
    #[inline]
    pub fn word(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// Takes a varint.
    #[inline]
    pub fn varint(&mut self) -> Option<u64> {
        let first = *self.rest.first()?;
        let n = usize::from(first & 7);
        if n == 7 {
            self.byte()?;
            return self.word();
        }
        // Almost always a whole word can be loaded, which is faster than copying the exact number of bytes.
        if let Some(word) = self.rest.first_chunk::<8>() {
            self.rest = &self.rest[n + 1..];
            return Some((u64::from_le_bytes(*word) & (u64::MAX >> (56 - 8 * n))) >> 3);
        }
        let mut bytes = [0; 8];
        bytes[..=n].copy_from_slice(self.bytes(n + 1)?);
        Some(u64::from_le_bytes(bytes) >> 3)
    }

    /// Takes a length. That many bytes or elements might not follow.
    #[inline]
    pub fn length(&mut self) -> Option<Length> {
        match self.byte()? {
            LONG_LEN => Some(Length { kept: u32::from_le_bytes(self.array()?) as usize, full: None }),
            CAPPED_LEN => {
                let kept = u32::from_le_bytes(self.array()?) as usize;
                Some(Length { kept, full: Some(u32::from_le_bytes(self.array()?)) })
            }
            short if usize::from(short) <= SHORT_LEN_MAX => Some(Length { kept: usize::from(short), full: None }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_come_back() {
        for len in [0, 1, 7, 249, 250, 1000] {
            for full_len in [None, Some(70_000)] {
                let text = std::string::String::from_utf8(std::vec![b'x'; len]).unwrap();
                let mut out = std::vec![0xFF; len + 9];
                let written = encode_text(&text, full_len, &mut out).unwrap();
                let mut from = Unpacker::new(&out[..written]);
                let length = from.length().unwrap();
                assert_eq!((length.kept, length.full), (len, full_len));
                assert_eq!(from.rest(), text.as_bytes());
                assert_eq!(encode_text(&text, full_len, &mut out[..written - 1]), None);
            }
        }
    }
}

//! Packed encodings: varint, zigzag, length and the record check, in both directions.
//!
//! [`Packer`] writes: it collects bytes in a register and stores whole words. [`Unpacker`] reads from a byte slice that
//! can hold anything.
//!
//! The lengths of values cannot be predicted, so a *loose* packer, which the hot path uses, has no branch that depends
//! on where a word ends. It stores more than it puts, up to [`LOOSE_LEN`] bytes beyond the end: eight bytes for each
//! value, from the byte where it belongs, of which the next value overwrites those beyond its end. Where memory is only
//! stored in words, it stores the current word each time, finished or not.
//!
//! # Format
//! docs/format.md §4.1 (check), §4.2 (varint, length), §4.3 (payload).

use super::load::{LOAD_MAX, load_pair, load_tail, without_first};
use crate::memory::kill::kill_point;
use crate::memory::word::{STORES_AT_BYTES, Word, settled};

/// Bytes behind the end of a payload that a loose packer can overwrite.
pub(crate) const LOOSE_LEN: usize = 24;
/// Whether values are packed for a processor with 64-bit registers. Others pack everything byte after byte, and never
/// store beyond the end.
const IS_WIDE: bool = cfg!(target_pointer_width = "64");
/// Maximum length that is encoded in a single byte.
pub const SHORT_LEN_MAX: usize = 249;
pub(super) const LONG_LEN: u8 = 250;
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

/// Maximum length of a number that is split into head and tail, in bytes.
pub(crate) const SPLIT_NUMBER_LEN: usize = 9;

/// Number of the lowest bits of a number that are in its head.
const HEAD_BITS: u32 = 5;

/// By the number of a value's highest bit: how its head states the length of its tail, where 7 stands for 8; then that
/// length in bytes, from 0 to 6, or 8. In a table, because this takes seven instructions less than to compute both.
static SPLIT: [[u8; 64]; 2] = {
    let mut table = [[7; 64], [8; 64]];
    let mut top_bit = 0;
    while top_bit < 48 + HEAD_BITS as usize {
        let len = if top_bit < HEAD_BITS as usize { 0 } else { (top_bit as u8 + 8 - HEAD_BITS as u8) / 8 };
        (table[0][top_bit], table[1][top_bit]) = (len, len);
        top_bit += 1;
    }
    table
};

/// Returns what the tail of a number holds, and its length in bytes.
#[inline(always)]
pub(crate) fn split_tail(value: u64) -> (u64, usize) {
    (value >> HEAD_BITS, SPLIT[1][(value | 1).ilog2() as usize].into())
}

/// Returns the head of a number: the length of its tail, of which 8 is stated as 7, and its lowest bits.
#[inline(always)]
pub(crate) fn split_head(value: u64) -> u64 {
    (value << 3 & 0xF8) | u64::from(SPLIT[0][(value | 1).ilog2() as usize])
}

/// Returns the length in bytes of the tail of a number with this head.
#[inline]
pub(crate) const fn tail_len_of(head: u8) -> usize {
    match head & 7 {
        7 => 8,
        n => n as usize,
    }
}

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

/// Writes a payload into a ring.
///
/// `check` is the running exclusive or of the words: an exclusive or can be taken of each value where it lands in its
/// word, so it does not matter when a word is stored.
#[derive(Debug)]
pub struct Packer {
    /// Address of the first word. The creator of the packer guarantees the room, see [`Packer::new`].
    first: *const Word,
    /// Number of bits put so far; a multiple of 8. Not used by a loose packer that stores at bytes.
    at: usize,
    /// The word that is not finished; its bits from `at % 64` upwards are 0. Not used by such a packer either.
    acc: u64,
    /// End of what was put by a loose packer that stores at bytes.
    end: End,
    /// Exclusive or of all that was put; where registers are narrow, of the stored words.
    check: u64,
}

/// Address behind what a loose packer has put, where values are stored at bytes; otherwise it takes no memory, of which
/// devices have little.
#[derive(Clone, Copy, Debug)]
struct End {
    #[cfg(ttlog_byte_stores)]
    address: *const u8,
    /// Whether the packer is loose.
    #[cfg(ttlog_byte_stores)]
    is_used: bool,
}

impl End {
    #[inline(always)]
    #[allow(unused_variables, reason = "nothing is kept where only words are stored")]
    const fn new(first: *const Word, is_used: bool) -> Self {
        End {
            #[cfg(ttlog_byte_stores)]
            address: first.cast(),
            #[cfg(ttlog_byte_stores)]
            is_used,
        }
    }

    #[inline(always)]
    const fn is_used(&self) -> bool {
        #[cfg(ttlog_byte_stores)]
        return self.is_used;
        #[cfg(not(ttlog_byte_stores))]
        return false;
    }

    /// Returns the address; null where there is none.
    #[inline(always)]
    const fn address(&self) -> *const u8 {
        #[cfg(ttlog_byte_stores)]
        return self.address;
        #[cfg(not(ttlog_byte_stores))]
        return core::ptr::null();
    }

    /// Moves on by `len`.
    #[inline(always)]
    #[allow(unused_variables, reason = "nothing is kept where only words are stored")]
    const fn add(&mut self, len: usize) {
        #[cfg(ttlog_byte_stores)]
        {
            self.address = self.address.wrapping_add(len);
        }
    }

    /// Makes the compiler compute the address here.
    #[inline(always)]
    fn settle(&mut self) {
        #[cfg(ttlog_byte_stores)]
        {
            self.address = crate::memory::word::settled_address(self.address);
        }
    }
}

impl Packer {
    /// Starts a payload at `first`.
    ///
    /// # Safety
    /// - From `first` on there is room for every word that will be put, in memory that stays valid as long as the
    ///   packer lives. No method with `loose` in its name is called.
    #[inline(always)]
    pub(crate) unsafe fn new(first: *const Word, check: u64) -> Self {
        Packer { first, at: 0, acc: 0, end: End::new(first, false), check }
    }

    /// Starts a payload at `first` that all methods can pack.
    ///
    /// # Safety
    /// - As for [`new`](Self::new), and behind what will be put there is room for further [`LOOSE_LEN`] bytes.
    #[cfg(not(ttlog_device_callsites))]
    #[inline(always)]
    pub(crate) unsafe fn loose(first: *const Word, check: u64) -> Self {
        if STORES_AT_BYTES {
            // SAFETY: as in `loose_behind`.
            unsafe { core::hint::assert_unchecked(first.addr().is_multiple_of(8)) };
        }
        Packer { first, at: 0, acc: 0, end: End::new(first, true), check }
    }

    /// Starts a payload behind `header` that all methods can pack.
    ///
    /// # Safety
    /// - As for [`new`](Self::new), and behind what will be put there is room for further [`LOOSE_LEN`] bytes.
    #[inline(always)]
    pub(crate) unsafe fn loose_behind(header: *const Word, check: u64) -> Self {
        // SAFETY: a word of one atomic number is aligned to its size; the compiler needs to know to compute where in a
        // word a value is. The payload is in the same memory.
        let first = unsafe {
            if STORES_AT_BYTES {
                core::hint::assert_unchecked(header.addr().is_multiple_of(8));
            }
            header.add(1)
        };
        Packer { first, at: 0, acc: 0, end: End::new(first, true), check }
    }

    /// Stores one whole word. Only allowed while no bytes are collected, before any packed value.
    #[inline(always)]
    pub(crate) fn put_word(&mut self, word: u64) {
        if self.stores_at_bytes() {
            self.store_first(word);
            self.end.add(8);
            return;
        }
        debug_assert_eq!(self.at % 64, 0, "wide values come before packed ones");
        self.check ^= word;
        self.store(0, word);
        self.at += 64;
    }

    /// Stores a word, `further` words after the current one.
    #[inline(always)]
    fn store(&self, further: usize, word: u64) {
        // SAFETY: there is room, as the creator of the packer guaranteed.
        unsafe { (*self.first.add(self.at / 64 + further)).store(word) };
        kill_point!(WordStored);
    }

    /// Returns whether this is a loose packer that stores at bytes.
    #[inline(always)]
    const fn stores_at_bytes(&self) -> bool {
        self.end.is_used()
    }

    /// Stores a word at the end, which is that of a word.
    #[inline(always)]
    fn store_first(&mut self, word: u64) {
        debug_assert!(self.stores_at_bytes() && self.end.address().addr().is_multiple_of(8), "wide values come first");
        // SAFETY: there is room, as the creator of the packer guaranteed in `loose_behind`.
        unsafe { (*self.end.address().cast::<Word>()).store(word) };
        kill_point!(WordStored);
        self.check = settled(self.check ^ word);
    }

    /// Stores eight bytes `FURTHER` bytes behind the end. Only by a packer that stores at bytes.
    #[inline(always)]
    fn store_behind<const FURTHER: usize>(&self, bytes: u64) {
        debug_assert!(self.stores_at_bytes());
        // SAFETY: there is room, as the creator of the packer guaranteed in `loose_behind`: no method stores more than
        // 16 bytes beyond what it puts.
        unsafe { Word::store_here::<FURTHER>(self.end.address(), bytes) };
        kill_point!(WordStored);
    }

    /// As [`store_behind`](Self::store_behind), `offset` bytes further.
    #[inline(always)]
    fn store_further<const FURTHER: usize>(&self, offset: usize, bytes: u64) {
        debug_assert!(self.stores_at_bytes());
        // SAFETY: as in `store_behind`.
        unsafe { Word::store_at::<FURTHER>(self.end.address(), offset, bytes) };
        kill_point!(WordStored);
    }

    /// Includes a value at the end in the check. Only by a packer that stores at bytes.
    #[inline(always)]
    fn check(&mut self, value: u64) {
        self.check = settled(self.check ^ value.rotate_left((self.end.address().addr() << 3) as u32 & 63));
    }

    /// Moves the end on.
    #[inline(always)]
    fn move_on(&mut self, len: usize) {
        self.end.add(len);
        self.end.settle();
    }

    /// Returns the parts of `value` in the current word and in the next one.
    #[inline(always)]
    fn place(&self, value: u64) -> (u64, u64) {
        let shift = (self.at % 64) as u32;
        let low = value << shift;
        // Where registers are wide, a rotation has both parts; otherwise in two shifts, because a shift by 64 is not
        // defined.
        (low, if IS_WIDE { value.rotate_left(shift) ^ low } else { (value >> 1) >> (63 - shift) })
    }

    /// Appends the lower `bits` bits of `value`. `bits` is a multiple of 8 from 0 to 64, and `value` has no bit above
    /// them.
    #[inline(always)]
    pub(crate) fn put_bits(&mut self, value: u64, bits: u32) {
        debug_assert!(bits.is_multiple_of(8) && bits <= 64 && (bits == 64 || value >> bits == 0));
        if self.stores_at_bytes() {
            return self.put_loose(value, bits);
        }
        let (low, high) = self.place(value);
        let word = self.acc | low;
        let next = self.at + bits as usize;
        if IS_WIDE {
            self.check ^= low ^ high;
        }
        if (self.at ^ next) & 64 != 0 {
            if !IS_WIDE {
                self.check ^= word;
            }
            self.store(0, word);
            self.acc = high;
        } else {
            self.acc = word;
        }
        self.at = next;
    }

    /// As [`put_bits`](Self::put_bits), for the first packed value.
    #[inline(always)]
    pub(crate) fn put_first(&mut self, value: u64, bits: u32) {
        if !self.stores_at_bytes() {
            return self.put_bits(value, bits);
        }
        self.store_first(value);
        self.end.add(bits as usize / 8);
    }

    /// As [`put_bits`](Self::put_bits), without a branch.
    #[inline(always)]
    pub(crate) fn put_loose(&mut self, value: u64, bits: u32) {
        if !IS_WIDE {
            return self.put_bits(value, bits);
        }
        debug_assert!(bits.is_multiple_of(8) && bits <= 64 && (bits == 64 || value >> bits == 0));
        if STORES_AT_BYTES {
            self.store_behind::<0>(value);
            self.check(value);
            self.end.add(bits as usize / 8);
            return;
        }
        let (low, high) = self.place(value);
        let word = self.acc | low;
        self.check ^= low ^ high;
        self.store(0, word);
        self.store(1, high);
        let words = self.advance(bits as usize);
        self.acc = if_odd(words, high, word);
    }

    /// Moves on by `bits`, and returns the number of words that this finishes.
    ///
    /// The word that is not finished is chosen from the values that were stored, and not loaded: the ring can move to
    /// other memory meanwhile, where what was stored before is added later.
    #[inline(always)]
    fn advance(&mut self, bits: usize) -> usize {
        let before = self.at / 64;
        self.at += bits;
        self.at / 64 - before
    }

    /// Appends the tail of a number that is split.
    #[inline(always)]
    pub(crate) fn put_split_tail(&mut self, value: u64) {
        let (tail, len) = split_tail(value);
        self.put_loose(tail, len as u32 * 8);
        self.end.settle();
    }

    /// Appends bytes. Without a branch if they are at most 16; otherwise without one per byte.
    #[inline(always)]
    pub(crate) fn put_bytes_loose(&mut self, bytes: &[u8]) {
        match (IS_WIDE, STORES_AT_BYTES, bytes.len() <= LOAD_MAX) {
            (false, ..) => self.put_bytes(bytes),
            (_, true, true) => self.put_few_at(bytes),
            (_, true, false) => self.put_many_at(bytes),
            (_, false, true) => self.put_few(bytes),
            (_, false, false) => self.put_many(bytes),
        }
    }

    /// Appends at most 16 bytes, and stores 16.
    #[inline(always)]
    fn put_few_at(&mut self, bytes: &[u8]) {
        let (first, second) = load_pair(bytes);
        self.store_behind::<0>(first);
        self.store_behind::<8>(second);
        self.check(first ^ second); // eight bytes further, a value has the same place in its word
        self.move_on(bytes.len());
    }

    /// Appends more than 16 bytes, and stores no more: pairs of words, then one that ends where the bytes end.
    #[inline(always)]
    fn put_many_at(&mut self, bytes: &[u8]) {
        let start = bytes.as_ptr();
        // SAFETY: reads 8 bytes within `bytes`: at an even multiple of 8 before the last 16 bytes, after that, or at
        // the start of one of the last two words.
        let load = |offset: usize| u64::from_le(unsafe { start.add(offset).cast::<u64>().read_unaligned() });
        let last = bytes.len() - LOAD_MAX;
        let (mut offset, mut xor) = (0, 0);
        while offset < last {
            let (first, second) = (load(offset), load(offset + 8));
            self.store_further::<0>(offset, first);
            self.store_further::<8>(offset, second);
            xor ^= first ^ second;
            offset += LOAD_MAX;
        }
        self.check(xor);
        let (first, second) = (load(last), load(last + 8));
        self.store_further::<0>(last, first);
        self.store_further::<8>(last, second);
        self.move_on(bytes.len());
        let (first, second) = without_first(first, second, offset - last);
        self.check(first ^ second);
    }

    /// Appends at most 16 bytes.
    #[inline(always)]
    fn put_few(&mut self, bytes: &[u8]) {
        let (first, second) = load_pair(bytes);
        let ((low, middle), (more, high)) = (self.place(first), self.place(second));
        self.check ^= low ^ middle ^ more ^ high;
        let (one, two) = (self.acc | low, middle | more);
        self.store(0, one);
        self.store(1, two);
        self.store(2, high);
        let words = self.advance(bytes.len() * 8);
        self.acc = if_odd(words >> 1, high, if_odd(words, two, one));
    }

    /// Appends at least 8 bytes. The words between the first and the last are loaded from where they are in `bytes`, so
    /// they need no shift.
    #[inline(always)]
    fn put_many(&mut self, bytes: &[u8]) {
        debug_assert!(bytes.len() >= 8);
        let before = self.at / 8 % 8;
        let end = before + bytes.len();
        let (words, rest) = (end / 8, end % 8);
        let start = bytes.as_ptr();
        // SAFETY: reads 8 bytes within `bytes`: at its start; at 8 k - before, where k is from 1 to words - 1, so at
        // most at its length - 8; and at its end.
        let load = |offset: usize| u64::from_le(unsafe { start.add(offset).cast::<u64>().read_unaligned() });
        let low = load(0) << (before * 8);
        self.check ^= low;
        self.store(0, self.acc | low);
        for further in 1..words {
            let word = load(further * 8 - before);
            self.check ^= word;
            self.store(further, word);
        }
        self.acc = (load(bytes.len() - 8) >> 1) >> (63 - rest * 8);
        self.check ^= self.acc;
        self.at += bytes.len() * 8;
    }

    /// Appends bytes.
    #[inline(always)]
    pub(crate) fn put_bytes(&mut self, bytes: &[u8]) {
        let mut chunks = bytes.chunks_exact(8);
        for chunk in &mut chunks {
            self.put_bits(u64::from_le_bytes(chunk.try_into().unwrap_or_default()), 64);
        }
        let tail = chunks.remainder();
        if !tail.is_empty() {
            self.put_bits(load_tail(tail), tail.len() as u32 * 8);
        }
    }

    /// Appends a varint.
    #[inline]
    pub(crate) fn put_varint(&mut self, value: u64) {
        if is_short(value) {
            let (bytes, bits) = short_varint(value);
            self.put_bits(bytes, bits);
        } else {
            self.put_bits(7, 8);
            self.put_bits(value, 64);
        }
    }

    /// Appends a length; `full_len` is the original length if the value was capped.
    pub(crate) fn put_len(&mut self, len: usize, full_len: Option<u32>) {
        self.put_bits(len_head(len, full_len), 8);
        self.put_len_tail(len, full_len);
    }

    /// Appends what follows the head of a length.
    pub(crate) fn put_len_tail(&mut self, len: usize, full_len: Option<u32>) {
        if len > SHORT_LEN_MAX || full_len.is_some() {
            self.put_bits(u64::from(len as u32), 32);
        }
        if let Some(full_len) = full_len {
            self.put_bits(u64::from(full_len), 32);
        }
    }

    /// Appends a length and bytes.
    pub(crate) fn put_len_and_bytes(&mut self, bytes: &[u8], full_len: Option<u32>) {
        self.put_len(bytes.len(), full_len);
        self.put_bytes(bytes);
    }

    /// Stores the remaining bytes, padded with zeros. Returns the number of words of the payload, and the exclusive or
    /// of all of them and the start value.
    #[inline(always)]
    pub(crate) fn finish(mut self) -> (usize, u64) {
        debug_assert!(!self.stores_at_bytes());
        if !self.at.is_multiple_of(64) {
            if !IS_WIDE {
                self.check ^= self.acc;
            }
            self.store(0, self.acc);
        }
        (self.words(), self.check)
    }

    /// As [`finish`](Self::finish), without a branch.
    #[inline(always)]
    #[allow(clippy::manual_div_ceil, reason = "two instructions more")]
    pub(crate) fn finish_loose(self) -> (usize, u64) {
        if !IS_WIDE {
            return self.finish();
        }
        if STORES_AT_BYTES {
            // SAFETY: as in `store_behind`.
            unsafe { Word::zero_here(self.end.address()) };
            kill_point!(WordStored);
            let len = self.end.address().addr() - self.first.addr();
            return ((len + 7) / 8, self.check);
        }
        self.store(0, self.acc);
        (self.words(), self.check)
    }

    #[inline(always)]
    fn words(&self) -> usize {
        self.at.div_ceil(64)
    }
}

/// Returns `then` if `number` is odd, else `other`, without a branch.
#[inline(always)]
const fn if_odd(number: usize, then: u64, other: u64) -> u64 {
    let mask = (number as u64 & 1).wrapping_neg();
    other ^ ((other ^ then) & mask)
}

/// Returns the first byte of a length.
#[inline(always)]
pub(crate) const fn len_head(len: usize, full_len: Option<u32>) -> u64 {
    match full_len {
        Some(_) => CAPPED_LEN as u64,
        None if len > SHORT_LEN_MAX => LONG_LEN as u64,
        None => len as u64,
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

    /// Takes the tail of a number whose head is `head`.
    #[inline]
    pub fn split_tail(&mut self, head: u8) -> Option<u64> {
        let (len, low) = (tail_len_of(head), u64::from(head >> 3));
        let word = match self.rest.first_chunk::<8>() {
            Some(word) if len < 8 => {
                self.rest = &self.rest[len..];
                u64::from_le_bytes(*word) & ((1 << (8 * len)) - 1)
            }
            _ => {
                let mut bytes = [0; 8];
                bytes[..len].copy_from_slice(self.bytes(len)?);
                u64::from_le_bytes(bytes)
            }
        };
        (word >> (64 - HEAD_BITS) == 0).then_some(word << HEAD_BITS | low)
    }

    /// Takes a length. That many bytes or elements might not follow.
    #[inline]
    pub fn length(&mut self) -> Option<Length> {
        let head = self.byte()?;
        self.length_tail(head)
    }

    /// Takes what follows the first byte of a length, `head`.
    #[inline]
    pub fn length_tail(&mut self, head: u8) -> Option<Length> {
        match head {
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

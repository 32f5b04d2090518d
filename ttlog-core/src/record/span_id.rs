//! Ids of spans as values.

use super::packed::{Packer, is_short, split_head, split_tail, varint_len};
use super::types::Type;
use super::value::{Native, Sealed};

/// Number of bits of a tail, for ids that are small.
const TAIL_BITS: u32 = 48;
/// Head of a small id, without its lowest bits: the length of the tail in bytes.
const TAIL_LEN: u64 = TAIL_BITS as u64 / 8;

/// Id of a span: a u64. Ids below 2^53, which are all that a process ever uses, take 7 bytes. So the records that
/// enter, leave and end spans, which have no other value, need no look at the number, and one word all the same.
///
/// # Format
/// docs/format.md §4.3: the n of an id can be larger than it must.
#[derive(Clone, Copy, Debug)]
pub struct SpanId(pub u64);

impl Sealed for SpanId {}
impl Native for SpanId {
    const TYPE: Type = Type::U64;
    const HEAD_LEN: usize = 1;
    const SMALL_LEN_MAX: usize = 7;
    #[inline(always)]
    fn is_small(&self) -> bool {
        is_short(self.0)
    }
    #[inline(always)]
    fn small_head(&self) -> u64 {
        self.0 << 3 & 0xF8 | TAIL_LEN
    }
    #[inline(always)]
    fn pack_small_tail(&self, packer: &mut Packer) {
        packer.put_loose(self.0 >> 5, TAIL_BITS);
    }
    fn packed_len(&self, _cap: usize) -> usize {
        varint_len(self.0)
    }
    fn pack(&self, packer: &mut Packer, _cap: usize) {
        packer.put_varint(self.0);
    }
    fn head(&self, _cap: usize) -> u64 {
        if self.is_small() { self.small_head() } else { split_head(self.0) }
    }
    fn tail_len(&self, _cap: usize) -> usize {
        if self.is_small() { TAIL_LEN as usize } else { 8 }
    }
    fn pack_tail(&self, packer: &mut Packer, _cap: usize) {
        if self.is_small() {
            packer.put_bits(self.0 >> 5, TAIL_BITS);
        } else {
            let (tail, len) = split_tail(self.0);
            packer.put_bits(tail, len as u32 * 8);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::fields::{AnyFields, Cons, Fields, Nil};
    use crate::memory::word::Word;
    use crate::record::packed::Unpacker;
    use crate::record::value::{ValueRef, decode_split};

    fn words(put: impl FnOnce(&mut Packer)) -> [u64; 2] {
        let room: [Word; 8] = core::array::from_fn(|_| Word::new(0));
        // SAFETY: behind the header, an id takes two words at most, and three may be overwritten behind it.
        let mut packer = unsafe { Packer::loose_behind(room.as_ptr(), 0) };
        put(&mut packer);
        let (len, _) = packer.finish_loose();
        assert!(len <= 2);
        [room[1].load(), if len == 2 { room[2].load() } else { 0 }]
    }

    #[test]
    fn fast_and_exact_paths_agree_and_readers_read_them_as_numbers() {
        for id in [0, 1, 31, 32, 0x1234_5678, (1 << 53) - 1, 1 << 53, u64::MAX] {
            let fields = Cons(SpanId(id), Nil);
            let exact = words(|packer| fields.put(packer, usize::MAX));
            assert_eq!(fields.payload_words(0), if id < 1 << 53 { 1 } else { 2 });
            if fields.are_small() {
                assert_eq!(words(|packer| fields.put_small(packer)), exact);
            }
            let bytes: [[u8; 8]; 2] = exact.map(u64::to_le_bytes);
            let (head, tail) = bytes.as_flattened().split_at(1);
            let value = decode_split(&[5], &mut Unpacker::new(head), &mut Unpacker::new(tail)).unwrap();
            assert_eq!(value, ValueRef::Unsigned(id));
        }
    }
}

//! Shapes of records, and the chain of the records of each.

use super::bytes::word;

/// Maximum number of shapes in columns.
pub(super) const SHAPE_MAX: usize = 256;
/// Number of slots in the hash tables: twice the number of entries, so that searches are short.
pub(super) const SLOT_COUNT: usize = 512;

/// Records of one shape: the first, and the others linked through the delta of the headers.
///
/// Each record is pushed once, in order, so a walk ends after `count` steps.
#[derive(Clone, Copy)]
pub(super) struct Chain {
    first: u16,
    last: u16,
    pub(super) count: u16,
}

impl Chain {
    pub(super) const EMPTY: Self = Chain { first: 0, last: 0, count: 0 };

    pub(super) fn push(&mut self, records: &mut [u8], at: usize) {
        if self.count == 0 {
            self.first = at as u16;
        } else {
            let link = usize::from(self.last) * 8 + 3;
            records[link..link + 2].copy_from_slice(&(at as u16).to_le_bytes());
        }
        self.last = at as u16;
        self.count += 1;
    }

    pub(super) fn first(&self) -> Option<usize> {
        (self.count > 0).then_some(usize::from(self.first))
    }

    #[inline(always)]
    pub(super) fn after(&self, records: &[u8], at: usize) -> Option<usize> {
        (at != usize::from(self.last)).then(|| (word(records, at) >> 24 & 0xFFFF) as usize)
    }

    pub(super) fn members<'a>(&'a self, records: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
        core::iter::successors(self.first(), move |&at| self.after(records, at))
    }
}

/// Shapes met so far, with a hash table to find them.
pub(super) struct Shapes {
    pub(super) list: [(u16, u16); SHAPE_MAX],
    pub(super) count: usize,
    /// Index in the list plus 1; 0: free.
    slots: [u16; SLOT_COUNT],
}

impl Shapes {
    pub(super) fn new() -> Self {
        Shapes { list: [(0, 0); SHAPE_MAX], count: 0, slots: [0; SLOT_COUNT] }
    }

    pub(super) fn find_or_add(&mut self, callsite: u16, words: u16) -> Option<u8> {
        let key = u32::from(callsite) | u32::from(words) << 16;
        let mut slot = (key.wrapping_mul(0x9E37_79B1) >> 23) as usize;
        loop {
            match usize::from(self.slots[slot]) {
                0 if self.count == SHAPE_MAX => return None,
                0 => {
                    self.list[self.count] = (callsite, words);
                    self.count += 1;
                    self.slots[slot] = self.count as u16;
                    return Some((self.count - 1) as u8);
                }
                used if self.list[used - 1] == (callsite, words) => return Some((used - 1) as u8),
                _ => slot = (slot + 1) % SLOT_COUNT,
            }
        }
    }
}

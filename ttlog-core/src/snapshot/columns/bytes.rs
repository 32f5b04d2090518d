//! Words and byte planes in the caller's buffers.

/// Number of words split at a time.
pub(super) const CHUNK: usize = 64;

/// Returns the word at `at`, counted in words.
#[inline(always)]
pub(super) fn word(records: &[u8], at: usize) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&records[at * 8..at * 8 + 8]);
    u64::from_le_bytes(bytes)
}

#[inline(always)]
pub(super) fn put_word(records: &mut [u8], at: usize, value: u64) {
    records[at * 8..at * 8 + 8].copy_from_slice(&value.to_le_bytes());
}

/// Reads bytes `from..to` of the values `start..start + CHUNK` from planes of `count` values; missing bytes are 0.
#[inline(always)]
pub(super) fn read_planes(planes: &[u8], count: usize, from: usize, to: usize, start: usize) -> [u64; CHUNK] {
    let mut values = [0; CHUNK];
    let len = (count - start).min(CHUNK);
    for k in from..to {
        let plane = &planes[(k - from) * count + start..][..len];
        for (value, &byte) in values.iter_mut().zip(plane) {
            *value |= u64::from(byte) << (8 * k);
        }
    }
    values
}

pub(super) struct Writer<'a> {
    pub(super) out: &'a mut [u8],
    /// At most the length of `out`, which is [`columns_len_max`](super::columns_len_max) minus the bytes before it.
    pub(super) len: usize,
}

impl Writer<'_> {
    #[inline(always)]
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        let at = self.skip(bytes.len());
        self.out[at..at + bytes.len()].copy_from_slice(bytes);
    }

    /// Reserves `len` bytes and returns their position.
    pub(super) fn skip(&mut self, len: usize) -> usize {
        self.len += len;
        self.len - len
    }

    /// Writes bytes `from..to` of `count` values as planes.
    #[inline(always)]
    pub(super) fn planes(&mut self, count: usize, from: usize, to: usize, values: impl Iterator<Item = u64>) {
        let at = self.skip((to - from) * count);
        let out = &mut self.out[at..self.len];
        let mut values = values.take(count);
        for start in (0..count).step_by(CHUNK) {
            let mut chunk = [0u64; CHUNK];
            for (place, value) in chunk.iter_mut().zip(&mut values) {
                *place = value;
            }
            let len = (count - start).min(CHUNK);
            for k in from..to {
                let plane = &mut out[(k - from) * count + start..][..len];
                for (byte, value) in plane.iter_mut().zip(&chunk) {
                    *byte = (value >> (8 * k)) as u8;
                }
            }
        }
    }
}

pub(super) struct Reader<'a> {
    pub(super) rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(taken)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        Some(u16::from_le_bytes(*self.take(2)?.first_chunk()?))
    }
}

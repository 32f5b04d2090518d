//! Makes checksums right. A fuzzer that changes a byte behind a CRC would otherwise only ever test the CRC.

use ttlog_core::crc32;

/// The ring's header.
pub const RING_HEADER: u8 = 1;
/// The entries of the table.
pub const TABLE: u8 = 2;
/// The headers of the segments.
pub const SEGMENTS: u8 = 4;

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn put(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

/// Makes the checksums right that `what` names (docs/format.md §2).
pub fn ring(bytes: &mut [u8], what: u8) {
    if bytes.len() < 160 {
        return;
    }
    if what & RING_HEADER != 0 {
        let crc = crc32(&bytes[..56]);
        put(bytes, 56, crc);
    }
    let field = |bytes: &[u8], at| u32_at(bytes, at).unwrap_or(0) as usize;
    if what & TABLE != 0 {
        let (mut at, end) = (field(bytes, 40), field(bytes, 40).saturating_add(field(bytes, 44)).min(bytes.len()));
        while let Some(len) = u32_at(bytes, at).map(|len| (len & 0x7fff_ffff) as usize) {
            let Some(entry) = bytes.get(at + 8..(at + 8).saturating_add(len).min(end)).filter(|entry| entry.len() == len && len > 0)
            else {
                break;
            };
            let crc = crc32(entry);
            put(bytes, at + 4, crc);
            at += 8 + len.next_multiple_of(8);
        }
    }
    if what & SEGMENTS != 0 {
        let (mut at, len) = (field(bytes, 32), field(bytes, 24));
        while len >= 128 && at + 48 <= bytes.len() {
            let mut covered = [bytes[at..at + 20].as_ref(), &bytes[at + 24..at + 32]].concat();
            covered[7] &= 0x0f; // the phase counts as 0
            put(bytes, at + 20, crc32(&covered));
            at += len;
        }
    }
}

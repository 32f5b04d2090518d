//! Corrects checksums. Otherwise, a fuzzer that changes a byte covered by a CRC would only ever test the CRC.

use ttlog_core::crc32;

use crate::naive;

/// Header of the ring.
pub const RING_HEADER: u8 = 1;
/// Entries of the table.
pub const TABLE: u8 = 2;
/// Headers of the segments.
pub const SEGMENTS: u8 = 4;
/// End block, and texts of the control block.
pub const LONG_HEADER: u8 = 8;
/// Slots for sessions of a device.
pub const SESSIONS: u8 = 16;

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn put(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

/// Corrects the checksums selected by `what` (docs/format.md §2).
pub fn ring(bytes: &mut [u8], what: u8) {
    if bytes.len() < 160 {
        return;
    }
    if what & RING_HEADER != 0 {
        let behind = if bytes[8] < 2 && bytes[9] == 0 { 60..60 } else { 60..64 };
        let crc = crc32(&[&bytes[..56], &bytes[behind]].concat());
        put(bytes, 56, crc);
    }
    if what & LONG_HEADER != 0 && bytes.len() >= 1536 {
        let crc = crc32(&bytes[192..240]);
        put(bytes, 264, crc);
        for at in [352, 872] {
            let len = u32_at(bytes, at).unwrap_or(0) as usize % 514;
            put(bytes, at, len as u32);
            let crc = crc32(&bytes[at + 8..at + 8 + len]);
            put(bytes, at + 4, crc);
        }
    }
    let header_len = u32_at(bytes, 12).unwrap_or(0) as usize;
    if what & SESSIONS != 0 && (168..1536).contains(&header_len) {
        let end = header_len.min(bytes.len());
        for at in (168..end.saturating_sub(47)).step_by(48) {
            let crc = crc32(&[&bytes[at..at + 4], &bytes[at + 8..at + 48]].concat());
            put(bytes, at + 4, crc);
        }
    }
    let field = |bytes: &[u8], at| u32_at(bytes, at).unwrap_or(0) as usize;
    if what & TABLE != 0 {
        let (mut at, end) = (field(bytes, 40), field(bytes, 40).saturating_add(field(bytes, 44)).min(bytes.len()));
        while let Some(len) = u32_at(bytes, at).map(|len| (len & 0x7fff_ffff) as usize) {
            let Some(entry) =
                bytes.get(at + 8..(at + 8).saturating_add(len).min(end)).filter(|entry| entry.len() == len && len > 0)
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
            let is_device = covered[7] == 3;
            let check = covered[..].try_into().ok().filter(|_| is_device).map_or_else(|| crc32(&covered), naive::mix);
            put(bytes, at + 20, check);
            at += len;
        }
    }
}

/// Corrects the CRCs of a snapshot's items, if their lengths are within the bytes (docs/format.md §6).
pub fn snapshot(bytes: &mut [u8]) {
    const MARK: &[u8] = b"\xd9\xd9\xf7\x84\x64TTLG";
    let mut at = 0;
    while at + 20 <= bytes.len() {
        let body = at + 15;
        let head = &bytes[at..body];
        let len = u32::from_be_bytes([head[11], head[12], head[13], head[14]]) as usize;
        if !head.starts_with(MARK) || head[10] != 0x5a || len > bytes.len() - at - 20 {
            at += 1;
            continue;
        }
        let covered = [&bytes[body..body + len], &bytes[at + 9..at + 10]].concat();
        let crc = crc32(&covered);
        bytes[body + len] = 0x1a;
        bytes[body + len + 1..body + len + 5].copy_from_slice(&crc.to_be_bytes());
        at = body + len + 5;
    }
}

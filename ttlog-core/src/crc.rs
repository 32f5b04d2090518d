//! CRC-32/ISO-HDLC, and the repair of single flipped bits it allows.

use crc::{CRC_32_ISO_HDLC, Crc};

// Sixteen bytes at a time on servers, for snapshots; a 1 KiB table on devices.
#[cfg(target_pointer_width = "64")]
static CRC: Crc<u32, crc::Table<16>> = Crc::<u32, crc::Table<16>>::new(&CRC_32_ISO_HDLC);
#[cfg(not(target_pointer_width = "64"))]
static CRC: Crc<u32, crc::Table<1>> = Crc::<u32, crc::Table<1>>::new(&CRC_32_ISO_HDLC);

/// A CRC-32 that is fed in pieces.
pub(crate) struct Digest(
    #[cfg(target_pointer_width = "64")] crc::Digest<'static, u32, crc::Table<16>>,
    #[cfg(not(target_pointer_width = "64"))] crc::Digest<'static, u32, crc::Table<1>>,
);

impl Digest {
    pub(crate) fn new() -> Self {
        Digest(CRC.digest())
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(crate) fn finish(self) -> u32 {
        self.0.finalize()
    }
}

/// Gives the CRC-32 of `bytes`.
#[must_use]
pub fn crc32(bytes: &[u8]) -> u32 {
    CRC.checksum(bytes)
}

/// Checks `bytes` against `stored`; if one bit of `bytes` or of `stored` was flipped, puts that right. Gives whether `bytes` are
/// good now.
///
/// For headers of at most 64 bytes: among so few no two single flips have the same effect, and three or more flipped bits are
/// taken for one with a chance of about 1 in 8 million.
#[must_use]
pub(crate) fn check_or_repair(bytes: &mut [u8], stored: u32) -> bool {
    debug_assert!(bytes.len() <= 64, "repair is for short headers");
    if (crc32(bytes) ^ stored).count_ones() <= 1 {
        return true;
    }
    for bit in 0..bytes.len() * 8 {
        bytes[bit / 8] ^= 1 << (bit % 8);
        if crc32(bytes) == stored {
            return true;
        }
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_value() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    }

    #[test]
    fn single_flips_are_repaired_double_flips_refused() {
        let good = *b"a header of some bytes, CRC beside it";
        let stored = crc32(&good);
        for bit in (0..good.len() * 8).step_by(if cfg!(miri) { 101 } else { 1 }) {
            let mut bytes = good;
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(check_or_repair(&mut bytes, stored) && bytes == good, "bit {bit}");
            if bit > 0 {
                bytes[bit / 8] ^= 1 << (bit % 8);
                bytes[0] ^= 1;
                assert!(!check_or_repair(&mut bytes, stored), "bits 0 and {bit}");
            }
        }
        for bit in 0..32 {
            let mut bytes = good;
            assert!(check_or_repair(&mut bytes, stored ^ 1 << bit) && bytes == good);
        }
    }
}

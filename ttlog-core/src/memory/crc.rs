//! CRC-32/ISO-HDLC, and repair of single flipped bits with it.

/// An incremental CRC-32.
pub(crate) struct Digest(imp::Digest);

impl Digest {
    pub(crate) fn new() -> Self {
        Digest(imp::Digest::new())
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(crate) fn finish(self) -> u32 {
        self.0.finish()
    }
}

/// Returns the CRC-32 of `bytes`.
#[must_use]
pub fn crc32(bytes: &[u8]) -> u32 {
    let mut digest = Digest::new();
    digest.update(bytes);
    digest.finish()
}

/// CRC over sixteen bytes at a time, for snapshots of servers.
#[cfg(target_pointer_width = "64")]
mod imp {
    use crc::{CRC_32_ISO_HDLC, Crc, Table};

    static CRC: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISO_HDLC);

    pub(super) struct Digest(crc::Digest<'static, u32, Table<16>>);

    impl Digest {
        pub(super) fn new() -> Self {
            Digest(CRC.digest())
        }

        pub(super) fn update(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }

        pub(super) fn finish(self) -> u32 {
            self.0.finalize()
        }
    }
}

/// CRC over half a byte at a time, for devices: 64 bytes of flash and about 10 instructions per byte. The crate `crc`
/// offers 1 KiB and 6 instructions, or no table and 60.
#[cfg(any(test, not(target_pointer_width = "64")))]
#[cfg_attr(target_pointer_width = "64", allow(dead_code))] // tested there, used elsewhere
mod small {
    static TABLE: [u32; 16] = {
        let mut table = [0; 16];
        let mut index = 0;
        while index < 16 {
            let (mut crc, mut bit) = (index as u32, 0);
            while bit < 4 {
                crc = crc >> 1 ^ if crc & 1 != 0 { 0xEDB8_8320 } else { 0 };
                bit += 1;
            }
            table[index] = crc;
            index += 1;
        }
        table
    };

    pub(super) struct Digest(u32);

    impl Digest {
        pub(super) fn new() -> Self {
            Digest(!0)
        }

        pub(super) fn update(&mut self, bytes: &[u8]) {
            for byte in bytes {
                self.0 ^= u32::from(*byte);
                self.0 = self.0 >> 4 ^ TABLE[self.0 as usize & 15];
                self.0 = self.0 >> 4 ^ TABLE[self.0 as usize & 15];
            }
        }

        pub(super) fn finish(self) -> u32 {
            !self.0
        }
    }
}
#[cfg(not(target_pointer_width = "64"))]
use small as imp;

/// Checks `bytes` against `stored`, repairs a single flipped bit of `bytes` or `stored`, and returns whether `bytes`
/// are valid now.
///
/// For headers of at most 64 bytes: at this length, no two single flips have the same effect, and three or more flipped
/// bits are mistaken for one with a probability of about 1 in 8 million.
#[must_use]
pub(crate) fn check_or_repair(bytes: &mut [u8], stored: u32) -> bool {
    debug_assert!(bytes.len() <= 64, "repair is for short headers");
    check_or_repair_with(bytes, stored, crc32)
}

/// Like [`check_or_repair`], with another checksum that detects every single flip.
#[must_use]
pub(crate) fn check_or_repair_with<B: AsMut<[u8]> + ?Sized>(
    bytes: &mut B,
    stored: u32,
    check: impl Fn(&B) -> u32,
) -> bool {
    if (check(bytes) ^ stored).count_ones() <= 1 {
        return true;
    }
    for bit in 0..bytes.as_mut().len() * 8 {
        bytes.as_mut()[bit / 8] ^= 1 << (bit % 8);
        if check(bytes) == stored {
            return true;
        }
        bytes.as_mut()[bit / 8] ^= 1 << (bit % 8);
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_value() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        let mut small = small::Digest::new();
        small.update(b"1234");
        small.update(b"56789");
        assert_eq!(small.finish(), 0xCBF4_3926);
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

//! Loads of a few bytes as numbers.

/// Maximum number of bytes that [`load_pair`] loads.
pub(super) const LOAD_MAX: usize = 16;

/// Loads up to 7 bytes as a little-endian number, with at most two overlapping loads and no call to `memcpy`.
#[inline(always)]
pub(crate) fn load_tail(bytes: &[u8]) -> u64 {
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

/// Loads up to 16 bytes as two little-endian numbers.
#[inline(always)]
pub(super) fn load_pair(bytes: &[u8]) -> (u64, u64) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    return masked::load_pair(bytes);
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    return load_each(bytes);
}

/// Returns the two little-endian numbers without their first `len` bytes, less than 16: zeros are in their place.
#[inline(always)]
pub(super) fn without_first(first: u64, second: u64, len: usize) -> (u64, u64) {
    debug_assert!(len < LOAD_MAX);
    let len = len % LOAD_MAX;
    (first & REST_MASKS[len + 8], second & REST_MASKS[len])
}

/// At index n + 8 the mask of all but n bytes, from none to 8.
static REST_MASKS: [u64; LOAD_MAX + 8] = {
    let mut masks = [u64::MAX; LOAD_MAX + 8];
    let mut index = 9;
    while index < masks.len() {
        masks[index] = if index < LOAD_MAX { u64::MAX << ((index - 8) * 8) } else { 0 };
        index += 1;
    }
    masks
};

/// Loads up to 16 bytes, with branches that depend on their number.
#[inline]
fn load_each(bytes: &[u8]) -> (u64, u64) {
    debug_assert!(bytes.len() <= LOAD_MAX);
    match (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        // In two shifts, because there can be 8 bytes and a shift by 64 is not defined.
        (Some(first), Some(last)) => {
            let unused = (LOAD_MAX - bytes.len()) as u32 * 8;
            (u64::from_le_bytes(*first), (u64::from_le_bytes(*last) >> (unused / 2)) >> (unused / 2))
        }
        _ => (load_tail(bytes), 0),
    }
}

/// Loads without a branch that depends on the number of bytes, which cannot be predicted: always 16 bytes, of which
/// those behind the end are masked.
#[cfg(all(target_arch = "x86_64", not(miri)))]
mod masked {
    use super::{LOAD_MAX, load_each};

    /// Smallest page of the processor; memory is readable, or not, in whole pages.
    const PAGE_LEN: usize = 4096;

    /// At index n + 8 the mask of n bytes, from none to 8.
    static MASKS: [u64; LOAD_MAX + 9] = {
        let mut masks = [0; LOAD_MAX + 9];
        let mut index = 9;
        while index < masks.len() {
            masks[index] = if index < LOAD_MAX { (1 << ((index - 8) * 8)) - 1 } else { u64::MAX };
            index += 1;
        }
        masks
    };

    #[inline(always)]
    pub(super) fn load_pair(bytes: &[u8]) -> (u64, u64) {
        let len = bytes.len().min(LOAD_MAX);
        // The address of no bytes need not be one of memory.
        let start = if len == 0 { MASKS.as_ptr().cast() } else { bytes.as_ptr() };
        if start.addr() % PAGE_LEN > PAGE_LEN - LOAD_MAX {
            return load_at_end_of_page(bytes);
        }
        let (first, second): (u64, u64);
        // SAFETY: reads 16 bytes from an address of which at least the first byte can be read, in the same page, so the
        // processor can read them all. Like the `strlen` of a C library, this looks at bytes that belong to others; a
        // load in assembly has no meaning for the compiler, and what was loaded from there is masked.
        unsafe {
            core::arch::asm!("mov {first}, qword ptr [{start}]", "mov {second}, qword ptr [{start} + 8]",
                start = in(reg) start, first = out(reg) first, second = lateout(reg) second,
                options(pure, readonly, nostack, preserves_flags));
        }
        (first & MASKS[len + 8], second & MASKS[len])
    }

    #[cold]
    #[inline(never)]
    fn load_at_end_of_page(bytes: &[u8]) -> (u64, u64) {
        load_each(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_loaded_wherever_they_are() {
        let page = std::vec![0xA5_u8; 3 * 4096];
        let edge = page.as_ptr().align_offset(4096);
        let mut page = page;
        for (index, byte) in page.iter_mut().enumerate() {
            *byte = (index % 251) as u8 | 1;
        }
        for start in (edge + 4096 - 40)..(edge + 4096 + 8) {
            for len in 0..=LOAD_MAX {
                let bytes = &page[start..start + len];
                let mut expected = [0; 16];
                expected[..len].copy_from_slice(bytes);
                let expected = u128::from_le_bytes(expected);
                let expected = (expected as u64, (expected >> 64) as u64);
                assert_eq!(load_pair(bytes), expected, "{len} bytes at {start}");
                assert_eq!(load_each(bytes), expected, "{len} bytes at {start}");
            }
        }
        assert_eq!(load_pair(&[]), (0, 0));
    }
}

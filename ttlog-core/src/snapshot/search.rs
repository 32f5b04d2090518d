//! Search for the marks with which recordings and items begin.

/// Returns the offset of the first `MARK` that starts at `from` or after it.
///
/// Looks at every `N`th byte only, as long as that is none of the mark's (the method of Horspool).
pub(super) fn find_mark<const N: usize>(bytes: &[u8], from: usize, mark: &Mark<N>) -> Option<usize> {
    let mut at = from;
    while let Some(window) = bytes.get(at..).and_then(|rest| rest.first_chunk::<N>()) {
        if *window == mark.bytes {
            return Some(at);
        }
        at += usize::from(mark.skips[usize::from(window[N - 1])]);
    }
    None
}

/// A mark to look for.
pub(super) struct Mark<const N: usize> {
    bytes: [u8; N],
    /// By the last byte of a window that is not the mark: how many bytes further on the next one can be.
    skips: [u8; 256],
}

impl<const N: usize> Mark<N> {
    /// Prepares the search for `bytes`, at most 255.
    pub(super) const fn new(bytes: [u8; N]) -> Self {
        assert!(0 < N && N < 256);
        let mut skips = [N as u8; 256];
        let mut index = 0;
        while index + 1 < N {
            skips[bytes[index] as usize] = (N - 1 - index) as u8;
            index += 1;
        }
        Mark { bytes, skips }
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    #[test]
    fn marks_are_found_where_a_naive_search_finds_them() {
        static MARK: Mark<4> = Mark::new(*b"abac");
        let mut state = 7_u32;
        let mut random = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state >> 24
        };
        let mut found_count = 0;
        for len in 0..600 {
            let bytes: Vec<u8> = (0..len).map(|_| b'a' + (random() % 3) as u8).collect();
            for from in [0, len / 3, len, len + 1] {
                let naive = (from..len).find(|&at| bytes[at..].starts_with(b"abac"));
                assert_eq!(find_mark(&bytes, from, &MARK), naive, "{bytes:?} from {from}");
                found_count += usize::from(naive.is_some());
            }
        }
        assert!(found_count > 500, "{found_count}");
    }
}

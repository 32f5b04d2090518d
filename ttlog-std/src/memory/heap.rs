//! Memory for a ring without a file: the heap, and the last resort.

use ttlog_core::Word;

/// Returns `len_words` zeroed words of memory without a file, never freed; `None` if there is not enough memory.
pub(crate) fn heap(len_words: usize) -> Option<&'static [Word]> {
    #[cfg(target_os = "linux")]
    let start = crate::sys::map_private(len_words * size_of::<Word>()).ok()?.as_ptr().cast::<Word>();
    #[cfg(not(target_os = "linux"))]
    let start = {
        let layout = std::alloc::Layout::array::<Word>(len_words).ok().filter(|layout| layout.size() > 0)?;
        // SAFETY: the layout is not empty.
        let start = unsafe { std::alloc::alloc_zeroed(layout) }.cast::<Word>();
        if start.is_null() {
            return None;
        }
        start
    };
    // SAFETY: the memory is `len_words` words long, aligned, never freed, and known to nobody else; zero is a valid
    // word.
    Some(unsafe { std::slice::from_raw_parts(start, len_words) })
}

/// Size of the last resort.
pub(crate) const EMERGENCY_BYTES: usize = 64 * 1024;

/// Returns the last resort: a small static region, for a process that cannot even allocate. Returns `None` after the
/// first call.
pub(crate) fn emergency() -> Option<&'static [Word]> {
    /// Whole pages of any size, because a child of `fork` replaces them with other memory.
    #[repr(align(65536))]
    struct Pages([Word; EMERGENCY_BYTES / 8]);
    static PAGES: Pages = Pages([const { Word::new(0) }; EMERGENCY_BYTES / 8]);
    static TAKEN: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);
    (!TAKEN.swap(true, std::sync::atomic::Ordering::Relaxed)).then_some(&PAGES.0)
}

/// Bytes of a ring whose pages are populated at the start, which takes about 1 ms per 1 MiB; the service thread
/// populates the rest, faster than a program can fill it.
pub(crate) const POPULATE_AT_ONCE_BYTES: usize = 4 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heap_that_cannot_be_had() {
        assert!(heap(usize::MAX / 8).is_none());
        assert!(heap(0).is_none());
        assert_eq!(heap(16).unwrap().len(), 16);
    }

    #[test]
    fn emergency_region_is_given_once() {
        assert!(emergency().is_some());
        assert!(emergency().is_none());
    }
}

//! The filter in force: a text that one context replaces while others read it, without a lock.
//!
//! There are two buffers. Readers copy the one that the version number selects; a change writes the other and then
//! increments the number. A reader's copy is consistent if the number is still the same, because the buffer it read is
//! written again only after an increment. So a reader that interrupted a change (a signal handler) never waits for it,
//! and a change that is never completed (its thread is gone after a fork) has no effect.

#[cfg(loom)]
use loom::sync::atomic::{AtomicU32, Ordering};
#[cfg(not(loom))]
use portable_atomic::Ordering;

use crate::event::filter::{FILTER_LEN_MAX, Filter};
use crate::event::metadata::Metadata;
#[cfg(not(loom))]
use crate::memory::atomic::AtomicU32;
use crate::memory::word::{Word, fence_acquire, fence_release};

/// Number of words in a buffer: the text's length, then the text.
const WORDS: usize = 1 + FILTER_LEN_MAX / 8;
/// Maximum number of times a reader copies again because the filter was changed twice meanwhile.
const TRIES: usize = 8;

/// A filter that can be changed while it is used. Never blocks or allocates.
#[derive(Debug)]
pub struct FilterCell(DoubleBuffer<WORDS>);

impl Default for FilterCell {
    fn default() -> Self {
        FilterCell::new()
    }
}

impl FilterCell {
    /// Creates a cell that records everything.
    #[cfg(not(loom))]
    #[must_use]
    pub const fn new() -> Self {
        FilterCell(DoubleBuffer { version: AtomicU32::new(0), buffers: [const { [const { Word::new(0) }; WORDS] }; 2] })
    }

    /// Creates a cell that records everything.
    #[cfg(loom)]
    #[must_use]
    pub fn new() -> Self {
        FilterCell(DoubleBuffer::new())
    }

    /// Puts a filter in force. Callsites do not notice automatically: call
    /// [`start_epoch`](crate::event::start_epoch) afterwards.
    ///
    /// One call at a time: overlapping calls leave a useless filter (but do no other harm). Not for signal handlers,
    /// which could interrupt another call.
    pub fn set(&self, filter: Filter<'_>) {
        let mut words = [0; WORDS];
        let text = filter.text();
        words[0] = text.len() as u64;
        for (word, bytes) in words[1..].iter_mut().zip(text.as_bytes().chunks(8)) {
            let mut eight = [0; 8];
            eight[..bytes.len()].copy_from_slice(bytes);
            *word = u64::from_le_bytes(eight);
        }
        self.0.write(&words);
    }

    /// Returns whether events of this level and target are recorded. Callable from any context, including a signal
    /// handler that interrupted [`set`](Self::set).
    ///
    /// If the filter is changed many times during the call, returns `true`; the callsite asks again in the epoch that
    /// each change starts.
    #[must_use]
    pub fn is_on(&self, metadata: &Metadata) -> bool {
        self.with(|filter| filter.is_on(metadata.level, metadata.target)).unwrap_or(true)
    }

    /// Calls `read` with the filter in force; `None` if it was changed too many times meanwhile.
    pub fn with<R>(&self, read: impl FnOnce(Filter<'_>) -> R) -> Option<R> {
        let words = (0..TRIES).find_map(|_| self.0.read())?;
        let len = words[0] as usize;
        if len == 0 {
            return Some(read(Filter::EVERYTHING));
        }
        let mut bytes = [0; FILTER_LEN_MAX];
        for (eight, word) in bytes.chunks_exact_mut(8).zip(&words[1..]) {
            eight.copy_from_slice(&word.to_le_bytes());
        }
        // The fallbacks apply only if two changes overlapped.
        let text = bytes.get(..len).and_then(|bytes| core::str::from_utf8(bytes).ok());
        Some(read(text.map_or(Filter::EVERYTHING, Filter::trusted)))
    }
}

/// Words that are replaced together.
#[derive(Debug)]
struct DoubleBuffer<const N: usize> {
    /// Number of times the words were replaced; the lowest bit selects the buffer that holds them.
    version: AtomicU32,
    buffers: [[Word; N]; 2],
}

impl<const N: usize> DoubleBuffer<N> {
    #[cfg(loom)]
    fn new() -> Self {
        let zeros = || core::array::from_fn(|_| Word::new(0));
        DoubleBuffer { version: AtomicU32::new(0), buffers: [zeros(), zeros()] }
    }

    /// Replaces the words. One call at a time.
    fn write(&self, words: &[u64; N]) {
        let next = self.version.load(Ordering::Relaxed).wrapping_add(1);
        // Pairs with the fence of `read`: a reader that sees one of the words below also sees the version of the
        // previous call, which no longer selects this buffer.
        fence_release();
        for (place, word) in self.buffers[next as usize & 1].iter().zip(words) {
            place.store(*word);
        }
        self.version.store(next, Ordering::Release);
    }

    /// Copies the words; `None` if they were replaced meanwhile.
    fn read(&self) -> Option<[u64; N]> {
        let version = self.version.load(Ordering::Acquire);
        let buffer = &self.buffers[version as usize & 1];
        let words = core::array::from_fn(|index| buffer[index].load());
        fence_acquire();
        (self.version.load(Ordering::Relaxed) == version).then_some(words)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::string::ToString as _;
    use std::sync::atomic::AtomicBool;

    use super::*;
    use crate::event::level::Level;

    fn text(cell: &FilterCell) -> std::string::String {
        cell.with(|filter| filter.text().to_string()).unwrap()
    }

    #[test]
    fn holds_what_was_put_in() {
        let cell = FilterCell::new();
        assert_eq!(text(&cell), "trace");
        let longest = std::format!("info,{}=off", "x".repeat(FILTER_LEN_MAX - 9));
        for filter in ["off", "eightlet=info,x=warn", &longest, "größer=debug", "trace"] {
            cell.set(Filter::parse(filter).unwrap());
            assert_eq!(text(&cell), filter);
        }
    }

    #[test]
    fn change_that_stopped_half_way_changed_nothing() {
        let cell = FilterCell::new();
        cell.set(Filter::parse("warn,a=info").unwrap());
        // The state that a thread gone in a fork leaves behind, or that a signal handler finds.
        let unused = cell.0.version.load(Ordering::Relaxed).wrapping_add(1) as usize & 1;
        cell.0.buffers[unused][0].store(99);
        cell.0.buffers[unused][1].store(0x4141_4141_4141_4141);
        assert_eq!(text(&cell), "warn,a=info");
        cell.set(Filter::parse("error").unwrap());
        assert_eq!(text(&cell), "error");
    }

    #[test]
    fn bytes_of_overlapping_changes_do_no_harm() {
        for (len, word) in [(u64::MAX, 0), (513, 0), (8, 0xFFFF_FFFF_FFFF_FFFF), (8, 0x2C2C_2C3D_2C2C_2C2C)] {
            let mut words = [0; WORDS];
            (words[0], words[1]) = (len, word);
            let cell = FilterCell::new();
            cell.0.write(&words);
            assert_eq!(cell.with(|filter| filter.is_on(Level::Trace, "any")), Some(true));
        }
    }

    #[test]
    fn readers_beside_a_writer_see_whole_filters() {
        const TEXTS: [&str; 3] = ["info,one=debug", "off", "warn,a::long::target::with::many::parts=trace,b=off"];
        let cell = FilterCell::new();
        cell.set(Filter::parse(TEXTS[0]).unwrap());
        let done = AtomicBool::new(false);
        let rounds = if cfg!(miri) { 50 } else { 20_000 };
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !done.load(std::sync::atomic::Ordering::Relaxed) {
                        if let Some(seen) = cell.with(|filter| filter.text().to_string()) {
                            assert!(TEXTS.contains(&seen.as_str()), "{seen}");
                        }
                    }
                });
            }
            for round in 0..rounds {
                cell.set(Filter::parse(TEXTS[round % 3]).unwrap());
            }
            done.store(true, std::sync::atomic::Ordering::Relaxed);
        });
    }
}

#[cfg(all(test, loom))]
mod interleavings {
    use ::loom::sync::Arc;
    use ::loom::thread;

    use super::*;

    #[test]
    fn loom_filter_read_while_it_is_replaced_twice() {
        ::loom::model(|| {
            let buffer = Arc::new(DoubleBuffer::<2>::new());
            buffer.write(&[1, 1]);
            let writer = {
                let buffer = Arc::clone(&buffer);
                thread::spawn(move || {
                    buffer.write(&[2, 2]);
                    buffer.write(&[3, 3]);
                })
            };
            if let Some([a, b]) = buffer.read() {
                assert!(a == b && (1..=3).contains(&a), "{a} {b}");
            }
            writer.join().unwrap();
            assert_eq!(buffer.read(), Some([3, 3]));
        });
    }
}

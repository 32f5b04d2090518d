//! The thread's buffer, into which the values of an event are encoded.

use std::cell::Cell;
use std::ptr::{self, NonNull};

use crate::config::settings::SEGMENT_BYTES_MIN;
use crate::state;

/// Length of the buffer in words, 8 KiB. Longer values are cut.
const BUFFER_WORDS: usize = 1024;
/// Length of the buffer of a nested event, and of one at the end of a thread, in words: 512 bytes. It is on the stack.
const SMALL_WORDS: usize = 64;

type Buffer = [u64; BUFFER_WORDS];

thread_local! {
    /// The thread's buffer, a leaked box; null before the first event, while an event is being encoded, and after the
    /// thread's end. Has no destructor, so that it costs a load and a store.
    static BUFFER: Cell<*mut Buffer> = const { Cell::new(ptr::null_mut()) };
    /// State of the thread's buffer.
    static STATE: Cell<BufferState> = const { Cell::new(BufferState::New) };
    /// Frees the buffer when the thread ends.
    static FREE_AT_END: FreeAtEnd = const { FreeAtEnd };
}

/// State of a thread's buffer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum BufferState {
    /// It was not needed yet.
    New,
    /// It is allocated, or is being allocated, or there was no memory for it.
    Exists,
    /// The thread is ending: there is none any more.
    Freed,
}

/// Calls `encode` with a buffer as long as the ring can take records.
///
/// The buffer of a thread is allocated at its first call. A nested call (an impl of `Debug` that logs, an allocator),
/// and one at the end of the thread, gets a small one.
#[inline]
pub(crate) fn with_buffer<R>(encode: impl FnOnce(&mut [u64]) -> R) -> R {
    let Some(mut taken) = Taken::take() else { return with_small_buffer(encode) };
    let words = taken.words();
    let len = words.len().min(record_words_max());
    encode(&mut words[..len])
}

#[cold]
#[inline(never)]
fn with_small_buffer<R>(encode: impl FnOnce(&mut [u64]) -> R) -> R {
    let mut words = [0; SMALL_WORDS];
    let len = SMALL_WORDS.min(record_words_max());
    encode(&mut words[..len])
}

/// Returns the number of words of values that certainly fits into a segment, at most those of the buffer.
#[inline]
fn record_words_max() -> usize {
    // In a plugin, the segments are those of its program; the shortest ones have that length.
    let segment_len = state::current().map_or(SEGMENT_BYTES_MIN, |state| state.ring.segment_len());
    // The usual case, by a branch: the values wait for what is computed.
    if segment_len >= LONG_SEGMENT_LEN { BUFFER_WORDS } else { record_words_in(segment_len) }
}

/// Length of the shortest segments into which the whole buffer fits, rounded up.
const LONG_SEGMENT_LEN: usize = 12 * 1024;
const _: () = assert!(words_in(LONG_SEGMENT_LEN) >= BUFFER_WORDS);

#[cold]
#[inline(never)]
fn record_words_in(segment_len: usize) -> usize {
    words_in(segment_len).min(BUFFER_WORDS)
}

/// Returns the number of words of values that fits into a segment beside its headers and the name of the thread, for
/// which the writer leaves at most a quarter of the segment.
const fn words_in(segment_len: usize) -> usize {
    (segment_len - segment_len / 4).saturating_sub(128) / 8
}

/// The buffer, taken from its thread; dropping it puts it back.
///
/// The pointer is a leaked box that nobody else has: it was taken out of `BUFFER`, or allocated by this thread.
struct Taken(NonNull<Buffer>);

impl Taken {
    #[inline]
    fn take() -> Option<Taken> {
        match NonNull::new(BUFFER.with(|buffer| buffer.replace(ptr::null_mut()))) {
            Some(buffer) => Some(Taken(buffer)),
            None => Taken::allocate(),
        }
    }

    /// Allocates the buffer of a thread that has none. Returns `None` if it has, if it is ending, and without memory.
    #[cold]
    #[inline(never)]
    fn allocate() -> Option<Taken> {
        if STATE.get() != BufferState::New {
            return None;
        }
        // Before anything that can log: the allocator.
        STATE.set(BufferState::Exists);
        if FREE_AT_END.try_with(|_| ()).is_err() {
            STATE.set(BufferState::Freed);
            return None;
        }
        let mut words = Vec::new();
        words.try_reserve_exact(BUFFER_WORDS).ok()?;
        words.resize(BUFFER_WORDS, 0);
        let words: Box<Buffer> = words.into_boxed_slice().try_into().ok()?;
        NonNull::new(Box::into_raw(words)).map(Taken)
    }

    #[inline]
    fn words(&mut self) -> &mut Buffer {
        // SAFETY: a leaked box that this value alone has, see the type.
        unsafe { self.0.as_mut() }
    }
}

impl Drop for Taken {
    #[inline]
    fn drop(&mut self) {
        if STATE.get() == BufferState::Freed {
            free(self.0.as_ptr());
        } else {
            BUFFER.set(self.0.as_ptr());
        }
    }
}

/// A value whose destructor runs at the thread's end.
struct FreeAtEnd;

impl Drop for FreeAtEnd {
    fn drop(&mut self) {
        STATE.set(BufferState::Freed);
        free(BUFFER.replace(ptr::null_mut()));
    }
}

#[cold]
fn free(buffer: *mut Buffer) {
    if !buffer.is_null() {
        // SAFETY: a leaked box, which the caller has taken from where it was, so nobody else frees it.
        drop(unsafe { Box::from_raw(buffer) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_call_has_another_buffer() {
        with_buffer(|outer| {
            outer[0] = 1;
            with_buffer(|inner| inner.fill(2));
            assert_eq!(outer[0], 1);
        });
    }

    #[test]
    fn buffer_is_back_after_a_panic() {
        let place = with_buffer(|buffer| buffer.as_ptr().addr());
        std::panic::catch_unwind(|| with_buffer(|_| panic!("on purpose"))).unwrap_err();
        assert_eq!(with_buffer(|buffer| buffer.as_ptr().addr()), place);
    }
}

//! The thread's buffer, into which the values of an event are encoded.

use std::cell::Cell;

use crate::config::settings::SEGMENT_BYTES_MIN;
use crate::state;

/// Length of the buffer in bytes. Longer values are cut.
const BUFFER_LEN: usize = 8 * 1024;
/// Length of the buffer of a nested event, and of one at the end of a thread. It is on the stack.
const SMALL_LEN: usize = 512;

/// The buffer of a thread.
struct ThreadBuffer {
    /// Empty before the first event, and while an event is being encoded.
    bytes: Cell<Vec<u8>>,
    /// Whether an event is being encoded.
    is_taken: Cell<bool>,
}

thread_local! {
    static BUFFER: ThreadBuffer = const { ThreadBuffer { bytes: Cell::new(Vec::new()), is_taken: Cell::new(false) } };
}

/// Calls `encode` with a buffer as long as the ring can take records.
///
/// The buffer of a thread is allocated at its first call. A nested call (an impl of `Debug` that logs, an allocator),
/// and one at the end of the thread, gets a small one.
#[inline]
pub(crate) fn with_buffer<R>(encode: impl FnOnce(&mut [u8]) -> R) -> R {
    let Some(mut taken) = Taken::take() else { return with_small_buffer(encode) };
    let len = taken.0.len().min(record_len_max());
    encode(&mut taken.0[..len])
}

#[cold]
#[inline(never)]
fn with_small_buffer<R>(encode: impl FnOnce(&mut [u8]) -> R) -> R {
    let mut bytes = [0; SMALL_LEN];
    let len = SMALL_LEN.min(record_len_max());
    encode(&mut bytes[..len])
}

/// Returns the length of values that certainly fits into a segment, beside its headers and the name of the thread, for
/// which the writer leaves at most a quarter of the segment.
#[inline]
fn record_len_max() -> usize {
    // In a plugin, the segments are those of its program; the shortest ones have that length.
    let segment_len = state::current().map_or(SEGMENT_BYTES_MIN, |state| state.ring.segment_len());
    (segment_len - segment_len / 4).saturating_sub(128)
}

/// The buffer, taken from its thread; dropping it puts it back.
struct Taken(Vec<u8>);

impl Taken {
    #[inline]
    fn take() -> Option<Taken> {
        BUFFER.try_with(|buffer| (!buffer.is_taken.replace(true)).then(|| buffer.bytes.take())).ok().flatten().and_then(
            |bytes| {
                // From here on, the drop puts the bytes back.
                let mut taken = Taken(bytes);
                (!taken.0.is_empty() || taken.allocate()).then_some(taken)
            },
        )
    }

    /// Allocates the buffer; returns `false` without memory.
    #[cold]
    fn allocate(&mut self) -> bool {
        let has_room = self.0.try_reserve_exact(BUFFER_LEN).is_ok();
        if has_room {
            self.0.resize(BUFFER_LEN, 0);
        }
        has_room
    }
}

impl Drop for Taken {
    #[inline]
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.0);
        // An error means that the thread ended meanwhile; the buffer is freed.
        let _ = BUFFER.try_with(|buffer| {
            buffer.bytes.set(bytes);
            buffer.is_taken.set(false);
        });
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

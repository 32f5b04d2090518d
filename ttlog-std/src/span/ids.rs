//! Ids of spans, unique in the process.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering, compiler_fence};

/// Number of ids that a thread takes at a time, the first of which it does not use. A power of two.
const BLOCK: u64 = 64;

/// The first id of the next block.
static NEXT_BLOCK: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// The latest id of the thread; the last of its block, or 0, if it needs another block.
    static LATEST: Latest = const { Latest { id: Cell::new(BLOCK - 1), is_busy: Cell::new(false) } };
}

struct Latest {
    id: Cell<u64>,
    /// Whether the id is being taken. A signal handler that interrupts this takes another block.
    is_busy: Cell<bool>,
}

/// Returns an id that no other span has; never 0. Takes no lock. Async-signal-safe.
#[inline(always)]
pub(crate) fn next_id() -> u64 {
    LATEST.with(|latest| {
        if latest.is_busy.replace(true) {
            return next_block();
        }
        // A signal handler runs on this thread, so the order of the program is enough.
        compiler_fence(Ordering::SeqCst);
        let mut id = latest.id.get().wrapping_add(1);
        if id % BLOCK == 0 {
            id = next_block();
        }
        latest.id.set(id);
        compiler_fence(Ordering::SeqCst);
        latest.is_busy.set(false);
        id
    })
}

/// Returns the first id of a block of its own.
#[cold]
#[inline(never)]
fn next_block() -> u64 {
    NEXT_BLOCK.fetch_add(BLOCK, Ordering::Relaxed) + 1
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_of_many_threads_are_unique_and_never_zero() {
        let of_thread = || (0..5 * BLOCK).map(|_| next_id()).collect::<Vec<_>>();
        let threads: Vec<_> = (0..4).map(|_| std::thread::spawn(of_thread)).collect();
        let ids: Vec<_> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        assert!(!ids.contains(&0));
        assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len());
    }

    #[test]
    fn interrupted_call_and_the_handler_get_different_ids() {
        let before = next_id();
        // As a handler finds it.
        LATEST.with(|latest| latest.is_busy.set(true));
        let in_handler = [next_id(), next_id()];
        LATEST.with(|latest| latest.is_busy.set(false));
        let after = next_id();
        assert_eq!([before, in_handler[0], in_handler[1], after].into_iter().collect::<HashSet<_>>().len(), 4);
    }
}

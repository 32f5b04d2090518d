//! The means of a panicking thread: the steps that it can take after the panic's event is recorded without ending or
//! stopping a program that would go on.

use std::time::Duration;

use crate::state::State;
use crate::sys;

/// Bytes of stack that a backtrace takes, and some more.
const BACKTRACE_STACK_LEN: usize = 64 * 1024;
/// Bytes of stack that a snapshot takes, and some more.
const SNAPSHOT_STACK_LEN: usize = 32 * 1024;
/// Bytes of address space that must be left for a backtrace. How much it takes depends on the size of the program and
/// of its debug information.
const BACKTRACE_MEMORY_LEN: usize = 16 << 20;
/// Bytes that the allocator must have for a snapshot, which takes less. Its working memory is allocated at the start.
const SNAPSHOT_MEMORY_LEN: usize = 32 * 1024;
/// Longest time that the allocator may take.
const ALLOCATOR_WAIT_MAX: Duration = Duration::from_secs(1);

/// The means of a panicking thread.
#[derive(Clone, Copy, Debug)]
pub(super) struct Means {
    /// Whether it can allocate at all: if not, it would wait for itself.
    pub(super) allocator: bool,
    /// Whether it can capture a backtrace. std's code for that allocates without asking whether there is memory, so it
    /// ends the process if there is none, and takes tens of kilobytes of stack.
    pub(super) backtrace: bool,
    /// Whether it can write a snapshot: whether there is stack and, for paths and the like, memory.
    pub(super) snapshot: bool,
    /// Whether another thread can write it.
    pub(super) snapshot_elsewhere: bool,
}

impl Means {
    /// Determines the means of this thread.
    ///
    /// A thread that panics inside the program's allocator can hold the allocator's lock, and would wait for itself
    /// forever. So the service thread tries the allocator first, if it has nothing else to do.
    pub(super) fn of_this_thread(state: &State) -> Self {
        if !state.process().queue.can_allocate(ALLOCATOR_WAIT_MAX) {
            return Means { allocator: false, backtrace: false, snapshot: false, snapshot_elsewhere: true };
        }
        let left = sys::stack_left().unwrap_or(usize::MAX);
        let has_memory = Vec::<u8>::new().try_reserve_exact(SNAPSHOT_MEMORY_LEN).is_ok();
        Means {
            allocator: true,
            backtrace: has_memory && left >= BACKTRACE_STACK_LEN && sys::can_map(BACKTRACE_MEMORY_LEN),
            snapshot: has_memory && left >= SNAPSHOT_STACK_LEN,
            snapshot_elsewhere: has_memory,
        }
    }
}

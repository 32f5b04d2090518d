//! The thread: its place in the ring, its name, and its nesting depth of work on the ring.

use std::cell::Cell;
use std::mem::{ManuallyDrop, needs_drop};
use std::sync::atomic::{AtomicU32, Ordering};

use ttlog_core::ContextInfo;
use ttlog_core::ring::{Cursor, Identify, NameRoom, PriorityCursor};

use super::passage::Passage;
use super::recorder::{State, current};
use super::thread_name::ThreadName;
use crate::clock;
use crate::config::settings::FatalSignals;
use crate::sys::{AlternateStack, call_at_thread_end, is_first_thread, is_made_by_std, prepare_thread_ends, thread_id};

thread_local! {
    /// The thread's place in the ring. Has no destructor, so that events are recorded while other thread-locals are
    /// destroyed.
    static CURSOR: Cursor<'static> = const { Cursor::new() };
    /// The thread's place in the priority class.
    static PRIORITY_CURSOR: PriorityCursor<'static> = const { PriorityCursor::new(SHARED_MAX) };
    /// Identity of the thread, determined at its first event.
    pub(crate) static IDENTITY: Identity = const { Identity::new() };
    /// Nesting depth of the thread's work on the ring outside the hot path.
    pub(crate) static DEPTH: Depth = const { Depth { calls: Cell::new(0), has_forked: Cell::new(false) } };
    /// The stack for signal handlers, of a thread that had none. Released by [`at_end`].
    static STACK: Cell<Option<ManuallyDrop<AlternateStack>>> = const { Cell::new(None) };
}

// All are used while the thread's other thread-locals are destroyed, and `cursor` relies on the first never being so. A
// destructor would also be registered at the first use, which allocates and takes a lock of the C library.
const _: () = assert!(!needs_drop::<Cursor<'static>>() && !needs_drop::<PriorityCursor<'static>>());
const _: () = assert!(!needs_drop::<Identity>() && !needs_drop::<Depth>());
const _: () = assert!(!needs_drop::<Cell<Option<ManuallyDrop<AlternateStack>>>>());

/// Number of warnings and errors of a thread in one shared segment from which it takes a segment of its own: about one
/// in a hundred of those that a segment of the usual size has room for.
const SHARED_MAX: u32 = 16;

/// The number of the latest context.
static LAST_CONTEXT: AtomicU32 = AtomicU32::new(0);

/// Returns the thread's cursor.
#[inline(always)]
pub(crate) fn cursor<'a>() -> &'a Cursor<'static> {
    let cursor = CURSOR.with(core::ptr::from_ref);
    // SAFETY: a thread-local without a destructor lives as long as its thread, and the reference does not leave the
    // functions that ask for it, which return before the thread ends. (The closure of `with` is not used for the whole
    // append, because then the compiler would not keep the fields in registers.)
    unsafe { &*cursor }
}

/// Returns the thread's place in the priority class.
#[inline(always)]
pub(crate) fn priority_cursor<'a>() -> &'a PriorityCursor<'static> {
    let cursor = PRIORITY_CURSOR.with(core::ptr::from_ref);
    // SAFETY: as in `cursor`.
    unsafe { &*cursor }
}

/// Returns both places, of appends on the hot path.
pub(crate) fn hot_cursors<'a>() -> [&'a Cursor<'static>; 2] {
    [cursor(), priority_cursor().own()]
}

/// Makes the thread forget its places in the ring, because other memory has replaced that.
pub(crate) fn forget_places() {
    cursor().forget();
    priority_cursor().forget();
}

/// Nesting depth of a thread's work on the ring.
pub(crate) struct Depth {
    pub(crate) calls: Cell<u32>,
    /// Whether the process was forked meanwhile, by a signal handler that interrupted that work.
    pub(crate) has_forked: Cell<bool>,
}

/// Marks work on the ring for as long as it lives, inside the gate.
pub(crate) struct SlowPathGuard {
    /// `None` if this work is nested in other work, which is inside.
    _passage: Option<Passage<'static>>,
}

impl SlowPathGuard {
    /// Begins work on the ring by a log call; `None` if the ring is being moved.
    #[inline]
    pub(crate) fn enter(state: &'static State) -> Option<Self> {
        Self::begin(|| state.enter(lane()))
    }

    /// Begins work on the ring by a thread that can wait for the end of a move.
    fn enter_patiently(state: &'static State) -> Option<Self> {
        Self::begin(|| state.enter_patiently(lane()))
    }

    #[inline(always)]
    fn begin(enter: impl FnOnce() -> Option<Passage<'static>>) -> Option<Self> {
        DEPTH.with(|depth| {
            let calls = depth.calls.get();
            let passage = if calls > 0 { None } else { Some(enter()?) };
            depth.calls.set(calls + 1);
            Some(SlowPathGuard { _passage: passage })
        })
    }
}

/// Returns the thread's lane through the gate.
pub(crate) fn lane() -> u32 {
    IDENTITY.with(|identity| identity.context.get())
}

/// Returns whether the thread is working on the ring, outside of the hot path.
#[cfg(target_os = "linux")]
pub(crate) fn is_on_slow_path() -> bool {
    DEPTH.with(|depth| depth.calls.get() > 0)
}

impl Drop for SlowPathGuard {
    fn drop(&mut self) {
        let is_over = DEPTH.with(|depth| {
            depth.calls.set(depth.calls.get() - 1);
            depth.calls.get() == 0 && depth.has_forked.replace(false)
        });
        if let Some(state) = current().filter(|_| is_over) {
            // The work interrupted by the fork has stored its last word. From here on this thread can record.
            forget_places();
            state.forked.slow_under_way.store(false, Ordering::Release);
            state.forked.see_fast_path(hot_cursors().map(Cursor::is_closed));
        }
    }
}

/// State of knowledge about the thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IdentityState {
    New,
    FindingOut,
    Known,
    Ended,
}

/// Identity of the thread.
pub(crate) struct Identity {
    pub(crate) state: Cell<IdentityState>,
    /// Its number in the ring; 0 before the first event.
    pub(crate) context: Cell<u32>,
    pub(crate) os_thread_id: Cell<u64>,
    name: ThreadName,
}

impl Identity {
    const fn new() -> Self {
        Identity {
            state: Cell::new(IdentityState::New),
            context: Cell::new(0),
            os_thread_id: Cell::new(0),
            name: ThreadName::new(),
        }
    }

    /// Assigns the thread its number, without a system call. Until [`find_out`](Self::find_out) was called, its events
    /// are recorded without its name, in shared segments. Returns `false`, and does nothing, if that is done already.
    pub(crate) fn number(&self) -> bool {
        let is_new = self.state.get() == IdentityState::New;
        if is_new {
            self.state.set(IdentityState::FindingOut);
            // From 1; after 4 billion threads the numbers repeat.
            self.context.set(LAST_CONTEXT.fetch_add(1, Ordering::Relaxed).wrapping_add(1).max(1));
        }
        is_new
    }

    /// Asks for the thread's name and prepares for its end: the only place with system calls of a thread's event,
    /// except for [`Identify::renewed`]. Called by whoever has [numbered](Self::number) it. Async-signal-safe on Linux:
    /// a signal handler in which the thread has its first event can have interrupted the allocator.
    pub(crate) fn find_out(&self) {
        self.os_thread_id.set(thread_id());
        // Before the thread gets another stack for signal handlers.
        let is_of_std = is_made_by_std();
        // A thread whose end goes unnoticed never holds a segment.
        let is_noticed = call_at_thread_end();
        if is_noticed && current().is_some_and(|state| state.settings.fatal_signals != FatalSignals::Off) {
            // Ensures that an overflow of the thread's stack can be recorded in the ring.
            STACK.with(|stack| stack.set(AlternateStack::for_thread_that_needs_one().map(ManuallyDrop::new)));
        }
        self.name.find_out(is_first_thread(self.os_thread_id.get()), is_of_std);
        self.state.set(if is_noticed { IdentityState::Known } else { IdentityState::Ended });
    }

    /// Returns whether the thread can hold a segment.
    pub(crate) fn is_known(&self) -> bool {
        self.state.get() == IdentityState::Known
    }

    fn info<'r>(&self, room: &'r mut NameRoom) -> ContextInfo<'r> {
        ContextInfo {
            context: self.context.get(),
            os_thread_id: self.os_thread_id.get(),
            next_index: 0, // the cursor knows
            name: self.name.copy(room),
        }
    }
}

impl Identify for Identity {
    fn context(&self) -> u32 {
        self.context.get()
    }

    fn known<'r>(&'r self, room: &'r mut NameRoom) -> ContextInfo<'r> {
        self.info(room)
    }

    /// Asks the operating system for the thread's present name, unless the program does not want that.
    fn renewed<'r>(&'r self, room: &'r mut NameRoom) -> ContextInfo<'r> {
        let is_wanted = current().is_some_and(|state| state.settings.thread_renames);
        if is_wanted && self.state.get() == IdentityState::Known && self.name.look_again() {
            // The warnings and errors from here on have the new name, too.
            priority_cursor().rename();
        }
        self.info(room)
    }
}

/// Returns the number of this thread in the ring; 0 if it has recorded nothing yet. Async-signal-safe.
#[cfg(target_os = "linux")]
pub(crate) fn context() -> u32 {
    IDENTITY.with(|identity| identity.context.get())
}

/// Returns the system's id of this thread; 0 if it has recorded nothing yet. Async-signal-safe.
#[cfg(target_os = "linux")]
pub(crate) fn known_os_thread_id() -> u64 {
    IDENTITY.with(|identity| identity.os_thread_id.get())
}

/// Prepares for the ends of threads. Called once, before the first event.
pub(crate) fn prepare_ends() {
    prepare_thread_ends(at_end);
}

/// Called at the end of a thread that has recorded, after its thread-locals were destroyed, wherever the system allows
/// that.
extern "C" fn at_end(_: *mut std::ffi::c_void) {
    if IDENTITY.with(|identity| identity.state.get()) == IdentityState::Known {
        leave();
        let _freed = STACK.with(Cell::take).map(ManuallyDrop::into_inner);
    }
}

/// Releases the thread's segment. Its later events are recorded in shared segments.
fn leave() {
    IDENTITY.with(|identity| identity.state.set(IdentityState::Ended));
    if let Some(state) = current() {
        // If the ring is being moved all that time, the segment stays this thread's.
        let Some(_slow_path) = SlowPathGuard::enter_patiently(state) else { return };
        cursor().detach(&state.ring, clock::now());
        priority_cursor().detach(&state.ring, clock::now());
    }
}

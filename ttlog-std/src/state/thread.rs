//! The thread: its cursor, its name, and the way of an event from the macro into the ring.
//!
//! The hot path is [`record`]: the callsite's id, the clock, and an append to the thread's own segment. What is not simple goes
//! to `record_slow`, once per callsite, per segment, and per change of the filter.

use std::cell::Cell;
use std::sync::atomic::{AtomicU32, Ordering};

use ttlog_core::level::is_kept;
use ttlog_core::record::CONTEXT_NAME_MAX;
use ttlog_core::ring::Cursor;
#[cfg(target_os = "linux")]
use ttlog_core::ring::UnderWay;
use ttlog_core::{AnyFields, Callsite, ContextInfo, DropReason, Fields};

use crate::clock;
use crate::recorder::{RecorderInner, recorder};
use crate::snapshot::cause;
use crate::state::registry::Origin;

thread_local! {
    /// The thread's place in the ring. Has no destructor, so that events are recorded while other thread-locals are destroyed.
    static CURSOR: Cursor<'static> = const { Cursor::new() };
    /// Who the thread is, found out at its first event.
    static IDENTITY: Identity = const { Identity::new() };
    /// How deep the thread is in work on the ring that is not on the hot path.
    static DEPTH: Depth = const { Depth { calls: Cell::new(0), has_forked: Cell::new(false) } };
    /// Whether this thread has forked, is the one of the child, and was in an append on the hot path which may still be under way.
    #[cfg(target_os = "linux")]
    static HAS_FORKED: Cell<bool> = const { Cell::new(false) };
    /// What [`about_to_fork`] found.
    #[cfg(target_os = "linux")]
    static INTERRUPTED: Cell<Option<(UnderWay<'static>, bool)>> = const { Cell::new(None) };
    /// Leaves the thread's segment to others when the thread ends.
    static LEAVE_AT_END: LeaveAtEnd = const { LeaveAtEnd::new() };
}

// Both are used while the thread's other thread-locals are destroyed, and `cursor` relies on the first never being so.
const _: () = assert!(!std::mem::needs_drop::<Cursor<'static>>() && !std::mem::needs_drop::<Identity>());
const _: () = assert!(!std::mem::needs_drop::<Depth>());

/// The number given to the latest context.
static LAST_CONTEXT: AtomicU32 = AtomicU32::new(0);

/// Records an event; what the macros of this crate expand to.
///
/// Never blocks. After a thread's first event it does not allocate and makes no system call. Callable anywhere: in signal
/// handlers, destructors of thread-locals, allocators and panic hooks too.
///
/// `KEPT` says that its level is one that is kept: such events are rare, and all go the slow way.
#[inline(always)] // out of line, the fields would go through memory: some thirty instructions more
pub fn record<const KEPT: bool, F: Fields>(callsite: &'static Callsite, fields: F) {
    if KEPT {
        record_slow(callsite, &fields);
        return;
    }
    if let (Some(id), true) = (callsite.id_for(F::HASH), fields.are_small()) {
        // The clock is read only now: reading it takes longer than all the rest, and the other path reads it for itself.
        if let Some(ticks) = clock::now_inline() {
            if cursor().append_small(id, ticks, &fields) {
                return;
            }
        }
    }
    // A copy, so that the hot path keeps the fields in registers.
    let copy = fields;
    record_other(callsite, &copy);
}

/// Records an event that is not small, or not simple.
#[inline(never)]
fn record_other<F: Fields>(callsite: &'static Callsite, fields: &F) {
    if let Some(id) = callsite.id_for(F::HASH) {
        if cursor().append_plain(id, clock::now(), fields) {
            return;
        }
    }
    record_slow(callsite, fields);
}

/// Gives the thread's cursor.
#[inline(always)]
fn cursor<'a>() -> &'a Cursor<'static> {
    let cursor = CURSOR.with(core::ptr::from_ref);
    // SAFETY: a thread-local without a destructor lives as long as its thread, and the reference does not leave this module,
    // whose functions return before the thread ends. (The closure of `with` is not used for the whole append, because then
    // the compiler would not keep the fields in registers.)
    unsafe { &*cursor }
}

/// Records an event whatever it takes. In a library that was loaded at run time and is attached to the recorder of its program, all
/// events come here, and are handed to that.
#[cold]
#[inline(never)]
pub(crate) fn record_slow(callsite: &'static Callsite, fields: &dyn AnyFields) {
    if recorder().is_some() {
        record_from(Origin::Program, callsite, fields);
    } else {
        ttlog_core::recorder::record_any(callsite, fields);
    }
}

/// Records an event of a callsite that is in the program or in a plugin.
pub(crate) fn record_from(origin: Origin, callsite: &'static Callsite, fields: &dyn AnyFields) {
    let Some(recorder) = recorder() else { return };
    let _inside = Inside::new();
    #[cfg(target_os = "linux")]
    if !recorder.renewal.is_ready() {
        see_fast_path(recorder);
        if !crate::fork::child::may_record(recorder) {
            return;
        }
    }
    if let Some(id) = id_of(recorder, origin, callsite, fields) {
        if recorder.ring.kept_segment_count() > 0 && is_kept(callsite.metadata().level) {
            append_kept(recorder, id, fields);
        } else {
            append(recorder, id, fields);
        }
    }
    recorder.write_anchor_if_due();
    cause::on_event(recorder, callsite.metadata().level);
}

/// How deep a thread is in work on the ring.
struct Depth {
    calls: Cell<u32>,
    /// The process was forked meanwhile, by a signal handler that interrupted that work.
    has_forked: Cell<bool>,
}

/// Marks work on the ring for as long as it lives.
struct Inside;

impl Inside {
    fn new() -> Self {
        DEPTH.with(|depth| depth.calls.set(depth.calls.get() + 1));
        Inside
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        let is_over = DEPTH.with(|depth| {
            depth.calls.set(depth.calls.get() - 1);
            depth.calls.get() == 0 && depth.has_forked.replace(false)
        });
        #[cfg(target_os = "linux")]
        if let Some(recorder) = recorder().filter(|_| is_over) {
            // What was interrupted by the fork has stored its last word. From here on this thread may record.
            cursor().forget();
            IDENTITY.with(|identity| identity.told.set(0));
            recorder.heritage.slow_under_way.store(false, Ordering::Release);
            recorder.heritage.see_fast_path(cursor().is_closed());
        }
        #[cfg(not(target_os = "linux"))]
        let _ = is_over;
    }
}

/// Notes which append of this thread is interrupted by the fork that is about to happen. In the child that could not be told any
/// more: its parent goes on with that append at the same time, in the same memory. Async-signal-safe.
#[cfg(target_os = "linux")]
pub(crate) fn about_to_fork() {
    let under_way = cursor().under_way().map(|append| (append, append.is_busy()));
    INTERRUPTED.with(|interrupted| interrupted.set(under_way));
}

/// Makes the thread that has forked, now the only one of a child, forget its place in the parent's ring. Gives the append that the
/// fork has interrupted before it has committed its record, and whether it has marked its segment busy. Called in the child;
/// async-signal-safe.
#[cfg(target_os = "linux")]
pub(crate) fn forked(recorder: &'static RecorderInner) -> Option<(UnderWay<'static>, bool)> {
    let under_way = INTERRUPTED.with(Cell::take);
    let is_inside = DEPTH.with(|depth| {
        depth.has_forked.set(depth.calls.get() > 0);
        depth.has_forked.get()
    });
    recorder.heritage.slow_under_way.store(is_inside, Ordering::Release);
    if !is_inside {
        cursor().forget();
    }
    IDENTITY.with(|identity| {
        if identity.context.get() != 0 {
            identity.os_thread_id.set(crate::sys::thread_id());
        }
        identity.told.set(0);
    });
    HAS_FORKED.with(|has_forked| has_forked.set(under_way.is_some()));
    under_way
}

/// Tells the heritage that an append of this thread is over which the fork has interrupted, if that is so.
#[cfg(target_os = "linux")]
fn see_fast_path(recorder: &'static RecorderInner) {
    if HAS_FORKED.with(Cell::get) && recorder.heritage.see_fast_path(cursor().is_closed()) {
        HAS_FORKED.with(|has_forked| has_forked.set(false));
    }
}

/// Gives the callsite's id, from the registry if it is new. `None`: it was refused, and the event counted.
fn id_of(
    recorder: &'static RecorderInner,
    origin: Origin,
    callsite: &'static Callsite,
    fields: &dyn AnyFields,
) -> Option<u16> {
    let hash = fields.types_hash();
    if let Some(id) = callsite.id_for(hash) {
        return Some(id);
    }
    let id = recorder.registry.register(&recorder.ring, callsite, fields.types(), hash, origin);
    match id {
        Some(id) => callsite.bind(hash, id),
        None => recorder.ring.count_dropped(DropReason::Unregistered, 1),
    }
    id
}

fn append(recorder: &'static RecorderInner, id: u16, fields: &dyn AnyFields) {
    IDENTITY.with(|identity| {
        if identity.state.get() == State::New {
            identity.find_out();
        }
        match identity.state.get() {
            State::Known => {
                let name = identity.name.get();
                let who = identity.info(&name);
                cursor().append_slow(&recorder.ring, &clock::now, &who, id, fields);
            }
            // An event while the identity is being found out (an allocator that logs), or after the thread's end: the thread
            // holds no segment then, or will not give it back.
            State::New | State::FindingOut | State::Ended => {
                let context = identity.context.get();
                recorder.ring.append_shared(clock::now(), context, id, fields, DropReason::Reentrant);
            }
        }
    });
}

/// Records an event where those of lower levels do not replace it.
fn append_kept(recorder: &'static RecorderInner, id: u16, fields: &dyn AnyFields) {
    IDENTITY.with(|identity| {
        if identity.state.get() == State::New {
            identity.find_out();
        }
        // While the thread's name is being found out it is not told.
        let told = (identity.state.get() != State::FindingOut).then_some(&identity.told);
        let name = identity.name.get();
        let who = identity.info(&name);
        recorder.ring.append_kept(clock::now(), &who, told, id, fields, DropReason::NoSegment);
    });
}

/// What is known of the thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    New,
    FindingOut,
    Known,
    Ended,
}

/// Who the thread is.
struct Identity {
    state: Cell<State>,
    /// Its number in the ring; 0 before the first event.
    context: Cell<u32>,
    os_thread_id: Cell<u64>,
    /// Its name in UTF-8.
    name: Cell<[u8; CONTEXT_NAME_MAX]>,
    /// Bytes of the name.
    name_len: Cell<usize>,
    /// Where among the kept events it was told last who the thread is, as [`Ring::append_kept`](ttlog_core::Ring::append_kept)
    /// remembers it.
    told: Cell<u64>,
}

impl Identity {
    const fn new() -> Self {
        Identity {
            state: Cell::new(State::New),
            context: Cell::new(0),
            os_thread_id: Cell::new(0),
            name: Cell::new([0; CONTEXT_NAME_MAX]),
            name_len: Cell::new(0),
            told: Cell::new(0),
        }
    }

    /// Gives the thread its number and asks for its name: the one place where a thread's event may allocate and call the
    /// system.
    fn find_out(&self) {
        self.state.set(State::FindingOut);
        // From 1; after 4 billion threads the numbers repeat.
        self.context.set(LAST_CONTEXT.fetch_add(1, Ordering::Relaxed).wrapping_add(1).max(1));
        self.os_thread_id.set(crate::sys::thread_id());
        // Fails when the thread is ending already: then it never holds a segment.
        let lives = LEAVE_AT_END.try_with(LeaveAtEnd::prepare).is_ok();
        if !lives {
            self.state.set(State::Ended);
            return;
        }
        let thread = std::thread::current();
        let text = crate::snapshot::names::cut(thread.name().unwrap_or_default(), CONTEXT_NAME_MAX);
        let mut name = [0; CONTEXT_NAME_MAX];
        name[..text.len()].copy_from_slice(text.as_bytes());
        self.name.set(name);
        self.name_len.set(text.len());
        self.state.set(State::Known);
    }

    fn info<'a>(&self, name: &'a [u8; CONTEXT_NAME_MAX]) -> ContextInfo<'a> {
        ContextInfo {
            context: self.context.get(),
            os_thread_id: self.os_thread_id.get(),
            next_index: 0, // the cursor knows
            name: std::str::from_utf8(&name[..self.name_len.get()]).unwrap_or_default(),
        }
    }
}

/// Gives the number of this thread in the ring; 0: it has recorded nothing yet. Async-signal-safe.
#[cfg(target_os = "linux")]
pub(crate) fn context() -> u32 {
    IDENTITY.with(|identity| identity.context.get())
}

/// Its destructor runs at the thread's end.
struct LeaveAtEnd {
    /// The stack for signal handlers, of a thread that came without one.
    #[cfg(target_os = "linux")]
    stack: Cell<Option<crate::sys::AlternateStack>>,
}

impl LeaveAtEnd {
    const fn new() -> Self {
        LeaveAtEnd {
            #[cfg(target_os = "linux")]
            stack: Cell::new(None),
        }
    }

    /// Sees to it that an overflow of the thread's stack can be noted in the ring.
    fn prepare(&self) {
        #[cfg(target_os = "linux")]
        if recorder()
            .is_some_and(|recorder| recorder.settings.fatal_signals != crate::config::settings::FatalSignals::Off)
        {
            self.stack.set(crate::sys::AlternateStack::for_thread_without());
        }
    }
}

impl Drop for LeaveAtEnd {
    fn drop(&mut self) {
        IDENTITY.with(|identity| identity.state.set(State::Ended));
        if let Some(recorder) = recorder() {
            let _inside = Inside::new();
            cursor().detach(&recorder.ring, clock::now());
        }
    }
}

//! Forks: the child of `fork` has a copy of everything, and the ring of its parent mapped.
//!
//! Two processes must not write to one ring, because each thread assumes exclusive use of its segment. So before any of
//! the child's code runs, private memory replaces the parent's ring, containing only the parent's table of callsites;
//! the parent's lock on the file is released; the child's only thread forgets its segment; and the child gets its own
//! [`ProcessState`], because a thread that no longer exists might hold any lock of the old one.
//!
//! The child's first event, or its first use of [`Recorder`](crate::Recorder), creates the ring: in its own file in the
//! directory of the parent's, or in memory if that is not available. It is as large as the memory allows that all
//! children share ([`room`], [`shape`](super::shape)). It is laid out elsewhere and then put in place as a
//! whole. Callsites keep their ids, which are cached everywhere. Meanwhile the events of other threads are counted as
//! dropped.
//!
//! The first half runs in a handler of `pthread_atfork`, the second wherever the program logs; both can be in a signal
//! handler that interrupted anything. So there are only atomics and system calls here: no lock, no allocator. The
//! service thread and the memory for snapshots, which need both, are set up at the first use of `Recorder` or at a
//! panic.
//!
//! If the signal handler that forked interrupted a log call, that call continues in the child when the handler returns,
//! and writes its remaining data into the memory that is there by then. Therefore the child creates no ring before that
//! call has finished ([`ForkState::is_quiet`](crate::state::forked::ForkState::is_quiet)); until then its events are
//! counted as dropped.

use std::fmt;
use std::io;
use std::ptr;
use std::sync::Once;
use std::sync::atomic::Ordering;

use ttlog_core::event::start_epoch;
use ttlog_core::ring::Turn;
use ttlog_core::ring::file_name::RingStem;
use ttlog_core::{DropReason, EntryStart, Ring, RingConfig, Word};

pub(crate) use super::room::NO_SERVICE_THREAD;
use super::shape::{Shape, Shapes};
use super::{room, thread};
use crate::memory::child_place::ChildPlace;
use crate::memory::ring_file::{self, RingFile};
use crate::memory::{guard, process_item};
use crate::span::stack;
use crate::state::process::{ProcessState, leak};
use crate::state::{self, State};
use crate::sys::report;
use crate::{clock, sys};

/// Prepares for children that are forked from here on. A child created without `fork`'s handlers (`vfork`, a bare
/// `clone`) is not noticed, and must do nothing but `exec`.
pub(crate) fn prepare_children() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        if let Err(error) = sys::at_fork(before, in_parent, in_child) {
            report::warn(format_args!("children of fork must not log: {error}"));
        }
    });
}

/// Runs in the forking thread, before the fork.
extern "C" fn before() {
    if let Some(state) = state::current() {
        thread::about_to_fork(state);
    }
}

/// Runs in the parent, after the fork.
extern "C" fn in_parent() {
    if let Some(state) = state::current() {
        thread::has_forked(state);
    }
}

/// Runs in the child, with its only thread, before `fork` returns there. Nothing but atomics and system calls.
extern "C" fn in_child() {
    let Some(state) = state::current() else { return };
    let _errno = sys::ErrnoKept::new();
    let (forked, parent) = (&state.forked, state.process());
    let under_way = thread::forked(state);
    stack::forget_others();
    let is_private = match parent.file() {
        // The ring of a process that has not created its own already belongs to this process.
        None => true,
        Some(file) => {
            let is_private = separate(state);
            file.release();
            is_private
        }
    };
    for (append, was_busy) in under_way.into_iter().flatten().filter(|_| is_private) {
        append.mark(was_busy);
    }
    forked.note_fast_path(under_way.map(|append| append.map(|(append, _)| append)));
    ring_file::close_file_of_parent();
    clock::leave_coarse(&state.clock);
    guard::forget_file();
    let child = ProcessState::in_child(parent);
    let is_lost = !is_private || child.is_none();
    // Before this process has its own state: from then on a signal handler takes the ring for its own.
    forked.is_lost.store(is_lost, Ordering::Release);
    if let Some(child) = child {
        state.process.store(ptr::from_ref(child).cast_mut(), Ordering::Release);
    }
    state.renewal.require();
    if is_lost {
        state.ended.store(true, Ordering::Relaxed);
        start_epoch();
    }
}

/// Replaces the parent's ring with private memory that contains the parent's table. Returns `false` if the parent's
/// ring is still there.
fn separate(state: &State) -> bool {
    let Ok(start) = map_sparse(state.words) else { return false };
    // SAFETY: the memory is as long as the ring's, aligned to a page, and known to nobody else; zero is a valid word.
    // It is not used after it has moved.
    state.ring.copy_table_words(unsafe { as_words(start, state.words.len()) });
    sys::move_over(state.words, start).is_ok()
}

/// Maps private memory of the length of `words`, of which only the pages that are used cost anything.
fn map_sparse(words: &[Word]) -> std::io::Result<ptr::NonNull<u8>> {
    let start = sys::map_private(size_of_val(words))?;
    sys::use_small_pages(start, size_of_val(words));
    Ok(start)
}

/// Returns memory as words.
///
/// # Safety
/// - `start` is aligned to a page, and points to that many words of memory for as long as they are used, accessed as
///   words only.
unsafe fn as_words(start: ptr::NonNull<u8>, len_words: usize) -> &'static [Word] {
    // SAFETY: guaranteed by the caller.
    unsafe { std::slice::from_raw_parts(start.as_ptr().cast::<Word>(), len_words) }
}

/// Returns whether an event can be recorded in a process whose ring did not exist yet; creates the ring if it is this
/// event's turn.
///
/// If it returns `false`, the event is counted.
#[cold]
pub(crate) fn may_record(state: &'static State) -> bool {
    thread::see_fast_path(state);
    let turn = state.renewal.turn(|| state.forked.is_quiet(), |missed| count_missed(state, missed));
    take(turn, state)
}

/// Creates the ring of this process if it has none yet. Returns `false` if it still has none.
pub(crate) fn make_sure_of_ring(state: &'static State) -> bool {
    let turn = state.renewal.claim(|| state.forked.is_quiet());
    take(turn, state)
}

fn take(turn: Turn, state: &'static State) -> bool {
    match turn {
        Turn::Record => true,
        Turn::Missed => false,
        Turn::Make => {
            let _errno = sys::ErrnoKept::new();
            if !make_ring(state) {
                // Without memory nothing can be done; each further attempt would cost as much as this one.
                state.forked.is_lost.store(true, Ordering::Relaxed);
                state.renewal.give_up();
                state.ended.store(true, Ordering::Relaxed);
                start_epoch();
                if report::is_first(room::NOTHING_RECORDED) {
                    report::warn(format_args!("nothing is recorded in a child process: no memory for its ring"));
                }
                return false;
            }
            state.renewal.finish(|missed| count_missed(state, missed));
            true
        }
    }
}

fn count_missed(state: &State, missed: u32) {
    state.ring.count_dropped(DropReason::NoSegment, missed.into());
}

/// Creates the ring of a child: in a file, else in memory. Returns `false` if there is none.
fn make_ring(state: &'static State) -> bool {
    let process = state.process();
    let parent = *state.ring;
    let shapes = Shapes::new(&state.forked, &state.settings, &parent, state.words);
    let wanted = shapes.wanted(state.forked.room.usual_bytes);
    let Some(of) = process.parent_file() else { return make_in_memory(state, &parent, &wanted) };
    let claim = match room::claim(&state.forked.room, wanted.len(), shapes.least_len()) {
        Ok(claim) => claim,
        Err(shortage) => {
            report_in_memory(shortage.key(), format_args!("{shortage}"));
            return make_in_memory(state, &parent, &shapes.of_len(shapes.least_len()));
        }
    };
    let shape = if claim.len == wanted.len() { wanted } else { shapes.of_len(claim.len) };
    match make_in_file(state, &parent, &shape, of) {
        Ok(()) => {
            claim.settle(process.file().and_then(RingFile::inode));
            true
        }
        Err(ring_file::Trouble { action, cause }) => {
            process.take_file_back(None);
            guard::forget_file();
            claim.release();
            let directory = of.path.parent().unwrap_or(of.path);
            let key = cause.raw_os_error().map_or(room::OTHER_TROUBLE, i32::unsigned_abs);
            let hint = match cause.kind() {
                io::ErrorKind::PermissionDenied => "; call Recorder::hand_over before giving up privileges",
                _ => "",
            };
            report_in_memory(key as usize, format_args!("cannot {action} in {directory:?}: {cause}{hint}"));
            make_in_memory(state, &parent, &shape)
        }
    }
}

fn make_in_file(
    state: &'static State,
    parent: &Ring<'static>,
    shape: &Shape,
    of: &RingFile,
) -> Result<(), ring_file::Trouble> {
    let process = state.process();
    let words = &state.words[..shape.len_words];
    let announce = |file: RingFile| {
        let file = process.set_file(file)?;
        guard::guard_file(file, size_of_val(words));
        Some(file)
    };
    let stem = RingStem {
        service: &state.forked.service,
        pid: std::process::id(),
        start: process_item::start_time(),
        random: sys::random(),
    };
    let handle = leak_handle(words, shape).ok_or_else(ring_file::Trouble::no_memory)?;
    let prepare = |words| {
        // A child of this child must not inherit it.
        sys::exclude_from_forks(words);
        lay_out(state, parent, &shape.config, words).ok_or_else(|| io::ErrorKind::InvalidInput.into())
    };
    let place = ChildPlace::beside(of)?;
    ring_file::replace_by_ring_file(place.get(), format_args!("{stem}"), words, prepare, announce)?;
    state.ring.replace(handle);
    Ok(())
}

/// Creates the ring in memory, of which pages are used as events fill them.
fn make_in_memory(state: &'static State, parent: &Ring<'static>, shape: &Shape) -> bool {
    let words = &state.words[..shape.len_words];
    let Some(handle) = leak_handle(words, shape) else { return false };
    let Ok(start) = map_sparse(words) else { return false };
    // SAFETY: the memory is as long as the ring's, aligned to a page, and known to nobody else; zero is a valid word.
    // It is not used after it has moved.
    let is_made = lay_out(state, parent, &shape.config, unsafe { as_words(start, words.len()) }).is_some()
        && sys::move_over(words, start).is_ok();
    if is_made {
        state.ring.replace(handle);
    }
    is_made
}

/// Returns a handle of the ring that will be in `words`, in memory of its own.
fn leak_handle(words: &'static [Word], shape: &Shape) -> Option<&'static Ring<'static>> {
    leak(Ring::over(words, &shape.config))
}

fn report_in_memory(key: usize, why: fmt::Arguments<'_>) {
    if report::is_first(key) {
        report::warn(format_args!(
            "events of child process {} are kept in memory only and will not outlive it: {why} (the same trouble of \
             other children is not reported)",
            std::process::id()
        ));
    }
}

/// Lays out the ring of a child in `words`, which are zero, with the callsites of its parent.
fn lay_out(state: &State, parent: &Ring<'_>, config: &RingConfig, words: &'static [Word]) -> Option<()> {
    let forked = &state.forked;
    let ring = Ring::create(words, &RingConfig { ring_id: sys::random(), ..*config }).ok()?;
    // The parent might have added callsites after the fork, before its table was copied. Their ids are assigned anew
    // here.
    let last_id = state.registry.last_id();
    parent.bequeath_table(&ring, |start| match EntryStart::decode(start) {
        EntryStart::Process => false,
        EntryStart::Callsite(id) => id <= last_id.into(),
        EntryStart::Unknown => true,
    });
    let anchor = state.clock.anchor();
    let mut room = [0; process_item::ITEM_LEN_MAX];
    let clock_name = state.clock.precise_name();
    // In a full table the item must fit into the space that the parent's had.
    for os_cut in [0, 8, 16, 24] {
        let description = &forked.description;
        match description.encode_item(&state.clock, clock_name, anchor.unix_ns, os_cut, &mut room) {
            Some(item) if ring.append_entry(item).is_err() && !ring.fill_gap(item) => {}
            _ => break,
        }
    }
    state.filter.with(|filter| ring.set_filter_text(filter.text()));
    ring.set_min_age_ns(state.settings.min_age_ns());
    ring.write_anchor(anchor);
    state.process().note_anchor(anchor.ticks);
    Some(())
}

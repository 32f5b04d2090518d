//! Forks: the child of `fork` has a copy of everything, and the ring of its parent mapped.
//!
//! Two processes must not write to one ring, for each thread believes that its segment is its alone. So before any of the
//! child's code runs, private memory takes the place of the parent's ring, with nothing in it but the parent's table of
//! callsites; the parent's lock on the file is let go of; the one thread that the child has forgets its segment; and the child
//! gets a [`Generation`] of its own, because a thread that is not there any more may hold any lock of the old one.
//!
//! The child's first event, or its first use of [`Trace`](crate::Trace), makes the ring: in a file of its own, in the directory of
//! the parent's, or in memory if that cannot be had. It is laid out elsewhere and put in place whole. Callsites keep their ids,
//! for they are cached all over. Meanwhile the events of other threads are counted as dropped.
//!
//! The first half runs in a handler of `pthread_atfork`, the second wherever the program logs; both may be in a signal handler
//! that interrupted anything. So there are only atomics and system calls here: no lock, no allocator. The thread of the service
//! and the memory for snapshots, which need both, come with the first use of `Trace` or with a panic.
//!
//! A log call that was interrupted by the signal handler that forked goes on in the child when the handler returns, and stores what
//! it has left into the memory that is there by then. Therefore the child makes no ring before that call is over
//! ([`Heritage::is_quiet`]); its events until then are counted as dropped.

use std::fmt;
use std::ptr;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use ttlog_core::callsite::start_epoch;
use ttlog_core::ring::{Turn, UnderWay};
use ttlog_core::{DropReason, EntryStart, Ring, RingConfig, Word};

use crate::death::end;
use crate::memory::guard;
use crate::memory::process_item::{self, Description};
use crate::memory::ring_file::{self, RingFile};
use crate::recorder::{RecorderInner, recorder};
use crate::state::process::Generation;
use crate::state::thread;
use crate::sys::report;
use crate::{clock, sys};

/// What a child needs to make its ring, found out at the start of the first process.
pub(crate) struct Heritage {
    /// How the ring is laid out, but for its id.
    pub(crate) config: RingConfig,
    /// What the process item says of all of them.
    pub(crate) description: Description,
    /// The start of the names of ring files: `ttlog-<service>`.
    pub(crate) name_start: Box<str>,
    /// Set in a child whose memory could not be separated from its parent's: it must not write.
    is_lost: AtomicBool,
    /// The commit word of the append that was interrupted by this process's fork, as long as it may be under way; null: none is.
    fast_under_way: AtomicPtr<Word>,
    /// Whether an append on the slow path was interrupted by this process's fork and is not over.
    pub(crate) slow_under_way: AtomicBool,
}

impl Heritage {
    /// Takes what does not change.
    pub(crate) fn new(config: RingConfig, description: Description, name_start: Box<str>) -> Self {
        Heritage {
            config,
            description,
            name_start,
            is_lost: AtomicBool::new(false),
            fast_under_way: AtomicPtr::new(ptr::null_mut()),
            slow_under_way: AtomicBool::new(false),
        }
    }

    /// Tells whether the ring can be made: no log call that began before the fork is under way any more.
    fn is_quiet(&self) -> bool {
        !self.is_lost.load(Ordering::Relaxed)
            && !self.slow_under_way.load(Ordering::Acquire)
            && self.fast_under_way().is_none_or(|append| append.has_committed())
    }

    fn fast_under_way(&self) -> Option<UnderWay<'static>> {
        // SAFETY: null, or a word of the ring's memory, which is there for good.
        let word: Option<&'static Word> = unsafe { self.fast_under_way.load(Ordering::Relaxed).as_ref() };
        word.map(UnderWay::of_word)
    }

    /// Looks whether the append on the fast path that was interrupted is over; of the thread whose append it is. `is_closed`: its
    /// cursor is. `true` if it is over.
    pub(crate) fn see_fast_path(&self, is_closed: bool) -> bool {
        let is_over = !is_closed && self.fast_under_way().is_none_or(|append| !append.is_busy());
        if is_over {
            self.fast_under_way.store(ptr::null_mut(), Ordering::Relaxed);
        }
        is_over
    }
}

/// Prepares children that are forked from here on. A child made without `fork`'s handlers (`vfork`, a bare `clone`) is not noticed,
/// and must do nothing but `exec`.
pub(crate) fn prepare_children() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        if let Err(error) = sys::at_fork(before, in_child) {
            report::warn(format_args!("children of fork must not log: {error}"));
        }
    });
}

/// Runs in the thread that forks, before it does.
extern "C" fn before() {
    thread::about_to_fork();
}

/// Runs in the child, with its only thread, before `fork` returns there. Nothing but atomics and system calls.
extern "C" fn in_child() {
    let Some(recorder) = recorder() else { return };
    let _errno = sys::ErrnoKept::new();
    let (heritage, parent) = (&recorder.heritage, recorder.generation());
    let under_way = thread::forked(recorder);
    let is_private = match parent.file() {
        // The ring of a process that has made none of its own is this process's already.
        None => true,
        Some(file) => {
            let is_private = separate(recorder);
            file.release();
            is_private
        }
    };
    if let Some((append, was_busy)) = under_way.filter(|_| is_private) {
        append.mark(was_busy);
    }
    let word = under_way.map_or(ptr::null_mut(), |(append, _)| ptr::from_ref(append.word()).cast_mut());
    heritage.fast_under_way.store(word, Ordering::Relaxed);
    clock::leave_coarse(&recorder.clock);
    guard::forget_file();
    let child = Generation::in_child(parent);
    if let Some(child) = child {
        recorder.generation.store(ptr::from_ref(child).cast_mut(), Ordering::Release);
    }
    let is_lost = !is_private || child.is_none();
    if !is_lost {
        end::in_child();
    }
    heritage.is_lost.store(is_lost, Ordering::Relaxed);
    recorder.renewal.require();
    if is_lost {
        recorder.ended.store(true, Ordering::Relaxed);
        start_epoch();
    }
}

/// Puts private memory in the place of the parent's ring, with the parent's table in it. `false`: the parent's ring is still there.
fn separate(recorder: &RecorderInner) -> bool {
    let Ok(start) = sys::map_private(size_of_val(recorder.words)) else { return false };
    // SAFETY: the memory is as long as the ring's, aligned to a page, and known to nobody else; zero is a word. It is not used
    // after it has moved.
    recorder.ring.copy_table_words(unsafe { as_words(start, recorder.words.len()) });
    sys::move_over(recorder.words, start).is_ok()
}

/// Gives memory as words.
///
/// # Safety
/// - `start` is aligned to a page, and so many words of memory are there as long as they are used, accessed as words only.
unsafe fn as_words(start: ptr::NonNull<u8>, len_words: usize) -> &'static [Word] {
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts(start.as_ptr().cast::<Word>(), len_words) }
}

/// Tells whether an event may be recorded in a process whose ring was not there yet; makes the ring if it is this event's turn.
///
/// If not, the event is counted.
#[cold]
pub(crate) fn may_record(recorder: &'static RecorderInner) -> bool {
    let turn = recorder.renewal.turn(|| recorder.heritage.is_quiet(), |missed| count_missed(recorder, missed));
    take(turn, recorder)
}

/// Makes the ring of this process if it has none yet. `false`: it has none now either.
pub(crate) fn make_sure_of_ring(recorder: &'static RecorderInner) -> bool {
    let turn = recorder.renewal.claim(|| recorder.heritage.is_quiet());
    take(turn, recorder)
}

fn take(turn: Turn, recorder: &'static RecorderInner) -> bool {
    match turn {
        Turn::Record => true,
        Turn::Missed => false,
        Turn::Make => {
            let _errno = sys::ErrnoKept::new();
            if !make_ring(recorder) {
                // Without memory there is nothing to be done; each further try would cost as much as this one.
                recorder.heritage.is_lost.store(true, Ordering::Relaxed);
                recorder.renewal.give_up();
                recorder.ended.store(true, Ordering::Relaxed);
                start_epoch();
                report::warn(format_args!("nothing is recorded in this child process: no memory for its ring"));
                return false;
            }
            recorder.renewal.finish(|missed| count_missed(recorder, missed));
            true
        }
    }
}

fn count_missed(recorder: &RecorderInner, missed: u32) {
    recorder.ring.count_dropped(DropReason::NoSegment, missed.into());
}

/// Makes the ring of a child: in a file, else in memory. `false`: there is none.
fn make_ring(recorder: &'static RecorderInner) -> bool {
    let generation = recorder.generation();
    if let Some(of) = generation.parent_file() {
        let announce = |file: RingFile| {
            let file = generation.set_file(file)?;
            guard::guard_file(file);
            Some(file)
        };
        let (start, random) = (process_item::start_time(), sys::random());
        let (name_start, pid) = (&recorder.heritage.name_start, std::process::id());
        let make = |stem: fmt::Arguments<'_>| {
            ring_file::replace_by_ring_file(of, stem, recorder.words, |words| lay_out(recorder, words), announce)
        };
        match make(format_args!("{name_start}-{pid}-{start}-{random:016x}")) {
            Ok(()) => return true,
            Err(ring_file::Trouble { action, cause }) => {
                generation.forget_file();
                guard::forget_file();
                report::warn(format_args!(
                    "events of child process {} are kept in memory only and will not outlive it: cannot {action} in {:?}: \
                     {cause}",
                    std::process::id(),
                    of.path.parent().unwrap_or(of.path)
                ));
            }
        }
    }
    let Ok(start) = sys::map_private(size_of_val(recorder.words)) else { return false };
    // SAFETY: the memory is as long as the ring's, aligned to a page, and known to nobody else; zero is a word. It is not used
    // after it has moved.
    lay_out(recorder, unsafe { as_words(start, recorder.words.len()) }).is_some()
        && sys::move_over(recorder.words, start).is_ok()
}

/// Lays the ring of a child out in `words`, which are zero, with the callsites of its parent.
fn lay_out(recorder: &RecorderInner, words: &'static [Word]) -> Option<()> {
    let heritage = &recorder.heritage;
    let ring = Ring::create(words, &RingConfig { ring_id: sys::random(), ..heritage.config }).ok()?;
    // The parent may have added callsites after the fork, before its table was copied. Their ids are given anew here.
    let last_id = recorder.registry.last_id();
    recorder.ring.bequeath_table(&ring, |start| match EntryStart::decode(start) {
        EntryStart::Process => false,
        EntryStart::Callsite(id) => id <= last_id.into(),
        EntryStart::Unknown => true,
    });
    let anchor = recorder.clock.anchor();
    let mut room = [0; process_item::ITEM_MAX_LEN];
    let clock_name = recorder.clock.precise_name();
    // In a table that is full the item has to do with the room that the parent's had.
    for os_cut in [0, 8, 16, 24] {
        let description = &heritage.description;
        match description.encode_item(&recorder.clock, clock_name, anchor.unix_ns, os_cut, &mut room) {
            Some(item) if ring.append_entry(item).is_err() && !ring.fill_gap(item) => {}
            _ => break,
        }
    }
    recorder.filter.with(|filter| ring.set_filter_text(filter.text()));
    ring.set_min_age_ns(recorder.settings.min_age_ns());
    ring.write_anchor(anchor);
    recorder.generation().note_anchor(anchor.ticks);
    Some(())
}

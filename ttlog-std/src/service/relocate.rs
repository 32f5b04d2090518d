//! Moving the ring to another file while threads log: see [`Relocation`].

use std::fs::File;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use ttlog_core::ring::Relocation;
use ttlog_core::ring::file_name::RingStem;
use ttlog_core::{DropReason, Word};

use crate::memory::directory::MappingError;
use crate::memory::held_directory::HeldDirectory;
use crate::memory::ring_file::{RingFile, Trouble, replace_by_ring_file};
use crate::memory::twin::Twin;
use crate::memory::{guard, process_item};
use crate::state::State;
use crate::sys;

/// Number of segments that may have changed meanwhile when the gate is closed: copying one takes some 10 µs.
const CHANGED_MAX: u32 = 4;
/// Largest number of attempts to get there while threads log at full speed.
const PASSES_MAX: u32 = 8;
/// Longest time for which the gate is closed while threads are inside.
const CLOSED_MAX: Duration = Duration::from_millis(10);
/// Number of further attempts to complete the records of appends that were in progress, with the gate open in between.
const MEND_ATTEMPTS: u32 = 20;
/// Pause before each.
const MEND_PAUSE: Duration = Duration::from_millis(1);
/// Number of attempts to find nobody inside.
const ATTEMPTS: u32 = 30;

/// Records that appends had begun in the old file, and have not completed in the new one.
pub(super) struct Unfinished {
    relocation: Relocation,
    left: Twin,
}

impl Unfinished {
    /// Completes the records. Returns `false` if some are unfinished still.
    pub(super) fn mend(&self, state: &State) -> bool {
        ClosedGate::of(state).is_some_and(|_closed| self.relocation.mend(&state.ring, self.left.words()) == 0)
    }
}

/// Moves the ring to a new file in `directory`, which is at `path`. Threads go on logging; those that are not on the
/// hot path wait for less than a millisecond, and events that cannot wait longer are counted as dropped.
///
/// No snapshot must be written meanwhile: it would miss events that are in neither file for a moment.
///
/// # Errors
/// [`MappingError`]; the ring is still in the old file.
pub(super) fn relocate(state: &State, directory: File, path: &Path) -> Result<Option<Unfinished>, MappingError> {
    let process = state.process();
    let Some(directory) = HeldDirectory::hold(directory) else {
        return Err(MappingError::new("examine directory", path, io::Error::last_os_error()));
    };
    let old = process.file();
    let words = words_of(state);
    let stem = RingStem {
        service: &state.forked.service,
        pid: std::process::id(),
        start: process_item::start_time(),
        random: sys::random(),
    };
    let relocation = Relocation::new(sys::random());
    let mut copied = None;
    let prepare = |to: &'static [Word]| {
        // A child must not inherit it.
        sys::exclude_from_forks(to);
        copied = Some(copy(state, relocation, to)?);
        Ok(())
    };
    let announce = |file: RingFile| {
        let file = process.set_file(file)?;
        guard::guard_file(file, size_of_val(words));
        Some(file)
    };
    let moved = replace_by_ring_file((directory, path), format_args!("{stem}"), words, prepare, announce);
    if let Err(Trouble { action, cause }) = moved {
        process.take_file_back(old);
        old.into_iter().for_each(|old| guard::guard_file(old, size_of_val(words)));
        directory.release();
        return Err(MappingError::new(action, path, cause));
    }
    let unfinished = copied.and_then(|(left, closed)| {
        relocation.take_over(&state.ring, left.words());
        // An append takes some 10 ns.
        let is_done = (0..50).any(|_| relocation.mend(&state.ring, left.words()) == 0);
        drop(closed);
        let unfinished = Unfinished { relocation, left };
        // A thread that the exchange has stopped in the middle of an append needs to run again.
        let is_done = is_done
            || (0..MEND_ATTEMPTS).any(|_| {
                std::thread::sleep(MEND_PAUSE);
                unfinished.mend(state)
            });
        if is_done { None } else { Some(unfinished) }
    });
    sys::populate(words);
    let inode = |file: Option<&RingFile>| file.and_then(RingFile::inode);
    let budget = state.forked.room.budget.filter(|_| process.is_child);
    if let (Some(budget), Some(from), Some(to)) = (budget, inode(old), inode(process.file())) {
        budget.move_claim(from, to, size_of_val(words) as u64);
    }
    Ok(unfinished)
}

/// Returns the memory of the ring: in a child of `fork`, it can be shorter than that of the first process.
fn words_of(state: &State) -> &'static [Word] {
    &state.words[..state.ring.len_bytes() / size_of::<Word>()]
}

/// Copies the ring, at the end with the gate closed. Returns the old memory at another address.
fn copy<'s>(state: &'s State, relocation: Relocation, to: &'static [Word]) -> io::Result<(Twin, ClosedGate<'s>)> {
    let left = Twin::of(words_of(state))?;
    for _ in 0..PASSES_MAX {
        if relocation.copy_ahead(&state.ring, to) <= CHANGED_MAX {
            break;
        }
    }
    let closed = ClosedGate::of(state).ok_or_else(|| io::Error::other("a thread does not leave a log call"))?;
    relocation.copy_rest(&state.ring, to);
    Ok((left, closed))
}

/// The gate of the ring, closed and with nobody inside. It opens when this is dropped.
struct ClosedGate<'s>(&'s State);

impl<'s> ClosedGate<'s> {
    /// Closes the gate; `None` if somebody does not leave: a thread that was stopped in a log call, or left one by a
    /// jump out of a signal handler.
    fn of(state: &'s State) -> Option<Self> {
        (0..ATTEMPTS).find_map(|attempt| {
            if attempt > 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
            if !state.gate.close() {
                return None;
            }
            let closed = ClosedGate(state);
            let until = Instant::now() + CLOSED_MAX;
            while !state.gate.is_empty() {
                if Instant::now() > until {
                    return None;
                }
                std::thread::yield_now();
            }
            Some(closed)
        })
    }
}

impl Drop for ClosedGate<'_> {
    fn drop(&mut self) {
        let state = self.0;
        state.gate.open(|missed| state.ring.count_dropped(DropReason::NoSegment, missed.into()));
    }
}

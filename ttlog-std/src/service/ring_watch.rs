//! The watch over the ring's file: whether it is still where others look for it.
//!
//! Somebody can remove the file under a running process (`rm -rf /dev/shm/*`, systemd's RemoveIPC, a cleaner of
//! temporary files), mount something over it, or change the owner or the mode of its directory so that others could
//! replace it. The ring then moves to a new file, in a directory that is chosen as at the start. If there is none, the
//! recorder goes on in the old file, which ends with the process, and tries again from time to time.
//!
//! A look costs two or three system calls, twice a second.

use std::fmt;
use std::path::Path;
use std::sync::TryLockError;
use std::time::{Duration, Instant};

use super::relocate::{self, Unfinished};
use crate::memory::directory::{candidate_directories, open_ring_directory};
use crate::memory::ring_file::{RingFile, Standing};
use crate::state::State;
use crate::sys::report;

/// Time between two looks.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// Longest time between two attempts to find a place, and between two moves if somebody keeps removing the file.
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// Time after which earlier moves no longer count.
const QUIET: Duration = Duration::from_secs(600);
/// Number of moves that are reported.
const REPORTED_MAX: u32 = 8;
/// Number of looks after which appends that had begun before a move are taken for abandoned.
const UNFINISHED_LOOKS: u32 = 120;

/// State of the watch.
pub(super) struct RingWatch {
    next_look: Instant,
    /// The file is not moved before this time.
    next_move: Instant,
    /// Pause after the next move or failure.
    pause: Duration,
    moves: u32,
    /// Whether the present failure was reported.
    has_failed: bool,
    /// Records that a move has left to be completed, and the number of looks at them.
    unfinished: Option<(Unfinished, u32)>,
}

/// Reason for a move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reason {
    Removed,
    Replaced,
    /// Others could replace the file.
    Exposed,
}

/// Describes what happened to the file.
struct What<'a>(Reason, &'a Path);

impl fmt::Display for What<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let What(reason, path) = *self;
        match reason {
            Reason::Removed => write!(f, "the ring's file {path:?} was removed"),
            Reason::Replaced => write!(f, "something else is in the place of the ring's file {path:?}"),
            Reason::Exposed => {
                write!(f, "the directory of the ring's file {path:?} has another owner, or others can write to it")
            }
        }
    }
}

impl RingWatch {
    /// Begins the watch.
    pub(super) fn new(now: Instant) -> Self {
        RingWatch {
            next_look: now + LOOK_INTERVAL,
            next_move: now,
            pause: LOOK_INTERVAL,
            moves: 0,
            has_failed: false,
            unfinished: None,
        }
    }

    /// Looks whether the file is in its place, if that is due, and moves the ring if it is not.
    pub(super) fn look(&mut self, state: &State, now: Instant) {
        if now < self.next_look {
            return;
        }
        self.next_look = now + LOOK_INTERVAL;
        self.mend(state);
        let process = state.process();
        // While the recorder is handed over to another user, the file has no certain place.
        let Ok(_handed_over) = process.handed_to.try_lock() else { return };
        let Some(file) = process.file().filter(|_| state.is_recording() && !state.is_cut()) else { return };
        let reason = match file.standing() {
            Standing::Unknown => return,
            Standing::Removed => Reason::Removed,
            Standing::Replaced => Reason::Replaced,
            Standing::Named if file.is_exposed() => Reason::Exposed,
            Standing::Named => {
                if process.is_nameless() {
                    process.note_nameless(false);
                    report::warn(format_args!("the ring's file {:?} is in its place again", file.path));
                }
                self.has_failed = false;
                return;
            }
        };
        process.note_nameless(reason != Reason::Exposed);
        // A snapshot that is being written by a panicking thread comes first.
        let snapshots = process.scratch.try_lock();
        if now >= self.next_move && !matches!(snapshots, Err(TryLockError::WouldBlock)) {
            self.renew(state, file, reason, now);
        }
    }

    /// Finds a place for the ring, or makes the present one safe.
    fn renew(&mut self, state: &State, file: &'static RingFile, reason: Reason, now: Instant) {
        if now.saturating_duration_since(self.next_move) > QUIET {
            self.pause = LOOK_INTERVAL;
        }
        self.next_move = now + self.pause;
        self.pause = PAUSE_MAX.min(2 * self.pause);
        let mut failures = Vec::new();
        for directory in candidate_directories(state.settings.directory.as_deref()) {
            let found = open_ring_directory(&directory).and_then(|(directory, path)| {
                if reason == Reason::Exposed && file.is_in(&directory) {
                    return Ok(None);
                }
                relocate::relocate(state, directory, &path).map(Some)
            });
            match found {
                Ok(None) => {
                    report::warn(format_args!("{}: it is closed to others again", What(reason, file.path)));
                    return;
                }
                Ok(Some(unfinished)) => {
                    self.unfinished = unfinished.map(|unfinished| (unfinished, 0));
                    return self.finish(state, file, reason);
                }
                Err(error) => failures.push(error.to_string()),
            }
        }
        if !std::mem::replace(&mut self.has_failed, true) {
            let what = What(reason, file.path);
            let consequence = match reason {
                Reason::Exposed => "stays there",
                Reason::Removed | Reason::Replaced => "will not outlive this process",
            };
            report::warn(format_args!(
                "{what}, and there is no other place, so the ring {consequence} until there is one: {}",
                failures.join("; ")
            ));
        }
    }

    /// Lets go of the old file, and reports the new one.
    fn finish(&mut self, state: &State, old: &'static RingFile, reason: Reason) {
        if reason == Reason::Exposed {
            // If it stays, it looks like the ring of a dead process; the events in it are then shown twice, not lost.
            let _ = old.remove();
        }
        // At once, because a child that is forked now inherits the descriptors.
        old.retire();
        let process = state.process();
        self.has_failed = false;
        self.moves += 1;
        if self.moves <= REPORTED_MAX {
            let what = What(reason, old.path);
            let rest = if self.moves == REPORTED_MAX { " (further moves are not reported)" } else { "" };
            let path = process.file().map_or(old.path, |file| file.path);
            report::warn(format_args!("{what}: the ring is now in {path:?}, with all its events{rest}"));
        }
        process.note_nameless(false);
    }

    /// Completes the records that a move has left.
    fn mend(&mut self, state: &State) {
        if let Some((unfinished, looks)) = &mut self.unfinished {
            *looks += 1;
            if unfinished.mend(state) || *looks > UNFINISHED_LOOKS {
                self.unfinished = None;
            }
        }
    }
}

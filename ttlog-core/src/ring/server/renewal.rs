//! Flag of a ring whose memory has to be created anew before it is written again, as in a forked process.
//!
//! The first context that wants to record creates the ring. The others do not wait for it: their events are counted as
//! missed, and the count goes into the new ring.
//!
//! ```text
//! Ready ──require──▶ Needed ──turn: Make──▶ Making ──finish──▶ Ready
//!                      ▲                      │
//!                      └──────give_up─────────┘
//! ```

#[cfg(loom)]
use loom::sync::atomic::{AtomicU32, Ordering};
#[cfg(not(loom))]
use portable_atomic::Ordering;

#[cfg(not(loom))]
use crate::memory::atomic::AtomicU32;

/// The ring can be written.
const READY: u32 = 0;
/// The ring must be created first.
const NEEDED: u32 = 1;
/// A context is creating it.
const MAKING: u32 = 2;

/// Action required from a context that wants to record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Record.
    Record,
    /// Create the ring, then call [`Renewal::finish`] (or [`Renewal::give_up`]), then record.
    Make,
    /// None: the event is counted as missed.
    Missed,
}

/// Whether the ring can be written, or must be created first, and by whom.
///
/// No method blocks, allocates or loops; callable anywhere, including nested.
#[derive(Debug)]
pub struct Renewal {
    state: AtomicU32,
    /// Number of events that came while the ring was not ready and that no ring has counted yet.
    missed: AtomicU32,
}

impl Default for Renewal {
    fn default() -> Self {
        Renewal::new()
    }
}

impl Renewal {
    /// Creates the flag of a ring that can be written.
    #[cfg(not(loom))]
    #[must_use]
    pub const fn new() -> Self {
        Renewal { state: AtomicU32::new(READY), missed: AtomicU32::new(0) }
    }

    /// Creates the flag of a ring that can be written.
    #[cfg(loom)]
    #[must_use]
    pub fn new() -> Self {
        Renewal { state: AtomicU32::new(READY), missed: AtomicU32::new(0) }
    }

    /// Returns whether the ring can be written.
    #[inline]
    #[must_use]
    pub fn is_ready(&self) -> bool {
        // Acquire: a context that sees it ready also sees everything its creator stored.
        self.state.load(Ordering::Acquire) == READY
    }

    /// Marks the ring as needing to be created anew, and resets the count of missed events. Called while no other
    /// context is active, as in a process that was just forked.
    pub fn require(&self) {
        self.missed.store(0, Ordering::Relaxed);
        self.state.store(NEEDED, Ordering::Release);
    }

    /// Returns what a caller must do that needs the ring, but has no event to be counted.
    ///
    /// `may_make` returns whether the ring can be created now.
    pub fn claim(&self, may_make: impl FnOnce() -> bool) -> Turn {
        match self.state.load(Ordering::Acquire) {
            READY => Turn::Record,
            NEEDED if may_make() => {
                match self.state.compare_exchange(NEEDED, MAKING, Ordering::Acquire, Ordering::Acquire) {
                    Ok(_) => Turn::Make,
                    Err(READY) => Turn::Record,
                    Err(_) => Turn::Missed,
                }
            }
            _ => Turn::Missed,
        }
    }

    /// Returns what a caller that wants to record an event must do.
    ///
    /// `may_make` returns whether the ring can be created now; if not, the event is missed. `count` counts missed
    /// events in the ring, once it is ready.
    pub fn turn(&self, may_make: impl FnOnce() -> bool, count: impl FnOnce(u32)) -> Turn {
        let turn = self.claim(may_make);
        if turn == Turn::Missed {
            // Either the creator's `settle` finds this event, or it came earlier, and then the ring is seen ready here.
            self.missed.fetch_add(1, Ordering::AcqRel);
            if self.is_ready() {
                self.settle(count);
            }
        }
        turn
    }

    /// Marks the ring as ready. Called by the context whose turn it was to create it. `count` counts missed events in
    /// it.
    pub fn finish(&self, count: impl FnOnce(u32)) {
        self.state.store(READY, Ordering::Release);
        self.settle(count);
    }

    /// Records that the ring could not be created. Called by the context whose turn it was; the next one tries again.
    pub fn give_up(&self) {
        self.state.store(NEEDED, Ordering::Release);
    }

    fn settle(&self, count: impl FnOnce(u32)) {
        let missed = self.missed.swap(0, Ordering::AcqRel);
        if missed > 0 {
            count(missed);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use core::cell::Cell;

    use super::*;

    #[test]
    fn one_makes_and_those_meanwhile_are_counted() {
        let (flag, counted) = (Renewal::new(), Cell::new(0));
        let count = |missed| counted.set(counted.get() + missed);
        assert_eq!(flag.turn(|| panic!("nothing to create"), count), Turn::Record);
        flag.require();
        assert!(!flag.is_ready());
        assert_eq!(flag.turn(|| false, count), Turn::Missed);
        assert_eq!(flag.turn(|| true, count), Turn::Make);
        assert_eq!(flag.turn(|| true, count), Turn::Missed);
        assert_eq!(flag.turn(|| true, count), Turn::Missed);
        assert_eq!(counted.get(), 0, "no ring yet to count in");
        flag.finish(count);
        assert_eq!(counted.get(), 3);
        assert_eq!(flag.turn(|| true, count), Turn::Record);
    }

    #[test]
    fn who_gives_up_leaves_it_to_the_next() {
        let flag = Renewal::new();
        flag.require();
        assert_eq!(flag.turn(|| true, |_| ()), Turn::Make);
        flag.give_up();
        assert_eq!(flag.turn(|| true, |_| ()), Turn::Make);
    }

    #[test]
    fn what_the_parent_missed_is_not_the_childs() {
        let flag = Renewal::new();
        flag.require();
        assert_eq!(flag.turn(|| false, |_| ()), Turn::Missed);
        flag.require();
        assert_eq!(flag.turn(|| true, |_| ()), Turn::Make);
        flag.finish(|missed| panic!("{missed} missed"));
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use std::vec::Vec;

    use ::loom::cell::UnsafeCell;
    use ::loom::model::Builder;
    use ::loom::sync::Arc;
    use ::loom::thread;

    use super::*;

    /// A model of a ring: created by one context, then written by all.
    struct Scene {
        flag: Renewal,
        /// Whether it was created; not atomic, so that loom detects early access.
        ring: UnsafeCell<bool>,
        recorded: AtomicU32,
        counted: AtomicU32,
    }

    /// Records an event of one thread; the first `fails` attempts to create the ring fail.
    fn event(scene: &Scene, fails: &AtomicU32) -> bool {
        let count = |missed| {
            scene.counted.fetch_add(missed, Ordering::Relaxed);
        };
        match scene.flag.turn(|| true, count) {
            Turn::Record => {}
            Turn::Make => {
                if fails.fetch_sub(1, Ordering::Relaxed) as i32 > 0 {
                    scene.flag.give_up();
                    return false;
                }
                scene.ring.with_mut(|ring| {
                    // SAFETY: loom checks that there is no concurrent access.
                    let made = unsafe { std::mem::replace(&mut *ring, true) };
                    assert!(!made, "created twice");
                });
                scene.flag.finish(count);
            }
            Turn::Missed => return true,
        }
        // SAFETY: loom checks that there is no concurrent write.
        scene.ring.with(|ring| assert!(unsafe { *ring }, "recorded before the ring existed"));
        scene.recorded.fetch_add(1, Ordering::Relaxed);
        true
    }

    fn explore(threads: usize, events: u32, failures: u32) {
        let mut builder = Builder::new();
        builder.preemption_bound = Some(builder.preemption_bound.unwrap_or(2));
        builder.check(move || {
            let scene = Arc::new(Scene {
                flag: Renewal::new(),
                ring: UnsafeCell::new(false),
                recorded: AtomicU32::new(0),
                counted: AtomicU32::new(0),
            });
            scene.flag.require();
            let fails = Arc::new(AtomicU32::new(failures));
            let others: Vec<_> = (1..threads)
                .map(|_| {
                    let (scene, fails) = (Arc::clone(&scene), Arc::clone(&fails));
                    thread::spawn(move || (0..events).filter(|_| event(&scene, &fails)).count() as u32)
                })
                .collect();
            let mut told = (0..events).filter(|_| event(&scene, &fails)).count() as u32;
            told += others.into_iter().map(|thread| thread.join().unwrap()).sum::<u32>();
            // An event whose context failed to create the ring is not counted here. All others are in the ring, counted
            // in it, or, as long as there is none, yet to be counted.
            let still = scene.flag.missed.load(Ordering::Relaxed);
            assert!(still == 0 || !scene.flag.is_ready(), "missed and never counted");
            let sum = scene.recorded.load(Ordering::Relaxed) + scene.counted.load(Ordering::Relaxed) + still;
            assert_eq!(sum, told);
        });
    }

    #[test]
    fn two_threads_of_a_child() {
        explore(2, 2, 0);
    }

    #[test]
    fn three_threads_of_a_child() {
        explore(3, 1, 0);
    }

    #[test]
    fn ring_that_cannot_be_made_at_first() {
        explore(2, 2, 1);
    }
}

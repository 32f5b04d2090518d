//! Gate before a ring's slow paths: one context can close it and have all others outside while it moves the ring.
//!
//! The others do not wait for it beyond a bound of their own: events that find the gate closed are counted as missed,
//! and the count goes into the ring when the gate opens.
//!
//! ```text
//! a context:  enter ── work ── leave
//! the mover:  close ── wait until is_empty, or open again ── work ── open
//! ```

#[cfg(loom)]
use loom::sync::atomic::{AtomicU32, Ordering};
#[cfg(not(loom))]
use portable_atomic::Ordering;

#[cfg(not(loom))]
use crate::memory::atomic::AtomicU32;

/// Number of counters of contexts inside.
const LANES: usize = if cfg!(loom) { 2 } else { 8 };

/// A counter in a cache line of its own, so that contexts of different lanes do not slow each other down.
#[derive(Debug)]
#[repr(align(64))]
struct Lane(AtomicU32);

/// The gate of a ring.
///
/// No method blocks, allocates or loops without a bound; callable anywhere, including nested.
#[derive(Debug)]
pub struct Gate {
    /// 1 while the gate is closed.
    closed: AtomicU32,
    /// Number of contexts inside, by lane.
    lanes: [Lane; LANES],
    /// Number of events that found the gate closed and that no ring has counted yet.
    missed: AtomicU32,
}

impl Default for Gate {
    fn default() -> Self {
        Gate::new()
    }
}

impl Gate {
    /// Creates a gate that is open.
    #[cfg(not(loom))]
    #[must_use]
    pub const fn new() -> Self {
        Gate { closed: AtomicU32::new(0), lanes: [const { Lane(AtomicU32::new(0)) }; LANES], missed: AtomicU32::new(0) }
    }

    /// Creates a gate that is open.
    #[cfg(loom)]
    #[must_use]
    pub fn new() -> Self {
        Gate {
            closed: AtomicU32::new(0),
            lanes: core::array::from_fn(|_| Lane(AtomicU32::new(0))),
            missed: AtomicU32::new(0),
        }
    }

    /// Enters, unless the gate is closed. `lane` is any number; the same one is for [`leave`](Self::leave).
    #[inline]
    #[must_use]
    pub fn enter(&self, lane: u32) -> bool {
        // SeqCst here and in `close` and `is_empty`: either this context sees the gate closed, or the mover sees it
        // inside. A context that finds the gate open again sees what the mover stored.
        self.lane(lane).fetch_add(1, Ordering::SeqCst);
        fence_in_loom();
        if self.closed.load(Ordering::SeqCst) == 0 {
            return true;
        }
        self.leave(lane);
        false
    }

    /// Leaves. More calls than of [`enter`](Self::enter), as in a forked process after [`reset`](Self::reset), change
    /// nothing.
    #[inline]
    pub fn leave(&self, lane: u32) {
        let lane = self.lane(lane);
        let mut now = lane.load(Ordering::Relaxed);
        while let Some(less) = now.checked_sub(1) {
            // Release: the mover that sees nobody inside sees what this context stored.
            match lane.compare_exchange(now, less, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return,
                Err(other) => now = other,
            }
        }
    }

    /// Returns whether the gate is open.
    #[inline]
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.closed.load(Ordering::Acquire) == 0
    }

    /// Notes that an event was not recorded because the gate was closed. `count` counts missed events in the ring; it
    /// is called by a context that is inside.
    pub fn miss(&self, lane: u32, count: impl FnOnce(u32)) {
        // SeqCst here and in `open`: either `open` finds this event, or it came earlier, and then the gate is seen open
        // here.
        self.missed.fetch_add(1, Ordering::SeqCst);
        if self.enter(lane) {
            self.settle(count);
            self.leave(lane);
        }
    }

    /// Closes the gate. Returns `false` if another mover has closed it. Contexts might be inside still.
    #[must_use]
    pub fn close(&self) -> bool {
        self.closed.compare_exchange(0, 1, Ordering::SeqCst, Ordering::Relaxed).is_ok()
    }

    /// Returns whether no context is inside, and none will be before the gate opens. Called by the mover.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        fence_in_loom();
        self.lanes.iter().all(|lane| lane.0.load(Ordering::SeqCst) == 0)
    }

    /// Opens the gate. Called by the mover. `count` counts missed events in the ring.
    pub fn open(&self, count: impl FnOnce(u32)) {
        self.closed.store(0, Ordering::SeqCst);
        fence_in_loom();
        self.settle(count);
    }

    /// Makes the gate open and empty, in a forked process whose only context is the caller.
    pub fn reset(&self) {
        for lane in &self.lanes {
            lane.0.store(0, Ordering::Relaxed);
        }
        self.missed.store(0, Ordering::Relaxed);
        self.closed.store(0, Ordering::Release);
    }

    fn lane(&self, lane: u32) -> &AtomicU32 {
        &self.lanes[lane as usize % LANES].0
    }

    fn settle(&self, count: impl FnOnce(u32)) {
        let missed = self.missed.swap(0, Ordering::SeqCst);
        if missed > 0 {
            count(missed);
        }
    }
}

/// Orders the operations around it in loom, which takes SeqCst operations for weaker ones. Otherwise nothing.
#[inline(always)]
fn fence_in_loom() {
    #[cfg(loom)]
    loom::sync::atomic::fence(Ordering::SeqCst);
}

#[cfg(all(test, not(loom)))]
mod tests {
    use core::cell::Cell;

    use super::*;

    #[test]
    fn nobody_enters_a_closed_gate_and_what_is_missed_is_counted() {
        let (gate, counted) = (Gate::new(), Cell::new(0));
        let count = |missed| counted.set(counted.get() + missed);
        assert!(gate.enter(3) && gate.is_open());
        assert!(gate.close() && !gate.close() && !gate.is_open());
        assert!(!gate.is_empty(), "the first one is inside");
        assert!(!gate.enter(3) && !gate.enter(4));
        gate.leave(3);
        assert!(gate.is_empty());
        gate.miss(4, count);
        gate.miss(3, count);
        assert_eq!(counted.get(), 0, "no ring to count in");
        gate.open(count);
        assert_eq!(counted.get(), 2);
        gate.miss(5, count);
        assert_eq!(counted.get(), 3, "the gate had opened meanwhile");
        assert!(gate.enter(5));
    }

    #[test]
    fn forked_process_begins_anew() {
        let gate = Gate::new();
        assert!(gate.enter(1) && gate.close());
        gate.miss(2, |_| ());
        gate.reset();
        gate.leave(1);
        assert!(gate.is_empty() && gate.enter(1) && !gate.is_empty());
        gate.leave(1);
        assert!(gate.close());
        gate.open(|missed| panic!("{missed} missed"));
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

    /// A model of a ring: written by contexts that are inside, and by the mover alone while the gate is closed.
    struct Scene {
        gate: Gate,
        /// Whether the ring has moved; not atomic, so that loom detects access at the same time.
        ring: UnsafeCell<bool>,
        recorded: AtomicU32,
        counted: AtomicU32,
    }

    impl Scene {
        fn event(&self, lane: u32) {
            if self.gate.enter(lane) {
                // SAFETY: loom checks that there is no concurrent write.
                self.ring.with(|ring| unsafe { *ring });
                self.recorded.fetch_add(1, Ordering::Relaxed);
                self.gate.leave(lane);
            } else {
                self.gate.miss(lane, |missed| self.count(missed));
            }
        }

        fn count(&self, missed: u32) {
            self.counted.fetch_add(missed, Ordering::Relaxed);
        }

        fn relocate(&self) {
            assert!(self.gate.close());
            if self.gate.is_empty() {
                // SAFETY: loom checks that there is no concurrent access.
                self.ring.with_mut(|ring| unsafe { *ring = true });
            }
            self.gate.open(|missed| self.count(missed));
        }
    }

    fn explore(lanes: &'static [u32], events: u32) {
        let mut builder = Builder::new();
        builder.preemption_bound = Some(builder.preemption_bound.unwrap_or(2));
        builder.check(move || {
            let scene = Arc::new(Scene {
                gate: Gate::new(),
                ring: UnsafeCell::new(false),
                recorded: AtomicU32::new(0),
                counted: AtomicU32::new(0),
            });
            let others: Vec<_> = lanes
                .iter()
                .map(|&lane| {
                    let scene = Arc::clone(&scene);
                    thread::spawn(move || (0..events).for_each(|_| scene.event(lane)))
                })
                .collect();
            scene.relocate();
            others.into_iter().for_each(|thread| thread.join().unwrap());
            let sum = scene.recorded.load(Ordering::Relaxed) + scene.counted.load(Ordering::Relaxed);
            assert_eq!(sum, lanes.len() as u32 * events, "each event is recorded or counted");
        });
    }

    #[test]
    fn one_context_and_the_mover() {
        explore(&[0], 2);
    }

    #[test]
    fn two_contexts_in_one_lane() {
        explore(&[1, 1], 1);
    }

    #[test]
    fn two_contexts_in_two_lanes() {
        explore(&[0, 1], 1);
    }
}

//! The state of the recorder of this process: everything that recording needs.
//!
//! It is created once, by the [builder](crate::Builder), and never freed: threads write into its ring until the process
//! ends. The log macros find it through [`current`].

use std::fmt;
use std::hash::RandomState;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use ttlog_core::event::filter::FilterCell;
use ttlog_core::event::start_epoch;
use ttlog_core::ring::{Gate, Renewal};
use ttlog_core::{Filter, Word};

use super::forked::ForkState;
use super::place::Place;
use super::process::ProcessState;
use super::registry::Registry;
use super::ring::CurrentRing;
use crate::clock::ClockInfo;
use crate::config::settings::Settings;
use crate::memory::guard;
use crate::sys::report;

/// The recorder of this process; null until it is created. Set once, to a leaked box.
static RECORDER: AtomicPtr<State> = AtomicPtr::new(std::ptr::null_mut());

/// Returns the recorder of this process. One load and a test; callable anywhere.
#[inline(always)]
pub(crate) fn current() -> Option<&'static State> {
    // SAFETY: the pointer is null, or a leaked box that was complete before `publish` stored it with release.
    unsafe { RECORDER.load(Ordering::Acquire).as_ref() }
}

/// Makes `inner` the recorder of this process. Called once, under the builder's lock.
pub(crate) fn publish(inner: State) -> &'static State {
    let inner = Box::leak(Box::new(inner));
    RECORDER.store(inner, Ordering::Release);
    inner
}

/// Everything that recording needs.
pub(crate) struct State {
    /// Destination of records.
    pub(crate) ring: CurrentRing,
    /// The memory of the ring. That of a child of `fork` takes only the first part of it if it is smaller.
    pub(crate) words: &'static [Word],
    /// Bytes of memory that the process can have; the largest number if unknown.
    pub(crate) memory_bytes: u64,
    /// Callsite ids.
    pub(crate) registry: Registry,
    /// The clock that [`now`](crate::clock::now) reads.
    pub(crate) clock: ClockInfo,
    /// The state of this process; a child of `fork` has its own. Set once in each process, to a value that is never
    /// freed.
    pub(crate) process: AtomicPtr<ProcessState>,
    /// Directory of the snapshots.
    pub(crate) snapshot_directory: Place,
    /// The name of the service, as set by the program.
    pub(crate) service_name: String,
    /// The filter that selects the recorded events. Changed under the filter lock of the generation.
    pub(crate) filter: FilterCell,
    /// Whether `shutdown` was called; never cleared.
    pub(crate) ended: AtomicBool,
    /// Closed while the ring is moved to another file. All who write to the ring outside of the hot path are inside,
    /// except for the service thread, which moves it.
    pub(crate) gate: Gate,
    /// Whether this process has its ring; a child of `fork` creates it at its first event.
    pub(crate) renewal: Renewal,
    /// The state of a child of `fork`.
    pub(crate) forked: ForkState,
    /// Key of the ids that spans have in other processes.
    pub(crate) span_keys: RandomState,
    /// The options, as checked.
    pub(crate) settings: Settings,
}

impl State {
    /// Returns the state of this process. One load; callable anywhere.
    pub(crate) fn process(&self) -> &'static ProcessState {
        // SAFETY: the stored value is complete and never freed, see the field.
        unsafe { &*self.process.load(Ordering::Acquire) }
    }

    /// Returns whether events are recorded at all.
    #[inline]
    pub(crate) fn is_recording(&self) -> bool {
        !self.ended.load(Ordering::Relaxed)
    }

    /// Pairs the ring's clock with the wall clock, unless another thread is doing so. In a fork, that is the parent.
    pub(crate) fn write_anchor(&self) {
        let process = self.process();
        if process.is_in_fork() {
            return;
        }
        if let Ok(_guard) = process.anchor_lock.try_lock() {
            let Some(_passage) = self.try_enter(0) else { return };
            let anchor = self.clock.anchor();
            self.ring.write_anchor(anchor);
            process.note_anchor(anchor.ticks);
        }
    }

    /// Pairs the clocks if no service thread does, in a child of `fork` that only logs: if a second has passed since
    /// the last time. Bounded; async-signal-safe.
    pub(crate) fn write_anchor_if_due(&self) {
        let process = self.process();
        if !process.is_settled.load(Ordering::Relaxed) {
            let age = self.clock.precise_now().wrapping_sub(process.last_anchor());
            if age >= self.clock.ticks_per_second {
                self.write_anchor();
            }
        }
    }

    /// Applies a filter. Waits for other callers.
    pub(crate) fn set_filter(&self, filter: Filter<'_>) {
        let _changing = self.process().filter_lock.lock().unwrap_or_else(PoisonError::into_inner);
        self.filter.set(filter);
        start_epoch();
        let _passage = self.enter_patiently(0);
        self.ring.set_filter_text(filter.text());
    }

    /// Calls `tell` with the filter in force, which does not change during the call.
    pub(crate) fn with_filter_text(&self, tell: impl FnOnce(&str)) {
        let _unchanged = self.process().filter_lock.lock().unwrap_or_else(PoisonError::into_inner);
        self.filter.with(|filter| tell(filter.text()));
    }

    /// Returns whether the ring outlives the process: all of it is in a file that can be found.
    pub(crate) fn outlives(&self) -> bool {
        self.process().file().is_some() && !self.is_cut() && !self.process().is_nameless()
    }

    /// Returns whether somebody truncated the ring's file, so that a part of the ring is memory without a file.
    pub(crate) fn is_cut(&self) -> bool {
        self.process().file().is_some() && guard::cut_len() > 0
    }

    /// Warns once if the ring's file was truncated.
    pub(crate) fn report_cut(&self) {
        if let Some(file) = self.process().file().filter(|_| self.is_cut()) {
            static CUT: report::Once = report::Once::new();
            CUT.warn(format_args!(
                "somebody cut the ring's file {:?} short: its events are lost from there on, and {} of {} bytes will \
                 not outlive this process",
                file.path,
                guard::cut_len(),
                self.ring.len_bytes()
            ));
        }
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("service", &self.service_name)
            .field("ring", &self.ring)
            .field("file", &self.process().file().map(|file| &file.path))
            .field("clock", &self.clock)
            .finish_non_exhaustive()
    }
}

//! State of a child of `fork`: the data for its ring, and when the ring can be created.

#![cfg_attr(
    not(target_os = "linux"),
    allow(dead_code, reason = "for children of fork, which have rings on Linux alone")
)]

use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use ttlog_core::ring::UnderWay;
use ttlog_core::{RingConfig, Word};

use crate::memory::budget::Budget;
use crate::memory::process_item::Description;
use crate::sys::MemoryLimit;

/// The data from which a child of `fork` creates its ring, collected at the start of the first process, and the appends
/// interrupted by its fork.
pub(crate) struct ForkState {
    /// Layout of the ring of the first process, except for its id.
    pub(crate) config: RingConfig,
    /// Memory for the rings of children.
    pub(crate) room: ChildRoom,
    /// The part of the process item that all of them share.
    pub(crate) description: Description,
    /// The name of the service, for the names of ring files.
    pub(crate) service: Box<str>,
    /// Whether this is a child whose memory could not be separated from its parent's: it must not write.
    pub(crate) is_lost: AtomicBool,
    /// The commit words of the appends on the hot path that were interrupted by this process's fork, one in each class
    /// of segments, as long as they might be in progress; null if there is none.
    fast_under_way: [AtomicPtr<Word>; 2],
    /// Whether an append on the slow path was interrupted by this process's fork and has not finished.
    pub(crate) slow_under_way: AtomicBool,
}

/// Memory for the rings of children.
pub(crate) struct ChildRoom {
    /// The budget of the files of their rings; `None` if there is no memory to count it.
    pub(crate) budget: Option<&'static Budget>,
    /// Bytes of the ring of a child if its capacity is not set.
    pub(crate) usual_bytes: u64,
    /// The smallest limit of the memory, if there is one and rings are memory.
    pub(crate) limit: Option<MemoryLimit>,
}

impl ForkState {
    /// Collects the data that does not change.
    pub(crate) fn new(config: RingConfig, room: ChildRoom, description: Description, service: Box<str>) -> Self {
        ForkState {
            config,
            room,
            description,
            service,
            is_lost: AtomicBool::new(false),
            fast_under_way: [const { AtomicPtr::new(ptr::null_mut()) }; 2],
            slow_under_way: AtomicBool::new(false),
        }
    }

    /// Returns whether the ring can be created: no log call that began before the fork is still in progress.
    pub(crate) fn is_quiet(&self) -> bool {
        !self.is_lost.load(Ordering::Relaxed)
            && !self.slow_under_way.load(Ordering::Acquire)
            && self.fast_under_way().into_iter().flatten().all(|append| append.has_committed())
    }

    /// Notes the appends on the hot path that were interrupted by this process's fork.
    pub(crate) fn note_fast_path(&self, appends: [Option<UnderWay<'static>>; 2]) {
        for (place, append) in self.fast_under_way.iter().zip(appends) {
            let word = append.map_or(ptr::null_mut(), |append| ptr::from_ref(append.word()).cast_mut());
            place.store(word, Ordering::Relaxed);
        }
    }

    fn fast_under_way(&self) -> [Option<UnderWay<'static>>; 2] {
        self.fast_under_way.each_ref().map(|place| {
            // SAFETY: null, or a word of the ring's memory, which is never freed.
            let word: Option<&'static Word> = unsafe { place.load(Ordering::Relaxed).as_ref() };
            word.map(UnderWay::of_word)
        })
    }

    /// Checks whether the interrupted appends on the hot path have finished; called in the thread of these appends.
    /// `are_closed`: whether their cursors are. Returns `true` if all have finished.
    pub(crate) fn see_fast_path(&self, are_closed: [bool; 2]) -> bool {
        let mut are_over = true;
        for ((place, append), is_closed) in self.fast_under_way.iter().zip(self.fast_under_way()).zip(are_closed) {
            if !is_closed && append.is_none_or(|append| !append.is_busy()) {
                place.store(ptr::null_mut(), Ordering::Relaxed);
            } else {
                are_over = false;
            }
        }
        are_over
    }
}

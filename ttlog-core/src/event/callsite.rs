//! The callsite: the static place of one event macro, and whether it is enabled.
//!
//! A callsite registers itself on its first use (linker-section registries lose entries). What it costs afterwards is a load
//! and a compare: the *epoch* is a number that changes whenever the recorder or its filter changes, and a callsite remembers
//! the epoch for which it knows that it is off, or on. So a change of filter is one store, reaches every callsite at its next
//! use, and needs no list of callsites, which a plugin that is unloaded would leave with dangling entries.
//!
//! # Format
//! docs/format.md §3.2, encoded and decoded in [`table`](crate::table).

use portable_atomic::Ordering;

use super::fields::TYPES_HASH_MIN;
use crate::memory::atomic::AtomicU32;

pub use super::epoch::{epoch, start_epoch};
pub use super::metadata::{Field, Literal, Metadata};

/// The static place of one event macro.
#[derive(Debug)]
pub struct Callsite {
    /// The epoch for which the callsite is known to be off. 0 at first: off while there is no recorder.
    pub(crate) off_epoch: AtomicU32,
    /// The epoch for which it is known to be on; 0: none.
    pub(crate) on_epoch: AtomicU32,
    /// Hash of the type list for which `id` was given; [`UNBOUND`] before, [`BINDING`] while `id` is written. Bound once: a
    /// generic function can use one callsite with several type lists, of which the first has the fast path.
    bound: AtomicU32,
    /// The callsite's id for that type list; valid once `bound` is a hash.
    id: AtomicU32,
    pub(crate) metadata: &'static Metadata,
}

/// Where in a callsite its metadata stands, which a program and its plugins must agree on.
#[cfg(not(target_os = "none"))]
pub(crate) const METADATA_OFFSET: usize = core::mem::offset_of!(Callsite, metadata);

const UNBOUND: u32 = 0;
const BINDING: u32 = 1;
impl Callsite {
    /// Makes the callsite of a macro.
    #[must_use]
    pub const fn new(metadata: &'static Metadata) -> Self {
        Callsite {
            off_epoch: AtomicU32::new(0),
            on_epoch: AtomicU32::new(0),
            bound: AtomicU32::new(UNBOUND),
            id: AtomicU32::new(0),
            metadata,
        }
    }

    /// Returns what the source says.
    #[must_use]
    pub fn metadata(&self) -> &'static Metadata {
        self.metadata
    }

    /// Returns the id for this type list, if it is known here. One load and a compare.
    #[inline(always)]
    #[must_use]
    pub fn id_for(&self, types_hash: u32) -> Option<u16> {
        // Acquire: the id was stored before.
        (self.bound.load(Ordering::Acquire) == types_hash).then(|| self.id.load(Ordering::Relaxed) as u16)
    }

    /// Remembers `id` for this type list. Without effect if an id is known already, be it for this list or for another.
    pub fn bind(&self, types_hash: u32, id: u16) {
        debug_assert!(types_hash >= TYPES_HASH_MIN);
        if self.bound.compare_exchange(UNBOUND, BINDING, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            self.id.store(u32::from(id), Ordering::Relaxed);
            self.bound.store(types_hash, Ordering::Release);
        }
    }
}

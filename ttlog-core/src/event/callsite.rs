//! Callsites: the static data of an event macro, and whether it is enabled.
//!
//! A callsite registers itself on its first use (linker-section registries lose entries). After that, a check costs a
//! load and a compare: the *epoch* is a number that changes whenever the recorder or its filter changes, and a callsite
//! caches the epoch for which it knows that it is off, or on. So a change of filter is one store, reaches every
//! callsite at its next use, and needs no list of callsites, in which an unloaded plugin would leave dangling entries.
//!
//! # Format
//! docs/format.md §3.2, encoded and decoded in [`table`](crate::table).

use portable_atomic::Ordering;

use super::fields::TYPES_HASH_MIN;
use super::metadata::Metadata;
use crate::memory::atomic::AtomicU32;

/// Static data of one event macro.
#[derive(Debug)]
pub struct Callsite {
    /// Epoch for which the callsite is known to be off. Initially 0: off while there is no recorder.
    pub(crate) off_epoch: AtomicU32,
    /// Epoch for which the callsite is known to be on; 0: none.
    pub(crate) on_epoch: AtomicU32,
    /// Hash of the type list that `id` was assigned to; [`UNBOUND`] before, [`BINDING`] while `id` is written. Bound
    /// once: a generic function can use one callsite with several type lists, of which the first has the fast path.
    bound: AtomicU32,
    /// Id of the callsite for that type list; valid once `bound` is a hash.
    id: AtomicU32,
    pub(crate) metadata: &'static Metadata,
}

/// Offset of the metadata in a callsite, which must be the same in a program and its plugins.
#[cfg(not(target_os = "none"))]
pub(crate) const METADATA_OFFSET: usize = core::mem::offset_of!(Callsite, metadata);

const UNBOUND: u32 = 0;
const BINDING: u32 = 1;
impl Callsite {
    /// Creates the callsite of a macro.
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

    /// Returns the compile-time metadata.
    #[must_use]
    pub fn metadata(&self) -> &'static Metadata {
        self.metadata
    }

    /// Returns the id for this type list, if it is cached here. Costs one load and a compare.
    #[inline(always)]
    #[must_use]
    pub fn id_for(&self, types_hash: u32) -> Option<u16> {
        // Acquire: the id was stored before.
        (self.bound.load(Ordering::Acquire) == types_hash).then(|| self.id.load(Ordering::Relaxed) as u16)
    }

    /// Caches `id` for this type list. Has no effect if an id is cached already, for this list or another.
    pub fn bind(&self, types_hash: u32, id: u16) {
        debug_assert!(types_hash >= TYPES_HASH_MIN);
        if self.bound.compare_exchange(UNBOUND, BINDING, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            self.id.store(u32::from(id), Ordering::Relaxed);
            self.bound.store(types_hash, Ordering::Release);
        }
    }
}

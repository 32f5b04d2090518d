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

use crate::memory::atomic::AtomicU32;

use crate::event::level::Level;
use crate::recorder::installed;

/// What the source says of a callsite.
#[derive(Clone, Copy, Debug)]
pub struct Metadata {
    /// How much it matters.
    pub level: Level,
    /// The module path, or what `target:` said.
    pub target: &'static str,
    /// The message or template; empty if there is none.
    pub message: &'static str,
    /// The source file, as the compiler was given it.
    pub file: &'static str,
    /// The line, from 1.
    pub line: u32,
    /// The fields in source order.
    pub fields: &'static [Field],
}

/// A field as the source says it.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// Its value if that is a literal; else the value is in each record.
    pub literal: Option<Literal>,
    /// Whether the source marks it as secret: its value is withheld from snapshots and exports.
    pub secret: bool,
}

impl Field {
    /// A field whose value is in each record.
    #[must_use]
    pub const fn dynamic(name: &'static str) -> Self {
        Field { name, literal: None, secret: false }
    }

    /// A field whose value is a literal.
    #[must_use]
    pub const fn literal(name: &'static str, value: Literal) -> Self {
        Field { name, literal: Some(value), secret: false }
    }

    /// Marks the field as secret.
    #[must_use]
    pub const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }
}

/// A literal that became part of the callsite: no bytes and no instructions per event.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs)] // each name is the type of the literal
pub enum Literal {
    Bool(bool),
    U64(u64),
    I64(i64),
    U128(u128),
    I128(i128),
    F64(f64),
    Str(&'static str),
    Char(char),
}

/// The epoch of the filter; 0: no recorder, every callsite is off. Never 0 again once a recorder is there.
static EPOCH: AtomicU32 = AtomicU32::new(0);
/// Stands in a plugin for the epoch of the program it is attached to. No callsite ever remembers it, so each event asks.
const FOREIGN: u32 = u32::MAX;
/// The epoch of a plugin that was detached.
const DETACHED: u32 = u32::MAX - 1;

/// Starts a new epoch: each callsite asks the recorder again at its next use. Atomic operations only; callable anywhere.
pub fn start_epoch() {
    let next = |epoch: u32| match epoch {
        FOREIGN => None,                           // it is the program that starts epochs
        epoch if epoch + 1 >= DETACHED => Some(1), // not 0, which means that there is no recorder
        epoch => Some(epoch + 1),
    };
    // The error is that this is a plugin.
    let _ = EPOCH.fetch_update(Ordering::Release, Ordering::Relaxed, next);
}

/// Gives the place of the epoch, for plugins.
#[cfg(not(target_os = "none"))]
pub(crate) const fn epoch_place() -> &'static AtomicU32 {
    &EPOCH
}

/// Has each callsite compare with the epoch of the program that this plugin is attached to.
#[cfg(not(target_os = "none"))]
pub(crate) fn follow_host() {
    EPOCH.store(FOREIGN, Ordering::Release);
}

/// Ends [`follow_host`]: every callsite is off from its next use on.
#[cfg(not(target_os = "none"))]
pub(crate) fn follow_nobody() {
    EPOCH.store(DETACHED, Ordering::Release);
}

/// Gives the present epoch.
#[must_use]
pub fn epoch() -> u32 {
    EPOCH.load(Ordering::Relaxed)
}

/// The static place of one event macro.
#[derive(Debug)]
pub struct Callsite {
    /// The epoch for which the callsite is known to be off. 0 at first: off while there is no recorder.
    off_epoch: AtomicU32,
    /// The epoch for which it is known to be on; 0: none.
    on_epoch: AtomicU32,
    /// Hash of the type list for which `id` was given; [`UNBOUND`] before, [`BINDING`] while `id` is written. Bound once: a
    /// generic function can use one callsite with several type lists, of which the first has the fast path.
    bound: AtomicU32,
    /// The callsite's id for that type list; valid once `bound` is a hash.
    id: AtomicU32,
    metadata: &'static Metadata,
}

/// Where in a callsite its metadata stands, which a program and its plugins must agree on.
#[cfg(not(target_os = "none"))]
pub(crate) const METADATA_OFFSET: usize = core::mem::offset_of!(Callsite, metadata);

const UNBOUND: u32 = 0;
const BINDING: u32 = 1;
/// Hashes of type lists are not below this.
pub(crate) const TYPES_HASH_MIN: u32 = 2;

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

    /// Gives what the source says.
    #[must_use]
    pub fn metadata(&self) -> &'static Metadata {
        self.metadata
    }

    /// Tells whether the event is to be recorded. Costs two loads and a compare when it is not, one more when it is; once per
    /// epoch the recorder is asked. Does not block; callable anywhere.
    #[inline(always)]
    pub fn is_enabled(&self) -> bool {
        let epoch = EPOCH.load(Ordering::Relaxed);
        self.off_epoch.load(Ordering::Relaxed) != epoch
            && (self.on_epoch.load(Ordering::Relaxed) == epoch || self.ask())
    }

    /// Asks the recorder, and remembers the answer for this epoch.
    #[cold]
    #[inline(never)]
    fn ask(&self) -> bool {
        // Before the recorder is asked: if the filter changes in between, this callsite asks again.
        let epoch = EPOCH.load(Ordering::Acquire);
        #[cfg(not(target_os = "none"))]
        let epoch = if epoch == FOREIGN {
            let Some(host) = crate::recorder::plugin::host() else { return false };
            let epoch = host.epoch();
            if self.off_epoch.load(Ordering::Relaxed) == epoch {
                return false;
            }
            if self.on_epoch.load(Ordering::Relaxed) == epoch {
                return true;
            }
            epoch
        } else {
            epoch
        };
        let on = installed().is_some_and(|recorder| recorder.is_on(self.metadata));
        let known = if on { &self.on_epoch } else { &self.off_epoch };
        known.store(epoch, Ordering::Relaxed);
        on
    }

    /// Gives the id for this type list, if it is known here. One load and a compare.
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

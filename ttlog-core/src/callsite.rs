//! The callsite: the static place of one event macro, and whether it is enabled.
//!
//! A callsite registers itself on its first use (linker-section registries lose entries). What it costs afterwards is a load
//! and a compare: the *epoch* is a number that changes whenever the recorder or its filter changes, and a callsite remembers
//! the epoch for which it knows that it is off, or on. So a change of filter is one store, reaches every callsite at its next
//! use, and needs no list of callsites, which a plugin that is unloaded would leave with dangling entries.
//!
//! # Format
//! docs/format.md §3.2, encoded and decoded in [`table`](crate::table).

use portable_atomic::{AtomicU32, Ordering};

use crate::level::Level;

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
}

impl Field {
    /// A field whose value is in each record.
    #[must_use]
    pub const fn dynamic(name: &'static str) -> Self {
        Field { name, literal: None }
    }

    /// A field whose value is a literal.
    #[must_use]
    pub const fn literal(name: &'static str, value: Literal) -> Self {
        Field { name, literal: Some(value) }
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

/// Starts a new epoch: each callsite asks the recorder again at its next use. One atomic operation; callable anywhere.
pub fn start_epoch() {
    if EPOCH.fetch_add(1, Ordering::Release) == u32::MAX {
        EPOCH.fetch_add(1, Ordering::Release); // not 0, which means that there is no recorder
    }
}

/// Gives the present epoch.
#[must_use]
pub fn epoch() -> u32 {
    EPOCH.load(Ordering::Relaxed)
}

/// The static place of one event macro.
#[derive(Debug)]
pub struct Callsite {
    /// The epoch for which the callsite is off. 0 at first: off while there is no recorder.
    off_epoch: AtomicU32,
    /// `epoch ^ bound` when the callsite is on in that epoch and `id` is valid; else anything that differs from it.
    on_key: AtomicU32,
    /// Hash of the type list for which `id` was given; 0: none yet. Set once: a generic function can use one callsite with
    /// several type lists, of which the first is the one with the fast path.
    bound: AtomicU32,
    /// The callsite's id for that type list. Written before `on_key`.
    id: AtomicU32,
    metadata: &'static Metadata,
}

impl Callsite {
    /// Makes the callsite of a macro.
    #[must_use]
    pub const fn new(metadata: &'static Metadata) -> Self {
        Callsite {
            off_epoch: AtomicU32::new(0),
            on_key: AtomicU32::new(0),
            bound: AtomicU32::new(0),
            id: AtomicU32::new(0),
            metadata,
        }
    }

    /// Gives what the source says.
    #[must_use]
    pub fn metadata(&self) -> &'static Metadata {
        self.metadata
    }

    /// Tells whether the event is to be recorded, as far as is known: `false` is certain, `true` may turn out to be wrong in
    /// the recorder, once. Two loads and a compare.
    #[inline(always)]
    pub fn is_enabled(&self) -> bool {
        self.off_epoch.load(Ordering::Relaxed) != EPOCH.load(Ordering::Relaxed)
    }

    /// Gives the id for this type list if the callsite is on in this epoch and the id is known here.
    #[inline(always)]
    #[must_use]
    pub fn id_if_on(&self, types_hash: u32) -> Option<u16> {
        // Acquire: the id was stored before the key.
        if self.on_key.load(Ordering::Acquire) == EPOCH.load(Ordering::Relaxed) ^ types_hash {
            Some(self.id.load(Ordering::Relaxed) as u16)
        } else {
            None
        }
    }

    /// Remembers that the callsite is off in `epoch`.
    pub fn set_off(&self, epoch: u32) {
        self.off_epoch.store(epoch, Ordering::Relaxed);
    }

    /// Remembers that the callsite is on in `epoch`, with `id` for this type list. Without effect for a second type list.
    ///
    /// Callers give the same id to the same callsite and type list, so that it does not matter which of two is first.
    pub fn set_on(&self, epoch: u32, types_hash: u32, id: u16) {
        let bound = self.bound.compare_exchange(0, types_hash, Ordering::Relaxed, Ordering::Relaxed);
        if bound == Ok(0) || bound == Err(types_hash) {
            self.id.store(u32::from(id), Ordering::Relaxed);
            self.on_key.store(epoch ^ types_hash, Ordering::Release);
        }
    }
}

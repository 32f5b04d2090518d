//! Writing to a ring: opening segments, and the exclusive and shared writers of records.

pub(crate) mod cursor;
pub(crate) mod identify;
pub(crate) mod priority;
pub(crate) mod segment;
pub(crate) mod shared;
pub(crate) mod size;

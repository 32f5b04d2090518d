//! Reading a ring: from bytes that may hold anything, or beside its writers.

pub(crate) mod image;
pub(crate) mod live;
pub(crate) mod peek;
pub(crate) mod records;
pub(crate) mod segment;

//! Writing into a ring: opening segments, and the two ways of putting records into them.

pub(crate) mod cursor;
pub(crate) mod segment;
pub(crate) mod shared;

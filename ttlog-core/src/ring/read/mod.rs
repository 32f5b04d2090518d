//! Reading a ring: from untrusted bytes, or concurrently with its writers.

pub(crate) mod image;
pub(crate) mod live;
pub(crate) mod peek;
pub(crate) mod records;
pub(crate) mod segment;

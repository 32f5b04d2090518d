//! A child of `fork` gets a ring of its own.

pub(crate) mod child;

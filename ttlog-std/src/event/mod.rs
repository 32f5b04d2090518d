//! The way of an event.

pub(crate) mod plugin;

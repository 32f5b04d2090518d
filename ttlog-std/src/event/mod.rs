//! The way of an event, of the program or of a plugin.

pub(crate) mod plugin;
pub(crate) mod record;

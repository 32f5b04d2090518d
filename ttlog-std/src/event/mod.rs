//! The path of an event, from the program or from a plugin.

pub(crate) mod plugin;
pub(crate) mod record;

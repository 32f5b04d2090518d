//! The path of an event, from the program or from a plugin.

mod append;
pub(crate) mod installed;
pub(crate) mod plugin;
pub(crate) mod record;
pub(crate) mod repeat;
pub(crate) mod span;
pub(crate) mod warned;

//! The state of the recorder: facts that recording needs, and nothing that is done with them.

pub(crate) mod process;
pub(crate) mod registry;
pub(crate) mod thread;
pub(crate) mod window;

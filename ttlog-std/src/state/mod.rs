//! The state of the recorder: facts that recording needs, and nothing that is done with them.

pub(crate) mod forked;
pub(crate) mod process;
mod recorder;
pub(crate) mod registry;
pub(crate) mod thread;
pub(crate) mod window;

pub(crate) use recorder::{State, current, publish};

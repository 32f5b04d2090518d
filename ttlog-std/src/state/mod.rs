//! The state of the recorder: the data that recording needs, without the actions on it.

pub(crate) mod forked;
mod passage;
pub(crate) mod place;
pub(crate) mod process;
mod recorder;
pub(crate) mod registry;
pub(crate) mod ring;
pub(crate) mod thread;
pub(crate) mod thread_name;
pub(crate) mod window;

pub(crate) use recorder::{State, current, publish};

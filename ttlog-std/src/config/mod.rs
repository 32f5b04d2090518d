//! The options: set by the program and by its environment.

pub(crate) mod environment;
pub(crate) mod error;
pub(crate) mod settings;
mod value;

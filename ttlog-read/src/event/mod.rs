//! The contents of an event: its values, its message, and which values are withheld.

pub(crate) mod path;
pub mod secrets;
pub mod template;
pub mod value;

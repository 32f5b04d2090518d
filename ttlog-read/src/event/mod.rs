//! What an event holds: its values, its message, and what of it is withheld.

pub mod secrets;
pub mod template;
pub mod value;

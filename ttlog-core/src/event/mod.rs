//! The event: what is known of it at compile time, what it carries, and whether it is on.

pub mod callsite;
pub mod capture;
pub mod epoch;
pub mod fields;
pub mod filter;
pub mod level;
pub mod literal;
pub mod metadata;
pub mod secret;

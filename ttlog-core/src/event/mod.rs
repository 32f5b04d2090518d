//! Events: callsites with their compile-time metadata, fields, and filters.

pub mod callsite;
pub mod capture;
pub mod epoch;
pub mod fields;
pub mod filter;
pub mod level;
pub mod literal;
pub mod metadata;
pub mod secret;

//! Tools of the measurements: child processes, a recorder, medians, tables.

pub mod child;
pub mod recorder;
pub mod report;
pub mod stats;

//! Shared code of the fuzz targets.
//!
//! - [`naive`]: the second decoder, written from the document
//! - [`mend`]: corrects checksums, so that a fuzzer gets past them
//! - [`visit`]: reads everything that can be read, and checks invariants

pub mod mend;
pub mod naive;
pub mod visit;

//! Shared code of the fuzz targets.
//!
//! - [`naive`]: the second decoder, written from the document
//! - [`mend`]: corrects checksums, so that a fuzzer gets past them
//! - [`spans`]: the second fold of span records
//! - [`span_ring`]: span records in a ring, read as a file
//! - [`visit`]: reads everything that can be read, and checks invariants

pub mod mend;
pub mod naive;
pub mod span_ring;
pub mod spans;
pub mod visit;

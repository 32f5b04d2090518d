//! What the fuzz targets share.
//!
//! - [`naive`]: the second decoder, written from the document
//! - [`mend`]: makes checksums right, so that a fuzzer gets behind them
//! - [`visit`]: reads everything that can be read, and checks what always holds

pub mod mend;
pub mod naive;
pub mod visit;

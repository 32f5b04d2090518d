//! What the fuzz targets share: [`naive`], the second decoder.

pub mod naive;

//! Data about a firmware: its build id, its callsites, and the location of its ring.
//!
//! It comes from the [ELF file](super::elf), or from a dictionary made from one. A snapshot of a session also works,
//! because it contains the callsites.

use std::fmt::Write as _;

use ttlog_core::ring::BUILD_ID_LEN;
use ttlog_core::snapshot::{Sink, write_dictionary};

/// Most callsites of a firmware: ids are 1 to 65,534.
pub const CALLSITES_MAX: usize = 65_534;

/// Most problems that are listed.
const PROBLEMS_MAX: usize = 8;

/// Data about a firmware.
#[derive(Debug, Default)]
pub struct Firmware {
    /// Path of the file, as given.
    pub path: String,
    /// Build id in full length; empty: none.
    pub build_id: Vec<u8>,
    /// Callsite items (docs/format.md §3.2), in the order of their ids.
    pub callsites: Vec<Vec<u8>>,
    /// Address and length of the ring in bytes, if the file records them (length 0: unknown).
    pub ring: Option<(u64, u64)>,
    /// Decoder for its defmt frames.
    #[cfg(feature = "defmt")]
    pub defmt: Option<std::sync::Arc<super::defmt::Defmt>>,
    /// Parts of the file that could not be read, one line each.
    pub problems: Vec<String>,
}

impl Firmware {
    /// Records a problem with the file; the number is limited.
    pub(super) fn problem(&mut self, line: &dyn std::fmt::Display) {
        match self.problems.len() {
            0..PROBLEMS_MAX => self.problems.push(line.to_string()),
            PROBLEMS_MAX => self.problems.push("and more".to_owned()),
            _ => {}
        }
    }

    /// Returns the build id as rings store it: truncated, or padded with zeros.
    #[must_use]
    pub fn short_build_id(&self) -> [u8; BUILD_ID_LEN] {
        let mut short = [0; BUILD_ID_LEN];
        let len = self.build_id.len().min(BUILD_ID_LEN);
        short[..len].copy_from_slice(&self.build_id[..len]);
        short
    }

    /// Returns the firmware as the bytes of a dictionary.
    #[must_use]
    pub fn to_dictionary(&self) -> Vec<u8> {
        let mut sink = VecSink(Vec::new());
        let Ok(()) = write_dictionary(&self.build_id, self.callsites.iter().map(Vec::as_slice), &mut sink);
        sink.0
    }
}

/// A sink that writes to memory.
#[derive(Debug, Default)]
pub(super) struct VecSink(pub(super) Vec<u8>);

impl Sink for VecSink {
    type Error = std::convert::Infallible;

    fn write_all(&mut self, bytes: &[u8]) -> Result<(), Self::Error> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

/// Returns a build id as hexadecimal text, without the zeros that pad it.
#[must_use]
pub fn build_id_text(build_id: &[u8]) -> String {
    let len = build_id.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    if len == 0 {
        return "(none)".to_owned();
    }
    let mut text = String::new();
    for byte in &build_id[..len] {
        _ = write!(text, "{byte:02x}"); // cannot fail on a String
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn build_ids_as_text() {
        assert_eq!(build_id_text(&[]), "(none)");
        assert_eq!(build_id_text(&[0; 20]), "(none)");
        assert_eq!(build_id_text(&[0, 0xAB, 0x01, 0, 0]), "00ab01");
    }
}

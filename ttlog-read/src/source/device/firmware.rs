//! What is known of a firmware: its build id, what its callsites say, and where its ring is.
//!
//! It comes from the [ELF file](super::elf), or from a dictionary that was made of one. A snapshot of a session serves as well: it has the
//! callsites in it.

use std::fmt::Write as _;

use ttlog_core::ring::BUILD_ID_LEN;
use ttlog_core::snapshot::{Sink, write_dictionary};

/// Most callsites that a firmware can have: ids are 1 to 65,534.
pub const CALLSITES_MAX: usize = 65_534;

/// Most lines about what could not be read.
const PROBLEMS_MAX: usize = 8;

/// What is known of a firmware.
#[derive(Debug, Default)]
pub struct Firmware {
    /// The file it comes from, as it was named.
    pub path: String,
    /// Its build id, as long as it is; empty: it has none.
    pub build_id: Vec<u8>,
    /// Callsite items (docs/format.md §3.2), in the order of their ids.
    pub callsites: Vec<Vec<u8>>,
    /// Where its ring is, if the file says so: address, and bytes (0: not told).
    pub ring: Option<(u64, u64)>,
    /// What its defmt frames mean.
    #[cfg(feature = "defmt")]
    pub defmt: Option<std::sync::Arc<super::defmt::Defmt>>,
    /// What of the file could not be read, a line each.
    pub problems: Vec<String>,
}

impl Firmware {
    /// Takes note of something that could not be read; of many only some.
    pub(super) fn problem(&mut self, line: &dyn std::fmt::Display) {
        match self.problems.len() {
            0..PROBLEMS_MAX => self.problems.push(line.to_string()),
            PROBLEMS_MAX => self.problems.push("and more".to_owned()),
            _ => {}
        }
    }

    /// Returns the build id as rings have it: cut, or filled up with zeros.
    #[must_use]
    pub fn short_build_id(&self) -> [u8; BUILD_ID_LEN] {
        let mut short = [0; BUILD_ID_LEN];
        let len = self.build_id.len().min(BUILD_ID_LEN);
        short[..len].copy_from_slice(&self.build_id[..len]);
        short
    }

    /// Returns the bytes of its dictionary.
    #[must_use]
    pub fn to_dictionary(&self) -> Vec<u8> {
        let mut sink = VecSink(Vec::new());
        let Ok(()) = write_dictionary(&self.build_id, self.callsites.iter().map(Vec::as_slice), &mut sink);
        sink.0
    }
}

/// Bytes in memory as a sink.
#[derive(Debug, Default)]
pub(super) struct VecSink(pub(super) Vec<u8>);

impl Sink for VecSink {
    type Error = std::convert::Infallible;

    fn write_all(&mut self, bytes: &[u8]) -> Result<(), Self::Error> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

/// Returns a build id as people compare them: hexadecimal, without the zeros it is filled up with.
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

//! What is known of a firmware: its build id, what its callsites say, and where its ring is.
//!
//! It comes from the [ELF file](crate::source::device::elf), or from a dictionary that was made of one. A snapshot of a session serves as well: it has the
//! callsites in it.

use std::fmt::Write as _;
use std::path::Path;

use ttlog_core::ring::{BUILD_ID_LEN, Session};
use ttlog_core::snapshot::{Sink, SnapshotItem, SnapshotReader, write_dictionary};
use ttlog_core::table::{EntryStart, TableItem};

use crate::source::device::elf;
use crate::source::{open, read, shown};

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
    pub defmt: Option<std::rc::Rc<crate::source::device::defmt::Defmt>>,
    /// What of the file could not be read, a line each.
    pub problems: Vec<String>,
}

impl Firmware {
    /// Reads an ELF file, a dictionary, or a snapshot of a session.
    ///
    /// # Errors
    /// A line that says what is wrong with the file.
    pub fn load(path: &Path) -> Result<Self, String> {
        let bytes = open(path).and_then(|file| read(&file)).map_err(|error| shown(path, &error))?;
        let read = if elf::is_elf(&bytes.data) { elf::read(&bytes.data) } else { read_dictionary(&bytes.data) };
        let mut firmware = read.map_err(|error| shown(path, &error))?;
        firmware.path = path.to_string_lossy().into_owned();
        Ok(firmware)
    }

    /// Takes note of something that could not be read; of many only some.
    pub(super) fn problem(&mut self, line: &dyn std::fmt::Display) {
        match self.problems.len() {
            0..PROBLEMS_MAX => self.problems.push(line.to_string()),
            PROBLEMS_MAX => self.problems.push("and more".to_owned()),
            _ => {}
        }
    }

    /// Gives the build id as rings have it: cut, or filled up with zeros.
    #[must_use]
    pub fn short_build_id(&self) -> [u8; BUILD_ID_LEN] {
        let mut short = [0; BUILD_ID_LEN];
        let len = self.build_id.len().min(BUILD_ID_LEN);
        short[..len].copy_from_slice(&self.build_id[..len]);
        short
    }

    /// Gives the bytes of its dictionary.
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

/// Tells whether the bytes are a dictionary: items of a snapshot, with callsites, but without header and segments.
#[must_use]
pub fn is_dictionary(bytes: &[u8]) -> bool {
    let mut has_entries = false;
    for item in SnapshotReader::new(bytes).items() {
        match item {
            SnapshotItem::Entry(_) => has_entries = true,
            SnapshotItem::Header(_) | SnapshotItem::Segment(_) => return false,
            _ => {}
        }
    }
    has_entries
}

/// Reads a dictionary, or what of a snapshot is one.
fn read_dictionary(bytes: &[u8]) -> Result<Firmware, String> {
    let mut firmware = Firmware::default();
    let mut ended = false;
    for item in SnapshotReader::new(bytes).items() {
        match item {
            SnapshotItem::Entry(entry) => match TableItem::decode(entry.bytes) {
                Ok(TableItem::Process(process)) => firmware.build_id = process.build_id.to_vec(),
                Ok(TableItem::Callsite(_)) if firmware.callsites.len() < CALLSITES_MAX => {
                    firmware.callsites.push(entry.bytes.to_vec());
                }
                Ok(_) => {}
                Err(error) => firmware.problem(&format_args!("offset {}: {}", entry.offset, error.kind)),
            },
            SnapshotItem::End { .. } => ended = true,
            SnapshotItem::Damaged { offset, reason, .. } => {
                firmware.problem(&format_args!("offset {offset}: {reason}"));
            }
            _ => {}
        }
    }
    if firmware.callsites.is_empty() && firmware.build_id.is_empty() {
        return Err("neither an ELF file nor a dictionary made of one (ttlog-view dictionary)".to_owned());
    }
    if !ended {
        firmware.problem(&"cut off: the end is missing");
    }
    firmware.callsites.sort_by_key(|item| match EntryStart::decode(item) {
        EntryStart::Callsite(id) => id,
        _ => 0,
    });
    Ok(firmware)
}

/// Gives a build id as people compare them: hexadecimal, without the zeros it is filled up with.
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

/// The firmwares that the command line names.
#[derive(Debug, Default)]
pub struct Firmwares {
    /// Those that could be read, in the order given.
    pub known: Vec<Firmware>,
    /// What went wrong, a line each.
    pub errors: Vec<String>,
}

impl Firmwares {
    /// Reads the files.
    #[must_use]
    pub fn load(paths: &[std::path::PathBuf]) -> Self {
        let mut firmwares = Firmwares::default();
        for path in paths {
            match Firmware::load(path) {
                Ok(firmware) => {
                    let lines = firmware.problems.iter().map(|problem| shown(path, problem));
                    firmwares.errors.extend(lines);
                    firmwares.known.push(firmware);
                }
                Err(line) => firmwares.errors.push(line),
            }
        }
        firmwares
    }

    /// Gives the one with this build id. That no build id is known of either does not make them one.
    #[must_use]
    pub fn of_build(&self, build_id: &[u8; BUILD_ID_LEN]) -> Option<&Firmware> {
        let same = |firmware: &&Firmware| firmware.short_build_id() == *build_id;
        self.known.iter().find(same).filter(|_| build_id.iter().any(|&byte| byte != 0))
    }

    /// Gives the one that a session is of. Of some sessions only the first bytes of the build id are known.
    #[must_use]
    pub fn of_session(&self, session: &Session) -> Option<&Firmware> {
        if let Some(firmware) = self.of_build(&session.build_id) {
            return Some(firmware);
        }
        let (tag, rest) = session.build_id.split_at(4);
        let is_tag = rest.iter().all(|&byte| byte == 0) && tag.iter().any(|&byte| byte != 0);
        let mut fitting = self.known.iter().filter(|firmware| is_tag && firmware.build_id.starts_with(tag));
        // Two that begin alike cannot be told apart.
        fitting.next().filter(|_| fitting.next().is_none())
    }

    /// Gives where rings may be, as far as ELF files say so.
    #[must_use]
    pub fn ring_symbols(&self) -> Vec<(u64, u64)> {
        self.known.iter().filter_map(|firmware| firmware.ring).collect()
    }
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

    #[test]
    fn firmware_without_build_id_is_none_in_particular() {
        let firmwares = Firmwares { known: vec![Firmware::default()], errors: Vec::new() };
        assert!(firmwares.of_build(&[0; 20]).is_none());
        let named = Firmware { build_id: vec![7; 8], ..Firmware::default() };
        let firmwares = Firmwares { known: vec![Firmware::default(), named], errors: Vec::new() };
        let mut short = [0; 20];
        short[..8].fill(7);
        assert!(firmwares.of_build(&short).is_some());
        assert!(firmwares.of_build(&[7; 20]).is_none());
    }
}

//! Reading firmware data from files: an ELF file, a dictionary made from one, or a snapshot of a session.

use std::path::Path;

use ttlog_core::ring::{BUILD_ID_LEN, Session};
use ttlog_core::snapshot::{SnapshotItem, SnapshotReader, recordings};
use ttlog_core::table::{EntryStart, TableItem};

use super::elf;
use super::firmware::{CALLSITES_MAX, Firmware};
use crate::source::file::{open, read};
use crate::source::separate::RECORDINGS_MAX;
use crate::text::escape::error_line;

/// Firmwares that the command line names.
#[derive(Debug, Default)]
pub struct Firmwares {
    /// Firmwares that could be read, in the order given.
    pub known: Vec<Firmware>,
    /// Errors, one line each.
    pub errors: Vec<String>,
}

impl Firmwares {
    /// Returns whether any file was named, readable or not.
    #[must_use]
    pub fn are_named(&self) -> bool {
        self.known.len() + self.errors.len() > 0
    }

    /// Reads the files.
    #[must_use]
    pub fn load(paths: &[std::path::PathBuf]) -> Self {
        let mut firmwares = Firmwares::default();
        for path in paths {
            match Firmware::load_all(path) {
                Ok(mut found) => {
                    let problems = found.iter().flat_map(|firmware| &firmware.problems);
                    firmwares.errors.extend(problems.map(|problem| error_line(path, problem)));
                    firmwares.known.append(&mut found);
                }
                Err(line) => firmwares.errors.push(line),
            }
        }
        firmwares
    }

    /// Returns the firmware with this build id. Two unknown build ids do not match.
    #[must_use]
    pub fn of_build(&self, build_id: &[u8; BUILD_ID_LEN]) -> Option<&Firmware> {
        let same = |firmware: &&Firmware| firmware.short_build_id() == *build_id;
        self.known.iter().find(same).filter(|_| build_id.iter().any(|&byte| byte != 0))
    }

    /// Returns the firmware of a session. For some sessions only the first bytes of the build id are known.
    #[must_use]
    pub fn of_session(&self, session: &Session) -> Option<&Firmware> {
        if let Some(firmware) = self.of_build(&session.build_id) {
            return Some(firmware);
        }
        let (tag, rest) = session.build_id.split_at(4);
        let is_tag = rest.iter().all(|&byte| byte == 0) && tag.iter().any(|&byte| byte != 0);
        let mut fitting = self.known.iter().filter(|firmware| is_tag && firmware.build_id.starts_with(tag));
        // Two build ids that begin alike cannot be distinguished.
        fitting.next().filter(|_| fitting.next().is_none())
    }

    /// Returns the possible locations of rings according to the ELF files.
    #[must_use]
    pub fn ring_symbols(&self) -> Vec<(u64, u64)> {
        self.known.iter().filter_map(|firmware| firmware.ring).collect()
    }
}

impl Firmware {
    /// Reads an ELF file, a dictionary, or a snapshot of a session.
    ///
    /// # Errors
    /// A line that describes what is wrong with the file.
    pub fn load(path: &Path) -> Result<Self, String> {
        let mut found = Self::load_all(path)?;
        match (found.pop(), found.len()) {
            (Some(firmware), 0) => Ok(firmware),
            (_, others) => Err(error_line(path, &format_args!("holds {} firmwares, not one", others + 1))),
        }
    }

    /// Reads an ELF file, or the dictionaries and snapshots of sessions in a file, of which each is of a firmware of
    /// its own.
    ///
    /// # Errors
    /// A line that describes what is wrong with the file.
    pub fn load_all(path: &Path) -> Result<Vec<Self>, String> {
        let bytes = open(path).and_then(|file| read(&file)).map_err(|error| error_line(path, &error))?.data;
        let read = if elf::is_elf(&bytes) { elf::read(&bytes).map(|one| vec![one]) } else { read_dictionaries(&bytes) };
        let mut found = read.map_err(|error| error_line(path, &error))?;
        for firmware in &mut found {
            firmware.path = path.to_string_lossy().into_owned();
        }
        Ok(found)
    }
}

/// Returns whether the bytes are a dictionary: items of a snapshot, with callsites, but without header and segments.
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

/// Reads the dictionaries in a file.
fn read_dictionaries(bytes: &[u8]) -> Result<Vec<Firmware>, String> {
    let mut found: Vec<Firmware> = Vec::new();
    let mut other = None;
    for recording in recordings(bytes).take(RECORDINGS_MAX) {
        match read_dictionary(recording.bytes, recording.offset) {
            Ok(firmware) => found.push(firmware),
            Err(_) if recording.bytes.iter().all(|&byte| byte == 0) => {}
            Err(_) => other = other.or(Some((recording.offset, recording.bytes.len()))),
        }
    }
    let Some(last) = found.last_mut() else {
        return Err("neither an ELF file nor a dictionary made of one (ttlog-view dictionary)".to_owned());
    };
    if let Some((offset, len)) = other {
        last.problem(&format_args!("offset {offset}, {len} bytes: not a dictionary"));
    }
    Ok(found)
}

/// Reads a dictionary, or the corresponding items of a snapshot, from its byte offset in the file.
fn read_dictionary(bytes: &[u8], start: usize) -> Result<Firmware, ()> {
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
                Err(error) => firmware.problem(&format_args!("offset {}: {}", start + entry.offset, error.kind)),
            },
            SnapshotItem::End { .. } => ended = true,
            SnapshotItem::Damaged { offset, reason, .. } => {
                firmware.problem(&format_args!("offset {}: {reason}", start + offset));
            }
            _ => {}
        }
    }
    if firmware.callsites.is_empty() && firmware.build_id.is_empty() {
        return Err(());
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

#[cfg(test)]
mod tests {
    use super::*;

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

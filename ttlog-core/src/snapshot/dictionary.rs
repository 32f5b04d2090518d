//! The dictionary: a file with the texts of a device's callsites, for readers without the ELF file.
//!
//! It is a snapshot without header and segments: the process item with the build id, the callsite items, the end.
//! [`SnapshotReader`] reads it.
//!
//! [`SnapshotReader`]: super::SnapshotReader
//!
//! # Format
//! docs/format.md §6.

use minicbor::Encoder;
use minicbor::encode::write::Cursor;

use super::item::{ItemWriter, KIND_END, KIND_ENTRY};
use super::sink::Sink;
use crate::table::{ProcessInfo, encode_process};

/// Size of the buffer for a process item that holds only a build id, which is cut to fit.
const PROCESS_ROOM_LEN: usize = 128;
/// Maximum length of a written build id in bytes.
const BUILD_ID_LEN_MAX: usize = 64;
/// Size of the buffer for the body of the end item.
const END_ROOM_LEN: usize = 16;

/// Writes the dictionary of the firmware with this build id. `callsites` are items as created by
/// [`encode_callsite_text`](crate::table::encode_callsite_text).
///
/// # Errors
/// Errors of `sink`.
pub fn write_dictionary<'c, S: Sink>(
    build_id: &[u8],
    callsites: impl Iterator<Item = &'c [u8]>,
    sink: &mut S,
) -> Result<(), S::Error> {
    let build_id = &build_id[..build_id.len().min(BUILD_ID_LEN_MAX)];
    let process = ProcessInfo { build_id, ..ProcessInfo::default() };
    let mut room = [0; PROCESS_ROOM_LEN];
    let len = encode_process(&process, &mut room).unwrap_or(0); // the buffer is large enough
    item(sink, KIND_ENTRY, &room[..len])?;
    let mut count: u64 = 1;
    for callsite in callsites {
        item(sink, KIND_ENTRY, callsite)?;
        count += 1;
    }
    let mut encoder = Encoder::new(Cursor::new([0; END_ROOM_LEN]));
    let encoded = encoder.array(2).and_then(|encoder| encoder.u64(count)).and_then(|encoder| encoder.u64(0));
    debug_assert!(encoded.is_ok(), "the room suffices");
    let end = encoder.into_writer();
    item(sink, KIND_END, &end.get_ref()[..end.position()])
}

fn item<S: Sink>(sink: &mut S, kind: u8, body: &[u8]) -> Result<(), S::Error> {
    let mut item = ItemWriter::begin(sink, kind, body.len() as u32)?;
    item.body(body)?;
    item.end(true)
}

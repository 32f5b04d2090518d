//! Recognizing the contents of a file: recordings of processes and of devices, in any number and order. Recordings of
//! devices are a ring, an image of RAM that contains one, a core dump, or dumps received over a line.

use ttlog_core::ring::RingImage;
use ttlog_core::snapshot::{Content, SnapshotItem, SnapshotReader, content_of};

use super::coredump;
use super::elf::is_elf;
use super::load::{Firmwares, is_dictionary};
use super::receiver::{Dump, Received, Receiver};
use super::sessions::Recordings;
use crate::source::input::Input;
use crate::source::separate::{Piece, description, rest_description, separate};
use crate::text::number::grouped;

/// Part of a file.
pub(crate) enum Detected {
    /// A snapshot or the ring of a process; or a whole file that is neither.
    Process(Input),
    /// Recordings of devices.
    Device(Vec<Recordings>),
    /// Something that can be used, but not in this way.
    Refused(&'static str),
    /// Bytes that are left out, and why.
    LeftOut(String),
}

/// Detects what a file holds, and reads the sessions of devices.
pub(crate) fn detect(input: Input, firmwares: &Firmwares) -> Vec<Detected> {
    if let Some(found) = container(&input, firmwares) {
        return vec![found];
    }
    let pieces = separate(input);
    let is_whole = pieces.len() == 1;
    let mut found = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Recording(input) => found.push(recording(input, firmwares)),
            Piece::Other(input) => match of_dumps(&input, firmwares) {
                Some(dumps) => found.push(dumps),
                None if is_whole => found.push(Detected::Process(input)),
                None => found.push(Detected::LeftOut(description(&input))),
            },
            Piece::Memory(input) => found.extend(of_dumps(&input, firmwares)),
            Piece::TooMany(input) => found.push(Detected::LeftOut(rest_description(&input))),
        }
    }
    found
}

/// Recognizes a file whose format can contain recordings: reads the memory in a core dump, and refuses others.
fn container(input: &Input, firmwares: &Firmwares) -> Option<Detected> {
    let bytes = &input.bytes.data;
    if !matches!(content_of(bytes), Content::Frames | Content::Unknown) {
        return None;
    }
    if let Ok(mut memory) = coredump::read(bytes) {
        let places = firmwares.ring_symbols();
        let recordings = Recordings::of_memory(&input.path, &mut memory, &places, firmwares, "core");
        return Some(Detected::Device(vec![recordings]));
    }
    if is_elf(bytes) {
        return Some(Detected::Refused("an ELF file has names and no events; name it with --elf beside a recording"));
    }
    let compressed = COMPRESSED.iter().find(|(magic, _)| bytes.starts_with(magic));
    compressed.map(|(_, advice)| Detected::Refused(advice))
}

/// First bytes of compressed files, which are not decompressed here, and the advice.
const COMPRESSED: [(&[u8], &str); 5] = [
    (b"\x1F\x8B\x08", "compressed with gzip; show it with `gzip -dc FILE | ttlog-view -`"),
    (b"\x28\xB5\x2F\xFD", "compressed with zstd; show it with `zstd -dc FILE | ttlog-view -`"),
    (b"\xFD7zXZ\0", "compressed with xz; show it with `xz -dc FILE | ttlog-view -`"),
    (b"\x04\x22\x4D\x18", "compressed with lz4; show it with `lz4 -dc FILE | ttlog-view -`"),
    (b"BZh", "compressed with bzip2; show it with `bzip2 -dc FILE | ttlog-view -`"),
];

/// Reads one recording.
fn recording(input: Input, firmwares: &Firmwares) -> Detected {
    let bytes = &input.bytes.data;
    match content_of(bytes) {
        Content::Ring if RingImage::parse(bytes).is_ok_and(|image| image.header().is_device()) => {
            let mut recordings = Recordings::of_ring(&input.path, bytes.clone(), firmwares);
            for damage in recordings.inputs.iter_mut().flat_map(|session| &mut session.damage) {
                damage.offset = damage.offset.saturating_add(input.offset);
            }
            Detected::Device(vec![recordings])
        }
        // The whole snapshot is examined only if it does not begin like one.
        Content::Snapshot
            if matches!(SnapshotReader::new(bytes).items().next(), Some(SnapshotItem::Entry(_)))
                && is_dictionary(bytes) =>
        {
            Detected::Refused("a dictionary has names and no events; name it with --elf beside a recording")
        }
        _ => Detected::Process(input),
    }
}

/// Reads the dumps in the output of a device.
fn of_dumps(input: &Input, firmwares: &Firmwares) -> Option<Detected> {
    let (dumps, left_out) = dumps_in(&input.bytes.data);
    let mut found: Vec<_> = dumps
        .iter()
        .map(|dump| {
            let mut recordings = Recordings::of_dump(&input.path, dump, firmwares);
            if !dump.is_whole() {
                recordings.complain(&input.path, &dump.sentence());
            }
            recordings
        })
        .collect();
    if left_out > 0 {
        let line = format!("{} earlier dumps are left out; the last {DUMPS_MAX} are read", grouped(left_out));
        found.first_mut()?.complain(&input.path, &line);
    }
    (!found.is_empty()).then_some(Detected::Device(found))
}

/// Most dumps that are read from a file. If there are more, the last ones are read.
const DUMPS_MAX: usize = 64;

/// Returns the last dumps, and the number of those before them.
fn dumps_in(bytes: &[u8]) -> (Vec<Dump>, u64) {
    let mut dumps = Vec::new();
    let mut left_out = 0;
    let mut take = |received| {
        if let Received::Dump(dump) = received {
            if dumps.len() == DUMPS_MAX {
                dumps.remove(0);
                left_out += 1;
            }
            dumps.push(*dump);
        }
    };
    let mut receiver = Receiver::new();
    receiver.push(bytes, &mut take);
    receiver.finish(&mut take);
    (dumps, left_out)
}

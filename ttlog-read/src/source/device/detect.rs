//! Recognizing recordings of devices: a ring, an image of RAM that contains one, a core dump, or dumps received over a
//! line.

use ttlog_core::ring::RingImage;
use ttlog_core::snapshot::{Content, SnapshotItem, SnapshotReader, content_of, holds_items};

use super::coredump;
use super::elf::is_elf;
use super::load::{Firmwares, is_dictionary};
use super::memory::find_rings;
use super::ranges::Ranges;
use super::receiver::{Dump, Received, Receiver};
use super::sessions::Recordings;
use crate::source::input::Input;

/// Detected kind of a file.
pub(crate) enum Detected {
    /// A snapshot or the ring of a process, or neither.
    Other,
    /// Recordings of devices.
    Device(Vec<Recordings>),
    /// A file that can be used, but not in this way.
    Refused(&'static str),
}

/// Detects whether a file is the recording of a device, and if so, reads its sessions.
pub(crate) fn detect(input: &Input, firmwares: &Firmwares) -> Detected {
    let bytes = &input.bytes.data;
    match content_of(bytes) {
        Content::Ring if RingImage::parse(bytes).is_ok_and(|image| image.header().is_device()) => {
            Detected::Device(vec![Recordings::of_ring(&input.path, bytes.clone(), firmwares)])
        }
        // The whole file is examined only if it does not begin like a snapshot.
        Content::Snapshot
            if matches!(SnapshotReader::new(bytes).items().next(), Some(SnapshotItem::Entry(_)))
                && is_dictionary(bytes) =>
        {
            Detected::Refused("a dictionary has names and no events; name it with --elf beside a recording")
        }
        Content::Ring | Content::Snapshot => Detected::Other,
        Content::Frames | Content::Unknown if holds_items(bytes) => Detected::Other,
        Content::Frames | Content::Unknown => of_unknown(input, firmwares),
    }
}

fn of_unknown(input: &Input, firmwares: &Firmwares) -> Detected {
    let bytes = &input.bytes.data;
    if let Ok(mut memory) = coredump::read(bytes) {
        return Detected::Device(vec![Recordings::of_memory(
            &input.path,
            &mut memory,
            &firmwares.ring_symbols(),
            firmwares,
            "core",
        )]);
    }
    if is_elf(bytes) {
        return Detected::Refused("an ELF file has names and no events; name it with --elf beside a recording");
    }
    let dumps = dumps_in(bytes);
    if !dumps.is_empty() {
        let recordings = dumps.iter().map(|dump| {
            let mut recordings = Recordings::of_dump(&input.path, dump, firmwares);
            if !dump.is_whole() {
                recordings.complain(&input.path, &dump.sentence());
            }
            recordings
        });
        return Detected::Device(recordings.collect());
    }
    let mut memory = Ranges::raw(0, bytes.clone());
    match find_rings(&mut memory, &[]) {
        Ok(found) if !found.rings.is_empty() => {
            Detected::Device(vec![Recordings::of_memory(&input.path, &mut memory, &[], firmwares, "image")])
        }
        _ => Detected::Other,
    }
}

/// Most dumps that are read from a file. If there are more, the last ones are read.
const DUMPS_MAX: usize = 64;

fn dumps_in(bytes: &[u8]) -> Vec<Dump> {
    let mut dumps = Vec::new();
    let mut take = |received| {
        if let Received::Dump(dump) = received {
            if dumps.len() == DUMPS_MAX {
                dumps.remove(0);
            }
            dumps.push(*dump);
        }
    };
    let mut receiver = Receiver::new();
    receiver.push(bytes, &mut take);
    receiver.finish(&mut take);
    dumps
}

//! Files that hold recordings of devices, named without a command: a ring, an image of RAM with one in it, a core dump, dumps as they came over
//! a line. Each becomes a snapshot for each session in it.

use std::path::PathBuf;

use ttlog_core::ring::RingImage;
use ttlog_core::snapshot::{SnapshotItem, SnapshotReader};

use crate::source::device::coredump;
use crate::source::device::elf::is_elf;
use crate::source::device::firmware::{Firmwares, is_dictionary};
use crate::source::device::memory::find_rings;
use crate::source::device::ranges::Ranges;
use crate::source::device::receiver::{Dump, Received, Receiver};
use crate::source::device::sessions::Recordings;
use crate::source::{Content, Input, Inputs, content_of, holds_items, shown};
use crate::terminal::Outcome;

/// Puts a snapshot for each session in the place of each file that is a recording of a device; others stay as they are.
/// What is to be said of the sessions is among the errors.
#[must_use]
pub fn unfold(inputs: Inputs, firmware: &[PathBuf]) -> (Inputs, Outcome) {
    let mut firmwares = Firmwares::load(firmware);
    let mut unfolded = Inputs { read: Vec::new(), errors: inputs.errors };
    unfolded.errors.append(&mut firmwares.errors);
    let mut outcome = Outcome::Good;
    for input in inputs.read {
        match recordings(&input, &firmwares) {
            Unfolded::Other => unfolded.read.push(input),
            Unfolded::Refused(line) => unfolded.errors.push(shown(input.path.as_ref(), &line)),
            Unfolded::Device(found) => {
                for mut recordings in found {
                    outcome = outcome.max(recordings.outcome(!firmware.is_empty()));
                    unfolded.errors.append(&mut recordings.complaints);
                    unfolded.read.append(&mut recordings.inputs);
                }
            }
        }
    }
    (unfolded, outcome)
}

/// What a file turned out to be.
enum Unfolded {
    /// A snapshot or the ring of a process, or neither.
    Other,
    /// Recordings of devices.
    Device(Vec<Recordings>),
    /// Something that can be of use, but not so.
    Refused(&'static str),
}

fn recordings(input: &Input, firmwares: &Firmwares) -> Unfolded {
    let bytes = &input.bytes.data;
    match content_of(bytes) {
        Content::Ring if RingImage::parse(bytes).is_ok_and(|image| image.header().is_device()) => {
            Unfolded::Device(vec![Recordings::of_ring(&input.path, bytes.clone(), firmwares)])
        }
        // Only of what does not begin like a snapshot all is looked at.
        Content::Snapshot
            if matches!(SnapshotReader::new(bytes).items().next(), Some(SnapshotItem::Entry(_)))
                && is_dictionary(bytes) =>
        {
            Unfolded::Refused("a dictionary has names and no events; name it with --elf beside a recording")
        }
        Content::Ring | Content::Snapshot => Unfolded::Other,
        Content::Unknown if holds_items(bytes) => Unfolded::Other,
        Content::Unknown => of_unknown(input, firmwares),
    }
}

fn of_unknown(input: &Input, firmwares: &Firmwares) -> Unfolded {
    let bytes = &input.bytes.data;
    if let Ok(mut memory) = coredump::read(bytes) {
        return Unfolded::Device(vec![Recordings::of_memory(
            &input.path,
            &mut memory,
            &firmwares.ring_symbols(),
            firmwares,
            "core",
        )]);
    }
    if is_elf(bytes) {
        return Unfolded::Refused("an ELF file has names and no events; name it with --elf beside a recording");
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
        return Unfolded::Device(recordings.collect());
    }
    let mut memory = Ranges::raw(0, bytes.clone());
    match find_rings(&mut memory, &[]) {
        Ok(found) if !found.rings.is_empty() => {
            Unfolded::Device(vec![Recordings::of_memory(&input.path, &mut memory, &[], firmwares, "image")])
        }
        _ => Unfolded::Other,
    }
}

/// Most dumps that are taken of a file; of more the last are.
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

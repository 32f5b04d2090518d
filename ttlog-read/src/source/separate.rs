//! The recordings of one file, each as an input of its own.
//!
//! `cat a.bin b.bin` makes one file of two recordings. Each has its own names, process, clock and losses, so each
//! becomes a source of its own.

use ttlog_core::ring::{RingHeader, RingImage};
use ttlog_core::snapshot::{Content, Recording, content_of, recordings};

use super::file::Bytes;
use super::input::Input;
use crate::text::number::grouped;

/// Most recordings that are read from one file: each takes some 40 KiB of memory, however short it is.
pub const RECORDINGS_MAX: usize = 1024;

/// A part of a file.
#[derive(Debug)]
pub enum Piece {
    /// A ring or a snapshot.
    Recording(Input),
    /// Bytes that are neither.
    Other(Input),
    /// Other contents of an image of memory, with a ring among them.
    Memory(Input),
    /// The rest of a file with more than [`RECORDINGS_MAX`] recordings.
    TooMany(Input),
}

/// Separates the recordings of a file. Zeros between and after them are padding, and left out.
#[must_use]
pub fn separate(input: Input) -> Vec<Piece> {
    let places = places_in(&input.bytes.data);
    if places.is_empty() {
        return vec![Piece::Other(input)];
    }
    let count = places.iter().filter(|place| place.kind == Kind::Recording).count();
    let Input { path, offset, bytes, mut damage, .. } = input;
    let Bytes { mut data, .. } = bytes;
    let mut parts: Vec<Vec<u8>> = Vec::new();
    // From the end on, so that each byte is copied at most once, and a file with one recording not at all.
    for place in places.iter().rev() {
        data.truncate(place.end);
        parts.push(if place.start == 0 { std::mem::take(&mut data) } else { data.split_off(place.start) });
    }
    if let (2.., Some(first)) = (parts.len(), parts.last_mut()) {
        first.shrink_to_fit();
    }
    parts.reverse();
    let is_memory = is_memory(&parts, &places);
    let mut pieces = Vec::new();
    let mut number = 0;
    for (place, data) in places.iter().zip(parts) {
        let is_first = place.start == 0;
        number += usize::from(place.kind == Kind::Recording);
        let path = if count > 1 && place.kind == Kind::Recording {
            format!("{path} (recording {number})")
        } else {
            path.clone()
        };
        // What was noticed while the file was read is of the ring that it starts with.
        let bytes = if is_first { Bytes { data, ..bytes } } else { Bytes::from(data) };
        let damage = if is_first { std::mem::take(&mut damage) } else { Vec::new() };
        let input = Input { offset: offset + place.start as u64, ..Input::one(path, bytes, damage) };
        pieces.push(match place.kind {
            Kind::Recording => Piece::Recording(input),
            Kind::Other if is_memory => Piece::Memory(input),
            Kind::Other => Piece::Other(input),
            Kind::TooMany => Piece::TooMany(input),
        });
    }
    pieces
}

/// Checks that a file holds at most one recording, for what handles one.
///
/// # Errors
/// A message that states how many there are.
pub fn one_recording(bytes: &[u8]) -> Result<(), String> {
    let is_recording = |found: &Recording<'_>| matches!(found.content, Content::Ring | Content::Snapshot);
    match recordings(bytes).filter(is_recording).take(RECORDINGS_MAX).count() {
        0 | 1 => Ok(()),
        count => Err(format!("it holds {count} recordings, which ttlog-view shows; only one can be in a file here")),
    }
}

/// Describes bytes that are no recording.
#[must_use]
pub fn description(other: &Input) -> String {
    let bytes = &other.bytes.data;
    let (offset, len) = (other.offset, bytes.len());
    let why = match content_of(bytes) {
        Content::Ring => match RingImage::parse(bytes) {
            Err(error) => format!("a ring that cannot be read: {}", error.kind),
            Ok(_) => "not a recording".to_owned(),
        },
        Content::Snapshot => "a snapshot that is damaged or cut off within its first item".to_owned(),
        Content::Frames | Content::Unknown => "not a recording".to_owned(),
    };
    format!("offset {offset}, {len} bytes: {why}")
}

/// Describes the rest of a file that has too many recordings.
#[must_use]
pub fn rest_description(rest: &Input) -> String {
    let most = grouped(RECORDINGS_MAX as u64);
    format!("offset {}: the rest is not read, because there are more than {most} recordings", rest.offset)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Recording,
    Other,
    TooMany,
}

/// Place of a part of a file.
#[derive(Clone, Copy, Debug)]
struct Place {
    kind: Kind,
    start: usize,
    end: usize,
}

fn places_in(bytes: &[u8]) -> Vec<Place> {
    let mut places = Vec::new();
    let mut count = 0;
    for recording in recordings(bytes) {
        let (start, end) = (recording.offset, recording.offset + recording.bytes.len());
        let kind = match recording.content {
            Content::Unknown | Content::Frames if !is_damaged_ring(&recording) => {
                if recording.bytes.iter().any(|&byte| byte != 0) || recording.bytes.len() == bytes.len() {
                    places.push(Place { kind: Kind::Other, start, end });
                }
                continue;
            }
            _ => Kind::Recording,
        };
        if count == RECORDINGS_MAX {
            places.push(Place { kind: Kind::TooMany, start, end: bytes.len() });
            break;
        }
        count += 1;
        places.push(Place { kind, start, end });
    }
    places
}

/// Returns whether the recordings are rings among other contents: those of devices, or any after other bytes.
fn is_memory(parts: &[Vec<u8>], places: &[Place]) -> bool {
    let of_recordings = places.iter().zip(parts).filter(|(place, _)| place.kind == Kind::Recording);
    let headers: Option<Vec<RingHeader>> =
        of_recordings.map(|(_, bytes)| RingImage::parse(bytes).ok().map(|image| *image.header())).collect();
    let starts_otherwise = places.first().is_some_and(|place| place.kind == Kind::Other);
    headers.is_some_and(|rings| !rings.is_empty() && (starts_otherwise || rings.iter().any(RingHeader::is_device)))
}

/// Returns whether a ring starts here whose magic alone is damaged.
fn is_damaged_ring(recording: &Recording<'_>) -> bool {
    RingImage::parse(recording.bytes).is_ok()
}

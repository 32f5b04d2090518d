//! The recordings of one file, each as an input of its own.
//!
//! `cat a.bin b.bin` makes one file of two recordings. Each has its own names, process, clock and losses, so each
//! becomes a source of its own.

use ttlog_core::ring::RingImage;
use ttlog_core::snapshot::{Content, Recording, content_of, recordings};

use super::file::Bytes;
use super::input::Input;

/// Most recordings that are read from one file: each takes some 40 KiB of memory, however short it is.
pub const RECORDINGS_MAX: usize = 1024;

/// A part of a file.
#[derive(Debug)]
pub enum Piece {
    /// A ring or a snapshot.
    Recording(Input),
    /// Bytes that are neither.
    Other(Input),
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
    // From the end on, so that each byte is copied at most once.
    for place in places.iter().rev() {
        data.truncate(place.end);
        parts.push(data.split_off(place.start));
    }
    let mut pieces = Vec::new();
    let mut number = 0;
    for (place, data) in places.iter().zip(parts.into_iter().rev()) {
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
            Kind::Other => Piece::Other(input),
            Kind::TooMany => Piece::TooMany(input),
        });
    }
    pieces
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

/// Returns whether a ring starts here whose magic alone is damaged.
fn is_damaged_ring(recording: &Recording<'_>) -> bool {
    RingImage::parse(recording.bytes).is_ok()
}

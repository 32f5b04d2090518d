//! A dump as it came, and how much of it did.

use ttlog_core::device::frame::Begin;

use crate::source::device::memory::RingCopy;
use crate::text::number::{counted, grouped};

/// What came out of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// Output of something else, a line or a part of one, with its end.
    Text(Vec<u8>),
    /// A dump that ended, or of which no more came.
    Dump(Box<Dump>),
    /// Something that is to be said.
    Remark(String),
}

/// How the frames of a dump, or of a stream, fared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Frames that came.
    pub frames: u64,
    /// Frames that did not.
    pub lost: u64,
    /// Frames that came more than once, or too late.
    pub repeated: u64,
}

/// A dump as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dump {
    /// Its number.
    pub number: u8,
    /// What it said when it began, if that came.
    pub begin: Option<Begin>,
    /// Whether it came to its end.
    pub ended: bool,
    /// The ring; what is missing of it is zero.
    pub ring: RingCopy,
    /// Stretches of the ring that are missing: offset and length. Segments that hold nothing are not sent, and not missing.
    pub missing: Vec<(usize, usize)>,
    /// Callsite items that came along, in the order of their ids.
    pub callsites: Vec<Vec<u8>>,
    /// Callsites that did not come whole, or make no sense.
    pub damaged_callsites: u64,
    /// Its frames.
    pub counts: Counts,
}

impl Dump {
    /// Returns the bytes of the ring that are missing.
    #[must_use]
    pub fn missing_bytes(&self) -> u64 {
        self.missing.iter().map(|&(_, len)| len as u64).sum()
    }

    /// Returns whether all of it came.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.ended && self.missing.is_empty() && self.counts.lost == 0 && self.damaged_callsites == 0
    }

    /// Says in a line what came, and what did not.
    #[must_use]
    pub fn sentence(&self) -> String {
        let ring_len = grouped(self.ring.bytes.len() as u64);
        let mut text = format!("dump {}: {}", self.number, counted(self.counts.frames, "frame"));
        if let Some(begin) = &self.begin {
            text.push_str(&format!(", ring {:016x} of {ring_len} bytes, sent by boot {}", begin.ring_id, begin.boot));
        }
        let mut wrong = Vec::new();
        if self.begin.is_none() {
            wrong.push("its begin is missing".to_owned());
        }
        if !self.ended {
            wrong.push("its end is missing".to_owned());
        }
        if self.counts.lost > 0 {
            wrong.push(format!("{} lost", counted(self.counts.lost, "frame")));
        }
        if self.counts.repeated > 0 {
            wrong.push(format!("{} repeated", counted(self.counts.repeated, "frame")));
        }
        if !self.missing.is_empty() {
            wrong.push(format!("{} of {ring_len} bytes of the ring are missing", grouped(self.missing_bytes())));
        }
        if self.damaged_callsites > 0 {
            wrong.push(format!("{} not whole", counted(self.damaged_callsites, "callsite")));
        }
        if !wrong.is_empty() {
            text.push_str("; ");
            text.push_str(&wrong.join(", "));
        }
        text
    }
}

//! A received dump, and its completeness.

use ttlog_core::device::frame::Begin;

use crate::source::device::memory::RingCopy;
use crate::text::number::{counted, grouped};

/// An item from a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// Other output: a line or a part of one, including the line end.
    Text(Vec<u8>),
    /// A dump that ended, or whose frames stopped.
    Dump(Box<Dump>),
    /// A remark.
    Remark(String),
}

/// Frame counts of a dump or a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Frames received.
    pub frames: u64,
    /// Frames lost.
    pub lost: u64,
    /// Frames received more than once, or too late.
    pub repeated: u64,
}

/// A received dump.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dump {
    /// Number of the dump.
    pub number: u8,
    /// Contents of its first frame, if received.
    pub begin: Option<Begin>,
    /// Whether its last frame was received.
    pub ended: bool,
    /// The ring; missing bytes are zero.
    pub ring: RingCopy,
    /// Missing ranges of the ring: offset and length. Segments without contents are not sent, and do not count as
    /// missing.
    pub missing: Vec<(usize, usize)>,
    /// Callsite items received with it, in the order of their ids.
    pub callsites: Vec<Vec<u8>>,
    /// Number of callsites that were incomplete or invalid.
    pub damaged_callsites: u64,
    /// Frame counts.
    pub counts: Counts,
}

impl Dump {
    /// Returns the number of missing bytes of the ring.
    #[must_use]
    pub fn missing_bytes(&self) -> u64 {
        self.missing.iter().map(|&(_, len)| len as u64).sum()
    }

    /// Returns whether the dump is complete.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.ended && self.missing.is_empty() && self.counts.lost == 0 && self.damaged_callsites == 0
    }

    /// Returns a one-line summary of what was received, and what is missing.
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

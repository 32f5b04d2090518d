//! An event as the timeline holds it, and the segment that contains it.

/// An event as the timeline holds it: its place in time, and its location.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Place in the timeline: nanoseconds since 1970 without steps of the wall clock, never before its predecessor in
    /// the same context.
    pub key: i64,
    /// The reading of the recording clock.
    pub ticks: u64,
    /// Index of its segment in [`Timeline::parts`](super::Timeline::parts).
    pub part: u32,
    /// Context; 0: unknown.
    pub context: u32,
    /// Offset of its payload in the segment's records.
    pub payload_offset: u16,
    /// Length of its payload, in bytes.
    pub payload_len: u16,
    /// Id of its callsite.
    pub callsite: u16,
    /// Whether its time is known: earlier damage can hide the base of its clock reading.
    pub time_known: bool,
}

impl Entry {
    /// Returns its place among entries and marks.
    #[must_use]
    pub fn place(&self) -> Place {
        (self.key, self.part, self.payload_offset)
    }
}

/// Place in the timeline; ordered.
pub type Place = (i64, u32, u16);

/// A segment that is part of the timeline.
#[derive(Clone, Copy, Debug)]
pub struct PartRef {
    /// Index of the source.
    pub source: u32,
    /// Index of the segment in the source.
    pub part: u32,
    /// Index of the ring in [`Timeline::rings`](super::Timeline::rings).
    pub ring: u32,
}

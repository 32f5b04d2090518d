//! An event as the timeline holds it, and the segment that it lies in.

/// An event as the timeline holds it: when it is shown and where it lies.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Where it stands in the timeline: nanoseconds since 1970 but for steps of the wall clock, never before its predecessor in the
    /// same context.
    pub key: i64,
    /// The reading of the recording clock.
    pub ticks: u64,
    /// Index of its segment in [`Timeline::parts`](super::Timeline::parts).
    pub part: u32,
    /// The context; 0: unknown.
    pub context: u32,
    /// Where its payload starts in the segment's records.
    pub payload_offset: u16,
    /// Bytes of its payload.
    pub payload_len: u16,
    /// Its callsite.
    pub callsite: u16,
    /// Whether its time is known: damage before it may have hidden what the clock readings count from.
    pub time_known: bool,
}

impl Entry {
    /// Returns where it stands among entries and marks.
    #[must_use]
    pub fn place(&self) -> Place {
        (self.key, self.part, self.payload_offset)
    }
}

/// Where something stands in the timeline; ordered.
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

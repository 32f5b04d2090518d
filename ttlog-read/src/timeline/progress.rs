//! Progress of reading a timeline, for callers that show it.

/// Receives the progress of reading a timeline. `()` ignores it.
pub trait Progress {
    /// Reports that segment `index` of `total` was read, and that `events` events match so far.
    fn step(&mut self, index: usize, total: usize, events: usize);
}

impl Progress for () {
    fn step(&mut self, _index: usize, _total: usize, _events: usize) {}
}

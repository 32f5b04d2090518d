//! How far the reading of a timeline has come, for who wants to show it.

/// Takes note of how far the reading of a timeline has come. `()` does nothing with it.
pub trait Progress {
    /// Segment `index` of `total` was read, and so many events are wanted so far.
    fn step(&mut self, index: usize, total: usize, events: usize);
}

impl Progress for () {
    fn step(&mut self, _index: usize, _total: usize, _events: usize) {}
}

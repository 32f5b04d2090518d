//! The shape of a child's ring: that of the first process, or a smaller one with room for the same callsites.

use ttlog_core::{Ring, RingConfig, Word};

use crate::config::settings::{Settings, priority_segment_count};
use crate::state::forked::ForkState;

/// Number of segments of the smallest ring.
const SEGMENT_COUNT_MIN: usize = 4;
/// Length of a segment if no other length is set, at least.
const SEGMENT_LEN_MIN: usize = 4096;
/// Number of segments that a small ring is divided into. Fewer than in a large one: an event must fit a segment.
const SEGMENT_COUNT: usize = 16;
/// Length of the table in a ring of the smallest size, at least.
const TABLE_LEN_MIN: usize = 16 << 10;
/// Length of the table in larger rings, at least.
const TABLE_LEN_USUAL_MIN: usize = 64 << 10;
const ANCHOR_COUNT_MIN: u32 = 64;

/// The shape of a ring.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub(super) config: RingConfig,
    pub(super) len_words: usize,
}

impl Shape {
    /// Returns the length of the ring in bytes.
    pub(super) fn len(&self) -> u64 {
        self.len_words as u64 * 8
    }

    /// Returns the bytes for segments.
    fn room(&self) -> usize {
        (self.len_words * 8).saturating_sub(self.config.overhead_len())
    }
}

/// Computes shapes for one child. Async-signal-safe.
pub(super) struct Shapes<'a> {
    /// The shape of the ring of the first process.
    first: Shape,
    /// Used bytes of the table of the parent.
    table_used: usize,
    settings: &'a Settings,
}

impl<'a> Shapes<'a> {
    /// Collects what the shape depends on: `parent` is the ring of the parent, and `words` that of the first process.
    pub(super) fn new(forked: &ForkState, settings: &'a Settings, parent: &Ring<'_>, words: &[Word]) -> Self {
        let first = Shape { config: forked.config, len_words: words.len() };
        Shapes { first, table_used: parent.table_used_len(), settings }
    }

    /// Returns the shape of a ring with the capacity that is set, or of `usual` bytes if none is set; at most that of
    /// the first process.
    pub(super) fn wanted(&self, usual: u64) -> Shape {
        let Some(capacity) = self.settings.child_capacity_bytes else {
            return self.of_len(usual.max(self.least_len()));
        };
        if capacity >= self.first.room() {
            return self.first;
        }
        let room = capacity.next_multiple_of(self.segment_len(capacity).max(8));
        let shape = self.with_room(self.overhead(capacity), room);
        if shape.len_words < self.first.len_words { shape } else { self.first }
    }

    /// Returns the length of the smallest ring in bytes.
    pub(super) fn least_len(&self) -> u64 {
        let segments = SEGMENT_COUNT_MIN * SEGMENT_LEN_MIN.min(self.first.config.segment_len as usize);
        let least = (self.overhead(segments).overhead_len() + segments) as u64;
        least.min(self.first.len_words as u64 * 8)
    }

    /// Returns the shape of a ring of at most `len` bytes; `len` is at least [`least_len`](Self::least_len).
    pub(super) fn of_len(&self, len: u64) -> Shape {
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        if len / 8 >= self.first.len_words {
            return self.first;
        }
        let mut config = self.overhead(len);
        let mut room = len.saturating_sub(config.overhead_len());
        if room < SEGMENT_COUNT_MIN * SEGMENT_LEN_MIN {
            config = self.overhead(0);
            room = len.saturating_sub(config.overhead_len());
        }
        self.with_room(config, room)
    }

    /// Divides `room` bytes into segments.
    fn with_room(&self, config: RingConfig, room: usize) -> Shape {
        let segment_len = self.segment_len(room);
        let count = room / segment_len.max(1);
        let priority_bytes = self.settings.priority_bytes.map(|bytes| {
            let scaled = bytes as u128 * room as u128 / self.first.room().max(1) as u128;
            usize::try_from(scaled).unwrap_or(usize::MAX).max(bytes.min(1))
        });
        let config = RingConfig {
            segment_len: u32::try_from(segment_len).unwrap_or(config.segment_len),
            priority_segment_count: priority_segment_count(priority_bytes, count, segment_len),
            ..config
        };
        Shape { config, len_words: (config.overhead_len() + count * segment_len) / 8 }
    }

    /// Returns the length of a segment in a ring with `room` bytes for segments.
    fn segment_len(&self, room: usize) -> usize {
        let usual = power_of_two_below(room / SEGMENT_COUNT).max(SEGMENT_LEN_MIN);
        let len = self.settings.segment_bytes.map_or(usual, |_| usize::MAX).min(room / SEGMENT_COUNT_MIN) / 8 * 8;
        len.min(self.first.config.segment_len as usize)
    }

    /// Returns a configuration whose table and anchors suit a ring of `len` bytes.
    fn overhead(&self, len: usize) -> RingConfig {
        let first = self.first.config;
        let usual = (len / 16).max((len / 4).clamp(TABLE_LEN_MIN, TABLE_LEN_USUAL_MIN)).max(2 * self.table_used);
        // A size that is set is for callsites, of which a child has as many.
        let table_len = self.settings.table_bytes.map_or(usual, |_| usize::MAX).min(first.table_len as usize) / 8 * 8;
        let anchor_count = RingConfig::for_capacity(len, 0).anchor_count.max(ANCHOR_COUNT_MIN).min(first.anchor_count);
        RingConfig { table_len: u32::try_from(table_len).unwrap_or(first.table_len), anchor_count, ..first }
    }
}

fn power_of_two_below(len: usize) -> usize {
    len.checked_ilog2().map_or(0, |power| 1 << power)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(capacity: usize) -> Shape {
        let mut config = RingConfig::for_capacity(capacity, 1);
        config.table_len = config.table_len.max(64 << 10);
        Shape { config, len_words: (config.overhead_len() + capacity) / 8 }
    }

    fn assert_is_good(shapes: &Shapes<'_>, len: u64) -> Shape {
        assert_shape_is_good(shapes, shapes.of_len(len), len)
    }

    fn assert_shape_is_good(shapes: &Shapes<'_>, shape: Shape, len: u64) -> Shape {
        let count = (shape.len_words * 8 - shape.config.overhead_len()) / shape.config.segment_len as usize;
        assert!(shape.len_words as u64 * 8 <= len && count >= SEGMENT_COUNT_MIN, "{len}: {shape:?}");
        assert!(shape.len_words as u64 * 8 + 65_536 > len.min(shapes.first.len_words as u64 * 8), "{len}: {shape:?}");
        assert_eq!(shape.config.check(shape.len_words), Ok(()), "{len}: {shape:?}");
        assert!(shape.config.table_len as usize >= shapes.table_used, "{len}: {shape:?}");
        assert!(shape.config.priority_segment_count as usize <= count / 2, "{len}: {shape:?}");
        shape
    }

    #[test]
    fn every_length_has_a_shape() {
        let plain = Settings::default();
        let set =
            Settings { segment_bytes: Some(1000), table_bytes: Some(8192), priority_bytes: Some(1), ..plain.clone() };
        for (settings, capacity) in [(&plain, 16 << 20), (&plain, 16 << 10), (&plain, 1 << 30), (&set, 1 << 20)] {
            let mut first = first(capacity);
            if let (Some(segment), Some(table)) = (settings.segment_bytes, settings.table_bytes) {
                first.config = RingConfig { segment_len: segment as u32, table_len: table as u32, ..first.config };
            }
            for table_used in [0, 5000, first.config.table_len as usize] {
                let shapes = Shapes { first, table_used, settings };
                let (least, most) = (shapes.least_len(), first.len_words as u64 * 8);
                let mut len = least;
                while len < most {
                    assert_is_good(&shapes, len);
                    len += len / 7 + 8;
                }
                assert_eq!(shapes.of_len(most).config, first.config);
                assert_eq!(shapes.of_len(u64::MAX).len_words, first.len_words);
            }
        }
    }

    #[test]
    fn usual_child_in_little_memory() {
        let settings = Settings::default();
        let shapes = Shapes { first: first(16 << 20), table_used: 3000, settings: &settings };
        assert!(shapes.least_len() < 64 << 10, "{}", shapes.least_len());
        let shape = assert_is_good(&shapes, 256 << 10);
        assert_eq!((shape.config.segment_len, shape.config.table_len), (8192, 64 << 10));
        assert_eq!(shape.config.priority_segment_count, 2);
        assert_eq!(shapes.wanted(u64::MAX).len(), shapes.first.len());
        assert_eq!(shapes.wanted(0).len(), shapes.least_len());
        assert_eq!(shapes.wanted(256 << 10).config, shape.config);
    }

    #[test]
    fn capacity_of_a_child_is_as_set_and_at_most_that_of_the_first() {
        for (capacity, priority_count) in [(16 << 10, 0), (64 << 10, 2), (100_000, 3), (1 << 20, 2), (8 << 20, 16)] {
            let settings = Settings { child_capacity_bytes: Some(capacity), ..Settings::default() };
            let shapes = Shapes { first: first(16 << 20), table_used: 0, settings: &settings };
            let shape = shapes.wanted(5);
            assert_shape_is_good(&shapes, shape, shape.len());
            let found = shape.room();
            assert!((capacity..capacity + shape.config.segment_len as usize).contains(&found), "{capacity}: {found}");
            assert_eq!(shape.config.priority_segment_count, priority_count, "{capacity}");
            let shapes = Shapes { first: first(16 << 10), ..shapes };
            assert_eq!(shapes.wanted(5).config, shapes.first.config);
        }
    }
}

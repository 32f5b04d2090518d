//! How a ring is laid out, and whether it can be.

use core::fmt;

use super::layout::{
    ANCHOR_LEN, DEVICE_HEADER_LEN, DEVICE_SEGMENT_LEN_MAX, HEADER_LEN, LONG_HEADER_LEN, SEGMENT_LEN_MAX,
    SEGMENT_LEN_MIN, SERVER_ANCHOR_COUNT, SESSION_LEN,
};

/// How a ring is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingConfig {
    /// Identity of the ring; random.
    pub ring_id: u64,
    /// Bytes of a segment: a multiple of 8, 128 to 65,536.
    pub segment_len: u32,
    /// Bytes of the table: a multiple of 8. About 150 are needed for a callsite.
    pub table_len: u32,
    /// Slots for anchors, 24 bytes each.
    pub anchor_count: u32,
    /// Segments of the kept class: those that take warnings and errors, so that other events do not replace them. 0: none, warnings
    /// are as other events. Fewer than there are segments; needs `control`.
    pub kept_segment_count: u32,
    /// Whether the ring has the long header, which takes 1376 bytes more: with the kept class, and room for how the process ended
    /// and for requests from outside.
    pub control: bool,
    /// Slots for sessions, 48 bytes each: how many starts of a device's firmware the header tells of. 0 on servers; else without
    /// `control`, at most 28, and segments have at most [`DEVICE_SEGMENT_LEN_MAX`] bytes.
    pub session_count: u32,
}

impl RingConfig {
    /// A ring without a table, anchors, or a long header; to be completed by its identity and what else it is to have. As it is, its
    /// segments are of the smallest size.
    pub const PLAIN: Self = RingConfig {
        ring_id: 0,
        segment_len: SEGMENT_LEN_MIN,
        table_len: 0,
        anchor_count: 0,
        kept_segment_count: 0,
        control: false,
        session_count: 0,
    };

    /// Chooses a layout for a region of `capacity_bytes` on a server: 1/16 of it for the table (4 KiB to 4 MiB), segments of
    /// 4 to 64 KiB so that there are some 256 of them, one in eight of these for the kept class if there are 16 at least, 1/64 of
    /// it for anchors (64 to 1,024 of them), and the long header.
    #[must_use]
    pub fn for_capacity(capacity_bytes: usize, ring_id: u64) -> Self {
        let power_below = |bytes: usize| 1u32 << (usize::BITS - 1 - bytes.max(1).leading_zeros()).min(31);
        let config = RingConfig {
            ring_id,
            segment_len: power_below(capacity_bytes / 256).clamp(4096, SEGMENT_LEN_MAX),
            table_len: power_below(capacity_bytes / 16).clamp(4096, 4 << 20),
            anchor_count: (capacity_bytes / 64 / ANCHOR_LEN).clamp(64, SERVER_ANCHOR_COUNT) as u32,
            kept_segment_count: 0,
            control: true,
            session_count: 0,
        };
        let segments = capacity_bytes.saturating_sub(config.overhead_len()) / config.segment_len as usize;
        RingConfig { kept_segment_count: Self::usual_kept_count(segments), ..config }
    }

    /// Returns how many of `segment_count` segments the kept class gets by default: one in eight, or none of fewer than 16, for it
    /// would take too much from the others there.
    #[must_use]
    pub fn usual_kept_count(segment_count: usize) -> u32 {
        let count = if segment_count < 16 { 0 } else { segment_count / 8 };
        u32::try_from(count).unwrap_or(0)
    }

    /// Returns the bytes of the ring header.
    pub(crate) const fn header_len(&self) -> usize {
        if self.control {
            LONG_HEADER_LEN
        } else if self.session_count > 0 {
            DEVICE_HEADER_LEN + self.session_count as usize * SESSION_LEN
        } else {
            HEADER_LEN
        }
    }

    /// Returns whether a ring can be laid out in so many words.
    ///
    /// # Errors
    /// [`RingError`] if not.
    pub const fn check(&self, words: usize) -> Result<(), RingError> {
        let RingConfig { segment_len, table_len, anchor_count, kept_segment_count, control, session_count, .. } = *self;
        let segment_len_max = if session_count > 0 { DEVICE_SEGMENT_LEN_MAX } else { SEGMENT_LEN_MAX };
        let even = segment_len % 8 == 0 && table_len % 8 == 0;
        let in_range = SEGMENT_LEN_MIN <= segment_len && segment_len <= segment_len_max && anchor_count <= 1 << 16;
        let kept_without_room = kept_segment_count > 0 && !control;
        let sessions_fit = session_count == 0 || !control && self.header_len() < LONG_HEADER_LEN;
        if !even || !in_range || kept_without_room || !sessions_fit {
            return Err(RingError::BadConfig);
        }
        let segments = self.overhead_len() / 8;
        let segment_words = segment_len as usize / 8;
        // Divides, as segments may be more than 32 bits can count.
        if words.saturating_sub(segments) / segment_words <= kept_segment_count as usize {
            let needed_words = (kept_segment_count as usize + 1).saturating_mul(segment_words).saturating_add(segments);
            return Err(RingError::TooSmall { needed_bytes: needed_words.saturating_mul(8) });
        }
        Ok(())
    }

    /// Returns the bytes before the segments.
    #[must_use]
    pub const fn overhead_len(&self) -> usize {
        self.header_len() + self.anchor_count as usize * ANCHOR_LEN + self.table_len as usize
    }
}

/// Why a ring cannot be created in a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RingError {
    /// `segment_len` or `table_len` is no multiple of 8 or out of range, or there is to be a kept class without the long header.
    BadConfig,
    /// The region has no room for a single segment beside those of the kept class; so many bytes are needed.
    TooSmall {
        /// Bytes needed at least.
        needed_bytes: usize,
    },
}

impl fmt::Display for RingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RingError::BadConfig => f.write_str(
                "segment or table length is no multiple of 8 or out of range, or a kept class without control",
            ),
            RingError::TooSmall { needed_bytes } => {
                write!(f, "no room for a segment: {needed_bytes} bytes are needed")
            }
        }
    }
}

impl core::error::Error for RingError {}

//! Layout of a ring, and checks that it is possible.

use core::fmt;

use super::layout::{
    ANCHOR_LEN, DEVICE_HEADER_LEN, DEVICE_SEGMENT_LEN_MAX, HEADER_LEN, LONG_HEADER_LEN, SEGMENT_LEN_MAX,
    SEGMENT_LEN_MIN, SERVER_ANCHOR_COUNT, SESSION_LEN,
};

/// Layout of a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingConfig {
    /// Identity of the ring; random.
    pub ring_id: u64,
    /// Length of a segment in bytes: a multiple of 8, 128 to 65,536.
    pub segment_len: u32,
    /// Length of the table in bytes: a multiple of 8. A callsite needs about 150.
    pub table_len: u32,
    /// Number of slots for anchors, 24 bytes each.
    pub anchor_count: u32,
    /// Number of priority segments, which hold warnings and errors so that other events do not replace them. 0 for
    /// none: warnings are then treated like other events. Less than the number of segments; requires `control`.
    pub priority_segment_count: u32,
    /// Whether the ring has the long header, which takes 1376 bytes more. It supports the priority class, and has room
    /// for the end of the process and for external requests.
    pub control: bool,
    /// Number of slots for sessions, 48 bytes each: the header describes this many starts of a device's firmware. 0 on
    /// servers. Otherwise at most 28, without `control`, and with segments of at most [`DEVICE_SEGMENT_LEN_MAX`] bytes.
    pub session_count: u32,
}

impl RingConfig {
    /// A ring without a table, anchors or a long header, and with segments of the smallest size. Set its identity and
    /// other parts as needed.
    pub const PLAIN: Self = RingConfig {
        ring_id: 0,
        segment_len: SEGMENT_LEN_MIN,
        table_len: 0,
        anchor_count: 0,
        priority_segment_count: 0,
        control: false,
        session_count: 0,
    };

    /// Chooses a layout for a region of `capacity_bytes` on a server: 1/16 of it for the table (4 KiB to 4 MiB), about
    /// 256 segments of 4 to 64 KiB, one in eight of these as priority segments if there are at least 16, 1/64 of it for
    /// anchors (64 to 1,024 of them), and the long header.
    #[must_use]
    pub fn for_capacity(capacity_bytes: usize, ring_id: u64) -> Self {
        let power_below = |bytes: usize| 1u32 << (usize::BITS - 1 - bytes.max(1).leading_zeros()).min(31);
        let config = RingConfig {
            ring_id,
            segment_len: power_below(capacity_bytes / 256).clamp(4096, SEGMENT_LEN_MAX),
            table_len: power_below(capacity_bytes / 16).clamp(4096, 4 << 20),
            anchor_count: (capacity_bytes / 64 / ANCHOR_LEN).clamp(64, SERVER_ANCHOR_COUNT) as u32,
            priority_segment_count: 0,
            control: true,
            session_count: 0,
        };
        let segments = capacity_bytes.saturating_sub(config.overhead_len()) / config.segment_len as usize;
        RingConfig { priority_segment_count: Self::usual_priority_count(segments), ..config }
    }

    /// Returns the default number of priority segments among `segment_count` segments: one in eight, or none if there
    /// are fewer than 16, where they would take too much room from other events.
    #[must_use]
    pub fn usual_priority_count(segment_count: usize) -> u32 {
        let count = if segment_count < 16 { 0 } else { segment_count / 8 };
        u32::try_from(count).unwrap_or(0)
    }

    /// Returns the length of the ring header in bytes.
    pub(crate) const fn header_len(&self) -> usize {
        if self.control {
            LONG_HEADER_LEN
        } else if self.session_count > 0 {
            DEVICE_HEADER_LEN + self.session_count as usize * SESSION_LEN
        } else {
            HEADER_LEN
        }
    }

    /// Checks that a ring with this layout fits in `words` words.
    ///
    /// # Errors
    /// [`RingError`] if it does not.
    pub const fn check(&self, words: usize) -> Result<(), RingError> {
        let RingConfig { segment_len, table_len, anchor_count, priority_segment_count, control, session_count, .. } =
            *self;
        let segment_len_max = if session_count > 0 { DEVICE_SEGMENT_LEN_MAX } else { SEGMENT_LEN_MAX };
        let even = segment_len % 8 == 0 && table_len % 8 == 0;
        let in_range = SEGMENT_LEN_MIN <= segment_len && segment_len <= segment_len_max && anchor_count <= 1 << 16;
        let priority_without_room = priority_segment_count > 0 && !control;
        let sessions_fit = session_count == 0 || !control && self.header_len() < LONG_HEADER_LEN;
        if !even || !in_range || priority_without_room || !sessions_fit {
            return Err(RingError::BadConfig);
        }
        let segments = self.overhead_len() / 8;
        let segment_words = segment_len as usize / 8;
        // Divides, because the number of segments might exceed 32 bits.
        if words.saturating_sub(segments) / segment_words <= priority_segment_count as usize {
            let needed_words =
                (priority_segment_count as usize + 1).saturating_mul(segment_words).saturating_add(segments);
            return Err(RingError::TooSmall { needed_bytes: needed_words.saturating_mul(8) });
        }
        Ok(())
    }

    /// Returns the number of bytes before the segments.
    #[must_use]
    pub const fn overhead_len(&self) -> usize {
        self.header_len() + self.anchor_count as usize * ANCHOR_LEN + self.table_len as usize
    }
}

/// Reason why a ring cannot be created in a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RingError {
    /// `segment_len` or `table_len` is not a multiple of 8 or out of range, or priority segments are requested without
    /// the long header.
    BadConfig,
    /// The region has no room for a single segment besides the priority segments.
    TooSmall {
        /// Minimum number of bytes.
        needed_bytes: usize,
    },
}

impl fmt::Display for RingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RingError::BadConfig => f.write_str(
                "segment or table length is not a multiple of 8 or out of range, or priority segments without control",
            ),
            RingError::TooSmall { needed_bytes } => {
                write!(f, "no room for a segment: {needed_bytes} bytes are needed")
            }
        }
    }
}

impl core::error::Error for RingError {}

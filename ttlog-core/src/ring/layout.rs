//! Layout of a ring: the only module that knows its offsets.
//!
//! # Format
//! docs/format.md §2.

use crate::memory::crc::crc32;

/// Format version that is written.
pub const FORMAT_VERSION: u16 = 4;
/// Format version that a reader must know to read rings of servers.
pub const MIN_READER_VERSION: u16 = 2;
/// Format version that a reader must know to read rings of devices.
pub const DEVICE_MIN_READER_VERSION: u16 = 3;
/// First bytes of a ring.
pub const RING_MAGIC: [u8; 8] = *b"TTLOGRNG";
/// Length of the short ring header in bytes. The header of devices and the long header begin with the same words.
pub const HEADER_LEN: usize = 160;
/// Length of the long ring header in bytes, used by servers: with the priority class, the end block and the control
/// block.
pub const LONG_HEADER_LEN: usize = 1536;
/// Length of a device's ring header in bytes, without the slots for sessions.
pub const DEVICE_HEADER_LEN: usize = 168;
/// Length of an anchor slot in bytes.
pub const ANCHOR_LEN: usize = 24;
/// Length of an anchor slot in words.
pub(crate) const ANCHOR_WORDS: usize = ANCHOR_LEN / 8;
/// Number of anchor slots in a ring on a server, unless it is small: see
/// [`RingConfig::for_capacity`](crate::ring::RingConfig::for_capacity).
pub const SERVER_ANCHOR_COUNT: usize = 1024;
/// Length of a session's slot in bytes.
pub const SESSION_LEN: usize = 48;
/// Length of a segment header in bytes.
pub const SEGMENT_HEADER_LEN: usize = 48;
/// Length of a segment header in words.
pub(crate) const SEGMENT_HEADER_WORDS: usize = SEGMENT_HEADER_LEN / 8;
/// Length of the smallest segment, in bytes.
pub const SEGMENT_LEN_MIN: u32 = 128;
/// Length of the largest segment, in bytes.
pub const SEGMENT_LEN_MAX: u32 = 65_536;

/// Length of a device's largest segment, in bytes: a reservation there stores its length in one byte.
pub const DEVICE_SEGMENT_LEN_MAX: u32 = 2048;
/// Length of the short ring header in words.
pub(crate) const HEADER_WORDS: usize = HEADER_LEN / 8;
/// Length of the long ring header in words.
pub(crate) const LONG_HEADER_WORDS: usize = LONG_HEADER_LEN / 8;

/// Word indexes in the ring header.
pub(crate) mod header_word {
    pub(crate) const NEXT_SEQUENCE: usize = 8;
    pub(crate) const COMPLETE_FROM: usize = 9;
    /// First of four counters, see [`DropReason`](crate::ring::DropReason).
    pub(crate) const DROPPED: usize = 10;
    pub(crate) const SUPPRESSED: usize = 14;
    pub(crate) const ANCHORS_WRITTEN: usize = 15;
    pub(crate) const STATE: usize = 16;
    pub(crate) const OWNED_SEGMENTS: usize = 17;
    pub(crate) const SHARED_SEGMENT: usize = 18;
    /// Number of the recording session; header of devices only.
    pub(crate) const BOOT: usize = 20;
    // From here on, long header only. `end` names the words of the end block, `control` those of the control block.
    pub(crate) const PRIORITY_NEXT_SEQUENCE: usize = 20;
    pub(crate) const PRIORITY_COMPLETE_FROM: usize = 21;
    pub(crate) const PRIORITY_SHARED_SEGMENT: usize = 22;
    pub(crate) const PRIORITY_STRAYED_UNTIL: usize = 23;
    pub(crate) const HEARTBEAT: usize = 34;
    pub(crate) const MIN_AGE: usize = 35;
    pub(crate) const PRIORITY_HOLDERS: usize = 37;
}

/// Word indexes in a segment header.
pub(crate) mod segment_word {
    pub(crate) const SEQUENCE: usize = 0;
    pub(crate) const BASE: usize = 1;
    pub(crate) const CONTEXT: usize = 2;
    pub(crate) const LOST: usize = 3;
    pub(crate) const COMMIT: usize = 4;
    pub(crate) const CLOSE: usize = 5;
}

/// Bit of the ring's state word: recording ended cleanly.
pub const STATE_ENDED: u64 = 1;

/// Mode in which a segment is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// By one context only.
    Exclusive,
    /// By several contexts, which are not distinguished.
    Shared,
    /// By several contexts; each record names its context.
    SharedContexts,
    /// By several contexts of a device, which are not distinguished: see docs/format.md §2.6.
    Device,
}

impl Mode {
    /// Returns the number of this mode in rings and snapshots.
    pub(crate) const fn number(self) -> u8 {
        match self {
            Mode::Exclusive => 0,
            Mode::Shared => 1,
            Mode::SharedContexts => 2,
            Mode::Device => 3,
        }
    }

    /// Returns the mode with this number, if it exists.
    pub(crate) const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Mode::Exclusive),
            1 => Some(Mode::Shared),
            2 => Some(Mode::SharedContexts),
            3 => Some(Mode::Device),
            _ => None,
        }
    }
}

/// The sequence word of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SequenceWord {
    pub(crate) sequence: u64,
    pub(crate) lap: u8,
    pub(crate) mode: Mode,
    /// 0 if valid, 1 to 3 while being opened.
    pub(crate) phase: u8,
}

/// Highest sequence number; reaching it would take years.
pub(crate) const SEQUENCE_MAX: u64 = (1 << 48) - 1;
/// Bit set in the sequence numbers of priority segments, so that they are unique in the ring.
pub const PRIORITY_SEQUENCE_BIT: u64 = 1 << 47;

impl SequenceWord {
    pub(crate) fn encode(self) -> u64 {
        let (lap, mode, phase) = (u64::from(self.lap), u64::from(self.mode.number()), u64::from(self.phase));
        self.sequence & SEQUENCE_MAX | lap << 48 | mode << 56 | phase << 60
    }

    /// Returns `None` if the segment was never used, or the mode or phase does not exist.
    pub(crate) fn decode(word: u64) -> Option<Self> {
        let mode = Mode::from_number((word >> 56) as u8 & 0xF)?;
        let phase = (word >> 60) as u8;
        let sequence = word & SEQUENCE_MAX;
        (sequence != 0 && phase <= 3).then_some(SequenceWord { sequence, lap: (word >> 48) as u8, mode, phase })
    }
}

/// The commit half-word of a segment.
pub(crate) mod commit {
    pub(crate) const OFFSET_MASK: u32 = 0x3FFF;
    pub(crate) const COUNT_SHIFT: u32 = 14;
    pub(crate) const COUNT_MASK: u32 = 0x3FFF;
    /// Position of the lowest flag.
    pub(crate) const FLAGS_SHIFT: u32 = 28;
    /// A writer holds the segment.
    pub(crate) const OWNED: u32 = 1 << 28;
    /// A record is being written (exclusive).
    pub(crate) const BUSY: u32 = 1 << 29;
    /// No further reservations are accepted (shared).
    pub(crate) const CLOSED: u32 = 1 << 30;
    /// Reservations are accepted unless it is closed.
    pub(crate) const SHARED: u32 = 1 << 31;

    pub(crate) const fn offset(commit: u32) -> usize {
        (commit & OFFSET_MASK) as usize
    }

    pub(crate) const fn count(commit: u32) -> u32 {
        commit >> COUNT_SHIFT & COUNT_MASK
    }

    /// Returns the increment for a record of `words` words that counts as `events` events.
    #[inline(always)]
    pub(crate) const fn step(words: usize, events: u32) -> u32 {
        words as u32 + (events << COUNT_SHIFT)
    }
}

/// Returns the time from which on no warning or error was overwritten. `kept` is that time for those in the priority
/// class. The others, the last of which was recorded at `strayed_until`, share `complete_from` with all events.
pub(crate) fn priority_complete_from(kept: u64, strayed_until: u64, complete_from: u64) -> u64 {
    kept.max(strayed_until.min(complete_from))
}

/// Returns the checksum of a segment header: over its sequence word with phase 0, base, context and loss.
#[inline]
pub(crate) fn segment_crc(sequence_word: u64, base: u64, context: u32, lost: u64) -> u32 {
    segment_check(&segment_crc_input(sequence_word, base, context, lost))
}

/// Returns the checksum of these bytes of a segment header: a CRC, or, on a device, which opens a segment every few
/// dozen events, a function that takes a tenth of the time. Each of its steps preserves differences, so a change in one
/// of the seven half-words is always detected.
#[inline]
pub(crate) fn segment_check(bytes: &[u8; SEGMENT_CRC_INPUT_LEN]) -> u32 {
    if bytes[7] & 0xF != Mode::Device.number() {
        return crc32(bytes);
    }
    let mix = |sum: u32, half: &[u8]| {
        let half = u32::from_le_bytes([half[0], half[1], half[2], half[3]]);
        let product = (sum ^ half).wrapping_mul(0x9E37_79B1);
        product ^ product >> 15
    };
    bytes.chunks_exact(4).fold(0x5454_4C47, mix)
}

const SEGMENT_CRC_INPUT_LEN: usize = 28;

#[inline]
pub(crate) fn segment_crc_input(sequence_word: u64, base: u64, context: u32, lost: u64) -> [u8; SEGMENT_CRC_INPUT_LEN] {
    let mut bytes = [0; SEGMENT_CRC_INPUT_LEN];
    bytes[0..8].copy_from_slice(&(sequence_word & !(0xF << 60)).to_le_bytes());
    bytes[8..16].copy_from_slice(&base.to_le_bytes());
    bytes[16..20].copy_from_slice(&context.to_le_bytes());
    bytes[20..28].copy_from_slice(&lost.to_le_bytes());
    bytes
}

//! Where everything in a ring is: the one place that knows its offsets.
//!
//! # Format
//! docs/format.md §2.

use crate::memory::crc::crc32;

/// Version of the format that is written.
pub const FORMAT_VERSION: u16 = 3;
/// Version a reader must know to read the rings of servers.
pub const MIN_READER_VERSION: u16 = 2;
/// Version a reader must know to read the rings of devices.
pub const DEVICE_MIN_READER_VERSION: u16 = 3;
/// First bytes of a ring.
pub const RING_MAGIC: [u8; 8] = *b"TTLOGRNG";
/// Bytes of the short ring header; that of devices and the long one begin with the same words.
pub const HEADER_LEN: usize = 160;
/// Bytes of the long ring header, that of servers: with the kept class, the end block and the control block.
pub const LONG_HEADER_LEN: usize = 1536;
/// Bytes of the ring header of a device without the slots for sessions.
pub const DEVICE_HEADER_LEN: usize = 168;
/// Bytes of an anchor slot.
pub const ANCHOR_LEN: usize = 24;
/// Words of an anchor slot.
pub(crate) const ANCHOR_WORDS: usize = ANCHOR_LEN / 8;
/// Slots for anchors that a ring on a server has, unless it is small: see [`RingConfig::for_capacity`](crate::ring::RingConfig::for_capacity).
pub const SERVER_ANCHOR_COUNT: usize = 1024;
/// Bytes of a session's slot.
pub const SESSION_LEN: usize = 48;
/// Bytes of a segment header.
pub const SEGMENT_HEADER_LEN: usize = 48;
/// Words of a segment header.
pub(crate) const SEGMENT_HEADER_WORDS: usize = SEGMENT_HEADER_LEN / 8;
/// Smallest segment, in bytes.
pub const SEGMENT_LEN_MIN: u32 = 128;
/// Largest segment, in bytes.
pub const SEGMENT_LEN_MAX: u32 = 65_536;

/// Largest segment of a device, in bytes: a reservation there tells its length in one byte.
pub const DEVICE_SEGMENT_LEN_MAX: u32 = 2048;
/// Words of the short ring header.
pub(crate) const HEADER_WORDS: usize = HEADER_LEN / 8;
/// Words of the long ring header.
pub(crate) const LONG_HEADER_WORDS: usize = LONG_HEADER_LEN / 8;

/// Word indexes in the ring header.
pub(crate) mod header_word {
    pub(crate) const NEXT_SEQUENCE: usize = 8;
    pub(crate) const COMPLETE_FROM: usize = 9;
    /// The first of four counters, see [`DropReason`](crate::ring::DropReason).
    pub(crate) const DROPPED: usize = 10;
    pub(crate) const SUPPRESSED: usize = 14;
    pub(crate) const ANCHORS_WRITTEN: usize = 15;
    pub(crate) const STATE: usize = 16;
    pub(crate) const OWNED_SEGMENTS: usize = 17;
    pub(crate) const SHARED_SEGMENT: usize = 18;
    /// The header of devices only: number of the session that records.
    pub(crate) const BOOT: usize = 20;
    // The long header only, from here on. The words of the end block are named in `end`, those of the control block in `control`.
    pub(crate) const KEPT_NEXT_SEQUENCE: usize = 20;
    pub(crate) const KEPT_COMPLETE_FROM: usize = 21;
    pub(crate) const KEPT_SHARED_SEGMENT: usize = 22;
    pub(crate) const KEPT_STRAYED_UNTIL: usize = 23;
    pub(crate) const HEARTBEAT: usize = 34;
    pub(crate) const MIN_AGE: usize = 35;
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

/// Recording ended in good order; bit of the ring's state word.
pub const STATE_ENDED: u64 = 1;

/// How a segment is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// By one context, alone.
    Exclusive,
    /// By several contexts, which are not told apart.
    Shared,
    /// By several contexts; each record tells which.
    SharedContexts,
    /// By several contexts of a device, which are not told apart: see docs/format.md §2.6.
    Device,
}

impl Mode {
    /// Returns its number in rings and snapshots.
    pub(crate) const fn number(self) -> u8 {
        match self {
            Mode::Exclusive => 0,
            Mode::Shared => 1,
            Mode::SharedContexts => 2,
            Mode::Device => 3,
        }
    }

    /// Undoes [`number`](Self::number).
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
    /// 0: valid; 1 to 3: being opened.
    pub(crate) phase: u8,
}

/// Highest sequence; it would take years to reach.
pub(crate) const SEQUENCE_MAX: u64 = (1 << 48) - 1;
/// Bit of the sequences of the kept class, so that they are unique in the ring.
pub const KEPT_SEQUENCE_BIT: u64 = 1 << 47;

impl SequenceWord {
    pub(crate) fn encode(self) -> u64 {
        let (lap, mode, phase) = (u64::from(self.lap), u64::from(self.mode.number()), u64::from(self.phase));
        self.sequence & SEQUENCE_MAX | lap << 48 | mode << 56 | phase << 60
    }

    /// `None`: the segment was never used, or no such mode or phase exists.
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
    /// The flags begin here.
    pub(crate) const FLAGS_SHIFT: u32 = 28;
    /// A writer holds the segment.
    pub(crate) const OWNED: u32 = 1 << 28;
    /// A record is being written (exclusive).
    pub(crate) const BUSY: u32 = 1 << 29;
    /// No more reservations (shared).
    pub(crate) const CLOSED: u32 = 1 << 30;
    /// Takes reservations, unless closed.
    pub(crate) const SHARED: u32 = 1 << 31;

    pub(crate) const fn offset(commit: u32) -> usize {
        (commit & OFFSET_MASK) as usize
    }

    pub(crate) const fn count(commit: u32) -> u32 {
        commit >> COUNT_SHIFT & COUNT_MASK
    }

    /// What to add for a record of `words` words that counts as `events` events.
    #[inline(always)]
    pub(crate) const fn step(words: usize, events: u32) -> u32 {
        words as u32 + (events << COUNT_SHIFT)
    }
}

/// Returns from when on no warning or error was overwritten: `kept` says it of those in the kept class, and of the others, the last of
/// which was recorded at `strayed_until`, what is true of all events.
pub(crate) fn kept_complete_from(kept: u64, strayed_until: u64, complete_from: u64) -> u64 {
    kept.max(strayed_until.min(complete_from))
}

/// Returns the check of a segment header: over its sequence word with phase 0, base, context and loss.
#[inline]
pub(crate) fn segment_crc(sequence_word: u64, base: u64, context: u32, lost: u64) -> u32 {
    segment_check(&segment_crc_input(sequence_word, base, context, lost))
}

/// Returns the check of these bytes of a segment header: a CRC, or on a device, which opens a segment every few dozen events, something
/// that takes a tenth of the time. Each step of it undoes no difference, so that what differs in one of the seven half-words never passes.
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

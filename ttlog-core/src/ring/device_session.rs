//! Sessions of a device. A session lasts from one start of its firmware to the next.
//!
//! The ring of a device outlives resets and updates of the firmware. To keep records of different firmware apart, each
//! segment names the session that opened it, and the ring header has a slot for each of the latest sessions. The slot
//! holds the build id, which identifies the firmware whose names apply.
//!
//! # Format
//! docs/format.md §2.6.

use crate::memory::crc::Digest;
use crate::memory::word::Word;
use crate::record::word_at;
use crate::ring::layout::{DEVICE_HEADER_LEN, Mode, SESSION_LEN, header_word};
use crate::ring::read::segment::SegmentState;
use crate::ring::{Ring, RingImage};

/// Length of a stored build id in bytes; longer ones are truncated, shorter ones padded with zeros.
pub const BUILD_ID_LEN: usize = 20;
/// Length of a session's slot in words.
const SESSION_WORDS: usize = SESSION_LEN / 8;
/// Bit of the flags: the callsites' metadata is in the firmware's flash.
const FLAG_EMBEDDED_METADATA: u32 = 1;

/// A session: facts about the firmware between two resets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Session {
    /// Number of the session, from 1; each start of the firmware increments it.
    pub boot: u32,
    /// Build id of the firmware, zero padded; all zero if none.
    pub build_id: [u8; BUILD_ID_LEN],
    /// Reason for the reset before the session, in the manufacturer's bits or as returned by the firmware's hook; 0 if
    /// not recorded.
    pub reset_reason: u32,
    /// Rate of the clock in ticks per second; 0 if unknown.
    pub ticks_per_second: u32,
    /// Whether the callsites' metadata is in the firmware's flash, so that dumps include it.
    pub embedded_metadata: bool,
    /// Sequence number of the session's first segment.
    pub first_sequence: u64,
}

impl Session {
    /// Encodes the slot, boot number included.
    #[must_use]
    pub(crate) fn encode(&self) -> [u8; SESSION_LEN] {
        let mut slot = [0; SESSION_LEN];
        slot[0..4].copy_from_slice(&self.boot.to_le_bytes());
        slot[8..28].copy_from_slice(&self.build_id);
        slot[28..32].copy_from_slice(&self.reset_reason.to_le_bytes());
        slot[32..36].copy_from_slice(&self.ticks_per_second.to_le_bytes());
        let flags = if self.embedded_metadata { FLAG_EMBEDDED_METADATA } else { 0 };
        slot[36..40].copy_from_slice(&flags.to_le_bytes());
        slot[40..48].copy_from_slice(&self.first_sequence.to_le_bytes());
        let crc = slot_crc(&slot);
        slot[4..8].copy_from_slice(&crc.to_le_bytes());
        slot
    }

    /// Reads a slot. Returns `None` if it is empty, was being written, or is damaged.
    #[must_use]
    pub(crate) fn decode(slot: &[u8; SESSION_LEN]) -> Option<Self> {
        let half = |at: usize| u32::from_le_bytes([slot[at], slot[at + 1], slot[at + 2], slot[at + 3]]);
        if half(0) == 0 || half(4) != slot_crc(slot) {
            return None;
        }
        let mut build_id = [0; BUILD_ID_LEN];
        build_id.copy_from_slice(&slot[8..28]);
        Some(Session {
            boot: half(0),
            build_id,
            reset_reason: half(28),
            ticks_per_second: half(32),
            embedded_metadata: half(36) & FLAG_EMBEDDED_METADATA != 0,
            first_sequence: word_at(slot, 40)?,
        })
    }
}

/// Returns the CRC of a slot: over all of it except the CRC itself.
fn slot_crc(slot: &[u8; SESSION_LEN]) -> u32 {
    let mut digest = Digest::new();
    digest.update(&slot[..4]);
    digest.update(&slot[8..]);
    digest.finish()
}

/// Returns the number of slots in a ring header of `header_len` bytes.
pub(crate) const fn slots_in(header_len: usize) -> usize {
    header_len.saturating_sub(DEVICE_HEADER_LEN) / SESSION_LEN
}

impl Ring<'_> {
    /// Returns the words of the slot for session `boot`, if the header has slots.
    fn session_slot(&self, boot: u32) -> Option<&[Word]> {
        let count = slots_in(self.header_words * 8);
        let slot = (boot as usize).checked_sub(1)?.checked_rem(count)?;
        self.words.get(DEVICE_HEADER_LEN / 8 + slot * SESSION_WORDS..)?.get(..SESSION_WORDS)
    }

    /// Reads the slot for session `boot`; it might hold another session.
    pub(crate) fn session_in_slot_of(&self, boot: u32) -> Option<Session> {
        let mut bytes = [0; SESSION_LEN];
        crate::ring::read::live::copy_words(self.session_slot(boot)?, &mut bytes);
        Session::decode(&bytes)
    }

    /// Records a new session. Its slot is empty while it is being written.
    pub(crate) fn store_session(&self, session: &Session) {
        let bytes = session.encode();
        if let Some(slot) = self.session_slot(session.boot) {
            slot[0].store_release(0);
            let first = word_at(&bytes, 0).unwrap_or(0);
            for (word, chunk) in slot.iter().zip(bytes.chunks_exact(8)).skip(1) {
                word.store_release(u64::from_le_bytes(chunk.try_into().unwrap_or_default()));
            }
            slot[0].store_release(first);
        }
        self.header(header_word::BOOT).store_release(session.boot.into());
    }
}

impl<'a> RingImage<'a> {
    /// Iterates over the sessions in the ring header, in the order of their slots. A ring that is not a device's has
    /// none.
    ///
    /// Segments can be of older sessions that are no longer in the header:
    /// [`SegmentHeader::context`](crate::ring::SegmentHeader::context) is the number of the session.
    pub fn sessions(&self) -> impl Iterator<Item = Session> + use<'a> {
        let header = self.header();
        let count = if header.is_device() { slots_in(header.header_len as usize) } else { 0 };
        let slots = self.part(DEVICE_HEADER_LEN as u64, (count * SESSION_LEN) as u64);
        slots.chunks_exact(SESSION_LEN).filter_map(|slot| Session::decode(slot.try_into().ok()?))
    }

    /// Returns the number of the latest session that left any trace; 0 if there is none.
    #[must_use]
    pub fn latest_boot(&self) -> u32 {
        let of_slots = self.sessions().map(|session| session.boot);
        let of_segments = (0..self.present_segments()).filter_map(|index| match self.segment(index) {
            SegmentState::Valid(segment) if segment.header.mode == Mode::Device => Some(segment.header.context),
            _ => None,
        });
        of_slots.chain(of_segments).max().unwrap_or(0)
    }
}

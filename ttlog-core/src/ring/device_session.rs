//! Sessions of a device: from one start of its firmware to the next.
//!
//! The ring of a device outlives resets, and updates of the firmware. So that records of two firmwares stay apart, each segment names
//! the session that opened it, and the ring header has a slot for each of the latest sessions, with the build id that tells whose names
//! belong to it.
//!
//! # Format
//! docs/format.md §2.6.

use crate::memory::crc::Digest;
use crate::memory::word::Word;
use crate::record::word_at;
use crate::ring::layout::{DEVICE_HEADER_LEN, Mode, SESSION_LEN, header_word};
use crate::ring::read::segment::SegmentState;
use crate::ring::{Ring, RingImage};

/// Bytes of a build id that are kept; longer ones are cut, shorter ones filled up with zeros.
pub const BUILD_ID_LEN: usize = 20;
/// Words of a session's slot.
const SESSION_WORDS: usize = SESSION_LEN / 8;
/// Bit of the flags: what callsites say is in the firmware's flash.
const FLAG_EMBEDDED_METADATA: u32 = 1;

/// A session: what is known of the firmware between two resets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Session {
    /// Its number, from 1; each start of the firmware gives the next.
    pub boot: u32,
    /// Build id of the firmware, zero padded; all zero: it has none.
    pub build_id: [u8; BUILD_ID_LEN],
    /// Why the device had been reset before, in the bits of its manufacturer or as the firmware's hook gave it; 0: not told.
    pub reset_reason: u32,
    /// Rate of the clock; 0: unknown.
    pub ticks_per_second: u32,
    /// Whether what callsites say is in the firmware's flash, so that dumps carry it along.
    pub embedded_metadata: bool,
    /// The sequence of the first segment of the session.
    pub first_sequence: u64,
}

impl Session {
    /// Lays the slot out, with the boot number in its place.
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

    /// Reads a slot; `None` if it is empty, was being written, or is damaged.
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

/// Returns the CRC of a slot: over all of it but the CRC itself.
fn slot_crc(slot: &[u8; SESSION_LEN]) -> u32 {
    let mut digest = Digest::new();
    digest.update(&slot[..4]);
    digest.update(&slot[8..]);
    digest.finish()
}

/// Returns how many slots a ring header of so many bytes has.
pub(crate) const fn slots_in(header_len: usize) -> usize {
    header_len.saturating_sub(DEVICE_HEADER_LEN) / SESSION_LEN
}

impl Ring<'_> {
    /// Returns the words of the slot that session `boot` has, if the header has slots.
    fn session_slot(&self, boot: u32) -> Option<&[Word]> {
        let count = slots_in(self.header_words * 8);
        let slot = (boot as usize).checked_sub(1)?.checked_rem(count)?;
        self.words.get(DEVICE_HEADER_LEN / 8 + slot * SESSION_WORDS..)?.get(..SESSION_WORDS)
    }

    /// Reads the slot that session `boot` has; another session may be in it.
    pub(crate) fn session_in_slot_of(&self, boot: u32) -> Option<Session> {
        let mut bytes = [0; SESSION_LEN];
        crate::ring::read::live::copy_words(self.session_slot(boot)?, &mut bytes);
        Session::decode(&bytes)
    }

    /// Tells of a new session. The slot is empty while it is being written.
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
    /// Iterates over the sessions of which the ring header tells, in the order of their slots. Of a ring that is not a device's there
    /// are none.
    ///
    /// Segments may be of older sessions, of which the header tells no more: [`SegmentHeader::context`](crate::ring::SegmentHeader::context)
    /// is the number of the session.
    pub fn sessions(&self) -> impl Iterator<Item = Session> + use<'a> {
        let header = self.header();
        let count = if header.is_device() { slots_in(header.header_len as usize) } else { 0 };
        let slots = self.part(DEVICE_HEADER_LEN as u64, (count * SESSION_LEN) as u64);
        slots.chunks_exact(SESSION_LEN).filter_map(|slot| Session::decode(slot.try_into().ok()?))
    }

    /// Returns the number of the latest session of which anything is there; 0: there is none.
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

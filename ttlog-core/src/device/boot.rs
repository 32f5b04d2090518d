//! Boot of a device: recovers the ring that a reset left in memory, in whatever state it is.
//!
//! The configuration determines the layout, so no offset is read from memory. Either the fixed part of the ring header
//! equals what this configuration would write, except for one flipped bit, or there is no ring. Recovery completes
//! whatever a reset cut short. A further reset can interrupt any of its steps.

use crate::memory::word::Word;
use crate::record::packed::byte_sum;
use crate::record::{CONTROL, KIND_ABANDONED, RESERVED, decode_header, device_reservation, encode_header};
use crate::ring::layout::{
    HEADER_WORDS, Mode, SEGMENT_HEADER_LEN, SEGMENT_HEADER_WORDS, SequenceWord, commit, header_word, segment_crc,
    segment_word,
};
use crate::ring::loss::lost_by_phase;
use crate::ring::read::live::copy_words;
use crate::ring::read::segment::{SegmentState, parse_segment};
use crate::ring::{Ring, RingConfig, RingError};

/// Start value and multiplier of FNV hashes.
const FNV_BASIS: u64 = 0xCBF2_9CE4_8422_2325;
const FNV_PRIME: u64 = 0x100_0000_01B3;

/// Highest sequence accepted as valid; reaching it would take centuries.
const SEQUENCE_BELIEVED_MAX: u64 = 1 << 46;
/// The same limit for session numbers, so that no session repeats the number of an earlier one.
const BOOT_BELIEVED_MAX: u32 = 1 << 31;

/// Word of the ring header that holds the ring's identity, which a boot cannot predict.
const RING_ID_WORD: usize = 2;

/// State of a device's memory at the start of its firmware.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Recovered {
    /// No ring of this layout: the device was without power, or another firmware had another layout. A new ring was
    /// created.
    Nothing,
    /// A ring, with the events recorded before the reset.
    Ring {
        /// Number of events in the ring.
        event_count: u32,
        /// Number of events that were being recorded when the reset came; they are lost.
        abandoned_count: u32,
        /// Number of damaged segments, which were emptied.
        damaged_count: u32,
    },
}

/// A ring that is ready for a session.
pub(crate) struct Boot<'m> {
    pub(crate) ring: Ring<'m>,
    /// Number of the new session.
    pub(crate) boot: u32,
    /// Index of the segment to replace first.
    pub(crate) next_index: u32,
    pub(crate) recovered: Recovered,
}

/// Recovers the ring in `words`, or creates a new one.
pub(crate) fn recover_or_create<'m>(words: &'m [Word], config: &RingConfig) -> Result<Boot<'m>, RingError> {
    config.check(words.len())?;
    if config.session_count == 0 {
        return Err(RingError::BadConfig);
    }
    let ring = Ring::over(words, config);
    if ring.mend_fixed_header(config) {
        return Ok(ring.take_over());
    }
    let mut ring_id = config.ring_id ^ FNV_BASIS;
    for word in words {
        // The content of memory after power-on differs between devices, and slightly between power-ons.
        ring_id = (ring_id ^ word.load()).wrapping_mul(FNV_PRIME).rotate_left(5);
        word.store(0);
    }
    let ring = Ring::create(words, &RingConfig { ring_id, ..*config })?;
    Ok(Boot { ring, boot: 1, next_index: 0, recovered: Recovered::Nothing })
}

/// AppendOutcome of settling a segment.
enum Settled {
    Empty,
    Damaged,
    Good { sequence: u64, boot: u32, events: u32, abandoned: u32 },
}

impl<'m> Ring<'m> {
    /// Returns whether the fixed part of the header matches this configuration, and corrects a flipped bit.
    fn mend_fixed_header(&self, config: &RingConfig) -> bool {
        let ring_id = self.words[RING_ID_WORD].load();
        let expected = |ring_id| self.fixed_header(&RingConfig { ring_id, ..*config });
        let differing = |header: &[u8; 64]| -> u32 {
            self.words.iter().zip(words_of(header)).map(|(word, good)| (word.load() ^ good).count_ones()).sum()
        };
        let mut good = expected(ring_id);
        let mut flipped = differing(&good);
        // The identity can have any value, but if the flipped bit is in it, the CRC identifies the bit.
        for bit in 0..64 {
            if flipped <= 1 {
                break;
            }
            good = expected(ring_id ^ 1 << bit);
            flipped = differing(&good);
        }
        if flipped == 1 {
            for (word, good) in self.words.iter().zip(words_of(&good)) {
                word.store(good);
            }
        }
        flipped <= 1
    }

    fn take_over(self) -> Boot<'m> {
        let (mut highest, mut next_index, mut boot) = (0, 0, 0);
        let (mut event_count, mut abandoned_count, mut damaged_count) = (0, 0, 0);
        for index in 0..self.segment_count {
            match self.settle(index) {
                Settled::Empty => {}
                Settled::Damaged => damaged_count += 1,
                Settled::Good { sequence, boot: of, events, abandoned } => {
                    event_count += events;
                    abandoned_count += abandoned;
                    boot = boot.max(of);
                    if sequence > highest {
                        highest = sequence;
                        next_index = if index + 1 < self.segment_count { index + 1 } else { 0 };
                    }
                }
            }
        }
        for slot in 1..=crate::ring::device_session::slots_in(self.header_words * 8) as u32 {
            let of_slot = self.session_in_slot_of(slot).map(|session| session.boot);
            boot = boot.max(of_slot.filter(|boot| *boot < BOOT_BELIEVED_MAX).unwrap_or(0));
        }
        self.header(header_word::NEXT_SEQUENCE).store(highest + 1);
        let recovered = Recovered::Ring { event_count, abandoned_count, damaged_count };
        Boot { ring: self, boot: boot + 1, next_index, recovered }
    }

    /// Makes a segment readable and replaceable, wherever a reset interrupted its writers.
    fn settle(&self, index: u32) -> Settled {
        let segment = self.segment(index);
        let mut bytes = [0; SEGMENT_HEADER_LEN];
        copy_words(&segment[..SEGMENT_HEADER_WORDS], &mut bytes);
        let header = match parse_segment(index, &bytes, 0) {
            SegmentState::Valid(parsed) => parsed.header,
            SegmentState::Opening { .. } => {
                finish_opening(segment);
                return Settled::Empty;
            }
            state @ (SegmentState::Unused | SegmentState::Damaged(_)) => {
                for word in &segment[..SEGMENT_HEADER_WORDS] {
                    word.store(0);
                }
                return if matches!(state, SegmentState::Unused) { Settled::Empty } else { Settled::Damaged };
            }
        };
        let is_believed = header.sequence < SEQUENCE_BELIEVED_MAX && header.context < BOOT_BELIEVED_MAX;
        if header.mode != Mode::Device || !is_believed {
            for word in &segment[..SEGMENT_HEADER_WORDS] {
                word.store(0);
            }
            return Settled::Damaged;
        }
        // Intact, or with one flipped bit, which is corrected; or its opening was almost complete.
        let of = SequenceWord { sequence: header.sequence, lap: header.lap, mode: header.mode, phase: 0 }.encode();
        let crc = segment_crc(of, header.base_ticks, header.context, header.lost);
        let context_word = u64::from(header.context) | u64::from(crc) << 32;
        let fixed = [
            (segment_word::BASE, header.base_ticks),
            (segment_word::LOST, header.lost),
            (segment_word::CONTEXT, context_word),
            (segment_word::SEQUENCE, of),
        ];
        for (index, value) in fixed {
            if segment[index].load() != value {
                segment[index].store_release(value);
            }
        }
        let used = (header.offset_words as usize).min(self.record_words());
        let records = settle_records(&segment[SEGMENT_HEADER_WORDS..], used, header.count, header.lap);
        let count = if records.is_whole { records.events } else { header.count };
        let used = if records.is_whole { records.used } else { used };
        let low = used as u32 | count << commit::COUNT_SHIFT | commit::SHARED | commit::CLOSED;
        segment[segment_word::COMMIT].publish(low, header.done);
        let SettledRecords { events, abandoned, reserved, .. } = records;
        Settled::Good { sequence: header.sequence, boot: header.context, events, abandoned: abandoned + reserved }
    }
}

/// Completes the opening of a segment, leaving it without records. At each step its words show which events it has lost
/// (docs/format.md §2.4).
fn finish_opening(segment: &[Word]) {
    let word = |index: usize| segment[index].load();
    let sequence_word = word(segment_word::SEQUENCE);
    let phase = (sequence_word >> 60) as u8;
    let commit_low = segment[segment_word::COMMIT].load_low();
    let lost = lost_by_phase(phase, word(segment_word::BASE), word(segment_word::LOST), commit_low);
    let with_phase = |phase: u64| sequence_word & !(0xF << 60) | phase << 60;
    if phase < 3 {
        segment[segment_word::BASE].store_release(lost);
        segment[segment_word::SEQUENCE].store_release(with_phase(2));
        segment[segment_word::LOST].store_release(lost);
    }
    segment[segment_word::COMMIT].store_release(0);
    segment[segment_word::SEQUENCE].store_release(with_phase(3));
}

/// Summary of a segment's records.
struct SettledRecords {
    events: u32,
    /// Number of control records that were reservations.
    abandoned: u32,
    /// Number of reservations.
    reserved: u32,
    /// Number of words that records occupy.
    used: usize,
    /// Whether nothing is damaged. If not, the counts cover the part before the damage.
    is_whole: bool,
}

/// Converts the reservations that a reset left in a segment into control records. The segment has `used` words of
/// records and declares `count` of them. If a flipped bit in `used` alone hides some records, they are found all the
/// same. If a record is invalid, or the length of a reservation hides others, nothing is changed.
fn settle_records(records: &[Word], used: usize, count: u32, lap: u8) -> SettledRecords {
    let found = walk_records(records, used, count, lap, false);
    if found.is_whole && found.reserved > 0 { walk_records(records, used, count, lap, true) } else { found }
}

/// Walks over the records of a segment. If `settles`, also converts reservations into control records.
fn walk_records(records: &[Word], used: usize, count: u32, lap: u8, settles: bool) -> SettledRecords {
    let mut settled = SettledRecords { events: 0, abandoned: 0, reserved: 0, used: 0, is_whole: true };
    // Zeros can be several reservations, up to one per word.
    let mut more_max = 0;
    while let Some(word) = records.get(settled.used) {
        let (at, low) = (settled.used, word.load_low());
        let is_behind = at >= used;
        let mut len = (low >> 16 & 0xFF) as usize;
        if low == 0 {
            // Zero up to the next header: no other word is stored before the header.
            let rest = if is_behind { &records[at + 1..] } else { &records[at + 1..used] };
            len = rest.iter().take_while(|word| word.load() == 0).count();
        }
        // Beyond its end, a segment has been zero since it was opened.
        if is_behind && (settled.events + settled.reserved >= count || low == 0 && at + 1 + len == records.len()) {
            break;
        }
        let Some(payload) = records.get(at + 1..at + 1 + len) else { return settled.damaged() };
        let others = payload.iter().fold(u64::from(lap), |others, word| others ^ word.load());
        if cfg!(not(ttlog_mutant_unsettled)) && (low == 0 || low as u16 == RESERVED) {
            settled.reserved += 1;
            more_max += if low == 0 { len as u32 } else { 0 };
            if settles {
                let sealed = encode_header(CONTROL, len as u8, KIND_ABANDONED, others);
                word.mark_low(device_reservation(len as u8));
                word.publish(sealed as u32, (sealed >> 32) as u32);
            }
        } else {
            let whole = word.load();
            let header = decode_header(whole);
            if header.check != byte_sum(whole & !(0xFF << 56) ^ others) {
                return settled.damaged();
            }
            match header.callsite {
                CONTROL if header.delta == KIND_ABANDONED => settled.abandoned += 1,
                CONTROL => {}
                _ => settled.events += 1,
            }
        }
        settled.used = at + 1 + len;
    }
    // Too few: a damaged length has hidden some. An interrupted boot has converted reservations into control records
    // without updating the count.
    if settled.reserved > 0 && settled.events + settled.reserved + settled.abandoned + more_max < count {
        return settled.damaged();
    }
    settled
}

impl SettledRecords {
    fn damaged(self) -> Self {
        SettledRecords { is_whole: false, ..self }
    }
}

/// Returns an iterator over the words of the header's fixed part.
fn words_of(bytes: &[u8; 64]) -> impl Iterator<Item = u64> + use<'_> {
    bytes.chunks_exact(8).map(|chunk| u64::from_le_bytes(chunk.try_into().unwrap_or_default()))
}

const _: () = assert!(HEADER_WORDS >= 8, "the fixed part is in the header");

#[cfg(all(test, not(loom)))]
mod tests;

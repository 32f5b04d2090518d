//! Reading a ring from bytes that may hold anything: a file of a dead process, retained RAM, what a probe took.
//!
//! Nothing here panics, allocates, or takes longer than a fixed multiple of the bytes given. A damaged part is passed over and
//! told of; its neighbours come out.

use core::fmt;

use super::anchors::anchor_crc;
use super::end::{Panics, ProcessEnd};
use super::layout::{
    ANCHOR_LEN, KEPT_SEQUENCE_BIT, LONG_HEADER_LEN, Mode, RingHeader, SEGMENT_HEADER_LEN, SequenceWord, commit,
    segment_check, segment_crc, segment_crc_input, segment_word,
};
use super::segment::lost_by_phase;
use super::{ENTRY_COMMITTED, ENTRY_LEN_MAX};
use crate::clock::Anchor;
use crate::crc::{check_or_repair_with, crc32};
use crate::error::{FormatError, FormatErrorKind};
use crate::record::{
    CONTROL, ContextInfo, KIND_ABANDONED, KIND_CONTEXT, KIND_REBASE, RESERVED, RawRecord, SHORT_PAYLOAD_WORDS, Seal,
    decode_header, decode_record, word_at,
};
use crate::table::{ProcessInfo, TableItem};

/// Payload length in a record header that is not the mark of a long one.
const SHORT_LEN: u8 = SHORT_PAYLOAD_WORDS as u8;

/// A ring as bytes.
#[derive(Clone, Copy)]
pub struct RingImage<'a> {
    bytes: &'a [u8],
    header: RingHeader,
}

impl<'a> RingImage<'a> {
    /// Reads the ring header. The bytes may be cut off: parts that are not there read as unused.
    ///
    /// # Errors
    /// What is wrong with the header, and where.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, FormatError> {
        let header = RingHeader::decode(bytes)?;
        Ok(RingImage { bytes, header })
    }

    /// Gives the ring header.
    #[must_use]
    pub fn header(&self) -> &RingHeader {
        &self.header
    }

    /// Gives the bytes that are missing at the end.
    #[must_use]
    pub fn missing_bytes(&self) -> u64 {
        self.header.region_len().saturating_sub(self.bytes.len() as u64)
    }

    /// Gives how many segments there are bytes of, at least of a part; a header may claim more.
    #[must_use]
    pub fn present_segments(&self) -> u32 {
        let present = self.header.region_len().saturating_sub(self.missing_bytes());
        let count = present.saturating_sub(self.header.segments_offset).div_ceil(self.header.segment_len.into());
        u32::try_from(count).unwrap_or(u32::MAX).min(self.header.segment_count)
    }

    pub(super) fn part(&self, offset: u64, len: u64) -> &'a [u8] {
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(self.bytes.len());
        let end = usize::try_from(offset.saturating_add(len)).unwrap_or(usize::MAX).min(self.bytes.len());
        &self.bytes[start..end]
    }

    /// Iterates over the anchors that are whole, in the order of their slots.
    pub fn anchors(&self) -> impl Iterator<Item = Anchor> + use<'a> {
        let slots =
            self.part(self.header.anchors_offset.into(), u64::from(self.header.anchor_count) * ANCHOR_LEN as u64);
        slots.chunks_exact(ANCHOR_LEN).filter_map(|slot| {
            let stamp = word_at(slot, 0)?;
            let anchor = Anchor { ticks: word_at(slot, 8)?, unix_ns: word_at(slot, 16)? as i64 };
            (stamp as u32 != 0 && (stamp >> 32) as u32 == anchor_crc(anchor)).then_some(anchor)
        })
    }

    /// Iterates over the entries of the table that are whole, oldest first.
    pub fn entries(&self) -> impl Iterator<Item = TableEntry<'a>> + use<'a> {
        let table = self.part(self.header.table_offset.into(), self.header.table_len.into());
        let mut at = 0;
        core::iter::from_fn(move || next_entry(table, &mut at))
    }

    /// Returns whose ring it is, as far as it says: the first process item of its table.
    #[must_use]
    pub fn process(&self) -> Option<ProcessInfo<'a>> {
        self.entries().find_map(|entry| match TableItem::decode(entry.bytes) {
            Ok(TableItem::Process(process)) => Some(process),
            _ => None,
        })
    }

    /// Reads a segment. An `index` of `segment_count` or more is unused.
    #[must_use]
    pub fn segment(&self, index: u32) -> SegmentState<'a> {
        let len = u64::from(self.header.segment_len);
        let offset = self.header.segments_offset.saturating_add(u64::from(index) * len);
        let limit = if index < self.header.segment_count { len } else { 0 };
        parse_segment(index, self.part(offset, limit), offset)
    }

    /// Gives the bytes of the header if it is a long one, and all of it is there.
    pub(super) fn long_header(&self) -> Option<&'a [u8]> {
        if self.header.is_long() { self.bytes.get(..LONG_HEADER_LEN) } else { None }
    }

    /// Gives how the process ended, if it said so.
    #[must_use]
    pub fn end(&self) -> Option<ProcessEnd> {
        self.header.end
    }

    /// Gives the panics of the process.
    #[must_use]
    pub fn panics(&self) -> Panics {
        self.header.panics
    }

    /// Gives the losses that the ring counted; overwritten events are summed over the segments.
    #[must_use]
    pub fn loss(&self) -> super::Loss {
        let main = self.header.main_segment_count();
        let kept_overwritten = self.lost_in(main..self.header.segment_count);
        super::Loss {
            overwritten: self.lost_in(0..main).saturating_add(kept_overwritten),
            kept_overwritten,
            dropped: self.header.dropped,
            suppressed: self.header.suppressed,
        }
    }

    /// Gives the events overwritten in these segments.
    fn lost_in(&self, indexes: core::ops::Range<u32>) -> u64 {
        indexes
            .take_while(|index| {
                self.header.segments_offset + u64::from(*index) * u64::from(self.header.segment_len)
                    < self.bytes.len() as u64
            })
            .map(|index| match self.segment(index) {
                SegmentState::Opening { lost } => lost,
                SegmentState::Valid(segment) => segment.header.lost,
                SegmentState::Unused | SegmentState::Damaged(_) => 0,
            })
            .fold(0, u64::saturating_add)
    }
}

impl fmt::Debug for RingImage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RingImage").field("len_bytes", &self.bytes.len()).field("header", &self.header).finish()
    }
}

/// An entry of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableEntry<'a> {
    /// Where it starts, from the start of the table.
    pub offset: usize,
    /// Its bytes: a CBOR item.
    pub bytes: &'a [u8],
}

/// The entry whose header word is at `at`, if its CRC holds.
fn entry_at(table: &[u8], at: usize, len_max: u32) -> Option<TableEntry<'_>> {
    let header = word_at(table, at)?;
    let len = header as u32 & !ENTRY_COMMITTED;
    if len == 0 || len > len_max {
        return None;
    }
    let bytes = table.get(at + 8..)?.get(..len as usize)?;
    (crc32(bytes) == (header >> 32) as u32).then_some(TableEntry { offset: at, bytes })
}

fn next_entry<'a>(table: &'a [u8], at: &mut usize) -> Option<TableEntry<'a>> {
    /// Searching word by word, only entries of usual length are believed: this bounds the work.
    const SEARCH_LEN_MAX: u32 = 4096;
    let after = |entry: &TableEntry<'_>| entry.offset + 8 + entry.bytes.len().next_multiple_of(8);
    loop {
        let header = word_at(table, *at).filter(|&header| header != 0)?;
        if let Some(entry) = entry_at(table, *at, ENTRY_LEN_MAX) {
            *at = after(&entry);
            return Some(entry);
        }
        // Not committed, or damaged. Its length is good if something good follows.
        let len = (header as u32 & !ENTRY_COMMITTED) as usize;
        let follower = *at + 8 + len.next_multiple_of(8);
        if entry_at(table, follower, ENTRY_LEN_MAX).is_some() {
            *at = follower;
            continue;
        }
        let mut search = *at + 8;
        let found = loop {
            if search + 8 > table.len() {
                return None;
            }
            if let Some(entry) = entry_at(table, search, SEARCH_LEN_MAX) {
                break entry;
            }
            search += 8;
        };
        *at = after(&found);
        return Some(found);
    }
}

/// What a segment turned out to be.
#[derive(Clone, Debug)]
pub enum SegmentState<'a> {
    /// It was never written.
    Unused,
    /// Its writer died, or is at work, between two contents: it holds no records, and has lost so many events.
    Opening {
        /// Events overwritten in it so far.
        lost: u64,
    },
    /// Its header makes no sense; where and why.
    Damaged(FormatError),
    /// It holds records.
    Valid(Segment<'a>),
}

/// The header of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// Its place in the ring.
    pub index: u32,
    /// Order in which segments were opened, from 1.
    pub sequence: u64,
    /// Which lap this is, modulo 256.
    pub lap: u8,
    /// How it is written.
    pub mode: Mode,
    /// The context that opened it; 0 in shared segments.
    pub context: u32,
    /// Clock reading from which deltas count.
    pub base_ticks: u64,
    /// Events overwritten in it in earlier laps.
    pub lost: u64,
    /// Words of records.
    pub offset_words: u32,
    /// Events among them; in shared segments reservations.
    pub count: u32,
    /// Shared: reservations that are done.
    pub done: u32,
    /// A writer holds it.
    pub owned: bool,
    /// A record was being written.
    pub busy: bool,
    /// Shared: takes no more reservations.
    pub closed: bool,
    /// Clock reading when it was closed; 0: open.
    pub close_ticks: u64,
}

impl SegmentHeader {
    /// Tells whether the segment is of the kept class: warnings and errors.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.sequence & KEPT_SEQUENCE_BIT != 0
    }

    /// Gives what its records have in common.
    pub(crate) fn seal(&self) -> Seal {
        Seal { lap: self.lap, is_device: self.mode == Mode::Device }
    }
}

/// How far the time of a record of a device may be before that of the one before it, in ticks: a context that was interrupted reads
/// the clock before, and reserves after, those that interrupt it. Greater differences are the clock's turn around at 2^32.
const BACK_TICKS_MAX: u32 = 1 << 28;

/// A segment with its records.
#[derive(Clone, Debug)]
pub struct Segment<'a> {
    /// Its header.
    pub header: SegmentHeader,
    /// The room for records, as much of it as is there; beyond `offset_words` it may hold anything.
    pub records: &'a [u8],
}

/// Reads a segment from its bytes, which start `region_offset` bytes into the ring. Fewer bytes than a segment has are good as
/// long as its header is there.
pub(crate) fn parse_segment(index: u32, bytes: &[u8], region_offset: u64) -> SegmentState<'_> {
    let Some((header, records)) = bytes.split_first_chunk::<SEGMENT_HEADER_LEN>() else {
        return SegmentState::Unused;
    };
    let word = |index: usize| word_at(header, index * 8).unwrap_or(0);
    let sequence_word = word(segment_word::SEQUENCE);
    // One flipped bit can make a sequence 0, but not the CRC as well.
    if sequence_word == 0 && word(segment_word::CONTEXT) == 0 {
        return SegmentState::Unused;
    }
    let (base, lost, commit_word) = (word(segment_word::BASE), word(segment_word::LOST), word(segment_word::COMMIT));
    let (context, stored_crc) = (word(segment_word::CONTEXT) as u32, (word(segment_word::CONTEXT) >> 32) as u32);
    let mut fixed = segment_crc_input(sequence_word, base, context, lost);
    if segment_crc(sequence_word, base, context, lost) != stored_crc {
        let phase = (sequence_word >> 60) as u8;
        if (1..=3).contains(&phase) {
            return SegmentState::Opening { lost: lost_by_phase(phase, base, lost, commit_word as u32) };
        }
        if !check_or_repair_with(&mut fixed, stored_crc, segment_check) {
            return SegmentState::Damaged(FormatError::new(region_offset, FormatErrorKind::BadChecksum));
        }
    }
    let Some(decoded) = SequenceWord::decode(word_at(&fixed, 0).unwrap_or(0)) else {
        return SegmentState::Damaged(FormatError::new(region_offset, FormatErrorKind::BadGeometry));
    };
    let commit_low = commit_word as u32;
    SegmentState::Valid(Segment {
        header: SegmentHeader {
            index,
            sequence: decoded.sequence,
            lap: decoded.lap,
            mode: decoded.mode,
            context: u32::from_le_bytes([fixed[16], fixed[17], fixed[18], fixed[19]]),
            base_ticks: word_at(&fixed, 8).unwrap_or(0),
            lost: word_at(&fixed, 20).unwrap_or(0),
            offset_words: commit::offset(commit_low) as u32,
            count: commit::count(commit_low),
            done: (commit_word >> 32) as u32,
            owned: commit_low & commit::OWNED != 0,
            busy: commit_low & commit::BUSY != 0,
            closed: commit_low & commit::CLOSED != 0,
            close_ticks: word(segment_word::CLOSE),
        },
        records: &records[..records.len() / 8 * 8],
    })
}

/// Makes the copy of a segment hold no records, in its bytes; what it says of earlier laps stays.
///
/// For whoever copies a ring that is being written: a segment that was opened only after the copying began, or changed all the
/// while, is not to be shown, but the events that it replaced are to be counted. Bytes too short for a header stay as they are.
pub fn forget_records(segment: &mut [u8]) {
    let at = segment_word::COMMIT * 8;
    if let Some(word) = segment.get_mut(at..at + 8) {
        word.fill(0);
    }
}

impl<'a> Segment<'a> {
    /// Gives the bytes that records fill, as far as they are there.
    #[must_use]
    pub fn used(&self) -> &'a [u8] {
        &self.records[..self.offset_bytes()]
    }

    fn offset_bytes(&self) -> usize {
        (self.header.offset_words as usize * 8).min(self.records.len())
    }

    /// Iterates over what the segment holds, in the order in which it was reserved.
    #[must_use]
    pub fn items(&self) -> Items<'a> {
        Items {
            records: self.records,
            end: self.offset_bytes(),
            header: self.header,
            at: 0,
            base: Some(self.header.base_ticks),
            clock: self.header.base_ticks,
            // On a device that is the session.
            context: if self.header.mode == Mode::Device { 0 } else { self.header.context },
            next_index: None,
            events: 0,
            counted: 0,
            damaged: false,
            judgements: 8,
            finished: false,
        }
    }
}

/// A thing found in a segment. Offsets are bytes from the start of its records.
#[derive(Clone, Debug, PartialEq)]
pub enum Item<'a> {
    /// An event.
    Event(Record<'a>),
    /// Who the following records are by.
    Context(ContextInfo<'a>),
    /// A reservation that was not committed (or several, where nothing tells them apart).
    Pending {
        /// Where it starts.
        offset: usize,
        /// Its length.
        len_bytes: usize,
    },
    /// Bytes that are no valid records.
    Damaged {
        /// Where they start.
        offset: usize,
        /// How many.
        len_bytes: usize,
    },
}

/// An event as it lies in a segment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Record<'a> {
    /// Where it starts.
    pub offset: usize,
    /// Its callsite's id.
    pub callsite: u16,
    /// When it happened. Meaningless if not `ticks_known`.
    pub ticks: u64,
    /// Whether `ticks` can be trusted: damage before it may have hidden a new base.
    pub ticks_known: bool,
    /// The context that recorded it; 0: unknown.
    pub context: u32,
    /// How many events its context recorded before it, where that is known.
    pub index: Option<u64>,
    /// The values; see [`CallsiteInfo::values`](crate::table::CallsiteInfo::values).
    pub payload: &'a [u8],
}

/// Tells whether control records of this kind exist.
fn is_kind(kind: u32) -> bool {
    matches!(kind, KIND_REBASE | KIND_CONTEXT | KIND_ABANDONED)
}

/// Walks the records of a segment.
#[derive(Clone, Debug)]
pub struct Items<'a> {
    records: &'a [u8],
    /// Where records end, as the commit half-word says.
    end: usize,
    header: SegmentHeader,
    at: usize,
    /// `None`: unknown since damage.
    base: Option<u64>,
    /// On a device: the clock at the record before, all of its bits.
    clock: u64,
    context: u32,
    next_index: Option<u64>,
    /// Events met so far.
    events: u32,
    /// Of what the segment's count speaks of, so much was met: events, and in a shared segment reservations too.
    counted: u32,
    damaged: bool,
    /// How many reservations may still be held against what is behind them: this bounds the work.
    judgements: u8,
    finished: bool,
}

impl<'a> Items<'a> {
    /// Gives the events that are known to be lost to damage, once the walk is over: those that the segment counts and that were
    /// neither met nor pending. 0 before that.
    #[must_use]
    pub fn missing(&self) -> u32 {
        if self.finished && self.damaged && self.header.mode == Mode::Exclusive {
            self.header.count.saturating_sub(self.events)
        } else {
            0
        }
    }

    /// Where a reservation of a device ends. Nothing vouches for its length but what is behind: if that is not valid, or less than the
    /// segment's count has, and from another place on it is as it should be, this is the right one.
    fn end_of_reservation(&mut self, by_len: usize) -> usize {
        if self.damaged || self.judgements == 0 {
            return by_len;
        }
        let expected = self.header.count.checked_sub(self.counted + 1);
        // `None`, not even valid, is less than any number. Where there is more than the count says, it is the count that was hit.
        let is_right = self.count_rest(by_len) >= expected;
        // Zeros in its payload look like reservations.
        let is_record = |from: usize| from == self.end || word_at(self.records, from) != Some(0);
        let fits = |from: usize| is_record(from) && self.count_rest(from) == expected;
        let other = if is_right { None } else { self.starts_after(self.at).find(|&from| fits(from)) };
        // Where it is right, that vouches for all behind it.
        self.judgements = if is_right { 0 } else { self.judgements - 1 };
        other.unwrap_or(by_len)
    }

    /// The record at `at` as an item; control records other than contexts are taken in and give `None`.
    fn take(&mut self, record: RawRecord<'a>) -> Option<Item<'a>> {
        let offset = self.at;
        let exclusive = self.header.mode == Mode::Exclusive;
        let by_len = offset + record.len_bytes;
        if record.header.callsite == RESERVED && self.header.mode == Mode::Device {
            self.at = self.end_of_reservation(by_len);
        } else {
            self.at = by_len;
        }
        match record.header.callsite {
            RESERVED => {
                self.counted += 1;
                Some(Item::Pending { offset, len_bytes: self.at - offset })
            }
            CONTROL => match record.header.delta {
                KIND_REBASE => {
                    let ticks = word_at(record.payload, 0);
                    self.clock = ticks.unwrap_or(self.clock);
                    self.base = ticks.or(self.base);
                    None
                }
                KIND_ABANDONED if self.header.mode == Mode::Device => {
                    // A boot may have been cut short before it made the count that of the events. Then the count says nothing.
                    self.judgements = 0;
                    Some(Item::Pending { offset, len_bytes: record.len_bytes })
                }
                KIND_CONTEXT => {
                    let context = ContextInfo::decode(record.payload)?;
                    if exclusive {
                        self.context = context.context;
                        self.next_index = Some(context.next_index);
                    }
                    Some(Item::Context(context))
                }
                _ => None,
            },
            callsite => {
                self.events += 1;
                self.counted += 1;
                let mut delta = u64::from(record.header.delta);
                let mut base = self.base.unwrap_or(self.header.base_ticks);
                let (mut context, mut payload) = (self.context, record.payload);
                if self.header.mode == Mode::SharedContexts {
                    let (word, rest) = (word_at(payload, 0).unwrap_or(0), payload.get(8..).unwrap_or_default());
                    context = word as u32;
                    delta |= word >> 32 << 32;
                    payload = rest;
                }
                if self.header.mode == Mode::Device {
                    (base, delta) = (self.unwrap(record.header.delta), 0);
                }
                let index = self.next_index;
                self.next_index = index.map(|index| index.wrapping_add(1));
                let ticks = base.wrapping_add(delta);
                let ticks_known = self.base.is_some();
                Some(Item::Event(Record { offset, callsite, ticks, ticks_known, context, index, payload }))
            }
        }
    }

    /// Gives the clock at a record of a device, of which `low` are the lower bits: the upper ones may have changed since the record before.
    fn unwrap(&mut self, low: u32) -> u64 {
        let on = low.wrapping_sub(self.clock as u32);
        let back = on.wrapping_neg();
        self.clock = if back != 0 && back <= BACK_TICKS_MAX {
            self.clock.wrapping_sub(back.into())
        } else {
            self.clock.wrapping_add(on.into())
        };
        self.clock
    }

    /// Counts what the segment's count speaks of between `from` and the end, if all of it is valid.
    fn count_rest(&self, from: usize) -> Option<u32> {
        let (mut at, mut counted) = (from, 0);
        while at < self.end {
            if self.header.mode == Mode::Device && word_at(self.records, at) == Some(0) {
                counted += 1; // or more, nobody knows
                at = self.end_of_zeros(at);
                continue;
            }
            let record = decode_record(self.records, at, self.header.seal())?;
            counted += u32::from(record.header.callsite != CONTROL);
            at += record.len_bytes;
        }
        (at == self.end).then_some(counted)
    }

    /// Gives where the zero words end that begin at `at`: reservations in which nothing is stored yet.
    fn end_of_zeros(&self, at: usize) -> usize {
        let is_zero = |at: &usize| word_at(self.records, *at) == Some(0);
        at + 8 * (at..self.end).step_by(8).take_while(is_zero).count()
    }

    /// Gives the places where a record may end that begins at `at`. Long records are not searched for: this bounds the work.
    fn starts_after(&self, at: usize) -> impl Iterator<Item = usize> + use<> {
        (at + 8..=self.end.min(at + 8 * 256)).step_by(8)
    }

    /// Finds where records start again after a single damaged one at `self.at`, and whether that one was a control record: from
    /// there on all must be valid, and there must be as many as the segment's count says. That is a strong condition; the
    /// check of a single record is not, since bytes of the damaged one pass it once in 256 times.
    fn after_single(&self) -> Option<(usize, bool)> {
        let header = decode_header(word_at(self.records, self.at)?);
        let rest = self.header.count.checked_sub(self.counted)?;
        let looks_control = header.callsite == CONTROL;
        let fits = |from: usize, control: bool| {
            let expected = if control { Some(rest) } else { rest.checked_sub(1) };
            from <= self.end && expected.is_some() && self.count_rest(from) == expected
        };
        // The first such place is the right one: a later one would pass over records that do not count.
        let find = |control| self.starts_after(self.at).find(|&from| fits(from, control)).map(|from| (from, control));
        let by_len = self.at + 8 + usize::from(header.len) * 8;
        if self.header.mode == Mode::Device {
            // Where not the length was hit, it is right, whatever the callsite looks like now: hit as well, it makes a control record of
            // an event, or the other way round, if it is one bit from it. Searching comes after that: what was hit may have bytes that
            // look like a record, which would take its place in the count.
            let may_be_control = looks_control || header.callsite.is_power_of_two() && is_kind(header.delta);
            let controls = [Some(false), may_be_control.then_some(true)];
            if let Some(control) = controls.into_iter().flatten().find(|&control| fits(by_len, control)) {
                return Some((by_len, control));
            }
        } else if !looks_control && fits(by_len, true) {
            // A control record whose callsite was hit looks like an event, but its length is right.
            return Some((by_len, true));
        }
        find(looks_control).or_else(|| find(!looks_control))
    }

    /// Finds where valid records start again after `self.at` when much is damaged: two of them in a row, or one that ends at
    /// the end.
    fn after_much(&self) -> usize {
        // Long records are not believed here: this bounds the work.
        let valid =
            |at| decode_record(self.records, at, self.header.seal()).filter(|record| record.header.len <= SHORT_LEN);
        (self.at + 8..self.end)
            .step_by(8)
            .find(|&at| {
                valid(at).is_some_and(|record| {
                    let next = at + record.len_bytes;
                    next == self.end
                        || next < self.end && decode_record(self.records, next, self.header.seal()).is_some()
                })
            })
            .unwrap_or(self.end)
    }

    /// Takes note of damage at `self.at`, and goes to where records start again.
    fn damage(&mut self) -> Item<'a> {
        let offset = self.at;
        let single = if self.damaged { None } else { self.after_single() };
        self.damaged = true;
        let (next, control_hit) = single.unwrap_or_else(|| (self.after_much(), true));
        self.at = next;
        match self.header.mode {
            Mode::Exclusive if control_hit => {
                self.base = None;
                self.context = 0;
                self.next_index = None;
            }
            // It may have said that the clock turned around.
            Mode::Device if control_hit => self.base = None,
            _ => {
                // The one event that was hit has an index too.
                self.next_index = self.next_index.map(|index| index.wrapping_add(1));
                self.counted += 1;
            }
        }
        Item::Damaged { offset, len_bytes: self.at - offset }
    }
}

impl<'a> Iterator for Items<'a> {
    type Item = Item<'a>;

    fn next(&mut self) -> Option<Item<'a>> {
        let exclusive = self.header.mode == Mode::Exclusive;
        while !self.finished {
            // Where offset and count contradict each other, one of them was damaged: valid records up to the greater count.
            let more = self.at < self.end || self.counted < self.header.count && !self.damaged;
            if !more {
                break;
            }
            if let Some(record) = decode_record(self.records, self.at, self.header.seal()) {
                if let Some(item) = self.take(record) {
                    return Some(item);
                }
                continue;
            }
            if !exclusive && self.at < self.end && word_at(self.records, self.at) == Some(0) {
                let offset = self.at;
                self.counted += 1; // or more, nobody knows
                self.at = self.end_of_zeros(offset);
                return Some(Item::Pending { offset, len_bytes: self.at - offset });
            }
            if self.at >= self.end || exclusive && self.events >= self.header.count {
                break;
            }
            return Some(self.damage());
        }
        self.finished = true;
        None
    }
}

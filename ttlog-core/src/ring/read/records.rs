//! What a segment holds: events, contexts, and what is left of records that were cut short or damaged.

use super::segment::{Segment, SegmentHeader};
use crate::record::{
    CONTROL, ContextInfo, KIND_ABANDONED, KIND_CONTEXT, KIND_REBASE, RESERVED, RawRecord, SHORT_PAYLOAD_WORDS,
    decode_header, decode_record, word_at,
};
use crate::ring::layout::Mode;

/// Payload length in a record header that is not the mark of a long one.
const SHORT_LEN: u8 = SHORT_PAYLOAD_WORDS as u8;

/// How far the time of a record of a device may be before that of the one before it, in ticks: a context that was interrupted reads
/// the clock before, and reserves after, those that interrupt it. Greater differences are the clock's turn around at 2^32.
const BACK_TICKS_MAX: u32 = 1 << 28;

impl<'a> Segment<'a> {
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

/// Returns whether control records of this kind exist.
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
    /// Returns the events that are known to be lost to damage, once the walk is over: those that the segment counts and that were
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

    /// Returns the clock at a record of a device, of which `low` are the lower bits: the upper ones may have changed since the record before.
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

    /// Returns where the zero words end that begin at `at`: reservations in which nothing is stored yet.
    fn end_of_zeros(&self, at: usize) -> usize {
        let is_zero = |at: &usize| word_at(self.records, *at) == Some(0);
        at + 8 * (at..self.end).step_by(8).take_while(is_zero).count()
    }

    /// Returns the places where a record may end that begins at `at`. Long records are not searched for: this bounds the work.
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

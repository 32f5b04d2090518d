//! Content of a segment: events, contexts, and the remains of unfinished or damaged records.

use super::segment::{Segment, SegmentHeader};
use crate::record::{
    CONTROL, ContextInfo, KIND_ABANDONED, KIND_CONTEXT, KIND_REBASE, RESERVED, RawRecord, SHORT_PAYLOAD_WORDS,
    decode_header, decode_record, word_at,
};
use crate::ring::layout::Mode;

/// Maximum payload length in a record header that is not the mark of a long payload.
const SHORT_LEN: u8 = SHORT_PAYLOAD_WORDS as u8;

/// Maximum ticks by which a device's record can be earlier than the record before it: an interrupted context reads the
/// clock before, and reserves after, the contexts that interrupt it. Greater differences mean that the clock wrapped
/// around at 2^32.
const BACK_TICKS_MAX: u32 = 1 << 28;

impl<'a> Segment<'a> {
    /// Iterates over the content of the segment, in the order of the reservations.
    #[must_use]
    pub fn items(&self) -> Items<'a> {
        Items {
            records: self.records,
            end: self.offset_bytes(),
            header: self.header,
            at: 0,
            base: Some(self.header.base_ticks),
            clock: self.header.base_ticks,
            // On a device, the header holds the session there.
            context: if self.header.mode == Mode::Device { 0 } else { self.header.context },
            next_index: None,
            events: 0,
            counted: 0,
            damaged: false,
            judgments: 8,
            finished: false,
        }
    }
}

/// An item found in a segment. Offsets are bytes from the start of its records.
#[derive(Clone, Debug, PartialEq)]
pub enum Item<'a> {
    /// An event.
    Event(Record<'a>),
    /// The context that wrote the following records.
    Context(ContextInfo<'a>),
    /// An uncommitted reservation (or several, if they cannot be told apart).
    Pending {
        /// Byte offset of the start.
        offset: usize,
        /// Length in bytes.
        len_bytes: usize,
    },
    /// Bytes that are not valid records.
    Damaged {
        /// Byte offset of the start.
        offset: usize,
        /// Length in bytes.
        len_bytes: usize,
    },
}

/// An event in a segment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Record<'a> {
    /// Byte offset of the start.
    pub offset: usize,
    /// Id of its callsite.
    pub callsite: u16,
    /// Time of the event, in ticks. Meaningless unless `ticks_known`.
    pub ticks: u64,
    /// Whether `ticks` is reliable: earlier damage might have hidden a new base.
    pub ticks_known: bool,
    /// Context that recorded the event; 0 if unknown.
    pub context: u32,
    /// Number of events that its context recorded before it, if known.
    pub index: Option<u64>,
    /// Encoded values; see [`CallsiteInfo::values`](crate::table::CallsiteInfo::values).
    pub payload: &'a [u8],
}

/// Returns whether control records of this kind exist.
fn is_kind(kind: u32) -> bool {
    matches!(kind, KIND_REBASE | KIND_CONTEXT | KIND_ABANDONED)
}

/// Iterator over the records of a segment.
#[derive(Clone, Debug)]
pub struct Items<'a> {
    records: &'a [u8],
    /// Byte offset of the end of the records, from the commit half-word.
    end: usize,
    header: SegmentHeader,
    at: usize,
    /// Base of the clock; `None` if unknown because of damage.
    base: Option<u64>,
    /// On a device: full clock at the previous record.
    clock: u64,
    context: u32,
    next_index: Option<u64>,
    /// Number of events met so far.
    events: u32,
    /// Number of items met so far that the segment's count includes: events, and in a shared segment also reservations.
    counted: u32,
    damaged: bool,
    /// Number of reservations that can still be checked against the records after them, which bounds the work.
    judgments: u8,
    finished: bool,
}

impl<'a> Items<'a> {
    /// Returns the number of events known to be lost to damage: the segment counts them, but they were neither met nor
    /// pending. Returns 0 until the iterator is exhausted.
    #[must_use]
    pub fn missing(&self) -> u32 {
        if self.finished && self.damaged && self.header.mode == Mode::Exclusive {
            self.header.count.saturating_sub(self.events)
        } else {
            0
        }
    }

    /// Returns where a device's reservation ends. Its length is confirmed only by the records after it. If these are
    /// invalid, or fewer than the segment's count requires, and another end makes them match, that other end is
    /// returned.
    fn end_of_reservation(&mut self, by_len: usize) -> usize {
        if self.damaged || self.judgments == 0 {
            return by_len;
        }
        let expected = self.header.count.checked_sub(self.counted + 1);
        // `None` (invalid) is less than any number. If there are more records than the count says, the count is
        // damaged.
        let is_right = self.count_rest(by_len) >= expected;
        // Zeros in its payload look like reservations.
        let is_record = |from: usize| from == self.end || word_at(self.records, from) != Some(0);
        let fits = |from: usize| is_record(from) && self.count_rest(from) == expected;
        let other = if is_right { None } else { self.starts_after(self.at).find(|&from| fits(from)) };
        // If the length is right, that confirms everything after it.
        self.judgments = if is_right { 0 } else { self.judgments - 1 };
        other.unwrap_or(by_len)
    }

    /// Returns the record at `at` as an item. Applies control records other than contexts and returns `None` for them.
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
                    // A boot might have been interrupted before it corrected the count. The count is then meaningless.
                    self.judgments = 0;
                    Some(Item::Pending { offset, len_bytes: record.len_bytes })
                }
                KIND_CONTEXT => {
                    let context = ContextInfo::decode(record.payload)?;
                    if exclusive {
                        self.context = context.context;
                        self.next_index = (!self.header.is_priority()).then_some(context.next_index);
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

    /// Returns the clock at a device's record from its lower bits `low`; the upper bits might have changed since the
    /// previous record.
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

    /// Returns the number of items between `from` and the end that the segment's count includes, if all are valid.
    fn count_rest(&self, from: usize) -> Option<u32> {
        let (mut at, mut counted) = (from, 0);
        while at < self.end {
            if self.header.mode == Mode::Device && word_at(self.records, at) == Some(0) {
                counted += 1; // at least one
                at = self.end_of_zeros(at);
                continue;
            }
            let record = decode_record(self.records, at, self.header.seal())?;
            counted += u32::from(record.header.callsite != CONTROL);
            at += record.len_bytes;
        }
        (at == self.end).then_some(counted)
    }

    /// Returns the end of the zero words that begin at `at`: reservations in which nothing is stored yet.
    fn end_of_zeros(&self, at: usize) -> usize {
        let is_zero = |at: &usize| word_at(self.records, *at) == Some(0);
        at + 8 * (at..self.end).step_by(8).take_while(is_zero).count()
    }

    /// Returns the possible ends of a record that begins at `at`. Excludes long records, which bounds the work.
    fn starts_after(&self, at: usize) -> impl Iterator<Item = usize> + use<> {
        (at + 8..=self.end.min(at + 8 * 256)).step_by(8)
    }

    /// Finds where records resume after a single damaged one at `self.at`, and whether that one was a control record.
    /// From there on, all records must be valid and match the segment's count. That is a strong condition. The check of
    /// a single record is not: bytes of the damaged record pass it by chance in 1 of 256 cases.
    fn after_single(&self) -> Option<(usize, bool)> {
        let header = decode_header(word_at(self.records, self.at)?);
        let rest = self.header.count.checked_sub(self.counted)?;
        let looks_control = header.callsite == CONTROL;
        let fits = |from: usize, control: bool| {
            let expected = if control { Some(rest) } else { rest.checked_sub(1) };
            from <= self.end && expected.is_some() && self.count_rest(from) == expected
        };
        // The first such position is the right one: a later one would skip records that do not count.
        let find = |control| self.starts_after(self.at).find(|&from| fits(from, control)).map(|from| (from, control));
        let by_len = self.at + 8 + usize::from(header.len) * 8;
        if self.header.mode == Mode::Device {
            // If the length is undamaged, it is right whatever the callsite looks like. A damaged callsite can turn an
            // event into a control record, or the other way round, if it is one bit away. Searching comes second: the
            // damaged record might contain bytes that look like a record, which would take its place in the count.
            let may_be_control = looks_control || header.callsite.is_power_of_two() && is_kind(header.delta);
            let controls = [Some(false), may_be_control.then_some(true)];
            if let Some(control) = controls.into_iter().flatten().find(|&control| fits(by_len, control)) {
                return Some((by_len, control));
            }
        } else if !looks_control && fits(by_len, true) {
            // A control record with a damaged callsite looks like an event, but its length is right.
            return Some((by_len, true));
        }
        find(looks_control).or_else(|| find(!looks_control))
    }

    /// Finds where valid records resume after `self.at` when more than one is damaged: two in a row, or one that ends
    /// at the end.
    fn after_much(&self) -> usize {
        // Excludes long records, which bounds the work.
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

    /// Returns the damage at `self.at` as an item, and moves to where records resume.
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
            // The record might have announced that the clock wrapped around.
            Mode::Device if control_hit => self.base = None,
            _ => {
                // The damaged event has an index too.
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
            // If offset and count contradict each other, one of them is damaged. Valid records up to the greater one
            // are accepted.
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
                self.counted += 1; // at least one
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

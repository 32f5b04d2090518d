//! The writer of devices at its boundaries, and against a naive model.

use std::boxed::Box;
use std::cell::Cell;
use std::string::String;
use std::thread_local;
use std::vec::Vec;

use super::*;
use crate::fields::{Cons, Nil};
use crate::packed::Unpacker;
use crate::ring::{Item, RingImage, SegmentState};

/// Ten words for records in a segment, and two slots for sessions.
pub(in crate::ring) const CONFIG: RingConfig = RingConfig { ring_id: 77, session_count: 2, ..RingConfig::PLAIN };

thread_local! {
    /// What the clock of the tests shows.
    static TICKS: Cell<u64> = const { Cell::new(0) };
}

pub(in crate::ring) fn set_ticks(ticks: u64) {
    TICKS.set(ticks);
}

fn ticks_now() -> u64 {
    TICKS.get()
}

/// A clock of 64 bits that is a function.
pub(in crate::ring) const WIDE: DeviceClock = DeviceClock::new(|| ticks_now() as u32, Some(ticks_now), 1_000_000);

/// The payload of an event of the tests, and its callsite, follow from its number.
pub(in crate::ring) fn payload(id: u16) -> Vec<u64> {
    let word = |index: u64| (u64::from(id) << 32 | index << 8 | 0x55).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (0..[1, 0, 2, 1, 3, 0, 8, 1][usize::from(id) % 8]).map(word).collect()
}

/// Numbers of events that have a text, capped where no segment has room for it.
pub(in crate::ring) const WITH_TEXT: u16 = 40_000;

fn text(id: u16) -> String {
    (0..id % 97).map(|at| char::from(b'a' + ((id + at) % 26) as u8)).collect()
}

/// Records event `id`.
pub(in crate::ring) fn record(recorder: &DeviceRecorder, id: u16) {
    if id < WITH_TEXT {
        recorder.append_words(id, &payload(id));
    } else {
        recorder.append_any(id, &Cons(u64::from(id), Cons(text(id).as_str(), Nil)));
    }
}

fn is_event(id: u16, bytes: &[u8]) -> bool {
    if id < WITH_TEXT {
        return bytes == payload(id).iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<_>>();
    }
    let mut from = Unpacker::new(bytes);
    let mut read = || {
        let (number, len) = (from.varint()?, from.length()?);
        Some((number, len, from.bytes(len.kept)?))
    };
    let Some((number, len, kept)) = read() else { return false };
    let whole = text(id);
    let is_capped = len.full.is_some();
    number == u64::from(id)
        && whole.as_bytes().starts_with(kept)
        && is_capped == (kept.len() < whole.len())
        && len.full.is_none_or(|full| full as usize == whole.len())
        && from.rest().iter().all(|byte| *byte == 0)
}

/// Starts a session of build `build` in `words`.
pub(in crate::ring) fn start(words: &'static [Word], config: &RingConfig, build: u8) -> (DeviceRecorder, Started) {
    start_with(words, config, build, WIDE)
}

fn start_with(words: &'static [Word], config: &RingConfig, build: u8, clock: DeviceClock) -> (DeviceRecorder, Started) {
    let recorder = DeviceRecorder::new();
    let session = SessionStart { clock, build_id: [build; 20], reset_reason: 4, embedded_metadata: false };
    let started = recorder.start(words, config, &session).expect("not started before").expect("it fits");
    (recorder, started)
}

/// Memory for so many segments; it is kept for ever, so tests take it once.
pub(in crate::ring) fn memory(config: &RingConfig, segments: usize) -> &'static [Word] {
    let len = config.overhead_len() + segments * config.segment_len as usize;
    Box::leak((0..len / 8).map(|_| Word::new(0)).collect())
}

pub(in crate::ring) fn image_of(words: &[Word]) -> Vec<u8> {
    words.iter().flat_map(|word| word.load().to_le_bytes()).collect()
}

/// What a reader finds in a ring.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::ring) struct Reading {
    /// Sequence of the segment, number of the event, clock, and session, in the order of the format.
    pub(in crate::ring) events: Vec<(u64, u16, u64, u32)>,
    /// Records that are no event that the tests record.
    pub(in crate::ring) false_count: usize,
    pub(in crate::ring) pending: usize,
    /// Places in records that make no sense.
    pub(in crate::ring) damaged: usize,
    pub(in crate::ring) damaged_segments: usize,
    pub(in crate::ring) overwritten: u64,
    /// By reason.
    pub(in crate::ring) dropped: [u64; 4],
}

impl Reading {
    pub(in crate::ring) fn of(image: &[u8]) -> Self {
        let image = RingImage::parse(image).expect("a good ring");
        let mut reading =
            Reading { overwritten: image.loss().overwritten, dropped: image.loss().dropped, ..Self::default() };
        for index in 0..image.header().segment_count {
            reading.take(&image.segment(index));
        }
        // As of the format; sorting is stable, so records of a segment stay in order.
        reading.events.sort_by_key(|(sequence, _, _, boot)| (*boot, *sequence));
        reading
    }

    fn take(&mut self, state: &SegmentState<'_>) {
        let segment = match state {
            SegmentState::Unused | SegmentState::Opening { .. } => return,
            SegmentState::Damaged(_) => {
                self.damaged_segments += 1;
                return;
            }
            SegmentState::Valid(segment) => segment,
        };
        let header = segment.header;
        assert_eq!(header.mode, Mode::Device, "{header:?}");
        for item in segment.items() {
            match item {
                Item::Event(record) if is_event(record.callsite, record.payload) => {
                    assert!(record.ticks_known);
                    self.events.push((header.sequence, record.callsite, record.ticks, header.context));
                }
                Item::Event(_) => self.false_count += 1,
                Item::Pending { .. } => self.pending += 1,
                Item::Damaged { .. } => self.damaged += 1,
                Item::Context(context) => panic!("a context: {context:?}"),
            }
        }
    }

    pub(in crate::ring) fn ids(&self) -> Vec<u16> {
        self.events.iter().map(|event| event.1).collect()
    }
}

impl DeviceRecorder {
    /// Leaves a reservation as a context does that is cut off: before it stored anything, or while it fills the payload.
    pub(in crate::ring) fn abandon(&self, payload_words: u8, has_begun: bool) {
        let reserved = self.reserve_anew(payload_words.into(), 1).expect("there is room");
        // SAFETY: so many words were reserved.
        let words = unsafe { core::slice::from_raw_parts(reserved.record, 1 + usize::from(payload_words)) };
        if has_begun {
            words[0].mark_low(device_reservation(payload_words));
            words[1..].iter().take(1).for_each(|word| word.store(0x0001_0007)); // as the header of an event
        }
    }
}

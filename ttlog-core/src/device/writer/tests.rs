//! Tests of the device writer at its boundaries, and against a naive model.

use core::sync::atomic::AtomicU32;
use std::boxed::Box;
use std::cell::Cell;
use std::string::String;
use std::sync::Mutex;
use std::thread_local;
use std::vec::Vec;

use super::*;
use crate::event::fields::{Cons, Fields, Nil};
use crate::record::packed::Unpacker;
use crate::ring::{Item, RingImage, SEGMENT_HEADER_LEN, SegmentState};

/// Ten words for records in a segment, and two slots for sessions.
pub(crate) const CONFIG: RingConfig = RingConfig { ring_id: 77, session_count: 2, ..RingConfig::PLAIN };

thread_local! {
    /// Time of the tests' clock.
    static TICKS: Cell<u64> = const { Cell::new(0) };
}

pub(crate) fn set_ticks(ticks: u64) {
    TICKS.set(ticks);
}

fn ticks_now() -> u64 {
    TICKS.get()
}

/// A 64-bit clock that is a function.
pub(crate) const WIDE: DeviceClock = DeviceClock::new(|| ticks_now() as u32, Some(ticks_now), 1_000_000);

/// A 32-bit clock.
const NARROW: DeviceClock = DeviceClock::new(|| ticks_now() as u32, None, 1_000_000);

/// Returns the payload of a test event, which like its callsite is derived from its number.
pub(crate) fn payload(id: u16) -> Vec<u64> {
    let word = |index: u64| (u64::from(id) << 32 | index << 8 | 0x55).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (0..[1, 0, 2, 1, 3, 0, 8, 1][usize::from(id) % 8]).map(word).collect()
}

/// Numbers of events with a text, which is capped if no segment has room for it.
pub(crate) const WITH_TEXT: u16 = 40_000;

fn text(id: u16) -> String {
    (0..id % 97).map(|at| char::from(b'a' + ((id + at) % 26) as u8)).collect()
}

/// Records event `id`.
pub(crate) fn record(recorder: &DeviceRecorder, id: u16) {
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
pub(crate) fn start(words: &'static [Word], config: &RingConfig, build: u8) -> (DeviceRecorder, Started) {
    start_with(words, config, build, WIDE)
}

fn start_with(words: &'static [Word], config: &RingConfig, build: u8, clock: DeviceClock) -> (DeviceRecorder, Started) {
    let recorder = DeviceRecorder::new();
    let session = SessionStart { clock, build_id: [build; 20], reset_reason: 4, embedded_metadata: false };
    let started = recorder.start(words, config, &session).expect("not started before").expect("it fits");
    (recorder, started)
}

/// Returns zeroed words that are never freed, so tests call it once.
pub(crate) fn words_for_ever(count: usize) -> &'static [Word] {
    // Reachable for Miri when the tests end, so that they are not reported as leaks.
    static KEPT: Mutex<Vec<&'static [Word]>> = Mutex::new(Vec::new());
    let words: &[Word] = Box::leak((0..count).map(|_| Word::new(0)).collect());
    KEPT.lock().unwrap().push(words);
    words
}

/// Returns memory for `segments` segments.
pub(crate) fn memory(config: &RingConfig, segments: usize) -> &'static [Word] {
    words_for_ever((config.overhead_len() + segments * config.segment_len as usize) / 8)
}

pub(crate) fn image_of(words: &[Word]) -> Vec<u8> {
    words.iter().flat_map(|word| word.load().to_le_bytes()).collect()
}

/// Content of a ring, as a reader sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reading {
    /// Sequence of the segment, number of the event, clock, and session, in the order of the format.
    pub(crate) events: Vec<(u64, u16, u64, u32)>,
    /// Number of records that are not events of the tests.
    pub(crate) false_count: usize,
    pub(crate) pending: usize,
    /// Number of damaged places in the records.
    pub(crate) damaged: usize,
    pub(crate) damaged_segments: usize,
    /// Number of events whose time the reader reports as unknown.
    pub(crate) unknown_times: usize,
    pub(crate) overwritten: u64,
    /// Number of dropped events by reason.
    pub(crate) dropped: [u64; 4],
}

impl Reading {
    pub(crate) fn of(image: &[u8]) -> Self {
        let image = RingImage::parse(image).expect("a good ring");
        let mut reading =
            Reading { overwritten: image.loss().overwritten, dropped: image.loss().dropped, ..Self::default() };
        for index in 0..image.header().segment_count {
            reading.take(&image.segment(index));
        }
        // In the order of the format; sorting is stable, so records of a segment stay in order.
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
                    self.unknown_times += usize::from(!record.ticks_known);
                    self.events.push((header.sequence, record.callsite, record.ticks, header.context));
                }
                Item::Event(_) => self.false_count += 1,
                Item::Pending { .. } => self.pending += 1,
                Item::Damaged { .. } => self.damaged += 1,
                Item::Context(context) => panic!("a context: {context:?}"),
            }
        }
    }

    pub(crate) fn ids(&self) -> Vec<u16> {
        self.events.iter().map(|event| event.1).collect()
    }
}

impl DeviceRecorder {
    /// Leaves the reservation of a context that is cut off, before it stores anything or while it fills the payload.
    pub(crate) fn abandon(&self, payload_words: u8, has_begun: bool) {
        let reserved = self.reserve_anew(payload_words.into(), 1).expect("there is room");
        // SAFETY: this number of words was reserved.
        let words = unsafe { core::slice::from_raw_parts(reserved.record, 1 + usize::from(payload_words)) };
        if has_begun {
            words[0].mark_low(device_reservation(payload_words));
            words[1..].iter().take(1).for_each(|word| word.store(0x0001_0007)); // as the header of an event
        }
    }
}

/// Numbers of events by the length of their payload in words.
const NO_WORDS: u16 = 1;
const ONE_WORD: u16 = 8;
const TWO_WORDS: u16 = 2;
const EIGHT_WORDS: u16 = 6;

fn reading_of(words: &[Word]) -> Reading {
    Reading::of(&image_of(words))
}

/// Returns the numbers of the events and the sequences of their segments.
fn places(words: &[Word]) -> Vec<(u64, u16)> {
    reading_of(words).events.iter().map(|event| (event.0, event.1)).collect()
}

#[test]
fn payloads_of_all_lengths() {
    let words = memory(&CONFIG, 5);
    let (recorder, started) = start(words, &CONFIG, 1);
    assert_eq!((started.boot, started.recovered), (1, Recovered::Nothing));
    let ids = [NO_WORDS, ONE_WORD, TWO_WORDS, EIGHT_WORDS];
    for (id, len) in ids.into_iter().zip([0, 1, 2, 8]) {
        assert_eq!(payload(id).len(), len);
        record(&recorder, id);
    }
    assert_eq!(reading_of(words).ids(), ids);
}

#[test]
fn record_that_fills_a_segment_exactly() {
    let words = memory(&CONFIG, 5);
    let (recorder, _) = start(words, &CONFIG, 1);
    record(&recorder, EIGHT_WORDS);
    record(&recorder, NO_WORDS);
    record(&recorder, NO_WORDS + 8 * 4);
    assert_eq!(places(words), [(1, EIGHT_WORDS), (1, NO_WORDS), (2, NO_WORDS + 32)]);
}

#[test]
fn record_that_is_a_word_too_long_for_the_rest_of_a_segment() {
    let words = memory(&CONFIG, 5);
    let (recorder, _) = start(words, &CONFIG, 1);
    record(&recorder, EIGHT_WORDS);
    record(&recorder, ONE_WORD);
    record(&recorder, NO_WORDS);
    assert_eq!(places(words), [(1, EIGHT_WORDS), (2, ONE_WORD), (2, NO_WORDS)]);
}

#[test]
fn text_is_capped_to_what_a_segment_holds() {
    let words = memory(&CONFIG, 3);
    let (recorder, _) = start(words, &CONFIG, 1);
    // The lengths are 0, 70, and the longest.
    for id in [40_061, 40_034, 40_060] {
        assert_eq!(text(id).len(), usize::from(id) % 97);
        record(&recorder, id);
    }
    assert_eq!(reading_of(words).ids(), [40_061, 40_034, 40_060]);
    let before = reading_of(words);
    recorder.append_any(WITH_TEXT, &Cons("x".repeat(5000).as_str(), Nil));
    assert_eq!((reading_of(words).false_count, reading_of(words).dropped), (1, before.dropped));
}

#[test]
fn event_that_is_too_large_is_counted() {
    let words = memory(&CONFIG, 3);
    let (recorder, _) = start(words, &CONFIG, 1);
    let wide = 1_u128 << 100;
    // Nine words, which with a header fill the segment; and eleven.
    recorder.append_any(9, &Cons(wide, Cons(wide, Cons(wide, Cons(wide, Cons(1.0, Nil))))));
    recorder.append_any(9, &Cons(wide, Cons(wide, Cons(wide, Cons(wide, Cons(wide, Nil))))));
    let reading = reading_of(words);
    assert_eq!((reading.false_count, reading.dropped), (1, [1, 0, 0, 0]));
}

#[test]
fn largest_segment_of_a_device() {
    let config = RingConfig { segment_len: crate::ring::DEVICE_SEGMENT_LEN_MAX, ..CONFIG };
    let words = memory(&config, 2);
    let (recorder, _) = start(words, &config, 1);
    // 248 of the 250 words are for the text; the others are for a header and the length.
    let longest = "y".repeat(5000);
    recorder.append_any(WITH_TEXT, &Cons(longest.as_str(), Nil));
    let image = image_of(words);
    let SegmentState::Valid(segment) = RingImage::parse(&image).expect("a ring").segment(0) else {
        panic!("no segment")
    };
    let items: Vec<_> = segment.items().collect();
    let [Item::Event(event)] = items[..] else { panic!("{items:?}") };
    let len = Unpacker::new(event.payload).length().expect("a length");
    assert_eq!(len.full, Some(5000));
    assert!(len.kept > 500, "{len:?}");
    assert!(event.payload.len() <= 249 * 8);
}

#[test]
fn rings_of_one_and_of_two_segments() {
    for segments in [1, 2] {
        let words = memory(&CONFIG, segments);
        let (recorder, _) = start(words, &CONFIG, 1);
        let count = if cfg!(miri) { 25 } else { 500 };
        for id in 1..=count {
            record(&recorder, id);
            let reading = reading_of(words);
            assert_eq!(reading.ids().last(), Some(&id));
            assert_eq!(reading.events.len() as u64 + reading.overwritten, id.into());
        }
        // A ring of one segment has no other segment while something is in progress in it; a ring of two continues with
        // the other.
        recorder.abandon(2, true);
        for _ in 0..20 {
            record(&recorder, EIGHT_WORDS);
        }
        let reading = reading_of(words);
        assert_eq!(reading.pending, 1);
        assert_eq!(reading.dropped[DropReason::NoSegment as usize] > 0, segments == 1);
        assert_eq!(reading.events.len() as u64 + reading.overwritten + reading.dropped[2], u64::from(count) + 20);
    }
}

#[test]
fn sequence_that_passes_32_bits() {
    let words = memory(&CONFIG, 3);
    let (recorder, _) = start(words, &CONFIG, 1);
    record(&recorder, 1);
    words[header_word::NEXT_SEQUENCE].store(0xFFFF_FFFE);
    for id in 2..40 {
        record(&recorder, id);
    }
    let reading = reading_of(words);
    let (first, last) = (39 - reading.ids().len() as u16 + 1, 39);
    assert_eq!(reading.ids(), (first..=last).collect::<Vec<_>>());
    assert!(reading.events.iter().all(|event| event.0 > u64::from(u32::MAX)), "{reading:?}");
    let (recorder, started) = start(words, &CONFIG, 1);
    assert_eq!((started.boot, reading_of(words)), (2, reading));
    record(&recorder, 40);
    assert_eq!(reading_of(words).ids().last(), Some(&40));
}

#[test]
fn refused_before_the_start_and_started_once() {
    let words = memory(&CONFIG, 3);
    let recorder = DeviceRecorder::new();
    record(&recorder, ONE_WORD);
    record(&recorder, WITH_TEXT);
    recorder.keep_time();
    assert!(recorder.ring().is_none());
    let session = SessionStart { clock: WIDE, build_id: [1; 20], reset_reason: 0, embedded_metadata: false };
    let bad = RingConfig { segment_len: 100, ..CONFIG };
    assert_eq!(recorder.start(words, &bad, &session), Some(Err(RingError::BadConfig)));
    // After a failure, a start can be tried again.
    assert!(matches!(recorder.start(words, &CONFIG, &session), Some(Ok(_))));
    assert_eq!(recorder.start(words, &CONFIG, &session), None);
    record(&recorder, ONE_WORD);
    assert_eq!(reading_of(words).ids(), [ONE_WORD]);
}

/// Returns the clock readings of all events.
fn times(words: &[Word]) -> Vec<u64> {
    let reading = reading_of(words);
    assert_eq!(reading.unknown_times, 0);
    reading.events.iter().map(|event| event.2).collect()
}

#[test]
fn clock_that_turns_around_within_a_segment() {
    let words = memory(&RingConfig { segment_len: 256, ..CONFIG }, 3);
    set_ticks((5 << 32) - 10);
    let (recorder, _) = start(words, &CONFIG, 1);
    let mut expected = Vec::new();
    // A step forward by almost a turn is forward; a step back by 2^28 is back, and by more is forward.
    for (step, is_on) in
        [(1, true), (20, true), (7, false), (1 << 28, false), (1 << 31, true), ((1 << 32) - (1 << 28) - 1, true)]
    {
        let now = ticks_now();
        set_ticks(if is_on { now + step } else { now - step });
        record(&recorder, NO_WORDS);
        expected.push(ticks_now());
    }
    assert_eq!(times(words), expected);
    assert!(reading_of(words).events.iter().all(|event| event.0 == 1), "in one segment");
}

#[test]
fn clock_of_32_bits_is_kept() {
    let config = RingConfig { segment_len: 1024, ..CONFIG };
    for begin in [0, 7, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFF0] {
        let words = memory(&config, 3);
        set_ticks(begin);
        let (recorder, _) = start_with(words, &config, 1, NARROW);
        let mut rng = fastrand::Rng::with_seed(begin);
        let mut expected = Vec::new();
        for _ in 0..if cfg!(miri) { 8 } else { 40 } {
            set_ticks(ticks_now() + rng.u64(..1 << 31));
            recorder.keep_time();
            if rng.u8(..3) > 0 {
                set_ticks(ticks_now() + rng.u64(..100));
                record(&recorder, NO_WORDS);
                expected.push(ticks_now());
            }
        }
        assert_eq!(times(words), expected, "from {begin:#x}");
        assert_eq!(reading_of(words).dropped, [0; 4]);
    }
}

#[test]
fn a_clock_that_is_kept_costs_nothing_while_nothing_is_recorded() {
    let words = memory(&CONFIG, 3);
    set_ticks(0);
    let (recorder, _) = start_with(words, &CONFIG, 1, NARROW);
    for id in [1, 2, 3] {
        record(&recorder, id);
    }
    let before = reading_of(words);
    for _ in 0..1000 {
        set_ticks(ticks_now() + (1 << 31) - 1);
        recorder.keep_time();
    }
    assert_eq!(reading_of(words).ids(), before.ids());
    record(&recorder, 4);
    assert_eq!(times(words).last(), Some(&ticks_now()));
    assert_eq!(reading_of(words).ids(), [1, 2, 3, 4]);
}

/// If the record of a turn of the clock is damaged, times up to the next such record are unknown, and none is wrong.
#[test]
fn turns_that_were_hit_make_no_time_wrong() {
    let config = RingConfig { segment_len: 256, ..CONFIG };
    let words = memory(&config, 1);
    set_ticks(0);
    let (recorder, _) = start_with(words, &config, 1, NARROW);
    let mut expected = Vec::new();
    for _ in 0..3 {
        record(&recorder, NO_WORDS);
        expected.push(ticks_now());
        for _ in 0..2 {
            set_ticks(ticks_now() + (1 << 31));
            recorder.keep_time();
        }
    }
    assert_eq!(times(words), expected);
    let good = image_of(words);
    // An event takes a word, the record of a turn takes two.
    let first = config.overhead_len() + SEGMENT_HEADER_LEN + 8;
    for bit in (first * 8..(first + 16) * 8).step_by(if cfg!(miri) { 17 } else { 1 }) {
        let mut image = good.clone();
        image[bit / 8] ^= 1 << (bit % 8);
        let image = RingImage::parse(&image).expect("the header of the ring is whole");
        let SegmentState::Valid(segment) = image.segment(0) else { panic!("bit {bit}: no segment") };
        let times: Vec<_> = segment
            .items()
            .filter_map(|item| if let Item::Event(record) = item { Some(record) } else { None })
            .map(|record| record.ticks_known.then_some(record.ticks))
            .collect();
        assert_eq!(times, [Some(expected[0]), None, Some(expected[2])], "bit {bit}");
    }
}

#[test]
fn clock_that_is_a_register() {
    static REGISTER: [AtomicU32; 2] = [const { AtomicU32::new(0) }; 2];
    // SAFETY: two static atomics, which can be read as such.
    let clock = |is_wide| unsafe { DeviceClock::of_register(REGISTER.as_ptr().cast(), is_wide, 9) };
    for is_wide in [false, true] {
        REGISTER[0].store(100, Ordering::Relaxed);
        REGISTER[1].store(3, Ordering::Relaxed);
        let words = memory(&CONFIG, 3);
        let (recorder, _) = start_with(words, &CONFIG, 1, clock(is_wide));
        record(&recorder, ONE_WORD);
        REGISTER[0].store(105, Ordering::Relaxed);
        record(&recorder, TWO_WORDS);
        let high = if is_wide { 3 << 32 } else { 0 };
        assert_eq!(times(words), [high | 100, high | 105]);
        let session = RingImage::parse(&image_of(words)).expect("a ring").sessions().next().expect("a session");
        assert_eq!(session.ticks_per_second, 9);
    }
}

thread_local! {
    /// Event to record from the clock, and the recorder to use.
    static NESTED: Cell<Option<(*const DeviceRecorder, u16)>> = const { Cell::new(None) };
}

/// Acts as a context that interrupts another while it reads its clock, at most once.
fn interrupt() -> u64 {
    if let Some((recorder, id)) = NESTED.take() {
        // SAFETY: the test that set it keeps the recorder alive until it has removed it.
        record(unsafe { &*recorder }, id);
    }
    ticks_now()
}

#[test]
fn event_nested_where_a_segment_is_opened() {
    let clock = DeviceClock::new(|| ticks_now() as u32, Some(interrupt), 0);
    for segments in [1, 2, 3] {
        let words = memory(&CONFIG, segments);
        let (recorder, _) = start_with(words, &CONFIG, 1, clock);
        for id in 0..if cfg!(miri) { 12 } else { 200 } {
            // Two segments are replaced at once: that of the event, and within it that of the interrupting event.
            NESTED.set(Some((&raw const recorder, 2 * id + 2)));
            record(&recorder, 2 * id + 1);
            let was_nested = NESTED.take().is_none();
            let reading = reading_of(words);
            let mut last: Vec<_> = reading.ids().into_iter().rev().take(2).collect();
            last.sort_unstable();
            if was_nested && segments > 1 {
                assert!(last.contains(&(2 * id + 1)), "{segments} {id}: {reading:?}");
            }
            assert_eq!((reading.pending, reading.damaged, reading.false_count), (0, 0, 0));
            assert_eq!(reading.dropped, [0; 4], "{segments} {id}");
        }
    }
}

/// Returns the number of rounds: fewer under Miri, which is a thousand times slower.
fn rounds(count: usize) -> usize {
    if cfg!(miri) { count.div_ceil(100) } else { count }
}

/// Recorded events, and counts of those that cannot be found any more.
#[derive(Debug, Default)]
struct Model {
    /// Number of the event, clock, session.
    events: Vec<(u16, u64, u32)>,
    too_large: u64,
}

impl Model {
    fn check(&self, words: &[Word], seed: u64) {
        let reading = reading_of(words);
        assert_eq!((reading.damaged, reading.damaged_segments, reading.false_count), (0, 0, 0), "seed {seed}");
        assert_eq!(reading.unknown_times, 0, "seed {seed}");
        let found: Vec<_> = reading.events.iter().map(|(_, id, ticks, boot)| (*id, *ticks, *boot)).collect();
        let mut all = self.events.iter();
        assert!(found.iter().all(|event| all.any(|one| one == event)), "seed {seed}: {found:?} in {self:?}");
        let [too_large, reentrant, no_segment, unregistered] = reading.dropped;
        assert_eq!((too_large, reentrant, unregistered), (self.too_large, 0, 0), "seed {seed}");
        let emitted = self.events.len() as u64;
        assert_eq!(found.len() as u64 + reading.overwritten + no_segment, emitted, "seed {seed}: {reading:?}");
    }
}

fn ten_words(rest: impl Fields) -> impl Fields {
    let wide = u128::MAX;
    Cons(wide, Cons(wide, Cons(wide, Cons(wide, Cons(wide, rest)))))
}

#[test]
fn random_operations_and_resets_against_a_model() {
    for seed in 0..rounds(400) as u64 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let config = RingConfig { segment_len: 8 * rng.u32(16..40), session_count: rng.u32(1..4), ..CONFIG };
        let words = memory(&config, rng.usize(1..9));
        let mut model = Model::default();
        set_ticks(rng.u64(..1 << 33));
        let (mut recorder, mut started) = start(words, &config, 1);
        let (mut next, mut next_text, mut abandoned) = (1, WITH_TEXT, 0);
        for _ in 0..rounds(600) {
            set_ticks(ticks_now() + rng.u64(..200));
            match rng.u8(..100) {
                0..70 => {
                    record(&recorder, next);
                    model.events.push((next, ticks_now(), started.boot));
                    next += 1;
                }
                70..85 => {
                    record(&recorder, next_text);
                    model.events.push((next_text, ticks_now(), started.boot));
                    next_text += 1;
                }
                85..88 => {
                    // 40 words, but no segment has more than 33.
                    recorder.append_any(7, &ten_words(ten_words(ten_words(ten_words(Nil)))));
                    model.too_large += 1;
                }
                // At most one per session, so that the others continue in most rings.
                88..90 if abandoned == 0 => {
                    recorder.abandon(rng.u8(..8), rng.bool());
                    abandoned += 1;
                }
                90..96 => recorder.keep_time(),
                96..98 => {
                    abandoned = 0;
                    set_ticks(rng.u64(..1 << 33));
                    (recorder, started) = start(words, &config, rng.u8(..));
                    assert!(
                        matches!(started.recovered, Recovered::Ring { damaged_count: 0, .. }),
                        "seed {seed}: {started:?}"
                    );
                }
                _ => model.check(words, seed),
            }
        }
        model.check(words, seed);
    }
}

//! Every interleaving of small scenarios: writer and reader with wrap, two shared writers, nested appends, segments
//! that change owners. Run by `ci/checks/loom`.

use core::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::vec;
use std::vec::Vec;

use ::loom::model::Builder;
use ::loom::sync::Arc;
use ::loom::thread;

use super::layout::{SEGMENT_HEADER_WORDS, SequenceWord};
use super::*;
use crate::TypeList;
use crate::device::{DeviceClock, DeviceRecorder, SessionStart};
use crate::event::fields::{AnyFields, Cons, Nil};
use crate::memory::word::fence_release;
use crate::record::packed::{Packer, Unpacker};
use crate::record::value::Sealed;
use crate::record::{ContextInfo, RESERVED, encode_header};

const CONFIG: RingConfig =
    RingConfig { ring_id: 7, segment_len: 128, table_len: 0, anchor_count: 0, ..RingConfig::PLAIN };

/// Memory of a ring, shared by the threads of a model.
struct Memory(Vec<Word>);

impl Memory {
    fn new(segment_count: usize) -> Arc<Self> {
        let len = CONFIG.overhead_len() + segment_count * CONFIG.segment_len as usize;
        let memory = Memory((0..len / 8).map(|_| Word::new(0)).collect());
        Ring::create(&memory.0, &CONFIG).unwrap();
        Arc::new(memory)
    }

    fn ring(&self) -> Ring<'_> {
        Ring::over(&self.0, &CONFIG)
    }
}

fn explore(scene: impl Fn() + Sync + Send + 'static) {
    explore_with(Builder::new().preemption_bound.unwrap_or(2), scene);
}

fn explore_with(preemptions: usize, scene: impl Fn() + Sync + Send + 'static) {
    let mut builder = Builder::new();
    builder.max_branches = 100_000;
    builder.preemption_bound = Some(preemptions);
    builder.check(scene);
}

/// Results that a concurrent reader got, over all executions. Not part of the model, so plain atomics.
#[derive(Default)]
struct Seen {
    before: AtomicBool,
    after: AtomicBool,
}

impl Seen {
    fn note(&self, has_new: bool) {
        let seen = if has_new { &self.after } else { &self.before };
        seen.store(true, Ordering::Relaxed);
    }

    /// Asserts that the reader came both first and last: otherwise the model checks nothing.
    fn assert_both(&self) {
        assert!(self.before.load(Ordering::Relaxed) && self.after.load(Ordering::Relaxed), "not explored");
    }
}

fn who(context: u32) -> ContextInfo<'static> {
    ContextInfo { context, os_thread_id: 0, next_index: 0, name: "" }
}

/// Number of words of an event in a shared segment.
const RECORD_WORDS: usize = 4;

/// The two values of every event in these models. Any others mean a torn record.
fn fields(id: u64) -> Cons<u64, Cons<f64, Nil>> {
    Cons(id, Cons(id as f64 * 3.0, Nil))
}

fn append<'m>(ring: &Ring<'m>, cursor: &Cursor<'m>, context: u32, id: u64) -> AppendOutcome {
    if cursor.append_small(1, id, &fields(id)) {
        return AppendOutcome::Recorded;
    }
    cursor.append_slow(ring, &|| id, &who(context), 1, &fields(id))
}

fn append_shared(ring: &Ring<'_>, context: u32, id: u64) -> AppendOutcome {
    ring.append_shared(id, context, 1, &fields(id), DropReason::NoSegment)
}

#[derive(Debug, Default)]
struct Found {
    ids: Vec<u64>,
    pending: usize,
    overwritten: u64,
}

/// Reads the whole ring like a live reader.
fn read(ring: &Ring<'_>) -> Found {
    let mut found = Found::default();
    let mut scratch = vec![0; ring.segment_len()];
    for index in 0..ring.segment_count() {
        read_segment(&mut found, ring.copy_segment(index, &mut scratch));
    }
    found.ids.sort_unstable();
    found
}

/// Reads one segment like a live reader, and checks that no wrong data is returned.
fn read_segment(found: &mut Found, state: SegmentState<'_>) {
    match state {
        SegmentState::Valid(segment) => {
            found.overwritten += segment.header.lost;
            for item in segment.items() {
                match item {
                    Item::Event(record) => {
                        let bits = u64::from_le_bytes(*record.payload.first_chunk().unwrap());
                        let id = Unpacker::new(&record.payload[9..]).split_tail(record.payload[8]).unwrap();
                        assert_eq!(f64::from_bits(bits), id as f64 * 3.0, "torn");
                        assert_eq!(record.ticks, id, "torn");
                        found.ids.push(id);
                    }
                    Item::Pending { .. } => found.pending += 1,
                    Item::Damaged { .. } => panic!("damaged: {segment:?}"),
                    Item::Context(_) => {}
                }
            }
        }
        SegmentState::Opening { lost } => found.overwritten += lost,
        SegmentState::Unused => {}
        SegmentState::Damaged(error) => assert_eq!(error.kind, crate::FormatErrorKind::Overwritten),
    }
}

/// Checks an idle ring: every event is retained or counted.
fn settle(ring: &Ring<'_>, emitted: u64) -> Found {
    let found = read(ring);
    let dropped = ring.loss().dropped_total();
    assert_eq!(found.pending, 0);
    assert_eq!(found.ids.len() as u64 + found.overwritten + dropped, emitted, "{found:?}");
    found
}

/// Spawns a thread that reads once and records whether it saw event `new`.
///
/// Readers are spawned threads and the writer is the first thread: loom orders a load after every store it might see,
/// but forgets that a thread has loaded a word once another thread loads it too, and would never run the writer first.
fn reader(memory: &Arc<Memory>, new: u64, seen: &std::sync::Arc<Seen>) -> thread::JoinHandle<()> {
    let (memory, seen) = (memory.clone(), seen.clone());
    thread::spawn(move || {
        let found = read(&memory.ring());
        assert!(found.ids.windows(2).all(|pair| pair[0] + 1 == pair[1]), "no hole: {found:?}");
        seen.note(found.ids.contains(&new));
    })
}

#[test]
fn reader_beside_a_writer_that_wraps_sees_whole_records_only() {
    let seen = std::sync::Arc::new(Seen::default());
    let noted = seen.clone();
    // Each word of the segment can be old or new to the reader, so one preemption yields enough executions. Two would
    // take hours.
    explore_with(1, move || {
        // The segment has no room for a second event, which therefore replaces the first while the reader copies.
        let memory = Memory::new(1);
        let (ring, cursor) = (memory.ring(), Cursor::new());
        append(&ring, &cursor, 1, 1);
        cursor.detach(&ring, 1);
        let used = ring.segment(0)[segment_word::COMMIT].load() as u32;
        ring.segment(0)[segment_word::COMMIT].store_low_release(used | commit::CLOSED);
        let reader = reader(&memory, 2, &noted);
        append(&ring, &Cursor::new(), 1, 2);
        reader.join().unwrap();
        settle(&ring, 2);
    });
    seen.assert_both();
}

#[test]
fn reader_beside_an_exclusive_writer() {
    let seen = std::sync::Arc::new(Seen::default());
    let noted = seen.clone();
    explore(move || {
        let memory = Memory::new(1);
        let (ring, cursor) = (memory.ring(), Cursor::new());
        append(&ring, &cursor, 1, 1);
        let reader = reader(&memory, 2, &noted);
        append(&ring, &cursor, 1, 2);
        reader.join().unwrap();
        assert_eq!(settle(&ring, 2).ids, [1, 2]);
    });
    seen.assert_both();
}

#[test]
fn reader_beside_a_shared_writer() {
    let seen = std::sync::Arc::new(Seen::default());
    let noted = seen.clone();
    explore(move || {
        let memory = Memory::new(1);
        append_shared(&memory.ring(), 9, 1);
        let reader = reader(&memory, 2, &noted);
        assert_eq!(append_shared(&memory.ring(), 2, 2), AppendOutcome::Recorded);
        reader.join().unwrap();
        assert_eq!(settle(&memory.ring(), 2).ids, [1, 2]);
    });
    seen.assert_both();
}

/// Fills the first of two reservations after the second is committed, possibly while the reader determines where one
/// ends.
#[test]
fn reader_beside_a_reservation_with_a_record_behind_it() {
    let seen = std::sync::Arc::new(Seen::default());
    let noted = seen.clone();
    explore(move || {
        let memory = Memory::new(1);
        let ring = memory.ring();
        append_shared(&ring, 9, 1);
        append_shared(&ring, 9, 2);
        // As if the first had only been reserved so far.
        let reserved = &ring.segment(0)[SEGMENT_HEADER_WORDS..][..RECORD_WORDS];
        let words: Vec<_> = reserved.iter().map(Word::load).collect();
        reserved.iter().for_each(|word| word.store(0));
        let reader = {
            let (memory, noted) = (memory.clone(), noted.clone());
            thread::spawn(move || {
                let found = read(&memory.ring());
                assert!(found.ids == [1, 2] || found.ids == [2] && found.pending == 1, "{found:?}");
                noted.note(found.pending == 0);
            })
        };
        // As in `fill`.
        let lap = SequenceWord::decode(ring.segment(0)[segment_word::SEQUENCE].load()).unwrap().lap;
        reserved[0].store(encode_header(RESERVED, 0, RECORD_WORDS as u32 - 1, lap.into()));
        fence_release();
        (1..RECORD_WORDS).for_each(|at| reserved[at].store(words[at]));
        reserved[0].store_release(words[0]);
        reader.join().unwrap();
        assert_eq!(settle(&ring, 2).ids, [1, 2]);
    });
    seen.assert_both();
}

#[test]
fn two_shared_writers_in_one_segment() {
    explore(|| {
        let memory = Memory::new(2);
        append_shared(&memory.ring(), 9, 1);
        let other = {
            let memory = memory.clone();
            thread::spawn(move || append_shared(&memory.ring(), 2, 2))
        };
        append_shared(&memory.ring(), 3, 3);
        other.join().unwrap();
        settle(&memory.ring(), 3);
    });
}

#[test]
fn two_shared_writers_that_both_need_the_first_segment() {
    explore(|| {
        let memory = Memory::new(2);
        let other = {
            let memory = memory.clone();
            thread::spawn(move || append_shared(&memory.ring(), 1, 1))
        };
        append_shared(&memory.ring(), 2, 2);
        other.join().unwrap();
        let found = settle(&memory.ring(), 2);
        assert_eq!(found.ids, [1, 2], "nothing refused: there is a segment for each");
    });
}

#[test]
fn two_shared_writers_at_the_end_of_a_segment() {
    explore(|| {
        let memory = Memory::new(2);
        // A record takes four words, and a segment holds two records.
        append_shared(&memory.ring(), 9, 1);
        append_shared(&memory.ring(), 9, 2);
        let other = {
            let memory = memory.clone();
            thread::spawn(move || append_shared(&memory.ring(), 1, 3))
        };
        append_shared(&memory.ring(), 2, 4);
        other.join().unwrap();
        settle(&memory.ring(), 4);
    });
}

#[test]
fn two_exclusive_writers_turn_segments_over() {
    explore(|| {
        let memory = Memory::new(3);
        let other = {
            let memory = memory.clone();
            thread::spawn(move || {
                let (ring, cursor) = (memory.ring(), Cursor::new());
                append(&ring, &cursor, 1, 1);
                append(&ring, &cursor, 1, 2);
                cursor.detach(&ring, 2);
            })
        };
        {
            let (ring, cursor) = (memory.ring(), Cursor::new());
            for id in 3..=6 {
                append(&ring, &cursor, 2, id);
            }
            cursor.detach(&ring, 6);
        }
        other.join().unwrap();
        settle(&memory.ring(), 6);
    });
}

#[test]
fn segment_left_by_one_is_adopted_by_one_of_two() {
    explore(|| {
        let memory = Memory::new(4);
        {
            let (ring, cursor) = (memory.ring(), Cursor::new());
            append(&ring, &cursor, 1, 1);
            cursor.detach(&ring, 1);
        }
        let other = {
            let memory = memory.clone();
            thread::spawn(move || {
                let (ring, cursor) = (memory.ring(), Cursor::new());
                append(&ring, &cursor, 2, 2);
                cursor.detach(&ring, 2);
            })
        };
        {
            let (ring, cursor) = (memory.ring(), Cursor::new());
            append(&ring, &cursor, 3, 3);
            cursor.detach(&ring, 3);
        }
        other.join().unwrap();
        assert_eq!(settle(&memory.ring(), 3).ids, [1, 2, 3]);
    });
}

#[test]
fn exclusive_and_shared_writers_contend_for_the_last_segment() {
    explore(|| {
        let memory = Memory::new(1);
        let other = {
            let memory = memory.clone();
            thread::spawn(move || append_shared(&memory.ring(), 1, 1))
        };
        let (ring, cursor) = (memory.ring(), Cursor::new());
        append(&ring, &cursor, 2, 2);
        cursor.detach(&ring, 2);
        other.join().unwrap();
        settle(&memory.ring(), 2);
    });
}

/// Fields that log while they are packed, like a signal handler that interrupts an append.
#[derive(Clone, Copy)]
struct Nesting<'a, 'm>(&'a Ring<'m>, &'a Cursor<'m>);
impl Sealed for &Nesting<'_, '_> {}
impl AnyFields for &Nesting<'_, '_> {
    fn types(&self) -> TypeList {
        TypeList::Nil
    }
    fn types_hash(&self) -> u32 {
        1
    }
    fn payload_words(&self, cap: usize) -> usize {
        fields(1).payload_words(cap)
    }
    fn put(&self, packer: &mut Packer, cap: usize) {
        append(self.0, self.1, 1, 2);
        fields(1).put(packer, cap);
    }
}

#[test]
fn nested_append_beside_another_writer() {
    explore(|| {
        let memory = Memory::new(3);
        let other = {
            let memory = memory.clone();
            thread::spawn(move || append_shared(&memory.ring(), 3, 3))
        };
        let (ring, cursor) = (memory.ring(), Cursor::new());
        let outcome = cursor.append_slow(&ring, &|| 1, &who(1), 1, &&Nesting(&ring, &cursor));
        assert_eq!(outcome, AppendOutcome::Recorded);
        other.join().unwrap();
        assert_eq!(settle(&ring, 3).ids, [1, 2, 3]);
    });
}

#[test]
fn table_entries_of_two_threads() {
    explore(|| {
        let config = RingConfig { table_len: 64, ..CONFIG };
        let words: Vec<_> = (0..(config.overhead_len() + 128) / 8).map(|_| Word::new(0)).collect();
        let memory = Arc::new(Memory(words));
        Ring::create(&memory.0, &config).unwrap();
        let other = {
            let memory = memory.clone();
            thread::spawn(move || Ring::over(&memory.0, &config).append_entry(b"one").unwrap())
        };
        let ring = Ring::over(&memory.0, &config);
        ring.append_entry(b"two").unwrap();
        let mut seen = Vec::new();
        ring.for_each_entry(&mut [0; 16], &mut |entry| seen.push(entry.to_vec()));
        assert!(seen.iter().all(|entry| entry == b"one" || entry == b"two") && seen.contains(&b"two".to_vec()));
        other.join().unwrap();
    });
}

// ------------------------------------------------------------------------------------------- priority class, end block

/// Returns the memory of a ring with `priority_segment_count` priority segments, and one or more others.
fn priority_memory(priority_segment_count: u32, segment_count: usize) -> (Arc<Memory>, RingConfig) {
    let config = RingConfig { priority_segment_count, control: true, ..CONFIG };
    let len = config.overhead_len() + segment_count * config.segment_len as usize;
    let memory = Memory((0..len / 8).map(|_| Word::new(0)).collect());
    Ring::create(&memory.0, &config).unwrap();
    (Arc::new(memory), config)
}

/// Appends an event of four words, or six with the identity of the context.
fn append_priority(ring: &Ring<'_>, context: u32, told: Option<&Cell<u64>>, id: u64) -> AppendOutcome {
    ring.append_priority(id, &who(context), told, 1, &fields(id), DropReason::NoSegment)
}

/// Runs `append_priority` on two contexts at once, after `before` events, and passes the final content to `check`.
fn two_priority_writers(
    priority_segment_count: u32,
    segment_count: usize,
    before: u64,
    check: impl Fn(&Ring<'_>, &Found),
) {
    let (memory, config) = priority_memory(priority_segment_count, segment_count);
    for id in 1..=before {
        append_priority(&Ring::over(&memory.0, &config), 9, None, id);
    }
    let other = {
        let memory = memory.clone();
        thread::spawn(move || append_priority(&Ring::over(&memory.0, &config), 1, None, before + 1))
    };
    let ring = Ring::over(&memory.0, &config);
    let outcome = append_priority(&ring, 2, None, before + 2);
    let outcomes = (outcome, other.join().unwrap());
    assert_eq!(outcomes, (AppendOutcome::Recorded, AppendOutcome::Recorded), "there is a segment for each");
    check(&ring, &settle(&ring, before + 2));
}

#[test]
fn two_priority_writers_that_both_need_the_first_segment() {
    explore(|| two_priority_writers(2, 3, 0, |_, found| assert_eq!(found.ids, [1, 2])));
}

#[test]
fn two_priority_writers_race_to_open_the_next_segment() {
    // The first segment is full, the second is unused, and one of them must be replaced if both are opened.
    explore(|| {
        two_priority_writers(2, 3, 2, |ring, found| {
            assert!(found.ids.ends_with(&[3, 4]), "{found:?}");
            assert_eq!(ring.loss().priority_overwritten, found.overwritten);
        });
    });
}

#[test]
fn priority_segment_with_an_open_reservation_is_not_replaced() {
    let (beside, replaced) = (std::sync::Arc::new(Seen::default()), std::sync::Arc::new(Seen::default()));
    let noted = (beside.clone(), replaced.clone());
    // The only priority segment has room for one of the two events. The other can replace it once it is committed, and
    // must go to another segment before that.
    explore(move || {
        two_priority_writers(1, 2, 1, |ring, found| {
            let lost = ring.loss().priority_overwritten;
            assert!(found.ids.ends_with(&[2, 3]) || lost == 2, "{found:?}");
            noted.0.note(lost == 0);
            noted.1.note(lost == 2);
        });
    });
    beside.assert_both();
    replaced.assert_both();
}

#[test]
fn reader_beside_a_priority_writer_sees_the_context_with_its_event() {
    let seen = std::sync::Arc::new(Seen::default());
    let noted = seen.clone();
    explore(move || {
        let (memory, config) = priority_memory(1, 2);
        let ring = Ring::over(&memory.0, &config);
        append_priority(&ring, 9, None, 1);
        let reader = {
            let (memory, noted) = (memory.clone(), noted.clone());
            thread::spawn(move || {
                let ring = Ring::over(&memory.0, &config);
                let mut scratch = vec![0; ring.segment_len()];
                let SegmentState::Valid(segment) = ring.copy_segment(1, &mut scratch) else { panic!("it is open") };
                let items: Vec<_> = segment.items().collect();
                let is_new = |item: &Item<'_>| matches!(item, Item::Event(record) if record.context == 2);
                let told = items.iter().any(|item| matches!(item, Item::Context(who) if who.context == 2));
                assert_eq!(told, items.iter().any(is_new), "{items:?}");
                assert!(!items.iter().any(|item| matches!(item, Item::Damaged { .. })), "{items:?}");
                noted.note(told);
            })
        };
        append_priority(&ring, 2, Some(&Cell::new(0)), 2);
        reader.join().unwrap();
        assert_eq!(settle(&ring, 2).ids, [1, 2]);
    });
    seen.assert_both();
}

#[test]
fn reader_beside_a_priority_writer_that_wraps_sees_whole_records_only() {
    let seen = std::sync::Arc::new(Seen::default());
    let noted = seen.clone();
    // Words that are zeroed in between have three possible values, which makes this endless even with one preemption.
    // So the number of executions is limited.
    let mut builder = Builder::new();
    builder.max_branches = 100_000;
    builder.preemption_bound = Some(1);
    builder.max_permutations = Some(300_000);
    builder.check(move || {
        let (memory, config) = priority_memory(1, 2);
        let ring = Ring::over(&memory.0, &config);
        append_priority(&ring, 1, None, 1);
        // No room for a second event.
        ring.close_shared(1);
        let reader = {
            let (memory, noted) = (memory.clone(), noted.clone());
            thread::spawn(move || {
                let ring = Ring::over(&memory.0, &config);
                let mut found = Found::default();
                read_segment(&mut found, ring.copy_segment(1, &mut vec![0; ring.segment_len()]));
                assert!(found.ids.len() <= 1, "{found:?}");
                noted.note(found.ids == [2]);
            })
        };
        append_priority(&ring, 1, None, 2);
        reader.join().unwrap();
        assert_eq!((settle(&ring, 2).ids, ring.loss().priority_overwritten), (vec![2], 1));
    });
    seen.assert_both();
}

#[test]
fn end_claimed_by_two_handlers_is_told_once_and_whole() {
    let end = |signal| ProcessEnd {
        signal,
        address: u64::from(signal) * 3,
        ticks: u64::from(signal) * 5,
        ..ProcessEnd::of(EndKind::Signal)
    };
    let (before, whole) = (std::sync::Arc::new(Seen::default()), std::sync::Arc::new(Seen::default()));
    let noted = (before.clone(), whole.clone());
    explore(move || {
        let (memory, config) = priority_memory(0, 1);
        let other = {
            let memory = memory.clone();
            thread::spawn(move || Ring::over(&memory.0, &config).stamp_end(&end(6)))
        };
        let reader = {
            let (memory, noted) = (memory.clone(), (noted.0.clone(), noted.1.clone()));
            thread::spawn(move || {
                let found = Ring::over(&memory.0, &config).end();
                let known =
                    found.is_none_or(|found| found.kind == EndKind::Unfinished || found == end(6) || found == end(11));
                assert!(known, "{found:?}");
                noted.0.note(found.is_some());
                noted.1.note(found.is_some_and(|found| found.kind == EndKind::Signal));
            })
        };
        let ring = Ring::over(&memory.0, &config);
        let ours = ring.stamp_end(&end(11));
        let theirs = other.join().unwrap();
        reader.join().unwrap();
        assert!(ours != theirs, "one of them");
        assert_eq!(ring.end(), Some(end(if ours { 11 } else { 6 })));
    });
    before.assert_both();
    whole.assert_both();
}

// ------------------------------------------------------------------------------------------------------------- devices

const DEVICE_CONFIG: RingConfig = RingConfig { session_count: 1, ..CONFIG };

/// A device's recorder with its memory, shared by the contexts of a model.
struct Device {
    recorder: DeviceRecorder,
    _memory: Vec<Word>,
}

impl Device {
    fn new(segment_count: usize) -> Arc<Self> {
        let len = DEVICE_CONFIG.overhead_len() + segment_count * DEVICE_CONFIG.segment_len as usize;
        let memory: Vec<_> = (0..len / 8).map(|_| Word::new(0)).collect();
        // SAFETY: the words live as long as the recorder, and no reference to them outlives it.
        let words: &'static [Word] = unsafe { core::slice::from_raw_parts(memory.as_ptr(), memory.len()) };
        let recorder = DeviceRecorder::new();
        let clock = DeviceClock::new(|| 5, Some(|| 5), 0);
        let session = SessionStart { clock, build_id: [1; 20], reset_reason: 0, embedded_metadata: false };
        recorder.start(words, &DEVICE_CONFIG, &session).unwrap().unwrap();
        Arc::new(Device { recorder, _memory: memory })
    }

    fn append(&self, id: u64) {
        self.recorder.append_words(1, &[id, id * 3]);
    }

    /// Records an event that leaves no room for another in its segment.
    fn append_long(&self, id: u64) {
        self.recorder.append_words(1, &[id, id * 3, 0, 0, 0, 0, 0, id]);
    }

    /// Reads like a live reader, and checks that all returned records are intact.
    fn read(&self) -> Found {
        let ring = self.recorder.ring().unwrap();
        let (mut found, mut scratch) = (Found::default(), vec![0; ring.segment_len()]);
        for index in 0..ring.segment_count() {
            match ring.copy_segment(index, &mut scratch) {
                SegmentState::Valid(segment) => {
                    found.overwritten += segment.header.lost;
                    for item in segment.items() {
                        match item {
                            Item::Event(record) => {
                                let word = |at: usize| u64::from_le_bytes(*record.payload[at..].first_chunk().unwrap());
                                assert_eq!(word(8), word(0) * 3, "torn");
                                assert!([16, 64].contains(&record.payload.len()), "torn");
                                assert!(record.payload.len() == 16 || word(56) == word(0), "torn");
                                found.ids.push(word(0));
                            }
                            Item::Pending { .. } => found.pending += 1,
                            item => panic!("{item:?} in {segment:?}"),
                        }
                    }
                }
                SegmentState::Opening { lost } => found.overwritten += lost,
                SegmentState::Unused => {}
                SegmentState::Damaged(error) => assert_eq!(error.kind, crate::FormatErrorKind::Overwritten),
            }
        }
        found.ids.sort_unstable();
        found
    }

    /// Checks an idle ring: every event is retained or counted.
    fn settle(&self, emitted: u64) -> Found {
        let found = self.read();
        let dropped = self.recorder.ring().unwrap().loss().dropped_total();
        assert_eq!(found.pending, 0);
        assert_eq!(found.ids.len() as u64 + found.overwritten + dropped, emitted, "{found:?}");
        found
    }
}

/// Records from two contexts at once after `before` events, three of which fill a segment.
fn two_device_contexts(segments: usize, before: u64, check: impl Fn(&Found) + Sync + Send + 'static) {
    explore(move || {
        let device = Device::new(segments);
        (1..=before).for_each(|id| device.append(id));
        let other = {
            let device = device.clone();
            thread::spawn(move || device.append(before + 1))
        };
        device.append(before + 2);
        other.join().unwrap();
        check(&device.settle(before + 2));
    });
}

#[test]
fn two_contexts_of_a_device_in_one_segment() {
    two_device_contexts(2, 1, |found| assert_eq!(found.ids, [1, 2, 3]));
}

#[test]
fn two_contexts_of_a_device_that_both_open_a_segment() {
    two_device_contexts(3, 0, |found| assert_eq!(found.ids, [1, 2]));
}

#[test]
fn two_contexts_of_a_device_at_the_end_of_a_segment() {
    two_device_contexts(3, 2, |found| assert_eq!(found.ids, [1, 2, 3, 4]));
}

#[test]
fn reader_beside_the_writer_of_a_device() {
    let seen = std::sync::Arc::new(Seen::default());
    let noted = seen.clone();
    explore(move || {
        let device = Device::new(1);
        device.append(1);
        let reader = {
            let (device, noted) = (device.clone(), noted.clone());
            thread::spawn(move || {
                let found = device.read();
                assert_eq!(found.ids.first(), Some(&1));
                noted.note(found.ids.contains(&2));
            })
        };
        device.append(2);
        reader.join().unwrap();
        assert_eq!(device.settle(2).ids, [1, 2]);
    });
    seen.assert_both();
}

#[test]
fn segment_of_a_device_is_not_replaced_while_a_reservation_is_under_way() {
    let seen = std::sync::Arc::new(Seen::default());
    let noted = seen.clone();
    // All executions take minutes; a writer without the check fails in the first hundred.
    let mut builder = Builder::new();
    builder.max_branches = 100_000;
    builder.preemption_bound = Some(1);
    builder.max_permutations = Some(50_000);
    builder.check(move || {
        // Each event fills a segment. The other context's third event replaces ours, if ours is complete by then. The
        // one preemption can interrupt ours midway.
        let device = Device::new(2);
        let other = {
            let device = device.clone();
            thread::spawn(move || (2..=4).for_each(|id| device.append_long(id)))
        };
        device.append_long(1);
        other.join().unwrap();
        noted.note(device.settle(4).ids.contains(&1));
    });
    seen.assert_both();
}

#[test]
fn reader_beside_the_writer_of_a_device_that_wraps_sees_whole_records_only() {
    let seen = std::sync::Arc::new(Seen::default());
    let noted = seen.clone();
    // As with the priority class, the number of executions is limited.
    let mut builder = Builder::new();
    builder.max_branches = 100_000;
    builder.preemption_bound = Some(1);
    builder.max_permutations = Some(100_000);
    builder.check(move || {
        let device = Device::new(1);
        device.append(1);
        // No room for a second event.
        let commit = &device.recorder.ring().unwrap().segment(0)[segment_word::COMMIT];
        commit.set_bits(commit::CLOSED.into());
        let reader = {
            let (device, noted) = (device.clone(), noted.clone());
            thread::spawn(move || {
                let found = device.read();
                assert!(found.ids.len() <= 1, "{found:?}");
                noted.note(found.ids == [2]);
            })
        };
        device.append(2);
        reader.join().unwrap();
        assert_eq!(device.settle(2).ids, [2]);
    });
    seen.assert_both();
}

//! A ring that moves to other memory at each step of a log call: no event is lost, doubled or damaged.
//!
//! The exchange of memory is simulated: at some step of an append, in the middle of it, the words of the ring are saved
//! as the old memory and overwritten with the copy, as a mapping put in its place would do.
//!
//! Built with `--cfg ttlog_kill_points` only, see `ci/checks/kill-points`.
#![cfg(ttlog_kill_points)]

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use ttlog_core::event::{Cons, Nil};
use ttlog_core::kill::{KillPoint, set_callback, set_step_callback};
use ttlog_core::record::packed::Unpacker;
use ttlog_core::ring::{Cursor, Gate, Relocation};
use ttlog_core::{ContextInfo, DropReason, Fields, Item, Ring, RingConfig, RingImage, SegmentState, Word};

const CONFIG: RingConfig = RingConfig {
    ring_id: 7,
    segment_len: 256,
    table_len: 128,
    anchor_count: 3,
    priority_segment_count: 2,
    control: true,
    ..RingConfig::PLAIN
};
const SEGMENTS: usize = 8;
/// A value that no record has.
const FILLER: u64 = 0x5A17_F00D_5A17_F00D;

/// Number of the event in a shared segment.
const SHARED: u64 = 1_000_000;
/// Number of the first event of the other context.
const OTHER: u64 = 2_000_000;

fn text_of(number: u64, len: usize) -> String {
    (0..len).map(|at| char::from(b'a' + ((number + at as u64) % 26) as u8)).collect()
}

struct Scene {
    words: &'static [Word],
    left: &'static [Word],
    /// Steps until the exchange; negative: never.
    countdown: Cell<i64>,
    is_moved: Cell<bool>,
    gate: Gate,
    is_outside: Cell<bool>,
    /// Another context, which logs during the move.
    other: Cursor<'static>,
    /// Number of its events.
    other_count: Cell<u64>,
}

impl Scene {
    /// Records an event of the other context in its segment, if there is room.
    fn log_other(&self) -> bool {
        let number = OTHER + self.other_count.get();
        let done = self.other.append_small(9, 60, &Cons(number, Cons("other", Nil)));
        self.other_count.set(self.other_count.get() + u64::from(done));
        done
    }
}

thread_local! {
    static SCENE: RefCell<Option<Rc<Scene>>> = const { RefCell::new(None) };
}

/// Returns one of three memories of a ring, zeroed.
fn memory(which: usize) -> &'static [Word] {
    thread_local! {
        static MEMORIES: [&'static [Word]; 3] = std::array::from_fn(|_| {
            let len = CONFIG.overhead_len() + SEGMENTS * CONFIG.segment_len as usize;
            &*(0..len / 8).map(|_| Word::new(0)).collect::<Vec<_>>().leak()
        });
    }
    let words = MEMORIES.with(|memories| memories[which]);
    words.iter().for_each(|word| word.store(0));
    words
}

fn step() {
    let Some(scene) = SCENE.with(|scene| scene.borrow().clone()) else { return };
    let left = scene.countdown.get();
    scene.countdown.set(left - 1);
    // The slow path is behind the gate.
    if left <= 0 && scene.is_outside.get() && !scene.is_moved.get() {
        SCENE.with(|scene| scene.replace(None));
        relocate(&scene);
        scene.is_moved.set(true);
        SCENE.with(|slot| slot.replace(Some(scene)));
    }
}

fn pass(point: KillPoint) {
    if matches!(point, KillPoint::HotClosed | KillPoint::HotLoaded) {
        step();
    }
}

fn relocate(scene: &Scene) {
    let ring = ring_over(scene.words);
    let relocation = Relocation::new(FILLER);
    let to = memory(2);
    relocation.copy_ahead(&ring, to);
    assert_eq!(relocation.copy_ahead(&ring, to), 0);
    assert!(scene.gate.close() && scene.gate.is_empty());
    relocation.copy_rest(&ring, to);
    let had_room = scene.log_other();
    for ((word, left), to) in scene.words.iter().zip(scene.left).zip(to) {
        left.store(word.load());
        word.store(to.load());
    }
    assert!(!scene.log_other(), "the segment is marked");
    assert!(!scene.gate.enter(5));
    scene.gate.miss(5, |_| unreachable!());
    relocation.take_over(&ring, scene.left);
    let _ = relocation.mend(&ring, scene.left); // too early, if the append is in progress
    scene.gate.open(|missed| ring.count_dropped(DropReason::NoSegment, missed.into()));
    assert_eq!(scene.log_other(), had_room);
}

/// Returns the handle of the ring in these words, which `Ring::create` laid out.
fn ring_over(words: &'static [Word]) -> Ring<'static> {
    RINGS.with(|rings| *rings.borrow().iter().find(|(of, _)| std::ptr::eq(*of, words)).map(|(_, ring)| ring).unwrap())
}

thread_local! {
    static RINGS: RefCell<Vec<(&'static [Word], Ring<'static>)>> = const { RefCell::new(Vec::new()) };
}

fn event<F: Fields>(scene: &Scene, cursor: &Cursor<'static>, ticks: u64, fields: F) {
    let ring = ring_over(scene.words);
    if cursor.append_small(9, ticks, &fields) || cursor.append_plain(9, ticks, &fields) {
        return;
    }
    assert!(scene.gate.enter(0));
    scene.is_outside.set(false);
    let who = ContextInfo { context: 1, os_thread_id: 1, next_index: 0, name: "one" };
    cursor.append_slow(&ring, &|| ticks, &who, 9, &fields);
    scene.is_outside.set(true);
    scene.gate.leave(0);
}

/// Returns the numbers of the events in the ring; panics if something is damaged.
fn numbers(words: &[Word], text_len: usize) -> (Vec<u64>, u64) {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.load().to_le_bytes()).collect();
    let image = RingImage::parse(&bytes).unwrap();
    let mut numbers = Vec::new();
    for index in 0..SEGMENTS as u32 {
        let segment = match image.segment(index) {
            SegmentState::Valid(segment) => segment,
            SegmentState::Unused => continue,
            other => panic!("{other:?}"),
        };
        for item in segment.items() {
            match item {
                Item::Event(record) => {
                    let mut values = Unpacker::new(&record.payload[2..]);
                    let number = values.split_tail(record.payload[0]).unwrap();
                    let len = values.length_tail(record.payload[1]).unwrap();
                    let text = values.bytes(len.kept).unwrap();
                    assert!(
                        number == SHARED && text == b"shared"
                            || number >= OTHER && text == b"other"
                            || text == text_of(number, text_len).as_bytes()
                    );
                    numbers.push(number);
                }
                Item::Context(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }
    numbers.sort_unstable();
    (numbers, image.loss().overwritten + image.loss().dropped_total())
}

/// Records `before` events, moves the ring at step `at` of the following ones, and returns whether it came to that.
fn run(before: u64, at: i64, text_len: usize) -> bool {
    let words = memory(0);
    let ring = Ring::create(words, &CONFIG).unwrap();
    RINGS.with(|rings| rings.replace(vec![(words, ring)]));
    let scene = Rc::new(Scene {
        words,
        left: memory(1),
        countdown: Cell::new(at),
        is_moved: Cell::new(false),
        gate: Gate::new(),
        is_outside: Cell::new(true),
        other: Cursor::new(),
        other_count: Cell::new(1),
    });
    let who = ContextInfo { context: 3, os_thread_id: 3, next_index: 0, name: "other" };
    scene.other.append_slow(&ring, &|| 60, &who, 9, &Cons(OTHER, Cons("other", Nil)));
    let cursor = Cursor::new();
    let log = |number: u64| {
        let text = text_of(number, text_len);
        event(&scene, &cursor, 100 + number, Cons(number, Cons(&text[..], Nil)));
    };
    ring.append_shared(50, 2, 9, &Cons(SHARED, Cons("shared", Nil)), DropReason::NoSegment);
    ring.append_entry(b"an entry of the table").unwrap();
    (0..before).for_each(log);
    SCENE.with(|slot| slot.replace(Some(Rc::clone(&scene))));
    (before..before + 8).for_each(log);
    SCENE.with(|slot| slot.replace(None));
    if scene.is_moved.get() {
        assert_eq!(Relocation::new(FILLER).mend(&ring, scene.left), 0);
    }
    let (found, lost) = numbers(words, text_len);
    let emitted = before + 8 + 1 + scene.other_count.get() + u64::from(scene.is_moved.get());
    assert_eq!(found.len() as u64 + lost, emitted, "{before} before, step {at}: {found:?}");
    let others = found.iter().filter(|number| **number >= OTHER).count() as u64;
    assert_eq!(others, scene.other_count.get(), "{before} before, step {at}: {found:?}");
    let events: Vec<_> = found.iter().filter(|number| **number < SHARED).copied().collect();
    let expected: Vec<_> = (before + 8 - events.len() as u64..before + 8).collect();
    assert_eq!(events, expected, "{before} before, step {at}: the newest, each once");
    scene.is_moved.get()
}

#[test]
fn ring_moves_at_each_step_of_an_append() {
    set_callback(pass);
    set_step_callback(step);
    let mut moves = 0;
    for before in 1..60 {
        for text_len in [0, 5, 7, 20, 60] {
            let mut at = 0;
            while run(before, at, text_len) {
                at += 1;
                moves += 1;
            }
        }
    }
    assert!(moves > 10_000, "{moves}");
    println!("moves of the ring: {moves} combinations in all");
}

//! Resets at every step of a device's writer, with events of interrupts nested at every step, and at every step of the
//! following boot.
//!
//! A *step* is a store, half by half with `--cfg ttlog_half_words`, or a point before a change that depends on a loaded
//! value (`ttlog_core::kill`). At each step the memory is copied, as a reset there would leave it. The copy is read as
//! by a probe, booted, and logged into. It is compared with a ledger: an event whose call returned is there, or counted
//! as overwritten or dropped; an event in progress is there, pending, or absent; nothing else is there, and nothing is
//! damaged.
//!
//! Built with `--cfg ttlog_kill_points` only, see `ci/checks/kill-points`; other builds contain none of this.
#![cfg(ttlog_kill_points)]

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use ttlog_core::device::{DeviceClock, DeviceRecorder, Recovered, SessionStart};
use ttlog_core::event::{Cons, Nil};
use ttlog_core::kill::set_step_callback;
use ttlog_core::record::packed::Unpacker;
use ttlog_core::ring::{Item, Mode, RingConfig, RingImage, SegmentState};
use ttlog_core::{Ring, Word};

/// Ten words for records in a segment.
const CONFIG: RingConfig = RingConfig { ring_id: 7, session_count: 2, ..RingConfig::PLAIN };

/// Operation of a context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    /// Records an event of this many payload words.
    Words(usize),
    /// Records an event with a text of this many bytes, which is capped if it does not fit.
    Text(usize),
    /// Keeps time, after half a turn of the clock.
    Time,
}

use Op::{Text, Time, Words};

type Script = &'static [Op];

/// Scripts that are interrupted.
const FIRST: [Script; 6] = [&[Words(0)], &[Words(3)], &[Words(8)], &[Text(30)], &[Words(2), Words(5)], &[Time]];
/// Scripts that interrupt. The last one replaces the whole ring more than once.
const SECOND: [Script; 5] = [
    &[Words(1)],
    &[Words(8)],
    &[Text(200)],
    &[Words(2), Words(0)],
    &[Words(4), Words(3), Words(2), Words(4), Words(3), Words(4), Words(6), Words(4)],
];
/// Operations after a reset: more than the ring holds.
const LATER: [Op; 14] = [
    Words(3),
    Text(9),
    Words(0),
    Words(8),
    Words(4),
    Words(2),
    Words(7),
    Words(3),
    Words(1),
    Words(4),
    Words(4),
    Words(8),
    Words(2),
    Words(4),
];

/// An event passed to the recorder. Its callsite is its index in the ledger, from 1.
#[derive(Clone, Copy, Debug)]
struct Event {
    op: Op,
    boot: u32,
    /// Clock when the call began and when it returned.
    began: u64,
    ended: Option<u64>,
    /// Number of events that had begun when it returned.
    others: usize,
}

#[derive(Clone, Debug, Default)]
struct Ledger {
    events: Vec<Event>,
    /// Number of calls of `keep_time` in progress.
    times: usize,
    changes: u64,
}

fn payload(id: usize, len: usize) -> Vec<u64> {
    // The first one can look like a header.
    (0..len as u64).map(|index| (id as u64 * 9 + index).wrapping_mul(0x9E37_79B9_0000_0001)).collect()
}

fn text(id: usize, len: usize) -> String {
    (0..len).map(|at| char::from(b'a' + ((id + at) % 26) as u8)).collect()
}

/// Clock of this thread: the full value, and the register that shows the lower bits.
#[derive(Clone, Copy)]
struct Clock {
    register: &'static AtomicU32,
    ticks: &'static std::sync::atomic::AtomicU64,
}

thread_local! {
    static CLOCK: Clock = Clock { register: Box::leak(Box::default()), ticks: Box::leak(Box::default()) };
    static RUN: RefCell<Option<Rc<Run>>> = const { RefCell::new(None) };
    /// Images of the memory at each step of a boot, while they are collected.
    static BOOT_IMAGES: RefCell<Option<(&'static [Word], Vec<Vec<u64>>)>> = const { RefCell::new(None) };
}

fn ticks() -> u64 {
    CLOCK.with(|clock| clock.ticks.load(Ordering::Relaxed))
}

fn set_ticks(ticks: u64) {
    CLOCK.with(|clock| {
        clock.ticks.store(ticks, Ordering::Relaxed);
        clock.register.store(ticks as u32, Ordering::Relaxed);
    });
}

fn start(recorder: &DeviceRecorder, words: &'static [Word]) -> (u32, Recovered) {
    // SAFETY: it is a static atomic, which can be read as such.
    let clock = CLOCK.with(|clock| unsafe { DeviceClock::of_register(clock.register.as_ptr(), false, 1000) });
    let session = SessionStart { clock, build_id: [3; 20], reset_reason: 1, embedded_metadata: false };
    let started = recorder.start(words, &CONFIG, &session).expect("not started before").expect("it fits");
    (started.boot, started.recovered)
}

/// Performs the operations of a context and updates the ledger, which is not borrowed meanwhile.
fn run_ops(recorder: &DeviceRecorder, ledger: &RefCell<Ledger>, ops: &[Op]) {
    for op in ops {
        let boot = recorder.boot();
        let now = ticks() + if *op == Time { (1 << 31) - 3 } else { 1 };
        set_ticks(now);
        let id = {
            let mut ledger = ledger.borrow_mut();
            ledger.changes += 1;
            if *op == Time {
                ledger.times += 1;
            } else {
                ledger.events.push(Event { op: *op, boot, began: now, ended: None, others: 0 });
            }
            ledger.events.len()
        };
        match *op {
            Words(len) => recorder.append_words(id as u16, &payload(id, len)),
            Text(len) => recorder.append_any(id as u16, &Cons(id as u64, Cons(text(id, len).as_str(), Nil))),
            Time => recorder.keep_time(),
        }
        let mut ledger = ledger.borrow_mut();
        ledger.changes += 1;
        if *op == Time {
            ledger.times -= 1;
        } else {
            let others = ledger.events.len();
            let event = &mut ledger.events[id - 1];
            (event.ended, event.others) = (Some(ticks()), others);
        }
    }
}

/// Content of an image: events by position, and counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Content {
    /// Number of the event, and its clock.
    events: Vec<(usize, u64)>,
    pending: usize,
    overwritten: u64,
    dropped: u64,
}

macro_rules! ensure {
    ($condition:expr, $($message:tt)*) => {
        if !$condition {
            return Err(format!($($message)*));
        }
    };
}

impl Content {
    /// Reads an image; each event must be in the ledger.
    fn of(bytes: &[u8], ledger: &Ledger) -> Result<Self, String> {
        let image = RingImage::parse(bytes).map_err(|error| error.to_string())?;
        let states = (0..image.header().segment_count).map(|index| image.segment(index));
        let mut content = Content::of_segments(states, ledger)?;
        content.overwritten = image.loss().overwritten;
        content.dropped = image.loss().dropped_total();
        Ok(content)
    }

    /// As above, from copies that the ring returns while it is written.
    fn of_ring(ring: &Ring<'_>, ledger: &Ledger) -> Result<Self, String> {
        let mut copies = vec![vec![0; ring.segment_len()]; ring.segment_count() as usize];
        let states = copies.iter_mut().enumerate().map(|(index, copy)| ring.copy_segment(index as u32, copy));
        Content::of_segments(states, ledger)
    }

    fn of_segments<'a>(states: impl Iterator<Item = SegmentState<'a>>, ledger: &Ledger) -> Result<Self, String> {
        let mut content = Content::default();
        let mut placed = Vec::new();
        for state in states {
            let segment = match state {
                SegmentState::Unused | SegmentState::Opening { .. } => continue,
                SegmentState::Damaged(error) => return Err(format!("a segment is damaged: {error}")),
                SegmentState::Valid(segment) => segment,
            };
            let header = segment.header;
            ensure!(header.mode == Mode::Device, "{header:?}");
            for item in segment.items() {
                match item {
                    Item::Event(record) => {
                        let id = usize::from(record.callsite);
                        let event = ledger.events.get(id.wrapping_sub(1));
                        let Some(event) = event else { return Err(format!("a false event: {record:?}")) };
                        ensure!(is_payload(id, event.op, record.payload), "a false payload of {event:?}: {record:?}");
                        ensure!(event.boot == header.context, "of another session: {event:?} in {header:?}");
                        let range = event.began..=event.ended.unwrap_or(u64::MAX);
                        ensure!(range.contains(&record.ticks), "at another time: {event:?}: {record:?}");
                        placed.push((header.sequence, record.offset, id, record.ticks));
                    }
                    Item::Pending { .. } => content.pending += 1,
                    Item::Damaged { .. } | Item::Context(_) => return Err(format!("damaged: {segment:?}")),
                }
            }
        }
        placed.sort_unstable();
        content.events = placed.iter().map(|(_, _, id, ticks)| (*id, *ticks)).collect();
        // An event that had returned before another began comes before it.
        let mut after = 0;
        for (id, _) in &content.events {
            let event = &ledger.events[id - 1];
            ensure!(event.ended.is_none() || event.others > after, "out of order: {:?}", content.events);
            after = after.max(id - 1);
        }
        let mut ids: Vec<_> = content.events.iter().map(|(id, _)| *id).collect();
        ids.sort_unstable();
        ensure!(ids.windows(2).all(|pair| pair[0] < pair[1]), "an event twice: {ids:?}");
        Ok(content)
    }

    /// Compares the counts with the ledger.
    fn check(&self, ledger: &Ledger) -> Result<(), String> {
        let has_returned = |id: usize| ledger.events[id - 1].ended.is_some();
        let returned = (1..=ledger.events.len()).filter(|id| has_returned(*id)).count();
        let under_way = ledger.events.len() - returned;
        let found_returned = self.events.iter().filter(|(id, _)| has_returned(*id)).count();
        let found_under_way = self.events.len() - found_returned;
        let counted_lost = (self.overwritten + self.dropped) as usize;
        let missing = returned - found_returned;
        let most = missing + under_way - found_under_way;
        ensure!(
            (missing..=most).contains(&counted_lost),
            "{missing} events are missing, {under_way} were under way, {counted_lost} are counted as lost: {self:?}"
        );
        let pending_most = under_way - found_under_way - (counted_lost - missing) + ledger.times;
        ensure!(self.pending <= pending_most, "{} pending, of at most {pending_most}: {self:?}", self.pending);
        Ok(())
    }
}

fn is_payload(id: usize, op: Op, bytes: &[u8]) -> bool {
    match op {
        Words(len) => bytes == payload(id, len).iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<_>>(),
        Text(len) => {
            let mut from = Unpacker::new(bytes);
            let mut read = || {
                let (number, len) = (from.varint()?, from.length()?);
                Some((number, from.bytes(len.kept)?, len.full.is_some()))
            };
            let Some((number, kept, is_capped)) = read() else { return false };
            let whole = text(id, len);
            number == id as u64 && whole.as_bytes().starts_with(kept) && is_capped == (kept.len() < len)
        }
        Time => false,
    }
}

/// Operations that interrupt another context at a step.
#[derive(Clone, Copy, Debug)]
struct Call {
    /// Step of the run, from 1, at which they are called.
    at: u64,
    ops: Script,
    /// Step, from 1, at which the context is suspended forever, like a task that is never scheduled again. 0: none.
    stops_at: u64,
}

/// Panic payload that unwinds a suspended context.
struct Stop;

/// Memory for the scenes of a thread: of the ring, of a copy that is booted, and of one that is booted after that boot
/// was cut short.
#[derive(Clone, Copy)]
struct Memory([&'static [Word]; 3]);

impl Memory {
    fn new() -> Self {
        Memory([0; 3].map(|_| &*Vec::leak((0..len_of(4) / 8).map(|_| Word::new(0)).collect::<Vec<_>>())))
    }
}

fn len_of(segments: usize) -> usize {
    CONFIG.overhead_len() + segments * CONFIG.segment_len as usize
}

struct Run {
    recorder: DeviceRecorder,
    words: &'static [Word],
    copies: [&'static [Word]; 2],
    ledger: RefCell<Ledger>,
    calls: Vec<Call>,
    called: Cell<usize>,
    steps: Cell<u64>,
    /// Step at which the running context is suspended.
    stops_at: Cell<u64>,
    checker: RefCell<Checker>,
    failure: RefCell<Option<String>>,
}

/// State of all checks so far.
#[derive(Default)]
struct Checker {
    known: HashSet<u64>,
    boots: u64,
    cut_boots: u64,
}

/// Every n-th image, the boot is cut short at each of its steps.
const CUT_EVERY: u64 = 127;

fn load(words: &[Word]) -> Vec<u64> {
    words.iter().map(Word::load).collect()
}

fn store(words: &[Word], values: &[u64]) {
    words.iter().zip(values).for_each(|(word, value)| word.store(*value));
}

fn bytes_of(words: &[Word]) -> Vec<u8> {
    words.iter().flat_map(|word| word.load().to_le_bytes()).collect()
}

/// Callback of all steps.
fn step() {
    let is_boot = BOOT_IMAGES.with_borrow_mut(|images| {
        images.as_mut().map(|(words, images)| images.push(words.iter().map(Word::load).collect())).is_some()
    });
    if is_boot {
        return;
    }
    if let Some(run) = RUN.with_borrow(Clone::clone) {
        run.step();
    }
}

impl Run {
    fn step(&self) {
        let now = self.steps.get() + 1;
        self.steps.set(now);
        if let Some(call) = self.calls.get(self.called.get()).filter(|call| call.at == now) {
            self.called.set(self.called.get() + 1);
            let before = self.stops_at.replace(if call.stops_at == 0 { 0 } else { now + call.stops_at });
            let work = || run_ops(&self.recorder, &self.ledger, call.ops);
            if let Err(payload) = catch_unwind(AssertUnwindSafe(work)) {
                if !payload.is::<Stop>() {
                    resume_unwind(payload);
                }
            }
            self.stops_at.set(before);
        }
        if self.called.get() == self.calls.len() {
            self.check();
        }
        if self.stops_at.get() == self.steps.get() {
            self.stops_at.set(0);
            resume_unwind(Box::new(Stop));
        }
    }

    /// Compares the memory that a reset here would leave with the ledger. This makes no steps itself.
    fn check(&self) {
        let run = RUN.take();
        let clock = ticks();
        if let Err(error) = self.checked() {
            let step = self.steps.get();
            self.failure.borrow_mut().get_or_insert_with(|| format!("{error}\n  at step {step}"));
        }
        set_ticks(clock);
        RUN.set(run);
    }

    fn checked(&self) -> Result<(), String> {
        let ledger = self.ledger.borrow();
        let values = load(self.words);
        let sum = values.iter().fold(self.words.len() as u64 ^ ledger.changes << 32, |sum, value| {
            (sum ^ value).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(23)
        });
        let mut checker = self.checker.borrow_mut();
        if !checker.known.insert(sum) {
            return Ok(());
        }
        let content = Content::of(&bytes_of(self.words), &ledger)?;
        content.check(&ledger)?;
        let ring = self.recorder.ring().ok_or("no ring")?;
        let copied = Content::of_ring(&ring, &ledger)?;
        ensure!(copied.events == content.events, "copied: {copied:?}, in the image: {content:?}");
        // The boot after a reset at this step.
        let is_cut = checker.known.len() as u64 % CUT_EVERY == 0;
        store(self.copies[0], &values);
        set_ticks(1000); // a reset sets the clock back
        let recorder = DeviceRecorder::new();
        if is_cut {
            BOOT_IMAGES.set(Some((self.copies[0], Vec::new())));
        }
        let (_, found) = start(&recorder, self.copies[0]);
        let images = BOOT_IMAGES.take();
        checker.boots += 1;
        self.check_boot(self.copies[0], found, &content, &ledger)?;
        for (_, images) in images.into_iter() {
            for image in images {
                // A reset during the boot, and another boot.
                store(self.copies[1], &image);
                let cut = Content::of(&bytes_of(self.copies[1]), &ledger)?;
                ensure!(cut == content, "in the midst of a boot: {cut:?}, before: {content:?}");
                let (_, found) = start(&DeviceRecorder::new(), self.copies[1]);
                checker.cut_boots += 1;
                self.check_boot(self.copies[1], found, &content, &ledger)?;
            }
        }
        // Recording continues.
        let later = RefCell::new(ledger.clone());
        run_ops(&recorder, &later, &LATER);
        let later = later.borrow();
        let after = Content::of(&bytes_of(self.copies[0]), &later)?;
        let total = |content: &Content| content.events.len() as u64 + content.overwritten + content.dropped;
        let expected = total(&content) + LATER.len() as u64;
        ensure!(total(&after) == expected, "{expected} events, found later {after:?}, before {content:?}");
        ensure!(after.dropped == content.dropped, "dropped for no reason: {after:?}");
        ensure!(after.pending == 0, "still pending: {after:?}");
        let last = (later.events.len(), ticks());
        ensure!(after.events.last() == Some(&last), "the last is not there: {after:?}");
        Ok(())
    }

    fn check_boot(
        &self,
        words: &[Word],
        recovered: Recovered,
        before: &Content,
        ledger: &Ledger,
    ) -> Result<(), String> {
        let (event_count, abandoned_count) = (before.events.len() as u32, before.pending as u32);
        let expected = Recovered::Ring { event_count, abandoned_count, damaged_count: 0 };
        ensure!(recovered == expected, "the boot found {recovered:?}, should be {expected:?}");
        let after = Content::of(&bytes_of(words), ledger)?;
        ensure!(&after == before, "after the boot {after:?}, before it {before:?}");
        Ok(())
    }
}

/// A ring with a history, and the script that runs in it first.
#[derive(Clone, Copy, Debug)]
struct Scene {
    segments: usize,
    /// Numbers of events recorded before.
    past: [usize; 2],
    first: Script,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The scene has fewer steps.
    NotCalled,
    /// No context was suspended.
    Ended,
    HeldUp,
}

impl Scene {
    fn run(&self, memory: Memory, calls: &[Call], checker: &mut Checker) -> End {
        let words = memory.0.map(|words| &words[..len_of(self.segments) / 8]);
        words[0].iter().for_each(|word| word.store(0));
        set_ticks(0xFFFF_FF00);
        let ledger = RefCell::default();
        let recorder = DeviceRecorder::new();
        start(&recorder, words[0]);
        run_ops(&recorder, &ledger, &vec![Words(3); self.past[0]]);
        run_ops(&recorder, &ledger, &vec![Words(0); self.past[1]]);
        let run = Rc::new(Run {
            recorder,
            words: words[0],
            copies: [words[1], words[2]],
            ledger,
            calls: calls.to_vec(),
            called: Cell::new(0),
            steps: Cell::new(0),
            stops_at: Cell::new(0),
            checker: RefCell::new(std::mem::take(checker)),
            failure: RefCell::default(),
        });
        RUN.set(Some(run.clone()));
        run_ops(&run.recorder, &run.ledger, self.first);
        let was_called = run.called.get() == calls.len();
        let is_held_up =
            run.ledger.borrow().events.iter().any(|event| event.ended.is_none()) || run.ledger.borrow().times > 0;
        if was_called && is_held_up {
            // The others continue without it, unless all are at the end of their room.
            run_ops(&run.recorder, &run.ledger, &LATER);
        }
        RUN.set(None);
        let run = Rc::into_inner(run).expect("nobody else has it");
        if let Some(failure) = run.failure.into_inner() {
            panic!("{failure}\n  {self:?}\n  {calls:?}");
        }
        *checker = run.checker.into_inner();
        match (was_called, is_held_up) {
            (false, _) => End::NotCalled,
            (true, false) => End::Ended,
            (true, true) => End::HeldUp,
        }
    }
}

/// Returns all rings, fillings and first contexts.
fn scenes() -> Vec<Scene> {
    let mut scenes = Vec::new();
    for segments in [1, 2, 3] {
        for past in [[0, 0], [6, 0], [6, 3], [7, 0], [7, 1], [7, 2], [7, 5]] {
            for first in FIRST {
                scenes.push(Scene { segments, past, first });
            }
        }
    }
    scenes
}

/// Explores all scenes with one thread per processor, and prints the counts.
fn for_each_scene(what: &str, explore: impl Fn(Scene, &mut dyn FnMut(&[Call]) -> End) + Sync) {
    set_step_callback(step);
    let scenes = scenes();
    let next = AtomicUsize::new(0);
    let work = || {
        let (memory, mut sum) = (Memory::new(), [0_u64; 4]);
        while let Some(scene) = scenes.get(next.fetch_add(1, Ordering::Relaxed)) {
            let mut checker = Checker::default();
            let mut runs = 0;
            explore(*scene, &mut |calls| {
                runs += 1;
                scene.run(memory, calls, &mut checker)
            });
            let found = [checker.known.len() as u64, runs, checker.boots, checker.cut_boots];
            sum = std::array::from_fn(|index| sum[index] + found[index]);
        }
        sum
    };
    let sums = std::thread::scope(|scope| {
        let count = std::thread::available_parallelism().map_or(1, NonZero::get);
        let threads: Vec<_> = (0..count).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|payload| resume_unwind(payload)))
            .collect::<Vec<_>>()
    });
    let [images, runs, boots, cut_boots] = std::array::from_fn(|index| sums.iter().map(|sum| sum[index]).sum::<u64>());
    // ci/checks/kill-points adds these lines up.
    println!("{what}: {images} combinations in {runs} runs, {boots} boots, {cut_boots} after one that was cut short");
    assert!(images > 1000 && cut_boots > 1000, "next to nothing was tried");
}

/// A reset at each step of each call, alone and with an interrupt that logs at each earlier step.
#[test]
fn resets_anywhere() {
    for_each_scene("resets of a device", |_, run| {
        run(&[]);
        for ops in SECOND {
            let call = |at| Call { at, ops, stops_at: 0 };
            let _ = (1..).find(|at| run(&[call(*at)]) == End::NotCalled);
        }
    });
}

/// As above, with a second interrupt within the first.
#[test]
fn resets_with_two_interrupts_anywhere() {
    for_each_scene("resets of a device, two interrupts", |scene, run| {
        let is_tried = matches!((scene.segments, scene.past), (2, [7, 1 | 5]) | (3, [7, 1]));
        if !is_tried || scene.first.len() > 1 {
            return;
        }
        for (second, third) in [(SECOND[0], SECOND[4]), (SECOND[1], SECOND[0]), (SECOND[2], SECOND[4])] {
            for at in 1.. {
                let calls =
                    |later| [Call { at, ops: second, stops_at: 0 }, Call { at: later, ops: third, stops_at: 0 }];
                if run(&calls(at + 1)) == End::NotCalled {
                    break;
                }
                let _ = (at + 2..).find(|later| run(&calls(*later)) == End::NotCalled);
            }
        }
    });
}

/// A task that is suspended forever, at each of its steps, at each step of another; the device continues without it.
#[test]
fn tasks_that_are_held_up_anywhere() {
    for_each_scene("tasks held up on a device", |scene, run| {
        if scene.segments == 1 || scene.past[1] % 2 == 0 || scene.first.len() > 1 {
            return;
        }
        for ops in [SECOND[1], SECOND[2]] {
            for at in 1.. {
                let call = |stops_at| [Call { at, ops, stops_at }];
                let end = (1..).map(|stops_at| run(&call(stops_at))).find(|end| *end != End::HeldUp);
                if end == Some(End::NotCalled) {
                    break;
                }
            }
        }
    });
}

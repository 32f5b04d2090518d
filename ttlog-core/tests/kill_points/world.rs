//! A tiny ring, the contexts that write it, and a ledger of the fate of each event. The ledger is kept outside the
//! ring, from the kill points passed, so that any image of the ring can be compared with it.

use std::cell::RefCell;
use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use ttlog_core::event::{Cons, Nil};
use ttlog_core::kill::KillPoint;
use ttlog_core::record::packed::Unpacker;
use ttlog_core::ring::{AppendOutcome, ControlResult, Cursor, EndKind, Mode, PriorityCursor, ProcessEnd};
use ttlog_core::{
    Anchor, ContextInfo, DropReason, Fields, Item, Record, Ring, RingConfig, RingImage, SegmentState, Word,
};

use crate::snapshot_support::{CODECS, content_of_image, content_of_snapshot, snapshot};

/// Ten words for records in a segment: a context record and four events.
const CONFIG: RingConfig =
    RingConfig { ring_id: 7, segment_len: 128, table_len: 128, anchor_count: 3, ..RingConfig::PLAIN };

/// Size of a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) main: usize,
    /// Number of priority segments; 0: the ring has a short header.
    pub(crate) kept: usize,
}

impl Size {
    fn config(self) -> RingConfig {
        RingConfig { priority_segment_count: self.kept as u32, control: self.kept > 0, ..CONFIG }
    }

    fn len(self) -> usize {
        self.config().overhead_len() + (self.main + self.kept) * CONFIG.segment_len as usize
    }
}

/// Next operation of a context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    /// Records an event with a text of this many bytes, by any path that accepts it.
    Event(usize),
    /// Like `Event`, after a pause too long for the record's delta.
    Late(usize),
    /// Records an event in a shared segment.
    Shared(usize),
    /// Records an event in a shared priority segment.
    Priority(usize),
    /// Records an event in a priority segment that the context writes alone, or in a shared one, by any path that
    /// accepts it.
    Warning(usize),
    /// Notes that the name of the context has changed.
    Rename,
    /// Records an event that no segment can hold.
    TooLarge,
    /// Leaves the ring, as a thread does when it ends.
    Detach,
    /// Appends an entry to the table.
    Entry,
    /// Writes an anchor. One context at a time.
    Anchor,
    /// Records how the process ended.
    End,
    /// Counts a panic.
    Panic,
    /// Answers a request and records the filter. One context at a time.
    Answer,
}

/// Fate of an event so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// Not counted in any way.
    Absent,
    /// Its exclusive segment is marked busy: it is pending there.
    Marked,
    /// Its place in a shared segment is reserved: it is pending there.
    Reserved,
    /// Counted as recorded: it is retained or was overwritten.
    Recorded,
    /// Counted as dropped.
    Dropped,
}

/// Returns the new fate of the event in progress at a kill point; `None` if it does not change.
fn fate_at(point: KillPoint) -> Option<Fate> {
    match point {
        KillPoint::HotMarked | KillPoint::PutMarked => Some(Fate::Marked),
        KillPoint::ControlCommitted => Some(Fate::Absent),
        KillPoint::HotCommitted | KillPoint::PutCommitted | KillPoint::FillSealed => Some(Fate::Recorded),
        KillPoint::Reserved => Some(Fate::Reserved),
        KillPoint::Dropped => Some(Fate::Dropped),
        _ => None,
    }
}

/// An event passed to the ring.
#[derive(Clone, Debug)]
struct Event {
    context: u32,
    ticks: u64,
    text_len: usize,
    /// Whether the event is for a priority segment.
    kept: bool,
    fate: Fate,
}

/// Numbers of operations begun and ended.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    begun: u64,
    ended: u64,
}

impl Tally {
    fn allows(self, count: u64) -> bool {
        (self.ended..=self.begun).contains(&count)
    }

    fn is_under_way(self) -> bool {
        self.begun > self.ended
    }
}

/// All operations on the ring, by all contexts.
#[derive(Clone, Debug, Default)]
struct Ledger {
    /// Events by id.
    events: Vec<Event>,
    ticks: u64,
    entries: Tally,
    anchors: Tally,
    panics: Tally,
    answers: Tally,
    /// Ends; the n-th one has the address n.
    ends: Tally,
    /// The recorded end, if any.
    end: Option<u64>,
    /// Number of changes to the ledger.
    changes: u64,
}

/// A context: a thread, or a signal handler within it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Context<'c> {
    pub(crate) number: u32,
    pub(crate) cursor: &'c Cursor<'static>,
    pub(crate) priority: &'c PriorityCursor<'static>,
}

thread_local! {
    /// Event in progress in each of the nested contexts of this thread; the innermost is last.
    static UNDER_WAY: RefCell<Vec<Option<usize>>> = const { RefCell::new(Vec::new()) };
}

/// Runs `work` as a separate context, nested in the current one of this thread.
pub(crate) fn nested<T>(work: impl FnOnce() -> T) -> T {
    struct Pop;
    impl Drop for Pop {
        fn drop(&mut self) {
            UNDER_WAY.with_borrow_mut(|stack| stack.pop());
        }
    }
    UNDER_WAY.with_borrow_mut(|stack| stack.push(None));
    let _pop = Pop;
    work()
}

/// Whether each kill point was passed, in any scene of the process.
static PASSED: [AtomicBool; KillPoint::ALL.len()] = [const { AtomicBool::new(false) }; KillPoint::ALL.len()];

/// Returns the kill points that were never passed.
pub(crate) fn never_passed() -> Vec<KillPoint> {
    KillPoint::ALL.iter().copied().filter(|point| !PASSED[*point as usize].load(Ordering::Relaxed)).collect()
}

/// The ring and its ledger.
#[derive(Debug)]
pub(crate) struct World {
    ring: Ring<'static>,
    words: &'static [Word],
    ledger: Mutex<Ledger>,
}

/// Returns memory for the worlds of one thread, one after the other.
pub(crate) fn memory() -> &'static [Word] {
    let len = Size { main: 5, kept: 4 }.len();
    Vec::leak((0..len / 8).map(|_| Word::new(0)).collect())
}

/// State reused while images are checked.
#[derive(Debug, Default)]
pub(crate) struct Checker {
    image: Vec<u8>,
    /// Checksums of the images of which snapshots were taken.
    known: HashSet<u64>,
    /// Checksum of the image checked last, and the number of changes to the ledger until then.
    last: Option<(u64, u64)>,
    retained: Vec<bool>,
    indexes: Vec<(u32, u64)>,
}

impl Checker {
    /// Returns the number of distinct images.
    pub(crate) fn image_count(&self) -> u64 {
        self.known.len() as u64
    }
}

/// A saved world without operations in progress, to start from.
#[derive(Clone, Debug)]
pub(crate) struct Beginning {
    ring: Ring<'static>,
    words: Vec<u64>,
    ledger: Ledger,
}

impl World {
    pub(crate) fn new(memory: &'static [Word], size: Size) -> Self {
        let words = &memory[..size.len() / 8];
        words.iter().for_each(|word| word.store(0));
        let ring = Ring::create(words, &size.config()).unwrap();
        World { ring, words, ledger: Mutex::new(Ledger { ticks: 1000, ..Ledger::default() }) }
    }

    /// Saves the world. The contexts that wrote it have left.
    pub(crate) fn keep(&self) -> Beginning {
        let words = self.words.iter().map(Word::load).collect();
        Beginning { ring: self.ring, words, ledger: self.ledger.lock().unwrap().clone() }
    }

    /// Restores a saved world in the same memory.
    pub(crate) fn again(memory: &'static [Word], beginning: &Beginning) -> Self {
        let words = &memory[..beginning.words.len()];
        words.iter().zip(&beginning.words).for_each(|(word, value)| word.store(*value));
        World { ring: beginning.ring, words, ledger: Mutex::new(beginning.ledger.clone()) }
    }

    pub(crate) fn run(&self, context: &Context<'_>, ops: &[Op]) {
        ops.iter().for_each(|op| self.step(context, *op));
    }

    fn step(&self, context: &Context<'_>, op: Op) {
        let usual = |id, ticks, text: &str| self.append(context, id, ticks, &Cons(id, Cons(text, Nil)));
        match op {
            Op::Event(len) => self.event(context, op, len, 1, &usual),
            Op::Late(len) => self.event(context, op, len, 1 << 33, &usual),
            Op::Shared(len) => self.event(context, op, len, 1, &|id, ticks, text| {
                let (fields, reason) = (Cons(id, Cons(text, Nil)), DropReason::NoSegment);
                self.ring.append_shared(ticks, context.number, callsite(id), &fields, reason)
            }),
            Op::Priority(len) => self.event(context, op, len, 1, &|id, ticks, text| {
                let fields = Cons(id, Cons(text, Nil));
                context.priority.append_shared(&self.ring, ticks, &who(context), true, callsite(id), &fields)
            }),
            Op::Warning(len) => self.event(context, op, len, 1, &|id, ticks, text| {
                let (fields, callsite) = (Cons(id, Cons(text, Nil)), callsite(id));
                let (priority, own) = (context.priority, context.priority.own());
                if own.append_small(callsite, ticks, &fields) || own.append_plain(callsite, ticks, &fields) {
                    return AppendOutcome::Recorded;
                }
                priority.append_slow(&self.ring, &|| ticks, &who(context), callsite, &fields)
            }),
            Op::Rename => context.priority.rename(),
            Op::TooLarge => self.event(context, op, 0, 1, &|id, ticks, _| {
                let wide = [Some(1_u128); 5];
                let fields = Cons(wide[0], Cons(wide[1], Cons(wide[2], Cons(wide[3], Cons(wide[4], Nil)))));
                self.append(context, id, ticks, &fields)
            }),
            // The short header has no place for these.
            Op::End | Op::Panic | Op::Answer if self.ring.priority_segment_count() == 0 => {}
            Op::Detach => {
                let ticks = self.ledger.lock().unwrap().ticks;
                context.cursor.detach(&self.ring, ticks);
                context.priority.detach(&self.ring, ticks);
            }
            Op::Entry => self.tally(|ledger| &mut ledger.entries, |_| self.ring.append_entry(&ENTRY).unwrap()),
            Op::Anchor => self.tally(
                |ledger| &mut ledger.anchors,
                |n| self.ring.write_anchor(Anchor { ticks: n, unix_ns: n as i64 * 3 }),
            ),
            Op::End => self.tally(
                |ledger| &mut ledger.ends,
                |n| {
                    if self.ring.stamp_end(&end(n)) {
                        self.ledger.lock().unwrap().end = Some(n);
                    }
                },
            ),
            Op::Panic => self.tally(|ledger| &mut ledger.panics, |n| self.ring.count_panic(n, n)),
            Op::Answer => self.tally(
                |ledger| &mut ledger.answers,
                |n| self.ring.answer_request(n, ControlResult::Other(n), &"x".repeat(n as usize)),
            ),
        }
    }

    /// Performs the n-th operation of a kind, from 1, and counts it.
    fn tally(&self, of: impl Fn(&mut Ledger) -> &mut Tally, work: impl FnOnce(u64)) {
        let n = {
            let mut ledger = self.ledger.lock().unwrap();
            ledger.changes += 1;
            let tally = of(&mut ledger);
            tally.begun += 1;
            tally.begun
        };
        work(n);
        let mut ledger = self.ledger.lock().unwrap();
        ledger.changes += 1;
        of(&mut ledger).ended += 1;
    }

    /// Records an event as a recorder does: by the hot path if it accepts the event, else the plain one, else the slow
    /// one.
    fn append(&self, context: &Context<'_>, id: u64, ticks: u64, fields: &impl Fields) -> AppendOutcome {
        let (cursor, callsite) = (context.cursor, callsite(id));
        if cursor.append_small(callsite, ticks, fields) || cursor.append_plain(callsite, ticks, fields) {
            return AppendOutcome::Recorded;
        }
        cursor.append_slow(&self.ring, &|| ticks, &who(context), callsite, fields)
    }

    fn event(
        &self,
        context: &Context<'_>,
        op: Op,
        text_len: usize,
        pause: u64,
        append: &dyn Fn(u64, u64, &str) -> AppendOutcome,
    ) {
        let kept = matches!(op, Op::Priority(_) | Op::Warning(_));
        let (id, ticks) = {
            let mut ledger = self.ledger.lock().unwrap();
            ledger.changes += 1;
            ledger.ticks += pause;
            let ticks = ledger.ticks;
            ledger.events.push(Event { context: context.number, ticks, text_len, kept, fate: Fate::Absent });
            (ledger.events.len() - 1, ticks)
        };
        UNDER_WAY.with_borrow_mut(|stack| *stack.last_mut().unwrap() = Some(id));
        let outcome = append(id as u64, ticks, &text(id as u64, text_len));
        UNDER_WAY.with_borrow_mut(|stack| *stack.last_mut().unwrap() = None);
        let fate = self.ledger.lock().unwrap().events[id].fate;
        let expected = if outcome == AppendOutcome::Recorded { Fate::Recorded } else { Fate::Dropped };
        assert_eq!(fate, expected, "event {id} ended without its kill point");
    }

    /// Registers a kill point that the innermost context of this thread passes.
    pub(crate) fn pass(&self, point: KillPoint) {
        let passed = &PASSED[point as usize];
        if !passed.load(Ordering::Relaxed) {
            passed.store(true, Ordering::Relaxed);
        }
        let Some(fate) = fate_at(point) else { return };
        if let Some(id) = UNDER_WAY.with_borrow(|stack| stack.last().copied().flatten()) {
            let mut ledger = self.ledger.lock().unwrap();
            ledger.changes += 1;
            ledger.events[id].fate = fate;
        }
    }

    /// Compares the ring, as left by a process that died now, with the ledger. A snapshot of each distinct image is
    /// checked once.
    pub(crate) fn check(&self, checker: &mut Checker) -> Result<(), String> {
        let mut image = std::mem::take(&mut checker.image);
        image.resize(self.words.len() * 8, 0);
        let mut sum = self.words.len() as u64;
        for (word, bytes) in self.words.iter().zip(image.chunks_exact_mut(8)) {
            let value = word.load();
            bytes.copy_from_slice(&value.to_le_bytes());
            sum = (sum ^ value).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(23);
        }
        let ledger = self.ledger.lock().unwrap();
        let last = checker.last.replace((sum, ledger.changes));
        if last != checker.last {
            ledger.check(&image, checker)?;
        }
        if checker.known.insert(sum) {
            check_snapshots(&image)?;
        }
        checker.image = image;
        Ok(())
    }
}

const ENTRY: [u8; 9] = *b"\x82\x18\x63\x65entry";

fn who(context: &Context<'_>) -> ContextInfo<'static> {
    ContextInfo { context: context.number, os_thread_id: 5, next_index: 0, name: "" }
}

fn end(n: u64) -> ProcessEnd {
    ProcessEnd { address: n, ticks: n, code: -1, sender_pid: 2, ..ProcessEnd::of(EndKind::Signal) }
}

fn text(id: u64, len: usize) -> String {
    (0..len).map(|at| char::from(b'a' + ((id as usize + at) % 26) as u8)).collect()
}

fn callsite(id: u64) -> u16 {
    1 + (id % 7) as u16
}

macro_rules! ensure {
    ($condition:expr, $($message:tt)*) => {
        if !$condition {
            return Err(format!($($message)*));
        }
    };
}

impl Ledger {
    fn count(&self, fate: Fate) -> u64 {
        self.events.iter().filter(|event| event.fate == fate).count() as u64
    }

    fn check(&self, bytes: &[u8], checker: &mut Checker) -> Result<(), String> {
        let image = RingImage::parse(bytes).map_err(|error| error.to_string())?;
        let (header, loss) = (image.header(), image.loss());
        let Checker { retained, indexes, .. } = checker;
        retained.clear();
        retained.resize(self.events.len(), false);
        indexes.clear();
        let (mut busy, mut reserved, mut overwritten) = (0, 0, 0);
        for index in 0..header.segment_count {
            match image.segment(index) {
                SegmentState::Unused => {}
                SegmentState::Opening { lost } => overwritten += lost,
                SegmentState::Damaged(error) => return Err(format!("segment {index} is damaged: {error}")),
                SegmentState::Valid(segment) => {
                    let is_priority = index >= header.segment_count - header.priority_segment_count;
                    ensure!(segment.header.is_priority() == is_priority, "a segment of the other class: {segment:?}");
                    overwritten += segment.header.lost;
                    busy += u64::from(segment.header.busy);
                    let mut events = 0;
                    let mut items = segment.items();
                    for item in items.by_ref() {
                        match item {
                            Item::Event(record) => {
                                events += 1;
                                self.check_record(&record, is_priority, retained)?;
                                if let Some(index) = record.index.map(|index| (record.context, index)) {
                                    ensure!(!indexes.contains(&index), "an index twice: {record:?}");
                                    indexes.push(index);
                                }
                            }
                            Item::Context(_) | Item::Pending { .. } => {}
                            Item::Damaged { .. } => return Err(format!("damaged: {segment:?}")),
                        }
                    }
                    ensure!(items.missing() == 0, "records are missing in {segment:?}");
                    let count = u64::from(segment.header.count);
                    ensure!(events <= count, "{events} events, {count} counted: {segment:?}");
                    if segment.header.mode == Mode::Exclusive {
                        ensure!(events == count, "{events} events, {count} counted: {segment:?}");
                    } else {
                        reserved += count - events;
                    }
                }
            }
        }
        ensure!(overwritten == loss.overwritten, "{overwritten} overwritten in segments, {loss:?}");
        let count = retained.iter().filter(|retained| **retained).count() as u64;
        let expected = (self.count(Fate::Recorded), self.count(Fate::Dropped));
        let found = (count + overwritten, loss.dropped_total());
        ensure!(
            found == expected,
            "(retained {count} + overwritten {overwritten}, dropped) {found:?}, should be {expected:?}"
        );
        let (found, expected) = ((busy, reserved), (self.count(Fate::Marked), self.count(Fate::Reserved)));
        ensure!(found == expected, "(busy, reserved) {found:?}, should be {expected:?}");
        for (id, event) in self.events.iter().enumerate() {
            let is_priority = event.kept && header.priority_segment_count > 0;
            let complete_from = if is_priority { header.priority_complete_from } else { header.complete_from };
            let is_hole = event.fate == Fate::Recorded && !retained[id] && event.ticks > complete_from;
            ensure!(!is_hole, "event {id} at {} was overwritten, complete from {complete_from}", event.ticks);
        }
        self.check_rest(&image)
    }

    /// Checks that the record is an event counted as recorded, complete, and found for the first time.
    fn check_record(&self, record: &Record<'_>, is_priority: bool, retained: &mut [bool]) -> Result<(), String> {
        let read = (|| {
            let (&[id_head, len_head], tails) = record.payload.split_first_chunk()?;
            let mut from = Unpacker::new(tails);
            let id = usize::try_from(from.split_tail(id_head)?).ok()?;
            let len = from.length_tail(len_head)?;
            Some((id, from.bytes(len.kept)?, len.full.is_some()))
        })();
        let Some((id, read_text, capped)) = read else { return Err(format!("a false payload: {record:?}")) };
        let Some(event) = self.events.get(id) else { return Err(format!("a false event: {record:?}")) };
        ensure!(event.fate == Fate::Recorded, "event {id} is shown, and it is {:?}", event.fate);
        ensure!(!std::mem::replace(&mut retained[id], true), "event {id} twice");
        ensure!(event.kept || !is_priority, "event {id} is in the priority class");
        let whole = text(id as u64, event.text_len);
        let is_right = if capped { whole.as_bytes().starts_with(read_text) } else { whole.as_bytes() == read_text };
        ensure!(is_right, "another text: {record:?}");
        let expected = (callsite(id as u64), event.ticks, true, event.context);
        let found = (record.callsite, record.ticks, record.ticks_known, record.context);
        ensure!(found == expected, "event {id} is {found:?}, should be {expected:?}");
        Ok(())
    }

    /// Checks everything except for events.
    fn check_rest(&self, image: &RingImage<'_>) -> Result<(), String> {
        let entries = image.entries().inspect(|entry| assert_eq!(entry.bytes, ENTRY)).count();
        ensure!(self.entries.allows(entries as u64), "{entries} entries of {:?}", self.entries);
        let mut anchors = 0;
        for anchor in image.anchors() {
            anchors += 1;
            let is_one = (1..=self.anchors.begun).contains(&anchor.ticks) && anchor.unix_ns == anchor.ticks as i64 * 3;
            ensure!(is_one, "a false anchor: {anchor:?}");
        }
        // One of the three slots can be changing.
        let most = self.anchors.begun.min(3);
        ensure!((most.saturating_sub(1)..=most).contains(&anchors), "{anchors} anchors of {:?}", self.anchors);
        ensure!(anchors == most || self.anchors.is_under_way(), "{anchors} anchors of {:?}", self.anchors);
        let panics = image.panics().count;
        ensure!(self.panics.allows(panics), "{panics} panics of {:?}", self.panics);
        match (self.end, image.end()) {
            (Some(n), found) => ensure!(found == Some(end(n)), "{found:?}, and end {n} was recorded"),
            (None, None) => {}
            (None, Some(found)) => {
                ensure!(self.ends.is_under_way(), "{found:?}, and nobody is ending");
                let is_one = (1..=self.ends.begun).any(|n| found == end(n));
                ensure!(is_one || found == ProcessEnd::of(EndKind::Unfinished), "a false end: {found:?}");
            }
        }
        if let Some(control) = image.control() {
            let (acknowledged, answers) = (control.acknowledged, self.answers);
            ensure!(answers.allows(acknowledged), "answer {acknowledged} of {answers:?}");
            let told = control.filter.map_or(0, str::len) as u64;
            ensure!(answers.allows(told) || told == 0 && answers.is_under_way(), "filter {told} of {answers:?}");
            let is_known = control.result.number() == acknowledged;
            ensure!(answers.is_under_way() || is_known, "{:?} of {answers:?}", control.result);
        }
        Ok(())
    }
}

/// Checks that a snapshot of the image has the content of the image.
fn check_snapshots(image: &[u8]) -> Result<(), String> {
    let mut expected = content_of_image(image);
    expected.events.sort();
    for codec in CODECS {
        let mut found = content_of_snapshot(&snapshot(image, codec));
        found.events.sort();
        ensure!(found == expected, "snapshot with {codec:?}: {found:?}, should be {expected:?}");
    }
    Ok(())
}

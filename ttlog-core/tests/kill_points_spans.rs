//! Death at every kill point of the records of spans: a span is open, or never began; never half.
//!
//! The macros write to a tiny ring through a recorder like that of ttlog-std. At each kill point the test examines the
//! ring as a process that died there would leave it: the records are those made so far without a gap, byte for byte,
//! with or without the one in progress; and the spans that they leave open are those that the program was in.
//!
//! Built with `--cfg ttlog_kill_points` only, see `ci/checks/kill-points`; other builds contain none of this.
#![cfg(ttlog_kill_points)]

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use ttlog_core::event::{Callsite, Metadata, Role};
use ttlog_core::event::{Cons, Nil};
use ttlog_core::kill::{KillPoint, set_callback};
use ttlog_core::record::SpanId;
use ttlog_core::recorder::{Recorder, install};
use ttlog_core::ring::Cursor;
use ttlog_core::span::steps::{END, ENTER, FINISH, LEAVE};
use ttlog_core::{
    AnyFields, ContextInfo, DropReason, Fields, InSpan, Item, Ring, RingConfig, RingImage, SegmentState, SpanContext,
    Word, info, info_scope, info_span, record,
};

/// A record: its message, the role of its first field, and its payload.
type Made = (&'static str, Role, Vec<u8>);

/// The ring, and what the program has done.
struct World {
    ring: Ring<'static>,
    cursor: Cursor<'static>,
    /// Records made, the last of which is in progress if `in_progress`.
    made: RefCell<Vec<Made>>,
    in_progress: Cell<bool>,
    messages: RefCell<Vec<&'static str>>,
    ids: Cell<u64>,
    ticks: Cell<u64>,
    stack: RefCell<Vec<SpanContext>>,
    /// Number of images examined, and of those with an open span.
    examined: Cell<(u64, u64)>,
}

thread_local! {
    static WORLD: RefCell<Option<&'static World>> = const { RefCell::new(None) };
    /// Whether kill points examine the ring.
    static IS_ON: Cell<bool> = const { Cell::new(false) };
}

fn world() -> &'static World {
    WORLD.with_borrow(|world| world.expect("a world on this thread"))
}

fn ring(segments: usize) -> Ring<'static> {
    let config = RingConfig { ring_id: 7, segment_len: 256, table_len: 128, anchor_count: 0, ..RingConfig::PLAIN };
    let words = Vec::leak((0..(config.overhead_len() + segments * 256) / 8).map(|_| Word::new(0)).collect::<Vec<_>>());
    Ring::create(words, &config).expect("it fits")
}

/// Returns the events of a ring in order: callsite and payload.
fn events(ring: &Ring<'_>) -> Vec<(u16, Vec<u8>)> {
    let mut image = vec![0; ring.len_bytes()];
    ring.copy_image(&mut image);
    let image = RingImage::parse(&image).expect("an image");
    let mut segments: Vec<_> = (0..image.header().segment_count)
        .filter_map(|index| match image.segment(index) {
            SegmentState::Valid(segment) => Some(segment),
            SegmentState::Damaged(error) => panic!("{error}"),
            _ => None,
        })
        .collect();
    segments.sort_by_key(|segment| segment.header.sequence);
    let items = segments.iter().flat_map(|segment| segment.items());
    items
        .filter_map(|item| match item {
            Item::Event(record) => Some((record.callsite, record.payload.to_vec())),
            Item::Damaged { offset, .. } => panic!("damaged at {offset}"),
            _ => None,
        })
        .collect()
}

impl World {
    fn append(&self, callsite: &'static Callsite, fields: &dyn AnyFields, append: impl FnOnce(u16, u64)) {
        let was_on = IS_ON.replace(false);
        let scratch = ring(1);
        scratch.append_shared(1, 1, 1, fields, DropReason::NoSegment);
        let payload = events(&scratch).remove(0).1;
        let metadata: &Metadata = callsite.metadata();
        let role = metadata.fields.first().map_or(Role::Value, |field| field.role);
        let mut messages = self.messages.borrow_mut();
        let index = messages.iter().position(|known| *known == metadata.message).unwrap_or_else(|| {
            messages.push(metadata.message);
            messages.len() - 1
        });
        drop(messages);
        self.made.borrow_mut().push((metadata.message, role, payload));
        self.ticks.set(self.ticks.get() + 3);
        self.in_progress.set(true);
        IS_ON.set(was_on);
        append(index as u16 + 1, self.ticks.get());
        self.in_progress.set(false);
        self.examine();
    }

    fn append_fields<F: Fields>(&self, callsite: &'static Callsite, fields: F) {
        self.append(callsite, &fields, |id, ticks| {
            if !self.cursor.append_small(id, ticks, &fields) {
                self.append_slow(id, ticks, &fields);
            }
        });
    }

    fn append_slow(&self, id: u16, ticks: u64, fields: &dyn AnyFields) {
        let who = ContextInfo { context: 1, os_thread_id: 5, next_index: 0, name: "" };
        self.cursor.append_slow(&self.ring, &|| ticks, &who, id, fields);
    }

    /// Examines the ring as a process that died here would leave it.
    fn examine(&self) {
        if !IS_ON.replace(false) {
            return;
        }
        let made = self.made.borrow();
        let retained = events(&self.ring);
        let certain = made.len() - usize::from(self.in_progress.get());
        let count = [certain, made.len()].into_iter().find(|&end| {
            let Some(start) = end.checked_sub(retained.len()) else { return false };
            made[start..end].iter().zip(&retained).all(|((message, _, payload), (callsite, found))| {
                self.messages.borrow()[usize::from(*callsite) - 1] == *message && payload == found
            })
        });
        let count = count.unwrap_or_else(|| panic!("{retained:?} of {made:?}"));
        // Of the spans whose beginnings are retained, those are open that the program has not ended.
        let open = |records: &[Made]| {
            let mut open = BTreeMap::new();
            for (message, role, payload) in records {
                match role {
                    Role::Start | Role::Begin => drop(open.insert(payload[0], *message)),
                    Role::End | Role::Finish => drop(open.remove(&payload[0])),
                    _ => {}
                }
            }
            open
        };
        let open = open(&made[count - retained.len()..count]);
        assert!(open.values().all(|name| ["outer", "inner", "apart", "future"].contains(name)), "{open:?}");
        let (images, with_open) = self.examined.get();
        self.examined.set((images + 1, with_open + u64::from(!open.is_empty())));
        IS_ON.set(true);
    }
}

/// Callback of all kill points.
fn pass(_: KillPoint) {
    if IS_ON.get() {
        world().examine();
    }
}

struct Spans;

impl Recorder for Spans {
    fn is_on(&self, _: &Metadata) -> bool {
        true
    }

    fn record(&self, callsite: &'static Callsite, fields: &dyn AnyFields) {
        let world = world();
        world.append(callsite, fields, |id, ticks| world.append_slow(id, ticks, fields));
    }

    fn new_span_id(&self) -> u64 {
        world().ids.set(world().ids.get() % 30 + 1);
        world().ids.get()
    }

    fn current_span(&self) -> SpanContext {
        world().stack.borrow().last().copied().unwrap_or(SpanContext::NONE)
    }

    fn enter_span(&self, span: &SpanContext, is_recorded: bool) {
        world().stack.borrow_mut().push(*span);
        if !is_recorded {
            world().append_fields(&ENTER, Cons(SpanId(span.id()), Nil));
        }
    }

    fn leave_span(&self, span: &SpanContext, ends: bool) {
        world().stack.borrow_mut().retain(|entered| entered.id() != span.id());
        world().append_fields(if ends { &FINISH } else { &LEAVE }, Cons(SpanId(span.id()), Nil));
    }

    fn end_span(&self, span: &SpanContext) {
        world().append_fields(&END, Cons(SpanId(span.id()), Nil));
    }
}

fn work(round: u64) {
    let outer = info_scope!("outer", round, text = "longer than what is small");
    {
        let _inner = info_scope!("inner");
        info!("event", round);
    }
    let apart = info_span!("apart", round);
    apart.in_scope(|| drop(info_scope!("inner")));
    record!(apart, later = round);
    let mut future = Box::pin(InSpan::new(std::future::ready(()), info_span!("future")));
    let polled = future.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop()));
    assert!(polled.is_ready());
    drop(outer);
    apart.follows_from(info_span!("apart"));
}

use std::future::Future as _;

#[test]
fn spans_are_open_or_never_began() {
    set_callback(pass);
    install(&Spans).expect("the only recorder");
    let mut all = (0, 0);
    for segments in [1, 2, 3, 8] {
        let world: &World = Box::leak(Box::new(World {
            ring: ring(segments),
            cursor: Cursor::new(),
            made: RefCell::default(),
            in_progress: Cell::new(false),
            messages: RefCell::default(),
            ids: Cell::new(0),
            ticks: Cell::new(1000),
            stack: RefCell::default(),
            examined: Cell::new((0, 0)),
        }));
        WORLD.set(Some(world));
        IS_ON.set(true);
        (0..40).for_each(work);
        IS_ON.set(false);
        assert!(world.stack.borrow().is_empty());
        let (images, open) = world.examined.get();
        all = (all.0 + images, all.1 + open);
    }
    assert!(all.0 > 4000 && all.1 > 1000, "{all:?}");
    println!("spans: {} combinations in 4 rings, {} of them with open spans", all.0, all.1);
}

//! Recordings made with `ttlog-core` alone, for the tests of this crate and of ttlog-view.
#![allow(dead_code, unreachable_pub)] // each test binary is a crate of its own and uses a part

use ttlog_core::event::capture::{debug, display};
use ttlog_core::event::error_chain::error_chain;
use ttlog_core::event::{Cons, Field, Fields, Literal, Metadata, Nil};
use ttlog_core::ring::{Cursor, DropReason, PriorityCursor, RingImage};
use ttlog_core::snapshot::{Codec, Sink, SnapshotMeta, scratch_len, write_snapshot_of_image};
use ttlog_core::{
    Anchor, Bytes, ContextInfo, Level, ProcessInfo, Ring, RingConfig, Value, Word, encode_callsite, encode_process,
};

/// The wall clock at tick 0: 2026-01-31T02:59:00Z. A tick is a nanosecond.
pub const START: i64 = 1_769_828_340_000_000_000;
/// Ticks per second.
pub const SECOND: u64 = 1_000_000_000;

/// The process of most recordings.
pub const SHOP: ProcessInfo<'static> = ProcessInfo {
    service: "shop",
    pid: 4711,
    host: "web-3",
    executable: "/usr/bin/shop",
    start_unix_ns: START,
    build_id: &[1, 2, 3],
    clock: "monotonic",
    ticks_per_second: SECOND,
    process_start: 0,
    os: "test",
};

/// A ring written by a test.
pub struct Recording {
    pub ring: Ring<'static>,
}

/// A thread of a recording.
pub struct Thread {
    cursor: Cursor<'static>,
    who: ContextInfo<'static>,
}

impl Thread {
    pub fn new(context: u32, name: &'static str) -> Self {
        let who = ContextInfo { context, os_thread_id: 100 + u64::from(context), next_index: 0, name };
        Thread { cursor: Cursor::new(), who }
    }

    /// Renames the thread, which its next segment states.
    pub fn rename(&mut self, name: &'static str) {
        self.who.name = name;
    }
}

pub fn append<F: Fields>(ring: &Ring<'static>, thread: &Thread, ticks: u64, callsite: u16, fields: F) {
    thread.cursor.append_slow(ring, &|| ticks, &thread.who, callsite, &fields);
}

impl Recording {
    pub fn new(ring_id: u64, segments: usize, segment_len: u32) -> Self {
        Self::of(ring_id, segments, segment_len, &SHOP)
    }

    pub fn of(ring_id: u64, segments: usize, segment_len: u32, process: &ProcessInfo<'_>) -> Self {
        let anchors = [(0, START), (100 * SECOND, START + 100_000_000_000)];
        Self::dated(ring_id, segments, segment_len, process, &anchors)
    }

    /// Creates a recording with these anchors, each as ticks and nanoseconds since 1970.
    pub fn dated(
        ring_id: u64,
        segments: usize,
        segment_len: u32,
        process: &ProcessInfo<'_>,
        anchors: &[(u64, i64)],
    ) -> Self {
        let anchor_count = anchors.len().max(4) as u32;
        let config = RingConfig { ring_id, segment_len, table_len: 2048, anchor_count, ..RingConfig::PLAIN };
        Self::with(&config, segments, process, anchors)
    }

    fn with(config: &RingConfig, segments: usize, process: &ProcessInfo<'_>, anchors: &[(u64, i64)]) -> Self {
        let segment_len = config.segment_len;
        let len = config.overhead_len() + segments * segment_len as usize;
        let words: &'static [Word] = Vec::leak((0..len / 8).map(|_| Word::new(0)).collect());
        let ring = Ring::create(words, config).expect("the configuration is good");
        for &(ticks, unix_ns) in anchors {
            ring.write_anchor(Anchor { ticks, unix_ns });
        }
        let mut bytes = [0; 1024];
        let len = encode_process(process, &mut bytes).expect("room enough");
        ring.append_entry(&bytes[..len]).expect("room in the table");
        Recording { ring }
    }

    pub fn event<F: Fields>(&self, thread: &Thread, ticks: u64, callsite: u16, fields: F) {
        append(&self.ring, thread, ticks, callsite, fields);
    }

    /// Registers the callsite, with the types of these fields.
    pub fn callsite<F: Fields>(&self, id: u16, metadata: &Metadata, _fields: F) {
        let mut bytes = [0; 2048];
        let len = encode_callsite(id, metadata, F::TYPES, &mut bytes).expect("room enough");
        self.ring.append_entry(&bytes[..len]).expect("room in the table");
    }

    pub fn image(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.ring.len_bytes()];
        self.ring.copy_image(&mut bytes);
        bytes
    }

    pub fn snapshot(&self, reason: &str, ticks: u64, codec: Codec) -> Vec<u8> {
        struct Bytes(Vec<u8>);
        impl Sink for Bytes {
            type Error = std::convert::Infallible;
            fn write_all(&mut self, bytes: &[u8]) -> Result<(), Self::Error> {
                self.0.extend_from_slice(bytes);
                Ok(())
            }
        }
        let image = self.image();
        let image = RingImage::parse(&image).expect("a good ring");
        let meta = SnapshotMeta { reason, created_unix_ns: START + ticks as i64, ticks };
        let mut sink = Bytes(Vec::new());
        let mut scratch = vec![0; scratch_len(image.header().segment_len as usize)];
        write_snapshot_of_image(&image, &meta, codec, &mut scratch, &mut sink).expect("nothing can fail");
        sink.0
    }
}

pub static STARTED: Metadata = Metadata {
    level: Level::Info,
    target: "shop",
    message: "started",
    file: "src/main.rs",
    line: 10,
    fields: &[Field::literal("env", Literal::Str("production")), Field::dynamic("port")],
};
pub static ORDER: Metadata = Metadata {
    level: Level::Info,
    target: "shop::orders",
    message: "order {id} of {who} took {ms:.1} ms",
    file: "src/orders.rs",
    line: 42,
    fields: &[Field::dynamic("id"), Field::dynamic("who"), Field::dynamic("ms"), Field::dynamic("path")],
};
pub static REFUSED: Metadata = Metadata {
    level: Level::Error,
    target: "shop::orders::payment",
    message: "order {id} refused: {error}",
    file: "src/orders/payment.rs",
    line: 7,
    fields: &[Field::dynamic("id"), Field::dynamic("error"), Field::literal("retry", Literal::Bool(false))],
};
pub static TICK: Metadata = Metadata {
    level: Level::Debug,
    target: "shop::timer",
    message: "tick",
    file: "src/timer.rs",
    line: 3,
    fields: &[Field::dynamic("n")],
};
pub static VALUES: Metadata = Metadata {
    level: Level::Trace,
    target: "values",
    message: "",
    file: "src/values.rs",
    line: 1,
    fields: &[
        Field::dynamic("bool"),
        Field::dynamic("u8"),
        Field::dynamic("u64"),
        Field::dynamic("u128"),
        Field::dynamic("i8"),
        Field::dynamic("i64"),
        Field::dynamic("i128"),
        Field::dynamic("f32"),
        Field::dynamic("f64"),
        Field::dynamic("nan"),
        Field::dynamic("char"),
        Field::dynamic("bytes"),
        Field::dynamic("display"),
        Field::dynamic("debug"),
        Field::dynamic("unit"),
        Field::dynamic("some"),
        Field::dynamic("none"),
        Field::dynamic("list"),
        Field::literal("lit_u128", Literal::U128(u128::MAX)),
        Field::literal("lit_i64", Literal::I64(-5)),
        Field::literal("lit_f64", Literal::F64(2.5)),
        Field::literal("lit_char", Literal::Char('\u{202e}')),
        Field::dynamic("text"),
    ],
};

#[derive(Debug)]
struct Refusal(std::io::Error);

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("card declined")
    }
}

impl std::error::Error for Refusal {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

/// Ids of the callsites in the order above.
pub mod id {
    pub const STARTED: u16 = 1;
    pub const ORDER: u16 = 2;
    pub const REFUSED: u16 = 3;
    pub const TICK: u16 = 4;
    pub const VALUES: u16 = 5;
}

impl Recording {
    pub fn know_shop(&self) {
        self.callsite(id::STARTED, &STARTED, Cons(0u16, Nil));
        self.callsite(id::ORDER, &ORDER, Cons(0u64, Cons("", Cons(0f64, Cons("", Nil)))));
        let refusal = error_chain(&Refusal(std::io::Error::other("")));
        self.callsite(id::REFUSED, &REFUSED, Cons(0u64, Cons(refusal.native(), Nil)));
        self.callsite(id::TICK, &TICK, Cons(0u32, Nil));
    }

    pub fn started(&self, thread: &Thread, ticks: u64, port: u16) {
        self.event(thread, ticks, id::STARTED, Cons(port, Nil));
    }

    pub fn order(&self, thread: &Thread, ticks: u64, order: u64, who: &str, ms: f64, path: &str) {
        self.event(thread, ticks, id::ORDER, Cons(order, Cons(who, Cons(ms, Cons(path, Nil)))));
    }

    pub fn refused(&self, thread: &Thread, ticks: u64, order: u64) {
        let chain = error_chain(&Refusal(std::io::Error::other("limit reached")));
        self.event(thread, ticks, id::REFUSED, Cons(order, Cons(chain.native(), Nil)));
    }

    pub fn tick(&self, thread: &Thread, ticks: u64, n: u32) {
        self.event(thread, ticks, id::TICK, Cons(n, Nil));
    }

    /// Records one event with a value of each type.
    pub fn values(&self, thread: &Thread, ticks: u64, text: &str) {
        let (shown, dumped) = (display(&"shown\tthis way"), debug(&Some("x")));
        let list = [Some(1u32), None];
        macro_rules! list {
            ($head:expr, $($tail:tt)*) => { Cons($head, list!($($tail)*)) };
            () => { Nil };
        }
        let fields = list!(
            true,
            255u8,
            u64::MAX,
            u128::MAX,
            -1i8,
            i64::MIN,
            i128::MIN,
            0.1f32,
            -1e300f64,
            f64::NAN,
            'ß',
            Bytes(&[0xde, 0xad]),
            shown.native(),
            dumped.native(),
            (),
            Some(7u16),
            None::<u16>,
            list.native(),
            text,
        );
        self.callsite(id::VALUES, &VALUES, fields);
        self.event(thread, ticks, id::VALUES, fields);
    }
}

/// Returns a recording with a bit of everything.
pub fn shop(ring_id: u64) -> Recording {
    let recording = Recording::new(ring_id, 8, 1024);
    recording.know_shop();
    let (main, worker) = (Thread::new(1, "main"), Thread::new(2, "worker-1"));
    recording.started(&main, SECOND, 8080);
    for n in 0..3 {
        recording.order(&worker, 2 * SECOND + n * 1_500_000, 100 + n, "ann", 1.25 * (n + 1) as f64, "/orders");
        recording.tick(&main, 2 * SECOND + n * 1_500_000 + 700, n as u32);
    }
    recording.refused(&worker, 3 * SECOND, 102);
    recording.values(&main, 3 * SECOND + 1, "plain");
    recording
}

/// Returns a recording whose ring wrapped several times while two threads wrote, one of them seldom.
pub fn wrapped(ring_id: u64) -> Recording {
    let recording = Recording::new(ring_id, 4, 512);
    recording.know_shop();
    let (busy, calm) = (Thread::new(1, "busy"), Thread::new(2, "calm"));
    for n in 0..400 {
        recording.tick(&busy, SECOND + u64::from(n) * 1_000_000, n);
        if n % 100 == 50 {
            recording.started(&calm, SECOND + u64::from(n) * 1_000_000 + 1, n as u16);
        }
    }
    recording.ring.count_dropped(DropReason::TooLarge, 2);
    recording.ring.count_suppressed(9);
    recording
}

impl Recording {
    /// Creates a recording with `kept` segments reserved for warnings and errors, and everything that a ring on a
    /// server records about its process.
    pub fn on_a_server(ring_id: u64, segments: usize, kept: u32, segment_len: u32, process: &ProcessInfo<'_>) -> Self {
        let config = RingConfig {
            ring_id,
            segment_len,
            table_len: 2048,
            anchor_count: 4,
            priority_segment_count: kept,
            control: true,
            session_count: 0,
        };
        let recording = Self::with(&config, segments, process, &[(0, START), (100 * SECOND, START + 100_000_000_000)]);
        recording.know_shop();
        recording
    }

    /// Creates a recording as on a server, with room for the callsites of spans.
    pub fn of_spans(ring_id: u64, segments: usize, segment_len: u32) -> Self {
        let config = RingConfig {
            ring_id,
            segment_len,
            table_len: 8192,
            anchor_count: 4,
            priority_segment_count: 0,
            control: true,
            session_count: 0,
        };
        Self::with(&config, segments, &SHOP, &[(0, START)])
    }

    /// Records an error, which goes to the priority segments.
    pub fn priority_refused(&self, thread: &Thread, told: &std::cell::Cell<u64>, ticks: u64, order: u64) {
        let chain = error_chain(&Refusal(std::io::Error::other("limit reached")));
        let fields = Cons(order, Cons(chain.native(), Nil));
        self.ring.append_priority(ticks, &thread.who, Some(told), id::REFUSED, &fields, DropReason::NoSegment);
    }

    /// Records an error of a thread that can have priority segments of its own; in a shared one if `is_shared`.
    pub fn refused_by(
        &self,
        thread: &Thread,
        cursor: &PriorityCursor<'static>,
        is_shared: bool,
        ticks: u64,
        order: u64,
    ) {
        let chain = error_chain(&Refusal(std::io::Error::other("limit reached")));
        let fields = Cons(order, Cons(chain.native(), Nil));
        if is_shared {
            cursor.append_shared(&self.ring, ticks, &thread.who, true, id::REFUSED, &fields);
        } else {
            cursor.append_slow(&self.ring, &|| ticks, &thread.who, id::REFUSED, &fields);
        }
    }
}

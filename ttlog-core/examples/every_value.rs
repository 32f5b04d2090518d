//! Writes snapshots with every type of value, to compare readers (ci/checks/reader-check).
//!
//! `every_value DIR` writes these files to DIR, all from the same ring:
//!
//! - `none.bin`: codec 0
//! - `columns.bin`: codec 2
//! - `cut.bin`: from an image of the ring in which one record was being written and another is damaged: codecs 1 and 2
//! - `withheld.bin`, `withheld-cut.bin`: the same without the values of secret fields
//!
//! and these from the ring of a device with two sessions, of which the second records the same twice:
//!
//! - `device.ring`: its memory, with a reservation in progress whose length has a wrong bit, and a damaged record
//! - `session.bin`, `session-cut.bin`: the second session, from the memory before and after that
//!
//! It prints the number of events recorded in the first ring, and in the second session. The clock is artificial, so
//! that every run writes the same bytes.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::path::Path;
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use ttlog_core::clock::Anchor;
use ttlog_core::device::{DeviceClock, DeviceRecorder, SessionStart};
use ttlog_core::event::dynamic::{DynamicFields, DynamicValues};
use ttlog_core::event::{AnyFields, Callsite, Cons, Field, Nil, Role, SpanContext, TypeList, is_priority};
use ttlog_core::record::ContextInfo;
use ttlog_core::recorder::Recorder;
use ttlog_core::ring::{
    AppendOutcome, Cursor, DropReason, Mode, Ring, RingConfig, RingImage, SEGMENT_HEADER_LEN, SegmentState,
};
use ttlog_core::snapshot::{
    Codec, SessionImage, Sink, SnapshotMeta, SnapshotOptions, scratch_len, session_scratch_len, write_session,
    write_snapshot_of_image, write_snapshot_of_ring,
};
use ttlog_core::span::steps::{END, ENTER, FINISH, LEAVE};
use ttlog_core::table::{ProcessInfo, encode_callsite, encode_process};
use ttlog_core::{Bytes, Level, Metadata, Traceparent, Type, UnixTime, UuidBytes, Value, Word};
use ttlog_core::{debug, debug_scope, error, event, info, info_scope, info_span, record, trace, warn};

const CAPACITY: usize = 1024 * 1024;

/// Recorder of this example: one ring, one context with its own segments and one with shared segments; warnings and
/// errors of both go to priority segments.
struct Example {
    ring: OnceLock<Ring<'static>>,
    ids: Mutex<BTreeMap<(usize, u32), u16>>,
    /// Callsites, which are not in a device's ring.
    entries: Mutex<Vec<Vec<u8>>>,
}

static RECORDER: Example =
    Example { ring: OnceLock::new(), ids: Mutex::new(BTreeMap::new()), entries: Mutex::new(Vec::new()) };

thread_local! {
    static CURSOR: Cursor<'static> = const { Cursor::new() };
    static SHARING: Cell<bool> = const { Cell::new(false) };
    static TOLD: [Cell<u64>; 2] = const { [Cell::new(0), Cell::new(0)] };
    static TICKS: Cell<u64> = const { Cell::new(1_000_000) };
    static RECORDED: Cell<u64> = const { Cell::new(0) };
    /// Last id of a span: above those that `dynamic` makes up.
    static LAST_SPAN: Cell<u64> = const { Cell::new(1000) };
    /// The spans that were entered, the innermost last.
    static INSIDE: RefCell<Vec<SpanContext>> = const { RefCell::new(Vec::new()) };
    /// Recorder of the device, while it is in use.
    static DEVICE: RefCell<Option<DeviceRecorder>> = const { RefCell::new(None) };
}

fn now() -> u64 {
    TICKS.set(TICKS.get() + 997);
    TICKS.get()
}

impl Recorder for Example {
    fn is_on(&self, _metadata: &Metadata) -> bool {
        true
    }

    fn record(&self, callsite: &'static Callsite, fields: &dyn AnyFields) {
        let Some(ring) = self.ring.get() else { return };
        let key = (core::ptr::from_ref(callsite).addr(), fields.types_hash());
        let mut ids = self.ids.lock().expect("no panic while it is held");
        let known = ids.len() as u16;
        let id = *ids.entry(key).or_insert_with(|| {
            let mut entry = [0; 4096];
            let len =
                encode_callsite(known + 1, callsite.metadata(), fields.types(), &mut entry).expect("4 KiB hold it");
            ring.append_entry(&entry[..len]).expect("the table has room");
            self.entries.lock().expect("as above").push(entry[..len].to_vec());
            known + 1
        });
        RECORDED.set(RECORDED.get() + 1);
        if DEVICE.with_borrow(|device| device.as_ref().map(|device| device.append_any(id, &fields)).is_some()) {
            return;
        }
        let main = ContextInfo { context: 1, os_thread_id: 4711, next_index: 0, name: "main" };
        let guest = ContextInfo { context: 2, os_thread_id: 4712, next_index: 0, name: "guest" };
        let outcome = if is_priority(callsite.metadata().level) {
            let who = if SHARING.get() { &guest } else { &main };
            TOLD.with(|told| {
                let told = &told[usize::from(SHARING.get())];
                ring.append_priority(now(), who, Some(told), id, fields, DropReason::NoSegment)
            })
        } else if SHARING.get() {
            ring.append_shared(now(), guest.context, id, fields, DropReason::NoSegment)
        } else {
            CURSOR.with(|cursor| cursor.append_slow(ring, &now, &main, id, fields))
        };
        assert_eq!(outcome, AppendOutcome::Recorded);
    }

    fn new_span_id(&self) -> u64 {
        LAST_SPAN.set(LAST_SPAN.get() + 1);
        LAST_SPAN.get()
    }

    fn current_span(&self) -> SpanContext {
        INSIDE.with_borrow(|inside| inside.last().copied().unwrap_or(SpanContext::NONE))
    }

    fn enter_span(&self, span: &SpanContext, is_recorded: bool) {
        INSIDE.with_borrow_mut(|inside| inside.push(*span));
        if !is_recorded {
            self.record(&ENTER, &Cons(span.id(), Nil));
        }
    }

    fn leave_span(&self, span: &SpanContext, ends: bool) {
        INSIDE.with_borrow_mut(|inside| {
            if let Some(at) = inside.iter().rposition(|entered| entered.id() == span.id()) {
                inside.remove(at);
            }
        });
        self.record(if ends { &FINISH } else { &LEAVE }, &Cons(span.id(), Nil));
    }

    fn end_span(&self, span: &SpanContext) {
        self.record(&END, &Cons(span.id(), Nil));
    }

    fn random_of_span(&self, id: u64, index: u8) -> u64 {
        (id << 8 | u64::from(index)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

/// An error with a source.
#[derive(Debug)]
struct Failed(Option<Box<Failed>>, &'static str);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.1)
    }
}

impl Error for Failed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.as_deref().map(|source| source as _)
    }
}

/// A type of this program: its `Display` and `Debug` are formatted in the call.
struct Repeated(char, usize);

impl fmt::Display for Repeated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (0..self.1).try_for_each(|_| f.write_char(self.0))
    }
}

impl fmt::Debug for Repeated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} * {}", self.0, self.1)
    }
}

/// Records values of each type, at its limits.
fn numbers() {
    info!("bool and unit", yes = true, no = false, nothing = ());
    for value in [true, false] {
        info!("bool", value);
    }
    for value in [0, 1, u8::MAX] {
        trace!("u8", value);
    }
    for value in [0, 1, u16::MAX] {
        trace!("u16", value);
    }
    for value in [0, 1, u32::MAX] {
        trace!("u32", value);
    }
    for shift in 0..64 {
        trace!("u64", below = (1_u64 << shift) - 1, value = 1_u64 << shift, complement = !(1_u64 << shift));
    }
    for value in [0, 1, u128::from(u64::MAX) + 1, u128::MAX] {
        trace!("u128", value, small = 7_u8, again = value);
    }
    for value in [i8::MIN, -1, 0, 1, i8::MAX] {
        trace!("i8", value);
    }
    for value in [i16::MIN, -1, 0, 1, i16::MAX] {
        trace!("i16", value);
    }
    for value in [i32::MIN, -1, 0, 1, i32::MAX] {
        trace!("i32", value);
    }
    for shift in 0..64 {
        trace!("i64", value = 1_i64 << shift, complement = !(1_i64 << shift));
    }
    for value in [i128::MIN, -1, 0, 1, i128::MAX] {
        trace!("i128", value);
    }
    for value in [0.0, -0.0, 0.1, f32::MIN_POSITIVE, f32::MAX, f32::INFINITY, f32::NEG_INFINITY, f32::NAN] {
        debug!("f32", value);
    }
    for value in [0.0, -0.0, 0.1, 1e300, f64::MIN_POSITIVE, f64::MAX, f64::INFINITY, f64::NEG_INFINITY, f64::NAN] {
        debug!("f64", value, before = 1_u8, after = "x");
    }
    info!("sizes", unsigned = usize::MAX, signed = isize::MIN);
}

fn texts() {
    for value in ['a', '\0', '\n', 'é', '√', '🦀', char::MAX] {
        info!("char", value);
    }
    for value in [
        "",
        "a",
        "1234567",
        "12345678",
        "123456789",
        "with \"quotes\" and \\",
        "tab\tnewline\n\u{1b}[31m",
        "Übermaß 🦀",
    ] {
        info!("str", value, len = value.len());
    }
    for len in [248, 249, 250, 251, 1000, 2100] {
        let value = "x".repeat(len);
        info!("str of some length", value = value.as_str(), len);
    }
    for len in [20_000, 60_000] {
        let value = "é".repeat(len / 2);
        warn!("capped str", value = value.as_str(), len);
    }
    for value in [&[][..], &[0], &[0xff; 300], b"text"] {
        info!("bytes", value = Bytes(value));
    }
    let address = std::net::Ipv4Addr::LOCALHOST;
    info!("readers format", %address, shown = ?Some(address), long = %"y".repeat(3000));
    for len in [0, 7, 249, 250, 3000] {
        let value = Repeated('y', len);
        info!("the program formats {value}", %value, shown = ?value, some = ?Some(&value));
    }
    let deep =
        Failed(Some(Box::new(Failed(Some(Box::new(Failed(None, "the disk is full"))), "cannot write"))), "no report");
    let flat = Failed(None, "it failed");
    error!("errors", deep, flat);
}

fn identifiers_addresses_and_times() {
    for id in [UuidBytes([0; 16]), UuidBytes([0xab; 16]), UuidBytes(0x67e5_5044_10b1_426f_u128.to_be_bytes())] {
        info!("uuid", id, after = 7_u8);
    }
    let (v4, v6) = (Ipv4Addr::new(10, 1, 2, 3), Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 1, 0, 0, 7));
    for ip in [IpAddr::V4(v4), IpAddr::V6(v6), IpAddr::V6(Ipv6Addr::LOCALHOST), IpAddr::V6(v4.to_ipv6_mapped())] {
        info!("ip", ip, peer = SocketAddr::from((ip, 8080)), display = %ip, debug = ?Some(ip));
    }
    for peer in [SocketAddrV6::new(v6, 1, 0, 9), SocketAddrV6::new(v6, u16::MAX, u32::MAX, 0)] {
        info!("peer in a scope", peer, shown = %peer);
    }
    for shift in 0..64 {
        trace!("duration", short = Duration::from_nanos(1 << shift), long = Duration::new(1 << shift, 999_999_999));
    }
    for took in [Duration::ZERO, Duration::from_nanos(u64::MAX), Duration::MAX] {
        info!("duration", took, shown = ?took, some = Some(took));
    }
    for (secs, nanos) in [(0, 0), (-1, 999_999_999), (1_769_828_340, 500_000_000), (i64::MIN, 1), (i64::MAX, 0)] {
        let time = UnixTime::new(secs, nanos).expect("less than a second");
        info!("time", time, times = [time, UnixTime::from_nanos(i64::MAX), UnixTime::from_nanos(i64::MIN)]);
    }
}

fn marked() {
    for number in [0_u64, 1 << 60] {
        let (some, none) = (Some(Some(number)), Some(None::<u8>));
        info!("{number} and {text:?}", %number, text = ?"say \"a\"", ?some, ?none);
    }
    info!("marked", list = ?[1.0, f64::NAN], letter = ?'\'', flag = %true, secret token = %"t0k3n");
}

fn nested() {
    for (number, text) in [(Some(7_u64), Some("seven")), (None, None), (Some(u64::MAX), Some(""))] {
        info!(
            "options",
            number,
            text,
            wide = number.map(u128::from),
            float = number.map(|_| 0.5),
            signed = number.map(|_| -5_i16)
        );
    }
    info!(
        "sequences",
        numbers = [1_u64, 300, 70_000],
        bytes = [1_u8, 2, 3],
        empty = [0_i64; 0],
        texts = ["a", "", "ccc"]
    );
    info!(
        "sequence of wide ones",
        wide = [u128::MAX, 1],
        signed = [i128::MIN, -1],
        floats = [0.5, f64::NAN, -1e-9],
        flags = [true, false]
    );
    info!("nested", options = [Some("a"), None, Some("c")], rows = [[1_u16, 2], [3, 4]]);
    let many: Vec<u32> = (0..20_000).collect();
    info!("capped sequence", many = &many[..], count = many.len());
    let few: Vec<u32> = (0..400).collect();
    info!("long sequence", few = &few[..]);
}

#[derive(Value)]
struct Customer {
    id: u64,
    name: &'static str,
    #[value(secret)]
    card: u64,
    discount: Option<f64>,
}

#[derive(Value)]
struct OrderId(u128);

#[derive(Value)]
enum Phase {
    Open,
    Retry(u8),
    Moved(i64, char),
    Failed {
        code: u16,
        #[value(display)]
        error: Failed,
        #[value(secret)]
        key: Key,
    },
}

#[derive(Value)]
enum Key {
    None,
    Short([u8; 3]),
    Long(String),
}

#[derive(Value)]
struct Order<'a> {
    id: OrderId,
    customer: &'a Customer,
    phase: Phase,
    lines: Vec<(&'static str, u32)>,
    nothing: Nothing,
    pair: Pair,
}

#[derive(Value)]
struct Nothing;

#[derive(Value)]
struct Pair(i8, Option<bool>);

fn composites() {
    let rows = [(1_u8, -1_i32), (2, 3)];
    info!("tuples", pair = (7_u16, u64::MAX), one = (Some("a"),), rows, marked = ?(1_u8, 'x'));
    let customer = Customer { id: 300, name: "Ann", card: 4_111_111, discount: Some(0.1) };
    let failed = || Failed(None, "it failed");
    for (number, phase) in [
        Phase::Open,
        Phase::Retry(7),
        Phase::Moved(-70_000, 'é'),
        Phase::Failed { code: 404, error: failed(), key: Key::None },
        Phase::Failed { code: 405, error: failed(), key: Key::Short([1, 2, 3]) },
        Phase::Failed { code: 406, error: failed(), key: Key::Long("k".repeat(300)) },
    ]
    .into_iter()
    .enumerate()
    {
        let order = Order {
            id: OrderId(1 << (16 * number)),
            customer: &customer,
            phase,
            lines: vec![("a", 1), ("", 2)],
            nothing: Nothing,
            pair: Pair(-1, Some(true)),
        };
        info!("order", before = 5_u32, order, after = "x");
    }
    info!("secret variants", secret short = Key::Short([1, 2, 3]), secret all = [Key::None, Key::Long("kk".into())]);
}

fn callsites() {
    info!(
        "literals",
        text = "production",
        unsigned = 7_u64,
        signed = -7,
        float = 2.5,
        flag = true,
        letter = 'λ',
        huge = 340_282_366_920_938_463_463_374_607_431_768_211_455_u128,
        deep = -170_141_183_460_469_231_731_687_303_715_884_105_728_i128
    );
    let (user, ms, state) = (42_u32, 12.3456, Some('x'));
    info!("user {user} took {ms:.1} ms in {state:?} {{braces}} {} {user:>8}", user + 1);
    warn!(target: "other::target", http.status = 404_u16, "a key with dots");
    error!("no fields");
    info!(user, ms);
    event!(ttlog_core::Level::Debug, "by level", user);
    secrets();
}

fn secrets() {
    let (user, token, key, own) = (7_u64, "abcdefgh".repeat(40), [1_u8, 2, 3], Repeated('k', 300));
    info!(
        "user {user} logged in with {token}",
        secret token = token.as_str(),
        password = Some("x"),
        secret none = None::<i32>,
        secret wide = 2.5,
        secret ratio = f64::from(user as u32) / 3.0,
        secret big = u128::MAX - u128::from(user),
        secret list = &[Some("a"), None, Some("bcd")][..],
        secret letter = 'λ',
        secret blob = ttlog_core::Bytes(&key),
        secret shown = %user,
        secret debugged = ?key,
        secret formatted = %own,
        secret inspected = ?own,
        secret small = -5_i64,
        secret unit = (),
        pin = 1234,
        user
    );
}

/// Records values that carry their types, in one field after the other, and a span.
fn dynamic() {
    static FIELDS: [Field; 4] = [
        Field::id("span", Role::Span),
        Field::dynamic("value"),
        Field::dynamic("other"),
        Field::dynamic("token"), // the name of a secret
    ];
    static EVENT: Callsite = Callsite::new(&Metadata {
        level: Level::Info,
        target: "dynamic",
        message: "{value} of {span}",
        file: "dynamic.rs",
        line: 5,
        fields: &FIELDS,
    });
    const ANY: TypeList = TypeList::Cons(Type::Any, &TypeList::Nil);
    const TYPES: TypeList = TypeList::Cons(Type::U64, &TypeList::Cons(Type::Any, &TypeList::Cons(Type::Any, &ANY)));
    let failed = Failed(Some(Box::new(Failed(None, "the disk is full"))), "cannot write");
    let long = "long ".repeat(100);
    let encoders: [&dyn Fn(&mut DynamicValues<'_>); 16] = [
        &|values| values.absent(),
        &|values| values.unit(),
        &|values| values.bool(true),
        &|values| values.u64(31),
        &|values| values.u64(u64::MAX),
        &|values| values.i64(-32),
        &|values| values.i64(i64::MIN),
        &|values| values.u128(1 << 100),
        &|values| values.i128(-(1 << 100)),
        &|values| values.f64(0.1),
        &|values| values.char('λ'),
        &|values| values.str("text"),
        &|values| values.str(&long),
        &|values| values.blob(&[0, 255]),
        &|values| values.debug(&"de\"bug"),
        &|values| values.error(&failed),
    ];
    for (index, encode) in encoders.iter().enumerate() {
        let mut room = [0; 400];
        let mut values = DynamicValues::new(&mut room, FIELDS.len());
        values.id(index as u64);
        encode(&mut values);
        encoders[(index + 1) % encoders.len()](&mut values);
        encoders[(index + 5) % encoders.len()](&mut values);
        RECORDER.record(&EVENT, &DynamicFields::new(TYPES, TYPES.hash(), values.finish()));
    }
}

/// Records spans in every way, and events in them.
fn spans() {
    let request = info_span!("request", path = "/a", secret token = "t", user = 7_u64);
    info!("in no span");
    let job = request.in_scope(|| {
        info!("in a span");
        let _step = info_scope!("step", n = 1_u8);
        debug!("in a span of a span");
        let _other = debug_scope!(parent: None, "of none");
        warn!("in a span without a parent");
        info_span!(parent: &request, "job")
    });
    record!(request, status = 200_u16, reply = "ok");
    job.follows_from(&request);
    // Left in another order than entered.
    let (outer, inner) = (request.enter(), job.enter());
    drop(outer);
    info!("in the span that was entered last");
    let again = job.enter();
    drop(inner);
    info!("in a span that was entered twice");
    drop(again);
    info!("in no span any more");
    let _ = job.traceparent();
    let remote =
        Traceparent::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").expect("as the standard has it");
    let served = info_span!(parent: remote, "served").entered();
    info!("in a span of a trace of another process");
    let _ = info_span!("child").traceparent();
    drop(served);
    info!("after all spans");
    repeated();
}

/// Records a span whose start is lost, but not its repetition.
fn repeated() {
    static REPEAT: Callsite = Callsite::new(&Metadata {
        level: Level::Info,
        target: "dynamic",
        message: "open for long",
        file: "dynamic.rs",
        line: 9,
        fields: &[Field::id("span", Role::Update), Field::id("parent", Role::Parent)],
    });
    let id = RECORDER.new_span_id();
    RECORDER.enter_span(&SpanContext::outermost(id), false);
    RECORDER.record(&REPEAT, &Cons(id, Cons(0_u64, Nil)));
    info!("in a span without a start");
    RECORDER.leave_span(&SpanContext::outermost(id), true);
}

fn record_all() {
    numbers();
    texts();
    identifiers_addresses_and_times();
    marked();
    nested();
    composites();
    callsites();
    dynamic();
    spans();
}

/// Sink that writes a snapshot to a file.
struct File(std::fs::File);

impl Sink for File {
    type Error = std::io::Error;
    fn write_all(&mut self, bytes: &[u8]) -> Result<(), std::io::Error> {
        std::io::Write::write_all(&mut self.0, bytes)
    }
}

/// Leaves the ring as a crash might, and worse: a record was being written in the last exclusive segment, a reservation
/// was not committed in the first shared one, and a bit flipped in the first exclusive one.
fn hurt(image: &mut [u8]) {
    let header = *RingImage::parse(image).expect("a ring").header();
    let start = |index: u32| (header.segments_offset + u64::from(index) * u64::from(header.segment_len)) as usize;
    let valid = |index| match RingImage::parse(image).expect("a ring").segment(index) {
        SegmentState::Valid(segment) => Some((index, segment.header.mode, segment.header.lap)),
        _ => None,
    };
    let segments = (0..header.segment_count).filter_map(valid);
    type Segments = Vec<(u32, Mode, u8)>;
    let (shared, exclusive): (Segments, Segments) = segments.partition(|(_, mode, _)| *mode == Mode::SharedContexts);

    let (busy, ..) = exclusive[exclusive.len() - 1];
    image[start(busy) + 35] |= 1 << 5;
    let (pending, _, lap) = shared[0];
    let record = image[start(pending) + 48..].first_chunk_mut::<8>().expect("a record");
    *record = [0xff, 0xff, 0, record[2], 0, 0, 0, 0]; // callsite 65,535, number of words
    record[7] = ((u64::from_le_bytes(*record) ^ u64::from(lap)).wrapping_mul(0x0101_0101_0101_0101) >> 56) as u8;
    let (damaged, ..) = exclusive[0];
    image[start(damaged) + 48 + 2000] ^= 1;
}

fn main() -> Result<(), Box<dyn Error>> {
    let dir = std::env::args_os().nth(1).ok_or("usage: every_value DIR")?;
    let create = |name: &str| std::fs::File::create(Path::new(&dir).join(name)).map(File);

    let words: &'static [Word] = (0..CAPACITY / 8).map(|_| Word::new(0)).collect::<Vec<_>>().leak();
    let config = RingConfig {
        ring_id: 0x1234_5678_9abc_def0,
        segment_len: 32 * 1024,
        table_len: 32 * 1024,
        anchor_count: 8,
        priority_segment_count: 14,
        control: true,
        session_count: 0,
    };
    let ring = Ring::create(words, &config)?;
    let mut entry = [0; 1024];
    let process = ProcessInfo {
        service: "every-value",
        pid: 4711,
        host: "example",
        executable: "/usr/bin/every_value",
        start_unix_ns: 1_700_000_000_000_000_000,
        build_id: &[1, 2, 3, 4],
        clock: "made-up",
        ticks_per_second: 1_000_000_000,
        process_start: 5,
        os: "linux",
    };
    let len = encode_process(&process, &mut entry).ok_or("1 KiB hold the process")?;
    ring.append_entry(&entry[..len])?;
    RECORDER.ring.set(ring).map_err(|_| "set twice")?;
    ttlog_core::recorder::install(&RECORDER)?;

    // Anchors before, between and after the events, at uneven intervals, and a wall clock that is set back: every way
    // of reading the clock.
    const START_TICKS: u64 = 1_100_000;
    let at = |ticks: u64, off_ns: i64| Anchor {
        ticks,
        unix_ns: 1_700_000_000_000_000_000 + (ticks - START_TICKS) as i64 + off_ns,
    };
    ring.write_anchor(at(START_TICKS, 0));
    record_all();
    ring.write_anchor(at(TICKS.get() + 10, 300_003));
    SHARING.set(true);
    record_all();
    ring.write_step(at(TICKS.get() + 10, 200_000), at(TICKS.get() + 11, -2_000_000_000));
    TICKS.set(TICKS.get() + (1 << 33)); // too long for a delta of 32 bits
    record_all();
    ring.write_anchor(at(TICKS.get() - 10_000, -1_995_000_007));
    SHARING.set(false);
    record_all();
    TICKS.set(TICKS.get() + (1 << 33)); // in the middle of a segment: a rebase record
    callsites();

    let meta = SnapshotMeta { reason: "manual", created_unix_ns: 1_700_000_009_000_000_000, ticks: TICKS.get() };
    let mut scratch = vec![0; scratch_len(ring.segment_len())];
    write_snapshot_of_ring(ring, &meta, Codec::None, &mut scratch, &mut create("none.bin")?)?;
    write_snapshot_of_ring(ring, &meta, Codec::Lz4, &mut scratch, &mut create("columns.bin")?)?;

    let options = SnapshotOptions::new(Codec::Lz4);
    let mut scratch = vec![0; options.scratch_len(ring.segment_len())];
    write_snapshot_of_ring(ring, &meta, options, &mut scratch, &mut create("withheld.bin")?)?;

    let mut image = vec![0; ring.len_bytes()];
    ring.copy_image(&mut image);
    hurt(&mut image);
    let cut = SnapshotMeta { reason: "recovered", ticks: 0, ..meta };
    let image = RingImage::parse(&image)?;
    write_snapshot_of_image(&image, &cut, Codec::Lz4, &mut scratch, &mut create("cut.bin")?)?;
    write_snapshot_of_image(&image, &cut, options, &mut scratch, &mut create("withheld-cut.bin")?)?;
    let recorded = RECORDED.replace(0);
    let entries = std::mem::take(&mut *RECORDER.entries.lock().map_err(|_| "a panic")?);
    let process = ProcessInfo { service: "every-value", build_id: &[9; 20], clock: "made-up", ..process };
    let mut process_entry = [0; 1024];
    let len = encode_process(&process, &mut process_entry).ok_or("1 KiB hold the process")?;
    device(&process_entry[..len], &entries, &create)?;
    println!("{recorded} {}", RECORDED.get());
    Ok(())
}

/// Records the same on a device.
fn device(
    process: &[u8],
    entries: &[Vec<u8>],
    create: &dyn Fn(&str) -> std::io::Result<File>,
) -> Result<(), Box<dyn Error>> {
    let config = RingConfig { ring_id: 5, segment_len: 2048, session_count: 3, ..RingConfig::PLAIN };
    let words: &'static [Word] = (0..CAPACITY / 8).map(|_| Word::new(0)).collect::<Vec<_>>().leak();
    let boot = |reset_reason| {
        let recorder = DeviceRecorder::new();
        let clock = DeviceClock::new(|| now() as u32, Some(now), 1_000_000);
        let session = SessionStart { clock, build_id: [9; 20], reset_reason, embedded_metadata: false };
        let started =
            recorder.start(words, &config, &session).ok_or("started twice")?.map_err(|error| error.to_string())?;
        DEVICE.set(Some(recorder));
        Ok::<_, Box<dyn Error>>(started.boot)
    };
    TICKS.set((1 << 32) - 300_000); // the lower half wraps in the middle
    boot(1)?;
    record_all();
    TICKS.set(40_000);
    assert_eq!(boot(0x1234)?, 2);
    RECORDED.set(0);
    record_all();
    TICKS.set(TICKS.get() + (1 << 33));
    DEVICE.with_borrow(|device| device.as_ref().map(DeviceRecorder::keep_time));
    record_all();
    let mut image: Vec<u8> = words.iter().flat_map(|word| word.load().to_le_bytes()).collect();
    let save = |image: &[u8], name: &str| -> Result<(), Box<dyn Error>> {
        let image = RingImage::parse(image)?;
        let session = image.sessions().find(|session| session.boot == 2).ok_or("no session")?;
        let options = SnapshotOptions::from(Codec::Lz4);
        let mut scratch = vec![0; session_scratch_len(&options, image.header().segment_len as usize, false)];
        let meta = SnapshotMeta { reason: "image", created_unix_ns: 1_700_000_009_000_000_000, ticks: 0 };
        let all = std::iter::once(process).chain(entries.iter().map(Vec::as_slice));
        let of = SessionImage { image: &image, session: &session, replace: None };
        write_session(&of, all, &meta, options, &mut scratch, &mut create(name)?)?;
        Ok(())
    };
    save(&image, "session.bin")?;
    // The first record in the third segment of the session becomes a reservation, with a wrong bit in its length; in
    // one of the fourth, a bit flips.
    let header = *RingImage::parse(&image)?.header();
    let place = |sequence: u64| {
        let parsed = RingImage::parse(&image).ok()?;
        let is_it =
            |index: &u32| matches!(parsed.segment(*index), SegmentState::Valid(of) if of.header.sequence == sequence);
        let index = (0..header.segment_count).find(is_it)?;
        Some((header.segments_offset + u64::from(index) * u64::from(header.segment_len)) as usize + SEGMENT_HEADER_LEN)
    };
    let first = RingImage::parse(&image)?.sessions().map(|session| session.first_sequence).max().ok_or("no session")?;
    let (reserved, damaged) = (place(first + 2).ok_or("no segment")?, place(first + 3).ok_or("no segment")?);
    image[reserved..reserved + 2].fill(0xFF);
    image[reserved + 2] ^= 8;
    image[damaged + 7] ^= 1; // the check of a record
    save(&image, "session-cut.bin")?;
    std::io::Write::write_all(&mut create("device.ring")?.0, &image)?;
    Ok(())
}

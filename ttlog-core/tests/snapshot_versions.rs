//! The saved files of all format versions are still read as before: every type of value, every kind of segment, all
//! codecs.
//!
//! With `TTLOG_BLESS=1`, the file of the current version and its text form are rewritten. Only for a version that was
//! never released.
#![cfg(feature = "lz4")] // both codecs are tested

mod snapshot_support;

use std::cell::Cell;
use std::error::Error;
use std::fmt::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::time::Duration;

use snapshot_support::{META, Vector};
use ttlog_core::clock::Anchor;
use ttlog_core::device::{DeviceClock, DeviceRecorder, SessionStart};
use ttlog_core::event::capture::{debug, display};
use ttlog_core::event::dynamic::{DynamicFields, DynamicValues};
use ttlog_core::event::error_chain::error_chain;
use ttlog_core::event::secret::SecretKeys;
use ttlog_core::event::{AnyFields, Cons, Field, Fields, JoinedFields, Literal, Metadata, Nil, Role, Shown, TypeList};
use ttlog_core::record::{Bytes, ContextInfo};
use ttlog_core::ring::{
    AppendOutcome, Cursor, DropReason, EndKind, FORMAT_VERSION, Item, PriorityCursor, ProcessEnd, Ring, RingConfig,
    RingImage, SegmentHeader, SegmentState,
};
use ttlog_core::snapshot::{
    Codec, SessionImage, SnapshotItem, SnapshotOptions, SnapshotReader, Withhold, scratch_len, session_scratch_len,
    unpack_len, write_session, write_snapshot_of_ring,
};
use ttlog_core::table::{CallsiteInfo, ProcessInfo, TableItem, encode_callsite, encode_process};
use ttlog_core::{Level, Type, UnixTime, UuidBytes, Value, ValueRef, Word};

/// Returns the path of the saved file of a version.
fn file(version: u16) -> String {
    format!("{}/tests/data/v{version}.ttlog.bin", env!("CARGO_MANIFEST_DIR"))
}

/// Returns the path of the text form of a version's file.
fn text_file(version: u16) -> String {
    format!("{}/tests/data/v{version}.txt", env!("CARGO_MANIFEST_DIR"))
}

static FIELDS: [Field; 12] = [
    Field::dynamic("a").shown(Shown::Display),
    Field::dynamic("b").shown(Shown::Debug),
    Field::dynamic("c").secret(),
    Field::dynamic("d"),
    Field::dynamic("e"),
    Field::literal("on", Literal::Bool(true)),
    Field::literal("few", Literal::I64(-3)),
    Field::literal("many", Literal::U128(u128::MAX)),
    Field::literal("deep", Literal::I128(i128::MIN)),
    Field::literal("part", Literal::F64(0.5)),
    Field::literal("env", Literal::Str("prod")),
    Field::literal("letter", Literal::Char('λ')).secret(),
];

/// Fields of the records of spans: where one starts, and so on.
static SPANS: [&[Field]; 13] = [
    &[Field::id("span", Role::Span), Field::dynamic("n")],
    &[Field::id("span", Role::Start), Field::id("parent", Role::Parent), Field::dynamic("path")],
    &[Field::id("span", Role::Start)],
    &[Field::id("span", Role::Begin), Field::id("parent", Role::Parent), Field::dynamic("order").shown(Shown::Debug)],
    &[Field::id("span", Role::Enter)],
    &[Field::id("span", Role::Leave)],
    &[Field::id("span", Role::Update), Field::dynamic("status")],
    &[Field::id("span", Role::Update), Field::id("from", Role::Follows)],
    &[Field::id("span", Role::Update), Field::id("parent", Role::Parent), Field::dynamic("path")],
    &[Field::id("span", Role::Finish)],
    &[Field::id("span", Role::End)],
    &[Field::id("span", Role::Update), Field::id("trace", Role::Trace), Field::id("id", Role::RemoteParent)],
    &[Field::id("span", Role::Update), Field::id("trace", Role::Trace), Field::id("id", Role::KnownAs)],
];

#[derive(Value, Clone, Debug)]
#[value(rename = "Order")]
struct Sale<'p> {
    buyer: Buyer,
    lines: &'p [(u16, &'p str)],
    state: State,
    #[value(secret)]
    coupon: Option<State>,
    at: [Option<Place>; 2],
}

#[derive(Value, Clone, Debug)]
struct Buyer {
    id: u64,
    card: u32,
    balance: i64,
    nothing: Nothing,
}

#[derive(Value, Clone, Debug)]
enum State {
    Open,
    Retry(u8, f64),
    Failed { code: u16, wide: (u128, i128), why: &'static str },
}

#[derive(Value, Clone, Debug)]
struct Place(f32, f32);

#[derive(Value, Clone, Debug)]
struct Nothing;

/// A struct with members that have no encoding.
#[derive(Value)]
struct Formatted {
    #[value(display)]
    shown: Failed,
    #[value(debug)]
    dumped: Option<Failed>,
    after: u8,
}

#[derive(Debug)]
struct Failed(&'static str, Option<Box<Failed>>);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Error for Failed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.1.as_ref().map(|cause| cause.as_ref() as _)
    }
}

struct Writer<'m> {
    ring: Ring<'m>,
    cursor: Cursor<'m>,
    /// Of a context that warns so often that it takes priority segments of its own.
    own: PriorityCursor<'m>,
    told: Cell<u64>,
    ticks: u64,
    id: u16,
}

impl Writer<'_> {
    /// Registers a callsite for these types and records events of it in an exclusive and a shared segment, and in both
    /// kinds of priority segments.
    fn event(&mut self, fields: &dyn AnyFields) {
        let dynamic = fields.types().iter().count();
        let of = if self.id == 0 { &FIELDS } else { &FIELDS[..dynamic] };
        self.event_of(of, fields);
    }

    /// Records events as [`event`](Self::event) does, of a callsite with these fields.
    fn event_of(&mut self, of: &'static [Field], fields: &dyn AnyFields) {
        self.id += 1;
        self.ticks += 37;
        let metadata = Metadata {
            level: Level::try_from(1 + (self.id % 5) as u8).expect("1 to 5"),
            target: "kept::target",
            message: "{a} and {{more}}",
            file: "src/kept.rs",
            line: self.id.into(),
            fields: of,
        };
        let mut entry = [0; 1024];
        let len = encode_callsite(self.id, &metadata, fields.types(), &mut entry).expect("it fits");
        self.ring.append_entry(&entry[..len]).expect("it fits");
        let who = ContextInfo { context: 1, os_thread_id: 77, next_index: 0, name: "worker" };
        for _ in 0..3 {
            let alone = self.cursor.append_slow(&self.ring, &|| self.ticks, &who, self.id, fields);
            let shared = self.ring.append_shared(self.ticks, 2, self.id, fields, DropReason::Reentrant);
            assert_eq!((alone, shared), (AppendOutcome::Recorded, AppendOutcome::Recorded));
            let kept =
                self.ring.append_priority(self.ticks, &who, Some(&self.told), self.id, fields, DropReason::Reentrant);
            assert_eq!(kept, AppendOutcome::Recorded);
            let often = ContextInfo { context: 3, os_thread_id: 79, next_index: 0, name: "warns" };
            let own = self.own.append_slow(&self.ring, &|| self.ticks, &often, self.id, fields);
            assert_eq!(own, AppendOutcome::Recorded);
            self.ticks += 5;
        }
    }
}

/// Records values that carry their types, of every type and of two in the same field.
fn record_dynamic(writer: &mut Writer<'_>) {
    const ANY: TypeList = TypeList::Cons(Type::Any, &TypeList::Nil);
    const TYPES: TypeList = TypeList::Cons(Type::U64, &TypeList::Cons(Type::Any, &TypeList::Cons(Type::Any, &ANY)));
    let mut record = |encode: &dyn Fn(&mut DynamicValues<'_>)| {
        let mut room = [0; 512];
        let mut values = DynamicValues::new(&mut room, 4);
        values.id(99);
        encode(&mut values);
        writer.event(&DynamicFields::new(TYPES, TYPES.hash(), values.finish()));
    };
    record(&|values| {
        values.u64(1 << 60);
        values.absent();
        values.i128(-5);
    });
    record(&|values| {
        values.str("text");
        values.bool(true);
        values.f64(-0.0);
    });
    record(&|values| {
        values.i64(-5);
        values.blob(&[1, 2]);
        values.u128(u128::MAX);
    });
    record(&|values| {
        values.display(&12.5);
        values.debug(&"quo\"te");
        values.error(&Failed("cannot write", Some(Box::new(Failed("the disk is full", None)))));
    });
    record(&|values| {
        values.char('x');
        values.unit();
    });
}

/// Records structs, enums and tuples, as fields and inside of others.
fn record_composites(writer: &mut Writer<'_>) {
    let buyer = |id| Buyer { id, card: 4111, balance: -5, nothing: Nothing };
    let failed = State::Failed { code: 404, wide: (u128::MAX, -1), why: "gone" };
    let sale = |state: &State, lines| Sale {
        buyer: buyer(1 << 60),
        lines,
        state: state.clone(),
        coupon: Some(state.clone()),
        at: [Some(Place(0.5, -0.5)), None],
    };
    for state in [State::Open, State::Retry(3, 0.1), failed.clone()] {
        let before = sale(&state, &[]);
        writer.event(&Cons(1_u16, Cons(before.native(), Cons("after", Nil))));
    }
    writer.event(&Cons(sale(&failed, &[(1, "a"), (65_535, "")]).native(), Nil));
    writer.event(&Cons((7_u8,).native(), Cons((1_u64, ("x", Some(-1_i32)), 0.5_f64).native(), Nil)));
    writer.event(&Cons(Some(buyer(3)).native(), Cons([State::Open, failed].native(), Cons(Nothing.native(), Nil))));
    let formatted = Formatted { shown: Failed("shown", None), dumped: None, after: 9 };
    writer.event(&Cons(formatted.native(), Cons(5_u64, Nil)));
}

/// Records spans with all roles.
fn record_spans(writer: &mut Writer<'_>) {
    const SPAN: u64 = 1 << 40 | 7;
    let order = (5_u8, State::Retry(1, 0.5));
    let trace = 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c_u128;
    let records: [&dyn AnyFields; 13] = [
        &Cons(SPAN, Cons(2_u16, Nil)),
        &Cons(SPAN, Cons(0_u64, Cons("/a/longer/path/of/24", Nil))),
        &Cons(SPAN + 1, Nil),
        &Cons(SPAN + 2, Cons(SPAN, Cons(order.native(), Nil))),
        &Cons(SPAN, Nil),
        &Cons(SPAN, Nil),
        &Cons(SPAN, Cons(200_u16, Nil)),
        &Cons(SPAN + 1, Cons(SPAN, Nil)),
        &Cons(SPAN + 1, Cons(SPAN, Cons("/b", Nil))),
        &Cons(SPAN + 2, Nil),
        &Cons(SPAN, Nil),
        &Cons(SPAN, Cons(trace, Cons(0x00f0_67aa_0ba9_02b7_u64, Nil))),
        &Cons(SPAN, Cons(trace, Cons(0xb7ad_6b71_6920_3331_u64, Nil))),
    ];
    for (of, fields) in SPANS.into_iter().zip(records) {
        writer.event_of(of, fields);
    }
}

fn make() -> Vec<u8> {
    let memory: Vec<Word> = (0..256 * 1024 / 8).map(|_| Word::new(0)).collect();
    let config = RingConfig {
        ring_id: 0x1122_3344_5566_7788,
        segment_len: 4096,
        table_len: 16_384,
        anchor_count: 4,
        priority_segment_count: 24,
        control: true,
        session_count: 0,
    };
    let ring = Ring::create(&memory, &config).expect("it fits");
    let process = ProcessInfo {
        service: "kept",
        pid: 4711,
        host: "example",
        executable: "/usr/bin/kept",
        start_unix_ns: 1_700_000_000_000_000_000,
        build_id: &[0xCA, 0xFE],
        clock: "tsc",
        ticks_per_second: 1_000_000,
        process_start: 9,
        os: "linux",
    };
    let mut entry = [0; 512];
    let len = encode_process(&process, &mut entry).expect("it fits");
    ring.append_entry(&entry[..len]).expect("it fits");
    ring.write_anchor(Anchor { ticks: 1000, unix_ns: 1_700_000_000_000_000_000 });
    let own = PriorityCursor::new(4);
    let mut writer = Writer { ring, cursor: Cursor::new(), own, told: Cell::new(0), ticks: 1000, id: 0 };
    writer.event(&Cons(true, Cons(1_u8, Cons(2_u16, Cons(3_u32, Cons(u64::MAX, Nil))))));
    writer.event(&Cons(-1_i8, Cons(-2_i16, Cons(-3_i32, Cons(i64::MIN, Cons(u128::MAX, Nil))))));
    writer.event(&Cons(i128::MIN, Cons(1.5_f32, Cons(-0.1_f64, Cons('🦀', Cons((), Nil))))));
    writer.event(&Cons("", Cons("text", Cons(Bytes(&[0, 255]), Nil))));
    let long = "long ".repeat(60);
    writer.event(&Cons(long.as_str(), Nil));
    writer.event(&Cons(f64::NAN, Cons(f64::INFINITY, Cons(-0.0_f64, Nil))));
    writer.event(&Cons(Some(7_u64), Cons(None::<u64>, Cons(Some("some"), Nil))));
    let (numbers, texts, nested) = ([1_u64, 300, 70_000], ["a", ""], [Some(1_u8), None]);
    writer.event(&Cons(numbers.native(), Cons(texts.native(), Cons(nested.native(), Nil))));
    let (shown, dumped) = (display(&12.5), debug(&"quo\"te"));
    writer.event(&Cons(shown.native(), Cons(dumped.native(), Nil)));
    let failed = Failed("cannot write", Some(Box::new(Failed("the disk is full", None))));
    writer.event(&Cons(error_chain(&failed).native(), Nil));
    let cut = "y".repeat(5000);
    writer.event(&Cons(cut.as_str(), Nil));
    let (shorts, floats, id) = ([1_u16, 513], [0.5_f64, -0.5], [7_u8; 16]);
    writer.event(&Cons(shorts.native(), Cons(floats.native(), Cons(id.native(), Nil))));
    writer.event(&Cons("GET", Cons("/a/longer/path/of/24", Cons(1_u64 << 60, Cons(200_u16, Nil)))));
    writer.event(&Nil);
    record_dynamic(&mut writer);
    let (v4, v6) = (Ipv4Addr::LOCALHOST, Ipv6Addr::LOCALHOST);
    writer.event(&Cons(UuidBytes([0xA5; 16]), Cons(IpAddr::V4(v4), Cons(IpAddr::V6(v6), Nil))));
    let peers = [SocketAddr::from((v4, 80)), SocketAddr::from((v6, 80)), SocketAddrV6::new(v6, 80, 1, 2).into()];
    writer.event(&Cons(peers.native(), Cons(peers[2], Cons(Some(UuidBytes([1; 16])), Nil))));
    let (short, near) = (Duration::from_micros(1500), UnixTime::from_nanos(-1));
    let far = UnixTime::new(i64::MIN, 1).expect("less than a second");
    writer.event(&Cons(short, Cons(Duration::MAX, Cons(near, Cons(far, Nil)))));
    record_composites(&mut writer);
    record_spans(&mut writer);
    writer.ticks += 1 << 33;
    for n in 0..40_u64 {
        writer.id = 3;
        let who = ContextInfo { context: 1, os_thread_id: 77, next_index: 0, name: "worker" };
        let fields = Cons(i128::from(n), Cons(1.5_f32, Cons(100.0 + n as f64 / 100.0, Cons('x', Cons((), Nil)))));
        writer.ticks += 30 + n % 7;
        let outcome = writer.cursor.append_slow(&writer.ring, &|| writer.ticks, &who, 3, &fields);
        assert_eq!(outcome, AppendOutcome::Recorded);
    }
    ring.write_anchor(Anchor { ticks: writer.ticks, unix_ns: 1_700_000_009_000_000_000 });
    ring.count_dropped(DropReason::TooLarge, 2);
    ring.count_suppressed(3);
    ring.set_filter_text("info,kept::target=trace");
    ring.count_panic(1200, 77);
    let end =
        ProcessEnd { signal: 6, code: -6, ticks: writer.ticks, sender_pid: 4711, ..ProcessEnd::of(EndKind::Signal) };
    assert!(ring.stamp_end(&end));
    // All encodings one after the other: readers take items in any order.
    let mut sink = Vector::default();
    let plain = [Codec::Lz4, Codec::None].map(SnapshotOptions::from);
    let less = SnapshotOptions {
        left_out_before_ticks: 1 << 33,
        min_age_ns: 60_000_000_000,
        ..SnapshotOptions::new(Codec::Lz4)
    };
    let keys = ["a.buyer.id", "state"];
    let withhold = Some(Withhold::new(SecretKeys::with(&keys)));
    let withheld = SnapshotOptions { withhold, ..SnapshotOptions::new(Codec::None) };
    for options in [plain[0], plain[1], less, withheld] {
        let scratch = &mut vec![0; options.scratch_len(4096).max(scratch_len(4096))];
        write_snapshot_of_ring(ring, &META, options, scratch, &mut sink).expect("it takes all");
    }
    sink.0
}

fn show(value: &ValueRef<'_>, out: &mut String) {
    let sequence = |values: &mut dyn Iterator<Item = ValueRef<'_>>, out: &mut String| {
        out.push('[');
        for value in values {
            show(&value, out);
            out.push(',');
        }
        out.push(']');
    };
    match value {
        ValueRef::Bool(value) => write!(out, "{value}"),
        ValueRef::Unsigned(value) => write!(out, "u{value}"),
        ValueRef::U128(value) => write!(out, "u128:{value}"),
        ValueRef::Signed(value) => write!(out, "i{value}"),
        ValueRef::I128(value) => write!(out, "i128:{value}"),
        ValueRef::F32(value) => write!(out, "f32:{value}={:08x}", value.to_bits()),
        ValueRef::F64(value) => write!(out, "f64:{value}={:016x}", value.to_bits()),
        ValueRef::Char(value) => write!(out, "{value:?}"),
        ValueRef::Str(text) => write!(out, "{:?}/{:?}", text.text, text.full_len),
        ValueRef::Bytes(blob) => write!(out, "{:02x?}/{:?}", blob.bytes, blob.full_len),
        ValueRef::Display(text) => write!(out, "%{:?}/{:?}", text.text, text.full_len),
        ValueRef::Debug(text) => write!(out, "?{:?}/{:?}", text.text, text.full_len),
        ValueRef::Error(values) => {
            out.push('!');
            sequence(&mut values.clone(), out);
            Ok(())
        }
        ValueRef::Unit => write!(out, "()"),
        ValueRef::None | ValueRef::SomeNone(_) => write!(out, "none"),
        ValueRef::Any(any) => {
            show(&any.value(), out);
            Ok(())
        }
        ValueRef::Absent => write!(out, "absent"),
        ValueRef::Withheld => write!(out, "withheld"),
        ValueRef::Composite(parts) => {
            out.push_str(parts.name);
            out.push_str(parts.variant.unwrap_or(""));
            out.push('(');
            for member in parts.clone() {
                write!(out, " {}:", member.name).expect("a string takes all");
                show(&member.value, out);
            }
            write!(out, ")")
        }
        ValueRef::Uuid(bytes) => write!(out, "uuid:{bytes:02x?}"),
        ValueRef::Ip(address) => write!(out, "{address}"),
        ValueRef::Socket(address) => write!(out, "{address}"),
        ValueRef::Duration(duration) => write!(out, "{duration:?}"),
        ValueRef::Time(time) => write!(out, "{}s+{}ns", time.secs(), time.subsec_nanos()),
        ValueRef::Sequence(values) => {
            sequence(&mut values.clone(), out);
            Ok(())
        }
    }
    .expect("a string takes all");
}

/// Returns the text form of a file, one item per line.
fn read(bytes: &[u8]) -> String {
    let mut out = String::new();
    let mut scratch = vec![0; unpack_len(65_536)];
    let mut callsites: Vec<CallsiteInfo<'_>> = Vec::new();
    for item in SnapshotReader::new(bytes).items() {
        match item {
            SnapshotItem::Header(header) => {
                let anchors: Vec<_> = header.anchors().map(|anchor| (anchor.ticks, anchor.unix_ns)).collect();
                let counts = (header.complete_from, header.dropped, header.suppressed, header.state);
                let ring = (header.ring_id, header.segment_count, header.segment_len);
                let made = (header.reason, header.created_unix_ns, header.ticks);
                let versions = (header.format_version, header.min_reader_version);
                writeln!(out, "header {versions:?} {made:?} {ring:?} {counts:?} {anchors:?}").expect("as below");
                if let Some(session) = header.session {
                    writeln!(out, "  session {} {}", session.boot, session.reset_reason).expect("as below");
                }
                if header.format_version < 2 {
                    continue;
                }
                let kept = (header.priority_segment_count, header.priority_complete_from);
                let died = (header.end, header.panics);
                writeln!(out, "  kept {kept:?} {died:?} {:?} {:?}", header.left_out, header.filter)
            }
            SnapshotItem::Entry(entry) => match TableItem::decode(entry.bytes).expect("an item") {
                TableItem::Process(process) => writeln!(out, "{process:?}"),
                TableItem::Callsite(info) => {
                    callsites.push(info);
                    let place = (info.target, info.message, info.file, info.line);
                    write!(out, "callsite {} {} {place:?}", info.id, info.level).expect("a string takes all");
                    for field in info.fields() {
                        write!(out, " {}:{:?}={:?}", field.name, field.type_tags, field.literal).expect("as above");
                        if field.secret || field.withheld {
                            write!(out, "/{}/{}", field.secret, field.withheld).expect("as above");
                        }
                        if (field.role, field.shown) != (Role::Value, Shown::Plain) {
                            write!(out, "/{:?}/{:?}", field.role, field.shown).expect("as above");
                        }
                    }
                    writeln!(out)
                }
                TableItem::Unknown(kind) => writeln!(out, "unknown {kind}"),
            },
            SnapshotItem::Segment(packed) => {
                let counts = (packed.lost, packed.count, packed.pending, packed.damaged, packed.codec);
                write!(out, "segment {} {} {:?} {counts:?}", packed.index, packed.sequence, packed.mode)
                    .expect("as above");
                if packed.is_priority() || packed.left_out > 0 {
                    write!(out, " {} {}", packed.is_priority(), packed.left_out).expect("as above");
                }
                out.push('\n');
                for item in packed.unpack(&mut scratch).expect("intact").items() {
                    match item {
                        Item::Event(record) => {
                            let id = record.callsite;
                            write!(out, "  {} {} {:?} {id}", record.ticks, record.context, record.index)
                                .expect("as above");
                            let info = callsites.iter().find(|info| info.id == id).expect("it is in the table");
                            for value in info.values(record.payload) {
                                out.push(' ');
                                let (field, value) = value.expect("a value");
                                out.push_str(field.name);
                                out.push('=');
                                show(&value, &mut out);
                            }
                            writeln!(out)
                        }
                        other => writeln!(out, "  {other:?}"),
                    }
                    .expect("as above");
                }
                Ok(())
            }
            other => writeln!(out, "{other:?}"),
        }
        .expect("a string takes all");
    }
    out
}

/// Compares the text form of a version's saved file with the saved text.
fn check_file(version: u16) {
    let bytes = std::fs::read(file(version)).expect("the kept file is there");
    let text = std::fs::read_to_string(text_file(version)).expect("the text is there");
    let found = read(&bytes);
    for (n, (found, expected)) in found.lines().zip(text.lines()).enumerate() {
        assert_eq!(found, expected, "version {version}, line {}", n + 1);
    }
    assert_eq!(found.lines().count(), text.lines().count());
}

/// Returns the memory of a device and its callsites. It has two sessions: the first, cut off while it recorded, as
/// found by the second; and the second, with an event in progress.
fn make_device() -> (Vec<u8>, Vec<Vec<u8>>) {
    let words: &'static [Word] = Vec::leak((0..8192 / 8).map(|_| Word::new(0)).collect());
    let config = RingConfig { ring_id: 0x0102_0304_0506_0708, segment_len: 256, session_count: 4, ..RingConfig::PLAIN };
    let mut entries = Vec::new();
    let process = ProcessInfo { service: "kept", build_id: &[0xCA; 20], clock: "dwt", ..ProcessInfo::default() };
    let mut entry = [0; 512];
    let len = encode_process(&process, &mut entry).expect("it fits");
    entries.push(entry[..len].to_vec());
    for boot in 1..=2_u32 {
        let recorder = DeviceRecorder::new();
        let clock = DeviceClock::new(|| now() as u32, Some(now), 64_000_000);
        let session =
            SessionStart { clock, build_id: [0xCA; 20], reset_reason: boot << 2, embedded_metadata: boot == 2 };
        let started = recorder.start(words, &config, &session).expect("started once").expect("it fits");
        assert_eq!(started.boot, boot);
        let mut id = 0;
        let mut event_of = |of: &'static [Field], fields: &dyn OfDevice, wait: u64| {
            id += 1;
            TICKS.set(TICKS.get() + wait);
            recorder.append_any(id, fields.joined());
            if boot == 1 {
                let metadata = Metadata {
                    level: Level::try_from(1 + (id % 5) as u8).expect("1 to 5"),
                    target: "kept::device",
                    message: "{a}",
                    file: "src/main.rs",
                    line: id.into(),
                    fields: of,
                };
                let mut entry = [0; 512];
                let len = encode_callsite(id, &metadata, fields.types(), &mut entry).expect("it fits");
                entries.push(entry[..len].to_vec());
            }
        };
        let mut event = |fields: &dyn OfDevice, wait: u64| {
            event_of(&FIELDS[..fields.types().iter().count()], fields, wait);
        };
        TICKS.set(if boot == 1 { (1 << 32) - 50 } else { 7 });
        let (long, numbers) = ("long ".repeat(60), [1_u64, 300, 70_000]);
        event(&Nil, 1);
        event(&Cons(true, Cons(1_u8, Cons(2_u16, Cons(3_u32, Nil)))), 20);
        event(&Cons(i128::MIN, Cons(-0.1_f64, Cons('🦀', Nil))), 40);
        event(&Cons("text", Cons(Some(7_u64), Nil)), 1 << 30);
        event(&Cons(long.as_str(), Nil), 3);
        event(&Cons(numbers.native(), Cons(display(&12.5).native(), Nil)), 1 << 33);
        let place = Place(0.5, -0.5);
        event(&Cons((7_u8, Some(-1_i16)).native(), Cons(State::Retry(3, 0.1).native(), Nil)), 1);
        event(&Cons([Some(place), None].native(), Cons(State::Open.native(), Cons("after", Nil))), 1);
        event(
            &Cons(UuidBytes([0xA5; 16]), Cons(IpAddr::V4(Ipv4Addr::LOCALHOST), Cons(Duration::from_micros(1500), Nil))),
            1,
        );
        event_of(SPANS[3], &Cons(8_u32, Cons(0_u32, Cons((5_u8, State::Retry(1, 0.5)).native(), Nil))), 1);
        event_of(SPANS[0], &Cons(8_u32, Cons(2_u16, Nil)), 1);
        event_of(SPANS[6], &Cons(8_u32, Cons(200_u16, Nil)), 1);
        event_of(SPANS[9], &Cons(8_u32, Nil), 1);
        recorder.append_words(2, &[0x0000_0003_0002_0101]);
        // The last record is cut off: its header is the initial one of a reservation.
        let image = RingImage::parse(&image_of(words)).expect("a ring").segment_starts();
        let (start, segment) = image.into_iter().max_by_key(|(_, segment)| segment.sequence).expect("a segment");
        let header = start / 8 + 6 + segment.offset_words as usize - 2;
        words[header].store(0xFF01_FFFF);
    }
    (image_of(words), entries)
}

/// Fields as devices record them.
trait OfDevice {
    fn joined(&self) -> &dyn JoinedFields;
    fn types(&self) -> TypeList;
}

impl<F: Fields> OfDevice for F {
    fn joined(&self) -> &dyn JoinedFields {
        self
    }
    fn types(&self) -> TypeList {
        F::TYPES
    }
}

trait SegmentStarts {
    /// Returns the headers of the segments that hold records, and where they start.
    fn segment_starts(&self) -> Vec<(usize, SegmentHeader)>;
}

impl SegmentStarts for RingImage<'_> {
    fn segment_starts(&self) -> Vec<(usize, SegmentHeader)> {
        let of = self.header();
        let start = |index: u32| of.segments_offset as usize + index as usize * of.segment_len as usize;
        let header = |index| match self.segment(index) {
            SegmentState::Valid(segment) => Some((start(index), segment.header)),
            _ => None,
        };
        (0..of.segment_count).filter_map(header).collect()
    }
}

thread_local! {
    static TICKS: Cell<u64> = const { Cell::new(0) };
}

fn now() -> u64 {
    TICKS.get()
}

fn image_of(words: &[Word]) -> Vec<u8> {
    words.iter().flat_map(|word| word.load().to_le_bytes()).collect()
}

/// Returns the snapshots of all sessions of a device, one after the other.
fn sessions_of(image: &[u8], entries: &[Vec<u8>]) -> Vec<u8> {
    let image = RingImage::parse(image).expect("a ring");
    let mut sink = Vector::default();
    for session in image.sessions() {
        for codec in [Codec::Lz4, Codec::None] {
            let options = SnapshotOptions::from(codec);
            let mut scratch = vec![0; session_scratch_len(&options, 256, false)];
            let of = SessionImage { image: &image, session: &session, replace: None };
            let entries = entries.iter().map(Vec::as_slice);
            write_session(&of, entries, &META, options, &mut scratch, &mut sink).expect("it takes all");
        }
    }
    sink.0
}

/// Returns the path of the saved memory of a device, of a version.
fn ring_file(version: u16) -> String {
    format!("{}/tests/data/v{version}-device.ring", env!("CARGO_MANIFEST_DIR"))
}

/// Compares the text form of snapshots of a device with the text of a version.
fn check_device(version: u16, what: &str, snapshots: &[u8]) {
    let text = std::fs::read_to_string(ring_file(version).replace(".ring", ".txt")).expect("the text is there");
    // A snapshot that is made today has its own version.
    let found = read(snapshots)
        .replace(&format!("header ({FORMAT_VERSION}, {FORMAT_VERSION})"), &format!("header ({version}, {version})"));
    for (n, (found, expected)) in found.lines().zip(text.lines()).enumerate() {
        assert_eq!(found, expected, "{what}, line {}", n + 1);
    }
    assert_eq!(found.lines().count(), text.lines().count(), "{what}");
}

/// Compares the saved files of a version with its text, and returns the table of its snapshots.
fn check_device_files(version: u16) -> Vec<Vec<u8>> {
    let snapshots = std::fs::read(ring_file(version).replace(".ring", ".ttlog.bin")).expect("the kept file is there");
    check_device(version, "the kept snapshots", &snapshots);
    let entries = SnapshotReader::new(&snapshots).items().filter_map(|item| match item {
        SnapshotItem::Entry(entry) => Some(entry.bytes.to_vec()),
        _ => None,
    });
    let mut table: Vec<Vec<u8>> = Vec::new();
    for entry in entries {
        if !table.contains(&entry) {
            table.push(entry);
        }
    }
    let ring = std::fs::read(ring_file(version)).expect("the kept ring is there");
    check_device(version, "the kept ring", &sessions_of(&ring, &table));
    table
}

#[test]
fn device_of_version_3() {
    check_device_files(3);
}

#[test]
fn device_of_version_4() {
    let (made, entries) = make_device();
    if std::env::var_os("TTLOG_BLESS").is_some_and(|value| value == "1") {
        let snapshots = sessions_of(&made, &entries);
        std::fs::write(ring_file(4), &made).expect("the file can be written");
        std::fs::write(ring_file(4).replace(".ring", ".ttlog.bin"), &snapshots).expect("as above");
        std::fs::write(ring_file(4).replace(".ring", ".txt"), read(&snapshots)).expect("as above");
    }
    assert_eq!(check_device_files(4), entries);
    check_device(4, "what is written today", &sessions_of(&made, &entries));
}

#[test]
fn file_of_version_1() {
    check_file(1);
}

#[test]
fn file_of_version_2() {
    check_file(2);
}

#[test]
fn file_of_version_3() {
    check_file(3);
}

#[test]
fn file_of_version_4() {
    if std::env::var_os("TTLOG_BLESS").is_some_and(|value| value == "1") {
        let bytes = make();
        std::fs::write(file(4), &bytes).expect("the file can be written");
        std::fs::write(text_file(4), read(&bytes)).expect("the text can be written");
    }
    check_file(4);
}

/// Files written today are read like the saved file, whatever their bytes.
#[test]
fn written_today() {
    let text = std::fs::read_to_string(text_file(FORMAT_VERSION)).expect("the text is there");
    assert!(read(&make()) == text);
}

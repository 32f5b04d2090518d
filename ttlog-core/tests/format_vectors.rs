//! Tests of the vectors in docs/format.md in both directions: the writer produces the documented bytes, and the reader
//! reads them.
//!
//! A failure prints the code's result for every vector that differs, to update the document if the code is right.
#![cfg(feature = "lz4")] // both codecs are tested

mod snapshot_support;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::time::Duration;

use snapshot_support::{META, Vector, record};
use ttlog_core::device::{DeviceClock, DeviceRecorder, SessionStart};
use ttlog_core::event::dynamic::{DynamicFields, DynamicValues};
use ttlog_core::event::{AnyFields, Cons, Field, Fields, Literal, Metadata, Nil, Role, Shown, TypeList};
use ttlog_core::record::packed::{Unpacker, unzigzag, varint_len, zigzag};
use ttlog_core::record::{Bytes, EnumType, Member, Native, StructType, Text, ValueRef};
use ttlog_core::record::{decode_header, encode_header};
use ttlog_core::ring::{
    AppendOutcome, Cursor, DropReason, EndKind, Mode, Panics, ProcessEnd, Ring, RingConfig, RingImage, Segment,
    SegmentHeader, SegmentState, Session,
};
use ttlog_core::snapshot::{
    Codec, Content, SnapshotItem, SnapshotReader, columns_len_max, decode_columns, decode_item, encode_columns,
    encode_item, recordings, scratch_len, unpack_len, write_snapshot_of_ring,
};
use ttlog_core::table::callsite_text::{self, CallsiteText};
use ttlog_core::table::{FieldInfo, TableItem, encode_callsite, values_of};
use ttlog_core::{ContextInfo, Level, Type, UnixTime, UuidBytes, Value, Word, crc32};

const DOCUMENT: &str = include_str!("../../docs/format.md");

/// Returns the names and lines of all blocks marked as vectors; text after a `#` is a comment.
fn blocks() -> Vec<(&'static str, Vec<&'static str>)> {
    let mut blocks = Vec::new();
    let mut lines = DOCUMENT.lines();
    while let Some(line) = lines.next() {
        if let Some(name) = line.strip_prefix("```vector ") {
            let content = lines.by_ref().take_while(|line| *line != "```");
            let content = content.map(|line| line.split('#').next().unwrap_or("").trim());
            blocks.push((name.trim(), content.filter(|line| !line.is_empty()).collect()));
        }
    }
    blocks
}

fn hex(words: &[&str]) -> Vec<u8> {
    let digits = words.concat();
    assert!(digits.len() % 2 == 0, "half a byte in {digits}");
    (0..digits.len() / 2).map(|n| u8::from_str_radix(&digits[2 * n..2 * n + 2], 16).expect("hex digits")).collect()
}

fn number<T: std::str::FromStr>(text: &str) -> T {
    text.parse().ok().unwrap_or_else(|| panic!("{text} is not such a number"))
}

thread_local! {
    static DIFFERENT: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Compares the result of the code with the document.
fn expect(what: &str, made: &[u8], shown: &[u8]) -> bool {
    if made != shown {
        let made: String = made.iter().map(|byte| format!("{byte:02x}")).collect();
        DIFFERENT.with_borrow_mut(|different| different.push(format!("{what}\n  the code makes {made}")));
        return false;
    }
    true
}

fn words(len_bytes: usize) -> Vec<Word> {
    (0..len_bytes / 8).map(|_| Word::new(0)).collect()
}

/// Returns the bytes of a ring of one segment after one event of callsite 7 in context 3 at tick 1000.
fn ring_with(segment_len: u32, fields: &dyn AnyFields) -> Vec<u8> {
    let memory = words(160 + segment_len as usize);
    let config = RingConfig { ring_id: 1, segment_len, table_len: 0, anchor_count: 0, ..RingConfig::PLAIN };
    let ring = Ring::create(&memory, &config).expect("it fits");
    assert_eq!(ring.append_shared(1000, 3, 7, fields, DropReason::Reentrant), AppendOutcome::Recorded);
    let mut bytes = vec![0; ring.len_bytes()];
    ring.copy_image(&mut bytes);
    bytes
}

/// Returns the payload of an event, without the word for its context.
fn payload_of(segment_len: u32, fields: &dyn AnyFields) -> Vec<u8> {
    let bytes = ring_with(segment_len, fields);
    let SegmentState::Valid(segment) = RingImage::parse(&bytes).expect("a whole ring").segment(0) else {
        panic!("the segment holds an event");
    };
    let Some(ttlog_core::ring::Item::Event(record)) = segment.items().next() else { panic!("an event") };
    record.payload.to_vec()
}

fn varint(line: &[&str]) {
    let (value, shown) = (number::<u64>(line[0]), hex(&line[1..]));
    // Joined, because it is in an option.
    if !expect(line[0], &payload_of(1024, &Cons(Some(value), Nil))[1..][..shown.len()], &shown) {
        return;
    }
    assert_eq!(varint_len(value), shown.len());
    let mut from = Unpacker::new(&shown);
    assert_eq!((from.varint(), from.rest().len()), (Some(value), 0), "varint {value}");
    assert_eq!(Unpacker::new(&shown[..shown.len() - 1]).varint(), None);
    // With more bytes after it, it is read in another way.
    let followed = [&shown[..], &[0xff; 8]].concat();
    let mut from = Unpacker::new(&followed);
    assert_eq!((from.varint(), from.rest()), (Some(value), &[0xff; 8][..]), "varint {value}");
}

fn zigzag_line(line: &[&str]) {
    let (value, shown) = (number::<i64>(line[0]), hex(&line[1..]));
    if !expect(line[0], &payload_of(1024, &Cons(Some(value), Nil))[1..][..shown.len()], &shown) {
        return;
    }
    assert_eq!(Unpacker::new(&shown).varint().map(unzigzag), Some(value));
    assert_eq!(unzigzag(zigzag(value)), value);
}

fn any(line: &[&str]) {
    const TYPES: TypeList = TypeList::Cons(Type::Any, &TypeList::Nil);
    let shown = hex(&line[1..]);
    let mut room = [0; 64];
    let mut values = DynamicValues::new(&mut room, 1);
    match line[0] {
        "none" => values.absent(),
        "bool" => values.bool(true),
        "u64" => values.u64(31),
        "i64" => values.i64(-1),
        "f64" => values.f64(0.5),
        "str" => values.str("ab"),
        "display" => values.display(&1.5),
        "error" => values.error(&Refused(Some(&Refused(None)))),
        "bytes" => values.blob(&[0, 255]),
        "i128" => values.i128(-1),
        unknown => panic!("no value for {unknown}"),
    }
    let len = values.len_bytes();
    let payload = values.finish();
    let bytes: Vec<u8> = payload.iter().flat_map(|word| word.to_le_bytes()).collect();
    if !expect(&format!("any {}", line[0]), &bytes[..len], &shown) {
        return;
    }
    let fields = DynamicFields::new(TYPES, TYPES.hash(), payload);
    assert_eq!(payload_of(1024, &fields)[..shown.len()], shown, "a record holds the same bytes");
    static FIELDS: [Field; 1] = [Field::dynamic("v")];
    let metadata = Metadata { fields: &FIELDS, ..METADATA };
    let mut entry = [0; 64];
    let len = encode_callsite(7, &metadata, TYPES, &mut entry).expect("it fits");
    let TableItem::Callsite(info) = TableItem::decode(&entry[..len]).expect("an item") else { panic!("a callsite") };
    let (_, value) = info.values(&shown).next().expect("one").expect("readable");
    let read = match value {
        ValueRef::Absent => "Absent".to_owned(),
        ValueRef::Any(any) => match any.value() {
            ValueRef::Error(texts) => format!("{:?}", texts.collect::<Vec<_>>()),
            value => format!("{value:?}"),
        },
        other => panic!("{other:?}"),
    };
    let text = |text: &str| format!("{:?}", Text { text, full_len: None });
    let expected = match line[0] {
        "none" => "Absent".to_owned(),
        "bool" => "Bool(true)".to_owned(),
        "u64" => "Unsigned(31)".to_owned(),
        "i64" => "Signed(-1)".to_owned(),
        "f64" => "F64(0.5)".to_owned(),
        "str" => format!("Str({})", text("ab")),
        "display" => format!("Display({})", text("1.5")),
        "error" => format!("[Str({}), Str({})]", text("refused"), text("why")),
        "bytes" => "Bytes(Blob { bytes: [0, 255], full_len: None })".to_owned(),
        _ => "I128(-1)".to_owned(),
    };
    assert_eq!(read, expected);
    let truncated = info.values(&shown[..shown.len() - 1]).next().expect("one");
    assert!(truncated.is_err(), "a truncated {} is read as {truncated:?}", line[0]);
}

/// An error with a source.
#[derive(Debug)]
struct Refused(Option<&'static Refused>);

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "refused" } else { "why" })
    }
}

impl std::error::Error for Refused {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.map(|source| source as _)
    }
}

const METADATA: Metadata = Metadata { level: Level::Info, target: "t", message: "m", file: "f", line: 1, fields: &[] };

fn length(line: &[&str]) {
    let shown = hex(&line[1..]);
    let (kept, full) = match line[0].split_once('/') {
        Some((kept, full)) => (number::<usize>(kept), Some(number::<u32>(full))),
        None => (number::<usize>(line[0]), None),
    };
    let mut from = Unpacker::new(&shown);
    let decoded = from.length().expect("a length");
    assert_eq!((decoded.kept, decoded.full, from.rest().len()), (kept, full, 0), "length {}", line[0]);
    let text = vec![b'x'; full.map_or(kept, |full| full as usize)];
    let made = match full {
        None if kept > 16_384 => return, // read only: a longer value is capped when it is recorded
        None => payload_of(65_536, &Cons(Some(Bytes(&text)), Nil))[1..].to_vec(),
        Some(_) => capped(&text, kept),
    };
    expect(line[0], &made[..shown.len()], &shown);
}

/// Returns the packed part of a payload in which a text was cut to `kept` bytes, 5 of them. A segment has 11 words for
/// a record: the header takes one and four wide values 8, so that the option of a text of 5 bytes fits.
fn capped(text: &[u8], kept: usize) -> Vec<u8> {
    assert_eq!(kept, 5, "the segment is chosen for this");
    let wide = 1_u128;
    payload_of(152, &Cons(wide, Cons(wide, Cons(wide, Cons(wide, Cons(Some(Bytes(text)), Nil))))))[65..].to_vec()
}

/// Compares the payload of a list of values, whose types are then read from the document.
fn payload(line: &[&str]) {
    fn go<F: Fields>(line: &[&str], fields: F) {
        let shown = hex(&line[1..]);
        if !expect(&format!("payload {}", line[0]), &payload_of(4096, &fields), &shown) {
            return;
        }
        // The hot path makes the same bytes.
        let memory = words(160 + 4096);
        let config = RingConfig { ring_id: 1, segment_len: 4096, table_len: 0, anchor_count: 0, ..RingConfig::PLAIN };
        let ring = Ring::create(&memory, &config).expect("it fits");
        let cursor = Cursor::new();
        let who = ContextInfo { context: 1, os_thread_id: 1, next_index: 0, name: "" };
        for path in ["slow", "plain", "small"] {
            let done = match path {
                "slow" => cursor.append_slow(&ring, &|| 1, &who, 7, &fields) == AppendOutcome::Recorded,
                "plain" => cursor.append_plain(7, 1, &fields),
                _ => !fields.are_small() || cursor.append_small(7, 1, &fields),
            };
            assert!(done, "{}: {path}", line[0]);
        }
        let mut bytes = vec![0; ring.len_bytes()];
        ring.copy_image(&mut bytes);
        let SegmentState::Valid(segment) = RingImage::parse(&bytes).expect("a whole ring").segment(0) else {
            panic!("it holds events")
        };
        for item in segment.items() {
            match item {
                ttlog_core::ring::Item::Event(record) => assert_eq!(record.payload, shown, "{}", line[0]),
                ttlog_core::ring::Item::Context(_) => {}
                other => panic!("{other:?}"),
            }
        }
        // And they are read as what they were made from.
        static FIELDS: [Field; 6] = [const { Field::dynamic("v") }; 6];
        let metadata = Metadata { fields: &FIELDS[..AnyFields::types(&fields).iter().count()], ..METADATA };
        let mut entry = [0; 128];
        let len = encode_callsite(7, &metadata, AnyFields::types(&fields), &mut entry).expect("it fits");
        let TableItem::Callsite(info) = TableItem::decode(&entry[..len]).expect("an item") else {
            panic!("a callsite")
        };
        let values: Vec<_> = info.values(&shown).map(|value| format!("{:?}", value.expect("readable").1)).collect();
        let read = values.join(" ");
        let expected = match line[0] {
            "order" => r#"Str(Text { text: "SYMBOL", full_len: None }) Unsigned(70000) F64(0.5)"#,
            "web" => {
                r#"Str(Text { text: "GET", full_len: None }) Str(Text { text: "/a/longer/path/of/24", full_len: None }) Unsigned(7) Unsigned(200) Unsigned(18446744073709551615) F64(0.5)"#
            }
            "numbers" => "Unsigned(15) Unsigned(16) Signed(-2048) Signed(2048) Bool(true) Signed(-1)",
            "bytes" => {
                r#"[Unsigned(1), Unsigned(2)] Bytes(Blob { bytes: [3], full_len: None }) [F64(0.5)] Str(Text { text: "", full_len: None }) [Unsigned(5)]"#
            }
            _ => {
                r#"Str(Text { text: "ab", full_len: None }) Unsigned(31) None Str(Text { text: "cd", full_len: None })"#
            }
        };
        assert_eq!(shape(&info, &shown), expected, "{read}");
        for len in 0..shown.len() - 7 {
            let mut values = info.values(&shown[..len]);
            assert!(values.any(|value| value.is_err()), "{}: cut to {len} bytes", line[0]);
        }
    }
    /// Shows the values, with the elements of sequences.
    fn shape(info: &ttlog_core::CallsiteInfo<'_>, payload: &[u8]) -> String {
        let values = info.values(payload).map(|value| match value.expect("readable").1 {
            ValueRef::Sequence(elements) => format!("{:?}", elements.collect::<Vec<_>>()),
            value => format!("{value:?}"),
        });
        values.collect::<Vec<_>>().join(" ")
    }
    match line[0] {
        "order" => go(line, Cons("SYMBOL", Cons(70_000_u64, Cons(0.5_f64, Nil)))),
        "web" => {
            let rest = Cons(7_u64, Cons(200_u16, Cons(u64::MAX, Cons(0.5_f64, Nil))));
            go(line, Cons("GET", Cons("/a/longer/path/of/24", rest)));
        }
        "numbers" => {
            let rest = Cons(-2048_i64, Cons(2048_i64, Cons(true, Cons(-1_i16, Nil))));
            go(line, Cons(15_u64, Cons(16_u64, rest)));
        }
        "bytes" => {
            let (numbers, floats, one) = ([1_u16, 2], [0.5_f64], [5_u64]);
            let rest = Cons(floats[..].native(), Cons("", Cons(one[..].native(), Nil)));
            go(line, Cons(numbers[..].native(), Cons(Bytes(&[3]), rest)));
        }
        "options" => go(line, Cons(Some("ab"), Cons(Some(31_u64), Cons(None::<u8>, Cons("cd", Nil))))),
        unknown => panic!("no payload {unknown}"),
    }
}

fn item(line: &[&str]) {
    let (kind, body, shown) = (number::<u8>(line[0]), hex(&line[1..2]), hex(&line[2..]));
    let mut made = vec![0; body.len() + 20];
    assert_eq!(encode_item(kind, &body, &mut made), Some(made.len()));
    if !expect("item", &made, &shown) {
        return;
    }
    assert_eq!(decode_item(&shown), Some((kind, &body[..])), "item");
}

/// The bytes of a file; then content, offset and length of each recording.
fn recordings_line(line: &[&str]) {
    let file = hex(&line[..1]);
    let found: Vec<_> = recordings(&file)
        .flat_map(|part| {
            let content = match part.content {
                Content::Snapshot => "snapshot",
                Content::Ring => "ring",
                Content::Unknown | Content::Frames => "other",
            };
            [content.to_owned(), part.offset.to_string(), part.bytes.len().to_string()]
        })
        .collect();
    assert_eq!(found, line[1..], "recordings");
}

fn table_entry(line: &[&str]) {
    let (entry, shown) = (hex(&line[..1]), hex(&line[1..]));
    let memory = words(160 + 64 + 128);
    let config = RingConfig { ring_id: 1, segment_len: 128, table_len: 64, anchor_count: 0, ..RingConfig::PLAIN };
    let ring = Ring::create(&memory, &config).expect("it fits");
    ring.append_entry(&entry).expect("it fits");
    let mut bytes = vec![0; ring.len_bytes()];
    ring.copy_image(&mut bytes);
    if !expect("table-entry", &bytes[160..][..8 + entry.len().next_multiple_of(8)], &shown) {
        return;
    }
    assert_eq!(bytes[160 + shown.len()..224], vec![0; 64 - shown.len()]);
    bytes[160..][..shown.len()].copy_from_slice(&shown);
    let image = RingImage::parse(&bytes).expect("a whole ring");
    assert_eq!(image.entries().map(|entry| entry.bytes).collect::<Vec<_>>(), [&entry[..]]);
}

fn callsite(line: &[&str]) {
    static FIELDS: [Field; 2] = [Field::dynamic("bytes"), Field::literal("env", Literal::Str("prod"))];
    let types = TypeList::Cons(Type::U64, &TypeList::Nil);
    let Some(fields) = callsite_with(line, &FIELDS, types) else { return };
    assert_eq!(fields, ["bytes [5]", "env [15] Text(\"prod\")"]);
}

/// Compares the payload of one field of a type for identifiers, addresses or times.
fn native(line: &[&str]) {
    fn check<T: Native>(line: &[&str], value: T, expected: &ValueRef<'_>) {
        let shown = hex(&line[1..]);
        let mut padded = shown.clone();
        padded.resize(shown.len().next_multiple_of(8), 0);
        if !expect(&format!("native {}", line[0]), &payload_of(1024, &Cons(value, Nil)), &padded) {
            return;
        }
        static FIELDS: [Field; 1] = [Field::dynamic("v")];
        let mut entry = [0; 64];
        let types = TypeList::Cons(T::TYPE, &TypeList::Nil);
        let metadata = Metadata { fields: &FIELDS, ..METADATA };
        let len = encode_callsite(7, &metadata, types, &mut entry).expect("it fits");
        let TableItem::Callsite(info) = TableItem::decode(&entry[..len]).expect("an item") else {
            panic!("a callsite")
        };
        assert_eq!(&info.values(&shown).next().expect("one").expect("readable").1, expected);
    }
    let text = line[0];
    let uuid = 0x67e5_5044_10b1_426f_9247_bb68_0e5f_e0c8_u128.to_be_bytes();
    let scoped = SocketAddrV6::new("2001:db8::7".parse().expect("an address"), 80, 1, 2).into();
    let time = |secs, nanos| UnixTime::new(secs, nanos).expect("less than a second");
    match text {
        "67e55044-10b1-426f-9247-bb680e5fe0c8" => check(line, UuidBytes(uuid), &ValueRef::Uuid(uuid)),
        "[2001:db8::7%2]:80" => check(line, scoped, &ValueRef::Socket(scoped)),
        "1.5µs" => check(line, Duration::from_nanos(1500), &ValueRef::Duration(Duration::from_nanos(1500))),
        "9223372036854775808s" => {
            let long = Duration::from_secs(1 << 63);
            check(line, long, &ValueRef::Duration(long));
        }
        "1969-12-31T23:59:59.999999999Z" => {
            check(line, UnixTime::from_nanos(-1), &ValueRef::Time(time(-1, 999_999_999)));
        }
        "-1099511627776.000000001" => {
            let far = time(-(1 << 40) - 1, 999_999_999);
            check(line, far, &ValueRef::Time(far));
        }
        ip if ip.parse::<IpAddr>().is_ok() => {
            let ip: IpAddr = ip.parse().expect("just parsed");
            check(line, ip, &ValueRef::Ip(ip));
        }
        socket => {
            let socket: SocketAddr = socket.parse().expect("an address with a port");
            check(line, socket, &ValueRef::Socket(socket));
        }
    }
}

fn callsite_split(line: &[&str]) {
    static FIELDS: [Field; 1] = [Field::dynamic("n")];
    let types = TypeList::Split(&TypeList::Cons(Type::U64, &TypeList::Nil));
    let Some(fields) = callsite_with(line, &FIELDS, types) else { return };
    assert_eq!(fields, ["n [5]"]);
}

fn callsite_secret(line: &[&str]) {
    static FIELDS: [Field; 3] =
        [Field::dynamic("user"), Field::dynamic("token").secret(), Field::literal("pin", Literal::I64(1234)).secret()];
    let types = TypeList::Cons(Type::U64, &TypeList::Cons(Type::Str, &TypeList::Nil));
    let Some(fields) = callsite_with(line, &FIELDS, types) else { return };
    assert_eq!(fields, ["user [5]", "token [15] secret", "pin [10] Signed(1234) secret"]);
}

fn callsite_span(line: &[&str]) {
    static FIELDS: [Field; 3] =
        [Field::id("span", Role::Start), Field::id("parent", Role::Parent), Field::dynamic("path")];
    const PATH: TypeList = TypeList::Cons(Type::Any, &TypeList::Nil);
    let types = TypeList::Cons(Type::U64, &TypeList::Cons(Type::U64, &PATH));
    let Some(fields) = callsite_with(line, &FIELDS, types) else { return };
    assert_eq!(fields, ["span [5] Start", "parent [5] Parent", "path [21]"]);
}

fn callsite_begin(line: &[&str]) {
    static FIELDS: [Field; 1] = [Field::id("span", Role::Begin)];
    let types = TypeList::Cons(Type::U32, &TypeList::Nil);
    let Some(fields) = callsite_with(line, &FIELDS, types) else { return };
    assert_eq!(fields, ["span [4] Begin"]);
}

fn callsite_known(line: &[&str]) {
    static FIELDS: [Field; 3] =
        [Field::id("span", Role::Update), Field::id("trace", Role::Trace), Field::id("id", Role::KnownAs)];
    const SPAN: TypeList = TypeList::Cons(Type::U64, &TypeList::Nil);
    let types = TypeList::Cons(Type::U64, &TypeList::Cons(Type::U128, &SPAN));
    let Some(fields) = callsite_with(line, &FIELDS, types) else { return };
    assert_eq!(fields, ["span [5] Update", "trace [6] Trace", "id [5] KnownAs"]);
}

fn callsite_shown(line: &[&str]) {
    static FIELDS: [Field; 3] = [
        Field::dynamic("user").shown(Shown::Display),
        Field::dynamic("name").shown(Shown::Debug),
        Field::dynamic("text").shown(Shown::Display).secret(),
    ];
    const TEXT: TypeList = TypeList::Cons(Type::Display, &TypeList::Nil);
    let types = TypeList::Cons(Type::U64, &TypeList::Cons(Type::Option(&Type::Str), &TEXT));
    let Some(fields) = callsite_with(line, &FIELDS, types) else { return };
    assert_eq!(fields, ["user [5] by Display", "name [32, 15] by Debug", "text [17] secret by Display"]);
}

const PAIR: Type = Type::Tuple(&[Type::U16, Type::U64]);
const POINT: Type = Type::Struct(&StructType {
    name: "P",
    members: &[
        Member { name: "x", secret: false, of: Type::U8 },
        Member { name: "", secret: true, of: Type::Option(&Type::Str) },
    ],
});
const STATE: Type = Type::Enum(&EnumType {
    name: "S",
    variants: &[
        StructType { name: "A", members: &[] },
        StructType { name: "B", members: &[Member { name: "", secret: false, of: Type::U32 }] },
        StructType { name: "C", members: &[Member { name: "t", secret: false, of: Type::Sequence(&Type::Str) }] },
    ],
});

fn types(line: &[&str]) {
    let shown = hex(line);
    let index = match shown.first() {
        Some(34) => PAIR,
        Some(35) => POINT,
        _ => STATE,
    };
    let mut made = [0; 64];
    let len = index.describe(&mut made).expect("it fits");
    expect("types", &made[..len], &shown);
}

/// A type, a value, and what a reader finds in it.
fn nested(line: &[&str]) {
    let (of, bytes) = (hex(&line[..1]), hex(&line[1..2]));
    let field = FieldInfo {
        name: "v",
        type_tags: &of,
        literal: None,
        secret: false,
        withheld: false,
        role: Role::Value,
        shown: Shown::Plain,
        split: true,
    };
    let fields = [field];
    let value = values_of(&fields, &bytes).next().expect("a value").expect("a good one");
    assert_eq!(in_words(&value), line[2]);
}

fn in_words(value: &ValueRef<'_>) -> String {
    match value {
        ValueRef::Composite(parts) => {
            let parts = parts.clone();
            let name = [parts.name, parts.variant.unwrap_or("")].join(".");
            let members = parts.map(|member| {
                let mark = if member.secret { "!" } else { "" };
                format!("{mark}{}:{}", member.name, in_words(&member.value))
            });
            format!("{name}({})", members.collect::<Vec<_>>().join(","))
        }
        ValueRef::Sequence(elements) => {
            format!("[{}]", elements.clone().map(|element| in_words(&element)).collect::<Vec<_>>().join(","))
        }
        ValueRef::Unsigned(value) => value.to_string(),
        ValueRef::Str(text) => text.text.to_owned(),
        ValueRef::Withheld => "withheld".to_owned(),
        other => panic!("{other:?}"),
    }
}

/// Compares a callsite that has these fields, and returns the fields as read back.
fn callsite_with(line: &[&str], fields: &'static [Field], types: TypeList) -> Option<Vec<String>> {
    let shown = hex(&line[6..]);
    let leak = |text: &str| -> &'static str { Box::leak(text.into()) };
    let metadata = Metadata {
        level: Level::try_from(number::<u8>(line[1])).expect("a level"),
        target: leak(line[2]),
        message: leak(line[3]),
        file: leak(line[4]),
        line: number(line[5]),
        fields,
    };
    let mut made = [0; 256];
    let len = encode_callsite(number(line[0]), &metadata, types, &mut made);
    if !expect("callsite", &made[..len.expect("it fits")], &shown) {
        return None;
    }
    let TableItem::Callsite(info) = TableItem::decode(&shown).expect("an item") else { panic!("a callsite") };
    assert_eq!((info.id, info.level as u8, info.line), (number(line[0]), number(line[1]), number(line[5])));
    assert_eq!((info.target, info.message, info.file), (line[2], line[3], line[4]));
    let fields = info.fields().map(|field| {
        assert!(!field.withheld, "only snapshots withhold");
        let literal = field.literal.map(|literal| format!(" {literal:?}")).unwrap_or_default();
        let secret = if field.secret { " secret" } else { "" };
        let role = if field.role == Role::Value { String::new() } else { format!(" {:?}", field.role) };
        let shown = if field.shown == Shown::Plain { String::new() } else { format!(" by {:?}", field.shown) };
        format!("{} {:?}{literal}{secret}{role}{shown}", field.name, field.type_tags)
    });
    Some(fields.collect())
}

fn record_line(line: &[&str]) {
    let (callsite, delta, lap) = (number::<u16>(line[0]), number::<u32>(line[1]), number::<u8>(line[2]));
    let (payload, shown) = (hex(&line[3..4]), hex(&line[4..]));
    let words: Vec<_> = payload.chunks(8).map(|word| u64::from_le_bytes(word.try_into().expect("words"))).collect();
    let others = words.iter().fold(u64::from(lap), |xor, word| xor ^ word);
    let header = encode_header(callsite, words.len() as u8, delta, others);
    if !expect("record", &[&header.to_le_bytes()[..], &payload].concat(), &shown) {
        return;
    }
    let naive: Vec<u8> = record(callsite, delta, &words, lap).iter().flat_map(|word| word.to_le_bytes()).collect();
    if !expect("record, made from the document", &naive, &shown) {
        return;
    }
    let decoded = decode_header(u64::from_le_bytes(shown[..8].try_into().expect("a word")));
    assert_eq!((decoded.callsite, decoded.len, decoded.delta), (callsite, words.len() as u8, delta));
}

fn ring_header(line: &[&str]) {
    let shown = hex(&line[5..]);
    let (segment_len, segment_count, table_len, anchor_count) =
        (number::<u32>(line[1]), number::<u32>(line[2]), number::<u32>(line[3]), number::<u32>(line[4]));
    let config = RingConfig { ring_id: number(line[0]), segment_len, table_len, anchor_count, ..RingConfig::PLAIN };
    let memory = words(config.overhead_len() + (segment_len * segment_count) as usize);
    let ring = Ring::create(&memory, &config).expect("it fits");
    let mut bytes = vec![0; ring.len_bytes()];
    ring.copy_image(&mut bytes);
    if !expect("ring-header", &bytes[..160], &shown) {
        return;
    }
    bytes[..160].copy_from_slice(&shown);
    let image = RingImage::parse(&bytes).expect("a whole ring");
    let header = image.header();
    assert_eq!(
        (header.ring_id, header.segment_len, header.segment_count),
        (config.ring_id, segment_len, segment_count)
    );
    assert_eq!((header.table_len, header.anchor_count, header.next_sequence), (table_len, anchor_count, 1));
}

/// Compares a ring with priority segments, whose parameters are in the line: identity, segment_len, segment_count,
/// kept, table, anchors.
fn long_ring_header(line: &[&str]) {
    let shown = hex(&line[6..]);
    let count = |index: usize| number::<u32>(line[index]);
    let config = RingConfig {
        session_count: 0,
        ring_id: number(line[0]),
        segment_len: count(1),
        table_len: count(4),
        anchor_count: count(5),
        priority_segment_count: count(3),
        control: true,
    };
    let memory = words(config.overhead_len() + (count(1) * count(2)) as usize);
    let ring = Ring::create(&memory, &config).expect("it fits");
    let mut bytes = vec![0; ring.len_bytes()];
    ring.copy_image(&mut bytes);
    if !expect("long-ring-header", &bytes[..192], &shown) {
        return;
    }
    assert!(bytes[192..1536].iter().all(|byte| *byte == 0));
    let header = *RingImage::parse(&bytes).expect("a whole ring").header();
    assert_eq!((header.segment_count, header.priority_segment_count), (count(2), count(3)));
    assert_eq!((header.header_len, header.priority_next_sequence), (1536, 1 << 47 | 1));
}

/// Returns memory of a ring with the long header and one small segment.
fn long_ring_memory() -> (Vec<Word>, RingConfig) {
    let config = RingConfig { control: true, ..RingConfig::PLAIN };
    (words(config.overhead_len() + 128), config)
}

fn end_block(line: &[&str]) {
    let shown = hex(&line[12..]);
    let end = ProcessEnd {
        kind: EndKind::Signal,
        signal: number(line[0]),
        code: number(line[1]),
        address: number(line[2]),
        ticks: number(line[3]),
        unix_ns: number(line[4]),
        os_thread_id: number(line[5]),
        context: number(line[6]),
        sender_pid: number(line[7]),
        sender_uid: number(line[8]),
    };
    let (count, last_ticks, last_os_thread_id) = (number::<u64>(line[9]), number(line[10]), number(line[11]));
    let (memory, config) = long_ring_memory();
    let ring = Ring::create(&memory, &config).expect("it fits");
    for _ in 0..count {
        ring.count_panic(last_ticks, last_os_thread_id);
    }
    assert!(ring.stamp_end(&end));
    let mut bytes = vec![0; ring.len_bytes()];
    ring.copy_image(&mut bytes);
    if expect("end-block", &bytes[192..272], &shown) {
        let image = RingImage::parse(&bytes).expect("a whole ring");
        assert_eq!(image.end(), Some(end));
        assert_eq!(image.panics(), Panics { count, last_ticks, last_os_thread_id });
    }
}

fn control_request(line: &[&str]) {
    let (pid, text, shown) = (number::<u32>(line[0]), line[1].replace('_', " "), hex(&line[2..]));
    let (memory, config) = long_ring_memory();
    let ring = Ring::create(&memory, &config).expect("it fits");
    let mut bytes = vec![0; ring.len_bytes()];
    ring.copy_image(&mut bytes);
    let control = RingImage::parse(&bytes).expect("a whole ring").control().expect("it has one");
    let request = control.request(pid, &text).expect("it is short");
    let [(offset, body), (number_offset, number)] = request.writes();
    assert_eq!((offset, number_offset, number), (344, 320, &1_u64.to_le_bytes()[..]));
    if expect("control-request", &body[..shown.len()], &shown) {
        assert!(body[shown.len()..].iter().all(|byte| *byte == 0));
        bytes[344..][..shown.len()].copy_from_slice(&shown);
        let control = RingImage::parse(&bytes).expect("a whole ring").control().expect("it has one");
        assert_eq!((control.requester_pid, control.request), (pid.into(), Some(&text[..])));
    }
}

/// Compares the header of a segment with one event of one value.
fn segment_header(line: &[&str]) {
    let shown = hex(&line[9..]);
    let value: u64 = 5;
    let mut bytes = ring_with(128, &Cons(value, Nil));
    if !expect("segment-header", &bytes[160..][..48], &shown) {
        return;
    }
    bytes[160..][..48].copy_from_slice(&shown);
    let SegmentState::Valid(segment) = RingImage::parse(&bytes).expect("a whole ring").segment(0) else {
        panic!("the segment is valid");
    };
    let header = segment.header;
    let mode = match header.mode {
        Mode::Exclusive => 0,
        Mode::Shared => 1,
        Mode::SharedContexts => 2,
        Mode::Device => 3,
    };
    let found = [
        header.sequence,
        header.lap.into(),
        mode,
        header.context.into(),
        header.base_ticks,
        header.lost,
        header.offset_words.into(),
        header.count.into(),
        header.done.into(),
    ];
    assert_eq!(found.to_vec(), line[..9].iter().map(|text| number::<u64>(text)).collect::<Vec<_>>());
    assert_eq!(segment.items().count(), 1);
}

fn columns(line: &[&str]) {
    let (lap, records, shown) = (number::<u8>(line[0]), hex(&line[1..2]), hex(&line[2..]));
    let mut decoded = vec![0; records.len()];
    let count = event_count(&records);
    let (mut clobbered, mut made) = (records.clone(), vec![0; columns_len_max(records.len())]);
    let len = encode_columns(&mut clobbered, lap, count, &mut made).expect("valid records");
    if expect("columns", &made[..len], &shown) {
        assert_eq!(decode_columns(&shown, lap, &mut decoded), Some(()));
        assert_eq!(decoded, records);
    }
}

/// Compares the part of a device's ring header for sessions.
fn device_header(line: &[&str]) {
    let (session, shown) = session_of(line);
    let memory = device_memory();
    let recorder = started(memory, &session);
    let bytes = image_of(&recorder);
    // The ring counts sessions; the first one has the number 1.
    let mut expected = shown.clone();
    if !expect("device-header", &bytes[160..216], &expected) {
        return;
    }
    assert_eq!(RingImage::parse(&bytes).expect("a whole ring").sessions().collect::<Vec<_>>(), [session]);
    expected[8 + 20] ^= 1;
    let mut damaged = bytes;
    damaged[160..216].copy_from_slice(&expected);
    assert_eq!(RingImage::parse(&damaged).expect("a whole ring").sessions().count(), 0, "the checksum holds no more");
}

/// Compares a segment of a device.
fn device_segment(line: &[&str]) {
    let build_id = hex(&line[4..5]);
    let mut session = Session { boot: 1, ticks_per_second: 1, ..Session::default() };
    session.build_id[..build_id.len()].copy_from_slice(&build_id);
    let recorder = started(device_memory(), &session);
    recorder.append_words(7, &[]);
    let bytes = image_of(&recorder);
    let shown = hex(&line[5..]);
    if !expect("device-segment", &bytes[216..272], &shown) {
        return;
    }
    let mut read = bytes;
    read[216..272].copy_from_slice(&shown);
    let SegmentState::Valid(segment) = RingImage::parse(&read).expect("a whole ring").segment(0) else {
        panic!("the segment is valid");
    };
    let header = segment.header;
    let found = [header.sequence, header.context.into(), header.base_ticks, header.lost];
    assert_eq!(found.to_vec(), line[..4].iter().map(|text| number::<u64>(text)).collect::<Vec<_>>());
    assert_eq!((header.mode, header.done.to_le_bytes().as_slice()), (Mode::Device, &*build_id));
    let items: Vec<_> = segment.items().collect();
    let [ttlog_core::ring::Item::Event(record)] = items[..] else { panic!("{items:?}") };
    assert_eq!((record.ticks, record.callsite, record.payload), ((1 << 32) + 5, 7, &[][..]));
}

/// Compares the records of a device's segment, with a reservation whose length can have a flipped bit.
fn device_reservation(line: &[&str]) {
    let records = hex(&line[2..]);
    let recorder = started(device_memory(), &Session { boot: 1, ticks_per_second: 1, ..Session::default() });
    recorder.append_words(7, &[]);
    let bytes = image_of(&recorder);
    let SegmentState::Valid(segment) = RingImage::parse(&bytes).expect("a whole ring").segment(0) else {
        panic!("the segment is valid");
    };
    let (offset_words, count) = ((records.len() / 8) as u32, number(line[0]));
    let segment = Segment { header: SegmentHeader { offset_words, count, ..segment.header }, records: &records };
    let places: Vec<_> = segment
        .items()
        .filter_map(|item| match item {
            ttlog_core::ring::Item::Event(record) => Some((record.offset / 8).to_string()),
            ttlog_core::ring::Item::Pending { .. } => None,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(places.join(","), line[1]);
}

fn session_of(line: &[&str]) -> (Session, Vec<u8>) {
    let mut session = Session {
        boot: number(line[0]),
        reset_reason: number(line[1]),
        ticks_per_second: number(line[2]),
        embedded_metadata: number::<u8>(line[3]) == 1,
        first_sequence: number(line[4]),
        ..Session::default()
    };
    session.build_id.copy_from_slice(&hex(&line[5..6]));
    (session, hex(&line[6..]))
}

/// Returns memory for a device's ring of one slot and two segments.
fn device_memory() -> &'static [Word] {
    words(216 + 2 * 128).leak()
}

/// Returns a recorder that has started a session in zeroed memory.
fn started(memory: &'static [Word], session: &Session) -> DeviceRecorder {
    let clock = DeviceClock::new(|| 5, Some(|| (1 << 32) + 4), session.ticks_per_second);
    let config = RingConfig { ring_id: 1, session_count: 1, ..RingConfig::PLAIN };
    let start = SessionStart {
        clock,
        build_id: session.build_id,
        reset_reason: session.reset_reason,
        embedded_metadata: session.embedded_metadata,
    };
    let recorder = DeviceRecorder::new();
    recorder.start(memory, &config, &start).expect("not started").expect("it fits");
    recorder
}

fn image_of(recorder: &DeviceRecorder) -> Vec<u8> {
    let ring = recorder.ring().expect("it is started");
    let mut bytes = vec![0; ring.len_bytes()];
    ring.copy_image(&mut bytes);
    bytes
}

/// Compares the text of a device's callsite.
fn callsite_text_line(line: &[&str]) {
    const METADATA: Metadata = Metadata {
        level: Level::Info,
        target: "motor",
        message: "moved{n}",
        file: "src/m.rs",
        line: 70,
        fields: &[
            Field::dynamic("n"),
            Field::dynamic("pin").secret().shown(Shown::Debug),
            Field::literal("unit", Literal::Str("mm")),
        ],
    };
    const LEN: usize = callsite_text::encoded_len(&METADATA);
    const TEXT: [u8; LEN] = callsite_text::encode(&METADATA);
    if !expect("callsite-text", &TEXT, &hex(&line[5..])) {
        return;
    }
    let shown = hex(&line[5..]);
    let text = CallsiteText::decode(&shown).expect("a whole text");
    let level = (text.level as u8).to_string();
    let line_number = text.line.to_string();
    assert_eq!([&level, text.target, text.message, text.file, &line_number], line[..5]);
    let names: Vec<_> =
        text.fields().map(|field| (field.name, field.secret, field.literal.is_some(), field.shown)).collect();
    let plain = Shown::Plain;
    assert_eq!(names, [("n", false, false, plain), ("pin", true, false, Shown::Debug), ("unit", false, true, plain)]);
}

/// Compares a frame.
#[cfg(feature = "frames")]
fn frame_line(line: &[&str]) {
    use ttlog_core::device::frame::{FRAME_LEN_MAX, Frame, FrameKind};
    assert_eq!(line[0], "2", "the kind of the example");
    let data = hex(&line[4..5]);
    let frame = Frame {
        kind: FrameKind::Ring,
        dump: number(line[1]),
        number: number(line[2]),
        offset: number(line[3]),
        data: &data,
    };
    let mut shown = hex(&line[5..]);
    if expect("frame", frame.encode(&mut [0; FRAME_LEN_MAX]), &shown) {
        let len = shown.len();
        assert_eq!(Frame::decode(&mut shown[1..len - 1]), Some(frame));
    }
}

/// Does nothing: there are no frames without the feature; `cargo test` of the workspace enables it.
#[cfg(not(feature = "frames"))]
fn frame_line(_line: &[&str]) {}

/// Counts the events among records with short payloads.
fn event_count(records: &[u8]) -> u32 {
    let (mut at, mut count) = (0, 0);
    while at < records.len() {
        count += u32::from(records[at..at + 2] != [0, 0]);
        at += 8 + 8 * usize::from(records[at + 2]);
    }
    count
}

/// Compares the snapshot of the ring that the document describes next to the vector.
fn whole_snapshot(shown: &[u8]) {
    let memory = words(160 + 64 + 2 * 128);
    let config = RingConfig { ring_id: 42, segment_len: 128, table_len: 64, anchor_count: 0, ..RingConfig::PLAIN };
    let ring = Ring::create(&memory, &config).expect("it fits");
    ring.append_entry(&[0x81, 0]).expect("it fits");
    for (ticks, value) in [(1000, 5_u64), (1030, 6)] {
        assert_eq!(ring.append_shared(ticks, 3, 7, &Cons(value, Nil), DropReason::Reentrant), AppendOutcome::Recorded);
    }
    let mut sink = Vector::default();
    write_snapshot_of_ring(ring, &META, Codec::Lz4, &mut vec![0; scratch_len(128)], &mut sink).expect("it takes all");
    if !expect("snapshot", &sink.0, shown) {
        return;
    }
    let mut scratch = vec![0; unpack_len(128)];
    let mut told = Vec::new();
    for item in SnapshotReader::new(shown).items() {
        match item {
            SnapshotItem::Header(header) => told.push(format!("header {} {}", header.ring_id, header.reason)),
            SnapshotItem::Entry(entry) => told.push(format!("entry {:02x?}", entry.bytes)),
            SnapshotItem::Segment(packed) => {
                for item in packed.unpack(&mut scratch).expect("intact").items() {
                    let ttlog_core::ring::Item::Event(record) = item else { panic!("{item:?}") };
                    let values = Unpacker::new(&record.payload[1..]).split_tail(record.payload[0]);
                    told.push(format!("{} {} {} {values:?}", record.ticks, record.context, record.callsite));
                }
            }
            SnapshotItem::End { entry_count, segment_count } => told.push(format!("end {entry_count} {segment_count}")),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(told, ["header 42 manual", "entry [81, 00]", "1000 3 7 Some(5)", "1030 3 7 Some(6)", "end 1 1"]);
}

#[test]
fn vectors_of_the_document() {
    let mut visited = BTreeSet::new();
    for (name, lines) in blocks() {
        assert!(!lines.is_empty(), "{name}: an empty block");
        visited.insert(name);
        if name == "snapshot" {
            whole_snapshot(&hex(&lines.concat().split(' ').collect::<Vec<_>>()));
            continue;
        }
        for line in lines {
            let line: Vec<&str> = line.split_whitespace().collect();
            match name {
                "payload" => payload(&line),
                "varint" => varint(&line),
                "zigzag" => zigzag_line(&line),
                "any" => any(&line),
                "types" => types(&line),
                "nested" => nested(&line),
                "length" => length(&line),
                "item" => item(&line),
                "recordings" => recordings_line(&line),
                "table-entry" => table_entry(&line),
                "callsite" => callsite(&line),
                "callsite-secret" => callsite_secret(&line),
                "native" => native(&line),
                "callsite-shown" => callsite_shown(&line),
                "callsite-split" => callsite_split(&line),
                "callsite-span" => callsite_span(&line),
                "callsite-begin" => callsite_begin(&line),
                "callsite-known" => callsite_known(&line),
                "record" => record_line(&line),
                "ring-header" => ring_header(&line),
                "long-ring-header" => long_ring_header(&line),
                "end-block" => end_block(&line),
                "control-request" => control_request(&line),
                "segment-header" => segment_header(&line),
                "columns" => columns(&line),
                "device-header" => device_header(&line),
                "device-segment" => device_segment(&line),
                "device-reservation" => device_reservation(&line),
                "callsite-text" => callsite_text_line(&line),
                "frame" => frame_line(&line),
                unknown => panic!("no test knows the vector {unknown}"),
            }
        }
    }
    let all = [
        "any",
        "callsite",
        "callsite-begin",
        "callsite-known",
        "callsite-secret",
        "callsite-shown",
        "callsite-span",
        "callsite-split",
        "callsite-text",
        "columns",
        "control-request",
        "device-header",
        "device-reservation",
        "device-segment",
        "end-block",
        "frame",
        "item",
        "length",
        "long-ring-header",
        "native",
        "nested",
        "payload",
        "record",
        "recordings",
        "ring-header",
        "segment-header",
        "snapshot",
        "table-entry",
        "types",
        "varint",
        "zigzag",
    ];
    assert_eq!(visited.into_iter().collect::<Vec<_>>(), all);
    let different = DIFFERENT.take();
    assert!(different.is_empty(), "the document differs:\n{}", different.join("\n"));
}

#[test]
fn checksum_of_the_document() {
    assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    assert!(DOCUMENT.contains("`0xCBF43926`"));
}

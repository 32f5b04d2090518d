//! Tests of the macros with the real core: each event goes into its own ring and is read back from an image of it.
//!
//! ttlog-macros tests the forms of the syntax one by one against the expansion. These tests cover the types and values
//! that readers see.

use std::cell::RefCell;
use std::fmt::{self, Write as _};
use std::sync::Once;

use ttlog_core::event::Role;
use ttlog_core::event::{Callsite, Metadata};
use ttlog_core::ring::{AppendOutcome, DropReason};
use ttlog_core::table::values_of;
use ttlog_core::{
    AnyFields, Bytes, CallsiteInfo, Item, Level, Ring, RingConfig, RingImage, SegmentState, TableItem, Value, ValueRef,
    Word, encode_callsite, recorder,
};
use ttlog_core::{debug, error, event, info, trace, warn};

/// Puts each event of a thread into a new ring, and stores the reader's view of it.
struct RoundTrip;

thread_local! {
    static READ: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

impl recorder::Recorder for RoundTrip {
    fn is_on(&self, metadata: &Metadata) -> bool {
        metadata.target != "off"
    }

    fn record(&self, callsite: &'static Callsite, fields: &dyn AnyFields) {
        let words: Vec<Word> = (0..4096).map(|_| Word::new(0)).collect();
        let config =
            RingConfig { ring_id: 1, segment_len: 8192, table_len: 4096, anchor_count: 2, ..RingConfig::PLAIN };
        let ring = Ring::create(&words, &config).expect("the ring is large enough");
        let mut entry = [0; 2048];
        let len = encode_callsite(1, callsite.metadata(), fields.types(), &mut entry).expect("2 KiB hold the callsite");
        ring.append_entry(&entry[..len]).expect("the table holds one callsite");
        assert_eq!(ring.append_shared(5, 1, 1, fields, DropReason::NoSegment), AppendOutcome::Recorded);
        let mut image = vec![0; ring.len_bytes()];
        ring.copy_image(&mut image);
        let text = read(&RingImage::parse(&image).expect("the image of a ring"));
        READ.with_borrow_mut(|read| read.push(text));
    }
}

/// Formats the only event of a ring.
fn read(image: &RingImage<'_>) -> String {
    let entry = image.entries().next().expect("a callsite");
    let Ok(TableItem::Callsite(callsite)) = TableItem::decode(entry.bytes) else { panic!("not a callsite") };
    let mut events = Vec::new();
    for index in 0..image.header().segment_count {
        if let SegmentState::Valid(segment) = image.segment(index) {
            for item in segment.items() {
                match item {
                    Item::Event(record) => events.push(show(&callsite, record.payload)),
                    other => panic!("{other:?}"),
                }
            }
        }
    }
    assert_eq!(events.len(), 1, "{events:?}");
    events.remove(0)
}

fn show(callsite: &CallsiteInfo<'_>, payload: &[u8]) -> String {
    assert!(callsite.file.ends_with("tests/macros.rs") && callsite.line > 50, "{}:{}", callsite.file, callsite.line);
    let mut out = format!("{} {:?}", callsite.level, callsite.message);
    if callsite.target != module_path!() {
        write!(out, " [{}]", callsite.target).expect("a String takes all");
    }
    let fields: Vec<_> = callsite.fields().collect();
    let mut again = values_of(&fields, payload);
    for value in callsite.values(payload) {
        let (field, value) = value.expect("the payload fits the types");
        assert_eq!(again.next(), Some(Ok(value.clone())), "fields read once and fields read each time");
        if field.role == Role::Span && value == ValueRef::Unsigned(0) {
            continue; // of a warning in no span
        }
        let mark = if field.literal.is_some() { "!" } else { "" };
        write!(out, " {}{mark}={}", field.name, show_value(&value)).expect("a String takes all");
    }
    assert_eq!(again.next(), None);
    out
}

fn show_value(value: &ValueRef<'_>) -> String {
    let list = |seq: &ttlog_core::record::Seq<'_>| seq.clone().map(|v| show_value(&v)).collect::<Vec<_>>().join(",");
    match value {
        ValueRef::Unsigned(v) => format!("u:{v}"),
        ValueRef::Signed(v) => format!("i:{v}"),
        ValueRef::F64(v) => format!("f64:{v}"),
        ValueRef::F32(v) => format!("f32:{v}"),
        ValueRef::Str(v) => format!("{:?}", v.text),
        ValueRef::Display(v) => format!("%{:?}", v.text),
        ValueRef::Debug(v) => format!("?{:?}", v.text),
        ValueRef::Bytes(v) => format!("{:?}", v.bytes),
        ValueRef::Error(v) => format!("error({})", list(v)),
        ValueRef::Sequence(v) => format!("[{}]", list(v)),
        other => format!("{other:?}"),
    }
}

/// Runs `events` and returns the reader's view of the recorded events.
fn read_back(events: impl FnOnce()) -> Vec<String> {
    static INSTALL: Once = Once::new();
    INSTALL.call_once(|| recorder::install(&RoundTrip).expect("the first recorder"));
    READ.take();
    events();
    READ.take()
}

/// Asserts the reader's view of one event.
macro_rules! assert_read {
    ($event:expr, $expected:expr) => {
        assert_eq!(read_back(|| $event), [$expected])
    };
}

#[derive(Debug)]
struct Failed(Option<Box<Failed>>, &'static str);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.1)
    }
}

impl std::error::Error for Failed {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.as_deref().map(|source| source as _)
    }
}

struct OrderId(u64);

impl Value for OrderId {
    type Native<'a> = u64;
    fn native(&self) -> u64 {
        self.0
    }
}

#[test]
fn levels_and_targets() {
    assert_read!(trace!("m"), "TRACE \"m\"");
    assert_read!(debug!("m"), "DEBUG \"m\"");
    assert_read!(info!("m"), "INFO \"m\"");
    assert_read!(warn!("m"), "WARN \"m\"");
    assert_read!(error!("m"), "ERROR \"m\"");
    assert_read!(event!(Level::Warn, "m"), "WARN \"m\"");
    assert_read!(info!(target: "audit", "m"), "INFO \"m\" [audit]");
    assert_read!(event!(Level::Info, target: "audit", "m"), "INFO \"m\" [audit]");
}

#[test]
fn order_of_message_and_fields() {
    let (user, path) = (7_u32, "/x");
    assert_read!(info!("m", user, path), "INFO \"m\" user=u:7 path=\"/x\"");
    assert_read!(info!(user, path, "m"), "INFO \"m\" user=u:7 path=\"/x\"");
    assert_read!(info!(user, "m", path), "INFO \"m\" user=u:7 path=\"/x\"");
    assert_read!(info!(user, path), "INFO \"\" user=u:7 path=\"/x\"");
    assert_read!(
        info!("m", http.status = user, "any text" = path, r#type = 1_u8 + 1),
        "INFO \"m\" http.status=u:7 any text=\"/x\" type=u:2"
    );
}

#[test]
fn types_survive() {
    let (a, b, c, d) = (u8::MAX, i16::MIN, u64::MAX, i64::MIN);
    assert_read!(info!(a, b, c, d), "INFO \"\" a=u:255 b=i:-32768 c=u:18446744073709551615 d=i:-9223372036854775808");
    let (e, f, g, h) = (u128::MAX, i128::MIN, 1.5_f32, -0.25_f64);
    assert_read!(
        info!(e, f, g, h, a),
        "INFO \"\" e=U128(340282366920938463463374607431768211455) f=I128(-170141183460469231731687303715884105728) \
         g=f32:1.5 h=f64:-0.25 a=u:255"
    );
    let (yes, letter, unit, none, some) = (true, 'é', (), None::<u8>, Some("s"));
    assert_read!(
        info!(yes, letter, unit, none, some),
        "INFO \"\" yes=Bool(true) letter=Char('é') unit=Unit none=None some=\"s\""
    );
    let (array, slice, blob, id) = ([1_u16, 2], &["a", "b"][..], Bytes(b"\x01\x02"), OrderId(9));
    assert_read!(info!(array, slice, blob, id), "INFO \"\" array=[u:1,u:2] slice=[\"a\",\"b\"] blob=[1, 2] id=u:9");
}

#[test]
fn text_by_sigil_and_errors_with_sources() {
    let address = std::net::Ipv4Addr::LOCALHOST;
    let failed = Failed(Some(Box::new(Failed(None, "disk full"))), "no report");
    assert_read!(
        info!("m", %address, shown = ?Some(1), failed, text = %failed),
        "INFO \"m\" address=Ip(127.0.0.1) shown=i:1 failed=error(\"no report\",\"disk full\") \
         text=%\"no report\""
    );
}

#[test]
fn literals_are_part_of_the_callsite() {
    assert_read!(
        info!("m", env = "prod", port = 8080, down = -1, small = 1_u8, ratio = 0.5, on = true, letter = 'x', n = 1 + 1),
        "INFO \"m\" env!=\"prod\" port!=i:8080 down!=i:-1 small!=u:1 ratio!=f64:0.5 on!=Bool(true) \
         letter!=Char('x') n=i:2"
    );
    assert_read!(
        info!(huge = 340282366920938463463374607431768211455, deep = -9223372036854775809),
        "INFO \"\" huge!=U128(340282366920938463463374607431768211455) deep!=I128(-9223372036854775809)"
    );
}

#[test]
fn templates_become_typed_fields() {
    let (user, ms, path) = (7_u64, 12.345, "/x");
    assert_read!(
        info!("user {user} took {ms:.1} ms", path),
        "INFO \"user {user} took {ms:.1} ms\" user=u:7 ms=f64:12.345 path=\"/x\""
    );
    assert_read!(
        info!("{} {:?} {}", user, path, user + 1),
        "INFO \"{user} {path:?} {arg2}\" user=u:7 path=\"/x\" arg2=u:8"
    );
    assert_read!(info!("{1:>5} {0}", user, 3), "INFO \"{arg1:>5} {user}\" arg1!=i:3 user=u:7");
    let (address, elapsed) = (std::net::Ipv4Addr::LOCALHOST, std::time::Duration::from_millis(5));
    assert_read!(
        info!("{address} after {elapsed:?}, {of}", of = address),
        "INFO \"{address} after {elapsed:?}, {of}\" address=Ip(127.0.0.1) elapsed=Duration(5ms) of=Ip(127.0.0.1)"
    );
}

#[test]
fn nothing_is_evaluated_when_off() {
    let mut calls = 0;
    let mut log = || {
        info!(target: "off", "m", n = {
            calls += 1;
            calls
        });
    };
    assert_eq!(
        read_back(|| {
            log(); // asks the recorder, and remembers that the callsite is off
            log();
            log();
        }),
        [""; 0]
    );
    assert_eq!(calls, 0);
}

#[test]
fn generic_functions_have_a_type_list_per_type() {
    fn log<T: Value>(value: T) {
        info!("generic", value);
    }
    assert_eq!(
        read_back(|| {
            log(1_u8);
            log("s");
            log([1_i32]);
        }),
        ["INFO \"generic\" value=u:1", "INFO \"generic\" value=\"s\"", "INFO \"generic\" value=[i:1]"]
    );
}

#[cfg(feature = "alloc")]
#[test]
fn owned_values() {
    let (text, list, boxed) = (String::from("t"), vec![1_u8], Box::new(5_u32));
    let error: Box<dyn std::error::Error> = Box::new(Failed(None, "it failed"));
    assert_read!(
        info!(text, list, boxed, error),
        "INFO \"\" text=\"t\" list=[u:1] boxed=u:5 error=error(\"it failed\")"
    );
    assert_read!(info!("{text} {error}"), "INFO \"{text} {error}\" text=\"t\" error=%\"it failed\"");
}

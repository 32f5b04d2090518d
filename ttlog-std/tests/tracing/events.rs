//! Values and metadata of events.

use std::error::Error;
use std::fmt;

use ttlog_core::Level;
use ttlog_core::event::Role;

use super::common::ring::RingContents;
use super::common::{Place, finish, stderr};
use super::tree::{Tree, message};
use super::{Case, install, rings_of};

pub const CASES: &[Case] = &[
    ("values", values),
    ("orders", orders),
    ("debug", debug),
    ("many", many),
    ("secrets", secrets),
    #[cfg(all(tracing_unstable, feature = "valuable"))]
    ("valuable", valuables),
];

#[derive(Debug)]
struct Outer(Inner);
#[derive(Debug)]
struct Inner;

impl fmt::Display for Outer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cannot serve")
    }
}
impl fmt::Display for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no such file")
    }
}
impl Error for Outer {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}
impl Error for Inner {}

fn values() {
    let _recorder = install();
    let error = Outer(Inner);
    tracing::info!(
        small = 7_u8,
        unsigned = u64::MAX,
        signed = -5_i32,
        wide = u128::MAX,
        wide_signed = i128::MIN,
        float = 1.5,
        yes = true,
        text = "größe",
        bytes = &b"\x00\xff"[..],
        error = &error as &(dyn Error + 'static),
        display = %error,
        debug = ?Some("x"),
        empty = tracing::field::Empty,
        none = None::<u64>,
        some = Some(3_u64),
        "dotted.key" = "d",
        "values of {} kinds", 16
    );
    tracing::warn!(target: "other::target", answer = 42, "static text");
    tracing::error!(name: "named {}", only = 1);
    tracing::trace!(alone = 1);
    tracing::debug!(long = "x".repeat(100_000), after = 1, "long");
}

#[test]
fn values_keep_their_types() {
    rings_of("values", |ring| {
        assert_eq!(ring.loss.dropped_total(), 0);
        let tree = Tree::new(ring);
        let event = tree.event("values of 16 kinds");
        assert_eq!((event.level, event.target.as_str()), (Level::Info, "tracing::events"));
        assert!(event.file.ends_with("tests/tracing/events.rs") && event.line > 30, "{event:?}");
        assert_eq!(event.message, "{message}");
        let values: Vec<_> = event.values.iter().map(|(name, _, value)| (name.as_str(), value.as_str())).collect();
        let expected = [
            ("span", "u64 0"),
            ("message", "display values of 16 kinds"),
            ("small", "u64 7"),
            ("unsigned", "u64 18446744073709551615"),
            ("signed", "i64 -5"),
            ("wide", "U128(340282366920938463463374607431768211455)"),
            ("wide_signed", "I128(-170141183460469231731687303715884105728)"),
            ("float", "F64(1.5)"),
            ("yes", "Bool(true)"),
            ("text", "str größe"),
            ("bytes", "bytes [0, 255]"),
            ("error", "error cannot serve <- no such file"),
            ("display", "debug cannot serve"),
            ("debug", "debug Some(\"x\")"),
            ("empty", "Absent"),
            ("none", "Absent"),
            ("some", "u64 3"),
            ("dotted.key", "str d"),
        ];
        assert_eq!(values, expected);
        assert!(event.values.iter().all(|(name, role, _)| (*role == Role::Span) == (name == "span")));

        let event = tree.event("static text");
        assert_eq!((event.level, event.target.as_str()), (Level::Warn, "other::target"));
        assert_eq!(event.value("answer"), "i64 42");
        let without: Vec<_> = tree.events.iter().filter(|event| message(event).is_none()).collect();
        assert_eq!(without.len(), 2);
        assert_eq!((without[0].level, without[0].message.as_str()), (Level::Error, "named {{}}"));
        // Its name is made of file and line, which are no message.
        assert_eq!((without[1].level, without[1].message.as_str()), (Level::Trace, ""));
        let event = tree.event("long");
        assert!(event.value("long").starts_with("str of 100000 xxx"), "{event:?}");
        assert!(event.value("long").len() > 5500);
        assert_eq!(event.value("after"), "i64 1");
    });
}

/// A callsite without a macro, so that its values can be visited in any order.
mod by_hand {
    use tracing::callsite::{DefaultCallsite, Identifier};
    use tracing::field::FieldSet;
    use tracing::metadata::Kind;
    use tracing::{Level, Metadata};

    pub static CALLSITE: DefaultCallsite = DefaultCallsite::new(&METADATA);
    pub static METADATA: Metadata<'static> = Metadata::new(
        "by hand",
        "hand",
        Level::INFO,
        None,
        None,
        None,
        FieldSet::new(&["a", "b", "c"], Identifier(&CALLSITE)),
        Kind::EVENT,
    );
}

fn orders() {
    let _recorder = install();
    let fields: Vec<_> = by_hand::METADATA.fields().iter().collect();
    let event = |pairs: [(usize, u64); 3]| {
        let values = pairs.each_ref().map(|(index, value)| (&fields[*index], Some(value as &dyn tracing::Value)));
        tracing::Event::dispatch(&by_hand::METADATA, &by_hand::METADATA.fields().value_set(&values));
    };
    event([(0, 1), (1, 2), (2, 3)]);
    event([(2, 3), (0, 1), (1, 2)]);
    event([(1, 2), (1, 9), (0, 1)]);
}

#[test]
fn values_in_any_order_and_twice() {
    rings_of("orders", |ring| {
        let events = Tree::new(ring).events;
        let values: Vec<_> =
            events.iter().map(|event| ["a", "b", "c"].map(|name| event.value(name).to_owned())).collect();
        let all = ["u64 1", "u64 2", "u64 3"].map(str::to_owned);
        assert_eq!(values, [all.clone(), all, ["u64 1", "u64 2", "Absent"].map(str::to_owned)]);
        assert!(events.iter().all(|event| event.message == "by hand" && event.file.is_empty() && event.line == 0));
    });
}

/// A value that records an event while it is recorded.
struct Logs(u32);

impl fmt::Debug for Logs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 > 0 {
            tracing::info!(depth = self.0, inner = ?Logs(self.0 - 1), "nested");
        }
        write!(f, "depth {}", self.0)
    }
}

/// A value that panics while it is recorded.
struct Panics;

impl fmt::Debug for Panics {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("on purpose");
    }
}

fn debug() {
    let _recorder = install();
    tracing::info!(before = 1, value = ?Logs(3), after = 2, "outer");
    for _ in 0..3 {
        std::panic::catch_unwind(|| tracing::info!(before = 1, value = ?Panics, "never recorded")).unwrap_err();
        std::panic::catch_unwind(|| tracing::info_span!("panicking", value = ?Panics)).unwrap_err();
    }
    tracing::info!(text = "x".repeat(5000), "the buffer is the large one again");
}

#[test]
fn debug_that_logs_or_panics() {
    rings_of("debug", |ring| {
        let tree = Tree::new(ring);
        let event = tree.event("outer");
        assert_eq!(
            (event.value("before"), event.value("value"), event.value("after")),
            ("i64 1", "debug depth 3", "i64 2")
        );
        let nested: Vec<_> = tree.events.iter().filter(|event| message(event) == Some("nested")).collect();
        let depths: Vec<_> = nested.iter().map(|event| (event.value("depth"), event.value("inner"))).collect();
        assert_eq!(depths, [("u64 1", "debug depth 0"), ("u64 2", "debug depth 1"), ("u64 3", "debug depth 2")]);
        assert_eq!(tree.event("the buffer is the large one again").value("text").len(), 5004);
        assert_eq!(tree.count("never recorded"), 0);
    });
}

fn many() {
    let segment_len = std::env::var("TTLOG_TEST_SEGMENT").unwrap().parse().unwrap();
    let recorder = ttlog_std::Recorder::builder().capacity_bytes(64 * 1024).segment_bytes(segment_len).build().unwrap();
    tracing::subscriber::set_global_default(ttlog_std::tracing::subscriber()).unwrap();
    for length in (0..5000).step_by(7) {
        tracing::info!(a = 1, text = "x".repeat(length), b = "y".repeat(length), c = 2, "length");
        tracing::warn!(a = 1, text = "x".repeat(length), b = "y".repeat(length), c = 2, "length");
    }
    assert_eq!(recorder.loss().dropped_total(), 0, "every event fits into the smallest segment");
    tracing::info!(
        a = 1,
        b = 2,
        c = 3,
        d = 4,
        e = 5,
        f = 6,
        g = 7,
        h = 8,
        i = 9,
        j = 10,
        k = 11,
        l = 12,
        m = 13,
        n = 14,
        o = 15,
        p = 16,
        q = 17,
        r = 18,
        s = 19,
        t = 20,
        u = 21,
        v = 22,
        w = 23,
        x = 24,
        y = 25,
        z = 26,
        "more fields than fit"
    );
    let dropped = recorder.loss().dropped_total();
    assert_eq!(dropped, u64::from(segment_len == 512), "at worst the event is counted");
}

#[test]
fn long_values_fit_into_short_segments() {
    for segment_len in ["512", "1024", "4096"] {
        let place = Place::new(&format!("tracing-many-{segment_len}"));
        let mut command = place.child("many");
        command.env("TTLOG_TEST_SEGMENT", segment_len);
        let output = finish(command);
        assert!(output.status.success(), "{segment_len}: {}", stderr(&output));
        let tree = Tree::new(RingContents::read(&place.ring_files()[0]));
        assert!(tree.count("length") > 3);
        for event in tree.events.iter().filter(|event| message(event) == Some("length")) {
            assert_eq!((event.value("a"), event.value("c")), ("i64 1", "i64 2"));
        }
    }
}

fn secrets() {
    let recorder = ttlog_std::Recorder::builder().secret_keys(["iban"]).build().unwrap();
    tracing::subscriber::set_global_default(ttlog_std::tracing::subscriber()).unwrap();
    let span = tracing::info_span!("login", user = "ann", password = "hunter2", iban = "hunter2");
    span.record("password", "hunter2");
    span.in_scope(|| tracing::info!(user = "ann", token = %"hunter2", iban = ?"hunter2", "in"));
    #[cfg(feature = "log")]
    {
        ttlog_std::log::logger().install().unwrap();
        log::info!(api_key = "hunter2", user = "ann"; "in");
    }
    recorder.request_snapshot("secrets").wait().unwrap();
}

#[test]
fn secrets_are_withheld_from_snapshots() {
    let place = Place::new("tracing-secrets");
    place.run("secrets");
    let snapshot = super::common::Snapshot::read(&place.snapshot_files()[0]);
    let values = || snapshot.events.iter().flat_map(|event| &event.values);
    assert!(values().filter(|(.., value)| value == "str ann").count() >= 2, "{:#?}", snapshot.events);
    assert!(values().all(|(.., value)| !value.contains("hunter2")), "{:#?}", snapshot.events);
    assert!(
        RingContents::read(&place.ring_files()[0]).events.iter().any(|event| event.event.value("user") == "str ann")
    );
}

#[cfg(all(tracing_unstable, feature = "valuable"))]
fn valuables() {
    use valuable::{Fields, NamedField, NamedValues, StructDef, Structable, Valuable, Value, Visit};

    struct Order(u64);
    const FIELDS: &[NamedField<'static>] = &[NamedField::new("id")];
    impl Valuable for Order {
        fn as_value(&self) -> Value<'_> {
            Value::Structable(self)
        }
        fn visit(&self, visit: &mut dyn Visit) {
            visit.visit_named_fields(&NamedValues::new(FIELDS, &[Value::U64(self.0)]));
        }
    }
    impl Structable for Order {
        fn definition(&self) -> StructDef<'_> {
            StructDef::new_static("Order", Fields::Named(FIELDS))
        }
    }
    let _recorder = install();
    tracing::info!(
        number = (-7_i32).as_value(),
        text = "t".as_value(),
        yes = true.as_value(),
        order = Order(9).as_value(),
        list = [1_u8, 2].as_slice().as_value(),
        "valuable"
    );
}

#[test]
#[cfg(all(tracing_unstable, feature = "valuable"))]
fn values_of_valuable() {
    rings_of("valuable", |ring| {
        let tree = Tree::new(ring);
        let event = tree.event("valuable");
        let values = ["number", "text", "yes", "order", "list"].map(|name| event.value(name));
        assert_eq!(values, ["i64 -7", "str t", "Bool(true)", "debug Order { id: 9 }", "debug [1, 2]"]);
    });
}

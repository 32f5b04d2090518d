//! The public interface, from a file to typed events, as another program uses it.

use std::path::PathBuf;

use ttlog_core::event::{Cons, Field, Metadata, Nil};
use ttlog_core::ring::{Cursor, DropReason};
use ttlog_core::snapshot::{Codec, Sink, SnapshotMeta, scratch_len, write_snapshot_of_image};
use ttlog_core::{
    Anchor, ContextInfo, Level, ProcessInfo, Ring, RingConfig, RingImage, Word, encode_callsite, encode_process,
};
use ttlog_read::query::{Keep, Limits};
use ttlog_read::{FieldValue, Query, Secrets, Timeline};

/// Wall clock at tick 0, in nanoseconds since 1970. A tick is a nanosecond.
const START: i64 = 1_769_828_340_000_000_000;
const SECOND: u64 = 1_000_000_000;

static ORDER: Metadata = Metadata {
    level: Level::Info,
    target: "shop::orders",
    message: "order {id} of {who}",
    file: "src/orders.rs",
    line: 42,
    fields: &[Field::dynamic("id"), Field::dynamic("who"), Field::dynamic("ms")],
};
static REFUSED: Metadata = Metadata {
    level: Level::Error,
    target: "shop::payment",
    message: "order {id} refused",
    file: "src/payment.rs",
    line: 7,
    fields: &[Field::dynamic("id")],
};

/// Returns the image of a ring with four small segments in which `event_count` orders were recorded, one a second, and
/// every tenth refused in the same second; two more events were dropped.
fn ring(event_count: u64) -> Vec<u8> {
    let config = RingConfig { ring_id: 77, segment_len: 1024, table_len: 2048, anchor_count: 4, ..RingConfig::PLAIN };
    let len = config.overhead_len() + 4 * 1024;
    let words: &'static [Word] = Vec::leak((0..len / 8).map(|_| Word::new(0)).collect());
    let ring = Ring::create(words, &config).expect("a good configuration");
    for seconds in [0, 100] {
        ring.write_anchor(Anchor { ticks: seconds * SECOND, unix_ns: START + (seconds * SECOND) as i64 });
    }
    let mut entry = [0; 2048];
    let process = ProcessInfo {
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
    let len = encode_process(&process, &mut entry).expect("room");
    ring.append_entry(&entry[..len]).expect("room in the table");
    let order = |id: u64| Cons(id, Cons("ann", Cons(id as f64 / 4.0, Nil)));
    for (id, metadata, types) in [(1, &ORDER, types(order(0))), (2, &REFUSED, types(Cons(0u64, Nil)))] {
        let len = encode_callsite(id, metadata, types, &mut entry).expect("room");
        ring.append_entry(&entry[..len]).expect("room in the table");
    }

    let thread = ContextInfo { context: 1, os_thread_id: 101, next_index: 0, name: "main" };
    let cursor = Cursor::new();
    for id in 0..event_count {
        cursor.append_slow(&ring, &|| id * SECOND, &thread, 1, &order(id));
        if id % 10 == 0 {
            cursor.append_slow(&ring, &|| id * SECOND, &thread, 2, &Cons(id, Nil));
        }
    }
    ring.count_dropped(DropReason::TooLarge, 2);
    let mut image = vec![0; ring.len_bytes()];
    ring.copy_image(&mut image);
    image
}

fn types<F: ttlog_core::Fields>(_fields: F) -> ttlog_core::TypeList {
    F::TYPES
}

/// Returns the snapshot of a ring's image.
fn snapshot(image: &[u8]) -> Vec<u8> {
    struct Bytes(Vec<u8>);
    impl Sink for Bytes {
        type Error = std::convert::Infallible;
        fn write_all(&mut self, bytes: &[u8]) -> Result<(), Self::Error> {
            self.0.extend_from_slice(bytes);
            Ok(())
        }
    }
    let image = RingImage::parse(image).expect("a good ring");
    let meta = SnapshotMeta { reason: "test", created_unix_ns: START, ticks: 1000 * SECOND };
    let (mut sink, mut scratch) = (Bytes(Vec::new()), vec![0; scratch_len(1024)]);
    write_snapshot_of_image(&image, &meta, Codec::Lz4, &mut scratch, &mut sink).expect("nothing can fail");
    sink.0
}

/// Writes a file for one test and returns its path.
fn file(name: &str, bytes: &[u8]) -> String {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, bytes).expect("the file can be written");
    path.to_str().expect("a path in UTF-8").to_owned()
}

/// Reads the events that a query selects from files, as (level, message, time).
fn read(names: &[&str], query: &Query) -> Vec<(Option<Level>, String, Option<i64>)> {
    let inputs = ttlog_read::open(names);
    assert_eq!(inputs.errors, [""; 0]);
    let sources = inputs.sources(&Secrets::default()).expect("good sources");
    let mut timeline = Timeline::read(&sources, query, &mut ());
    let mut events = timeline.events();
    let mut all = Vec::new();
    while let Some(event) = events.next_event() {
        all.push((event.level(), event.message(), event.unix_ns()));
    }
    all
}

#[test]
fn events_keep_their_types_and_their_source() {
    let name = file("typed.bin", &snapshot(&ring(3)));
    let inputs = ttlog_read::open(&[name]);
    let sources = inputs.sources(&Secrets::default()).unwrap();
    let mut timeline = Timeline::read(&sources, &Query::default(), &mut ());
    let mut events = timeline.events();

    let event = events.next_event().expect("the first event");
    assert_eq!((event.level(), event.target(), event.unix_ns()), (Some(Level::Info), "shop::orders", Some(START)));
    assert_eq!((event.message().as_str(), event.thread), ("order 0 of ann", Some(("main", 101))));
    let event = events.next_event().expect("the refusal");
    assert_eq!(event.message(), "order 0 refused");
    let event = events.next_event().expect("the second order");
    let fields: Vec<_> = event.fields().collect();
    assert!(matches!(
        fields[..],
        [("id", FieldValue::Unsigned(1)), ("who", FieldValue::Str(who)), ("ms", FieldValue::F64(0.25))]
            if who.text == "ann"
    ));
    assert!(events.next_event().is_some());
    assert!(events.next_event().is_none());

    let process = sources[0].process.as_ref().expect("a process");
    assert_eq!((process.service, process.pid, process.host), ("shop", 4711, "web-3"));
}

#[test]
fn a_query_selects_by_condition_time_and_number() {
    let name = file("query.ring", &ring(25));
    let errors = Query { conditions: vec!["level>=WARN".parse().unwrap()], ..Query::default() };
    let messages = |query: &Query| -> Vec<_> { read(&[&name], query).into_iter().map(|(_, text, _)| text).collect() };
    assert_eq!(messages(&errors), ["order 0 refused", "order 10 refused", "order 20 refused"]);

    let conditions = vec!["id>20".parse().unwrap(), "who=ann".parse().unwrap()];
    assert_eq!(messages(&Query { conditions: conditions.clone(), keep: Keep::First(1), ..Query::default() }).len(), 1);
    let last = Query { conditions, keep: Keep::Last(2), ..Query::default() };
    assert_eq!(messages(&last), ["order 23 of ann", "order 24 of ann"]);

    let limits = Limits::utc().last("2s").unwrap();
    assert_eq!(messages(&Query { limits, ..Query::default() }).len(), 3, "seconds 22, 23 and 24");
    assert!("level~".parse::<ttlog_read::Condition>().is_err());
}

#[test]
fn each_event_is_retained_or_counted() {
    let (orders, refused) = (400, 40);
    let name = file("loss.bin", &snapshot(&ring(orders)));
    let inputs = ttlog_read::open(&[&name]);
    let sources = inputs.sources(&Secrets::default()).unwrap();
    let timeline = Timeline::read(&sources, &Query::default(), &mut ());
    let (loss, retained) = (sources[0].loss, timeline.entries.len() as u64);
    assert!(loss.overwritten > 0 && retained > 0);
    assert_eq!(loss.dropped_total(), 2);
    assert_eq!(orders + refused + 2, retained + loss.overwritten + loss.dropped_total());
    assert!(!timeline.marks.is_empty(), "the loss is marked");
}

#[test]
fn several_files_form_one_timeline_without_doubles() {
    let image = ring(5);
    let (live, dead) = (file("doubles.ring", &image), file("doubles.bin", &snapshot(&image)));
    let once = read(&[&dead], &Query::default());
    assert_eq!(once.len(), 6);
    assert_eq!(read(&[&dead, &live], &Query::default()), once);
    assert!(once.is_sorted_by_key(|(_, _, unix_ns)| *unix_ns));
}

#[test]
fn what_is_intact_comes_out_and_what_is_missing_is_reported() {
    let whole = snapshot(&ring(60));
    let all = read(&[&file("whole.bin", &whole)], &Query::default()).len();
    let mut most = 0;
    for len in (0..whole.len()).step_by(97) {
        let name = file("cut.bin", &whole[..len]);
        let inputs = ttlog_read::open(&[&name]);
        let Ok(sources) = inputs.sources(&Secrets::default()) else { continue };
        let mut timeline = Timeline::read(&sources, &Query::default(), &mut ());
        assert!(sources.iter().zip(&timeline.found).all(|(source, found)| found.is_damaged(source)), "{len} bytes");
        let mut events = timeline.events();
        let mut count = 0;
        while let Some(event) = events.next_event() {
            assert!(event.message().starts_with("order "));
            count += 1;
        }
        assert!(count <= all);
        most = most.max(count);
    }
    assert!(most > all / 2, "a cut near the end leaves most events: {most} of {all}");
    let inputs = ttlog_read::open(&["no such file"]);
    assert_eq!(inputs.errors.len(), 1);
    assert!(inputs.errors[0].contains("no such file"), "{:?}", inputs.errors);
}

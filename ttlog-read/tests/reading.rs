//! The public interface, from a file to typed events, as another program uses it.

#[path = "support/recording.rs"]
mod recording;

use std::path::PathBuf;

use recording::{Recording, SECOND, START, Thread};
use ttlog_core::Level;
use ttlog_core::ring::DropReason;
use ttlog_core::snapshot::Codec;
use ttlog_read::query::{Keep, Limits};
use ttlog_read::{FieldValue, Query, Secrets, Timeline};

/// Returns a ring with four small segments in which `event_count` orders were recorded, one a second, and every tenth
/// refused in the same second; two more events were dropped.
fn shop(event_count: u64) -> Recording {
    let recording = Recording::new(77, 4, 1024);
    recording.know_shop();
    let main = Thread::new(1, "main");
    for id in 0..event_count {
        recording.order(&main, id * SECOND, id, "ann", id as f64 / 4.0, "/orders");
        if id % 10 == 0 {
            recording.refused(&main, id * SECOND, id);
        }
    }
    recording.ring.count_dropped(DropReason::TooLarge, 2);
    recording
}

fn snapshot(recording: &Recording) -> Vec<u8> {
    recording.snapshot("test", 1000 * SECOND, Codec::Lz4)
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
    let name = file("typed.bin", &snapshot(&shop(3)));
    let inputs = ttlog_read::open(&[name]);
    let sources = inputs.sources(&Secrets::default()).unwrap();
    let mut timeline = Timeline::read(&sources, &Query::default(), &mut ());
    let mut events = timeline.events();

    let event = events.next_event().expect("the first event");
    assert_eq!((event.level(), event.target(), event.unix_ns()), (Some(Level::Info), "shop::orders", Some(START)));
    assert_eq!((event.message().as_str(), event.thread), ("order 0 of ann took 0.0 ms", Some(("main", 101))));
    let event = events.next_event().expect("the refusal");
    assert_eq!(event.message(), "order 0 refused: card declined");
    let event = events.next_event().expect("the second order");
    let fields: Vec<_> = event.fields().collect();
    assert!(matches!(
        fields[..],
        [
            ("id", FieldValue::Unsigned(1)),
            ("who", FieldValue::Str(who)),
            ("ms", FieldValue::F64(0.25)),
            ("path", FieldValue::Str(path)),
        ] if (who.text, path.text) == ("ann", "/orders")
    ));
    assert!(events.next_event().is_some());
    assert!(events.next_event().is_none());

    let process = sources[0].process.as_ref().expect("a process");
    assert_eq!((process.service, process.pid, process.host), ("shop", 4711, "web-3"));
}

#[test]
fn a_query_selects_by_condition_time_and_number() {
    let name = file("query.ring", &shop(25).image());
    let errors = Query { filter: "level>=WARN".parse().unwrap(), ..Query::default() };
    let messages = |query: &Query| -> Vec<_> { read(&[&name], query).into_iter().map(|(_, text, _)| text).collect() };
    assert_eq!(
        messages(&errors),
        ["order 0 refused: card declined", "order 10 refused: card declined", "order 20 refused: card declined"]
    );

    let filter: ttlog_read::Filter = "id>20 and who=ann".parse().unwrap();
    assert_eq!(messages(&Query { filter: filter.clone(), keep: Keep::First(1), ..Query::default() }).len(), 1);
    let last = Query { filter, keep: Keep::Last(2), ..Query::default() };
    assert_eq!(messages(&last), ["order 23 of ann took 5.8 ms", "order 24 of ann took 6.0 ms"]);

    let limits = Limits::utc().last("2s").unwrap();
    assert_eq!(messages(&Query { limits, ..Query::default() }).len(), 3, "seconds 22, 23 and 24");
    assert!("level~".parse::<ttlog_read::Filter>().is_err());
}

#[test]
fn each_event_is_retained_or_counted() {
    let (orders, refused) = (400, 40);
    let name = file("loss.bin", &snapshot(&shop(orders)));
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
    let shop = shop(5);
    let (live, dead) = (file("doubles.ring", &shop.image()), file("doubles.bin", &snapshot(&shop)));
    let once = read(&[&dead], &Query::default());
    assert_eq!(once.len(), 6);
    assert_eq!(read(&[&dead, &live], &Query::default()), once);
    assert!(once.is_sorted_by_key(|(_, _, unix_ns)| *unix_ns));
}

#[test]
fn what_is_intact_comes_out_and_what_is_missing_is_reported() {
    let whole = snapshot(&shop(60));
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

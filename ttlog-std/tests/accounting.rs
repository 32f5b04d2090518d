//! Every event is in the ring, overwritten or dropped, and every kind of value is read back as it was logged.
#![cfg(target_os = "linux")]

mod common;

use std::path::Path;

use common::{Place, Snapshot};
use ttlog_core::{Item, RingImage, SegmentState};
use ttlog_std::{Level, Recorder, debug, error, event, info, trace, warn};

/// Not a test: entry point of the children of the tests below.
#[test]
#[ignore = "run by the other tests in child processes"]
fn child() {
    let Some(case) = common::case() else { return };
    if case == "values" {
        let recorder = Recorder::builder().build().unwrap();
        log_values();
        recorder.request_snapshot("values").wait().unwrap();
        return;
    }
    if let Some(priority_bytes) = case.strip_prefix("flood ") {
        flood(priority_bytes.parse().unwrap());
        return;
    }
    let numbers: Vec<usize> = case.split(' ').map(|number| number.parse().unwrap()).collect();
    let [threads, per_thread, capacity_bytes, segment_bytes] = numbers[..] else { panic!("{case}") };
    let builder = Recorder::builder().capacity_bytes(capacity_bytes).segment_bytes(segment_bytes);
    let recorder = builder.build().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(move || {
                for number in 0..per_thread {
                    match number % 4 {
                        0 => info!("small", number),
                        1 => warn!("with a text", text = &"abcdefgh".repeat(number % 20)[..]),
                        2 => debug!("with another type", share = number as f64),
                        // Short segments hold it only if its sequences are cut.
                        _ => error!("with many", a = [0_u64; 100], b = [number as u64; 100]),
                    }
                }
            });
        }
    });
    let path = recorder.request_snapshot("accounting").wait().unwrap();
    let snapshot = Snapshot::read(&path);
    let loss = recorder.loss();
    let emitted = (threads * per_thread) as u64;
    assert_eq!(snapshot.overwritten, loss.overwritten);
    assert_eq!(snapshot.events.len() as u64 + loss.overwritten + loss.dropped_total(), emitted, "{loss:?}");
    let (retained, overwritten, dropped) = read_ring(recorder.ring_path().unwrap());
    assert_eq!((overwritten, dropped), (loss.overwritten, loss.dropped_total()));
    assert_eq!(retained, snapshot.events.len() as u64);
    assert_eq!(retained + overwritten + dropped, emitted);
    println!("COUNTED {retained} {overwritten} {dropped}");
}

/// Returns the numbers of retained, overwritten and dropped events of a ring's file.
fn read_ring(path: &Path) -> (u64, u64, u64) {
    let bytes = std::fs::read(path).unwrap();
    let image = RingImage::parse(&bytes).unwrap();
    let (mut retained, mut overwritten) = (0, 0);
    for index in 0..image.header().segment_count {
        match image.segment(index) {
            SegmentState::Unused => {}
            SegmentState::Opening { lost } => overwritten += lost,
            SegmentState::Damaged(error) => panic!("segment {index}: {error}"),
            SegmentState::Valid(segment) => {
                overwritten += segment.header.lost;
                for item in segment.items() {
                    match item {
                        Item::Event(_) => retained += 1,
                        Item::Context(_) => {}
                        other => panic!("{other:?} in segment {index}"),
                    }
                }
            }
        }
    }
    (retained, overwritten, image.header().dropped.iter().sum())
}

/// Runs threads that log a given number of events each, and returns the numbers of retained, overwritten and dropped
/// events.
fn count(threads: usize, per_thread: usize, capacity_bytes: usize, segment_bytes: usize) -> [u64; 3] {
    let place = Place::new(&format!("accounting-{threads}-{capacity_bytes}"));
    let output = place.run(&format!("{threads} {per_thread} {capacity_bytes} {segment_bytes}"));
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let line =
        stdout.split("COUNTED ").nth(1).and_then(|rest| rest.lines().next()).unwrap_or_else(|| panic!("{stdout}"));
    let numbers: Vec<u64> = line.split(' ').map(|number| number.parse().unwrap()).collect();
    numbers.try_into().unwrap()
}

#[test]
fn ring_that_holds_everything() {
    let [retained, overwritten, dropped] = count(4, 1000, 16 << 20, 65_536);
    assert_eq!((retained, overwritten, dropped), (4000, 0, 0));
}

#[test]
fn ring_that_wraps() {
    let [_, overwritten, dropped] = count(4, 20_000, 1 << 20, 4096);
    assert!(overwritten > 0 && dropped == 0, "{overwritten} {dropped}");
}

#[test]
fn more_threads_than_segments() {
    let [_, overwritten, _] = count(16, 3000, 16 << 10, 4096);
    assert!(overwritten > 0);
}

#[test]
fn segments_that_are_too_short_for_some_events() {
    let [retained, overwritten, _] = count(3, 5000, 16 << 10, 512);
    assert!(retained > 0 && overwritten > 0);
}

/// Logs 1,000 errors from two threads, and then enough other events to wrap the ring several times. Prints the number
/// of errors in a snapshot.
fn flood(priority_bytes: usize) {
    let recorder = Recorder::builder().capacity_bytes(1 << 20).priority_bytes(priority_bytes).build().unwrap();
    for thread in 0..2 {
        let log = move || (0..500).for_each(|number| error!("an error", thread, number));
        std::thread::Builder::new().name(format!("thread {thread}")).spawn(log).unwrap().join().unwrap();
    }
    for number in 0..300_000 {
        debug!("a detail", number);
    }
    let path = recorder.request_snapshot("flood").wait().unwrap();
    let snapshot = Snapshot::read(&path);
    let errors = snapshot.with_message("an error");
    let loss = recorder.loss();
    assert_eq!(snapshot.events.len() as u64 + loss.overwritten + loss.dropped_total(), 301_000, "{loss:?}");
    assert!(loss.overwritten > 200_000 && loss.priority_overwritten == 0);
    for thread in ["0", "1"] {
        let numbers =
            errors.iter().filter(|event| event.fields["thread"] == thread).map(|event| &event.fields["number"]);
        for (index, number) in numbers.enumerate() {
            assert_eq!(*number, index.to_string(), "all of them, in order");
        }
    }
    println!("ERRORS {}", errors.len());
}

#[test]
fn errors_outlive_a_flood_of_details() {
    for (priority_bytes, errors) in [(128 << 10, 1000), (0, 0)] {
        let place = Place::new(&format!("flood-{priority_bytes}"));
        let output = place.run(&format!("flood {priority_bytes}"));
        let stdout = String::from_utf8_lossy(&output.stdout);
        assert!(stdout.contains(&format!("ERRORS {errors}\n")), "{stdout}");
    }
}

/// Logs a value of every kind, through every macro.
fn log_values() {
    let owned = String::from("owned");
    let error = std::io::Error::other("broken");
    let nothing: Option<u32> = None;
    trace!("unsigned", a = u8::MAX, b = u16::MAX, c = u32::MAX, d = u64::MAX, e = u128::MAX, f = usize::MAX);
    debug!("signed", a = i8::MIN, b = i16::MIN, c = i32::MIN, d = i64::MIN, e = i128::MIN, f = isize::MIN);
    info!("others", a = 1.5_f32, b = -0.25_f64, c = true, d = 'ß', e = (), f = f64::NAN);
    warn!("texts", a = "literal", b = &owned[..], c = owned, d = %owned, e = ?owned, empty = "");
    error!("nested", a = Some(5_u8), b = nothing, c = [1_u16, 2, 3], d = vec!["x", "y"], error);
    event!(Level::Warn, "template {owned} {:>4} {n:?}", 7_u32, n = Some(-1_i32));
}

#[test]
fn values_of_every_kind_come_back() {
    let place = Place::new("values");
    place.run("values");
    let snapshot = Snapshot::read(&place.snapshot_files()[0]);
    let told: Vec<String> = snapshot
        .events
        .iter()
        .map(|event| {
            let fields: Vec<_> = event.fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
            format!("{} {}: {}", event.level, event.message, fields.join(" "))
        })
        .collect();
    let expected = [
        "TRACE unsigned: a=255 b=65535 c=4294967295 d=18446744073709551615 \
         e=U128(340282366920938463463374607431768211455) f=18446744073709551615",
        "DEBUG signed: a=-128 b=-32768 c=-2147483648 d=-9223372036854775808 \
         e=I128(-170141183460469231731687303715884105728) f=-9223372036854775808",
        "INFO others: a=F64(1.5) b=F64(-0.25) c=Bool(true) d=Char('ß') e=Unit f=F64(NaN)",
        "WARN texts: a=literal b=owned c=owned d=owned e=owned empty=",
        "ERROR nested: a=5 b=None c=[1, 2, 3] d=[x, y] error=[broken]",
        "WARN template {owned} {arg0:>4} {n:?}: arg0=7 n=-1 owned=owned",
    ];
    assert_eq!(told, expected);
}

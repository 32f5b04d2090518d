//! The ring alone, on the heap, without macros, threads and clock: appending, opening segments, the table, copying.

use std::cell::Cell;
use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use ttlog_core::event::{Cons, Nil};
use ttlog_core::ring::{AppendOutcome, Cursor};
use ttlog_core::{AnyFields, ContextInfo, DropReason, Fields, Ring, RingConfig, RingImage, SegmentState, Word};

const RING_LEN: usize = 1 << 20;
const BATCH: u64 = 1000;
const WHO: ContextInfo<'static> = ContextInfo { context: 1, os_thread_id: 1, next_index: 0, name: "bench" };

fn memory(len: usize) -> Vec<Word> {
    (0..len / 8).map(|_| Word::new(0)).collect()
}

/// Appends as a recorder does: the fast path first, then the slow one.
fn append<'m, F: Fields>(ring: &Ring<'m>, cursor: &Cursor<'m>, ticks: u64, fields: F) {
    if !cursor.append_small(1, ticks, &fields) && !cursor.append_plain(1, ticks, &fields) {
        let outcome = cursor.append_slow(ring, &|| ticks, &WHO, 1, &fields);
        assert_eq!(outcome, AppendOutcome::Recorded);
    }
}

/// Checks that every appended event is in the ring or counted as overwritten.
fn must_account_for(ring: &Ring<'_>, emitted: u64) {
    let mut image = vec![0; ring.len_bytes()];
    ring.copy_image(&mut image);
    let image = RingImage::parse(&image).expect("a ring");
    let count = |index| match image.segment(index) {
        SegmentState::Valid(segment) => {
            segment.items().filter(|item| matches!(item, ttlog_core::Item::Event(_))).count()
        }
        SegmentState::Unused => 0,
        other => panic!("segment {index} is {other:?}"),
    };
    let retained: usize = (0..ring.segment_count()).map(count).sum();
    assert_eq!(retained as u64 + ring.loss().overwritten, emitted);
}

fn appending(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("ring/append");
    group.throughput(Throughput::Elements(BATCH));
    fn case<F: Fields>(
        group: &mut criterion::BenchmarkGroup<'_, criterion::measurement::WallTime>,
        name: &str,
        fields: impl Fn(u64) -> F,
    ) {
        let memory = memory(RING_LEN);
        let ring = Ring::create(&memory, &RingConfig::for_capacity(RING_LEN, 1)).expect("a ring");
        let cursor = Cursor::new();
        let mut ticks = 0;
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                for _ in 0..BATCH {
                    ticks += 1;
                    append(&ring, &cursor, ticks, fields(black_box(ticks)));
                }
            });
        });
        must_account_for(&ring, ticks);
    }
    case(&mut group, "no_fields", |_| Nil);
    case(&mut group, "u64", |n| Cons(n, Nil));
    case(&mut group, "str_u64_f64", |n| Cons("ABCD", Cons(n, Cons(n as f64, Nil))));
    case(&mut group, "str_64", |n| Cons(&TEXT[..64 - (n % 2) as usize], Nil));
    case(&mut group, "str_1000", |n| Cons(&TEXT[..1000 - (n % 2) as usize], Nil));
    group.finish();
}

const TEXT: &str = match str::from_utf8(&[b'x'; 1000]) {
    Ok(text) => text,
    Err(_) => "",
};

/// The shared writer: for nested events, contexts without a segment of their own, and kept events.
fn shared(criterion: &mut Criterion) {
    let told = Cell::new(0);
    shared_case(criterion, "ring/append_shared", |ring, ticks, fields| {
        ring.append_shared(ticks, 1, 1, fields, DropReason::NoSegment)
    });
    shared_case(criterion, "ring/append_priority", |ring, ticks, fields| {
        ring.append_priority(ticks, &WHO, Some(&told), 1, fields, DropReason::NoSegment)
    });
}

fn shared_case(
    criterion: &mut Criterion,
    name: &str,
    append: impl Fn(&Ring<'_>, u64, &dyn AnyFields) -> AppendOutcome,
) {
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Elements(BATCH));
    let mut case = |name: &str, append: &dyn Fn(&Ring<'_>, u64) -> AppendOutcome| {
        let memory = memory(RING_LEN);
        let ring = Ring::create(&memory, &RingConfig::for_capacity(RING_LEN, 1)).expect("a ring");
        let mut ticks = 0;
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                for _ in 0..BATCH {
                    ticks += 1;
                    assert_eq!(append(&ring, ticks), AppendOutcome::Recorded);
                }
            });
        });
        must_account_for(&ring, ticks);
    };
    case("u64", &|ring, ticks| append(ring, ticks, &Cons(black_box(ticks), Nil)));
    case("str_u64_f64", &|ring, ticks| {
        append(ring, ticks, &Cons("ABCD", Cons(black_box(ticks), Cons(ticks as f64, Nil))))
    });
    group.finish();
}

fn around(criterion: &mut Criterion) {
    let config = RingConfig::for_capacity(RING_LEN, 1);
    let mut group = criterion.benchmark_group("ring");
    // A thread that starts, logs one event and ends.
    let memory_1 = memory(RING_LEN);
    let ring = Ring::create(&memory_1, &config).expect("a ring");
    let mut ticks = 0;
    group.bench_function("first_event_and_end", |bencher| {
        bencher.iter(|| {
            ticks += 1;
            let cursor = Cursor::new();
            append(&ring, &cursor, ticks, Cons(ticks, Nil));
            cursor.detach(&ring, ticks);
        });
    });
    must_account_for(&ring, ticks);

    group.throughput(Throughput::Bytes(config.segment_len.into()));
    let cursor = Cursor::new();
    while ring.utilization() < 0.9 {
        ticks += 1;
        append(&ring, &cursor, ticks, Cons(ticks, Nil));
    }
    let mut out = vec![0; ring.segment_len()];
    group.bench_function("copy_segment", |bencher| {
        bencher.iter(|| {
            let SegmentState::Valid(segment) = ring.copy_segment(3, &mut out) else { panic!("no segment") };
            assert!(segment.header.count > 0);
        });
    });

    group.throughput(Throughput::Elements(1));
    group.bench_function("append_entry", |bencher| {
        bencher.iter_batched(
            || memory(RING_LEN / 16),
            |memory| {
                let ring = Ring::create(&memory, &RingConfig::for_capacity(RING_LEN / 16, 1)).expect("a ring");
                ring.append_entry(&[7; 100]).expect("room");
                memory
            },
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

criterion_group!(benches, appending, shared, around);
criterion_main!(benches);

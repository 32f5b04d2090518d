//! Events and spans of `tracing`, and records of `log`, beside native events and a layer that only visits the values.
//! Afterwards the ring is read back: every event must be accounted for.

#[path = "support/facades.rs"]
mod cases;

use std::cell::Cell;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use tracing::Dispatch;
use ttlog_benches::check::readback::read_ring;
use ttlog_benches::harness::recorder::{MeasuredRecorder, Setup};
use ttlog_std::Level;

/// Events per iteration, so that the cost of the iteration itself is negligible.
const BATCH: u64 = 1000;

/// Measures one thing: `records` is the number of records that each call leaves in the ring.
fn bench(group: &mut BenchmarkGroup<'_, WallTime>, emitted: &Cell<u64>, records: u64, name: &str, call: impl Fn(u64)) {
    group.bench_function(name, |bencher| {
        bencher.iter(|| {
            (0..BATCH).for_each(&call);
            emitted.set(emitted.get() + BATCH * records);
        });
    });
}

fn facades(criterion: &mut Criterion) {
    let recorder = MeasuredRecorder::start(Setup::default()).expect("a recorder");
    let handle = recorder.handle();
    let emitted = Cell::new(0);
    let mut group = criterion.benchmark_group("facades");
    group.throughput(Throughput::Elements(BATCH));
    bench(&mut group, &emitted, 1, "native: event, 3 fields", |n| {
        ttlog_std::info!("order executed", symbol = "ACME", quantity = n, price = n as f64 / 4.0);
    });

    let ways: [(&str, Dispatch, u64); 3] = [
        ("visiting layer", cases::visiting(), 0),
        ("layer", cases::layer(handle), 1),
        ("subscriber", cases::subscriber(), 1),
    ];
    for (way, dispatch, records) in &ways {
        tracing::dispatcher::with_default(dispatch, || {
            bench(&mut group, &emitted, *records, &format!("{way}: event, 3 fields"), cases::event);
            bench(&mut group, &emitted, *records, &format!("{way}: event, formatted message"), cases::formatted);
            bench(&mut group, &emitted, 4 * records, &format!("{way}: life of a span, 1 field"), cases::span);
            let span = tracing::info_span!("open");
            emitted.set(emitted.get() + records);
            bench(&mut group, &emitted, 2 * records, &format!("{way}: enter and leave"), |_| span.in_scope(|| ()));
            span.in_scope(|| {
                bench(&mut group, &emitted, *records, &format!("{way}: event in a span"), |n| {
                    tracing::info!(quantity = n, "order executed");
                });
            });
            // Enter, leave, end.
            emitted.set(emitted.get() + 3 * records);
            drop(span);
        });
    }

    handle.logger().install().expect("the first logger");
    bench(&mut group, &emitted, 1, "log: record, 2 key-values", cases::record);

    handle.set_level(Level::Warn);
    bench(&mut group, &emitted, 0, "no subscriber: disabled event", cases::off);
    // Without the layer that wants everything.
    let [visiting, layer, subscriber] = ways;
    drop(visiting);
    for (way, dispatch, _) in [&layer, &subscriber] {
        tracing::dispatcher::with_default(dispatch, || {
            // What the recorder does within a tenth of a second.
            tracing::callsite::rebuild_interest_cache();
            bench(&mut group, &emitted, 0, &format!("{way}: disabled event"), cases::off);
        });
    }
    group.finish();

    let image = recorder.image().expect("a ring");
    let counted = read_ring(&image, |_| Ok(())).expect("a whole ring");
    counted.must_account_for(emitted.get()).expect("nothing lost without a trace");
    recorder.end().expect("a good end");
}

criterion_group!(benches, facades);
criterion_main!(benches);

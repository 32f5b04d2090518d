//! Events and spans of `tracing`, and records of `log`, beside native events and a layer that only visits the values.
//! Afterwards the ring is read back: every event must be accounted for.

use std::cell::Cell;
use std::fmt::Debug;
use std::hint::black_box;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use tracing::field::{Field, Visit};
use tracing::{Dispatch, Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
use ttlog_benches::check::readback::read_ring;
use ttlog_benches::harness::recorder::{MeasuredRecorder, Setup};
use ttlog_std::Level;

/// Events per iteration, so that the cost of the iteration itself is negligible.
const BATCH: u64 = 1000;

/// A layer that visits the values of events and spans, and does nothing else.
struct Visiting;

struct Ignore;

impl Visit for Ignore {
    fn record_u64(&mut self, _: &Field, value: u64) {
        black_box(value);
    }
    fn record_f64(&mut self, _: &Field, value: f64) {
        black_box(value);
    }
    fn record_str(&mut self, _: &Field, value: &str) {
        black_box(value);
    }
    fn record_debug(&mut self, _: &Field, value: &dyn Debug) {
        black_box(value);
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Visiting {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        event.record(&mut Ignore);
    }
    fn on_new_span(&self, attributes: &tracing::span::Attributes<'_>, _: &tracing::Id, _: Context<'_, S>) {
        attributes.record(&mut Ignore);
    }
}

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
    let price = |n: u64| n as f64 / 4.0;
    bench(&mut group, &emitted, 1, "native: event, 3 fields", |n| {
        ttlog_std::info!("order executed", symbol = "ACME", quantity = n, price = price(n));
    });

    let ways: [(&str, Dispatch, u64); 3] = [
        ("visiting layer", Dispatch::new(tracing_subscriber::registry().with(Visiting)), 0),
        ("layer", Dispatch::new(tracing_subscriber::registry().with(handle.layer())), 1),
        ("subscriber", Dispatch::new(ttlog_std::tracing::subscriber()), 1),
    ];
    for (way, dispatch, records) in &ways {
        tracing::dispatcher::with_default(dispatch, || {
            bench(&mut group, &emitted, *records, &format!("{way}: event, 3 fields"), |n| {
                tracing::info!(symbol = "ACME", quantity = n, price = price(n), "order executed");
            });
            bench(&mut group, &emitted, *records, &format!("{way}: event, formatted message"), |n| {
                tracing::info!("order {n} executed");
            });
            bench(&mut group, &emitted, 4 * records, &format!("{way}: life of a span, 1 field"), |n| {
                tracing::info_span!("order", n).in_scope(|| ());
            });
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
    bench(&mut group, &emitted, 1, "log: record, 2 key-values", |n| {
        log::info!(symbol = "ACME", quantity = n; "order executed");
    });

    handle.set_level(Level::Warn);
    let off = |n| tracing::debug!(quantity = n, "order executed");
    bench(&mut group, &emitted, 0, "no subscriber: disabled event", off);
    // Without the layer that wants everything.
    let [visiting, layer, subscriber] = ways;
    drop(visiting);
    for (way, dispatch, _) in [&layer, &subscriber] {
        tracing::dispatcher::with_default(dispatch, || {
            // What the recorder does within a tenth of a second.
            tracing::callsite::rebuild_interest_cache();
            bench(&mut group, &emitted, 0, &format!("{way}: disabled event"), off);
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

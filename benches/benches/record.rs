//! One event of each kind, from macro to ring. Afterwards the ring is read back: every event must be accounted for.

use std::cell::Cell;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ttlog_benches::check::readback::read_ring;
use ttlog_benches::harness::recorder::{MeasuredRecorder, Setup};
use ttlog_benches::workload::cases::{self, Case};
use ttlog_benches::workload::inputs::{Inputs, table};
use ttlog_std::Level;

/// Events per iteration, so that the cost of the iteration itself is negligible.
const BATCH: u64 = 1000;

fn record(criterion: &mut Criterion) {
    let recorder = MeasuredRecorder::start(Setup::default()).expect("a recorder");
    let emitted = Cell::new(0);
    let mut group = criterion.benchmark_group("record");
    group.throughput(Throughput::Elements(BATCH));
    let all = cases::ALL.iter().filter(|case| case.emits && !case.setup.coarse_clock);
    for case in all {
        let inputs = table(case.texts);
        group.bench_function(case.name, |bencher| bencher.iter(|| log(*case, inputs, &emitted)));
    }
    recorder.handle().set_level(Level::Warn);
    let disabled = cases::find("disabled").expect("a case");
    let inputs = table(disabled.texts);
    group.bench_function(disabled.name, |bencher| bencher.iter(|| (disabled.measured)(inputs, 0, BATCH)));
    group.finish();

    let image = recorder.image().expect("a ring");
    let counted = read_ring(&image, |_| Ok(())).expect("a whole ring");
    counted.must_account_for(emitted.get()).expect("nothing lost without a trace");
    recorder.end().expect("a good end");
}

fn log(case: Case, inputs: &Inputs, emitted: &Cell<u64>) {
    (case.measured)(inputs, emitted.get(), BATCH);
    emitted.set(emitted.get() + BATCH);
}

criterion_group!(benches, record);
criterion_main!(benches);

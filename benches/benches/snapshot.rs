//! Writing a snapshot of a full ring to memory, with each codec.

mod support;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ttlog_core::RingImage;
use ttlog_core::event::secret::SecretKeys;
use ttlog_core::snapshot::{
    Codec, SCRATCH_LEN_MIN, Sink, SnapshotMeta, SnapshotOptions, SnapshotStats, Withhold, scratch_len,
    write_snapshot_of_image, write_snapshot_of_ring,
};

struct Counter(u64);

impl Sink for Counter {
    type Error = std::convert::Infallible;

    fn write_all(&mut self, bytes: &[u8]) -> Result<(), Self::Error> {
        self.0 += bytes.len() as u64;
        Ok(())
    }
}

fn snapshot(criterion: &mut Criterion) {
    let memory = support::memory();
    let (ring, retained, _) = support::full_ring(&memory);
    let meta = SnapshotMeta { reason: "bench", created_unix_ns: 0, ticks: 0 };
    let check = |stats: SnapshotStats, counter: &Counter, bytes_max: u64| {
        assert_eq!((stats.event_count, stats.void_count, stats.damaged_count), (retained, 0, 0));
        assert_eq!(stats.written_bytes, counter.0);
        assert!(counter.0 <= retained * bytes_max, "{} bytes for {retained} events", counter.0);
    };
    let mut group = criterion.benchmark_group("snapshot");
    group.throughput(Throughput::Elements(retained));
    let mut scratch = vec![0; scratch_len(ring.segment_len())];
    group.bench_function("ring_lz4", |bencher| {
        bencher.iter(|| {
            let mut counter = Counter(0);
            let stats =
                write_snapshot_of_ring(ring, &meta, Codec::Lz4, &mut scratch, &mut counter).expect("a snapshot");
            check(stats, &counter, 12);
        });
    });
    group.bench_function("ring_none", |bencher| {
        bencher.iter(|| {
            let (mut counter, mut little) = (Counter(0), [0; SCRATCH_LEN_MIN]);
            let stats =
                write_snapshot_of_ring(ring, &meta, Codec::None, &mut little, &mut counter).expect("a snapshot");
            check(stats, &counter, 32);
        });
    });
    let mut image = vec![0; ring.len_bytes()];
    ring.copy_image(&mut image);
    let image = RingImage::parse(&image).expect("a ring");
    group.bench_function("image_lz4", |bencher| {
        bencher.iter(|| {
            let mut counter = Counter(0);
            let stats =
                write_snapshot_of_image(&image, &meta, Codec::Lz4, &mut scratch, &mut counter).expect("a snapshot");
            check(stats, &counter, 12);
        });
    });
    // Looking for secrets where there are none, and masking a field of every event.
    for (name, keys, withheld) in [("image_lz4_no_secrets", &[][..], 0), ("image_lz4_secrets", &["symbol"], retained)] {
        let withhold = Some(Withhold::new(SecretKeys::with(keys)));
        let options = SnapshotOptions { withhold, ..SnapshotOptions::new(Codec::Lz4) };
        let mut scratch = vec![0; options.scratch_len(ring.segment_len())];
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let mut counter = Counter(0);
                let stats =
                    write_snapshot_of_image(&image, &meta, options, &mut scratch, &mut counter).expect("a snapshot");
                check(stats, &counter, 12);
                assert_eq!(stats.withheld_count, withheld);
            });
        });
    }
    group.finish();
}

criterion_group!(benches, snapshot);
criterion_main!(benches);

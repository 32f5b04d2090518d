//! Reads events from the bytes of a ring and from a snapshot, with and without their values.

mod support;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ttlog_core::ring::SEGMENT_LEN_MAX;
use ttlog_core::snapshot::{
    Codec, Sink, SnapshotItem, SnapshotMeta, SnapshotReader, scratch_len, unpack_len, write_snapshot_of_ring,
};
use ttlog_core::table::{FieldInfo, values_of};
use ttlog_core::{Item, RingImage, Segment, SegmentState, TableItem, ValueRef};

struct Gather(Vec<u8>);

impl Sink for Gather {
    type Error = std::convert::Infallible;

    fn write_all(&mut self, bytes: &[u8]) -> Result<(), Self::Error> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

/// Counts the events of a segment; given the fields of their callsite, also sums up their quantities.
fn take<'a>(segment: &Segment<'a>, fields: Option<&[FieldInfo<'a>]>, total: &mut (u64, u64)) {
    for item in segment.items() {
        let Item::Event(record) = item else { continue };
        total.0 += 1;
        let Some(fields) = fields else { continue };
        for value in values_of(fields, record.payload) {
            if let ValueRef::Unsigned(quantity) = value.expect("a value") {
                total.1 += quantity;
            }
        }
    }
}

fn ring_total(bytes: &[u8], with_values: bool) -> (u64, u64) {
    let image = RingImage::parse(bytes).expect("a ring");
    let mut total = (0, 0);
    let fields = image.entries().find_map(|entry| fields_of(entry.bytes)).filter(|_| with_values);
    for index in 0..image.header().segment_count {
        if let SegmentState::Valid(segment) = image.segment(index) {
            take(&segment, fields.as_deref(), &mut total);
        }
    }
    total
}

fn snapshot_total(bytes: &[u8], room: &mut [u8], with_values: bool) -> (u64, u64) {
    let mut total = (0, 0);
    let mut fields = None;
    for item in SnapshotReader::new(bytes).items() {
        match item {
            SnapshotItem::Entry(entry) => fields = fields_of(entry.bytes).filter(|_| with_values).or(fields),
            SnapshotItem::Segment(segment) => {
                take(&segment.unpack(room).expect("a segment"), fields.as_deref(), &mut total);
            }
            _ => {}
        }
    }
    total
}

fn fields_of(entry: &[u8]) -> Option<Vec<FieldInfo<'_>>> {
    match TableItem::decode(entry) {
        Ok(TableItem::Callsite(callsite)) => Some(callsite.fields().collect()),
        _ => None,
    }
}

fn decode(criterion: &mut Criterion) {
    let memory = support::memory();
    let (ring, retained, quantities) = support::full_ring(&memory);
    let mut image = vec![0; ring.len_bytes()];
    ring.copy_image(&mut image);
    let mut snapshot = Gather(Vec::new());
    let meta = SnapshotMeta { reason: "bench", created_unix_ns: 0, ticks: 0 };
    let mut scratch = vec![0; scratch_len(ring.segment_len())];
    write_snapshot_of_ring(ring, &meta, Codec::Lz4, &mut scratch, &mut snapshot).expect("a snapshot");
    let mut room = vec![0; unpack_len(SEGMENT_LEN_MAX as usize)];

    let mut group = criterion.benchmark_group("decode");
    group.throughput(Throughput::Elements(retained));
    group.bench_function("ring", |bencher| bencher.iter(|| assert_eq!(ring_total(&image, false), (retained, 0))));
    group.bench_function("ring_values", |bencher| {
        bencher.iter(|| assert_eq!(ring_total(&image, true), (retained, quantities)));
    });
    group.bench_function("snapshot", |bencher| {
        bencher.iter(|| assert_eq!(snapshot_total(&snapshot.0, &mut room, false), (retained, 0)));
    });
    group.bench_function("snapshot_values", |bencher| {
        bencher.iter(|| assert_eq!(snapshot_total(&snapshot.0, &mut room, true), (retained, quantities)));
    });
    group.finish();
}

criterion_group!(benches, decode);
criterion_main!(benches);

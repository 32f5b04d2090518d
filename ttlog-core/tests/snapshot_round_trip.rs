//! Round trips through snapshots: of images with every kind of segment, and of rings that are being written.
#![cfg(feature = "lz4")] // both codecs are tested

mod snapshot_support;

use fastrand::Rng;
use snapshot_support::{
    CODECS, META, TestSegment, Vector, check, content_of_image, content_of_snapshot, entries, image, random_image,
    random_segment, record, snapshot,
};
use ttlog_core::event::{Cons, Nil};
use ttlog_core::record::ContextInfo;
use ttlog_core::record::packed::Unpacker;
use ttlog_core::ring::{AppendOutcome, Cursor, DropReason, Ring, RingConfig, RingImage, SegmentState};
use ttlog_core::snapshot::{
    Codec, SCRATCH_LEN_MIN, Sink, SnapshotItem, SnapshotReader, WriteError, columns_len_max, decode_columns,
    encode_columns, scratch_len, write_snapshot_of_image, write_snapshot_of_ring,
};
use ttlog_core::{Anchor, Word};

#[test]
fn random_images() {
    for seed in 0..300 {
        let mut rng = Rng::with_seed(seed);
        let segment_len = [128, 256, 1024, 4096][rng.usize(..4)];
        let segment_count = rng.usize(1..8);
        let image = random_image(&mut rng, segment_len, segment_count);
        let expected = content_of_image(&image);
        for codec in CODECS {
            let bytes = snapshot(&image, codec);
            let found = content_of_snapshot(&bytes);
            assert!(found == expected, "seed {seed}, {codec:?}");
            assert!(matches!(SnapshotReader::new(&bytes).items().last(), Some(SnapshotItem::End { .. })));
        }
    }
}

#[test]
fn the_largest_segments() {
    let mut rng = Rng::with_seed(1);
    let segments: Vec<_> = (1..9).map(|sequence| random_segment(&mut rng, sequence, 65_536).bytes(65_536)).collect();
    let image = image(65_536, &[], &[], &segments);
    let expected = content_of_image(&image);
    assert!(expected.events.len() > 1000);
    for codec in CODECS {
        assert!(content_of_snapshot(&snapshot(&image, codec)) == expected, "{codec:?}");
    }
}

/// The maximum number of smallest records, each with another callsite: too many shapes for columns.
#[test]
fn as_many_records_and_shapes_as_there_can_be() {
    let mut segment = TestSegment { sequence: 1, count: 8186, ..TestSegment::default() };
    for callsite in 1..=8186 {
        segment.words.extend(record(callsite, 0xFFFF_FFFF, &[], 0));
    }
    let different = image(65_536, &[], &[], &[segment.bytes(65_536)]);
    segment.words.clear();
    for delta in 0..8186 {
        segment.words.extend(record(7, delta, &[], 0));
    }
    let same = image(65_536, &[], &[], &[segment.bytes(65_536)]);
    for image in [different, same] {
        let expected = content_of_image(&image);
        assert_eq!(expected.events.len(), 8186);
        for codec in CODECS {
            assert!(content_of_snapshot(&snapshot(&image, codec)) == expected, "{codec:?}");
        }
    }
}

#[test]
fn header_says_what_the_ring_says() {
    let image = image(128, &[(1, 1000), (5, 5000), (3, 3000)], &entries(), &[vec![0; 128]]);
    for codec in CODECS {
        let bytes = snapshot(&image, codec);
        let header = SnapshotReader::new(&bytes).header().expect("a snapshot starts with it");
        assert_eq!((header.format_version, header.min_reader_version), (4, 4));
        assert_eq!((header.ring_id, header.segment_count, header.segment_len), (0xABCD_EF01_2345_6789, 1, 128));
        assert_eq!((header.reason, header.created_unix_ns, header.ticks), ("manual", -5, 77));
        assert_eq!((header.complete_from, header.dropped, header.suppressed, header.state), (1234, [1, 2, 3, 4], 5, 1));
        let anchors: Vec<_> = header.anchors().map(|anchor| (anchor.ticks, anchor.unix_ns)).collect();
        assert_eq!(anchors, [(1, 1000), (3, 3000), (5, 5000)]);
    }
}

/// With room for only four anchors, the first and the latest three are retained.
#[test]
fn anchors_beyond_the_scratch() {
    let anchors: Vec<_> = (0..9).map(|n| (n * 10, n as i64)).collect();
    for rotated in 0..9 {
        let mut anchors = anchors.clone();
        anchors.rotate_left(rotated);
        let image = image(128, &anchors, &[], &[vec![0; 128]]);
        let image = RingImage::parse(&image).expect("a whole ring");
        let mut sink = Vector::default();
        write_snapshot_of_image(&image, &META, Codec::None, &mut [0; SCRATCH_LEN_MIN], &mut sink)
            .expect("it takes all");
        let header = SnapshotReader::new(&sink.0).header().expect("it is there");
        assert_eq!(header.anchors().map(|anchor| anchor.ticks).collect::<Vec<_>>(), [0, 60, 70, 80]);
    }
}

/// With damage and pending records anywhere, readers of the ring and of the snapshot find the same.
#[test]
fn damaged_and_pending_records() {
    for seed in 0..2000 {
        let mut rng = Rng::with_seed(seed);
        let mut segment = random_segment(&mut rng, 1, 1024);
        if segment.words.is_empty() {
            continue;
        }
        for _ in 0..rng.usize(1..4) {
            let at = rng.usize(..segment.words.len());
            match rng.u8(..3) {
                0 => segment.words[at] ^= 1 << rng.u32(..64),
                1 => segment.words[at] = 0,
                _ => {
                    let end = segment.words.len().min(at + rng.usize(1..6));
                    segment.words[at..end].fill(0);
                }
            }
        }
        if segment.mode != 0 {
            segment.done = rng.u32(..segment.count.max(1));
        }
        let bytes = segment.bytes(1024);
        let image = image(1024, &[], &[], &[bytes]);
        let expected = content_of_image(&image);
        for codec in CODECS {
            let found = content_of_snapshot(&snapshot(&image, codec));
            assert!(found == expected, "seed {seed}, {codec:?}\n{:?}\n{:?}", found.events, expected.events);
        }
    }
}

/// With one bit of offset or count flipped and the records intact, all of them are in the snapshot.
#[test]
fn header_that_contradicts_itself() {
    for seed in 0..1000 {
        let mut rng = Rng::with_seed(seed);
        let segment = TestSegment { busy: false, ..random_segment(&mut rng, 1, 1024) };
        let mut bytes = segment.bytes(1024);
        let bit = rng.usize(..28);
        bytes[32 + bit / 8] ^= 1 << (bit % 8);
        let image = image(1024, &[], &[], &[bytes]);
        let expected = content_of_image(&image);
        for codec in CODECS {
            let found = content_of_snapshot(&snapshot(&image, codec));
            assert!(found == expected, "seed {seed}, {codec:?}\n{:?}\n{:?}", found.events, expected.events);
        }
    }
}

#[test]
fn columns_of_random_records() {
    for seed in 0..500 {
        let mut rng = Rng::with_seed(seed);
        let segment_len = [256, 1024, 65_536][rng.usize(..3)];
        let segment = random_segment(&mut rng, 1, segment_len);
        let original: Vec<u8> = segment.words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let mut records = original.clone();
        let mut columns = vec![0xAA; columns_len_max(records.len())];
        match encode_columns(&mut records, segment.lap, segment.count, &mut columns) {
            None => assert_eq!(records, original, "seed {seed}: given up, but changed"),
            Some(len) => {
                let mut decoded = vec![0x11; original.len()];
                decode_columns(&columns[..len], segment.lap, &mut decoded).expect("just encoded");
                assert!(decoded == original, "seed {seed}");
                assert!(decode_columns(&columns[..len - 1], segment.lap, &mut decoded).is_none());
                assert!(decode_columns(&columns[..len], segment.lap, &mut decoded[8..]).is_none());
            }
        }
    }
}

/// A sequence with invalid records does not go into columns, and is unchanged.
#[test]
fn columns_refuse_what_they_could_not_give_back() {
    let good = record(3, 9, &[1, 2], 5);
    let long_one_too_short = {
        // 255 in the header, but only two payload words.
        let header = 3 | 255 << 16;
        vec![header | u64::from(check(header ^ 2 ^ 1 ^ 5)) << 56, 2, 1]
    };
    let cases: [(&str, Vec<u64>); 6] = [
        ("nothing", vec![]),
        ("wrong check", [&good[..], &[good[0] ^ 1 << 60, 1, 2]].concat()),
        ("cut off", good[..2].to_vec()),
        ("zero word", [&good[..], &[0]].concat()),
        ("reserved", [&good[..], &record(0xFFFF, 0, &[], 5)].concat()),
        ("long one too short", long_one_too_short),
    ];
    for (name, words) in cases {
        let original: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        for count in 0..3 {
            let (mut records, mut columns) = (original.clone(), vec![0; columns_len_max(original.len())]);
            assert_eq!(encode_columns(&mut records, 5, count, &mut columns), None, "{name}");
            assert_eq!(records, original, "{name}");
        }
    }
    let mut records: Vec<u8> = good.iter().flat_map(|word| word.to_le_bytes()).collect();
    let mut columns = vec![0; columns_len_max(records.len())];
    assert_eq!(encode_columns(&mut records, 5, 2, &mut columns), None, "another count");
    assert_eq!(encode_columns(&mut records, 4, 1, &mut columns), None, "another lap");
    assert_eq!(encode_columns(&mut records, 5, 1, &mut columns[1..]), None, "no room");
    assert!(encode_columns(&mut records, 5, 1, &mut columns).is_some());
}

const WHO: ContextInfo<'static> = ContextInfo { context: 3, os_thread_id: 42, next_index: 0, name: "test" };

fn words(len_bytes: usize) -> Vec<Word> {
    (0..len_bytes / 8).map(|_| Word::new(0)).collect()
}

fn config(segment_len: u32) -> RingConfig {
    RingConfig { ring_id: 9, segment_len, table_len: 4096, anchor_count: 4, ..RingConfig::PLAIN }
}

/// Appends events whose only value is their number, to a shared segment.
fn append(ring: &Ring<'_>, from: u64, to: u64) {
    for number in from..to {
        let callsite = 1 + (number % 3) as u16;
        let outcome = ring.append_shared(number * 10, 3, callsite, &Cons(number, Nil), DropReason::Reentrant);
        assert_eq!(outcome, AppendOutcome::Recorded);
    }
}

#[test]
fn all_anchors_of_a_server_ring_are_in_order() {
    let server = RingConfig::for_capacity(16 << 20, 1);
    let config = RingConfig { segment_len: 4096, table_len: 0, priority_segment_count: 0, ..server };
    let memory = words(config.overhead_len() + 4096);
    let ring = Ring::create(&memory, &config).expect("it fits");
    (0..100_000).for_each(|n| ring.write_anchor(Anchor { ticks: n, unix_ns: n as i64 * 10 }));
    let mut expected: Vec<_> = ring.anchors().collect();
    expected.sort_unstable_by_key(|anchor| anchor.ticks);
    assert!(expected.len() > 700, "{}", expected.len());
    let mut sink = Vector::default();
    let mut scratch = vec![0; scratch_len(4096)];
    write_snapshot_of_ring(ring, &META, Codec::Lz4, &mut scratch, &mut sink).expect("it takes all");
    let header = SnapshotReader::new(&sink.0).items().find_map(|item| match item {
        SnapshotItem::Header(header) => Some(header),
        _ => None,
    });
    assert_eq!(header.expect("the first item").anchors().collect::<Vec<_>>(), expected);
}

#[test]
fn live_ring_like_its_image() {
    let memory = words(24 * 1024);
    let ring = Ring::create(&memory, &config(1024)).expect("it fits");
    ring.write_anchor(Anchor { ticks: 1, unix_ns: 2 });
    for entry in entries() {
        ring.append_entry(&entry).expect("it fits");
    }
    let cursor = Cursor::new();
    for round in 0..40 {
        for number in round * 50..(round + 1) * 50 {
            if number % 7 == 0 {
                append(&ring, number, number + 1);
            } else {
                let fields = Cons(number, Cons(1.5 * number as f64, Nil));
                let outcome = cursor.append_slow(&ring, &|| number * 10, &WHO, 9, &fields);
                assert_eq!(outcome, AppendOutcome::Recorded);
            }
        }
        let mut image = vec![0; ring.len_bytes()];
        ring.copy_image(&mut image);
        let mut expected = content_of_image(&image);
        expected.events.sort();
        for codec in CODECS {
            let mut scratch = match codec {
                Codec::None => vec![0; SCRATCH_LEN_MIN],
                Codec::Lz4 => vec![0; scratch_len(1024)],
            };
            let mut sink = Vector::default();
            let stats = write_snapshot_of_ring(ring, &META, codec, &mut scratch, &mut sink).expect("it takes all");
            let mut found = content_of_snapshot(&sink.0);
            found.events.sort();
            assert!(found == expected, "round {round}, {codec:?}");
            assert_eq!(stats.event_count, expected.events.len() as u64);
            assert_eq!(stats.written_bytes, sink.0.len() as u64);
            assert_eq!((stats.void_count, stats.damaged_count, stats.entry_count), (0, 0, 2));
        }
    }
}

/// A sink that replaces the content of the ring while it is written to.
struct Busy<'r> {
    bytes: Vec<u8>,
    ring: Ring<'r>,
    rng: Rng,
    next: u64,
}

impl Sink for Busy<'_> {
    type Error = ();
    fn write_all(&mut self, bytes: &[u8]) -> Result<(), ()> {
        self.bytes.extend(bytes);
        let count = self.rng.u64(..60) * u64::from(self.rng.u8(..4) == 0);
        append(&self.ring, self.next, self.next + count);
        self.next += count;
        Ok(())
    }
}

#[test]
fn overwritten_while_streaming() {
    let (mut voids, mut survivors) = (0, 0);
    for seed in 0..200 {
        for codec in CODECS {
            let memory = words(160 + 4 * 24 + 4096 + 4 * 512);
            let ring = Ring::create(&memory, &config(512)).expect("it fits");
            append(&ring, 0, 100);
            let mut sink = Busy { bytes: vec![], ring, rng: Rng::with_seed(seed), next: 100 };
            let mut scratch = vec![0; scratch_len(512)];
            let stats = write_snapshot_of_ring(ring, &META, codec, &mut scratch, &mut sink).expect("it takes all");
            let found = content_of_snapshot(&sink.bytes);
            voids += stats.void_count;
            survivors += found.events.len() as u64;
            assert_eq!(stats.event_count, found.events.len() as u64, "seed {seed}");
            let mut numbers: Vec<u64> = found
                .events
                .iter()
                .map(|event| {
                    // The number, split into head and tail; see `append`.
                    let number = event.ticks / 10;
                    assert_eq!(event.callsite, 1 + (number % 3) as u16, "seed {seed}: a false event");
                    let read = Unpacker::new(&event.payload[1..]).split_tail(event.payload[0]);
                    assert_eq!(read, Some(number), "seed {seed}: a false event");
                    number
                })
                .collect();
            numbers.sort_unstable();
            assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "seed {seed}: an event twice");
            assert!(numbers.last().is_none_or(|last| *last < sink.next));
            // Each earlier event is there, or counted as lost.
            let dropped: u64 = ring.loss().dropped_total();
            assert!(found.lost + dropped + numbers.len() as u64 >= 100, "seed {seed}: events are unaccounted for");
            assert!(found.lost + numbers.len() as u64 <= sink.next, "seed {seed}: more than there were");
            let taken_back = SnapshotReader::new(&sink.bytes)
                .items()
                .filter(|item| {
                    let SnapshotItem::Damaged { reason, .. } = item else { return false };
                    assert_eq!(*reason, ttlog_core::FormatErrorKind::Overwritten);
                    true
                })
                .count();
            if codec == Codec::None {
                assert_eq!(taken_back as u64, stats.void_count);
            } else {
                assert_eq!(taken_back, 0);
            }
        }
    }
    assert!(voids > 100 && survivors > 1000, "{voids} voids and {survivors} survivors show nothing");
}

/// A sink that takes this many bytes and no more.
struct Limited(usize);

impl Sink for Limited {
    type Error = &'static str;
    fn write_all(&mut self, bytes: &[u8]) -> Result<(), &'static str> {
        self.0 = self.0.checked_sub(bytes.len()).ok_or("full")?;
        Ok(())
    }
}

#[test]
fn sink_that_fails_at_every_byte() {
    let bytes = random_image(&mut Rng::with_seed(4), 256, 6);
    let image = RingImage::parse(&bytes).expect("a whole ring");
    let memory = words(160 + 4 * 24 + 4096 + 4 * 512);
    let ring = Ring::create(&memory, &config(512)).expect("it fits");
    ring.append_entry(&entries()[1]).expect("it fits");
    append(&ring, 0, 100);
    let mut scratch = vec![0; scratch_len(512)];
    for codec in CODECS {
        let len = snapshot(&bytes, codec).len();
        for limit in 0..len {
            let result = write_snapshot_of_image(&image, &META, codec, &mut scratch, &mut Limited(limit));
            assert_eq!(result, Err(WriteError::Sink("full")));
        }
        assert!(write_snapshot_of_image(&image, &META, codec, &mut scratch, &mut Limited(len)).is_ok());
        let mut whole = Vector::default();
        let stats = write_snapshot_of_ring(ring, &META, codec, &mut scratch, &mut whole).expect("it takes all");
        assert_eq!(stats.written_bytes, whole.0.len() as u64);
        for limit in 0..whole.0.len() {
            let result = write_snapshot_of_ring(ring, &META, codec, &mut scratch, &mut Limited(limit));
            assert_eq!(result, Err(WriteError::Sink("full")));
        }
    }
}

#[test]
fn scratch_too_small() {
    let bytes = random_image(&mut Rng::with_seed(4), 256, 2);
    let image = RingImage::parse(&bytes).expect("a whole ring");
    for (codec, needed_bytes) in [(Codec::None, SCRATCH_LEN_MIN), (Codec::Lz4, scratch_len(256))] {
        let mut sink = Vector::default();
        let mut scratch = vec![0; needed_bytes - 1];
        let result = write_snapshot_of_image(&image, &META, codec, &mut scratch, &mut sink);
        assert_eq!(result, Err(WriteError::ScratchTooSmall { needed_bytes }));
        assert!(sink.0.is_empty());
        scratch.push(0);
        assert!(write_snapshot_of_image(&image, &META, codec, &mut scratch, &mut sink).is_ok());
    }
}

/// A file that ends within its last segment is written as far as possible.
#[test]
fn image_cut_off() {
    let bytes = random_image(&mut Rng::with_seed(11), 512, 4);
    for len in 160..bytes.len() {
        let cut = &bytes[..len];
        let expected = content_of_image(cut);
        for codec in CODECS {
            let found = content_of_snapshot(&snapshot(cut, codec));
            assert!(found == expected, "{len} bytes, {codec:?}");
        }
    }
    assert!(matches!(RingImage::parse(&bytes).map(|image| image.segment(4)), Ok(SegmentState::Unused)));
}

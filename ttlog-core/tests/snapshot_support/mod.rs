//! Rings built byte by byte from docs/format.md, and readers of rings and snapshots for comparison.
#![allow(dead_code, unreachable_pub)] // each test binary uses a part

use std::collections::BTreeMap;

use fastrand::Rng;
use ttlog_core::crc32;
use ttlog_core::ring::{Item, RingImage, Segment, SegmentState};
use ttlog_core::snapshot::{
    Codec, Sink, SnapshotItem, SnapshotMeta, SnapshotReader, scratch_len, unpack_len, write_snapshot_of_image,
};

pub const META: SnapshotMeta<'static> = SnapshotMeta { reason: "manual", created_unix_ns: -5, ticks: 77 };
pub const CODECS: [Codec; 2] = [Codec::None, Codec::Lz4];

/// An event as any reader should return it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Event {
    pub sequence: u64,
    pub callsite: u16,
    pub ticks: u64,
    pub context: u32,
    pub payload: Vec<u8>,
}

/// Returns one record, with header and check computed here. `words` is the payload with the count of a long one.
pub fn record(callsite: u16, delta: u32, words: &[u64], lap: u8) -> Vec<u64> {
    let len = words.len().min(255) as u64;
    let header = u64::from(callsite) | len << 16 | u64::from(delta) << 24;
    let xor = words.iter().fold(header ^ u64::from(lap), |xor, word| xor ^ word);
    let mut record = vec![header | u64::from(check(xor)) << 56];
    record.extend(words);
    record
}

/// Returns the check of docs/format.md §4.1.
pub fn check(xor: u64) -> u8 {
    xor.wrapping_mul(0x0101_0101_0101_0101).to_le_bytes()[7]
}

/// A segment for an image.
#[derive(Clone, Debug, Default)]
pub struct TestSegment {
    pub sequence: u64,
    pub lap: u8,
    pub mode: u8,
    pub phase: u8,
    pub context: u32,
    pub base_ticks: u64,
    pub lost: u64,
    pub count: u32,
    pub done: u32,
    pub busy: bool,
    pub close_ticks: u64,
    pub words: Vec<u64>,
}

impl TestSegment {
    pub fn bytes(&self, segment_len: usize) -> Vec<u8> {
        let sequence = self.sequence | u64::from(self.lap) << 48 | u64::from(self.mode) << 56;
        let mut crc_of = Vec::new();
        crc_of.extend(sequence.to_le_bytes());
        crc_of.extend(self.base_ticks.to_le_bytes());
        crc_of.extend(self.context.to_le_bytes());
        crc_of.extend(self.lost.to_le_bytes());
        // A header that is being replaced has an invalid CRC.
        let crc = if self.phase == 0 { crc32(&crc_of) } else { !crc32(&crc_of) };
        let commit = self.words.len() as u32 | self.count << 14 | u32::from(self.busy) << 29;
        let mut bytes = Vec::new();
        bytes.extend((sequence | u64::from(self.phase) << 60).to_le_bytes());
        bytes.extend(self.base_ticks.to_le_bytes());
        bytes.extend(self.context.to_le_bytes());
        bytes.extend(crc.to_le_bytes());
        bytes.extend(self.lost.to_le_bytes());
        bytes.extend(commit.to_le_bytes());
        bytes.extend(self.done.to_le_bytes());
        bytes.extend(self.close_ticks.to_le_bytes());
        bytes.extend(self.words.iter().flat_map(|word| word.to_le_bytes()));
        assert!(bytes.len() <= segment_len, "records of {} bytes do not fit", bytes.len());
        bytes.resize(segment_len, 0);
        bytes
    }
}

/// Returns the bytes of a ring.
pub fn image(segment_len: usize, anchors: &[(u64, i64)], entries: &[Vec<u8>], segments: &[Vec<u8>]) -> Vec<u8> {
    let mut table = Vec::new();
    for entry in entries {
        table.extend((entry.len() as u32 | 1 << 31).to_le_bytes());
        table.extend(crc32(entry).to_le_bytes());
        table.extend(entry);
        table.resize(table.len().next_multiple_of(8), 0);
    }
    table.resize(table.len() + 16, 0);
    let anchors_offset = 160;
    let table_offset = anchors_offset + anchors.len() * 24;
    let mut bytes = b"TTLOGRNG".to_vec();
    bytes.extend([1, 0, 1, 0]);
    bytes.extend(160u32.to_le_bytes());
    bytes.extend(0xABCD_EF01_2345_6789_u64.to_le_bytes());
    bytes.extend((segment_len as u32).to_le_bytes());
    bytes.extend((segments.len() as u32).to_le_bytes());
    bytes.extend(((table_offset + table.len()) as u64).to_le_bytes());
    bytes.extend((table_offset as u32).to_le_bytes());
    bytes.extend((table.len() as u32).to_le_bytes());
    bytes.extend((anchors_offset as u32).to_le_bytes());
    bytes.extend((anchors.len() as u32).to_le_bytes());
    bytes.extend(crc32(&bytes).to_le_bytes());
    bytes.resize(64, 0);
    for counter in [9, 1234, 1, 2, 3, 4, 5, anchors.len() as u64, 1, 0, 0, 0] {
        bytes.extend(u64::to_le_bytes(counter));
    }
    for (n, (ticks, unix_ns)) in anchors.iter().enumerate() {
        let mut values = ticks.to_le_bytes().to_vec();
        values.extend(unix_ns.to_le_bytes());
        bytes.extend((n as u32 + 1).to_le_bytes());
        bytes.extend(crc32(&values).to_le_bytes());
        bytes.extend(values);
    }
    bytes.extend(table);
    bytes.extend(segments.concat());
    bytes
}

/// Returns a segment of random valid records.
pub fn random_segment(rng: &mut Rng, sequence: u64, segment_len: usize) -> TestSegment {
    let room = segment_len / 8 - 6;
    let mut segment = TestSegment {
        sequence,
        lap: rng.u8(..),
        mode: rng.u8(0..3),
        context: rng.u32(0..9),
        base_ticks: rng.u64(..1 << 40),
        lost: rng.u64(0..50),
        close_ticks: rng.u64(..1 << 41),
        busy: rng.u8(0..4) == 0,
        ..TestSegment::default()
    };
    if segment.mode != 0 {
        (segment.context, segment.busy) = (0, false);
    }
    let mut delta = 0;
    loop {
        delta += rng.u32(0..100);
        let callsite = rng.u16(1..6);
        let wide = f64::from(rng.i32(-1000..1000)) / [1.0, 100.0, 7.0][rng.usize(..3)];
        let mut words = match callsite {
            1 => vec![],
            2 => vec![wide.to_bits(), 0x004C_5041_4104 + (rng.u64(..1 << 10) << 40)],
            3 => vec![u64::from(delta) << 3],
            4 => (0..rng.usize(..12)).map(|_| rng.u64(..)).collect(),
            _ if room > 300 && rng.u8(..20) == 0 => {
                let count = rng.u64(255..280);
                let mut words = vec![count];
                words.extend((1..count).map(|_| rng.u64(..)));
                words
            }
            _ => vec![f64::NAN.to_bits(), wide.to_bits(), 0],
        };
        if segment.mode == 2 {
            let context = rng.u64(1..5);
            if words.len() >= 255 {
                words[0] += 1;
                words.insert(1, context);
            } else {
                words.insert(0, context);
            }
        }
        if segment.words.len() + 1 + words.len() > room || segment_len < 65_536 && rng.u16(..200) == 0 {
            break;
        }
        if rng.u8(..30) == 0 && segment.mode == 0 && segment.words.len() + 2 <= room {
            segment.words.extend(record(0, 1, &[segment.base_ticks + 10], segment.lap));
            continue;
        }
        segment.words.extend(record(callsite, delta, &words, segment.lap));
        segment.count += 1;
    }
    if segment.mode != 0 {
        segment.done = segment.count;
    }
    segment
}

pub fn random_image(rng: &mut Rng, segment_len: usize, segment_count: usize) -> Vec<u8> {
    let segments: Vec<_> = (0..segment_count)
        .map(|index| match rng.u8(..8) {
            0 => vec![0; segment_len],
            1 => {
                let mut segment = random_segment(rng, index as u64 + 1, segment_len);
                segment.phase = rng.u8(1..4);
                segment.bytes(segment_len)
            }
            _ => random_segment(rng, index as u64 + 1, segment_len).bytes(segment_len),
        })
        .collect();
    image(segment_len, &[(1, 1000), (5, 5000), (3, 3000)], &entries(), &segments)
}

/// Returns two entries of unknown kinds: a snapshot accepts any.
pub fn entries() -> Vec<Vec<u8>> {
    vec![vec![0x82, 0x18, 99, 0x61, b'x'], [&[0x82, 0x18, 98, 0x59, 2, 88][..], &[7; 600]].concat()]
}

#[derive(Default)]
pub struct Vector(pub Vec<u8>);

impl Sink for Vector {
    type Error = ();
    fn write_all(&mut self, bytes: &[u8]) -> Result<(), ()> {
        self.0.extend(bytes);
        Ok(())
    }
}

/// Returns the snapshot of an image.
pub fn snapshot(image: &[u8], codec: Codec) -> Vec<u8> {
    let image = RingImage::parse(image).expect("the image has a header");
    let mut scratch = vec![0xEE; scratch_len(image.header().segment_len as usize)];
    let mut sink = Vector::default();
    let stats = write_snapshot_of_image(&image, &META, codec, &mut scratch, &mut sink).expect("a vector takes all");
    assert_eq!(stats.written_bytes, sink.0.len() as u64);
    sink.0
}

fn events_of_segment(segment: &Segment<'_>, events: &mut Vec<Event>) {
    for item in segment.items() {
        if let Item::Event(record) = item {
            events.push(Event {
                sequence: segment.header.sequence,
                callsite: record.callsite,
                ticks: record.ticks,
                context: record.context,
                payload: record.payload.to_vec(),
            });
        }
    }
}

/// Everything that a reader returns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    pub events: Vec<Event>,
    pub entries: Vec<Vec<u8>>,
    pub lost: u64,
}

pub fn content_of_image(bytes: &[u8]) -> Content {
    let image = RingImage::parse(bytes).expect("the image has a header");
    let mut content = Content { lost: image.loss().overwritten, ..Content::default() };
    content.entries = image.entries().map(|entry| entry.bytes.to_vec()).collect();
    for index in 0..image.header().segment_count {
        if let SegmentState::Valid(segment) = image.segment(index) {
            events_of_segment(&segment, &mut content.events);
        }
    }
    content
}

pub fn content_of_snapshot(bytes: &[u8]) -> Content {
    let mut content = Content::default();
    let segment_len =
        SnapshotReader::new(bytes).header().map_or(65_536, |header| (header.segment_len as usize).min(65_536));
    let mut scratch = vec![0x55; unpack_len(segment_len)];
    for item in SnapshotReader::new(bytes).items() {
        match item {
            SnapshotItem::Entry(entry) => {
                assert_eq!(&bytes[entry.offset..][..entry.bytes.len()], entry.bytes);
                content.entries.push(entry.bytes.to_vec());
            }
            SnapshotItem::Segment(packed) => {
                content.lost += packed.lost;
                if let Ok(segment) = packed.unpack(&mut scratch) {
                    events_of_segment(&segment, &mut content.events);
                }
            }
            _ => {}
        }
    }
    content
}

/// Returns whether `whole` contains each element of `part` at least as often.
pub fn is_part<T: Ord>(part: &[T], whole: &[T]) -> bool {
    let mut counts = BTreeMap::<&T, i64>::new();
    for thing in whole {
        *counts.entry(thing).or_default() += 1;
    }
    part.iter().all(|thing| {
        counts.get_mut(thing).is_some_and(|count| {
            *count -= 1;
            *count >= 0
        })
    })
}

//! Tests of truncated, damaged, extended and forged snapshots: intact parts are returned, nothing false is, and nothing
//! panics.
#![cfg(feature = "lz4")] // both codecs are tested

mod snapshot_support;

use std::time::{Duration, Instant};

use fastrand::Rng;
use snapshot_support::{
    CODECS, Event, TestSegment, content_of_image, content_of_snapshot, entries, image, is_part, random_image,
    random_segment, record, snapshot,
};
use ttlog_core::snapshot::{
    Codec, ITEM_MARK, ITEM_OVERHEAD_LEN, SnapshotItem, SnapshotReader, columns_len_max, decode_columns, encode_columns,
    encode_item, unpack_len,
};
use ttlog_core::{FormatErrorKind, crc32};

fn item(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; body.len() + ITEM_OVERHEAD_LEN];
    assert_eq!(encode_item(kind, body, &mut bytes), Some(bytes.len()));
    bytes
}

/// Returns the start and end of each item, if all are intact.
fn bounds(bytes: &[u8]) -> Vec<(usize, usize)> {
    let mut starts: Vec<usize> = (0..bytes.len()).filter(|&at| bytes[at..].starts_with(&ITEM_MARK)).collect();
    starts.push(bytes.len());
    starts.windows(2).map(|pair| (pair[0], pair[1])).collect()
}

/// Returns a small ring with columns, plain records, pending ones and a loss.
fn small_image() -> Vec<u8> {
    let mut rng = Rng::with_seed(3);
    let mut segments: Vec<_> = (1..4).map(|sequence| random_segment(&mut rng, sequence, 256)).collect();
    let mut shared = TestSegment { sequence: 4, mode: 1, count: 3, done: 2, lost: 7, ..TestSegment::default() };
    shared.words = [record(2, 1, &[5], 0), vec![0; 2], record(3, 2, &[6], 0)].concat();
    segments.push(shared);
    let mut bytes: Vec<_> = segments.iter().map(|segment| segment.bytes(256)).collect();
    bytes.push(TestSegment { sequence: 5, phase: 3, lost: 11, ..TestSegment::default() }.bytes(256));
    image(256, &[(1, 1)], &entries(), &bytes)
}

/// Checks the items of `damaged`. Those that end before `from` or start after `to` are as in the original.
fn check(original: &[u8], damaged: &[u8], from: usize, to: usize, events: &[Event], what: &str) {
    let found = content_of_snapshot(damaged);
    assert!(is_part(&found.events, events), "{what}: a false event");
    let mut intact = Vec::new();
    for (start, end) in bounds(original) {
        if end <= from || start > to {
            intact.extend(content_of_snapshot(&original[start..end]).events);
        }
    }
    assert!(is_part(&intact, &found.events), "{what}: an intact event is missing");
}

#[test]
fn cut_off_anywhere() {
    let image = small_image();
    let events = content_of_image(&image).events;
    for codec in CODECS {
        let original = snapshot(&image, codec);
        assert_eq!(content_of_snapshot(&original).events, events);
        for len in 0..original.len() {
            check(&original, &original[..len], len, usize::MAX, &events, &format!("{codec:?} cut off at {len}"));
            let ended =
                SnapshotReader::new(&original[..len]).items().any(|item| matches!(item, SnapshotItem::End { .. }));
            assert!(!ended, "{codec:?} cut off at {len} looks whole");
        }
    }
}

#[test]
fn every_flipped_bit() {
    let image = small_image();
    let events = content_of_image(&image).events;
    for codec in CODECS {
        let original = snapshot(&image, codec);
        let mut damaged = original.clone();
        for bit in 0..original.len() * 8 {
            damaged[bit / 8] ^= 1 << (bit % 8);
            check(&original, &damaged, bit / 8, bit / 8, &events, &format!("{codec:?}, bit {bit}"));
            let noticed = SnapshotReader::new(&damaged).items().any(
                |item| matches!(item, SnapshotItem::Damaged { reason, .. } if reason != FormatErrorKind::Overwritten),
            );
            assert!(noticed, "{codec:?}, bit {bit}: not noticed");
            damaged[bit / 8] ^= 1 << (bit % 8);
        }
    }
}

/// If bytes are lost or inserted, all items except for the damaged one are returned.
#[test]
fn bytes_removed_and_inserted() {
    let image = small_image();
    let events = content_of_image(&image).events;
    for codec in CODECS {
        let original = snapshot(&image, codec);
        let mut rng = Rng::with_seed(8);
        for at in 0..original.len() {
            let mut damaged = original.clone();
            damaged.remove(at);
            check(&original, &damaged, at, at, &events, &format!("{codec:?}, byte {at} removed"));
            let mut damaged = original.clone();
            let garbage: Vec<u8> = (0..rng.usize(1..40)).map(|_| rng.u8(..)).collect();
            damaged.splice(at..at, garbage);
            check(&original, &damaged, at, at, &events, &format!("{codec:?}, bytes inserted at {at}"));
        }
    }
}

/// The reported damage covers the damaged bytes, and no more than the item around them.
#[test]
fn damage_is_told_where_it_is() {
    let original = snapshot(&small_image(), Codec::Lz4);
    for (start, end) in bounds(&original) {
        let mut damaged = original.clone();
        damaged[end - 1] ^= 1;
        let told: Vec<_> = SnapshotReader::new(&damaged)
            .items()
            .filter_map(|item| match item {
                SnapshotItem::Damaged { offset, len_bytes, reason } => Some((offset, offset + len_bytes, reason)),
                _ => None,
            })
            .collect();
        assert_eq!(told, [(start, end, FormatErrorKind::BadChecksum)]);
    }
}

#[test]
fn what_is_unknown_is_skipped() {
    let original = snapshot(&small_image(), Codec::Lz4);
    let mut extended = Vec::new();
    let mut unknown = 0;
    for (n, (start, end)) in bounds(&original).into_iter().enumerate() {
        extended.extend(item(17, &vec![n as u8; n * 10]));
        let mut body = original[start + 15..end - 5].to_vec();
        let kind = original[start + 9];
        match kind {
            // One more key in the map of twelve; the element 15 of the array, which is known, and one more.
            0 => {
                assert_eq!(body[0], 0xAC);
                body[0] = 0xAD;
                body.extend([0x18, 200, 0x82, 1, 0xA1, 0x61, b'k', 0xF6]);
            }
            2 => {
                assert_eq!(body[0], 0x8E);
                body[0] = 0x90;
                body.extend([0, 0x43, 1, 2, 3]);
            }
            _ => {}
        }
        extended.extend(item(kind, &body));
        unknown += 1;
    }
    assert_eq!(content_of_snapshot(&extended), content_of_snapshot(&original));
    assert_eq!(SnapshotReader::new(&extended).header().map(|header| header.ring_id), Some(0xABCD_EF01_2345_6789));
    let mut found = 0;
    for item in SnapshotReader::new(&extended).items() {
        match item {
            SnapshotItem::Unknown { kind, len_bytes, .. } => {
                assert_eq!((kind, len_bytes), (17, found * 10));
                found += 1;
            }
            SnapshotItem::Damaged { offset, .. } => panic!("{offset} is not damaged"),
            _ => {}
        }
    }
    assert_eq!(found, unknown);
}

#[test]
fn newer_snapshot_is_refused() {
    let original = snapshot(&small_image(), Codec::Lz4);
    let (start, end) = bounds(&original)[0];
    let mut body = original[start + 15..end - 5].to_vec();
    assert_eq!(body[3..5], [1, 4], "key 1, version 4");
    body[4] = 5;
    let newer = [item(0, &body), original[end..].to_vec()].concat();
    let items: Vec<_> = SnapshotReader::new(&newer).items().collect();
    let [SnapshotItem::Header(header), SnapshotItem::Damaged { offset, len_bytes, reason }] = &items[..] else {
        panic!("{items:?}");
    };
    assert_eq!((header.min_reader_version, *reason), (5, FormatErrorKind::TooNew(5)));
    assert_eq!((*offset, *offset + *len_bytes), (end, newer.len()));
}

/// A program logged the bytes of a whole item with an event in it.
#[test]
fn item_within_an_item() {
    let forged = {
        let segment = TestSegment { sequence: 99, count: 1, words: record(6, 1, &[], 0), ..TestSegment::default() };
        let bytes = snapshot(&image(128, &[], &[], &[segment.bytes(128)]), Codec::None);
        let (start, end) = bounds(&bytes)[1];
        assert_eq!(content_of_snapshot(&bytes[start..end]).events.len(), 1);
        bytes[start..end].to_vec()
    };
    let mut words: Vec<u64> = forged
        .chunks(8)
        .map(|chunk| {
            let mut bytes = [0; 8];
            bytes[..chunk.len()].copy_from_slice(chunk);
            u64::from_le_bytes(bytes)
        })
        .collect();
    words.insert(0, 7);
    let segment = TestSegment { sequence: 1, count: 1, words: record(1, 1, &words, 0), ..TestSegment::default() };
    let image = image(512, &[], std::slice::from_ref(&forged), &[segment.bytes(512)]);
    let events = content_of_image(&image).events;
    let original = snapshot(&image, Codec::None);
    assert_eq!(content_of_snapshot(&original).events, events);
    // If the outer item is damaged after its length, its end is still known.
    let (start, end) = (0..original.len())
        .filter(|&at| original[at..].starts_with(&ITEM_MARK) && original[at + 9] == 2)
        .map(|at| (at, at + 20 + u32::from_be_bytes([11, 12, 13, 14].map(|n| original[at + n])) as usize))
        .find(|(start, end)| end - start > 2 * forged.len())
        .expect("the segment is there");
    for at in start + 15..end {
        let mut damaged = original.clone();
        damaged[at] ^= 0x10;
        assert!(is_part(&content_of_snapshot(&damaged).events, &events), "byte {at}: a false event");
    }
}

/// Each mark claims everything after it, and no checksum matches: the work must not grow with the square of the length.
#[test]
fn marks_that_claim_the_rest() {
    let len = 4 << 20;
    let mut bytes = Vec::with_capacity(len);
    while bytes.len() + 64 < len {
        let rest = (len - bytes.len() - 20) as u32;
        bytes.extend(ITEM_MARK);
        bytes.extend([2, 0x5A]);
        bytes.extend(rest.to_be_bytes());
    }
    bytes.resize(len - 5, 0);
    bytes.extend([0x1A, 1, 2, 3, 4]);
    let start = Instant::now();
    let items: Vec<_> = SnapshotReader::new(&bytes).items().collect();
    assert!(
        matches!(items[..], [SnapshotItem::Damaged { offset: 0, len_bytes, .. }] if len_bytes == bytes.len()),
        "{items:?}"
    );
    // With quadratic growth, it would be 280,000 checksums of 2 MiB: an hour. Within the limit, it is 32 MiB.
    assert!(start.elapsed() < Duration::from_secs(30), "took {:?}", start.elapsed());
}

/// After as many failures as a file of this length can cause, the rest counts as damaged; below that, nothing does.
#[test]
fn limit_of_failed_checksums() {
    let good = item(9, &[1; 100]);
    let mut bad = item(9, &[2; 1000]);
    bad[500] ^= 1;
    for bad_count in [1, 2, 8, 100] {
        let bytes = [bad.repeat(bad_count), good.clone()].concat();
        assert_eq!(SnapshotReader::new(&bytes).items().count(), 2, "damage, then the good item");
    }
}

#[test]
fn random_bytes_and_random_changes() {
    for seed in 0..1000 {
        let mut rng = Rng::with_seed(seed);
        let image = random_image(&mut rng, 256, 3);
        let events = content_of_image(&image).events;
        let codec = CODECS[rng.usize(..2)];
        let mut bytes = snapshot(&image, codec);
        for _ in 0..rng.usize(1..6) {
            let (a, b) = (rng.usize(..bytes.len()), rng.usize(..bytes.len()));
            match rng.u8(..5) {
                0 => bytes.truncate(a.max(1)),
                1 => bytes[a] = rng.u8(..),
                2 => bytes.swap(a, b),
                3 => {
                    let piece = bytes[a.min(b)..a.max(b)].to_vec();
                    bytes.extend(piece);
                }
                _ => drop(bytes.drain(a.min(b)..(a.min(b) + 30).min(a.max(b)))),
            }
            if bytes.is_empty() {
                bytes.push(0);
            }
        }
        let found = content_of_snapshot(&bytes);
        assert!(found.events.iter().all(|event| events.contains(event)), "seed {seed}: a false event");
    }
}

/// Segments whose elements contradict their data, with valid checksums: an error or records, but no panic.
#[test]
fn made_up_segments() {
    let original = snapshot(&small_image(), Codec::Lz4);
    let mut scratch = vec![0; unpack_len(65_536)];
    let (mut good, mut refused) = (0, 0);
    for (start, end) in bounds(&original) {
        if original[start + 9] != 2 {
            continue;
        }
        let body = &original[start + 15..end - 5];
        for at in 0..body.len() {
            for value in (0..=255).step_by(5) {
                let mut body = body.to_vec();
                body[at] = value;
                for item in SnapshotReader::new(&item(2, &body)).items() {
                    let SnapshotItem::Segment(packed) = item else { continue };
                    match packed.unpack(&mut scratch) {
                        Ok(segment) => good += segment.items().count().min(1),
                        Err(_) => refused += 1,
                    }
                    // A scratch buffer that is too small is reported.
                    let short = packed.unpack(&mut []);
                    assert!(packed.codec == 0 || short.is_err());
                }
            }
        }
    }
    assert!(good > 500 && refused > 500, "{good} {refused}");
}

#[test]
fn made_up_columns() {
    let mut decoded = vec![0; 1024];
    let mut accepted = 0;
    for seed in 0..4000 {
        let mut rng = Rng::with_seed(seed);
        let segment = random_segment(&mut rng, 1, 1024);
        let mut records: Vec<u8> = segment.words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let mut columns = vec![0; columns_len_max(records.len())];
        let Some(len) = encode_columns(&mut records, segment.lap, segment.count, &mut columns) else { continue };
        for _ in 0..10 {
            let mut changed = columns[..len].to_vec();
            for _ in 0..rng.usize(1..4) {
                let at = if rng.bool() { rng.usize(..len.min(40)) } else { rng.usize(..len) };
                changed[at] = rng.u8(..);
            }
            accepted += u32::from(decode_columns(&changed, segment.lap, &mut decoded[..records.len()]).is_some());
        }
        let garbage: Vec<u8> = (0..rng.usize(..200)).map(|_| rng.u8(..8)).collect();
        let room = rng.usize(..30) * 8;
        accepted += u32::from(decode_columns(&garbage, 0, &mut decoded[..room]).is_some());
    }
    assert!(accepted > 100, "{accepted}: the changes were too coarse to test anything");
}

/// A void item is distinguished from a damaged one, and its content is ignored.
#[test]
fn void_items() {
    let segment = TestSegment { sequence: 1, count: 1, words: record(6, 1, &[], 0), ..TestSegment::default() };
    let original = snapshot(&image(128, &[], &[], &[segment.bytes(128)]), Codec::None);
    let (start, end) = bounds(&original)[1];
    let mut void = original.clone();
    for byte in &mut void[end - 4..end] {
        *byte = !*byte;
    }
    let body_and_kind = [&original[start + 15..end - 5], &[2]].concat();
    assert_eq!(void[end - 4..end], (!crc32(&body_and_kind)).to_be_bytes());
    let items: Vec<_> = SnapshotReader::new(&void).items().collect();
    assert!(
        matches!(items[1], SnapshotItem::Damaged { offset, len_bytes, reason: FormatErrorKind::Overwritten }
            if (offset, offset + len_bytes) == (start, end)),
        "{items:?}"
    );
    assert!(content_of_snapshot(&void).events.is_empty());
}

//! Several recordings in one file: whatever they are, whatever is between them, and wherever one of them is cut off,
//! each comes out as itself.

mod snapshot_support;

use std::time::{Duration, Instant};

use fastrand::Rng;
use snapshot_support::{CODECS, Event, TestSegment, content_of_image, content_of_snapshot, image, record, snapshot};
use ttlog_core::snapshot::{Codec, Content, ITEM_MARK, SnapshotItem, SnapshotReader, encode_item, recordings};

/// Returns the image of a ring whose events and table depend on `seed`.
fn ring(seed: u8, segment_count: u64) -> Vec<u8> {
    let mut rng = Rng::with_seed(seed.into());
    let process = vec![0x82, 1, 0xA1, 1, 0x18, seed + 100];
    let entries: Vec<_> = [process].into_iter().chain((0..3).map(|n| vec![0x82, 0x18, 99, 0x42, seed, n])).collect();
    let segments: Vec<_> = (1..=segment_count)
        .map(|sequence| {
            let words: Vec<u64> = (0..rng.u64(1..6)).flat_map(|n| record(6, n as u32, &[seed.into(), n], 0)).collect();
            let count = words.len() as u32 / 3;
            TestSegment { sequence, count, words, ..TestSegment::default() }.bytes(256)
        })
        .collect();
    image(256, &[(0, 0)], &entries, &segments)
}

/// Returns the kinds and bytes of the recordings in a file, after a check that nothing of it is left out.
fn separate(file: &[u8]) -> Vec<(Content, &[u8])> {
    let found: Vec<_> = recordings(file).collect();
    let mut at = 0;
    for recording in &found {
        assert_eq!(recording.offset, at);
        assert_eq!(recording.bytes, &file[at..][..recording.bytes.len()]);
        at += recording.bytes.len();
    }
    assert_eq!(at, file.len());
    found.into_iter().map(|recording| (recording.content, recording.bytes)).collect()
}

fn item(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; body.len() + 20];
    let len = encode_item(kind, body, &mut bytes).expect("room enough");
    bytes.truncate(len);
    bytes
}

/// Returns the bytes of a dictionary.
fn dictionary() -> Vec<u8> {
    [item(1, &[0x82, 1, 0xA0]), item(1, &[0x82, 0x18, 99, 0x61, b'd']), item(3, &[0x82, 2, 0])].concat()
}

#[test]
fn one_recording_is_one() {
    for whole in [ring(1, 3), dictionary()] {
        let content = if whole.starts_with(b"TTLOGRNG") { Content::Ring } else { Content::Snapshot };
        assert_eq!(separate(&whole), [(content, &whole[..])]);
    }
    for codec in CODECS {
        let whole = snapshot(&ring(1, 3), codec);
        for len in 1..=whole.len() {
            let content = if len < 20 { None } else { Some(Content::Snapshot) };
            let found = separate(&whole[..len]);
            assert_eq!(found.len(), 1, "cut at {len}");
            assert!(content.is_none_or(|content| found[0].0 == content || len < 300), "cut at {len}: {found:?}");
        }
    }
    let image = ring(1, 3);
    for len in 160..=image.len() {
        assert_eq!(separate(&image[..len]), [(Content::Ring, &image[..len])], "cut at {len}");
    }
    assert_eq!(separate(b""), []);
    assert_eq!(separate(b"something else"), [(Content::Unknown, &b"something else"[..])]);
}

#[test]
fn each_of_several_is_itself() {
    let junk = [vec![], vec![0; 7], b"12345".to_vec(), ITEM_MARK.to_vec(), b"TTLOGRNG".to_vec(), vec![0xD9; 100]];
    let kinds = [
        (Content::Ring, ring(1, 3)),
        (Content::Snapshot, snapshot(&ring(2, 2), Codec::None)),
        (Content::Snapshot, snapshot(&ring(3, 4), Codec::Lz4)),
        (Content::Snapshot, dictionary()),
        (Content::Ring, ring(4, 1)),
    ];
    for first in &kinds {
        for second in &kinds {
            for third in &kinds {
                for between in &junk {
                    let file = [&first.1[..], between, &second.1, between, &third.1, between].concat();
                    let mut expected = Vec::new();
                    for (content, bytes) in [first, second, third] {
                        expected.push((*content, &bytes[..]));
                        if !between.is_empty() {
                            expected.push((Content::Unknown, between));
                        }
                    }
                    // A dictionary has no header: bytes before it can be those of a damaged one.
                    let lacks_header = |bytes: &[u8]| bytes == &kinds[3].1[..];
                    if between.is_empty() || ![&second.1, &third.1].into_iter().any(|bytes| lacks_header(bytes)) {
                        assert!(separate(&file) == expected, "between: {between:?}");
                    }
                }
            }
        }
    }
}

/// The first is cut off at any byte; the one after it is whole, whatever the last length of the first claims.
#[test]
fn cut_off_before_another() {
    let seconds = [ring(9, 2), snapshot(&ring(9, 3), Codec::None), snapshot(&ring(8, 2), Codec::Lz4)];
    for second in &seconds {
        for codec in CODECS {
            let first = snapshot(&ring(1, 4), codec);
            for len in 1..first.len() {
                let file = [&first[..len], second].concat();
                let found = separate(&file);
                assert_eq!(found.len(), 2, "cut at {len}");
                assert!(found[1].1 == &second[..], "cut at {len}");
            }
        }
        let first = ring(1, 4);
        for len in 160..first.len() {
            let file = [&first[..len], second].concat();
            let found = separate(&file);
            assert!(found.len() == 2 && found[1].1 == &second[..], "ring cut at {len}");
            assert_eq!(content_of_image(found[0].1).events, content_of_image(&first[..len]).events);
        }
    }
}

/// The length of an item that was cut off can end exactly between two items of the recording after it.
#[test]
fn cut_off_item_that_claims_whole_items_of_another() {
    let second = snapshot(&ring(2, 3), Codec::None);
    let mut ends = Vec::new();
    for item in SnapshotReader::new(&second).items() {
        if let SnapshotItem::Entry(entry) = item {
            ends.push(entry.offset + entry.bytes.len() + 5);
        }
    }
    assert_eq!(ends.len(), 4);
    for end in ends {
        let first = [item(0, &[0xA0]), item(9, &vec![7; end + 30])].concat();
        let cut = first.len() - end;
        let file = [&first[..cut], &second].concat();
        let found = separate(&file);
        assert_eq!(found.len(), 2, "{end}");
        assert!(found[1].1 == &second[..], "{end}");
        assert_eq!(content_of_snapshot(&file[..cut]).events, []);
    }
}

/// A program logged a whole snapshot: while its item is intact, or its length is, it is no recording of this file.
#[test]
fn logged_snapshot_is_not_a_recording() {
    let logged = snapshot(&ring(7, 1), Codec::None);
    let words: Vec<u64> = logged
        .chunks(8)
        .map(|chunk| {
            let mut bytes = [0; 8];
            bytes[..chunk.len()].copy_from_slice(chunk);
            u64::from_le_bytes(bytes)
        })
        .collect();
    let segment_len = words.len() * 8 + 256;
    let words = record(1, 1, &words, 0);
    let segment = TestSegment { sequence: 1, count: 1, words, ..TestSegment::default() };
    let image = image(segment_len, &[], &[], &[segment.bytes(segment_len)]);
    assert_eq!(separate(&image), [(Content::Ring, &image[..])]);
    let whole = snapshot(&image, Codec::None);
    assert_eq!(separate(&whole), [(Content::Snapshot, &whole[..])]);
    for at in whole.len() - 60..whole.len() - 30 {
        let mut damaged = whole.clone();
        damaged[at] ^= 4;
        assert_eq!(separate(&damaged).len(), 1, "byte {at}");
    }
}

/// The table of a forked process has its process item last.
#[test]
fn process_after_callsites() {
    let process = |pid| vec![0x82, 1, 0xA1, 1, 0x18, pid];
    let whole = |pid| {
        let entries = [vec![0x82, 0x18, 99, 0x61, b'a'], process(pid)];
        let segment = TestSegment { sequence: 1, count: 1, words: record(6, 1, &[], 0), ..TestSegment::default() };
        snapshot(&image(128, &[], &entries, &[segment.bytes(128)]), Codec::None)
    };
    let (first, second) = (whole(30), whole(31));
    assert_eq!(separate(&first), [(Content::Snapshot, &first[..])]);
    // The first has no end, and the header of the second is damaged: a second process begins another recording.
    let cut = first.len() - 30;
    let mut file = [&first[..cut], &second].concat();
    file[cut + 20] ^= 1;
    let found = separate(&file);
    assert_eq!(found.len(), 2);
    let has = |bytes: &[u8], pid| content_of_snapshot(bytes).entries.contains(&process(pid));
    assert!(has(found[0].1, 30) && !has(found[0].1, 31) && has(found[1].1, 31));
}

/// Events of one recording are never among those of another, whatever bytes are changed, lost or repeated.
#[test]
fn events_stay_with_their_recording() {
    for seed in 0..2000 {
        let mut rng = Rng::with_seed(seed);
        let seeds = [0, 40, 80].map(|from| from + rng.u8(..40));
        let images = seeds.map(|seed| ring(seed, rng.u64(1..4)));
        let own = |events: &[Event]| {
            let known = |event: &&Event| seeds.contains(&event.payload[0]);
            let mut seeds: Vec<u8> = events.iter().filter(known).map(|event| event.payload[0]).collect();
            seeds.dedup();
            seeds.len() <= 1
        };
        let mut file = Vec::new();
        for image in &images {
            let mut bytes = if rng.bool() { image.clone() } else { snapshot(image, CODECS[rng.usize(..2)]) };
            if rng.u8(..3) == 0 {
                bytes.truncate(rng.usize(..bytes.len()));
            }
            if rng.u8(..3) == 0 && !bytes.is_empty() {
                let at = rng.usize(..bytes.len());
                bytes[at] ^= 1 << rng.u8(..8);
            }
            file.extend(bytes);
            file.extend((0..rng.usize(..20)).map(|_| rng.u8(..)));
        }
        for (content, bytes) in separate(&file) {
            let events = match content {
                Content::Ring => content_of_image(bytes).events,
                _ => content_of_snapshot(bytes).events,
            };
            assert!(own(&events), "seed {seed}: events of two recordings are in one");
        }
    }
}

/// Bytes that claim as many recordings as possible, each as long as possible, take time in proportion to their length.
#[test]
fn as_many_as_possible() {
    let tiny_ring = image(128, &[], &[], &[TestSegment::default().bytes(128)]);
    let mut greedy_ring = tiny_ring[..160].to_vec();
    greedy_ring[28..32].copy_from_slice(&1_000_000u32.to_le_bytes());
    let crc = ttlog_core::crc32(&greedy_ring[..56]).to_le_bytes();
    greedy_ring[56..60].copy_from_slice(&crc);
    assert!(ttlog_core::RingImage::parse(&greedy_ring).is_ok());
    let mut greedy_item = item(0, &[0xA0]);
    greedy_item[11..15].copy_from_slice(&(1u32 << 20).to_be_bytes());
    let header = item(0, &[0xA0]);
    for unit in [
        header.clone(),
        item(3, &[0x82, 0, 0]),
        [&header[..], b"x"].concat(),
        tiny_ring.clone(),
        [&tiny_ring[..], b"x"].concat(),
        greedy_ring.clone(),
        [&b"x"[..], &greedy_ring].concat(),
        [greedy_ring, header.clone()].concat(),
        greedy_item.clone(),
        [header, greedy_item].concat(),
        b"TTLOGRNG".to_vec(),
        ITEM_MARK.to_vec(),
    ] {
        let file = unit.repeat((1 << 20) / unit.len());
        let before = Instant::now();
        assert!(!separate(&file).is_empty());
        assert!(before.elapsed() < Duration::from_secs(60), "{:x?} took {:?}", &unit[..8], before.elapsed());
    }
}

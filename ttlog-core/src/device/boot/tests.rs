//! Tests of boots after resets, and from arbitrary memory.

use std::collections::BTreeSet;
use std::vec;
use std::vec::Vec;

use super::*;
use crate::device::DeviceRecorder;
use crate::device::writer::tests::{CONFIG, Reading, image_of, memory, record, set_ticks, start};
use crate::ring::layout::segment_check;
use crate::ring::{DEVICE_HEADER_LEN, Item};
use crate::ring::{RingImage, SESSION_LEN};

/// A ring of 1 KiB.
const SEGMENTS: usize = 5;
const SEGMENTS_OFFSET: usize = CONFIG.overhead_len();

fn put(words: &[Word], image: &[u8]) {
    for (word, bytes) in words.iter().zip(image.chunks_exact(8)) {
        word.store(u64::from_le_bytes(bytes.try_into().expect("eight bytes")));
    }
}

/// Records two sessions. The second was cut off with a segment open and two reservations in progress: one with an empty
/// header, and after it one that was being filled.
fn past(words: &'static [Word]) -> Vec<u8> {
    words.iter().for_each(|word| word.store(0));
    set_ticks(1_000_000);
    let (first, started) = start(words, &CONFIG, 1);
    assert_eq!((started.boot, started.recovered), (1, Recovered::Nothing));
    for id in 1..=6 {
        record(&first, id);
    }
    let (second, started) = start(words, &CONFIG, 2);
    assert_eq!(started.recovered, Recovered::Ring { event_count: 6, abandoned_count: 0, damaged_count: 0 });
    for id in 10..=12 {
        record(&second, id);
    }
    second.abandon(1, false);
    second.abandon(2, true);
    record(&second, 18);
    image_of(words)
}

/// Events of `past`.
const PAST: [u16; 10] = [1, 2, 3, 4, 5, 6, 10, 11, 12, 18];

/// Numbers of events that tests record after a boot.
const LATER: u16 = 1000;

/// Records three laps, and asserts that the ring accepts all of them and shows the latest.
fn assert_works(recorder: &DeviceRecorder, words: &[Word], context: &dyn core::fmt::Debug) {
    let dropped = Reading::of(&image_of(words)).dropped;
    for id in LATER..LATER + 100 {
        record(recorder, id);
    }
    let reading = Reading::of(&image_of(words));
    assert_eq!(reading.dropped, dropped, "{context:?}");
    assert_eq!((reading.pending, reading.damaged, reading.damaged_segments), (0, 0, 0), "{context:?}: {reading:?}");
    assert_eq!(reading.false_count, 0, "{context:?}");
    let ids = reading.ids();
    let expected: Vec<_> = (LATER + 100 - ids.len() as u16..LATER + 100).collect();
    assert_eq!(ids, expected, "{context:?}");
    assert!(ids.len() > 2 * (SEGMENTS - 1), "each segment holds some: {context:?}: {ids:?}");
}

#[test]
fn a_reset_keeps_what_was_recorded_and_counts_what_was_under_way() {
    let words = memory(&CONFIG, SEGMENTS);
    past(words);
    let before = Reading::of(&image_of(words));
    assert_eq!((before.ids(), before.pending), (PAST.to_vec(), 2));
    let (recorder, started) = start(words, &CONFIG, 3);
    assert_eq!(started.boot, 3);
    assert_eq!(started.recovered, Recovered::Ring { event_count: 10, abandoned_count: 2, damaged_count: 0 });
    let after = Reading::of(&image_of(words));
    assert_eq!(after, before);
    // A boot that finds everything in order has the same counts.
    let (_, started) = start(words, &CONFIG, 4);
    assert_eq!(started.recovered, Recovered::Ring { event_count: 10, abandoned_count: 2, damaged_count: 0 });
    assert_works(&recorder, words, &"after a reset");
    assert_eq!(Reading::of(&image_of(words)).overwritten + Reading::of(&image_of(words)).events.len() as u64, 110);
}

#[test]
fn a_start_without_a_session_count_is_refused() {
    let words = memory(&CONFIG, SEGMENTS);
    let config = RingConfig { session_count: 0, ..CONFIG };
    assert!(matches!(recover_or_create(words, &config), Err(RingError::BadConfig)));
    let small = &words[..SEGMENTS_OFFSET / 8 + 15];
    assert!(matches!(recover_or_create(small, &CONFIG), Err(RingError::TooSmall { .. })));
}

#[test]
#[cfg_attr(miri, ignore = "slow; the others run the same code")]
fn every_flipped_bit_of_a_small_ring() {
    let words = memory(&CONFIG, SEGMENTS);
    let good = past(words);
    let whole = Reading::of(&good);
    for bit in 0..good.len() * 8 {
        let mut image = good.clone();
        image[bit / 8] ^= 1 << (bit % 8);
        put(words, &image);
        let (recorder, started) = start(words, &CONFIG, 3);
        let place = (bit / 8, bit % 8, started);
        let Recovered::Ring { damaged_count, .. } = started.recovered else { panic!("not adopted: {place:?}") };
        let reading = Reading::of(&image_of(words));
        assert_eq!(reading.false_count, 0, "{place:?}");
        // In all segments except for the damaged one, nothing is missing.
        let hit = (bit / 8).checked_sub(SEGMENTS_OFFSET).map(|offset| offset / 128);
        let missing: BTreeSet<_> = whole.events.iter().filter(|event| !reading.events.contains(event)).collect();
        let sequences: BTreeSet<_> = missing.iter().map(|event| event.0).collect();
        assert!(reading.events.iter().all(|event| whole.events.contains(event)), "{place:?}: {reading:?}");
        assert!(sequences.len() <= 1, "{place:?}: {missing:?}");
        if let Some(sequence) = sequences.first() {
            assert_eq!(Some(*sequence as usize - 1), hit, "{place:?}: {missing:?}");
            // Records hidden by a reservation's damaged length could be one of several that are zero before it.
            let header = bit / 64 * 8;
            let may_be_pending =
                good[header - 8..].starts_with(&[0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF]) && bit % 64 / 8 == 2;
            let is_told = reading.damaged > 0 || damaged_count > 0 || may_be_pending;
            assert!(is_told, "{place:?}: {missing:?} not reported: {reading:?}");
        }
        if hit.is_none() {
            assert_eq!((&reading.events, reading.pending), (&whole.events, whole.pending), "{place:?}");
        }
        assert_works(&recorder, words, &place);
    }
}

#[test]
fn values_that_look_like_records_do_not_become_events() {
    let words = memory(&CONFIG, SEGMENTS);
    words.iter().for_each(|word| word.store(0));
    let (recorder, _) = start(words, &CONFIG, 1);
    // Read as a header, this is a complete record without values.
    let value = encode_header(33, 0, 7, 0);
    for _ in 0..4 {
        recorder.append_words(1, &[value]);
    }
    let good = image_of(words);
    let records = SEGMENTS_OFFSET + SEGMENT_HEADER_LEN;
    for bit in (0..4 * 2 * 64).step_by(if cfg!(miri) { 19 } else { 1 }) {
        let mut image = good.clone();
        image[records + bit / 8] ^= 1 << (bit % 8);
        let image = RingImage::parse(&image).expect("the header of the ring is whole");
        let SegmentState::Valid(segment) = image.segment(0) else { panic!("bit {bit}: no segment") };
        let mut events = 0;
        for item in segment.items() {
            let Item::Event(record) = item else { continue };
            // An event without its values cannot be decoded.
            if record.callsite != 1 || !record.payload.is_empty() {
                assert_eq!((record.callsite, record.payload), (1, &value.to_le_bytes()[..]), "bit {bit}");
                events += 1;
            }
        }
        assert!(events >= 3, "bit {bit}: {events} events");
    }
}

#[test]
fn other_layouts_are_made_anew() {
    let words = memory(&CONFIG, SEGMENTS);
    let others = [
        RingConfig { segment_len: 136, ..CONFIG },
        RingConfig { segment_len: 256, ..CONFIG },
        RingConfig { session_count: 1, ..CONFIG },
        RingConfig { session_count: 3, ..CONFIG },
    ];
    for other in others {
        past(words);
        let (_, started) = start(words, &other, 3);
        assert_eq!((started.boot, started.recovered), (1, Recovered::Nothing), "{other:?}");
    }
    for segments in 1..SEGMENTS {
        past(words);
        let (_, started) = start(&words[..(SEGMENTS_OFFSET + segments * 128) / 8], &CONFIG, 3);
        assert_eq!((started.boot, started.recovered), (1, Recovered::Nothing), "{segments} segments");
    }
    // A few more words do not add a segment.
    let (more, image) = (memory(&CONFIG, SEGMENTS + 1), past(words));
    put(more, &image);
    let (_, started) = start(&more[..words.len() + 15], &CONFIG, 3);
    assert_eq!(started.boot, 3);
    // A server's ring.
    words.iter().for_each(|word| word.store(0));
    Ring::create(words, &RingConfig { session_count: 0, ..CONFIG }).expect("it fits");
    let (_, started) = start(words, &CONFIG, 3);
    assert_eq!(started.recovered, Recovered::Nothing);
}

/// A flipped bit in the length of a reservation hides none of its neighbors, before and after the boot that recovers
/// the ring.
#[test]
fn flipped_length_of_a_reservation() {
    let words = memory(&CONFIG, 1);
    for bit in 16..24 {
        words.iter().for_each(|word| word.store(0));
        let (recorder, _) = start(words, &CONFIG, 1);
        record(&recorder, 1);
        recorder.abandon(1, true);
        for id in [9, 3, 5] {
            record(&recorder, id);
        }
        let header = SEGMENTS_OFFSET / 8 + SEGMENT_HEADER_WORDS + 1; // event 1 is a word
        assert_eq!(words[header].load_low() as u16, RESERVED);
        words[header].store(words[header].load() ^ 1 << bit);
        let reading = Reading::of(&image_of(words));
        // A length that leads out of the segment is detected as damage at once.
        assert_eq!((reading.ids(), reading.pending + reading.damaged), (vec![1, 9, 3, 5], 1), "bit {bit}: {reading:?}");
        let (_, started) = start(words, &CONFIG, 1);
        let taken = Reading::of(&image_of(words));
        assert_eq!((started.boot, taken), (2, reading), "bit {bit}");
    }
}

#[test]
#[cfg_attr(miri, ignore = "slow; the others run the same code")]
fn memory_that_lost_its_end() {
    let words = memory(&CONFIG, SEGMENTS);
    let good = past(words);
    let whole = Reading::of(&good);
    for keep in (0..good.len()).step_by(8) {
        for fill in [0, 0xFF] {
            let mut image = good.clone();
            image[keep..].fill(fill);
            put(words, &image);
            let (recorder, started) = start(words, &CONFIG, 3);
            let reading = Reading::of(&image_of(words));
            assert!(reading.events.iter().all(|event| whole.events.contains(event)), "{keep} {fill}: {reading:?}");
            assert_eq!(reading.false_count, 0, "{keep} {fill}");
            assert_eq!(started.recovered != Recovered::Nothing, keep >= 64, "{keep} {fill}");
            assert_works(&recorder, words, &(keep, fill));
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "slow; the others run the same code")]
fn cold_boots() {
    let mut rng = fastrand::Rng::with_seed(4);
    let words = memory(&CONFIG, SEGMENTS);
    let header = past(words)[..64].to_vec();
    let mut ring_ids = BTreeSet::new();
    for round in 0..10_000 {
        let mut image = vec![0; words.len() * 8];
        match round % 8 {
            0 if round < 8 => {}
            1 if round < 8 => image.fill(0xFF),
            // Whole words, as left by the pattern of a memory test.
            2 => {
                let pattern = rng.u64(..).to_le_bytes();
                image.chunks_mut(8).for_each(|chunk| chunk.copy_from_slice(&pattern));
            }
            // Mostly zeros or ones.
            3 => {
                let fill = if rng.bool() { 0 } else { 0xFF };
                image.fill(fill);
                (0..rng.usize(..200)).for_each(|_| image[rng.usize(..words.len() * 8)] ^= 1 << rng.u8(..8));
            }
            _ => rng.fill(&mut image),
        }
        let has_header = round % 2 == 1 && round >= 8;
        if has_header {
            image[..64].copy_from_slice(&header);
        }
        put(words, &image);
        let (recorder, started) = start(words, &CONFIG, 3);
        assert_eq!(started.recovered != Recovered::Nothing, has_header, "round {round}");
        let reading = Reading::of(&image_of(words));
        assert_eq!((reading.events.len(), reading.false_count), (0, 0), "round {round}: {reading:?}");
        if !has_header {
            ring_ids.insert(RingImage::parse(&image_of(words)).expect("a ring").header().ring_id);
        }
        assert_works(&recorder, words, &round);
    }
    assert!(ring_ids.len() > 4000, "what memory holds makes identities: {}", ring_ids.len());
}

/// Extreme values for fields.
const EXTREMES: [u64; 9] = [0, 1, 2, 0x7FFF, 0xFFFF, 0x7FFF_FFFF, 0xFFFF_FFFF, 1 << 63, u64::MAX];

#[test]
#[cfg_attr(miri, ignore = "slow; the others run the same code")]
fn every_half_word_of_the_headers_set_to_extremes() {
    let words = memory(&CONFIG, SEGMENTS);
    let good = past(words);
    let whole = Reading::of(&good);
    let headers = (0..SEGMENTS_OFFSET).chain((0..SEGMENTS).flat_map(|index| {
        let start = SEGMENTS_OFFSET + index * 128;
        start..start + 48
    }));
    for at in headers.filter(|at| at % 2 == 0) {
        for value in EXTREMES {
            for len in [2, 4, 8] {
                let mut image = good.clone();
                if at % len != 0 {
                    continue;
                }
                image[at..at + len].copy_from_slice(&value.to_le_bytes()[..len]);
                check_hostile(words, &image, &whole, &(at, value, len));
            }
        }
    }
}

/// Boots from an image, and asserts that the ring shows nothing false and works.
fn check_hostile(words: &'static [Word], image: &[u8], whole: &Reading, context: &dyn core::fmt::Debug) {
    put(words, image);
    let (recorder, started) = start(words, &CONFIG, 3);
    assert!(started.boot > 0, "{context:?}");
    let reading = Reading::of(&image_of(words));
    let known: BTreeSet<_> = whole.ids().into_iter().collect();
    assert!(reading.ids().iter().all(|id| known.contains(id)), "{context:?}: {reading:?}");
    assert_eq!(reading.false_count, 0, "{context:?}");
    assert_works(&recorder, words, context);
}

/// As above, but with valid header checksums, as if somebody had written the headers.
#[test]
#[cfg_attr(miri, ignore = "slow; the others run the same code")]
fn headers_that_are_sealed_and_extreme() {
    let words = memory(&CONFIG, SEGMENTS);
    let good = past(words);
    let whole = Reading::of(&good);
    for value in EXTREMES {
        for at in (0..64).step_by(4) {
            let mut image = good.clone();
            image[at..at + 4].copy_from_slice(&value.to_le_bytes()[..4]);
            let mut covered = image[..56].to_vec();
            covered.extend(&image[60..64]);
            image[56..60].copy_from_slice(&crate::crc32(&covered).to_le_bytes());
            check_hostile(words, &image, &whole, &("ring", at, value));
        }
        for at in (0..SESSION_LEN).step_by(4) {
            let mut image = good.clone();
            let slot = &mut image[DEVICE_HEADER_LEN..][..SESSION_LEN];
            slot[at..at + 4].copy_from_slice(&value.to_le_bytes()[..4]);
            let covered = [&slot[..4], &slot[8..]].concat();
            slot[4..8].copy_from_slice(&crate::crc32(&covered).to_le_bytes());
            check_hostile(words, &image, &whole, &("session", at, value));
        }
        for index in 0..SEGMENTS {
            for at in (0..48).step_by(4) {
                let mut image = good.clone();
                let header = &mut image[SEGMENTS_OFFSET + index * 128..][..48];
                header[at..at + 4].copy_from_slice(&value.to_le_bytes()[..4]);
                let mut covered = [0; 28];
                covered[..20].copy_from_slice(&header[..20]);
                covered[20..].copy_from_slice(&header[24..32]);
                covered[7] &= 0xF;
                let check = segment_check(&covered);
                header[20..24].copy_from_slice(&check.to_le_bytes());
                check_hostile(words, &image, &whole, &("segment", index, at, value));
            }
        }
    }
}

#[test]
fn many_resets_one_after_the_other() {
    let words = memory(&CONFIG, SEGMENTS);
    let mut recorded = 0;
    for boot in 1..=if cfg!(miri) { 8_u16 } else { 200 } {
        set_ticks(u64::from(boot) << 20);
        let (recorder, started) = start(words, &CONFIG, boot as u8);
        assert_eq!(started.boot, u32::from(boot));
        for n in 0..boot % 5 {
            record(&recorder, boot * 8 + n);
            recorded += 1;
        }
        if boot % 3 == 0 {
            recorder.abandon(boot as u8 % 4, boot % 2 == 0);
        }
        let image = image_of(words);
        let reading = Reading::of(&image);
        assert_eq!(reading.events.len() as u64 + reading.overwritten, recorded);
        let sessions: BTreeSet<_> = RingImage::parse(&image).expect("a ring").sessions().map(|s| s.boot).collect();
        let boot = u32::from(boot);
        assert_eq!(sessions, (boot.saturating_sub(1).max(1)..=boot).collect(), "the two latest have slots");
    }
}

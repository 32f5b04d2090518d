//! Tests of dumps from the receiver's side.

use std::collections::BTreeSet;
use std::vec;
use std::vec::Vec;

use super::*;
use crate::device::frame::Frame;
use crate::device::writer::tests::words_for_ever;
use crate::device::{DeviceClock, DeviceRecorder, SessionStart};
use crate::ring::{Item, RingConfig, RingImage, SegmentState};

const CONFIG: RingConfig = RingConfig { ring_id: 7, segment_len: 256, session_count: 2, ..RingConfig::PLAIN };

fn started(len_bytes: usize) -> DeviceRecorder {
    let clock = DeviceClock::new(|| 3, None, 1000);
    let session = SessionStart { clock, build_id: [9; 20], reset_reason: 0, embedded_metadata: false };
    let recorder = DeviceRecorder::new();
    recorder.start(words_for_ever(len_bytes / 8), &CONFIG, &session).unwrap().unwrap();
    recorder
}

fn dump<'s>(recorder: &DeviceRecorder, scratch: Option<&'s mut [u8]>) -> RingDump<'static, 's> {
    let first_index = recorder.oldest_index();
    let options = RingDumpOptions { number: 5, boot: 1, build_id: [9; 20], first_index, callsites: None, scratch };
    RingDump::new(recorder.ring().unwrap(), options)
}

/// Parts of a dump that a receiver has.
#[derive(Default)]
struct Received {
    image: Vec<u8>,
    begun: Option<Begin>,
    frame_count: u32,
    void_count: usize,
    ended: bool,
    parts: Vec<(u32, u16, u16, Vec<u8>)>,
}

impl Received {
    fn take(&mut self, frame: &Frame<'_>) {
        assert_eq!((frame.dump, u32::from(frame.number)), (5, self.frame_count));
        self.frame_count += 1;
        let offset = frame.offset as usize;
        match frame.kind {
            FrameKind::Begin => {
                let begin = Begin::decode(frame.data).expect("a whole beginning");
                self.image = vec![0; begin.ring_len as usize];
                self.begun = Some(begin);
            }
            FrameKind::Ring => self.image[offset..offset + frame.data.len()].copy_from_slice(frame.data),
            FrameKind::Void => {
                self.image[offset..offset + CONFIG.segment_len as usize].fill(0);
                self.void_count += 1;
            }
            FrameKind::Packed | FrameKind::Callsite => {
                let part = Part::decode(frame.data).expect("a part");
                self.parts.push((frame.offset, part.position, part.total, part.bytes.to_vec()));
            }
            FrameKind::End => {
                assert_eq!(frame.data, (self.frame_count - 1).to_le_bytes());
                self.ended = true;
            }
            FrameKind::Stream => panic!("no such frame is sent"),
        }
    }

    /// Returns the first payload words of all events in the image; none is pending or damaged.
    fn events(&self) -> BTreeSet<u64> {
        events_of(&self.image)
    }
}

fn events_of(image: &[u8]) -> BTreeSet<u64> {
    let image = RingImage::parse(image).expect("a ring");
    let mut events = BTreeSet::new();
    for index in 0..image.header().segment_count {
        if let SegmentState::Valid(segment) = image.segment(index) {
            for item in segment.items() {
                let Item::Event(record) = item else { panic!("segment {index}: {item:?}") };
                events.insert(u64::from_le_bytes(*record.payload.first_chunk().expect("a word")));
            }
        }
    }
    events
}

fn receive(mut dump: RingDump<'_, '_>, mut between: impl FnMut(&Received)) -> Received {
    let (mut received, mut content) =
        (Received::default(), FrameContent::<{ crate::device::frame::DUMP_CONTENT_MAX }>::new());
    while dump.next_frame(&mut content) {
        received.take(&content.frame().expect("a whole frame"));
        between(&received);
    }
    assert!(received.ended && !dump.next_frame(&mut content), "the end comes last");
    received
}

fn image_of(recorder: &DeviceRecorder) -> Vec<u8> {
    let ring = recorder.ring().unwrap();
    let mut image = vec![0; ring.len_bytes()];
    ring.copy_image(&mut image);
    image
}

#[test]
fn a_ring_at_rest_arrives_as_it_is() {
    for events in [0, 1, 13, 14, 500] {
        let recorder = started(4096);
        (0..events).for_each(|n| recorder.append_words(7, &[n, n]));
        let received = receive(dump(&recorder, None), |_| {});
        let begin = received.begun.expect("it begins");
        assert_eq!((begin.ring_id, begin.boot, begin.build_id), (received.image_word(2), 1, [9; 20]));
        assert!(!begin.packed && !begin.callsites && received.void_count == 0);
        assert_eq!(received.events(), events_of(&image_of(&recorder)), "{events} events");
        let (sent, kept) = (RingImage::parse(&received.image).unwrap().loss(), recorder.ring().unwrap().loss());
        assert_eq!(sent.overwritten, kept.overwritten);
    }
}

impl Received {
    fn image_word(&self, index: usize) -> u64 {
        crate::record::word_at(&self.image, index * 8).unwrap()
    }
}

/// Records events between any two frames, up to replacing the whole ring. Everything that arrives was recorded, and
/// everything that was not replaced since arrives.
#[test]
fn what_is_recorded_meanwhile_does_no_harm() {
    for burst in [1, 5, 30, 400] {
        let recorder = started(4096);
        (0..300).for_each(|n| recorder.append_words(7, &[n]));
        let before = events_of(&image_of(&recorder));
        let mut next = 300;
        let received = receive(dump(&recorder, None), |_| {
            (0..burst).for_each(|_| {
                recorder.append_words(7, &[next]);
                next += 1;
            });
        });
        let arrived = received.events();
        assert!(arrived.iter().all(|event| *event < next), "burst {burst}: an event that nobody recorded");
        let after = events_of(&image_of(&recorder));
        assert!(
            before.intersection(&after).all(|event| arrived.contains(event)),
            "burst {burst}: an event that was there all the time is missing"
        );
        assert_eq!(received.void_count > 0, burst >= 30, "burst {burst}: {} taken back", received.void_count);
    }
}

/// A reservation that is not committed arrives as one, whatever its words hold, and so do the records after it.
#[test]
fn reservations_arrive_as_reservations() {
    for marked in [false, true] {
        let recorder = started(4096);
        recorder.append_words(7, &[1]);
        recorder.append_words(7, &[2, 0x1111, 0x2222]);
        recorder.append_words(7, &[3]);
        // The second record, as if its context had been interrupted before it stored its words, or its header.
        let ring = recorder.ring().unwrap();
        let segment = ring.segment(0);
        let header = &segment[SEGMENT_HEADER_WORDS + 2];
        header.store(if marked { u64::from(crate::record::device_reservation(3)) } else { 0 });
        if !marked {
            (3..6).for_each(|at| segment[SEGMENT_HEADER_WORDS + at].store(0));
        }
        let received = receive(dump(&recorder, None), |_| {});
        let image = RingImage::parse(&received.image).unwrap();
        let SegmentState::Valid(segment) = image.segment(0) else { panic!("a segment") };
        let items: Vec<_> = segment.items().collect();
        let [Item::Event(first), Item::Pending { len_bytes: 32, .. }, Item::Event(third)] = &items[..] else {
            panic!("marked {marked}: {items:?}");
        };
        assert_eq!((first.payload[0], third.payload[0]), (1, 3));
    }
}

/// A damaged length of a reservation hides nothing after it, whether a dump copies the segment before sending it or
/// not.
#[test]
fn length_of_a_reservation_hides_nothing() {
    let numbers = |segment: &SegmentState<'_>| {
        let SegmentState::Valid(segment) = segment else { panic!("a segment") };
        let events = segment.items().filter_map(|item| match item {
            Item::Event(record) => Some(record.payload[0]),
            _ => None,
        });
        events.collect::<Vec<_>>()
    };
    for bit in 16..24 {
        let recorder = started(4096);
        for n in 1..=10 {
            recorder.append_words(7, &[n]);
        }
        let ring = recorder.ring().unwrap();
        let header = &ring.segment(0)[SEGMENT_HEADER_WORDS + 2];
        header.store(u64::from(crate::record::device_reservation(1)) ^ 1 << bit);
        let received = receive(dump(&recorder, None), |_| {});
        let sent = RingImage::parse(&received.image).unwrap();
        assert_eq!(numbers(&sent.segment(0)), [1, 3, 4, 5, 6, 7, 8, 9, 10], "bit {bit}");
        let mut copy = [0; CONFIG.segment_len as usize];
        assert_eq!(numbers(&ring.copy_segment(0, &mut copy)), [1, 3, 4, 5, 6, 7, 8, 9, 10], "bit {bit}");
    }
}

#[cfg(feature = "lz4")]
#[test]
fn compressed_segments_expand_to_what_they_were() {
    let recorder = started(4096);
    (0..300).for_each(|n| recorder.append_words(7, &[n, 77]));
    let mut scratch = vec![0; RingDump::scratch_len(256)];
    let mut received = receive(dump(&recorder, Some(&mut scratch)), |_| {});
    assert!(received.begun.expect("it begins").packed && !received.parts.is_empty());
    let mut blocks: std::collections::BTreeMap<u32, Vec<u8>> = std::collections::BTreeMap::new();
    for (offset, position, total, bytes) in std::mem::take(&mut received.parts) {
        let block = blocks.entry(offset).or_insert_with(|| vec![0; total.into()]);
        block[usize::from(position)..][..bytes.len()].copy_from_slice(&bytes);
    }
    for (offset, block) in blocks {
        let len = lz4_flex::block::decompress_into(&block, &mut received.image[offset as usize..][..256]);
        assert_eq!(len.ok(), Some(256));
    }
    assert_eq!(received.events(), events_of(&image_of(&recorder)));
    // The buffer is too small: segments arrive uncompressed.
    let mut short = vec![0; RingDump::scratch_len(256) - 1];
    let received = receive(dump(&recorder, Some(&mut short)), |_| {});
    assert_eq!(received.events(), events_of(&image_of(&recorder)));
}

#[test]
fn callsites_come_in_parts() {
    static TEXT: [u8; 500] = [0x5A; 500];
    fn callsite(index: usize) -> Option<CallsiteBytes> {
        let text = [&TEXT[..3], &TEXT[..], &TEXT[..172]].get(index).copied()?;
        Some(CallsiteBytes { id: index as u16 + 1, tags: &[4; 64], text })
    }
    let recorder = started(1024);
    let ring = recorder.ring().unwrap();
    let options = RingDumpOptions {
        number: 5,
        boot: 1,
        build_id: [0; 20],
        first_index: 0,
        callsites: Some(callsite),
        scratch: None,
    };
    let received = receive(RingDump::new(ring, options), |_| {});
    assert!(received.begun.expect("it begins").callsites);
    let mut texts: std::collections::BTreeMap<u32, Vec<u8>> = std::collections::BTreeMap::new();
    for (id, position, total, bytes) in &received.parts {
        let text = texts.entry(*id).or_default();
        assert_eq!((text.len(), true), (usize::from(*position), usize::from(*total) >= text.len() + bytes.len()));
        text.extend(bytes);
    }
    let expected = [(1, 3), (2, 500), (3, 172)];
    assert_eq!(texts.iter().map(|(id, text)| (*id, text.len() - 64)).collect::<Vec<_>>(), expected);
    assert!(texts.values().all(|text| text[..64] == [4; 64] && text[64..].iter().all(|byte| *byte == 0x5A)));
}

/// Threads record while the ring is dumped repeatedly.
#[test]
#[cfg_attr(miri, ignore = "takes minutes there; the others have the same accesses")]
fn threads_record_meanwhile() {
    let recorder: &'static DeviceRecorder = std::boxed::Box::leak(std::boxed::Box::new(started(2048)));
    static STOP: portable_atomic::AtomicU8 = portable_atomic::AtomicU8::new(0);
    let writers: Vec<_> = (0..2u64)
        .map(|writer| {
            std::thread::spawn(move || {
                let mut n = 0;
                while STOP.load(portable_atomic::Ordering::Relaxed) == 0 {
                    // All words are equal, so that a mixture of two records is detected.
                    let word = writer << 56 | n;
                    recorder.append_words(7, &[word, word, word]);
                    n += 1;
                }
            })
        })
        .collect();
    let (mut seen, mut content) = (0, FrameContent::new());
    // Until the threads have been scheduled.
    for n in 0..1_000_000 {
        if n > 300 && seen > 2000 {
            break;
        }
        let (mut received, mut dump) = (Received::default(), dump(recorder, None));
        while dump.next_frame(&mut content) {
            received.take(&content.frame().expect("a whole frame"));
        }
        let image = RingImage::parse(&received.image).expect("a ring");
        for index in 0..image.header().segment_count {
            let SegmentState::Valid(segment) = image.segment(index) else { continue };
            for item in segment.items() {
                if let Item::Event(record) = item {
                    let mut words = record.payload.chunks_exact(8);
                    let first = words.next().expect("three words");
                    assert!(words.all(|word| word == first), "{record:?}");
                    seen += 1;
                }
            }
        }
    }
    STOP.store(1, portable_atomic::Ordering::Relaxed);
    writers.into_iter().for_each(|writer| writer.join().expect("it ends"));
    assert!(seen > 2000, "{seen} events");
}

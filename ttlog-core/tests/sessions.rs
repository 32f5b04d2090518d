//! Tests of a device's ring that is split into one snapshot per session.

use ttlog_core::device::{DeviceClock, DeviceRecorder, Replace, SessionStart, Started, rewrite_segment};
use ttlog_core::event::{Cons, Nil};
use ttlog_core::ring::{RingConfig, RingImage, SEGMENT_HEADER_LEN, Session};
use ttlog_core::snapshot::{
    Codec, SessionImage, Sink, SnapshotItem, SnapshotMeta, SnapshotReader, session_scratch_len, unpack_len,
    write_session,
};
use ttlog_core::{Item, Record, SegmentState, Word};

const CONFIG: RingConfig =
    RingConfig { ring_id: 77, segment_len: 128, table_len: 0, anchor_count: 0, session_count: 2, ..RingConfig::PLAIN };

struct Device {
    words: &'static [Word],
}

impl Device {
    fn new(segments: usize) -> Self {
        let len = CONFIG.overhead_len() + segments * 128;
        Device { words: Vec::leak((0..len / 8).map(|_| Word::new(0)).collect()) }
    }

    /// Starts the firmware once more and records events.
    fn boot(&self, build: u8, events: u64) -> Started {
        let recorder: &'static DeviceRecorder = Box::leak(Box::new(DeviceRecorder::new()));
        let clock = DeviceClock::new(|| 1000, Some(|| 1000), 1_000_000);
        let start = SessionStart {
            clock,
            build_id: [build; 20],
            reset_reason: u32::from(build) << 4,
            embedded_metadata: false,
        };
        let started = recorder.start(self.words, &CONFIG, &start).expect("started once").expect("it fits");
        for n in 0..events {
            recorder.append_words(7, &[n]);
        }
        // An event that no segment can hold.
        recorder.append_any(7, &Cons(1_u128, Cons(2_u128, Cons(3_u128, Cons(4_u128, Cons(5_u128, Nil))))));
        started
    }

    fn image(&self) -> Vec<u8> {
        self.words.iter().flat_map(|word| word.load().to_le_bytes()).collect()
    }
}

struct Bytes(Vec<u8>);

impl Sink for Bytes {
    type Error = std::convert::Infallible;

    fn write_all(&mut self, bytes: &[u8]) -> Result<(), Self::Error> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

fn snapshot(image: &[u8], session: &Session, codec: Codec) -> Vec<u8> {
    rewritten(image, session, codec, None)
}

fn rewritten(image: &[u8], session: &Session, codec: Codec, replace: Option<&Replace<'_>>) -> Vec<u8> {
    let image = RingImage::parse(image).expect("a good ring");
    let mut sink = Bytes(Vec::new());
    let mut scratch = vec![0; session_scratch_len(&codec.into(), 128, replace.is_some())];
    let meta = SnapshotMeta { reason: "image", created_unix_ns: 0, ticks: 0 };
    let entries = [&b"\x81\x00"[..]];
    let recording = SessionImage { image: &image, session, replace };
    write_session(&recording, entries.into_iter(), &meta, codec, &mut scratch, &mut sink).expect("nothing can fail");
    sink.0
}

/// Returns the events of a snapshot, and the number of events lost.
fn counts(snapshot: &[u8]) -> (Vec<u64>, u64) {
    let (mut events, mut lost) = (Vec::new(), 0);
    for item in SnapshotReader::new(snapshot).items() {
        match item {
            SnapshotItem::Segment(segment) => {
                lost += segment.lost;
                let mut room = vec![0; unpack_len(128)];
                let segment = segment.unpack(&mut room).expect("a good segment");
                events.extend(segment.items().filter_map(|item| match item {
                    Item::Event(record) => Some(u64::from_le_bytes(record.payload.try_into().expect("a word"))),
                    _ => None,
                }));
            }
            SnapshotItem::Damaged { .. } => panic!("damaged"),
            _ => {}
        }
    }
    events.sort_unstable();
    (events, lost)
}

#[test]
fn each_session_has_its_own_events_and_all_of_them_account_for_everything() {
    for codec in [Codec::None, Codec::Lz4] {
        let device = Device::new(8);
        device.boot(1, 9);
        device.boot(2, 17);
        let image = device.image();
        let parsed = RingImage::parse(&image).expect("a good ring");
        assert_eq!(parsed.latest_boot(), 2);
        let mut sessions: Vec<_> = parsed.sessions().collect();
        sessions.sort_by_key(|session| session.boot);
        let snapshots: Vec<_> = sessions.iter().map(|session| snapshot(&image, session, codec)).collect();
        for ((snapshot, boot), events) in snapshots.iter().zip(1_u32..).zip([9, 17]) {
            let header = SnapshotReader::new(snapshot).header().expect("a header");
            let session = header.session.expect("it says which session it is of");
            assert_eq!((session.boot, session.reset_reason), (boot, boot << 4));
            assert_eq!((header.min_reader_version, header.ring_id), (4, parsed.header().ring_id));
            assert_eq!(header.complete_from, 0);
            // Dropped events are counted once.
            assert_eq!(header.dropped, if boot == 2 { [2, 0, 0, 0] } else { [0; 4] });
            assert_eq!(counts(snapshot), ((0..events).collect(), 0));
        }
    }
}

#[test]
fn what_was_overwritten_of_a_session_is_counted_once() {
    let device = Device::new(4);
    device.boot(1, 30);
    device.boot(2, 10);
    let image = device.image();
    let parsed = RingImage::parse(&image).expect("a good ring");
    let (mut total, mut complete_from) = (0, Vec::new());
    for session in parsed.sessions() {
        let snapshot = snapshot(&image, &session, Codec::None);
        let (events, lost) = counts(&snapshot);
        total += events.len() as u64 + lost;
        complete_from.push((session.boot, SnapshotReader::new(&snapshot).header().expect("a header").complete_from));
    }
    assert_eq!(total, 40);
    complete_from.sort_unstable();
    // The first session has lost its beginning, the second is complete.
    assert_eq!(complete_from, [(1, 1000), (2, 0)]);
}

#[test]
fn records_that_stand_in_for_others_keep_their_place_and_time() {
    let device = Device::new(8);
    device.boot(1, 20);
    let image = device.image();
    let parsed = RingImage::parse(&image).expect("a good ring");
    let session = parsed.sessions().next().expect("there is one");
    // Odd numbers get longer and change their callsite.
    let replace = |record: &Record<'_>, room: &mut [u8]| {
        let n = u64::from_le_bytes(record.payload.try_into().expect("a word"));
        room.get_mut(..8)?.copy_from_slice(&(n + 100).to_le_bytes());
        room.get_mut(8..160)?.fill(0xAB);
        (n % 2 == 1).then_some((9, 160))
    };
    for codec in [Codec::None, Codec::Lz4] {
        let snapshot = rewritten(&image, &session, codec, Some(&replace));
        let mut events = Vec::new();
        for item in SnapshotReader::new(&snapshot).items() {
            let SnapshotItem::Segment(segment) = item else { continue };
            let mut room = vec![0; unpack_len(65_536)];
            let segment = segment.unpack(&mut room).expect("a good segment");
            for item in segment.items() {
                let Item::Event(record) = item else { panic!("{item:?}") };
                let n = u64::from_le_bytes(*record.payload.first_chunk().expect("a word"));
                events.push((n, record.callsite, record.payload.len(), record.ticks));
            }
        }
        let expected = |n| if n % 2 == 1 { (n + 100, 9, 160, 1000) } else { (n, 7, 8, 1000) };
        assert_eq!(events, (0..20).map(expected).collect::<Vec<_>>());
    }
}

#[test]
fn records_for_which_there_is_no_room_stay_as_they_are() {
    let device = Device::new(4);
    device.boot(1, 9);
    let image = device.image();
    let parsed = RingImage::parse(&image).expect("a good ring");
    let SegmentState::Valid(segment) = parsed.segment(0) else { panic!("it was used") };
    let count = segment.items().count();
    for room in (0..segment.used().len() + 64).step_by(8) {
        let mut out = vec![0; room];
        let rewritten = rewrite_segment(&segment, &mut out, &|_, room| {
            room.get_mut(..16)?.fill(1);
            Some((9, 16))
        });
        let items: Vec<_> = rewritten.items().collect();
        assert!(items.len() <= count && items.iter().all(|item| matches!(item, Item::Event(_))), "{room} bytes");
        // Replaced records have 24 bytes, others 16.
        let replaced = count.min(room / 24);
        let kept = usize::from(replaced < count && room - replaced * 24 >= 16);
        assert_eq!(items.len(), replaced + kept, "{room} bytes");
    }
}

#[test]
fn wrong_length_of_a_reservation_hides_no_record_that_is_replaced() {
    let device = Device::new(4);
    device.boot(1, 9);
    for bit in 0..8 {
        let mut image = device.image();
        let header = *RingImage::parse(&image).expect("a good ring").header();
        // The second record; all have 16 bytes.
        let at = header.segments_offset as usize + SEGMENT_HEADER_LEN + 16;
        image[at..at + 2].fill(0xFF);
        image[at + 2] ^= 1 << bit;
        let parsed = RingImage::parse(&image).expect("a good ring");
        let SegmentState::Valid(segment) = parsed.segment(0) else { panic!("it was used") };
        let mut out = vec![0; 2 * segment.used().len()];
        let rewritten = rewrite_segment(&segment, &mut out, &|_, room| {
            room.get_mut(..16)?.fill(1);
            Some((9, 16))
        });
        let (mut events, mut others) = (0, 0);
        for item in rewritten.items() {
            if let Item::Event(record) = item {
                assert_eq!(record.callsite, 9, "bit {bit}");
                events += 1;
            } else {
                others += 1;
            }
        }
        assert_eq!((events + 1, others), (segment.header.count, 1), "bit {bit}");
    }
}

//! Boots a device from arbitrary memory. The boot never panics or hangs. Everything readable before, except in damaged
//! segments, is readable afterwards. The ring works: it takes more events than it holds, drops none, and shows the
//! latest.
//!
//! The first byte of the input selects the checksums to correct, and whether to use the ring header of the device's own
//! layout.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ttlog_core::device::{DeviceClock, DeviceRecorder, Recovered, SessionStart};
use ttlog_core::ring::RingConfig;
use ttlog_core::{Item, RingImage, SegmentState, Word};
use ttlog_core_fuzz::mend;

const CONFIG: RingConfig = RingConfig { ring_id: 9, segment_len: 256, session_count: 2, ..RingConfig::PLAIN };
/// Length of the ring in bytes, as in the seeds.
const LEN: usize = 2048;
static MEMORY: [Word; LEN / 8] = [const { Word::new(0) }; LEN / 8];
/// Bit of the first byte: leave the ring header unchanged.
const ANY_HEADER: u8 = 128;
const CALLSITE: u16 = 0x7777;

fn boot() -> (DeviceRecorder, Recovered) {
    let recorder = DeviceRecorder::new();
    let clock = DeviceClock::new(|| 5, Some(|| 5), 0);
    let session = SessionStart { clock, build_id: [1; 20], reset_reason: 0, embedded_metadata: true };
    let started = recorder.start(&MEMORY, &CONFIG, &session).expect("started once").expect("it fits");
    assert!(started.boot > 0);
    (recorder, started.recovered)
}

fn image() -> Vec<u8> {
    MEMORY.iter().flat_map(|word| word.load().to_le_bytes()).collect()
}

/// Returns the events of a callsite by the first word of their payload, in order, and counts of pending, damaged and
/// all events.
fn read(image: &[u8]) -> (Vec<u64>, [usize; 3]) {
    let image = RingImage::parse(image).expect("a good ring");
    let (mut ours, mut counts) = (Vec::new(), [0; 3]);
    for index in 0..image.header().segment_count {
        match image.segment(index) {
            SegmentState::Valid(segment) => {
                for item in segment.items() {
                    match item {
                        Item::Event(record) => {
                            counts[2] += 1;
                            if let (CALLSITE, Some(word)) = (record.callsite, record.payload.first_chunk()) {
                                ours.push((segment.header.sequence, u64::from_le_bytes(*word)));
                            }
                        }
                        Item::Pending { .. } => counts[0] += 1,
                        Item::Damaged { .. } => counts[1] += 1,
                        Item::Context(_) => {}
                    }
                }
            }
            SegmentState::Damaged(_) => counts[1] += 1,
            SegmentState::Unused | SegmentState::Opening { .. } => {}
        }
    }
    ours.sort_unstable();
    (ours.into_iter().map(|(_, n)| n).collect(), counts)
}

fuzz_target!(|input: &[u8]| {
    let Some((&how, bytes)) = input.split_first() else { return };
    let mut memory = vec![0; LEN];
    let len = bytes.len().min(LEN);
    memory[..len].copy_from_slice(&bytes[..len]);
    if how & ANY_HEADER == 0 {
        MEMORY.iter().for_each(|word| word.store(0));
        let _ = boot();
        memory[..64].copy_from_slice(&image()[..64]);
    }
    mend::ring(&mut memory, how & 0x7F);
    for (word, bytes) in MEMORY.iter().zip(memory.chunks_exact(8)) {
        word.store(u64::from_le_bytes(bytes.try_into().expect("eight bytes")));
    }

    let (_, found) = boot();
    assert!(how & ANY_HEADER != 0 || matches!(found, Recovered::Ring { .. }));
    let first = image();
    let (_, [pending, damaged, events]) = read(&first);
    // A boot finds the state left by the previous one, and does not change the segments.
    let (recorder, again) = boot();
    let second = image();
    let segments = CONFIG.overhead_len();
    assert!(first[segments..] == second[segments..], "the second boot changes something");
    assert!(matches!(again, Recovered::Ring { damaged_count: 0, .. }), "{again:?}");
    assert_eq!(read(&second).1, [pending, damaged, events]);

    let dropped = RingImage::parse(&second).expect("a ring").loss().dropped;
    let end = 200;
    for n in 0..end {
        recorder.append_words(CALLSITE, &[n, 2][..1 + (n % 2) as usize]);
    }
    let last = image();
    let (ours, [pending, damaged, all]) = read(&last);
    assert_eq!((pending, damaged, all), (0, 0, ours.len()), "nothing of before is left");
    assert_eq!(RingImage::parse(&last).expect("a ring").loss().dropped, dropped);
    assert_eq!(ours, (end - ours.len() as u64..end).collect::<Vec<_>>());
    assert!(ours.len() > 30);
});

//! What the tests of transports have in common: a recorder with events in it, and the receiver of a dump.

extern crate std;

use std::vec::Vec;

use ttlog_core::frame::{FrameKind, FrameScanner, Scanned};
use ttlog_core::ring::{Item, RingImage, SegmentState};

use crate::recorder::DEVICE;
use crate::{Config, Recorder, recorder};

/// Longer than what all tests together record, so that nothing is replaced.
const RING_LEN: usize = 16_384;

recorder!(static RECORDER: RING_LEN);

/// Starts the recorder, unless another test of this process has, and records so many events of a callsite, numbered.
pub(crate) fn record(callsite: u16, numbers: core::ops::Range<u64>) {
    let recorder: &Recorder = &RECORDER;
    recorder.start(Config::DEFAULT);
    while DEVICE.ring().is_none() {
        std::thread::yield_now(); // another test is just starting it
    }
    for number in numbers {
        DEVICE.append_words(callsite, &[number]);
    }
}

/// What came of a dump.
#[derive(Debug, Default)]
pub(crate) struct Received {
    pub(crate) begun: usize,
    pub(crate) ended: usize,
    ring: Vec<u8>,
}

impl Received {
    /// Takes dumps out of a stream in which there is nothing else, but for the rest of one that was cut off.
    pub(crate) fn read(stream: &[u8]) -> Self {
        let (mut received, mut scanner) = (Received::default(), FrameScanner::new());
        for byte in stream {
            let Some(Scanned::Frame(frame)) = scanner.push(*byte) else { continue };
            match frame.kind {
                FrameKind::Begin => received.begun += 1,
                FrameKind::Ring => {
                    let start = frame.offset as usize;
                    let end = start + frame.data.len();
                    received.ring.resize(received.ring.len().max(end), 0);
                    received.ring[start..end].copy_from_slice(frame.data);
                }
                FrameKind::End => received.ended += 1,
                _ => {}
            }
        }
        received
    }

    /// Gives the numbers of the events of a callsite, as `record` gave them.
    pub(crate) fn numbers(&self, callsite: u16) -> Vec<u64> {
        let mut ring = self.ring.clone();
        ring.resize(RING_LEN, 0);
        let image = RingImage::parse(&ring).expect("the header came");
        let mut numbers = Vec::new();
        for index in 0..image.present_segments() {
            let SegmentState::Valid(segment) = image.segment(index) else { continue };
            for item in segment.items() {
                if let Item::Event(record) = item
                    && record.callsite == callsite
                {
                    numbers.push(u64::from_le_bytes(record.payload.try_into().expect("one word")));
                }
            }
        }
        numbers.sort_unstable();
        numbers
    }
}

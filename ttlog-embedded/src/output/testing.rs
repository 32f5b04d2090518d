//! Shared by the tests of the outputs: a recorder with events, and the receiver of a dump.

extern crate std;

use std::vec::Vec;

use ttlog_core::device::frame::{FrameKind, FrameScanner, Scanned};
use ttlog_core::ring::{Item, RingImage, SegmentState};

use crate::recorder::DEVICE;
use crate::{Config, Recorder, recorder};

/// Longer than the events of all tests together, so that nothing is replaced.
const RING_LEN: usize = 16_384;

recorder!(static RECORDER: RING_LEN);

/// Starts the recorder, unless another test of this process has, and records numbered events of a callsite.
pub(crate) fn record(callsite: u16, numbers: core::ops::Range<u64>) {
    let recorder: &Recorder = &RECORDER;
    recorder.start(Config::DEFAULT);
    while DEVICE.ring().is_none() {
        std::thread::yield_now(); // another test is starting it
    }
    for number in numbers {
        DEVICE.append_words(callsite, &[number]);
    }
}

/// The received parts of dumps.
#[derive(Debug, Default)]
pub(crate) struct Received {
    pub(crate) begun: usize,
    pub(crate) ended: usize,
    ring: Vec<u8>,
}

impl Received {
    /// Reads the dumps in a stream that holds nothing else, except for the rest of a dump that was cut off.
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

    /// Returns the numbers of the events of a callsite, as given to `record`, sorted.
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

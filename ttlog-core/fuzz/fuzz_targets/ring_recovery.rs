//! Recovers a ring from arbitrary bytes. Nothing panics, and the results lie within the input. A snapshot that
//! withholds secrets has none of their values.
//!
//! The first byte of the input selects the checksums to correct, so that mutated bytes covered by a checksum are
//! reached too.

#![no_main]

use std::cell::RefCell;
use std::convert::Infallible;

use libfuzzer_sys::fuzz_target;
use ttlog_core::snapshot::{
    Codec, Sink, SnapshotItem, SnapshotMeta, SnapshotOptions, SnapshotReader, write_snapshot_of_image,
};
use ttlog_core::{RingImage, SegmentState};
use ttlog_core_fuzz::{mend, visit};

fuzz_target!(|input: &[u8]| {
    let Some((&mending, bytes)) = input.split_first() else { return };
    let mut bytes = bytes.to_vec();
    mend::ring(&mut bytes, mending);
    let Ok(image) = RingImage::parse(&bytes) else { return };

    let callsites = visit::entries(image.entries().map(|entry| entry.bytes));
    assert!(image.anchors().count() <= bytes.len() / 24);
    let header = *image.header();
    let segments = (bytes.len() / header.segment_len as usize + 1).min(header.segment_count as usize);
    for index in 0..segments as u32 {
        if let SegmentState::Valid(segment) = image.segment(index) {
            visit::segment(&segment, &callsites);
        }
    }
    assert!(header.priority_segment_count < header.segment_count);
    let _ = (image.end(), image.panics());
    for text in image.control().into_iter().flat_map(|control| [control.request, control.filter]).flatten() {
        assert!((1..=512).contains(&text.len()));
    }
    let _ = image.loss(); // any sum is valid here; it must not panic
    withhold(&image);
});

/// Writes a snapshot without secrets, reads it, and checks that values marked as withheld are masked.
fn withhold(image: &RingImage<'_>) {
    let meta = SnapshotMeta { reason: "fuzz", created_unix_ns: 0, ticks: 0 };
    let options = SnapshotOptions::new(Codec::None);
    let mut snapshot = Bytes(Vec::new());
    SCRATCH.with_borrow_mut(|scratch| {
        scratch.resize(options.scratch_len(image.header().segment_len as usize).max(scratch.len()), 0xEE);
        write_snapshot_of_image(image, &meta, options, scratch, &mut snapshot).expect("there is room for everything");
    });
    let reader = SnapshotReader::new(&snapshot.0);
    let callsites = visit::entries(reader.items().filter_map(|item| match item {
        SnapshotItem::Entry(entry) => Some(entry.bytes),
        _ => None,
    }));
    for item in reader.items() {
        match item {
            SnapshotItem::Segment(packed) => {
                let segment = packed.unpack(&mut []).expect("what is not compressed needs no room");
                visit::segment(&segment, &callsites);
                visit::withheld(&segment, &callsites);
            }
            SnapshotItem::Damaged { reason, .. } => panic!("the snapshot is damaged: {reason}"),
            _ => {}
        }
    }
}

thread_local! {
    /// Reused, because it is large.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

struct Bytes(Vec<u8>);

impl Sink for Bytes {
    type Error = Infallible;

    fn write_all(&mut self, bytes: &[u8]) -> Result<(), Infallible> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

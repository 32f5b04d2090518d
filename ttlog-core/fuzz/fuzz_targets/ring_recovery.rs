//! Recovery of a ring from any bytes: nothing panics, and what comes out lies within what went in.
//!
//! The first byte of the input says which checksums are made right, so that mutated bytes behind a checksum are reached too.

#![no_main]

use libfuzzer_sys::fuzz_target;
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
    let _ = image.loss(); // any sum is as good as any other here; it must come without a panic
});

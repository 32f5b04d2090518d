//! Reads arbitrary bytes as a snapshot, and as several. Nothing panics, and the results lie within the input.
//!
//! If the first byte of the input is odd, the CRCs of all items are corrected first, so that mutated bytes covered by
//! them are reached too.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ttlog_core::snapshot::{Content, SnapshotItem, SnapshotReader, recordings, unpack_len};
use ttlog_core::{FormatErrorKind, RingImage};
use ttlog_core_fuzz::{mend, visit};

fuzz_target!(|input: &[u8]| {
    let Some((&mending, bytes)) = input.split_first() else { return };
    let mut bytes = bytes.to_vec();
    if mending & 1 != 0 {
        mend::snapshot(&mut bytes);
    }
    let mut end = 0;
    for recording in recordings(&bytes) {
        assert!(recording.offset == end && !recording.bytes.is_empty());
        end += recording.bytes.len();
        assert_eq!(recording.bytes, &bytes[recording.offset..end]);
        let is_ring = RingImage::parse(recording.bytes).is_ok();
        assert!(is_ring || recording.content != Content::Ring);
    }
    assert_eq!(end, bytes.len());
    let reader = SnapshotReader::new(&bytes);
    let callsites = visit::entries(reader.items().filter_map(|item| match item {
        SnapshotItem::Entry(entry) => Some(entry.bytes),
        _ => None,
    }));
    let mut scratch = vec![0; unpack_len(65_536)];
    let mut damaged_up_to = 0;
    for item in reader.items() {
        match item {
            SnapshotItem::Header(header) => {
                assert!(header.anchors().count() <= bytes.len());
                assert!(header.reason.len() <= bytes.len() && header.filter.len() <= bytes.len());
            }
            SnapshotItem::Segment(packed) => {
                assert!(packed.offset < bytes.len() && packed.data.len() < bytes.len());
                if let Ok(segment) = packed.unpack(&mut scratch) {
                    assert!(segment.records.len() <= 65_536);
                    visit::segment(&segment, &callsites);
                }
            }
            SnapshotItem::Damaged { offset, len_bytes, reason } => {
                // The part of a file after a header that is too new is not examined, and can be empty.
                let some = len_bytes > 0 || matches!(reason, FormatErrorKind::TooNew(_));
                assert!(some && offset >= damaged_up_to && offset + len_bytes <= bytes.len());
                damaged_up_to = offset + len_bytes;
            }
            SnapshotItem::Unknown { offset, len_bytes, .. } => assert!(offset + len_bytes < bytes.len()),
            SnapshotItem::Entry(_) | SnapshotItem::End { .. } => {}
        }
    }
});

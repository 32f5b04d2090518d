//! Scans arbitrary bytes for frames. Nothing panics; frames that are found have a valid CRC and encode to the same
//! bytes; and encoded frames with other bytes between them are all found.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ttlog_core::device::frame::{
    Begin, FRAME_DATA_MAX, FRAME_LEN_MAX, Frame, FrameKind, FrameScanner, LINE_LEN_MAX, Part, Scanned,
};

/// A frame with its data.
type Found = (FrameKind, u8, u16, u32, Vec<u8>);

fn own(frame: &Frame<'_>) -> Found {
    (frame.kind, frame.dump, frame.number, frame.offset, frame.data.to_vec())
}

/// Returns all frames of a stream.
fn scan(bytes: &[u8]) -> Vec<Found> {
    let (mut scanner, mut found) = (FrameScanner::new(), Vec::new());
    for byte in bytes {
        if let Some(Scanned::Frame(frame)) = scanner.push(*byte) {
            assert!(frame.data.len() <= FRAME_DATA_MAX);
            let mut wire = [0; FRAME_LEN_MAX];
            let mut encoded = frame.encode(&mut wire).to_vec();
            let inner = encoded.len() - 1;
            assert_eq!((encoded[0], encoded[inner]), (0, 0));
            assert!(encoded.len() <= FRAME_LEN_MAX && !encoded[1..inner].contains(&0));
            assert_eq!(Frame::decode(&mut encoded[1..inner]).as_ref().map(own), Some(own(&frame)));
            let mut room = [0; FRAME_LEN_MAX];
            let mut line = [0; LINE_LEN_MAX];
            assert_eq!(
                Frame::decode_line(frame.encode_line(&mut line), &mut room).as_ref().map(own),
                Some(own(&frame))
            );
            let _ = (Begin::decode(frame.data), Part::decode(frame.data));
            found.push(own(&frame));
        }
    }
    let _ = scanner.finish();
    found
}

fuzz_target!(|input: &[u8]| {
    scan(input);
    for line in input.split(|byte| *byte == b'\n') {
        let mut room = [0; FRAME_LEN_MAX];
        let _ = Frame::decode_line(line, &mut room);
    }
    let _ = Frame::decode_content(input);
    let _ = Frame::decode(&mut input.to_vec());

    // The start of the input as data of frames, with text between them.
    let input = &input[..input.len().min(1024)];
    let (mut stream, mut expected) = (Vec::new(), Vec::new());
    for (number, data) in
        input.chunks(1 + usize::from(input.first().copied().unwrap_or(0)) % FRAME_DATA_MAX).enumerate()
    {
        let kind = [FrameKind::Ring, FrameKind::Packed, FrameKind::Stream, FrameKind::Callsite][number % 4];
        let frame = Frame { kind, dump: data[0], number: number as u16, offset: u32::from(data[0]) << 9, data };
        stream.extend_from_slice(frame.encode(&mut [0; FRAME_LEN_MAX]));
        expected.push(own(&frame));
        stream.extend(data.iter().filter(|byte| **byte != 0));
    }
    let found = scan(&stream);
    // The bytes between can be a frame themselves, if the input had one.
    let mut rest = found.iter();
    assert!(expected.iter().all(|frame| rest.any(|one| one == frame)), "a frame is missing");
});

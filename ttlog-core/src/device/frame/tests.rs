use std::vec::Vec;

use super::*;

/// Kind, number, offset and data of a frame.
type Found = (FrameKind, u16, u32, Vec<u8>);

fn frames_in(stream: &[u8]) -> (Vec<Found>, Vec<u8>) {
    let (mut frames, mut other, mut scanner) = (Vec::new(), Vec::new(), FrameScanner::new());
    for &byte in stream {
        match scanner.push(byte) {
            Some(Scanned::Frame(frame)) => {
                frames.push((frame.kind, frame.number, frame.offset, frame.data.to_vec()));
            }
            Some(Scanned::Other(bytes)) => other.extend(bytes),
            None => {}
        }
    }
    other.extend(scanner.finish().unwrap_or_default());
    (frames, other)
}

fn stream(count: u16, data: impl Fn(u16) -> Vec<u8>) -> (Vec<u8>, Vec<Found>) {
    let (mut bytes, mut expected) = (Vec::new(), Vec::new());
    for number in 0..count {
        let kind = FrameKind::ALL[usize::from(number) % 7];
        let data = data(number);
        let frame = Frame { kind, dump: 3, number, offset: u32::from(number) * 240, data: &data };
        bytes.extend(frame.encode(&mut [0; FRAME_LEN_MAX]));
        expected.push((kind, number, frame.offset, data));
    }
    (bytes, expected)
}

#[test]
fn frames_of_every_length_come_back() {
    for fill in [0, 1, 0xFF] {
        let (bytes, expected) = stream(241, |number| std::vec![fill; usize::from(number)]);
        assert_eq!(frames_in(&bytes), (expected, Vec::new()));
    }
    let (longest, _) = stream(1, |_| std::vec![7; FRAME_DATA_MAX]);
    assert!(longest.len() <= FRAME_LEN_MAX);
}

#[test]
fn other_output_between_frames_passes_through() {
    let (bytes, expected) = stream(3, |number| std::vec![number as u8; 5]);
    let frame_len = bytes.len() / 3;
    let mut mixed = b"boot 1\r\n".to_vec();
    for frame in bytes.chunks(frame_len) {
        mixed.extend(frame);
        mixed.extend(b"text ");
    }
    assert_eq!(frames_in(&mixed), (expected, b"boot 1\r\ntext text text ".to_vec()));
}

#[test]
fn each_lost_changed_or_doubled_byte_costs_at_most_two_frames() {
    let (bytes, expected) = stream(6, |number| (0..40).map(|at| (at * number % 7) as u8).collect());
    for at in 0..bytes.len() {
        for change in 0..3 {
            let mut broken = bytes.clone();
            match change {
                0 => drop(broken.remove(at)),
                1 => broken[at] ^= 0x10,
                _ => broken.insert(at, broken[at]),
            }
            let (frames, _) = frames_in(&broken);
            assert!(frames.iter().all(|frame| expected.contains(frame)), "byte {at}, change {change}: a false frame");
            assert!(frames.len() + 2 >= expected.len(), "byte {at}, change {change}: {} frames", frames.len());
        }
    }
}

#[test]
fn lines_come_back_and_broken_ones_do_not() {
    let data: Vec<u8> = (0..FRAME_DATA_MAX as u8).collect();
    let frame = Frame { kind: FrameKind::Ring, dump: 1, number: 2, offset: 480, data: &data };
    let mut out = [0; LINE_LEN_MAX];
    let line = frame.encode_line(&mut out).to_vec();
    assert_eq!(line.len(), LINE_LEN_MAX);
    assert!(line.is_ascii());
    let mut spaced = line.clone();
    spaced.extend(b"\r\n");
    assert_eq!(Frame::decode_line(&spaced, &mut [0; FRAME_LEN_MAX]), Some(frame));
    for at in 0..line.len() {
        let mut broken = line.clone();
        broken[at] ^= 1;
        assert_eq!(Frame::decode_line(&broken, &mut [0; FRAME_LEN_MAX]), None, "byte {at}");
        assert_eq!(Frame::decode_line(&line[..at], &mut [0; FRAME_LEN_MAX]), None, "{at} bytes");
    }
    assert_eq!(Frame::decode_line(&[b'A'; 5000], &mut [0; FRAME_LEN_MAX]), None);
}

#[test]
fn noise_holds_no_frames() {
    let mut rng = fastrand::Rng::with_seed(1);
    let noise: Vec<u8> = (0..100_000).map(|_| if rng.u8(..8) == 0 { 0 } else { rng.u8(..) }).collect();
    assert_eq!(frames_in(&noise).0, []);
}

#[test]
fn begin_and_parts_come_back() {
    let begin = Begin {
        version: FRAME_VERSION,
        packed: true,
        callsites: false,
        ring_len: 4096,
        ring_id: 1 << 60 | 5,
        boot: 9,
        build_id: [0xA5; 20],
    };
    assert_eq!(Begin::decode(&begin.encode()), Some(begin));
    assert_eq!(Begin::decode(&begin.encode()[1..]), None);
    let mut data = [0; FRAME_DATA_MAX];
    let len = Part::encode(236, 300, [5; 64].iter(), &mut data);
    assert_eq!(Part::decode(&data[..len]), Some(Part { position: 236, total: 300, bytes: &[5; 64] }));
    let len = Part::encode(237, 300, [5; 64].iter(), &mut data);
    assert_eq!(Part::decode(&data[..len]), None, "beyond the whole");
    assert_eq!(Part::encode(0, 300, [5; 300].iter(), &mut data), FRAME_DATA_MAX);
}

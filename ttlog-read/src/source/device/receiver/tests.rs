use ttlog_core::Word;
use ttlog_core::device::frame::{Begin, FRAME_DATA_MAX, FRAME_LEN_MAX, LINE_LEN_MAX, Part};
use ttlog_core::device::{DeviceClock, DeviceRecorder, SessionStart};
use ttlog_core::event::{Cons, Nil};
use ttlog_core::ring::RingConfig;

use super::*;

/// A device's ring of four segments of 256 bytes, full of events.
fn ring() -> Vec<u8> {
    let config = RingConfig { segment_len: 256, table_len: 0, anchor_count: 0, session_count: 1, ..RingConfig::PLAIN };
    let len = config.overhead_len() + 4 * 256;
    let words: &'static [Word] = Vec::leak((0..len / 8).map(|_| Word::new(0)).collect());
    let recorder: &'static DeviceRecorder = Box::leak(Box::default());
    let start = SessionStart {
        clock: DeviceClock::new(|| 5, Some(|| 5), 0),
        build_id: [9; 20],
        reset_reason: 0,
        embedded_metadata: false,
    };
    recorder.start(words, &config, &start).expect("started once").expect("it fits");
    // Each segment has 13 of them.
    for n in 0..4 * 13_u32 {
        recorder.append_any(7, &Cons(n, Nil));
    }
    words.iter().flat_map(|word| word.load().to_le_bytes()).collect()
}

fn begin_of(ring: &[u8]) -> Begin {
    let ring_id = ring.get(16..24).map_or(7, |bytes| u64::from_le_bytes(bytes.try_into().expect("8 bytes")));
    Begin { version: 1, ring_len: ring.len() as u32, ring_id, boot: 3, build_id: [9; 20], ..Begin::default() }
}

/// A piece of a dump: kind, offset, data.
type Piece = (FrameKind, u32, Vec<u8>);

fn pieces(ring: &[u8]) -> Vec<Piece> {
    let mut pieces = vec![(FrameKind::Begin, 0, begin_of(ring).encode().to_vec())];
    for (index, chunk) in ring.chunks(FRAME_DATA_MAX).enumerate() {
        pieces.push((FrameKind::Ring, (index * FRAME_DATA_MAX) as u32, chunk.to_vec()));
    }
    pieces.push((FrameKind::End, 0, (pieces.len() as u32).to_le_bytes().to_vec()));
    pieces
}

fn encode(dump: u8, pieces: &[Piece]) -> Vec<Vec<u8>> {
    let frame = |(number, (kind, offset, data)): (usize, &Piece)| {
        let frame = Frame { kind: *kind, dump, number: number as u16, offset: *offset, data };
        frame.encode(&mut [0; FRAME_LEN_MAX]).to_vec()
    };
    pieces.iter().enumerate().map(frame).collect()
}

#[derive(Debug, Default)]
struct Out {
    dumps: Vec<Dump>,
    text: Vec<u8>,
    remarks: Vec<String>,
    damaged: u64,
}

fn receive(stream: &[u8]) -> Out {
    let mut out = Out::default();
    let mut receiver = Receiver::new();
    let mut take = |received| match received {
        Received::Dump(dump) => out.dumps.push(*dump),
        Received::Text(text) => out.text.extend(text),
        Received::Remark(line) => out.remarks.push(line),
    };
    receiver.push(stream, &mut take);
    receiver.finish(&mut take);
    out.damaged = receiver.damaged();
    out
}

#[test]
fn a_whole_dump_among_text() {
    let ring = ring();
    let mut stream = b"boot 1\r\nready\r\n".to_vec();
    for frame in encode(4, &pieces(&ring)) {
        stream.extend(frame);
        stream.extend(b"tick \xC3\xA9\r\n");
    }
    stream.extend(b"> ");
    let out = receive(&stream);
    assert_eq!(out.dumps.len(), 1);
    let dump = &out.dumps[0];
    assert!(dump.is_whole(), "{dump:?}");
    assert_eq!(dump.ring.bytes, ring);
    assert_eq!(dump.begin, Some(begin_of(&ring)));
    assert_eq!((dump.number, dump.counts), (4, Counts { frames: 8, lost: 0, repeated: 0 }));
    let ticks = "tick é\r\n".repeat(8);
    assert_eq!(String::from_utf8(out.text), Ok(format!("boot 1\r\nready\r\n{ticks}> ")));
    assert_eq!((out.remarks, out.damaged), (vec![], 0));
}

#[test]
fn text_comes_at_once_line_by_line() {
    let mut receiver = Receiver::new();
    let mut texts = Vec::new();
    let mut push = |receiver: &mut Receiver, bytes: &[u8], idle: bool| {
        let mut take = |received| match received {
            Received::Text(text) => texts.push(String::from_utf8(text).expect("it is text")),
            other => panic!("{other:?}"),
        };
        receiver.push(bytes, &mut take);
        if idle {
            receiver.idle(&mut take);
        }
        std::mem::take(&mut texts)
    };
    assert_eq!(push(&mut receiver, b"one\ntw", false), ["one\n"]);
    assert_eq!(push(&mut receiver, b"o\n", false), ["two\n"]);
    assert_eq!(push(&mut receiver, b"login: ", true), ["login: "]);
    assert_eq!(push(&mut receiver, b"\0me\0\nTTL", true), ["me\n"]);
    assert_eq!(push(&mut receiver, b" and so on\n", false), ["TTL and so on\n"]);
}

#[test]
fn each_lost_frame_costs_its_own_bytes() {
    let ring = ring();
    let frames = encode(0, &pieces(&ring));
    for lost in 0..frames.len() {
        let stream: Vec<u8> = frames
            .iter()
            .enumerate()
            .filter(|(index, _)| *index != lost)
            .flat_map(|(_, frame)| frame.clone())
            .collect();
        let out = receive(&stream);
        assert_eq!(out.dumps.len(), 1, "frame {lost}");
        let dump = &out.dumps[0];
        let is_end = lost == frames.len() - 1;
        assert_eq!((dump.ended, dump.begin.is_some()), (!is_end, lost != 0), "frame {lost}");
        assert_eq!(dump.counts.lost, u64::from(!is_end), "frame {lost}");
        assert!(!dump.is_whole(), "frame {lost}");
        match lost.checked_sub(1) {
            Some(piece) if !is_end => {
                let start = piece * FRAME_DATA_MAX;
                let end = ring.len().min(start + FRAME_DATA_MAX);
                // All bytes in it, or if it had the header of a segment, the whole segment.
                let missing: usize = dump.missing.iter().map(|(_, len)| len).sum();
                assert!((1..=FRAME_DATA_MAX).contains(&missing), "frame {lost}: {:?}", dump.missing);
                assert!(dump.missing.iter().all(|&(at, len)| at >= start && at + len <= end), "{:?}", dump.missing);
                assert_eq!(dump.ring.bytes[..start], ring[..start], "frame {lost}");
                // If it had the ring's header, that is reconstructed from the segments.
                let zeros = if start == 0 { 64 } else { start };
                assert!(dump.ring.bytes[zeros..end].iter().all(|&byte| byte == 0), "frame {lost}");
                assert!(start > 0 || dump.ring.bytes[..64] == ring[..64], "frame {lost}");
                assert_eq!(dump.ring.bytes[end..], ring[end..], "frame {lost}");
            }
            _ => assert_eq!((&dump.missing, &dump.ring.bytes), (&vec![], &ring), "frame {lost}"),
        }
    }
}

#[test]
fn what_comes_twice_is_taken_once() {
    let ring = ring();
    let frames = encode(0, &pieces(&ring));
    for repeated in 0..frames.len() {
        let mut stream = Vec::new();
        for (index, frame) in frames.iter().enumerate() {
            stream.extend(frame);
            if index == repeated {
                stream.extend(frame);
            }
        }
        let out = receive(&stream);
        assert_eq!(out.dumps[0].ring.bytes, ring, "frame {repeated}");
        // The repeated end is of a dump that is over.
        assert_eq!(out.dumps.len(), 1, "frame {repeated}");
        assert_eq!(out.dumps[0].counts.repeated, u64::from(repeated + 1 < frames.len()), "frame {repeated}");
        assert!(out.dumps[0].is_whole(), "frame {repeated}");
    }
    // Repeated late, as if a line resent what it holds.
    for repeated in 1..frames.len() - 1 {
        let mut late = frames.clone();
        late.insert(frames.len() - 1, frames[repeated].clone());
        let dump = &receive(&late.concat()).dumps[0];
        assert!(dump.is_whole() && dump.ring.bytes == ring, "frame {repeated}: {:?}", dump.counts);
        assert_eq!(dump.counts, Counts { frames: frames.len() as u64, lost: 0, repeated: 1 }, "frame {repeated}");
    }
    let twice: Vec<u8> = frames.iter().chain(&frames).flatten().copied().collect();
    assert_eq!(receive(&twice).dumps.len(), 2, "a device may send with the same number again");
}

#[test]
fn dumps_in_lines_of_text() {
    let ring = ring();
    let mut stream = format!("prompt> dump\r\n{TEXT_BEGIN}\r\n").into_bytes();
    for (number, (kind, offset, data)) in pieces(&ring).iter().enumerate() {
        let frame = Frame { kind: *kind, dump: 1, number: number as u16, offset: *offset, data };
        if number == 3 {
            stream.extend(b"[12:03:01] "); // a terminal program that adds the time
        }
        stream.extend(frame.encode_line(&mut [0; LINE_LEN_MAX]));
        stream.extend(b"\r\n");
    }
    stream.extend(format!("{TEXT_END}\r\nprompt> ").bytes());
    let out = receive(&stream);
    assert!(out.dumps[0].is_whole(), "{:?}", out.dumps[0]);
    assert_eq!(out.dumps[0].ring.bytes, ring);
    assert_eq!(String::from_utf8(out.text).expect("text"), "prompt> dump\r\n[12:03:01] prompt> ");
    // A terminal of 80 columns breaks the lines.
    let text = String::from_utf8(stream.clone()).expect("text");
    let broken: Vec<String> = text
        .lines()
        .flat_map(|line| line.as_bytes().chunks(80).map(|part| String::from_utf8_lossy(part).into_owned()))
        .collect();
    let out = receive(broken.join("\r\n").as_bytes());
    assert!(out.dumps[0].is_whole() && out.damaged == 0, "{:?}", out.dumps[0].counts);
    assert_eq!(out.dumps[0].ring.bytes, ring);
    assert_eq!(String::from_utf8(out.text).expect("text"), "prompt> dump\r\n[12:03:01] prompt> ");
    // A changed line is damaged, and not text.
    let at = stream.windows(6).position(|window| window == b"TTLOG:").expect("there is a line") + 20;
    stream[at] = if stream[at] == b'A' { b'B' } else { b'A' };
    let out = receive(&stream);
    assert_eq!((out.damaged, out.dumps[0].counts.lost), (1, 1));
}

#[test]
fn compressed_and_void_segments() {
    let ring = ring();
    let start = ring.len() - 4 * 256;
    let mut pieces = vec![
        (FrameKind::Begin, 0, Begin { packed: true, ..begin_of(&ring) }.encode().to_vec()),
        (FrameKind::Ring, 0, ring[..start].to_vec()),
    ];
    for index in 0..4 {
        let offset = start + index * 256;
        let mut room = [0; 512];
        let len = lz4_flex::block::compress_into(&ring[offset..offset + 256], &mut room).expect("room enough");
        let block = &room[..len];
        for (at, bytes) in block.chunks(100).enumerate() {
            let mut part = [0; FRAME_DATA_MAX];
            let len = Part::encode(at as u16 * 100, block.len() as u16, bytes.iter(), &mut part);
            pieces.push((FrameKind::Packed, offset as u32, part[..len].to_vec()));
        }
    }
    let second = (start + 256) as u32;
    pieces.push((FrameKind::Void, second, vec![]));
    pieces.push((FrameKind::Ring, second + 256, vec![0xAA; 16])); // sent again, with different contents
    pieces.push((FrameKind::Void, second + 256, vec![]));
    let count = (pieces.len() as u32).to_le_bytes().to_vec();
    pieces.push((FrameKind::End, 0, count));
    let out = receive(&encode(0, &pieces).concat());
    let dump = &out.dumps[0];
    assert!(dump.is_whole(), "{dump:?}");
    assert_eq!(dump.ring.changed_segments, 2);
    let mut expected = ring.clone();
    expected[start + 256..start + 3 * 256].fill(0);
    assert_eq!(dump.ring.bytes, expected);
    // A void segment beside one that is missing.
    let kept: Vec<_> = encode(0, &pieces)
        .into_iter()
        .zip(&pieces)
        .filter(|(_, (kind, offset, _))| !(*kind == FrameKind::Packed && *offset == start as u32))
        .map(|(frame, _)| frame)
        .collect();
    let out = receive(&kept.concat());
    // If nothing of a segment was received, it is unknown what the lost frames had: it can have been empty.
    assert!(!out.dumps[0].is_whole() && out.dumps[0].counts.lost > 0, "{:?}", out.dumps[0].counts);
    assert_eq!(out.dumps[0].missing, []);
}

#[test]
fn segments_that_are_not_sent_are_not_missing() {
    let ring = ring();
    let start = ring.len() - 4 * 256;
    let mut all = pieces(&ring);
    // The header, and the second segment in two frames.
    let (begin, end) = (all[0].clone(), start + 256);
    let sent = [(0, start), (end, end + 128), (end + 128, end + 256)];
    all = vec![begin];
    all.extend(sent.map(|(from, to)| (FrameKind::Ring, from as u32, ring[from..to].to_vec())));
    all.push((FrameKind::End, 0, 4_u32.to_le_bytes().to_vec()));
    let frames = encode(0, &all);
    let out = receive(&frames.concat());
    assert!(out.dumps[0].is_whole(), "{:?}", out.dumps[0]);
    assert_eq!(out.dumps[0].ring.bytes.len(), ring.len());
    // If a part of that is lost, that part is missing.
    let cut: Vec<u8> =
        frames.iter().enumerate().filter(|(index, _)| *index != 3).flat_map(|(_, frame)| frame.clone()).collect();
    let out = receive(&cut);
    assert_eq!((out.dumps[0].counts.lost, &out.dumps[0].missing), (1, &vec![(end + 128, 128)]));
}

#[test]
fn dumps_that_share_a_line_are_told_apart() {
    let (first, mut other) = (ring(), ring());
    other[300] ^= 0xFF;
    let (a, b) = (encode(1, &pieces(&first)), encode(2, &pieces(&other)));
    let mixed: Vec<u8> = a.iter().zip(&b).flat_map(|(a, b)| [a.clone(), b.clone()].concat()).collect();
    let out = receive(&mixed);
    assert_eq!(out.dumps.iter().map(|dump| &dump.ring.bytes).collect::<Vec<_>>(), [&first, &other]);
    assert!(out.dumps.iter().all(Dump::is_whole));
}

#[test]
fn a_stream_that_shares_the_line_passes() {
    let frame = Frame { kind: FrameKind::Stream, dump: 0, number: 0, offset: 0, data: b"from the log\n" };
    let out = receive(frame.encode(&mut [0; FRAME_LEN_MAX]));
    assert_eq!((out.text, out.dumps.len()), (b"from the log\n".to_vec(), 0));
}

#[test]
fn hostile_claims_cost_no_memory() {
    // Each claims that its ring has 4 GiB, and sends a word of its end.
    let begin = Begin { ring_len: u32::MAX, ..begin_of(&[]) }.encode().to_vec();
    let mut stream = Vec::new();
    for n in 0..2000u32 {
        let offset = RING_LEN_MAX as u32 - 8;
        let mut begin = begin.clone();
        begin.extend(n.to_le_bytes()); // a different one each time
        stream.extend(encode(n as u8, &[(FrameKind::Begin, 0, begin), (FrameKind::Ring, offset, vec![1; 8])]).concat());
        for wrong in [
            (FrameKind::Ring, u32::MAX - 7, vec![1; 8]),
            (FrameKind::Ring, 3, vec![1; 8]),
            (FrameKind::Void, n * 8, vec![]),
        ] {
            stream.extend(encode(n as u8, &[wrong]).concat());
        }
        let mut part = vec![0; FRAME_DATA_MAX];
        let len = Part::encode(0, u16::MAX, [1].iter(), &mut part);
        part.truncate(len);
        stream.extend(encode(200, &[(FrameKind::Callsite, n, part)]).concat());
    }
    let out = receive(&stream);
    let held: usize = out.dumps.iter().map(|dump| dump.ring.bytes.len()).sum();
    assert!(held < 1 << 20, "{held} bytes in {} dumps", out.dumps.len());
}

#[test]
fn endless_noise_passes_in_bounded_memory() {
    let mut rng = fastrand::Rng::with_seed(7);
    let mut receiver = Receiver::new();
    let mut dumps = 0;
    for _ in 0..300 {
        let noise: Vec<u8> = (0..4096).map(|_| if rng.u8(..20) == 0 { 0 } else { rng.u8(..) }).collect();
        receiver.push(&noise, &mut |received| dumps += usize::from(matches!(received, Received::Dump(_))));
        assert!(receiver.held.len() <= FRAME_LEN_MAX && receiver.line.len() <= TEXT_LINE_MAX);
    }
    assert_eq!((dumps, receiver.dumps.len()), (0, 0));
    assert!(receiver.damaged() > 1000);
}

/// Mangles a stream at random: whatever was done to it, each piece of a ring that comes out was sent.
#[test]
fn mangled_streams_give_nothing_false() {
    let ring = ring();
    let clean = encode(0, &pieces(&ring)).concat();
    for seed in 0..3000 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut stream = Vec::new();
        let rate = [0.0005, 0.002, 0.01, 0.05][seed as usize % 4];
        for &byte in &clean {
            match rng.f64() {
                chance if chance < rate => {} // dropped
                chance if chance < rate * 2.0 => stream.push(byte ^ (1 << rng.u8(..8))),
                chance if chance < rate * 3.0 => stream.extend([byte, byte]),
                chance if chance < rate * 4.0 => stream.extend([byte, rng.u8(..)]),
                _ => stream.push(byte),
            }
        }
        let out = receive(&stream);
        assert!(out.dumps.len() <= 2, "seed {seed}");
        for dump in &out.dumps {
            assert!(dump.ring.bytes.len() <= ring.len(), "seed {seed}");
            for (at, (word, sent)) in dump.ring.bytes.chunks(8).zip(ring.chunks(8)).enumerate() {
                // If both the ring's headers and the begin are lost, so are its identity and length.
                let is_restored = at < 8 && dump.missing.first().is_some_and(|(offset, _)| *offset == 0);
                assert!(word == sent || word == [0; 8] || is_restored, "seed {seed}, word {at}");
            }
            for &(offset, len) in dump.missing.iter().filter(|(offset, _)| *offset > 0) {
                assert!(dump.ring.bytes[offset..offset + len].iter().all(|&byte| byte == 0), "seed {seed}");
            }
            // What is not reported as missing is present, except for segments of which nothing was received.
            assert!(!dump.is_whole() || dump.ring.bytes == ring, "seed {seed}");
        }
    }
}

/// A port that vanishes at the reset and returns: what it sends then does not continue what was cut off.
#[test]
fn a_cut_anywhere_does_not_damage_what_follows() {
    let mut ring = ring();
    let before = encode(0, &pieces(&ring));
    ring[600] ^= 1; // the next run of the firmware, with the same number of its dump
    let after = encode(0, &pieces(&ring));
    let lines = |frames: &[Vec<u8>]| {
        let mut text = format!("{TEXT_BEGIN}\r\n");
        for frame in frames {
            let mut bytes = frame[1..frame.len() - 1].to_vec();
            let line = Frame::decode(&mut bytes).expect("a good frame");
            text.push_str(std::str::from_utf8(line.encode_line(&mut [0; LINE_LEN_MAX])).expect("it is text"));
            text.push_str("\r\n");
        }
        text.into_bytes()
    };
    let following = b"ready\r\n";
    for (before, after) in [
        (before.concat(), after.concat()),
        (lines(&before), lines(&after)),
        (before.concat(), lines(&after)),
        (lines(&before), after.concat()),
    ] {
        for cut in (0..before.len()).step_by(11) {
            let (mut dumps, mut text) = (Vec::new(), Vec::new());
            let mut take = |received| match received {
                Received::Dump(dump) => dumps.push(*dump),
                Received::Text(bytes) => text.extend(bytes),
                Received::Remark(line) => panic!("{line}"),
            };
            let mut receiver = Receiver::new();
            receiver.push(&before[..cut], &mut take);
            receiver.finish(&mut take);
            let damaged = receiver.damaged();
            receiver.push(following, &mut take);
            receiver.push(&after, &mut take);
            receiver.finish(&mut take);
            assert_eq!(receiver.damaged(), damaged, "cut at {cut}: the damage is at the cut");
            let last = dumps.pop().expect("the dump after the cut");
            assert!(last.is_whole() && last.ring.bytes == ring, "cut at {cut}: {}", last.sentence());
            assert!(dumps.len() <= 1, "cut at {cut}");
            assert!(text.ends_with(following), "cut at {cut}: {:?}", String::from_utf8_lossy(&text));
        }
    }
}

/// The begin of the next dump can be lost, because it was sent before the port was open again.
#[test]
fn frames_after_a_cut_are_not_those_of_the_dump_before_it() {
    let ring = ring();
    let frames = encode(0, &pieces(&ring));
    let mut dumps = Vec::new();
    let mut take = |received| match received {
        Received::Dump(dump) => dumps.push(*dump),
        other => panic!("{other:?}"),
    };
    let mut receiver = Receiver::new();
    receiver.push(&frames[..3].concat(), &mut take);
    receiver.finish(&mut take);
    receiver.push(&frames[3..].concat(), &mut take);
    let counts: Vec<_> = dumps.iter().map(|dump| (dump.begin.is_some(), dump.ended, dump.counts.frames)).collect();
    assert_eq!(counts, [(true, false, 3), (false, true, frames.len() as u64 - 3)]);
}

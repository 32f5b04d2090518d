//! Dumps to writers are readable, and a writer that fails ends the dump wherever it fails. One test, because a program
//! has one recorder.
#![cfg(not(target_os = "none"))]

use core::convert::Infallible;

use embedded_io::{ErrorKind, ErrorType, Write};
use ttlog_core::device::frame::{FRAME_LEN_MAX, Frame, FrameKind, FrameScanner, Scanned, TEXT_BEGIN, TEXT_END};
use ttlog_core::ring::RingImage;
use ttlog_embedded::{Config, Recovered, dump_text_to, dump_to};

ttlog_embedded::recorder!(static RECORDER: 2048);

/// Takes `most` bytes, then fails.
struct Room {
    taken: Vec<u8>,
    most: usize,
    flushed: bool,
}

impl ErrorType for Room {
    type Error = ErrorKind;
}

impl Write for Room {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
        let len = bytes.len().min(self.most - self.taken.len());
        if len == 0 {
            return Err(ErrorKind::OutOfMemory);
        }
        self.taken.extend(&bytes[..len]);
        Ok(len)
    }

    fn flush(&mut self) -> Result<(), ErrorKind> {
        self.flushed = true;
        Ok(())
    }
}

fn room(most: usize) -> Room {
    Room { taken: Vec::new(), most, flushed: false }
}

/// Returns the frames of a stream as kind, offset and data.
fn frames(stream: &[u8]) -> Vec<(FrameKind, u32, Vec<u8>)> {
    let (mut frames, mut scanner) = (Vec::new(), FrameScanner::new());
    for byte in stream {
        match scanner.push(*byte) {
            Some(Scanned::Frame(frame)) => frames.push((frame.kind, frame.offset, frame.data.to_vec())),
            Some(Scanned::Other(bytes)) => panic!("{bytes:?} is no frame"),
            None => {}
        }
    }
    frames
}

#[test]
fn writers_take_a_dump_or_end_it() {
    assert!(dump_to(&mut room(0)).is_ok(), "before the start there is nothing to send");
    let started = RECORDER.start(Config::DEFAULT);
    assert_eq!((started.boot, started.recovered), (1, Recovered::Nothing));
    assert_eq!(RECORDER.start(Config::DEFAULT).boot, 1, "the second start changes nothing");

    let mut whole = room(usize::MAX);
    dump_to(&mut whole).expect("it takes all");
    assert!(whole.flushed);
    let sent = frames(&whole.taken);
    assert_eq!((sent[0].0, sent.last().map(|frame| frame.0)), (FrameKind::Begin, Some(FrameKind::End)));
    let header: Vec<u8> =
        sent.iter().filter(|frame| frame.0 == FrameKind::Ring).flat_map(|frame| frame.2.clone()).collect();
    let image = RingImage::parse(&header).expect("the header of the ring; it has no segments yet");
    assert_eq!(image.sessions().map(|session| session.boot).collect::<Vec<_>>(), [1]);
    for most in 0..whole.taken.len() {
        let mut some = room(most);
        assert_eq!(dump_to(&mut some), Err(ErrorKind::OutOfMemory), "{most} bytes");
        assert_eq!(some.taken.len(), most);
        let came = frames(&some.taken);
        // The numbers of the dumps differ, so only kind and offset are compared.
        assert!(came.iter().zip(&sent).all(|(came, sent)| came.0 == sent.0 && came.1 == sent.1), "{most} bytes");
    }

    let mut text = room(usize::MAX);
    dump_text_to(&mut text).expect("it takes all");
    let text = String::from_utf8(text.taken).expect("it is text");
    let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
    assert_eq!((lines[0], lines[lines.len() - 1]), (TEXT_BEGIN, TEXT_END));
    let kinds: Vec<_> = lines[1..lines.len() - 1]
        .iter()
        .map(|line| Frame::decode_line(line.as_bytes(), &mut [0; FRAME_LEN_MAX]).expect("a frame").kind)
        .collect();
    assert_eq!(kinds, sent.iter().map(|frame| frame.0).collect::<Vec<_>>());

    let mut count = 0;
    let counted: Result<(), Infallible> = ttlog_embedded::dump::dump_with(Default::default(), |bytes| {
        count += bytes.len();
        Ok(())
    });
    assert_eq!((counted, count), (Ok(()), whole.taken.len()));
}

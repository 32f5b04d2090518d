//! Sends the ring over a line.

use embedded_io::Write;
use ttlog_core::frame::{Begin, FRAME_DATA_MAX, FRAME_VERSION, Frame, FrameKind};

/// Sends `ring` to `out` in frames.
pub fn dump<W: Write>(out: &mut W, ring: ttlog_core::Ring<'static>, boot: u32) -> Result<(), W::Error> {
    let mut image = [0; 4096];
    let len = ring.copy_image(&mut image);
    let mut number = 0;
    let mut send = |out: &mut W, kind, offset, data: &[u8]| {
        let frame = Frame { kind, dump: boot as u8, number, offset, data };
        number += 1;
        out.write_all(frame.encode(&mut [0; 256]))
    };
    let begin = Begin {
        version: FRAME_VERSION,
        ring_len: len as u32,
        ring_id: ring.header_now().ring_id,
        boot,
        ..Begin::default()
    };
    send(out, FrameKind::Begin, 0, &begin.encode())?;
    let mut count = 1u32;
    for (index, piece) in image[..len].chunks(FRAME_DATA_MAX).enumerate() {
        send(out, FrameKind::Ring, (index * FRAME_DATA_MAX) as u32, piece)?;
        count += 1;
    }
    send(out, FrameKind::End, 0, &count.to_le_bytes())?;
    out.flush()
}

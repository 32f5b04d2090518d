//! Sending the ring over a byte stream: serial, USB, a radio, a file.
//!
//! A dump is a sequence of frames of at most 256 bytes, each with its own checksum. So a receiver resynchronizes after
//! lost or damaged bytes, and other output may share the line. `ttlog-view serial` reads it. Logging continues
//! meanwhile, also in interrupts; a segment that is replaced while it is sent is revoked and sent again.
//!
//! ```ignore
//! ttlog_embedded::dump_to(&mut uart)?;                    // frames, for `ttlog-view serial`
//! ttlog_embedded::dump_text_to(&mut uart)?;               // text, for any terminal program that can save its output
//!
//! let mut dump = Dump::new(DumpOptions::DEFAULT);         // or one frame at a time, when there is room for it
//! let mut room = [0; FRAME_LEN_MAX];
//! while let Some(frame) = dump.next_frame(&mut room) { /* send it */ }
//! ```
//!
//! # Memory
//!
//! A dump needs stack only: 830 bytes, of which 500 are the frame and the position in the ring; 920 bytes as lines of
//! text. With the feature `lz4` and [`DumpOptions::scratch`], segments are compressed, which takes 9,450 bytes of
//! stack, mostly the table of LZ4. (Measured on thumbv7m at opt-level s, rustc 1.95, without the writer; the test
//! `dumps_need_little_stack` of ttlog-qemu fails above 896, 1,024 and 10,240 bytes.)
//!
//! # Format
//! docs/format.md §7.

use core::sync::atomic::{AtomicU32, Ordering};

pub use ttlog_core::device::frame::{DUMP_FRAME_LEN_MAX as FRAME_LEN_MAX, DUMP_LINE_LEN_MAX as LINE_LEN_MAX};
use ttlog_core::device::frame::{FrameContent, TEXT_BEGIN, TEXT_END};
use ttlog_core::device::{CallsiteAt, RingDump, RingDumpOptions};

use crate::build_id::build_id;
use crate::recorder::DEVICE;

/// Options of a dump.
#[derive(Debug, Default)]
pub struct DumpOptions<'s> {
    /// Memory to compress segments in, of [`scratch_len`] bytes; needs the feature `lz4`. Segments are sent
    /// uncompressed if it is `None` or too short.
    pub scratch: Option<&'s mut [u8]>,
}

impl DumpOptions<'_> {
    /// Without compression.
    pub const DEFAULT: Self = DumpOptions { scratch: None };
}

/// Returns the scratch bytes needed to compress segments of `segment_len` bytes (as in
/// [`recorder!`](crate::recorder!)).
#[must_use]
pub const fn scratch_len(segment_len: usize) -> usize {
    RingDump::scratch_len(segment_len)
}

/// A dump in progress, one frame at a time, at any pace.
#[derive(Debug)]
pub struct Dump<'s> {
    /// `None` if recording has not started.
    dump: Option<RingDump<'static, 's>>,
}

/// Dumps started so far.
static DUMP_COUNT: AtomicU32 = AtomicU32::new(0);

impl<'s> Dump<'s> {
    /// Starts a dump of what the ring holds while it is sent; nothing before
    /// [`Recorder::start`](crate::Recorder::start). Callable anywhere; does not block.
    #[must_use]
    pub fn new(options: DumpOptions<'s>) -> Self {
        // Two dumps that start at the same moment may get the same number. Their frames then look like one dump, and
        // are readable.
        let number = DUMP_COUNT.load(Ordering::Relaxed).wrapping_add(1);
        DUMP_COUNT.store(number, Ordering::Relaxed);
        let Some(ring) = DEVICE.ring() else { return Dump { dump: None } };
        let options = RingDumpOptions {
            number: number as u8,
            boot: DEVICE.boot(),
            build_id: build_id(),
            first_index: DEVICE.oldest_index(),
            callsites: callsites(),
            scratch: options.scratch,
        };
        Dump { dump: Some(RingDump::new(ring, options)) }
    }

    /// Returns the next frame as bytes to send, in `room`; `None` at the end of the dump. Takes time in proportion to
    /// the frame, or to a segment if segments are compressed.
    pub fn next_frame<'r>(&mut self, room: &'r mut [u8; FRAME_LEN_MAX]) -> Option<&'r [u8]> {
        let mut content = FrameContent::new();
        if self.dump.as_mut()?.next_frame(&mut content) { Some(content.encode(room)) } else { None }
    }

    /// Returns the next frame as a line of text, without line end.
    pub fn next_line<'r>(&mut self, room: &'r mut [u8; LINE_LEN_MAX]) -> Option<&'r [u8]> {
        let mut content = FrameContent::new();
        if self.dump.as_mut()?.next_frame(&mut content) { Some(content.encode_line(room)) } else { None }
    }
}

/// Sends the ring. Blocks as long as the writer does; logging continues meanwhile. The [module](self) says how much
/// stack it takes.
///
/// # Errors
/// Those of the writer. The dump ends there, and is readable up to there.
pub fn dump_to<W: embedded_io::Write>(writer: &mut W) -> Result<(), W::Error> {
    dump_with(DumpOptions::DEFAULT, |bytes| writer.write_all(bytes))?;
    writer.flush()
}

/// As [`dump_to`], but as lines of text, between a first and a last line that mark the dump.
///
/// # Errors
/// Those of [`dump_to`].
pub fn dump_text_to<W: embedded_io::Write>(writer: &mut W) -> Result<(), W::Error> {
    dump_text_with(DumpOptions::DEFAULT, |bytes| writer.write_all(bytes))?;
    writer.flush()
}

/// As [`dump_to`], for writers of embedded-io 0.6.
///
/// # Errors
/// Those of [`dump_to`].
#[cfg(feature = "embedded-io-06")]
pub fn dump_to_06<W: embedded_io_06::Write>(writer: &mut W) -> Result<(), W::Error> {
    dump_with(DumpOptions::DEFAULT, |bytes| writer.write_all(bytes))?;
    writer.flush()
}

/// As [`dump_text_to`], for writers of embedded-io 0.6.
///
/// # Errors
/// Those of [`dump_to`].
#[cfg(feature = "embedded-io-06")]
pub fn dump_text_to_06<W: embedded_io_06::Write>(writer: &mut W) -> Result<(), W::Error> {
    dump_text_with(DumpOptions::DEFAULT, |bytes| writer.write_all(bytes))?;
    writer.flush()
}

/// Sends the ring through a function that takes all bytes it is given, for sinks without `Write`.
///
/// # Errors
/// The first error of `send`; the dump ends there.
pub fn dump_with<E>(options: DumpOptions<'_>, mut send: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
    let mut dump = Dump::new(options);
    let mut room = [0; FRAME_LEN_MAX];
    while let Some(frame) = dump.next_frame(&mut room) {
        send(frame)?;
    }
    Ok(())
}

/// As [`dump_with`], in lines of text.
///
/// # Errors
/// Those of [`dump_with`].
pub fn dump_text_with<E>(options: DumpOptions<'_>, mut send: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
    const END: &[u8] = b"\r\n";
    let mut dump = Dump::new(options);
    // The line end goes with the line, so that nothing comes between them.
    let mut room = [0; LINE_LEN_MAX + END.len()];
    send(END)?;
    send(TEXT_BEGIN.as_bytes())?;
    send(END)?;
    while let Some(len) = room.first_chunk_mut().and_then(|line| dump.next_line(line)).map(<[u8]>::len) {
        room[len..len + END.len()].copy_from_slice(END);
        send(&room[..len + END.len()])?;
    }
    send(TEXT_END.as_bytes())?;
    send(END)
}

/// Returns access to the texts of the callsites if they are in flash.
fn callsites() -> Option<CallsiteAt> {
    #[cfg(all(feature = "embedded-metadata", target_os = "none"))]
    return Some(embedded::callsite);
    #[cfg(not(all(feature = "embedded-metadata", target_os = "none")))]
    None
}

#[cfg(all(feature = "embedded-metadata", target_os = "none"))]
mod embedded {
    //! The texts of the callsites, where `ttlog.x` has placed them.

    use ttlog_core::device::CallsiteBytes;

    /// An entry, in the layout that the assembly of ttlog-core writes.
    #[repr(C)]
    struct Entry {
        id: u32,
        text: *const u8,
        tags: [u8; 64],
    }

    unsafe extern "C" {
        static __ttlog_entries_start: Entry;
        static __ttlog_entries_end: Entry;
    }

    pub(super) fn callsite(index: usize) -> Option<CallsiteBytes> {
        let (start, end) = (&raw const __ttlog_entries_start, &raw const __ttlog_entries_end);
        // SAFETY: the linker script puts both symbols around whole entries, in memory that is never written.
        let entries = unsafe {
            core::slice::from_raw_parts(start, (end as usize - start as usize) / core::mem::size_of::<Entry>())
        };
        let entry = entries.get(index)?;
        // SAFETY: the linker put the address of a text there, which begins with its length (docs/format.md §3.3).
        let text = unsafe {
            let len = u16::from_le_bytes([entry.text.read(), entry.text.add(1).read()]);
            core::slice::from_raw_parts(entry.text, len.into())
        };
        Some(CallsiteBytes { id: entry.id as u16, tags: &entry.tags, text })
    }
}

//! Sending the ring over a byte stream: serial, USB, a radio, a file.
//!
//! A dump is a run of frames of at most 256 bytes, each with its own checksum, so that a receiver finds its way again after lost or broken
//! bytes, and other output may share the line. `ttlog-view serial` reads it. Logging goes on meanwhile, also in interrupts; a segment
//! that is replaced while it is sent is taken back and sent anew.
//!
//! ```ignore
//! ttlog_embedded::dump_to(&mut uart)?;                    // frames: for `ttlog-view serial`
//! ttlog_embedded::dump_text_to(&mut uart)?;               // the same as lines, for any terminal program that can save what it shows
//!
//! let mut dump = Dump::new(DumpOptions::DEFAULT);         // or a frame at a time, whenever there is room for one
//! let mut room = [0; FRAME_LEN_MAX];
//! while let Some(frame) = dump.next_frame(&mut room) { /* send it */ }
//! ```
//!
//! # Memory
//!
//! A dump takes no memory of its own but the stack: 500 bytes for the frame and the place in the ring, 830 in all with the functions that are
//! called, 920 as lines of text. With [`DumpOptions::scratch`] and the feature `lz4` segments are compressed, which takes 9,450 bytes of
//! stack, most of them the table of LZ4. (Measured on thumbv7m at opt-level s, rustc 1.95, without what the writer takes; the test
//! `dumps_need_little_stack` of ttlog-qemu fails when they take more than 896, 1,024 and 10,240.)
//!
//! # Format
//! docs/format.md §7.

use core::sync::atomic::{AtomicU32, Ordering};

use ttlog_core::frame::{Content, TEXT_BEGIN, TEXT_END};
pub use ttlog_core::frame::{DUMP_FRAME_LEN_MAX as FRAME_LEN_MAX, DUMP_LINE_LEN_MAX as LINE_LEN_MAX};
use ttlog_core::ring::{RingDump, RingDumpOptions, SiteAt};

use crate::build_id::build_id;
use crate::recorder::DEVICE;

/// What a dump is to send.
#[derive(Debug, Default)]
pub struct DumpOptions<'s> {
    /// Room to compress segments in, of [`scratch_len`] bytes; needs the feature `lz4`. `None`, or too short: segments are sent as they
    /// are.
    pub scratch: Option<&'s mut [u8]>,
}

impl DumpOptions<'_> {
    /// Segments as they are.
    pub const DEFAULT: Self = DumpOptions { scratch: None };
}

/// Gives the bytes of scratch that it takes to compress segments of so many bytes (`segment_len` of [`recorder!`](crate::recorder!)).
#[must_use]
pub const fn scratch_len(segment_len: usize) -> usize {
    RingDump::scratch_len(segment_len)
}

/// The ring on its way out, a frame at a time. To be sent at any pace, set aside and resumed.
#[derive(Debug)]
pub struct Dump<'s> {
    /// `None` if recording has not begun.
    dump: Option<RingDump<'static, 's>>,
}

/// Dumps begun so far.
static DUMP_COUNT: AtomicU32 = AtomicU32::new(0);

impl<'s> Dump<'s> {
    /// Begins a dump of what the ring holds while it is sent. Before [`Recorder::start`](crate::Recorder::start) there is nothing to send.
    /// Callable anywhere; does not block.
    #[must_use]
    pub fn new(options: DumpOptions<'s>) -> Self {
        // Two that begin at the same moment may get the same number. Their frames then look like those of one dump, and are read as well.
        let number = DUMP_COUNT.load(Ordering::Relaxed).wrapping_add(1);
        DUMP_COUNT.store(number, Ordering::Relaxed);
        let Some(ring) = DEVICE.ring() else { return Dump { dump: None } };
        let options = RingDumpOptions {
            number: number as u8,
            boot: DEVICE.boot(),
            build_id: build_id(),
            first_index: DEVICE.oldest_index(),
            sites: sites(),
            scratch: options.scratch,
        };
        Dump { dump: Some(RingDump::new(ring, options)) }
    }

    /// Gives the next frame as bytes to send, in `room`; `None`: the dump has ended. Takes a time in proportion to the frame, or where
    /// segments are compressed to a segment.
    pub fn next_frame<'r>(&mut self, room: &'r mut [u8; FRAME_LEN_MAX]) -> Option<&'r [u8]> {
        let mut content = Content::new();
        if self.dump.as_mut()?.next_frame(&mut content) { Some(content.encode(room)) } else { None }
    }

    /// Gives the next frame as a line of text, without its end.
    pub fn next_line<'r>(&mut self, room: &'r mut [u8; LINE_LEN_MAX]) -> Option<&'r [u8]> {
        let mut content = Content::new();
        if self.dump.as_mut()?.next_frame(&mut content) { Some(content.encode_line(room)) } else { None }
    }
}

/// Sends the ring. Blocks as long as the writer does; logging goes on meanwhile. For the stack that it takes see the [module](self).
///
/// # Errors
/// Those of the writer; what it took before is a dump that was cut off, and readable up to there.
pub fn dump_to<W: embedded_io::Write>(writer: &mut W) -> Result<(), W::Error> {
    dump_with(DumpOptions::DEFAULT, |bytes| writer.write_all(bytes))?;
    writer.flush()
}

/// Sends the ring as lines of text, between a line that says where it begins and one that says where it ends. Else as [`dump_to`].
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

/// Sends the ring through a function that takes all of the bytes it is given: for sinks that have no `Write`.
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
    // The line's end goes with it, so that nothing comes between them.
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

/// What the firmware has of its callsites, if that is in its flash.
fn sites() -> Option<SiteAt> {
    #[cfg(all(feature = "embedded-metadata", target_os = "none"))]
    return Some(embedded::site);
    #[cfg(not(all(feature = "embedded-metadata", target_os = "none")))]
    None
}

#[cfg(all(feature = "embedded-metadata", target_os = "none"))]
mod embedded {
    //! What callsites say, where `ttlog.x` has put it.

    use ttlog_core::ring::SiteBytes;

    /// An entry, as the assembly of ttlog-core writes it.
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

    pub(super) fn site(index: usize) -> Option<SiteBytes> {
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
        Some(SiteBytes { id: entry.id as u16, tags: &entry.tags, text })
    }
}

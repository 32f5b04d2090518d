//! Reading files that may be rings of running programs.
//!
//! Everything is read with `pread` into memory. Nothing is mapped: a mapped file that somebody truncates would kill the viewer.

use std::fs::File;
use std::io;
use std::path::Path;

use ttlog_core::ring::{RingImage, SEGMENT_HEADER_LEN};

/// First bytes of a ring.
const RING_MAGIC: &[u8] = b"TTLOGRNG";
/// First bytes of each item of a snapshot.
const SNAPSHOT_MAGIC: &[u8] = b"\xd9\xd9\xf7\x84\x64TTLG";
/// How often a segment is read that is overwritten meanwhile.
const ATTEMPTS: u32 = 4;

/// What a file holds, going by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// A ring.
    Ring,
    /// A snapshot.
    Snapshot,
    /// Neither, or damaged at the start.
    Unknown,
}

/// The bytes of a file, and what happened while they were read.
#[derive(Debug)]
pub struct Bytes {
    /// What was read. Segments that kept changing are zero.
    pub data: Vec<u8>,
    /// Segments that were overwritten faster than they could be read.
    pub changed_segments: u32,
}

/// Opens a regular file for reading. Does not wait for pipes.
///
/// # Errors
/// Those of the system, and `InvalidInput` if it is no regular file.
pub fn open(path: &Path) -> io::Result<File> {
    let mut options = std::fs::OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.custom_flags((rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::CLOEXEC).bits().cast_signed());
    }
    let file = options.open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_file() { Ok(file) } else { Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")) }
}

/// Tells what the file holds.
///
/// # Errors
/// Those of reading.
pub fn content(file: &File) -> io::Result<Content> {
    let mut start = [0; 16];
    let len = read_up_to(file, &mut start, 0)?;
    Ok(content_of(&start[..len]))
}

/// Tells what these first bytes are.
#[must_use]
pub fn content_of(start: &[u8]) -> Content {
    if start.starts_with(RING_MAGIC) {
        Content::Ring
    } else if start.starts_with(SNAPSHOT_MAGIC) {
        Content::Snapshot
    } else {
        Content::Unknown
    }
}

/// Tells whether an item of a snapshot begins anywhere in `data`.
#[must_use]
pub(super) fn holds_items(data: &[u8]) -> bool {
    data.windows(SNAPSHOT_MAGIC.len()).any(|window| window == SNAPSHOT_MAGIC)
}

/// Reads a file whole, whatever it holds and whatever is done to it meanwhile.
///
/// # Errors
/// Those of reading, and `OutOfMemory` if the file does not fit.
pub fn read(file: &File) -> io::Result<Bytes> {
    let mut data = read_all(file)?;
    let mut changed_segments = 0;
    if content_of(&data) == Content::Ring {
        changed_segments = reread_segments(file, &mut data)?;
    }
    Ok(Bytes { data, changed_segments })
}

fn read_all(file: &File) -> io::Result<Vec<u8>> {
    let len = usize::try_from(file.metadata()?.len()).map_err(|_| io::ErrorKind::OutOfMemory)?;
    let mut data = Vec::new();
    data.try_reserve_exact(len).map_err(|_| io::ErrorKind::OutOfMemory)?;
    data.resize(len, 0);
    let read = read_up_to(file, &mut data, 0)?;
    data.truncate(read); // shorter where it was truncated since
    Ok(data)
}

/// Reads each segment of a ring so that what was read belongs together, then what describes the segments. Returns how many segments
/// could not be had.
///
/// The header of the segment is read first: what it says is committed is in the bytes that are read after it. If its sequence is
/// still the same after that, the bytes are those of this segment.
fn reread_segments(file: &File, data: &mut [u8]) -> io::Result<u32> {
    let Ok(image) = RingImage::parse(data) else { return Ok(0) };
    let header = *image.header();
    let segment_len = header.segment_len as usize;
    let mut changed = 0;
    // First so that each segment is whole in itself.
    for index in 0..u64::from(header.segment_count) {
        let start = header.segments_offset.saturating_add(index * u64::from(header.segment_len));
        let Ok(start) = usize::try_from(start) else { break };
        let Some(segment) = data.get_mut(start..).and_then(|rest| rest.get_mut(..segment_len)) else { break };
        if !reread_segment(file, start as u64, segment)? {
            segment.fill(0);
            changed += 1;
        }
    }
    // A context may have gone on from a segment read early to one read late, and then the end of the first is not there though the
    // second is. Once more, then: each as it is now, as long as it is the same segment. Whatever was read before is complete then.
    let mut again = vec![0; segment_len];
    for index in 0..u64::from(header.segment_count) {
        let start = header.segments_offset.saturating_add(index * u64::from(header.segment_len));
        let Ok(start) = usize::try_from(start) else { break };
        let Some(segment) = data.get_mut(start..).and_then(|rest| rest.get_mut(..segment_len)) else { break };
        let used = segment[..8] != [0; 8];
        if used && reread_segment(file, start as u64, &mut again)? && again[..8] == segment[..8] {
            segment.copy_from_slice(&again);
        }
    }
    // Anchors and table after the segments, so that they know what the segments speak of; the counts of loss last.
    for (start, len) in [
        (header.anchors_offset as usize, header.anchor_count as usize * ttlog_core::ring::ANCHOR_LEN),
        (header.table_offset as usize, header.table_len as usize),
        (0, header.header_len as usize),
    ] {
        if let Some(part) = data.get_mut(start..start.saturating_add(len)) {
            // A file that was truncated since keeps what was read at first.
            let mut again = vec![0; part.len()];
            if read_up_to(file, &mut again, start as u64)? == again.len() {
                part.copy_from_slice(&again);
            }
        }
    }
    Ok(changed)
}

fn reread_segment(file: &File, offset: u64, segment: &mut [u8]) -> io::Result<bool> {
    for _ in 0..ATTEMPTS {
        let mut before = [0; SEGMENT_HEADER_LEN];
        let mut after = [0; 8];
        let whole = read_up_to(file, &mut before, offset)? == before.len()
            && read_up_to(file, segment, offset)? == segment.len()
            && read_up_to(file, &mut after, offset)? == after.len();
        if !whole {
            return Ok(false);
        }
        if before[..8] == after {
            segment[..SEGMENT_HEADER_LEN].copy_from_slice(&before);
            return Ok(true);
        }
    }
    Ok(false)
}

/// Reads into `out` from `offset` until it is full or the file ends, and returns how much there was.
fn read_up_to(file: &File, out: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut done = 0;
    while done < out.len() {
        match read_at(file, &mut out[done..], offset + done as u64) {
            Ok(0) => break,
            Ok(len) => done += len,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

#[cfg(unix)]
fn read_at(file: &File, out: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, out, offset)
}

#[cfg(windows)]
fn read_at(file: &File, out: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, out, offset)
}

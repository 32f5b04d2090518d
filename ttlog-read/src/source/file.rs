//! Reading files that can be rings of running programs.
//!
//! Everything is read with `pread` into memory. Nothing is mapped: if somebody truncated a mapped file, the viewer
//! would be killed.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use ttlog_core::ring::{RingHeader, RingImage, SEGMENT_HEADER_LEN, Segment, SegmentState, forget_records};
use ttlog_core::snapshot::{CONTENT_LEN_MAX, Content, content_of};

use super::holder::{Holder, holder};
use super::owner::with_owner;

/// More bytes than the header of a ring has.
const HEADER_LEN_MAX: usize = 4096;
/// Number of attempts to read a segment that is being overwritten.
const ATTEMPTS: u32 = 4;

/// Contents of a file, and the changes noticed while it was read.
#[derive(Debug)]
pub struct Bytes {
    /// Bytes that were read. Segments of a ring that were opened while it was read, or that kept changing, hold no
    /// records.
    pub data: Vec<u8>,
    /// Segments that were overwritten faster than they could be read.
    pub changed_segments: u32,
    /// For a ring, the newest anchor before the segments were read, in ticks. Up to then, only overwritten events can
    /// be missing.
    pub read_from_ticks: Option<u64>,
    /// For a ring that was read from its file, which process has it.
    pub holder: Option<Holder>,
}

impl From<Vec<u8>> for Bytes {
    /// Wraps bytes that nobody writes to.
    fn from(data: Vec<u8>) -> Self {
        Bytes { data, changed_segments: 0, read_from_ticks: None, holder: None }
    }
}

/// Opens a regular file for reading. Does not wait for pipes.
///
/// # Errors
/// System errors, which name the owner of what is refused, and `InvalidInput` if it is not a regular file.
pub fn open(path: &Path) -> io::Result<File> {
    let mut options = std::fs::OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.custom_flags((rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::CLOEXEC).bits().cast_signed());
    }
    let file = options.open(path).map_err(|error| with_owner(path, error))?;
    let metadata = file.metadata()?;
    if metadata.is_file() { Ok(file) } else { Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")) }
}

/// Returns the regular files of a directory, by name.
///
/// # Errors
/// Errors of listing the directory.
pub fn files_in(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(|error| with_owner(directory, error))? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

/// Returns the kind of content, judging by the first bytes of the file.
///
/// # Errors
/// Errors of reading.
pub fn content(file: &File) -> io::Result<Content> {
    let mut start = [0; CONTENT_LEN_MAX];
    let len = read_up_to(file, &mut start, 0)?;
    Ok(content_of(&start[..len]))
}

/// Reads a whole file, whatever it holds, even if it changes meanwhile.
///
/// # Errors
/// Errors of reading, and `OutOfMemory` if the file does not fit.
pub fn read(file: &File) -> io::Result<Bytes> {
    read_with(file, holder)
}

/// Reads a whole file, as [`read`] does. `who` finds out which process has a ring, after the ring was read.
///
/// # Errors
/// Errors of reading, and `OutOfMemory` if the file does not fit.
pub fn read_with(file: &File, who: impl FnOnce(&RingImage<'_>, &File) -> Holder) -> io::Result<Bytes> {
    let mut bytes = Bytes::from(read_all(file)?);
    if content_of(&bytes.data) == Content::Ring {
        reread(file, &mut bytes)?;
        if let Ok(image) = RingImage::parse(&bytes.data) {
            bytes.holder = Some(who(&image, file));
        }
    }
    Ok(bytes)
}

/// Reads standard input to its end.
///
/// # Errors
/// Errors of reading.
pub fn read_stdin() -> io::Result<Bytes> {
    let mut data = Vec::new();
    io::stdin().lock().read_to_end(&mut data)?;
    Ok(data.into())
}

/// Reads the header of a ring, and possibly some bytes after it.
///
/// # Errors
/// Errors of reading.
pub fn read_header(file: &File) -> io::Result<Vec<u8>> {
    let mut header = vec![0; HEADER_LEN_MAX];
    let len = read_up_to(file, &mut header, 0)?;
    header.truncate(len);
    Ok(header)
}

/// Reads the part of a ring before its segments: header, anchors and table.
///
/// # Errors
/// Errors of reading, and `InvalidData` if it is not a ring.
pub fn read_head(file: &File) -> io::Result<Vec<u8>> {
    let start = read_header(file)?;
    let image =
        RingImage::parse(&start).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
    let head_len = image.header().segments_offset.min(file.metadata()?.len());
    let mut head = Vec::new();
    let head_len = usize::try_from(head_len).map_err(|_| io::ErrorKind::OutOfMemory)?;
    head.try_reserve_exact(head_len).map_err(|_| io::ErrorKind::OutOfMemory)?;
    head.resize(head_len, 0);
    let len = read_up_to(file, &mut head, 0)?;
    head.truncate(len);
    Ok(head)
}

fn read_all(file: &File) -> io::Result<Vec<u8>> {
    let len = usize::try_from(file.metadata()?.len()).map_err(|_| io::ErrorKind::OutOfMemory)?;
    let mut data = Vec::new();
    data.try_reserve_exact(len).map_err(|_| io::ErrorKind::OutOfMemory)?;
    data.resize(len, 0);
    let read = read_up_to(file, &mut data, 0)?;
    data.truncate(read); // shorter if it was truncated meanwhile
    Ok(data)
}

/// Reads the parts of a ring again so that they are consistent, even if the ring is written meanwhile.
///
/// The header is read first; it shows which segments are already open, and only these keep their records. A context
/// opens a segment after leaving the one before, so each context's events are complete up to some moment. Then each
/// segment is read; then the anchors and the table, so that they cover what the segments refer to. The header with the
/// loss counts is read last, so that events overwritten meanwhile are counted.
fn reread(file: &File, bytes: &mut Bytes) -> io::Result<()> {
    let Ok(image) = RingImage::parse(&bytes.data) else { return Ok(()) };
    bytes.read_from_ticks = image.anchors().map(|anchor| anchor.ticks).max();
    let header_len = image.header().header_len as usize;
    reread_part(file, &mut bytes.data, 0, header_len)?;
    let Ok(image) = RingImage::parse(&bytes.data) else { return Ok(()) };
    let header = *image.header();
    let segment_len = header.segment_len as usize;
    let start_of = |index: u32| {
        usize::try_from(header.segments_offset.saturating_add(u64::from(index) * u64::from(header.segment_len))).ok()
    };
    let mut emptied = Vec::new();
    for index in 0..header.segment_count {
        let Some(start) = start_of(index) else { break };
        let Some(segment) = bytes.data.get_mut(start..).and_then(|rest| rest.get_mut(..segment_len)) else { break };
        if !reread_segment(file, start as u64, segment)? {
            bytes.changed_segments += 1;
            emptied.push(index);
        }
    }
    let anchors_len = header.anchor_count as usize * ttlog_core::ring::ANCHOR_LEN;
    reread_part(file, &mut bytes.data, header.anchors_offset as usize, anchors_len)?;
    reread_part(file, &mut bytes.data, header.table_offset as usize, header.table_len as usize)?;
    reread_part(file, &mut bytes.data, 0, header_len)?;
    let Ok(image) = RingImage::parse(&bytes.data) else { return Ok(()) };
    let next = |header: &RingHeader| (header.next_sequence, header.priority_next_sequence);
    // If the ring is at rest, the numbers are not needed, and damage can have made them wrong.
    if next(image.header()) != next(&header) {
        let (limit, priority_limit) = next(&header);
        let newer = |index: &u32| match image.segment(*index) {
            SegmentState::Valid(Segment { header, .. }) if header.is_priority() => header.sequence >= priority_limit,
            SegmentState::Valid(segment) => segment.header.sequence >= limit,
            _ => false,
        };
        emptied.extend(
            (0..header.segment_count)
                .take_while(|index| start_of(*index).is_some_and(|start| start < bytes.data.len()))
                .filter(newer),
        );
    }
    for index in emptied {
        if let Some(segment) = start_of(index).and_then(|start| bytes.data.get_mut(start..)) {
            forget_records(segment);
        }
    }
    Ok(())
}

/// Reads a part of the file again. If the part is no longer there, the bytes of the first reading stay.
fn reread_part(file: &File, data: &mut [u8], start: usize, len: usize) -> io::Result<()> {
    if let Some(part) = data.get_mut(start..start.saturating_add(len)) {
        let mut again = vec![0; len];
        if read_up_to(file, &mut again, start as u64)? == len {
            part.copy_from_slice(&again);
        }
    }
    Ok(())
}

/// Reads a segment so that its bytes are consistent, and returns whether that was possible.
///
/// Its header is read first: whatever the header shows as committed is in the bytes read after it. If the sequence is
/// unchanged after that, the bytes are those of this segment. Otherwise the header is the newest, because it counts
/// what was lost.
fn reread_segment(file: &File, offset: u64, segment: &mut [u8]) -> io::Result<bool> {
    for _ in 0..ATTEMPTS {
        let mut before = [0; SEGMENT_HEADER_LEN];
        let mut after = [0; 8];
        let whole = read_up_to(file, &mut before, offset)? == before.len()
            && read_up_to(file, segment, offset)? == segment.len()
            && read_up_to(file, &mut after, offset)? == after.len();
        if !whole {
            segment.fill(0);
            return Ok(false);
        }
        if before[..8] == after {
            segment[..SEGMENT_HEADER_LEN].copy_from_slice(&before);
            return Ok(true);
        }
    }
    segment.fill(0);
    read_up_to(file, &mut segment[..SEGMENT_HEADER_LEN], offset)?;
    Ok(false)
}

/// Reads into `out` from `offset` until it is full or the file ends. Returns the number of bytes read.
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

//! The memory of a device from any origin, and finding and copying the ring in it.
//!
//! A [`Memory`] is a raw image of RAM, a core dump, or a live device behind a probe. The ring is at the symbol that
//! the ELF file names; without one, wherever RAM holds the magic of a ring and an intact header. It is copied like the
//! ring of a running process: segment by segment, discarding those that changed meanwhile.

use std::fmt;
use std::ops::Range;

use ttlog_core::ring::{RING_MAGIC, RingHeader, RingImage, SEGMENT_HEADER_LEN, forget_records};

/// Rings start at whole words.
const ALIGNMENT: u64 = 8;
/// Bytes of a header that are read at first: more than the header of a device can have.
const HEADER_LEN_MAX: usize = 1536;
/// Fewest bytes that can be a header.
const HEADER_LEN_MIN: usize = 160;
/// Bytes that are searched at a time.
const SEARCH_LEN: usize = 16 << 10;
/// Longest ring that is copied. The largest parts have a few MiB of RAM.
const RING_LEN_MAX: u64 = 64 << 20;
/// Most rings that one memory is searched for.
const RINGS_MAX: usize = 16;
/// Number of attempts to read a segment that is being overwritten.
const ATTEMPTS: u32 = 4;

/// Memory that can be read.
pub trait Memory {
    /// Fills `out` with the bytes from `address` on.
    ///
    /// # Errors
    /// The reason that it cannot be read. `out` can then hold anything.
    fn read(&mut self, address: u64, out: &mut [u8]) -> Result<(), MemoryError>;

    /// Returns the address ranges of RAM, which are searched for a ring.
    fn ram(&self) -> Vec<Range<u64>>;
}

/// Error of reading memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MemoryError {
    /// There is nothing at these addresses.
    NotThere {
        /// First address.
        address: u64,
        /// Number of bytes.
        len_bytes: u64,
    },
    /// The device or the probe failed.
    Failed {
        /// First address that was read.
        address: u64,
        /// Message of the device or the probe.
        reason: String,
    },
}

impl fmt::Display for MemoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MemoryError::NotThere { address, len_bytes } => {
                write!(f, "no memory at {address:#010x} ({len_bytes} bytes)")
            }
            MemoryError::Failed { address, reason } => {
                write!(f, "address {address:#010x}: {}", crate::text::escape::escaped(reason))
            }
        }
    }
}

impl std::error::Error for MemoryError {}

/// A copy of a ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RingCopy {
    /// Address of the ring; 0 in a stream.
    pub address: u64,
    /// Its bytes. Segments that kept changing hold no records.
    pub bytes: Vec<u8>,
    /// Segments that were overwritten faster than they could be read.
    pub changed_segments: u32,
}

/// Rings found in a memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FoundRings {
    /// The rings, in the order in which they were found.
    pub rings: Vec<RingCopy>,
    /// Irregularities, one line each.
    pub remarks: Vec<String>,
    /// Whether all bytes read were zero: probes can read zeros if a core sleeps.
    pub only_zeros: bool,
}

/// Finds the rings in a memory and copies them: those at `symbols` (address and length, 0: unknown), or otherwise all.
///
/// # Errors
/// An error if RAM cannot be read at all.
pub fn find_rings(memory: &mut dyn Memory, symbols: &[(u64, u64)]) -> Result<FoundRings, MemoryError> {
    let mut found = FoundRings { only_zeros: true, ..FoundRings::default() };
    for &(address, len_bytes) in symbols {
        if found.rings.iter().any(|ring| ring.address == address) {
            continue;
        }
        match copy_ring(memory, address, &mut found.only_zeros) {
            Ok(Some(ring)) => {
                if len_bytes != 0 && ring.bytes.len() as u64 > len_bytes {
                    found.remarks.push(format!(
                        "the ring at {address:#010x} claims {} bytes, but the ELF file gives it {len_bytes}",
                        ring.bytes.len()
                    ));
                }
                found.rings.push(ring);
            }
            Ok(None) => found.remarks.push(format!("no ring at {address:#010x}, where the ELF file has it")),
            Err(error) => found.remarks.push(format!("the ring of the ELF file: {error}")),
        }
    }
    if found.rings.is_empty() {
        search(memory, &mut found)?;
    }
    if !found.rings.is_empty() {
        found.only_zeros = false;
    }
    Ok(found)
}

/// Searches all of RAM for rings.
fn search(memory: &mut dyn Memory, found: &mut FoundRings) -> Result<(), MemoryError> {
    let ranges = memory.ram();
    let (mut read_any, mut last_error) = (false, None);
    for range in ranges {
        // Blocks overlap by less than a magic, so none is cut in two.
        let mut block = vec![0; SEARCH_LEN];
        let mut at = range.start.next_multiple_of(ALIGNMENT);
        while at < range.end {
            let len = usize::try_from(range.end - at).unwrap_or(SEARCH_LEN).min(SEARCH_LEN);
            let block = &mut block[..len];
            if let Err(error) = memory.read(at, block) {
                last_error = Some(error);
                at += len as u64;
                continue;
            }
            read_any = true;
            found.only_zeros &= block.iter().all(|&byte| byte == 0);
            for place in (0..len).step_by(ALIGNMENT as usize).filter(|&place| block[place..].starts_with(&RING_MAGIC)) {
                let address = at + place as u64;
                if found
                    .rings
                    .iter()
                    .any(|ring| (ring.address..ring.address + ring.bytes.len() as u64).contains(&address))
                {
                    continue; // a ring does not contain another ring
                }
                if found.rings.len() + found.remarks.len() >= RINGS_MAX {
                    found
                        .remarks
                        .push(format!("from {address:#010x} on nothing is read: that is ring {}", RINGS_MAX + 1));
                    return Ok(());
                }
                match copy_ring(memory, address, &mut found.only_zeros) {
                    Ok(Some(ring)) => found.rings.push(ring),
                    Ok(None) => found.remarks.push(format!("the ring at {address:#010x} has a damaged header")),
                    Err(error) => found.remarks.push(error.to_string()),
                }
            }
            at += len as u64;
        }
    }
    match last_error {
        Some(error) if !read_any => Err(error),
        Some(error) => {
            found.remarks.push(format!("a part of RAM cannot be read: {error}"));
            Ok(())
        }
        None => Ok(()),
    }
}

/// Copies the ring at `address`; `None` if there is none.
///
/// Works like reading a ring that a process writes. A segment's header is read before its records, and its sequence
/// word again after them. Segments opened after the ring's header was read are left out, so that nothing is missing
/// within the copied range. The header, with the loss counts, is read again last.
fn copy_ring(memory: &mut dyn Memory, address: u64, only_zeros: &mut bool) -> Result<Option<RingCopy>, MemoryError> {
    let start = read_start(memory, address)?;
    *only_zeros &= start.iter().all(|&byte| byte == 0);
    let Ok(image) = RingImage::parse(&start) else { return Ok(None) };
    let header = *image.header();
    let len_bytes = header.region_len();
    let not_there = MemoryError::NotThere { address, len_bytes };
    if len_bytes > RING_LEN_MAX || address.checked_add(len_bytes).is_none() {
        return Err(not_there);
    }
    // A header can claim any length; only existing bytes are copied.
    let len_bytes = readable_len(memory, address, len_bytes).ok_or(not_there)?;
    let mut ring = RingCopy { address, bytes: vec![0; len_bytes], changed_segments: 0 };
    let segments_offset = usize::try_from(header.segments_offset).unwrap_or(usize::MAX).min(len_bytes);
    memory.read(address, &mut ring.bytes[..segments_offset])?;
    let segment_len = header.segment_len as usize;
    let mut starts = Vec::new();
    for (index, start) in (segments_offset..len_bytes).step_by(segment_len).enumerate() {
        let end = len_bytes.min(start + segment_len);
        if !copy_segment(memory, address + start as u64, &mut ring.bytes[start..end])? {
            ring.changed_segments += 1;
            forget_records(&mut ring.bytes[start..end]);
        }
        starts.push((index as u32, start));
    }
    let mut again = vec![0; (header.header_len as usize).min(segments_offset)];
    memory.read(address, &mut again)?;
    if let Ok(after) = RingImage::parse(&again) {
        ring.bytes[..again.len()].copy_from_slice(&again);
        leave_out_newer(&mut ring.bytes, &header, after.header(), &starts);
    }
    Ok(Some(ring))
}

/// Removes the records of segments that were opened while the ring was copied.
fn leave_out_newer(bytes: &mut [u8], before: &RingHeader, after: &RingHeader, starts: &[(u32, usize)]) {
    // If the ring is at rest, the number is not needed, and damage can have made it wrong.
    if before.next_sequence == after.next_sequence {
        return;
    }
    for &(index, start) in starts {
        let newer = RingImage::parse(bytes).is_ok_and(|image| match image.segment(index) {
            ttlog_core::ring::SegmentState::Valid(segment) => segment.header.sequence >= before.next_sequence,
            _ => false,
        });
        if newer {
            forget_records(&mut bytes[start..]);
        }
    }
}

/// Reads the header, or as much of it as exists.
fn read_start(memory: &mut dyn Memory, address: u64) -> Result<Vec<u8>, MemoryError> {
    // Not beyond the end of RAM, where anything can follow.
    let in_ram = memory.ram().into_iter().find(|range| range.contains(&address)).map(|range| range.end - address);
    let rest = in_ram.and_then(|rest| usize::try_from(rest).ok()).unwrap_or(HEADER_LEN_MAX);
    let mut start = vec![0; rest.min(HEADER_LEN_MAX)];
    if memory.read(address, &mut start).is_ok() {
        return Ok(start);
    }
    // If memory ends soon after, a shorter read succeeds.
    let mut len = HEADER_LEN_MIN.min(start.len());
    start.truncate(len);
    memory.read(address, &mut start)?;
    let mut word = [0; 8];
    while len < HEADER_LEN_MAX && memory.read(address + len as u64, &mut word).is_ok() {
        start.extend_from_slice(&word);
        len += word.len();
    }
    Ok(start)
}

/// Returns how many of the bytes from `address` on are in one range of RAM, or can be read outside of RAM.
fn readable_len(memory: &mut dyn Memory, address: u64, len_bytes: u64) -> Option<usize> {
    let in_ram = memory.ram().into_iter().find(|range| range.contains(&address)).map(|range| range.end - address);
    let len = match in_ram {
        Some(rest) => len_bytes.min(rest),
        // The address is in a separate region, not in known RAM. Reading its last byte shows whether it exists.
        None => {
            let last = address + len_bytes - 1;
            memory.read(last, &mut [0]).ok()?;
            len_bytes
        }
    };
    usize::try_from(len).ok()
}

/// Copies a segment so that its bytes are consistent, and returns whether that was possible.
fn copy_segment(memory: &mut dyn Memory, address: u64, segment: &mut [u8]) -> Result<bool, MemoryError> {
    let head_len = SEGMENT_HEADER_LEN.min(segment.len());
    for _ in 0..ATTEMPTS {
        let mut before = [0; SEGMENT_HEADER_LEN];
        let mut after = [0; 8];
        memory.read(address, &mut before[..head_len])?;
        memory.read(address, segment)?;
        if head_len < SEGMENT_HEADER_LEN {
            return Ok(true); // cut off: it has no records
        }
        memory.read(address, &mut after)?;
        if before[..8] == after {
            segment[..SEGMENT_HEADER_LEN].copy_from_slice(&before);
            return Ok(true);
        }
    }
    Ok(false)
}

//! Memory from core dumps: what probe-rs writes, and ELF core files.
//!
//! probe-rs writes a core dump as MessagePack: a map whose member `data` is a list of pairs, each a range of addresses
//! (`start`, `end`) and the bytes. ESP-IDF, gdb (`generate-core-file`) and others write ELF files with the memory in
//! segments of type `PT_LOAD`.

use object::read::elf::{ElfFile, FileHeader, ProgramHeader as _};
use object::{Endianness, Object as _};

use super::elf::is_elf;
use super::ranges::Ranges;

/// Reads a core dump.
///
/// # Errors
/// A description of what makes it invalid.
pub fn read(bytes: &[u8]) -> Result<Ranges, String> {
    let ranges = if is_elf(bytes) {
        match bytes.get(4) {
            Some(2) => read_elf::<object::elf::FileHeader64<Endianness>>(bytes)?,
            _ => read_elf::<object::elf::FileHeader32<Endianness>>(bytes)?,
        }
    } else {
        read_message_pack(bytes).ok_or("no core dump: neither one of probe-rs nor an ELF core file, or cut off")?
    };
    if ranges.is_empty() {
        return Err("a core dump without memory; dump the RAM too".to_owned());
    }
    Ok(ranges)
}

fn read_elf<E: FileHeader<Endian = Endianness>>(bytes: &[u8]) -> Result<Ranges, String> {
    let damaged = |error: object::Error| format!("damaged ELF file: {error}");
    let file = ElfFile::<E>::parse(bytes).map_err(damaged)?;
    if file.kind() != object::ObjectKind::Core {
        return Err("an ELF file, but no core file; with --elf it tells names".to_owned());
    }
    let endian = file.endianness();
    let (mut ranges, mut total) = (Ranges::default(), 0_usize);
    for segment in file.elf_program_headers() {
        if segment.p_type(endian) != object::elf::PT_LOAD {
            continue;
        }
        // The rest of a truncated range is still good.
        let (offset, len) = segment.file_range(endian);
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        let end = usize::try_from(offset.saturating_add(len)).unwrap_or(usize::MAX).min(bytes.len());
        // Segments that share their bytes would turn a small file into a lot of memory.
        total = total.saturating_add(end - start);
        if total > bytes.len() {
            return Err("damaged ELF file: its segments overlap".to_owned());
        }
        ranges.add(segment.p_vaddr(endian).into(), bytes[start..end].to_vec());
    }
    Ok(ranges)
}

/// Reads the member `data` of the map.
fn read_message_pack(bytes: &[u8]) -> Option<Ranges> {
    let mut from = MessagePack(bytes);
    let mut ranges = None;
    for _ in 0..from.map()? {
        if from.text()? == b"data" {
            ranges = Some(read_ranges(&mut from)?);
        } else {
            from.skip()?;
        }
    }
    ranges
}

fn read_ranges(from: &mut MessagePack<'_>) -> Option<Ranges> {
    let mut ranges = Ranges::default();
    for _ in 0..from.array()? {
        let (2, 2) = (from.array()?, from.map()?) else { return None };
        let (mut start, mut end) = (0, 0);
        for _ in 0..2 {
            match from.text()? {
                b"start" => start = from.unsigned()?,
                b"end" => end = from.unsigned()?,
                _ => return None,
            }
        }
        let bytes = from.byte_list()?;
        if end.checked_sub(start)? != bytes.len() as u64 {
            return None;
        }
        ranges.add(start, bytes);
    }
    Some(ranges)
}

/// A reader of MessagePack, limited to what core dumps use.
///
/// # Format
/// The MessagePack specification, 2013 (msgpack.org).
struct MessagePack<'a>(&'a [u8]);

/// Deepest nesting of values that are skipped.
const DEPTH_MAX: u32 = 32;

impl<'a> MessagePack<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    /// Reads a big-endian number of `len` bytes.
    fn number(&mut self, len: usize) -> Option<u64> {
        Some(self.take(len)?.iter().fold(0, |number, &byte| number << 8 | u64::from(byte)))
    }

    fn map(&mut self) -> Option<u64> {
        match self.byte()? {
            short @ 0x80..=0x8F => Some(u64::from(short & 0x0F)),
            0xDE => self.number(2),
            0xDF => self.number(4),
            _ => None,
        }
    }

    fn array(&mut self) -> Option<u64> {
        match self.byte()? {
            short @ 0x90..=0x9F => Some(u64::from(short & 0x0F)),
            0xDC => self.number(2),
            0xDD => self.number(4),
            _ => None,
        }
    }

    fn text(&mut self) -> Option<&'a [u8]> {
        let len = match self.byte()? {
            short @ 0xA0..=0xBF => u64::from(short & 0x1F),
            0xD9 => self.number(1)?,
            0xDA => self.number(2)?,
            0xDB => self.number(4)?,
            _ => return None,
        };
        self.take(usize::try_from(len).ok()?)
    }

    fn unsigned(&mut self) -> Option<u64> {
        match self.byte()? {
            short @ 0..=0x7F => Some(short.into()),
            0xCC => self.number(1),
            0xCD => self.number(2),
            0xCE => self.number(4),
            0xCF => self.number(8),
            _ => None,
        }
    }

    /// Reads bytes, either as such or as a list of numbers, which is how they are written.
    fn byte_list(&mut self) -> Option<Vec<u8>> {
        let len = match self.0.first()? {
            0xC4..=0xC6 => {
                let len_bytes = 1 << (self.byte()? - 0xC4);
                let len = usize::try_from(self.number(len_bytes)?).ok()?;
                return Some(self.take(len)?.to_vec());
            }
            _ => usize::try_from(self.array()?).ok()?,
        };
        // Each element takes at least one byte.
        let mut bytes = Vec::with_capacity(len.min(self.0.len()));
        for _ in 0..len {
            bytes.push(u8::try_from(self.unsigned()?).ok()?);
        }
        Some(bytes)
    }

    /// Skips a value.
    fn skip(&mut self) -> Option<()> {
        let mut open = [0_u64; DEPTH_MAX as usize];
        let mut depth = 0;
        open[0] = 1;
        // Number of values still to skip, per level.
        loop {
            while open[depth] == 0 {
                if depth == 0 {
                    return Some(());
                }
                depth -= 1;
            }
            open[depth] -= 1;
            let inner = self.skip_one()?;
            if inner > 0 {
                depth += 1;
                *open.get_mut(depth)? = inner;
            }
        }
    }

    /// Skips a value without its contents, and returns the number of values in it.
    fn skip_one(&mut self) -> Option<u64> {
        let (len, inner) = match self.byte()? {
            0..=0x7F | 0xC0 | 0xC2 | 0xC3 | 0xE0..=0xFF => (0, 0),
            short @ 0x80..=0x8F => (0, u64::from(short & 0x0F) * 2),
            short @ 0x90..=0x9F => (0, u64::from(short & 0x0F)),
            short @ 0xA0..=0xBF => (u64::from(short & 0x1F), 0),
            0xC1 => return None,
            0xC4 | 0xD9 => (self.number(1)?, 0),
            0xC5 | 0xDA => (self.number(2)?, 0),
            0xC6 | 0xDB => (self.number(4)?, 0),
            0xC7 => (self.number(1)? + 1, 0),
            0xC8 => (self.number(2)? + 1, 0),
            0xC9 => (self.number(4)? + 1, 0),
            0xCC | 0xD0 => (1, 0),
            0xCD | 0xD1 | 0xD4 => (2, 0),
            0xD5 => (3, 0),
            0xCA | 0xCE | 0xD2 => (4, 0),
            0xD6 => (5, 0),
            0xCB | 0xCF | 0xD3 => (8, 0),
            0xD7 => (9, 0),
            0xD8 => (17, 0),
            0xDC => (0, self.number(2)?),
            0xDD => (0, self.number(4)?),
            0xDE => (0, self.number(2)? * 2),
            0xDF => (0, self.number(4)? * 2),
        };
        self.take(usize::try_from(len).ok()?)?;
        Some(inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::device::memory::Memory as _;

    /// A dump in the form that probe-rs 0.32 writes: map with names, bytes as a list of numbers.
    fn dump() -> Vec<u8> {
        let mut dump = vec![0x83, 0xA9];
        dump.extend(b"registers");
        dump.extend([0x81, 0x05, 0x81, 0xA3]); // {5: {"U32": 0x01020304}}
        dump.extend(b"U32");
        dump.extend([0xCE, 1, 2, 3, 4, 0xA4]);
        dump.extend(b"data");
        dump.extend([0x91, 0x92, 0x82, 0xA5]);
        dump.extend(b"start");
        dump.extend([0xCE, 0x20, 0, 0, 0, 0xA3]);
        dump.extend(b"end");
        dump.extend([0xCE, 0x20, 0, 0, 3, 0x93, 0x7F, 0xCC, 0xFF, 0x00, 0xAB]);
        dump.extend(b"fpu_support");
        dump.push(0xC2);
        dump
    }

    #[test]
    fn memory_of_a_probe_rs_dump() {
        let mut memory = read(&dump()).expect("a good dump");
        assert_eq!(memory.ram().first(), Some(&(0x2000_0000..0x2000_0003)));
        let mut out = [0; 3];
        memory.read(0x2000_0000, &mut out).expect("it is there");
        assert_eq!(out, [0x7F, 0xFF, 0x00]);
        assert!(memory.read(0x2000_0001, &mut out).is_err());
        assert!(memory.read(0x1FFF_FFFF, &mut out).is_err());
    }

    #[test]
    fn damaged_dumps_are_refused() {
        let dump = dump();
        for len in 0..dump.len() {
            assert!(read(&dump[..len]).is_err(), "{len} bytes");
        }
        for bit in 0..dump.len() * 8 {
            let mut damaged = dump.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let _ = read(&damaged); // must return soon, whatever the result
        }
        // Huge promised lengths, and endless values.
        for bytes in [
            &[0xDF, 0xFF, 0xFF, 0xFF, 0xFF][..],
            &[0x91; 100_000],
            &[0x81, 0xA1, b'x', 0xDD, 0xFF, 0xFF, 0xFF, 0xFF, 0xC0],
        ] {
            assert!(read(bytes).is_err());
        }
        let deep: Vec<u8> = [&[0x81, 0xA1, b'x'][..], &[0x91; 100_000]].concat();
        assert!(read(&deep).is_err());
    }
}

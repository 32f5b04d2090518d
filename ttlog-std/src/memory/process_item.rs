//! The process item of the ring: the process, its start time, and its build.
//!
//! Everything here is best effort: unknown values are empty or 0, as the format provides.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

use ttlog_core::ProcessInfo;

use crate::clock::ClockInfo;

/// Longest text of the process item, in bytes; the rest is cut.
const TEXT_LEN_MAX: usize = 512;
/// Largest encoded process item, in bytes: five capped texts and a few small fields.
pub(crate) const ITEM_LEN_MAX: usize = 5 * TEXT_LEN_MAX + 256;

/// The properties of this process that its children share.
#[derive(Debug)]
pub(crate) struct Description {
    service: String,
    host: String,
    executable: String,
    os: String,
    build_id: Vec<u8>,
}

impl Description {
    /// Collects them.
    pub(crate) fn new(service: &str) -> Self {
        let executable = std::env::current_exe().unwrap_or_default();
        Description {
            service: cut(service).to_owned(),
            host: cut(&crate::sys::host_name()).to_owned(),
            executable: cut(&executable.to_string_lossy()).to_owned(),
            os: cut(&operating_system()).to_owned(),
            build_id: build_id(&executable).unwrap_or_default(),
        }
    }

    /// Encodes the process item of the calling process, whose clock has the given name, into `out`, and returns the
    /// used part. The text about the operating system lacks its last `os_cut` bytes. `None` means no item, and cannot
    /// occur as long as the texts are capped. Async-signal-safe.
    pub(crate) fn encode_item<'a>(
        &self,
        clock: &ClockInfo,
        clock_name: &'static str,
        start_unix_ns: i64,
        os_cut: usize,
        out: &'a mut [u8; ITEM_LEN_MAX],
    ) -> Option<&'a [u8]> {
        let info = ProcessInfo {
            service: &self.service,
            pid: u64::from(std::process::id()),
            host: &self.host,
            executable: &self.executable,
            start_unix_ns,
            build_id: &self.build_id,
            clock: clock_name,
            ticks_per_second: clock.ticks_per_second,
            process_start: start_time(),
            os: crate::sys::cut(&self.os, self.os.len().saturating_sub(os_cut)),
        };
        let len = ttlog_core::encode_process(&info, out)?;
        out.get(..len)
    }
}

/// Encodes the process item of this process, for tests.
#[cfg(test)]
pub(crate) fn encode_item(service: &str, clock: &ClockInfo, start_unix_ns: i64) -> Option<Vec<u8>> {
    let mut room = [0; ITEM_LEN_MAX];
    Description::new(service).encode_item(clock, clock.name, start_unix_ns, 0, &mut room).map(<[u8]>::to_vec)
}

fn cut(text: &str) -> &str {
    crate::sys::cut(text, TEXT_LEN_MAX)
}

/// Returns when this process started, in the operating system's units (Linux: clock ticks after boot); 0 if unknown.
/// Async-signal-safe.
pub(crate) fn start_time() -> u64 {
    #[cfg(target_os = "linux")]
    {
        // Field 22 is within the first 600 bytes, whatever the other fields contain.
        let mut room = [0; 1024];
        crate::sys::read_start(c"/proc/self/stat", &mut room).and_then(parse_start_time).unwrap_or(0)
    }
    #[cfg(not(target_os = "linux"))]
    0
}

/// Finds field 22 of `/proc/PID/stat`. The command in field 2 can contain anything, so fields count from the last
/// closing parenthesis.
#[cfg(target_os = "linux")]
fn parse_start_time(stat: &[u8]) -> Option<u64> {
    let command_end = stat.iter().rposition(|byte| *byte == b')')?;
    let mut fields = stat.get(command_end + 1..)?.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty());
    std::str::from_utf8(fields.nth(19)?).ok()?.parse().ok()
}

fn operating_system() -> String {
    let read = |name: &str| std::fs::read_to_string(Path::new("/proc/sys/kernel").join(name));
    match (read("ostype"), read("osrelease")) {
        (Ok(name), Ok(release)) => format!("{} {}", name.trim(), release.trim()),
        _ => std::env::consts::OS.to_owned(),
    }
}

/// Returns the GNU build id of a 64-bit little-endian ELF file, or `None` if it has none or is not such a file.
///
/// # Format
/// ELF-64 object file format 1.5 (header, program headers, note section); note name `GNU`, type 3.
fn build_id(executable: &Path) -> Option<Vec<u8>> {
    let mut file = File::open(executable).ok()?;
    let mut header = [0; 64];
    file.read_exact(&mut header).ok()?;
    if header[..6] != *b"\x7fELF\x02\x01" {
        return None;
    }
    let (table, entry_len, count) = (u64_at(&header, 32)?, u16_at(&header, 54)?, u16_at(&header, 56)?);
    if entry_len < 56 {
        return None;
    }
    for index in 0..count {
        let mut entry = [0; 56];
        file.seek(SeekFrom::Start(table.checked_add(u64::from(index) * u64::from(entry_len))?)).ok()?;
        file.read_exact(&mut entry).ok()?;
        const PT_NOTE: u32 = 4;
        let len = u64_at(&entry, 32)?;
        if u32_at(&entry, 0)? == PT_NOTE && len <= 64 * 1024 {
            let mut notes = vec![0; usize::try_from(len).ok()?];
            file.seek(SeekFrom::Start(u64_at(&entry, 8)?)).ok()?;
            file.read_exact(&mut notes).ok()?;
            if let Some(id) = build_id_in_notes(&notes) {
                return Some(id.to_vec());
            }
        }
    }
    None
}

fn build_id_in_notes(mut notes: &[u8]) -> Option<&[u8]> {
    const NT_GNU_BUILD_ID: u32 = 3;
    loop {
        let (name_len, id_len) = (u32_at(notes, 0)? as usize, u32_at(notes, 4)? as usize);
        let kind = u32_at(notes, 8)?;
        let id_start = 12_usize.checked_add(name_len.checked_next_multiple_of(4)?)?;
        let name = notes.get(12..12_usize.checked_add(name_len)?)?;
        let id = notes.get(id_start..id_start.checked_add(id_len)?)?;
        if kind == NT_GNU_BUILD_ID && name == b"GNU\0" {
            return (id.len() <= 64).then_some(id);
        }
        notes = notes.get(id_start.checked_add(id_len.checked_next_multiple_of(4)?)?..)?;
    }
}

fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    bytes.get(offset..)?.first_chunk().map(|bytes| u16::from_le_bytes(*bytes))
}

fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    bytes.get(offset..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

fn u64_at(bytes: &[u8], offset: usize) -> Option<u64> {
    bytes.get(offset..)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn start_time_counts_from_the_command_that_may_hold_anything() {
        let stat = b"77 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4242 20";
        assert_eq!(parse_start_time(stat), Some(4242));
        assert_eq!(parse_start_time(b"77 (x"), None);
        assert_eq!(parse_start_time(b""), None);
        assert_ne!(start_time(), 0);
    }

    #[test]
    fn build_id_is_found_after_other_notes() {
        let mut notes = Vec::new();
        for (kind, name, id) in [(1_u32, b"GNU\0", &b"abcde"[..]), (3, b"XYZ\0", b"no"), (3, b"GNU\0", b"\x01\x02\x03")]
        {
            notes.extend(4_u32.to_le_bytes());
            notes.extend((id.len() as u32).to_le_bytes());
            notes.extend(kind.to_le_bytes());
            notes.extend(name);
            notes.extend(id);
            notes.resize(notes.len().next_multiple_of(4), 0);
        }
        assert_eq!(build_id_in_notes(&notes), Some(&b"\x01\x02\x03"[..]));
        for len in 0..notes.len() - 4 {
            assert_eq!(build_id_in_notes(&notes[..len]), None, "cut to {len}");
        }
        assert_eq!(build_id_in_notes(&[0xFF; 64]), None);
    }

    #[test]
    fn item_tells_this_process_and_survives_long_names() {
        let clock = crate::clock::choose(false);
        for service in ["", "svc", &"ä".repeat(3000)] {
            let mut room = [0; ITEM_LEN_MAX];
            let item = Description::new(service).encode_item(&clock, clock.name, 5, 0, &mut room).unwrap();
            let ttlog_core::TableItem::Process(info) = ttlog_core::TableItem::decode(item).unwrap() else {
                panic!("not a process item");
            };
            assert!(service.starts_with(info.service) && (service.len() < 500) == (info.service == service));
            assert_eq!(info.pid, u64::from(std::process::id()));
            assert_eq!((info.start_unix_ns, info.ticks_per_second), (5, clock.ticks_per_second));
            assert!(info.executable.contains("ttlog"), "{info:?}");
        }
    }
}

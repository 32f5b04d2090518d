//! The commands `image` and `core`: show rings in files that contain memory.

use std::io::{self, Write};
use std::path::Path;
use std::path::PathBuf;

use clap::Args;
use ttlog_read::source::device::coredump;
use ttlog_read::source::device::memory::Memory;
use ttlog_read::source::device::ranges::Ranges;
use ttlog_read::source::device::sessions::Recordings;
use ttlog_read::source::{open, read};
use ttlog_read::text::escape::error_line;

use super::recordings::DeviceArgs;
use super::recordings::DeviceRequest;
use crate::terminal::{Outcome, complain};

/// Options of `image`.
#[derive(Args, Debug)]
pub struct Image {
    /// Raw bytes of RAM
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Address of the first byte, such as 0x20000000; without it, the whole image is searched, wherever the ELF file
    /// says the ring is
    #[arg(long, value_name = "ADDRESS", value_parser = parse_address)]
    pub base: Option<u64>,
    /// Options about sessions.
    #[command(flatten)]
    pub device: DeviceArgs,
}

/// Options of `core`.
#[derive(Args, Debug)]
pub struct Core {
    /// Core dump from probe-rs, or an ELF core file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Options about sessions.
    #[command(flatten)]
    pub device: DeviceArgs,
}

/// Parses an address: hexadecimal after 0x, otherwise decimal, with `_` allowed between digits.
fn parse_address(text: &str) -> Result<u64, String> {
    let digits = text.replace('_', "");
    let parsed = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(hexadecimal) => u64::from_str_radix(hexadecimal, 16),
        None => digits.parse(),
    };
    parsed.map_err(|_| format!("`{text}` is no address; write 0x20000000"))
}

/// Shows the contents of a raw image of RAM.
///
/// # Errors
/// Returns an error if writing to `out` fails.
pub fn run(options: &Image, out: &mut dyn Write) -> io::Result<Outcome> {
    show(&options.file, &options.device, "image", options.base.is_some(), out, |bytes| {
        Ok(Ranges::raw(options.base.unwrap_or(0), bytes))
    })
}

/// Shows the contents of a core dump.
///
/// # Errors
/// Returns an error if writing to `out` fails.
pub fn run_core(options: &Core, out: &mut dyn Write) -> io::Result<Outcome> {
    show(&options.file, &options.device, "core", true, out, |bytes| coredump::read(&bytes))
}

fn show(
    path: &Path,
    device: &DeviceArgs,
    reason: &str,
    has_addresses: bool,
    out: &mut dyn Write,
    memory: impl FnOnce(Vec<u8>) -> Result<Ranges, String>,
) -> io::Result<Outcome> {
    let bytes = open(path).and_then(|file| read(&file)).map_err(|error| error.to_string());
    let mut memory = match bytes.and_then(|bytes| memory(bytes.data)) {
        Ok(memory) => memory,
        Err(error) => {
            complain(&error_line(path, &error));
            return Ok(Outcome::Failed);
        }
    };
    let Some(request) = DeviceRequest::new(device) else { return Ok(Outcome::Failed) };
    // Without addresses, the location of the symbols in the image is unknown.
    let places = if has_addresses { request.firmwares.ring_symbols() } else { Vec::new() };
    let memory: &mut dyn Memory = &mut memory;
    let recordings = Recordings::of_memory(&path.to_string_lossy(), memory, &places, &request.firmwares, reason);
    Ok(request.outcome.max(request.show(&recordings, None, out)?))
}

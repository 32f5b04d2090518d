//! The commands `image` and `core`: rings in files that hold memory.

use std::io::{self, Write};
use std::path::Path;

use super::recordings::DeviceRequest;
use crate::command::cli::{Core, DeviceArgs, Image};
use crate::terminal::{Outcome, complain};
use ttlog_read::source::device::coredump;
use ttlog_read::source::device::memory::Memory;
use ttlog_read::source::device::ranges::Ranges;
use ttlog_read::source::device::sessions::Recordings;
use ttlog_read::source::{open, read};
use ttlog_read::text::escape::error_line;

/// Shows what is in a raw image of RAM.
///
/// # Errors
/// Those of writing to `out`.
pub fn run(options: &Image, out: &mut dyn Write) -> io::Result<Outcome> {
    show(&options.file, &options.device, "image", options.base.is_some(), out, |bytes| {
        Ok(Ranges::raw(options.base.unwrap_or(0), bytes))
    })
}

/// Shows what is in a core dump.
///
/// # Errors
/// Those of writing to `out`.
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
    // Without addresses nobody knows where in the image the symbols are.
    let places = if has_addresses { request.firmwares.ring_symbols() } else { Vec::new() };
    let memory: &mut dyn Memory = &mut memory;
    let recordings = Recordings::of_memory(&path.to_string_lossy(), memory, &places, &request.firmwares, reason);
    Ok(request.outcome.max(request.show(&recordings, None, out)?))
}

//! The command `dictionary`: writes the callsites of a firmware to a separate file.

use std::io::{self, IsTerminal as _, Write};
use std::path::PathBuf;

use clap::Args;
use ttlog_read::source::device::firmware::{Firmware, build_id_text};
use ttlog_read::text::escape::error_line;
use ttlog_read::text::escape::escaped;
use ttlog_read::text::number::counted;

use crate::terminal::{Outcome, complain};

/// Options of `dictionary`.
#[derive(Args, Debug)]
pub struct Dictionary {
    /// Firmware ELF file as written by the linker, not stripped
    #[arg(value_name = "ELF")]
    pub elf: PathBuf,
    /// File for the dictionary [default: standard output, unless it is a terminal]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// Writes the dictionary.
///
/// # Errors
/// Returns an error if writing to `out` fails.
pub fn run(options: &Dictionary, out: &mut dyn Write) -> io::Result<Outcome> {
    if options.output.is_none() && io::stdout().is_terminal() {
        complain("a dictionary is not text and is not written to a terminal; use --output FILE, or redirect it");
        return Ok(Outcome::Failed);
    }
    let firmware = match Firmware::load(&options.elf) {
        Ok(firmware) => firmware,
        Err(line) => {
            complain(&line);
            return Ok(Outcome::Failed);
        }
    };
    for problem in &firmware.problems {
        complain(&error_line(&options.elf, problem));
    }
    #[cfg(feature = "defmt")]
    if firmware.defmt.is_some() {
        complain("defmt events are not in a dictionary: keep the ELF file for them");
    }
    let bytes = firmware.to_dictionary();
    if let Some(path) = &options.output {
        if let Err(error) = std::fs::write(path, &bytes) {
            complain(&error_line(path, &error));
            return Ok(Outcome::Failed);
        }
        let callsites = counted(firmware.callsites.len() as u64, "callsite");
        let build_id = build_id_text(&firmware.build_id);
        writeln!(out, "{}: {callsites} of build {build_id}", escaped(&path.to_string_lossy()))?;
    } else {
        out.write_all(&bytes)?;
    }
    Ok(if firmware.problems.is_empty() { Outcome::Good } else { Outcome::Partial })
}

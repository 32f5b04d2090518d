//! The command line.

use std::io::{self, Write};

use clap::{Parser, Subcommand};

use super::device::dictionary::{self, Dictionary};
use super::device::image::{self, Core, Image};
use super::device::probe::{self, Probe};
use super::device::serial::{self, Serial};
use super::doctor::{self, Doctor};
use super::level::{self, Level};
use super::recover::{self, Recover};
use super::show::{self, View};
use super::snapshot::{self, Snapshot};
use super::verify::{self, Verify};
use crate::terminal::Outcome;

/// Shows what a TTLog flight recorder kept.
#[derive(Debug, Parser)]
#[command(
    name = "ttlog-view",
    version,
    about = "Shows what a TTLog flight recorder kept: snapshots, rings of running programs and rings of programs that died",
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = AFTER_HELP,
)]
pub struct Cli {
    /// What to do instead of showing events.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// What to show, and how.
    #[command(flatten)]
    pub view: View,
}

const AFTER_HELP: &str = "\
Examples:
  ttlog-view /tmp/ttlog-*.bin                                  everything, merged in time order
  ttlog-view crash.bin --limit 100 --filter 'level>=WARN'      the last 100 warnings and errors
  ttlog-view crash.bin --last 5s                               the last five seconds before the end
  ttlog-view crash.bin --filter target=app::net --filter 'bytes>1000' --filter 'message~=refused'
  ttlog-view crash.bin --format ndjson | jq .fields
  ttlog-view crash.bin --stats --group-by target,level

Exit codes:
  0  everything named was read
  1  something was shown, but an input could not be read or is damaged (a line says which and why)
  2  nothing could be read, or the command line is wrong";

const AFTER_HELP_DEVICE: &str = "\
Exit codes:
  0  a ring was found, and all of it could be shown
  1  something was shown, but parts are damaged or missing, or have no names: no --elf has the build id (a line says which and why)
  2  there is no ring, no session is of a firmware that was named, or the command line is wrong";

/// Commands other than showing events.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Copies the ring of a process, running or dead, to a snapshot
    ///
    /// The process takes no part in it and is not disturbed; it may be stopped or stuck. The path of the snapshot is printed. Without
    /// --output it goes to $TTLOG_SNAPSHOT_DIR, or the temporary directory. Only its owner can read it (mode 0600).
    #[command(after_help = "\
Exit codes:
  0  the snapshot was made
  1  the snapshot was made, but parts of the ring were overwritten faster than they could be read, or its file was cut short
  2  there is no snapshot: no such process or ring, no permission, no room; or the command line is wrong")]
    Snapshot(Snapshot),
    /// Reports whether processes record, where, how much they lose, and what to do about it
    ///
    /// Without a target, this user's usual directories are looked at: $TTLOG_DIR, /dev/shm/ttlog-UID, and ttlog-UID in the temporary
    /// directory. Nothing is changed.
    #[command(after_help = "\
Exit codes:
  0  all is well
  1  something wants attention: a line with ! says what, the line below it what to do
  2  nothing was found or could be read, or the command line is wrong")]
    Doctor(Doctor),
    /// Shows or changes what a running process records
    ///
    /// DIRECTIVES is a level for all (trace, debug, info, warn, error, off), and levels for modules and what is in them:
    /// info,my_crate::net=debug,other=off. Of several that fit, the one with the longest module holds. The process
    /// needs no help: its recorder looks into its ring for requests, and acts within a fraction of a second.
    #[command(after_help = "\
Exit codes:
  0  what is recorded now was printed
  1  the process did not answer within two seconds: it is stopped, or has lost its recorder's service thread
  2  not asked, or not done: bad directives, no such process or ring, the process is gone or on another host, its recorder takes no
     requests, no permission (only the user that it runs as may ask); or the command line is wrong")]
    Level(Level),
    /// Turns the rings that dead processes left behind into snapshots
    #[command(after_help = "\
Rings of running processes are left alone: they are locked, or their process is still there.

Exit codes:
  0  every ring of a dead process was recovered (or there was none)
  1  some could not be recovered
  2  the directory could not be read, or the command line is wrong")]
    Recover(Recover),
    /// Reports what of a file is intact, what is lost, and why
    #[command(after_help = "\
Exit codes:
  0  intact: every item and every record is good (events that were overwritten or dropped are no damage)
  1  usable, but damaged: what is lost is listed with its offset and reason
  2  unusable: cannot be read, is no snapshot and no ring, or holds nothing that can be read")]
    Verify(Verify),
    /// Shows the ring in a raw image of a device's RAM
    ///
    /// The ring is looked for where the ELF file says it is (symbol _TTLOG_RING; that needs --base), else everywhere in the image.
    ///
    /// Ways to an image of 64 KiB (16,384 words) at 0x20000000, all of which can be told to take the ring only:
    ///
    /// probe-rs read --chip CHIP b32 0x20000000 16384 --format binary --output RAM.bin
    ///
    /// gdb: dump binary memory RAM.bin 0x20000000 0x20010000
    ///
    /// OpenOCD: dump_image RAM.bin 0x20000000 0x10000
    ///
    /// QEMU, while the guest runs: pmemsave 0x20000000 65536 RAM.bin
    #[command(after_help = AFTER_HELP_DEVICE)]
    Image(Image),
    /// Shows the ring in a core dump of a device: of probe-rs, or an ELF core file
    ///
    /// The debugger of probe-rs makes one in its console, with the command `dump 0x20000000 0x10000 FILE`.
    #[command(after_help = AFTER_HELP_DEVICE)]
    Core(Core),
    /// Shows the ring of a live device, read by a debug probe with no help from the firmware
    ///
    /// The ring is looked for where the ELF file says it is (symbol _TTLOG_RING), else in all of RAM. It is read while the core runs; some parts
    /// give zeros while the core sleeps: --halt holds it for the moment of reading. Needs the cargo feature `probe`.
    #[command(after_help = AFTER_HELP_DEVICE)]
    Probe(Probe),
    /// Shows dumps that a device sends over a serial line, a connection or in a file, as they arrive
    ///
    /// A dump may come among other output, as frames or as lines of text between BEGIN and END marks; what is damaged or lost on the way is
    /// counted. Other output goes to standard error.
    #[command(after_help = AFTER_HELP_DEVICE)]
    Serial(Serial),
    /// Writes the callsites of a firmware to a file, so that its recordings can be read without its ELF file
    ///
    /// The dictionary is accepted wherever --elf is. It has the build id, and names and types of all callsites; no code, and no addresses.
    #[command(after_help = "\
Exit codes:
  0  the dictionary was written
  1  it was written, but parts of the file make no sense (a line says which and why)
  2  it was not written: no ELF file of a firmware with TTLog, or no room; or the command line is wrong")]
    Dictionary(Dictionary),
}

impl Cli {
    /// Does what the command line says.
    ///
    /// # Errors
    /// Those of writing to `out`.
    pub fn run(&self, out: &mut dyn Write) -> io::Result<Outcome> {
        match &self.command {
            Some(Command::Recover(options)) => recover::run(options, out),
            Some(Command::Verify(options)) => verify::run(options, out),
            Some(Command::Snapshot(options)) => snapshot::run(options, out),
            Some(Command::Doctor(options)) => doctor::run(options, out),
            Some(Command::Level(options)) => level::run(options, out),
            Some(Command::Image(options)) => image::run(options, out),
            Some(Command::Core(options)) => image::run_core(options, out),
            Some(Command::Serial(options)) => serial::run(options, out),
            Some(Command::Probe(options)) => probe::run(options, out),
            Some(Command::Dictionary(options)) => dictionary::run(options, out),
            None => show::run(&self.view, out),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn lines_of_the_readme_parse() {
        for line in [
            "ttlog-view a.bin b.bin --filter level=ERROR --limit 100",
            "ttlog-view a.bin --format json",
            "ttlog-view a.bin --stats --group-by target",
            "ttlog-view a.bin --stats --group-by target,level --group-by user",
            "ttlog-view a.bin --since -5s --until -1s",
            "ttlog-view recover /dev/shm --output /tmp --remove",
            "ttlog-view verify a.bin b.ring",
            "ttlog-view doctor",
            "ttlog-view doctor 4711 /dev/shm/ttlog-1000 --format json",
            "ttlog-view snapshot 4711 --output /tmp --reason slow",
            "ttlog-view level 4711",
            "ttlog-view dictionary fw.elf -o fw.dict",
            "ttlog-view image RAM.bin --base 0x2000_0000 --elf fw.elf --dictionary old.dict",
            "ttlog-view core dump.bin --elf fw.elf --limit 10 --save /tmp",
            "ttlog-view serial /dev/ttyACM0 --baud 9600 --elf fw.elf --format ndjson --passthrough",
            "ttlog-view serial tcp:localhost:4321 --dumps 1",
            "ttlog-view probe --chip nRF52840_xxAA --elf fw.elf --follow --halt",
            "ttlog-view level 4711 info,shop::net=debug",
        ] {
            Cli::try_parse_from(line.split(' ')).unwrap_or_else(|error| panic!("{line}: {error}"));
        }
        for line in [
            "ttlog-view",
            "ttlog-view a --filter x",
            "ttlog-view a --limit 1 --head 1",
            "ttlog-view a --group-by x",
            "ttlog-view snapshot",
            "ttlog-view snapshot 1 2",
            "ttlog-view level",
            "ttlog-view doctor --format ndjson",
        ] {
            assert!(Cli::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }
}

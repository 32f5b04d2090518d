//! The command line.

use std::io::{self, Write};

use clap::{Parser, Subcommand};
use ttlog_read::query::FILTER_HELP;

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

/// Shows the recordings of a TTLog flight recorder.
#[derive(Debug, Parser)]
#[command(
    name = "ttlog-view",
    version,
    about = "Shows the recordings of a TTLog flight recorder: snapshots, and rings of running and dead programs",
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = AFTER_HELP,
)]
pub struct Cli {
    /// Command to run instead of showing events.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Inputs and options for showing events.
    #[command(flatten)]
    pub view: View,
}

const AFTER_HELP: &str = "\
Examples:
  ttlog-view /tmp/ttlog-*.bin                                  everything, merged in time order
  ttlog-view crash.bin --limit 100 --filter 'level>=WARN'      the last 100 warnings and errors
  ttlog-view crash.bin --last 5s                               the last five seconds before the end
  ttlog-view crash.bin --filter 'target=app::net and (bytes>1MiB or message~=refused)'
  ttlog-view crash.bin --format ndjson | jq .fields
  ttlog-view crash.bin --stats --group-by target,level

Exit codes:
  0  all inputs were read
  1  something was shown, but an input could not be read or is damaged
     (a message says which and why)
  2  nothing could be read, or the command line is wrong";

const AFTER_HELP_DEVICE: &str = "\
Exit codes:
  0  a ring was found, and all of it could be shown
  1  something was shown, but parts are damaged or missing, or have no names
     because no --elf has the build id (a message says which and why)
  2  there is no ring, no session belongs to a given firmware, or the command
     line is wrong";

/// Commands other than showing events.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Copies the ring of a running or dead process to a snapshot
    ///
    /// The process is neither involved nor disturbed; it can be stopped or stuck. Prints the path of the snapshot.
    /// Without --output, the snapshot goes to $TTLOG_SNAPSHOT_DIR or, if that is not set, to the temporary directory.
    /// Only its owner can read it (mode 0600).
    #[command(after_help = "\
Exit codes:
  0  the snapshot was made
  1  the snapshot was made, but parts of the ring were overwritten faster than
     they could be read, or its file was truncated
  2  no snapshot was made: no such process or ring, no permission, no space;
     or the command line is wrong")]
    Snapshot(Snapshot),
    /// Reports whether processes record, where, how much they lose, and how to fix it
    ///
    /// Without a target, examines this user's usual directories: $TTLOG_DIR, /dev/shm/ttlog-UID, and ttlog-UID in the
    /// temporary directory. Changes nothing.
    #[command(after_help = "\
Exit codes:
  0  all is well
  1  something needs attention: a line with ! says what, and the line below it
     how to fix it
  2  nothing was found, nothing could be read, or the command line is wrong")]
    Doctor(Doctor),
    /// Shows or changes what a running process records
    ///
    /// DIRECTIVES is a level for everything (trace, debug, info, warn, error, off) and levels for modules and their
    /// contents: info,my_crate::net=debug,other=off. If several match, the one with the longest module applies. The
    /// process needs no preparation: its recorder checks its ring for requests and acts within a fraction of a
    /// second.
    #[command(after_help = "\
Exit codes:
  0  the current filter was printed
  1  the process did not answer within two seconds: it is stopped, or has lost
     its recorder's service thread
  2  no request was made, or it was refused: bad directives, no such process or
     ring, the process is gone or on another host, its recorder accepts no
     requests, no permission (only the user it runs as may send requests);
     or the command line is wrong")]
    Level(Level),
    /// Turns the rings left behind by dead processes into snapshots
    #[command(after_help = "\
Rings of running processes are left alone: they are locked, as seen from all
containers, or their process still exists. On a file system that several hosts
share (NFS, SMB, FUSE ...), a ring of another host is left alone too, until it
has been silent for a day: its lock might be invisible here.

Exit codes:
  0  every ring of a dead process was recovered, or there was none
  1  some rings could not be recovered
  2  the directory could not be read, or the command line is wrong")]
    Recover(Recover),
    /// Reports what is intact in a file, what is lost, and why
    #[command(after_help = "\
Exit codes:
  0  intact: every item and every record is valid (overwritten or dropped events
     are not damage)
  1  usable, but damaged: each loss is listed with its offset and reason
  2  unusable: not readable, neither a snapshot nor a ring, or without any
     readable content")]
    Verify(Verify),
    /// Shows the ring in a raw image of a device's RAM
    ///
    /// The ring is looked up at the address in the ELF file (symbol _TTLOG_RING; requires --base), else searched for
    /// in the whole image.
    ///
    /// Ways to get an image of 64 KiB (16,384 words) at 0x20000000; each can also be limited to the ring:
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
    /// Shows the ring in a core dump of a device, from probe-rs or as an ELF core file
    ///
    /// In the console of the probe-rs debugger, the command `dump 0x20000000 0x10000 FILE` writes one.
    #[command(after_help = AFTER_HELP_DEVICE)]
    Core(Core),
    /// Shows the ring of a live device, read through a debug probe without help from the firmware
    ///
    /// The ring is looked up at the address in the ELF file (symbol _TTLOG_RING), else searched for in all of RAM. It
    /// is read while the core runs. On some chips, RAM reads as zeros while the core sleeps: --halt halts the core
    /// during the read. Requires the cargo feature `probe`.
    #[command(after_help = AFTER_HELP_DEVICE)]
    Probe(Probe),
    /// Shows dumps from a device as they arrive: over a serial line or a connection, or in a file
    ///
    /// A dump can be mixed with other output. It consists of frames, or of lines of text between BEGIN and END marks.
    /// Parts damaged or lost in transit are counted. Other output goes to standard error. A port or a connection that
    /// is gone is waited for. Ctrl-C ends with the counts.
    #[command(after_help = AFTER_HELP_DEVICE)]
    Serial(Serial),
    /// Writes the callsites of a firmware to a file, so that its recordings can be read without its ELF file
    ///
    /// The dictionary is accepted wherever --elf is. It contains the build id and the names and types of all
    /// callsites, but no code and no addresses.
    #[command(after_help = "\
Exit codes:
  0  the dictionary was written
  1  the dictionary was written, but parts of the ELF file are invalid
     (a message says which and why)
  2  the dictionary was not written: not an ELF file of a firmware with TTLog,
     no space, or a wrong command line")]
    Dictionary(Dictionary),
    /// Explains the filters of --filter
    #[command(long_about = FILTER_HELP, override_usage = "ttlog-view [FILE|DIR|GLOB]... --filter FILTER")]
    Filter,
}

impl Cli {
    /// Runs the command.
    ///
    /// # Errors
    /// Returns an error if writing to `out` fails.
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
            Some(Command::Filter) => write!(out, "{FILTER_HELP}").map(|()| Outcome::Good),
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
            "ttlog-view filter",
        ] {
            Cli::try_parse_from(line.split(' ')).unwrap_or_else(|error| panic!("{line}: {error}"));
        }
        for line in [
            "ttlog-view",
            "ttlog-view a --filter x",
            "ttlog-view a --filter (a=1",
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

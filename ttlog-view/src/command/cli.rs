//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::options::{ColorChoice, SecretArgs, TimeChoice};
use crate::render::stats::GroupKey;
use ttlog_read::query::{Condition, Key};

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
    /// Tells whether processes record, where, how much, what they lose, and what to do about it
    ///
    /// Without a target, this user's usual directories are looked at: $TTLOG_DIR, /dev/shm/ttlog-UID, and ttlog-UID in the temporary
    /// directory. Nothing is changed.
    #[command(after_help = "\
Exit codes:
  0  all is well
  1  something wants attention: a line with ! says what, the line below it what to do
  2  nothing was found or could be read, or the command line is wrong")]
    Doctor(Doctor),
    /// Shows, or changes, what a running process records
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
    /// Tells what of a file is intact, what is lost, and why
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
    /// Writes what the callsites of a firmware say to a file, so that its recordings can be read without its ELF file
    ///
    /// The dictionary is accepted wherever --elf is. It has the build id, and names and types of all callsites; no code, and no addresses.
    #[command(after_help = "\
Exit codes:
  0  the dictionary was written
  1  it was written, but parts of the file make no sense (a line says which and why)
  2  it was not written: no ELF file of a firmware with TTLog, or no room; or the command line is wrong")]
    Dictionary(Dictionary),
}

/// What to show, and how.
#[derive(Args, Debug)]
pub struct View {
    /// Snapshots and rings, in any mix; a directory means the snapshots and rings in it; `-` reads a snapshot from standard input
    #[arg(required = true, value_name = "FILE|DIR|GLOB")]
    pub inputs: Vec<String>,
    /// How.
    #[command(flatten)]
    pub show: Show,
}

/// Options of showing events.
#[derive(Args, Debug)]
pub struct Show {
    /// Show only events that fulfil this; repeat it for more conditions, all of which must hold
    ///
    /// KEY=VALUE, !=, >, >=, <, <=, and ~= for "contains". KEY is level, target, message, template, file, line, callsite, thread,
    /// context, service, pid, host, boot, or the name of a field (fields.KEY for a field with one of these names). `level=WARN` is exactly that
    /// level, `level>=WARN` that and above. `target=a::b` means the module and everything in it. `KEY!=VALUE` also holds where there
    /// is no such field.
    #[arg(short, long = "filter", value_name = "EXPR")]
    pub filters: Vec<Condition>,

    /// Show the last N of the matching events
    #[arg(short = 'n', long, value_name = "N", conflicts_with = "head")]
    pub limit: Option<usize>,

    /// Show the first N of the matching events
    #[arg(long, value_name = "N")]
    pub head: Option<usize>,

    /// Show events from this time on: a date and time (local, or with a zone), a time of the last day, or -5s before the last event
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub since: Option<String>,

    /// Show events up to this time
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub until: Option<String>,

    /// Show the last stretch before the last event, such as 5s or 2m; the same as --since -5s
    #[arg(long, value_name = "DURATION", conflicts_with = "since")]
    pub last: Option<String>,

    /// The form of the output
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,

    /// How times are shown in text
    #[arg(long, value_enum, default_value_t = TimeChoice::Local)]
    pub time: TimeChoice,

    /// The same as --time utc
    #[arg(long, conflicts_with = "time")]
    pub utc: bool,

    /// Colour in text
    #[arg(long, value_enum, default_value_t = ColorChoice::Auto, value_name = "WHEN")]
    pub color: ColorChoice,

    /// Show also the place in the source, nanoseconds, contexts and the fields that the message already shows
    #[arg(short, long)]
    pub verbose: bool,

    /// Leave out the lines about files, gaps and losses
    #[arg(short, long)]
    pub quiet: bool,

    /// Write line breaks and tabs inside messages and values as they are; other control characters stay escaped
    #[arg(long)]
    pub raw: bool,

    /// Show events again that several snapshots of one ring hold
    #[arg(long)]
    pub duplicates: bool,

    /// Count events instead of showing them
    #[arg(long)]
    pub stats: bool,

    /// What to count by, separated by commas: level, target, callsite, thread, … or the name of a field
    #[arg(long, value_name = "KEY", value_delimiter = ',', value_parser = parse_key, requires = "stats")]
    pub group_by: Vec<GroupKey>,

    /// What is withheld.
    #[command(flatten)]
    pub secrets: SecretArgs,

    /// Of recordings of devices: the ELF file of the firmware, or a dictionary made of it; repeat it for more firmwares
    ///
    /// Each session of a device (from one start of its firmware to the next) names the build id of its firmware. It is shown with the names
    /// of the file that has this build id, and without names if none has.
    #[arg(long = "elf", visible_alias = "dictionary", value_name = "ELF|DICTIONARY")]
    pub firmware: Vec<PathBuf>,
}

fn parse_key(name: &str) -> Result<GroupKey, String> {
    let name = name.trim();
    if name.is_empty() {
        return Err("empty key".to_owned());
    }
    Ok(GroupKey { name: name.to_owned(), key: Key::from_name(name) })
}

/// Options of `snapshot`.
#[derive(Args, Debug)]
pub struct Snapshot {
    /// A process id, or the path of a ring (that of a file whose name is a number with ./ before it)
    #[arg(value_name = "PID|RING")]
    pub target: String,
    /// Where the snapshot goes
    #[arg(short, long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// Why it is made: a word or two for its name and its header
    #[arg(short, long, value_name = "TEXT", default_value = "manual")]
    pub reason: String,
    /// What is withheld.
    #[command(flatten)]
    pub secrets: SecretArgs,
}

/// Options of `doctor`.
#[derive(Args, Debug)]
pub struct Doctor {
    /// Process ids, rings, and directories with rings
    #[arg(value_name = "PID|RING|DIR")]
    pub targets: Vec<String>,
    /// The form of the output
    #[arg(long, value_enum, default_value_t = DoctorFormat::Text)]
    pub format: DoctorFormat,
    /// Colour in text
    #[arg(long, value_enum, default_value_t = ColorChoice::Auto, value_name = "WHEN")]
    pub color: ColorChoice,
}

/// The form of what `doctor` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DoctorFormat {
    /// For people
    Text,
    /// One JSON object
    Json,
}

/// Options of `level`.
#[derive(Args, Debug)]
pub struct Level {
    /// A process id, or the path of a ring (that of a file whose name is a number with ./ before it)
    #[arg(value_name = "PID|RING")]
    pub target: String,
    /// What to record from now on; without it, what is recorded is shown
    #[arg(value_name = "DIRECTIVES")]
    pub directives: Option<String>,
}

/// Options of `recover`.
#[derive(Args, Debug)]
pub struct Recover {
    /// The directory with the rings
    pub directory: PathBuf,
    /// Where the snapshots go; by default the temporary directory, where the programs' own snapshots go
    #[arg(short, long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// Remove each ring after its snapshot is safely on disk
    #[arg(long)]
    pub remove: bool,
    /// What is withheld.
    #[command(flatten)]
    pub secrets: SecretArgs,
}

/// Options of `verify`.
#[derive(Args, Debug)]
pub struct Verify {
    /// Snapshots and rings
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<String>,
}

/// Options of `image`.
#[derive(Args, Debug)]
pub struct Image {
    /// Raw bytes of RAM
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The address of the first byte, such as 0x20000000; without it the ring is searched for, wherever the ELF file says it is
    #[arg(long, value_name = "ADDRESS", value_parser = parse_address)]
    pub base: Option<u64>,
    /// What becomes of sessions.
    #[command(flatten)]
    pub device: DeviceArgs,
}

/// Options of `core`.
#[derive(Args, Debug)]
pub struct Core {
    /// A core dump of probe-rs, or an ELF core file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// What becomes of sessions.
    #[command(flatten)]
    pub device: DeviceArgs,
}

/// Options of `probe`.
#[derive(Args, Debug)]
pub struct Probe {
    /// The chip, as probe-rs names it (probe-rs chip list)
    #[arg(long, value_name = "CHIP")]
    pub chip: String,
    /// Which probe, where there are several
    #[arg(long, value_name = "VID:PID[:SERIAL]")]
    pub probe: Option<String>,
    /// swd or jtag; by default what the probe and the chip have
    #[arg(long, value_name = "PROTOCOL")]
    pub protocol: Option<String>,
    /// Speed of the probe's line
    #[arg(long, value_name = "KHZ")]
    pub speed: Option<u32>,
    /// The core whose view of memory is read
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub core: usize,
    /// Hold the core's reset while connecting, for firmware that makes connecting hard (the session that runs then begins anew)
    #[arg(long)]
    pub connect_under_reset: bool,
    /// Halt the core while its memory is read, and let it run on then
    #[arg(long)]
    pub halt: bool,
    /// Go on, and show what is new
    #[arg(long)]
    pub follow: bool,
    /// With --follow, how long to wait between two looks
    #[arg(long, value_name = "MS", default_value_t = 200)]
    pub interval: u64,
    /// What becomes of sessions.
    #[command(flatten)]
    pub device: DeviceArgs,
}

/// Options of `serial`.
#[derive(Args, Debug)]
pub struct Serial {
    /// A serial port, a file or pipe, `-` for standard input, or tcp:HOST:PORT
    #[arg(value_name = "PORT|FILE|-|tcp:HOST:PORT")]
    pub port: String,
    /// Speed of a serial port, in bits per second
    #[arg(long, value_name = "BAUD", default_value_t = 115_200)]
    pub baud: u32,
    /// Write other output among the events instead of to standard error
    #[arg(long)]
    pub passthrough: bool,
    /// End after so many dumps
    #[arg(long, value_name = "N")]
    pub dumps: Option<u64>,
    /// What becomes of sessions.
    #[command(flatten)]
    pub device: DeviceArgs,
}

/// Options that all commands for devices have.
#[derive(Args, Debug)]
pub struct DeviceArgs {
    /// Keep each session as a snapshot in this directory
    #[arg(long, value_name = "DIR")]
    pub save: Option<PathBuf>,
    /// How events are shown.
    #[command(flatten)]
    pub show: Show,
}

/// Reads an address: hexadecimal after 0x, else decimal; with `_` between digits.
fn parse_address(text: &str) -> Result<u64, String> {
    let digits = text.replace('_', "");
    let parsed = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(hexadecimal) => u64::from_str_radix(hexadecimal, 16),
        None => digits.parse(),
    };
    parsed.map_err(|_| format!("`{text}` is no address; write 0x20000000"))
}

/// Options of `dictionary`.
#[derive(Args, Debug)]
pub struct Dictionary {
    /// The ELF file of the firmware, as the linker made it: not stripped
    #[arg(value_name = "ELF")]
    pub elf: PathBuf,
    /// Where the dictionary goes; by default to standard output, if that is no terminal
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// The form of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// One line per event, for people
    Text,
    /// One JSON array of all events
    Json,
    /// One JSON object per line
    Ndjson,
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

//! The command `probe`: shows the ring of a live device, read through a debug probe without help from the firmware.
//!
//! The library probe-rs controls the probe. It is large, so the command exists only with the cargo feature `probe`.

use std::collections::HashSet;
use std::io::{self, Write};

use clap::Args;
use ttlog_read::source::device::memory::Memory;
use ttlog_read::source::device::sessions::Recordings;
use ttlog_read::timeline::ShownEvents;

use super::recordings::DeviceArgs;
use super::recordings::DeviceRequest;
use crate::command::show::Format;
use crate::terminal::{Outcome, complain};

/// Options of `probe`.
#[derive(Args, Debug)]
pub struct Probe {
    /// Chip name as in probe-rs (see `probe-rs chip list`)
    #[arg(long, value_name = "CHIP")]
    pub chip: String,
    /// Probe to use if there are several
    #[arg(long, value_name = "VID:PID[:SERIAL]")]
    pub probe: Option<String>,
    /// swd or jtag [default: whichever the probe and chip support]
    #[arg(long, value_name = "PROTOCOL")]
    pub protocol: Option<String>,
    /// Speed of the probe's connection
    #[arg(long, value_name = "KHZ")]
    pub speed: Option<u32>,
    /// Core whose memory is read
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub core: usize,
    /// Hold the core in reset while connecting, for firmware that makes connecting hard (restarts the firmware)
    #[arg(long)]
    pub connect_under_reset: bool,
    /// Halt the core while its memory is read, then resume it
    #[arg(long)]
    pub halt: bool,
    /// Keep watching and show new events
    #[arg(long)]
    pub follow: bool,
    /// With --follow, delay between two reads
    #[arg(long, value_name = "MS", default_value_t = 200)]
    pub interval: u64,
    /// Options about sessions.
    #[command(flatten)]
    pub device: DeviceArgs,
}

/// A memory with a ring in it, read repeatedly.
#[derive(Debug)]
pub struct Watch<'o> {
    options: &'o Probe,
    request: DeviceRequest<'o>,
    /// Address of a ring that was found by searching.
    found_at: Vec<(u64, u64)>,
    shown: ShownEvents,
    /// Messages that were already printed.
    said: HashSet<String>,
}

impl<'o> Watch<'o> {
    /// Reads the firmwares given by the options; `None` if the options contradict each other.
    #[must_use]
    pub fn new(options: &'o Probe) -> Option<Self> {
        let show = &options.device.show;
        if options.follow && (show.format == Format::Json || show.stats) {
            complain("--follow never ends: use --format ndjson, without --stats");
            return None;
        }
        let request = DeviceRequest::new(&options.device)?;
        let (found_at, shown, said) = Default::default();
        Some(Watch { options, request, found_at, shown, said })
    }

    /// Reads the memory once and shows events not shown before.
    ///
    /// # Errors
    /// Returns an error if writing to `out` fails.
    pub fn look(&mut self, memory: &mut dyn Memory, out: &mut dyn Write) -> io::Result<Outcome> {
        let symbols = self.request.firmwares.ring_symbols();
        let places = if self.found_at.is_empty() { &symbols } else { &self.found_at };
        let name = &self.options.chip;
        let mut recordings = Recordings::of_memory(name, memory, places, &self.request.firmwares, "probe");
        if recordings.only_zeros {
            let advice = if self.options.halt { "is the chip the right one?" } else { "try --halt" };
            recordings.complain(name, &format_args!("some parts answer so while the core sleeps; {advice}"));
        }
        self.found_at = recordings.rings_at.iter().map(|&address| (address, 0)).collect();
        recordings.complaints.retain(|line| self.said.insert(line.clone()));
        let shown = self.options.follow.then_some(&mut self.shown);
        let outcome = self.request.show(&recordings, shown, out)?.max(self.request.outcome);
        out.flush()?;
        Ok(outcome)
    }
}

/// Reports that this program was built without the probe library, and names the alternatives.
///
/// # Errors
/// None.
#[cfg(not(feature = "probe"))]
pub fn run(options: &Probe, _out: &mut dyn Write) -> io::Result<Outcome> {
    let chip = ttlog_read::text::escape::escaped(&options.chip);
    complain("this program was built without the feature `probe`: cargo install ttlog-view --features probe");
    complain(&format!(
        "or take an image of RAM with the probe-rs program and show it with ttlog-view image; \
         for 64 KiB at 0x20000000: \
         probe-rs read --chip {chip} b32 0x20000000 16384 --format binary --output RAM.bin"
    ));
    Ok(Outcome::Failed)
}

#[cfg(feature = "probe")]
pub use live::run;

#[cfg(feature = "probe")]
mod live {
    use std::io::{self, Write};
    use std::ops::Range;
    use std::time::Duration;

    use probe_rs::probe::list::Lister;
    use probe_rs::probe::{DebugProbeSelector, Probe as Connected};
    use probe_rs::{Core, Permissions, Session};
    use ttlog_read::source::device::probe::{ProbeMemory, chain};

    use super::{Probe, Watch};
    use crate::terminal::{Outcome, complain};
    use ttlog_read::text::escape::escaped;

    /// Longest time that a core takes to halt.
    const HALT_TIMEOUT: Duration = Duration::from_millis(500);

    /// Shows the contents of the ring of a live device.
    ///
    /// # Errors
    /// Returns an error if writing to `out` fails.
    pub fn run(options: &Probe, out: &mut dyn Write) -> io::Result<Outcome> {
        let Some(mut watch) = Watch::new(options) else { return Ok(Outcome::Failed) };
        let mut session = match connect(options) {
            Ok(session) => session,
            Err(line) => {
                complain(&line);
                return Ok(Outcome::Failed);
            }
        };
        let ram: Vec<_> = session
            .target()
            .memory_map
            .iter()
            .filter_map(|region| region.as_ram_region())
            .filter(|region| !region.is_alias)
            .map(|region| region.range.clone())
            .collect();
        loop {
            let looked = session
                .core(options.core)
                .map_err(|error| chain(&error))
                .and_then(|mut core| look(&mut watch, &mut core, &ram, out));
            let outcome = match looked {
                Ok(shown) => shown?,
                Err(line) => {
                    complain(&format!("{}: {}", escaped(&options.chip), escaped(&line)));
                    return Ok(Outcome::Failed);
                }
            };
            if !options.follow {
                return Ok(outcome);
            }
            std::thread::sleep(Duration::from_millis(options.interval));
        }
    }

    /// Reads the memory once, with the core halted during the read if requested.
    fn look(
        watch: &mut Watch<'_>,
        core: &mut Core<'_>,
        ram: &[Range<u64>],
        out: &mut dyn Write,
    ) -> Result<io::Result<Outcome>, String> {
        let halts = watch.options.halt && !core.core_halted().map_err(|error| chain(&error))?;
        if halts {
            core.halt(HALT_TIMEOUT).map_err(|error| chain(&error))?;
        }
        let shown = watch.look(&mut ProbeMemory::new(core, ram.to_vec()), out);
        if halts {
            core.run().map_err(|error| chain(&error))?;
        }
        Ok(shown)
    }

    fn connect(options: &Probe) -> Result<Session, String> {
        let mut probe = open(options)?;
        if let Some(protocol) = &options.protocol {
            let protocol = protocol.parse().map_err(|_| format!("--protocol {}: swd or jtag", escaped(protocol)))?;
            probe.select_protocol(protocol).map_err(|error| chain(&error))?;
        }
        if let Some(speed) = options.speed {
            probe.set_speed(speed).map_err(|error| chain(&error))?;
        }
        let chip = options.chip.as_str();
        let attached = match options.connect_under_reset {
            true => probe.attach_under_reset(chip, Permissions::default()),
            false => probe.attach(chip, Permissions::default()),
        };
        attached.map_err(|error| format!("{}: {}", escaped(chip), escaped(&chain(&error))))
    }

    fn open(options: &Probe) -> Result<Connected, String> {
        let lister = Lister::new();
        if let Some(selector) = &options.probe {
            let parsed: DebugProbeSelector =
                selector.parse().map_err(|error| format!("--probe {}: {}", escaped(selector), chain(&error)))?;
            return lister.open(parsed).map_err(|error| chain(&error));
        }
        let probes = lister.list_all();
        match probes.as_slice() {
            [] => Err("no debug probe found (check that it is plugged in and that you have access: \
                       see probe.rs/docs/getting-started/probe-setup)"
                .to_owned()),
            [only] => only.open().map_err(|error| chain(&error)),
            several => {
                let names: Vec<_> = several.iter().map(|probe| escaped(&probe.to_string())).collect();
                Err(format!("several debug probes; say which with --probe VID:PID[:SERIAL]: {}", names.join("; ")))
            }
        }
    }
}

//! The command `serial`: shows dumps from a byte stream as they arrive.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use clap::Args;
use ttlog_read::source::device::receiver::{Dump, Received, Receiver};
use ttlog_read::source::device::sessions::Recordings;
use ttlog_read::text::escape::{LineBreaks, escaped, push_escaped};
use ttlog_read::text::number::counted;
use ttlog_read::timeline::ShownEvents;

use super::outage::Outage;
use super::place::Place;
use super::recordings::DeviceArgs;
use super::recordings::DeviceRequest;
use super::stream::{Arrival, Stream};
use crate::command::show::Format;
use crate::terminal::stop::Stop;
use crate::terminal::{Outcome, complain};

/// Options of `serial`.
#[derive(Args, Debug)]
pub struct Serial {
    /// Serial port (best by the name that stays, in /dev/serial/by-id), file or pipe, `-` for standard input, or
    /// tcp:HOST:PORT
    #[arg(value_name = "PORT|FILE|-|tcp:HOST:PORT")]
    pub port: String,
    /// Speed of a serial port, in bits per second
    #[arg(long, value_name = "BAUD", default_value_t = 115_200)]
    pub baud: u32,
    /// End when the port or connection is gone, and fail if it is not there, instead of waiting for it
    #[arg(long)]
    pub no_wait: bool,
    /// Print other output between the events instead of to standard error
    #[arg(long)]
    pub passthrough: bool,
    /// Stop after N dumps
    #[arg(long, value_name = "N")]
    pub dumps: Option<u64>,
    /// Options about sessions.
    #[command(flatten)]
    pub device: DeviceArgs,
}

/// How long other output without a final line break is held back.
const IDLE: Duration = Duration::from_millis(200);
/// Time without frames after which an unfinished dump is given up.
const GIVE_UP: Duration = Duration::from_secs(3);

/// Shows the dumps of the stream.
///
/// # Errors
/// Returns an error if writing to `out` fails.
pub fn run(options: &Serial, out: &mut dyn Write) -> io::Result<Outcome> {
    if options.device.show.format == Format::Json {
        complain("--format json writes a single array, which never ends here; use ndjson");
        return Ok(Outcome::Failed);
    }
    let Some(request) = DeviceRequest::new(&options.device) else { return Ok(Outcome::Failed) };
    let stop = Stop::on_signals().unwrap_or_else(|error| {
        complain(&format!("Ctrl-C ends without counts: {error}"));
        Stop::default()
    });
    let place = Place { name: options.port.clone(), baud: options.baud };
    let stream = Stream::open(place, !options.no_wait);
    let mut input = Input { receiver: Receiver::new(), last_bytes: Instant::now(), outage: Outage::default() };
    let (outcome, shown) = (request.outcome, ShownEvents::default());
    let mut console = Console { options, outcome, dumps: 0, useful: 0, shown, request, out };
    let mut received = Vec::new();
    loop {
        let arrival = stream.wait(IDLE);
        let is_stopped = stop.is_requested();
        let next = input.take(arrival, &mut console, &mut |what| received.push(what));
        let is_over = is_stopped || matches!(next, Next::End);
        if is_over {
            input.receiver.finish(&mut |what| received.push(what));
        }
        for what in received.drain(..) {
            console.take(what)?;
            if options.dumps.is_some_and(|dumps| console.dumps >= dumps) {
                return console.end(&input.receiver);
            }
        }
        if let Next::Report(line) = next {
            console.report(&line);
        }
        console.out.flush()?;
        if is_over {
            if is_stopped && console.dumps > 0 {
                complain(&format!("stopped after {}", counted(console.dumps, "dump")));
            }
            return console.end(&input.receiver);
        }
    }
}

/// The step after an arrival.
enum Next {
    /// The next one.
    Arrival,
    /// A report, after what arrived.
    Report(String),
    /// Nothing: it was the last.
    End,
}

/// The receiving side of the stream, and its state.
struct Input {
    receiver: Receiver,
    last_bytes: Instant,
    outage: Outage,
}

impl Input {
    /// Handles an arrival.
    fn take(&mut self, arrival: Arrival, console: &mut Console<'_>, take: &mut dyn FnMut(Received)) -> Next {
        let now = Instant::now();
        let report = match arrival {
            Arrival::Bytes(bytes) => {
                if let Some(line) = self.outage.looked(true, now) {
                    console.report(&line);
                }
                self.last_bytes = now;
                self.receiver.push(&bytes, take);
                None
            }
            Arrival::Nothing => {
                self.receiver.idle(take);
                if now.duration_since(self.last_bytes) >= GIVE_UP {
                    self.receiver.give_up(take);
                }
                self.outage.looked(false, now)
            }
            Arrival::Opened => {
                self.outage.opened(now);
                None
            }
            Arrival::Lost(reason) => {
                // What comes next, perhaps from another run of the firmware, does not continue what is unfinished.
                self.receiver.finish(take);
                self.outage.lost(&reason, now)
            }
            Arrival::Absent(error) => self.outage.absent(&error, now),
            Arrival::End => return Next::End,
            Arrival::Failed(reason) => {
                console.report(&reason);
                console.outcome = console.outcome.max(Outcome::Partial);
                return Next::End;
            }
        };
        report.map_or(Next::Arrival, Next::Report)
    }
}

/// Destination of dumps and other output.
struct Console<'o> {
    options: &'o Serial,
    request: DeviceRequest<'o>,
    shown: ShownEvents,
    dumps: u64,
    /// Dumps of which something could be shown.
    useful: u64,
    outcome: Outcome,
    out: &'o mut dyn Write,
}

impl Console<'_> {
    /// Reports something about the source.
    fn report(&self, line: &str) {
        complain(&format!("{}: {line}", escaped(&self.options.port)));
    }

    fn take(&mut self, received: Received) -> io::Result<()> {
        match received {
            Received::Text(text) => self.pass(&text),
            Received::Remark(line) => {
                complain(&line);
                self.outcome = self.outcome.max(Outcome::Partial);
                Ok(())
            }
            Received::Dump(dump) => self.show(*dump),
        }
    }

    /// Passes other output on, with control characters made harmless.
    fn pass(&mut self, text: &[u8]) -> io::Result<()> {
        if self.options.device.show.quiet {
            return Ok(());
        }
        let mut line = String::new();
        push_escaped(&mut line, &String::from_utf8_lossy(text).replace("\r\n", "\n"), LineBreaks::Keep);
        if self.options.passthrough {
            self.out.write_all(line.as_bytes())
        } else {
            // If standard error is closed, nobody can read it.
            let _ = io::stderr().write_all(line.as_bytes());
            Ok(())
        }
    }

    fn show(&mut self, dump: Dump) -> io::Result<()> {
        self.dumps += 1;
        if !dump.is_whole() || dump.counts.repeated > 0 || !self.options.device.show.quiet {
            complain(&dump.sentence());
        }
        if !dump.is_whole() {
            self.outcome = self.outcome.max(Outcome::Partial);
        }
        let recordings = Recordings::of_dump(&self.options.port, &dump, &self.request.firmwares);
        let outcome = self.request.show(&recordings, Some(&mut self.shown), self.out)?;
        // One unusable dump does not affect the others.
        self.useful += u64::from(outcome != Outcome::Failed);
        self.outcome = self.outcome.max(outcome.min(Outcome::Partial));
        self.out.flush()
    }

    fn end(&mut self, receiver: &Receiver) -> io::Result<Outcome> {
        if receiver.damaged() > 0 {
            complain(&format!("{} damaged on the way", counted(receiver.damaged(), "frame")));
            self.outcome = self.outcome.max(Outcome::Partial);
        }
        if self.dumps == 0 {
            complain("no dump came");
        }
        if self.useful == 0 {
            self.outcome = Outcome::Failed;
        }
        self.out.flush()?;
        Ok(self.outcome)
    }
}

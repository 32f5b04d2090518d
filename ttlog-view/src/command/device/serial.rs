//! The command `serial`: shows dumps from a byte stream as they arrive.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use clap::Args;
use ttlog_read::source::device::receiver::{Dump, Received, Receiver};
use ttlog_read::source::device::sessions::Recordings;
use ttlog_read::text::escape::{LineBreaks, push_escaped};
use ttlog_read::text::number::counted;
use ttlog_read::timeline::ShownEvents;

use super::recordings::DeviceArgs;
use super::recordings::DeviceRequest;
use super::stream::{Arrival, Stream};
use crate::command::show::Format;
use crate::terminal::{Outcome, complain};

/// Options of `serial`.
#[derive(Args, Debug)]
pub struct Serial {
    /// Serial port, file or pipe, `-` for standard input, or tcp:HOST:PORT
    #[arg(value_name = "PORT|FILE|-|tcp:HOST:PORT")]
    pub port: String,
    /// Speed of a serial port, in bits per second
    #[arg(long, value_name = "BAUD", default_value_t = 115_200)]
    pub baud: u32,
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
    let (outcome, shown) = (request.outcome, ShownEvents::default());
    let mut console = Console { options, outcome, dumps: 0, useful: 0, shown, request, out };
    let stream = match Stream::open(&options.port, options.baud) {
        Ok(stream) => stream,
        Err(line) => {
            complain(&line);
            return Ok(Outcome::Failed);
        }
    };
    let mut receiver = Receiver::new();
    let mut received = Vec::new();
    let mut last_bytes = Instant::now();
    loop {
        let arrival = stream.wait(IDLE);
        let mut take = |what| received.push(what);
        let mut is_over = false;
        match arrival {
            Arrival::Bytes(bytes) => {
                last_bytes = Instant::now();
                receiver.push(&bytes, &mut take);
            }
            Arrival::Nothing if last_bytes.elapsed() >= GIVE_UP => {
                receiver.idle(&mut take);
                receiver.give_up(&mut take);
            }
            Arrival::Nothing => receiver.idle(&mut take),
            Arrival::End => is_over = true,
            Arrival::Failed(error) => {
                complain(&ttlog_read::text::escape::error_line(options.port.as_ref(), &error));
                console.outcome = console.outcome.max(Outcome::Partial);
                is_over = true;
            }
        }
        if is_over {
            receiver.finish(&mut take);
        }
        for what in received.drain(..) {
            console.take(what)?;
            if options.dumps.is_some_and(|dumps| console.dumps >= dumps) {
                return console.end(&receiver);
            }
        }
        console.out.flush()?;
        if is_over {
            return console.end(&receiver);
        }
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

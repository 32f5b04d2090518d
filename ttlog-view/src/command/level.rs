//! The command `level`: shows or changes what a running process records.
//!
//! The directives are checked first. The request is written to the control block of the ring, which the process has
//! mapped, and the service thread of the process answers there within a fraction of a second. Anyone who can write
//! the file can make a request: that is the user the process runs as.

use std::fs::File;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use clap::Args;
use ttlog_core::Filter;
use ttlog_core::ring::{CONTROL_TEXT_MAX, ControlAnswer, ControlCommand, ControlResult, EncodedRequest, RingImage};
use ttlog_read::source::find::{ProcessRing, find};
use ttlog_read::source::owner::with_owner;
use ttlog_read::source::process::{Liveness, state_of};
use ttlog_read::source::read_header;
use ttlog_read::text::escape::escaped;
use ttlog_read::text::time::{duration, since_ns};

use crate::terminal::{Outcome, complain};

/// Options of `level`.
#[derive(Args, Debug)]
pub struct Level {
    /// Process ID, or path of a ring (write ./123 for a file named 123)
    #[arg(value_name = "PID|RING")]
    pub target: String,
    /// New filter; without it, the current filter is shown
    #[arg(value_name = "DIRECTIVES")]
    pub directives: Option<String>,
}

/// Longest wait for an answer. A service thread checks for requests ten times a second.
const PATIENCE: Duration = Duration::from_secs(2);
/// Shortest wait for an answer, if earlier requests by others used up the time.
const GRACE: Duration = Duration::from_millis(500);
/// Interval between two checks for an answer.
const PERIOD: Duration = Duration::from_millis(10);
/// Longest time during which a request is written again, if other requesters overwrite it.
const PERSISTENCE: Duration = Duration::from_secs(5);

/// Reason why the level has not changed, as far as known.
#[derive(Debug, PartialEq, Eq)]
enum Refusal {
    /// The request was not made, or the process refused it.
    Refused(String),
    /// The request was made, but there was no answer.
    Unanswered(String),
}

impl From<String> for Refusal {
    fn from(line: String) -> Self {
        Refusal::Refused(line)
    }
}

/// Shows or changes the filter.
///
/// # Errors
/// Returns an error if writing to `out` fails.
pub fn run(options: &Level, out: &mut dyn Write) -> io::Result<Outcome> {
    let found = || find(&options.target).map_err(|error| Refusal::Refused(error.to_string()));
    let done = match &options.directives {
        None => found().and_then(|ring| present(&ring)),
        Some(directives) => check(directives).and_then(|()| found()).and_then(|ring| change(&ring, directives)),
    };
    match done {
        Ok(filter) => {
            writeln!(out, "{}", escaped(&filter))?;
            Ok(Outcome::Good)
        }
        Err(Refusal::Unanswered(line)) => {
            complain(&line);
            Ok(Outcome::Partial)
        }
        Err(Refusal::Refused(line)) => {
            complain(&line);
            Ok(Outcome::Failed)
        }
    }
}

/// Checks directives before a request is made, and shows where they are wrong.
fn check(directives: &str) -> Result<(), Refusal> {
    if let Err(error) = Filter::parse(directives) {
        let before = directives.get(..error.offset).unwrap_or(directives);
        let marker = format!("{:>width$}", "^", width = before.chars().count() + 1);
        return Err(Refusal::Refused(format!("{}\n  {}\n  {marker}", error.kind, escaped(directives))));
    }
    if ControlCommand::Level(directives).to_string().len() > CONTROL_TEXT_MAX {
        return Err(Refusal::Refused(format!("the directives are too long: a request has {CONTROL_TEXT_MAX} bytes")));
    }
    Ok(())
}

/// Returns the filter recorded in the ring.
fn present(ring: &ProcessRing) -> Result<String, Refusal> {
    let image = ring.image()?;
    let control = image.control().ok_or_else(|| no_control(&image))?;
    match control.filter {
        Some(filter) => Ok(filter.to_owned()),
        None => Err(format!("{}: the filter is not recorded in this ring", ring.name()).into()),
    }
}

fn no_control(image: &RingImage<'_>) -> String {
    let pid = image.process().unwrap_or_default().pid;
    format!(
        "process {pid} takes no requests: its ring has no control block (an older recorder, or one made for devices)"
    )
}

/// Asks the process to apply these directives, and returns the filter then in effect.
fn change(ring: &ProcessRing, directives: &str) -> Result<String, Refusal> {
    let image = ring.image()?;
    let process = image.process().unwrap_or_default();
    let pid = process.pid;
    let holder = ring.holder();
    match holder.liveness {
        Liveness::Running | Liveness::Elsewhere => {}
        Liveness::Gone => {
            return Err(format!("{}: process {pid} is gone and cannot answer", ring.name()).into());
        }
        Liveness::LetGo => {
            return Err(format!("{}: process {pid} does not use this ring (anymore)", ring.name()).into());
        }
        Liveness::Unknown => {
            let host = escaped(process.host);
            return Err(format!(
                "{}: cannot determine whether process {pid} on {host} is running; ask on its host",
                ring.name()
            )
            .into());
        }
    }
    if image.header().state & ttlog_core::ring::STATE_ENDED != 0 {
        return Err(format!("process {pid} has shut its recorder down").into());
    }
    if image.control().is_none() {
        return Err(no_control(&image).into());
    }
    let file = std::fs::OpenOptions::new().read(true).write(true).open(&ring.reach).map_err(|error| {
        let why = match error.kind() {
            io::ErrorKind::PermissionDenied => ": only the user that owns the ring may ask",
            _ => "",
        };
        format!("{}: {}{why}", ring.name(), with_owner(&ring.reach, error))
    })?;
    let text = ControlCommand::Level(directives).to_string();
    let deadline = Instant::now() + PATIENCE;
    let give_up = Instant::now() + PERSISTENCE;
    // Different for each requester, so that they do not overwrite each other over and over.
    let pause = PERIOD * (1 + std::process::id() % 8);
    while Instant::now() < give_up {
        let request = write_request(&file, &text, deadline).map_err(|error| format!("{}: {error}", ring.name()))?;
        let deadline = deadline.max(Instant::now() + GRACE);
        loop {
            let header = read_header(&file).map_err(|error| format!("{}: {error}", ring.name()))?;
            let control = RingImage::parse(&header).ok().and_then(|image| image.control());
            let Some(control) = control else { return Err(format!("{}: the ring is damaged", ring.name()).into()) };
            match control.answer_to(&request) {
                ControlAnswer::Answered(result) => {
                    return outcome(pid, result).map(|()| control.filter.unwrap_or(directives).to_owned());
                }
                ControlAnswer::Replaced => {
                    std::thread::sleep(pause);
                    break;
                }
                ControlAnswer::Waiting if Instant::now() >= deadline => {
                    return Err(unanswered(pid, holder.local_pid, &header));
                }
                ControlAnswer::Waiting => std::thread::sleep(PERIOD),
            }
        }
    }
    Err(Refusal::Unanswered(format!("other requests to process {pid} kept replacing this one; try again")))
}

/// Writes a request once the previous one was answered or has waited long enough.
fn write_request(file: &File, text: &str, deadline: Instant) -> io::Result<EncodedRequest> {
    loop {
        let header = read_header(file)?;
        let damaged = |what: &dyn std::fmt::Display| io::Error::new(io::ErrorKind::InvalidData, what.to_string());
        let image = RingImage::parse(&header).map_err(|error| damaged(&error))?;
        let control = image.control().ok_or_else(|| damaged(&"the control block is gone"))?;
        if control.request_number != control.acknowledged && Instant::now() < deadline {
            std::thread::sleep(PERIOD);
            continue;
        }
        let request = control.request(std::process::id(), text).map_err(|error| damaged(&error))?;
        for (offset, bytes) in request.writes() {
            write_at(file, bytes, offset)?;
        }
        return Ok(request);
    }
}

#[cfg(unix)]
fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, offset)
}

/// Fails: on these systems no recorder maps a file.
#[cfg(not(unix))]
fn write_at(_file: &File, _bytes: &[u8], _offset: u64) -> io::Result<()> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "processes cannot be asked on this system"))
}

fn outcome(pid: u64, result: ControlResult) -> Result<(), Refusal> {
    match result {
        ControlResult::Done => Ok(()),
        ControlResult::BadText => Err(format!("process {pid} does not understand these directives").into()),
        ControlResult::UnknownCommand => {
            Err(format!("process {pid} cannot change its level: its recorder is older").into())
        }
        ControlResult::Other(number) => {
            Err(format!("process {pid} answered with {number}, which this version does not know").into())
        }
    }
}

/// Reports that there was no answer, with the likely reason.
fn unanswered(pid: u64, local_pid: Option<u64>, header: &[u8]) -> Refusal {
    let beat = RingImage::parse(header).map_or(0, |image| image.header().heartbeat_unix_ns);
    let reason = match (local_pid.and_then(state_of), beat) {
        (Some('T' | 't'), _) => "it is stopped".to_owned(),
        (Some('D'), _) => "it waits for a device".to_owned(),
        (_, 0) => "it has no service thread".to_owned(),
        (_, beat) => format!("its service thread last ran {} ago", duration(since_ns(beat))),
    };
    let patience = PATIENCE.as_secs();
    Refusal::Unanswered(format!(
        "process {pid} did not answer within {patience} s: {reason}. \
         The request stays and takes effect once the process sees it"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives_are_checked_and_the_place_is_shown() {
        assert_eq!(check("info,my_crate::net=debug,other=off"), Ok(()));
        let Err(Refusal::Refused(line)) = check("info,net=loud") else { panic!("loud is no level") };
        assert!(line.contains("unknown level") && line.ends_with("\n  info,net=loud\n           ^"), "{line}");
        let Err(Refusal::Refused(line)) = check("info,\x1b[2J") else { panic!("no level") };
        assert!(!line.contains('\x1b'), "{line:?}");
        assert!(check(&format!("info,{}=info", "x".repeat(600))).is_err());
        // The longest filter allowed, but too long with the command word before it.
        let long = format!("{}=info", "x".repeat(512 - 5));
        assert!(Filter::parse(&long).is_ok() && check(&long).is_err());
    }
}

//! What the kernel sees of events: nothing, after the first of a thread.
//!
//! A child process runs under strace. It logs one event, makes a system call that is found again (`getppid`), logs many more,
//! and makes that call once more. Between the two the thread must have made no other.

use std::path::Path;
use std::process::{Command, Stdio};

use ttlog_std::Level;

use crate::cases::standard;
use crate::readback::check_single;
use crate::recorder::Recorder;
use crate::{Result, ensure, inputs};

/// The call by which the stretch is found.
const MARK: &str = "getppid(";

/// Counts the system calls of `events` events after the first, and prints that.
///
/// # Errors
/// When strace is missing, or when there was a call.
pub fn run(events: u64) -> Result<()> {
    let trace = std::env::temp_dir().join(format!("ttlog-benches-strace-{}", std::process::id()));
    let result = count(events, &trace);
    // It may not be there.
    let _ = std::fs::remove_file(&trace);
    let count = result?;
    ensure!(count == 0, "{events} events made {count} system calls");
    println!("{events} events after the first of their thread: 0 system calls");
    Ok(())
}

fn count(events: u64, trace: &Path) -> Result<usize> {
    let status = Command::new("strace")
        .args(["-f", "-o"])
        .arg(trace)
        .arg(std::env::current_exe()?)
        .args(["syscalls-case", "--events", &events.to_string()])
        .stdin(Stdio::null())
        .status()
        .map_err(|error| format!("cannot run strace (Debian: apt-get install strace): {error}"))?;
    ensure!(status.success(), "the child under strace: {status}");
    let text = std::fs::read_to_string(trace)?;
    calls_between_marks(&text)
}

/// Counts the calls of the marking thread between its two marks. A call during which another thread's line came in between has
/// a second line, which says that it was resumed.
fn calls_between_marks(text: &str) -> Result<usize> {
    let mut marks = text.lines().enumerate().filter(|(_, line)| line.contains(MARK));
    let (Some((from, line)), Some((to, _)), None) = (marks.next(), marks.next(), marks.next()) else {
        return Err("strace does not show two marks".into());
    };
    let thread = line.split_whitespace().next().unwrap_or_default();
    let between = text.lines().take(to).skip(from + 1);
    let of_thread = between.filter(|line| line.split_whitespace().next() == Some(thread));
    Ok(of_thread.filter(|line| !line.contains("<... ")).count())
}

/// What the child does.
///
/// # Errors
/// When the events are not accounted for.
pub fn child(events: u64) -> Result<()> {
    let case = standard();
    let recorder = Recorder::start(false, Level::Trace)?;
    let inputs = inputs::table(case.texts);
    (case.measured)(inputs, 0, 1);
    mark();
    (case.measured)(inputs, 1, events);
    mark();
    check_single(case, inputs, &recorder.image()?, 1 + events, 1000)?;
    recorder.end()
}

fn mark() {
    #[cfg(unix)]
    let _ = std::os::unix::process::parent_id(); // only the call matters
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_marking_thread_counts() {
        let text = "1 getppid( <unfinished ...>\n2 write(1)\n1 <... getppid resumed>) = 5\n1 brk(0)\n1 getppid() = 5\n1 write(1)\n";
        assert_eq!(calls_between_marks(text).unwrap(), 1);
        assert!(calls_between_marks("1 getppid() = 5\n").is_err());
    }
}

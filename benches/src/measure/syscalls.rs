//! System calls of events: after the first event of a thread, only those that ask for the thread's name, once per
//! segment.
//!
//! A child process runs under strace. Each of its threads logs one event, marks the start with a system call
//! (`getppid`), logs for some seconds, and marks the end with the same call. Between the marks it must make no other
//! call than that. The calls of the recorder's own thread are counted apart.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::check::readback::read;
use crate::error::{Result, ensure};
use crate::harness::recorder::{MeasuredRecorder, Setup};
use crate::harness::report;
use crate::workload::cases::standard;
use crate::workload::inputs;

/// The call that marks start and end.
const MARK: &str = "getppid(";
/// The call that asks for the name of a thread.
const ASK: &str = "prctl(PR_GET_NAME,";
/// Name of the recorder's thread.
const SERVICE_THREAD: &str = "\"ttlog\"";
/// Events between two looks at the time.
const BATCH: u64 = 100_000;

/// The report.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SyscallsLine {
    /// Threads that logged.
    pub threads: u64,
    /// Events of all threads, without the first of each.
    pub events: u64,
    /// System calls of these threads between their marks, without those that ask for a name.
    pub calls: u64,
    /// Calls that ask for the name of the thread.
    pub name_calls: u64,
    /// Seconds between the first and the last mark.
    pub seconds: f64,
    /// System calls of the recorder's thread in that time, by name.
    pub service_calls: BTreeMap<String, u64>,
}

/// The report of the child.
#[derive(Debug, Serialize, Deserialize)]
pub struct Logged {
    events: u64,
}

/// Least number of events per call that asks for a name: far fewer than a segment has.
const EVENTS_PER_NAME_MIN: u64 = 1000;

/// Counts the system calls of `threads` threads that log for `seconds` seconds, and prints the count.
///
/// # Errors
/// If strace is missing, or a thread made another call, or asked for its name too often.
pub fn run(threads: u64, seconds: u64, json: bool) -> Result<()> {
    let trace = std::env::temp_dir().join(format!("ttlog-benches-strace-{}", std::process::id()));
    let result = count(threads, seconds, &trace);
    // It may not exist.
    let _ = std::fs::remove_file(&trace);
    let line = result?;
    let SyscallsLine { events, calls, name_calls, .. } = line;
    ensure!(calls == 0, "{events} events made {calls} system calls");
    ensure!(name_calls <= events / EVENTS_PER_NAME_MIN, "{events} events asked {name_calls} times for a name");
    if json {
        return report::json(&line);
    }
    println!(
        "{} events of {threads} threads, after the first of each: 0 system calls, except {} that ask for a name, one \
         per segment",
        report::grouped(events),
        report::grouped(name_calls)
    );
    let service: u64 = line.service_calls.values().sum();
    let names: Vec<_> = line.service_calls.iter().map(|(name, count)| format!("{name} {count}")).collect();
    println!(
        "the recorder's own thread meanwhile: {service} in {:.1} s, {:.1} a second, {:.3} per million events ({})",
        line.seconds,
        service as f64 / line.seconds,
        service as f64 / (events as f64 / 1e6),
        names.join(", ")
    );
    Ok(())
}

fn count(threads: u64, seconds: u64, trace: &Path) -> Result<SyscallsLine> {
    let output = Command::new("strace")
        .args(["-f", "-ttt", "-o"])
        .arg(trace)
        .arg(std::env::current_exe()?)
        .args(["syscalls-case", "--threads", &threads.to_string(), "--seconds", &seconds.to_string()])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("cannot run strace (Debian: apt-get install strace): {error}"))?;
    ensure!(output.status.success(), "the child under strace: {}", output.status);
    let logged: Logged = serde_json::from_slice(&output.stdout)?;
    let text = std::fs::read_to_string(trace)?;
    let Stretch { threads: marked, calls, name_calls, seconds, service_calls } = between_marks(&text)?;
    ensure!(marked == threads, "strace shows the marks of {marked} threads");
    Ok(SyscallsLine { threads, events: logged.events, calls, name_calls, seconds, service_calls })
}

/// Counts between the marks.
#[derive(Debug, PartialEq)]
struct Stretch {
    threads: u64,
    calls: u64,
    name_calls: u64,
    seconds: f64,
    service_calls: BTreeMap<String, u64>,
}

/// Counts the calls of each marking thread between its two marks, and those of the recorder's thread between the first
/// and the last mark. A call that was interrupted by another thread's line has a second line, which says that it was
/// resumed.
fn between_marks(text: &str) -> Result<Stretch> {
    // Thread, time, call.
    let calls: Vec<(&str, f64, &str)> = text
        .lines()
        .filter(|line| !line.contains("<... "))
        .filter_map(|line| {
            let (thread, rest) = line.split_once(' ')?;
            let (time, call) = rest.trim_start().split_once(' ')?;
            Some((thread, time.parse().ok()?, call))
        })
        .collect();
    let mut marks: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (at, (thread, _, call)) in calls.iter().enumerate() {
        if call.starts_with(MARK) {
            marks.entry(thread).or_default().push(at);
        }
    }
    let (mut between, mut asked, mut first, mut last) = (0, 0, usize::MAX, 0);
    for (thread, marks) in &marks {
        let [from, to] = marks[..] else {
            return Err(format!("strace shows {} marks of {thread}", marks.len()).into());
        };
        let of_thread = calls[from + 1..to].iter().filter(|(by, ..)| by == thread);
        let (asking, others): (Vec<&_>, Vec<&_>) = of_thread.partition(|(.., call)| call.starts_with(ASK));
        (asked, between) = (asked + asking.len() as u64, between + others.len() as u64);
        (first, last) = (first.min(from), last.max(to));
    }
    ensure!(!marks.is_empty(), "strace shows no marks");
    let names_itself =
        |(_, _, call): &&(&str, f64, &str)| call.contains("PR_SET_NAME") && call.contains(SERVICE_THREAD);
    let (service, ..) = *calls.iter().find(names_itself).ok_or("strace does not show the recorder's thread")?;
    let mut service_calls = BTreeMap::new();
    for (_, _, call) in calls[first..last].iter().filter(|(by, ..)| *by == service) {
        *service_calls.entry(call.split('(').next().unwrap_or_default().to_owned()).or_insert(0) += 1;
    }
    let seconds = calls[last].1 - calls[first].1;
    Ok(Stretch { threads: marks.len() as u64, calls: between, name_calls: asked, seconds, service_calls })
}

/// The work of the child: its threads log.
///
/// # Errors
/// If the events are not accounted for.
pub fn child(threads: u64, seconds: u64) -> Result<Logged> {
    let case = standard();
    let recorder = MeasuredRecorder::start(Setup::default())?;
    let inputs = inputs::table(case.texts);
    // Excludes the work of the recorder's thread at its start.
    std::thread::sleep(Duration::from_millis(500));
    let work = || {
        (case.measured)(inputs, 0, 1);
        mark();
        let end = Instant::now() + Duration::from_secs(seconds);
        let mut logged = 0;
        while Instant::now() < end {
            (case.measured)(inputs, 1 + logged, BATCH);
            logged += BATCH;
        }
        mark();
        logged
    };
    let events = std::thread::scope(|scope| {
        let handles: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let logged = handles.into_iter().map(|handle| handle.join().map_err(|_| "a thread panicked"));
        logged.sum::<std::result::Result<u64, _>>()
    })?;
    read(&recorder.image()?, |_| Ok(()))?.must_account_for(threads + events)?;
    recorder.end()?;
    Ok(Logged { events })
}

fn mark() {
    #[cfg(unix)]
    let _ = std::os::unix::process::parent_id(); // only the call matters
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_are_told_apart() {
        let text = "7 1.0 prctl(PR_SET_NAME, \"ttlog\") = 0\n\
                    7 1.1 futex(0x1) = 0\n\
                    1 2.0 getppid( <unfinished ...>\n\
                    2 2.1 getppid() = 5\n\
                    7 2.2 futex(0x1) = 0\n\
                    1 2.3 <... getppid resumed>) = 5\n\
                    1 2.4 brk(0)\n\
                    1 2.4 prctl(PR_GET_NAME, \"one\") = 0\n\
                    7 2.5 futex(0x1 <unfinished ...>\n\
                    1 2.6 getppid() = 5\n\
                    1 2.7 write(1)\n\
                    2 4.5 getppid() = 5\n\
                    7 5.0 pread64(3) = 0\n";
        let found = between_marks(text).unwrap();
        let service_calls = BTreeMap::from([("futex".to_owned(), 2)]);
        assert_eq!(found, Stretch { threads: 2, calls: 1, name_calls: 1, seconds: 2.5, service_calls });
        assert!(between_marks("1 1.0 getppid() = 5\n").is_err(), "one mark");
        assert!(between_marks("").is_err(), "none");
    }
}

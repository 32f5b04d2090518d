//! How a process ended, in one sentence: from its end block, whether it was shut down, its panics, and whether it
//! still exists.

use ttlog_core::ring::{EndKind, Panics, ProcessEnd};
use ttlog_read::source::{Ending, Kind, Source};
use ttlog_read::text::escape::escaped;
use ttlog_read::text::number::counted;
use ttlog_read::text::time::TimeFormatter;
use ttlog_read::timeline::Timeline;

/// Returns one word for the end of a process, as used in JSON.
#[must_use]
pub fn word(ending: &Ending) -> &'static str {
    match ending {
        Ending::Running => "running",
        Ending::RunningElsewhere => "running_elsewhere",
        Ending::RanThen => "ran_then",
        Ending::LetGo => "let_go",
        Ending::Told(end) => match end.kind {
            EndKind::Signal => "signal",
            EndKind::Exit => "exit",
            EndKind::Other(_) | EndKind::Unfinished => "unfinished",
        },
        Ending::ShutDown => "shut_down",
        Ending::Silent => "silent",
        Ending::Unrecorded => "unrecorded",
        Ending::Unknown => "unknown",
    }
}

/// Returns a sentence about how the process of a source ended, as far as known.
#[must_use]
pub fn of_source(timeline: &Timeline<'_, '_>, source: usize, time: &mut TimeFormatter) -> Option<String> {
    let name = |context, id| Some(timeline.ring_of(source)?.thread_name(context, id)?.to_owned());
    sentence(&timeline.sources[source], time, &name)
}

/// Returns the sentence without a period; `None` if nothing is known. `thread_name` returns the name of the thread
/// with a context (0: unknown) and a system id (0: unknown).
#[must_use]
pub fn sentence(
    source: &Source<'_>,
    time: &mut TimeFormatter,
    thread_name: &dyn Fn(u32, u64) -> Option<String>,
) -> Option<String> {
    let ending = Ending::of(source);
    let mut text = match ending {
        Ending::Running => "is running".to_owned(),
        Ending::RunningElsewhere => "is running, in another pid namespace".to_owned(),
        Ending::RanThen => "was running when the snapshot was made".to_owned(),
        Ending::LetGo => "runs without this ring: it called exec, or this is a copy".to_owned(),
        Ending::Told(end) => {
            // The process is writing its core, is running its exit handlers, or has survived.
            let runs = matches!(source.kind, Kind::Ring(liveness) if liveness.is_running());
            let still = if runs { "still runs; " } else { "" };
            format!("{still}{}", told(source, &end, time, thread_name))
        }
        Ending::ShutDown => "shut down in good order".to_owned(),
        Ending::Silent => "gone without a word: SIGKILL, out of memory, _exit, exec or loss of power".to_owned(),
        Ending::Unrecorded => "gone; how is not recorded".to_owned(),
        Ending::Unknown => String::new(),
    };
    let Panics { count, last_ticks, last_os_thread_id } = source.life.panics;
    if count > 0 {
        if text.is_empty() {
            text.push_str("panicked");
        }
        text.push_str(&format!("; {}, the last", counted(count, "panic")));
        if count == 1 {
            text.truncate(text.len() - ", the last".len());
        }
        push_thread(&mut text, 0, last_os_thread_id, thread_name);
        if last_ticks != 0 {
            text.push_str(", ");
            time.push_clock(&mut text, source.scale.unix_ns(last_ticks));
        }
    }
    (!text.is_empty()).then_some(text)
}

fn told(
    source: &Source<'_>,
    end: &ProcessEnd,
    time: &mut TimeFormatter,
    thread_name: &dyn Fn(u32, u64) -> Option<String>,
) -> String {
    let mut text = if source.ended { "shut down in good order, then ended by " } else { "ended by " }.to_owned();
    match end.kind {
        EndKind::Signal => {
            text.push_str(&signal_name(end.signal, source.process.map_or("", |process| process.os)));
            if let Some(cause) = cause(end) {
                text.push_str(&format!(" ({cause})"));
            }
            if is_fault(end) {
                text.push_str(&format!(" at address {:#x}", end.address));
            }
        }
        EndKind::Exit if end.code == ProcessEnd::STATUS_UNKNOWN => text.push_str("exit()"),
        EndKind::Exit => text.push_str(&format!("exit({})", end.code)),
        EndKind::Other(_) | EndKind::Unfinished => {
            text.truncate(text.len() - "ended by ".len());
            text.push_str("was ending, and did not get to say how");
        }
    }
    push_thread(&mut text, end.context, end.os_thread_id.into(), thread_name);
    // A time that the process took from the wall clock is right without anchors.
    let at =
        if end.unix_ns != 0 { Some(end.unix_ns) } else { (end.ticks != 0).then(|| source.scale.unix_ns(end.ticks)) };
    if let Some(at) = at {
        text.push_str(", ");
        time.push_clock(&mut text, at);
    }
    text
}

fn push_thread(text: &mut String, context: u32, id: u64, thread_name: &dyn Fn(u32, u64) -> Option<String>) {
    let name = thread_name(context, id).filter(|name| !name.is_empty());
    if id == 0 && name.is_none() {
        return;
    }
    text.push_str(" in thread");
    if id != 0 {
        text.push_str(&format!(" {id}"));
    }
    if let Some(name) = name {
        text.push_str(&format!(" `{}`", escaped(&name)));
    }
}

/// Returns whether the processor, not a process, caused the signal, so that the address is meaningful.
fn is_fault(end: &ProcessEnd) -> bool {
    end.code > 0 && matches!(end.signal, 4 | 5 | 7 | 8 | 10 | 11)
}

/// Returns the meaning of the signal's code.
fn cause(end: &ProcessEnd) -> Option<String> {
    if end.code <= 0 {
        return match (end.sender_pid, end.code) {
            // SI_USER; a process that sends it to itself names itself.
            (0, 0) => Some(format!("sent from another pid namespace, by user {}", end.sender_uid)),
            // By the process itself.
            (0, _) => None,
            (pid, _) => Some(format!("sent by process {pid} of user {}", end.sender_uid)),
        };
    }
    // sigaction(2) of Linux; macOS uses the same numbers for these.
    let text = match (end.signal, end.code) {
        (11, 1) => "no memory there",
        (11, 2) => "no permission for that memory",
        (8, 1) => "integer division by zero",
        (8, 2) => "integer overflow",
        (7, 1) => "misaligned",
        (7, 2) => "no memory behind the mapping",
        (4, _) => "illegal instruction",
        _ => return None,
    };
    Some(text.to_owned())
}

/// Returns the name of a signal on the system that the ring was recorded on.
#[must_use]
pub fn signal_name(signal: u8, os: &str) -> String {
    // signal(7): most numbers are the same on all systems.
    let linux = os.is_empty() || os.starts_with("Linux");
    let name = match signal {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        5 => "SIGTRAP",
        6 => "SIGABRT",
        7 if linux => "SIGBUS",
        10 if !linux => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        12 if !linux => "SIGSYS",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        31 if linux => "SIGSYS",
        other => return format!("signal {other}"),
    };
    name.to_owned()
}

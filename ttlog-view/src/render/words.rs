//! Descriptions in words: sessions, losses, damage, steps of the clock, and open spans.

use ttlog_read::source::device::firmware::build_id_text;
use ttlog_read::source::{Damage, DeviceSession, Kind, Source};
use ttlog_read::span::Action;
use ttlog_read::text::escape::{LineBreaks, escaped, push_escaped};
use ttlog_read::text::number::grouped;
use ttlog_read::text::time::{TimeFormatter, duration};
use ttlog_read::timeline::{OpenSpan, Tally, Timeline};

use super::DROP_REASONS;

/// Returns the thread that was in an open span, or that it was idle.
pub(super) fn open_thread(timeline: &Timeline<'_, '_>, source: usize, open: &OpenSpan<'_, '_>) -> String {
    let Some(context) = open.context else {
        // Whoever is in it can have entered it before all that is retained.
        let life = open.span.life();
        let can_be_entered = life.start_is_lost() && life.entered_count == 0 && life.last_left.is_none();
        return if can_be_entered { "open" } else { "idle" }.to_owned();
    };
    let name = timeline.ring_of(source).and_then(|ring| ring.thread_name(context, 0, u64::MAX));
    let mut thread = String::new();
    push_context(&mut thread, name.unwrap_or_default(), context);
    thread
}

/// Stands for the context that is in an open span, if it is unknown: on a device, contexts have no numbers.
pub(super) const ENTERED: &str = "entered";

/// Returns a duration that is not negative in words.
pub(super) fn duration_ns(ns: i64) -> String {
    duration(ns.max(0).unsigned_abs())
}

/// Appends the effect of a record on its span.
pub(super) fn push_action(out: &mut String, action: Action) {
    match action {
        Action::Start { .. } => out.push_str(" start"),
        Action::Begin { .. } => out.push_str(" start, enter"),
        Action::Finish => out.push_str(" leave, end"),
        Action::Enter => out.push_str(" enter"),
        Action::Leave => out.push_str(" leave"),
        Action::End => out.push_str(" end"),
        Action::Repeat { .. } => out.push_str(" repeat"),
        Action::Update { follows: 0 } => out.push_str(" update"),
        Action::Update { follows } => out.push_str(&format!(" follows #{follows}")),
        Action::Mention => {}
    }
}

/// Describes a session: which one it is, its firmware, and why it began.
#[must_use]
pub fn session_text(source: &Source<'_>, session: &DeviceSession) -> String {
    let mut text = format!("boot {}", session.boot);
    if let Some(process) = source.process.filter(|process| !process.service.is_empty()) {
        text.push_str(&format!(" of {}", escaped(process.service)));
    }
    let build_id = source.process.map_or(&[][..], |process| process.build_id);
    text.push_str(&format!(", build {}", build_id_text(build_id)));
    if session.reset_reason != 0 {
        text.push_str(&format!(", reset reason {:#x}", session.reset_reason));
    }
    text
}

pub(super) fn push_context(out: &mut String, name: &str, context: u32) {
    if name.is_empty() {
        out.push('#');
        out.push_str(&context.to_string());
    } else {
        push_escaped(out, name, LineBreaks::Escape);
    }
}

/// Describes a step of the wall clock.
#[must_use]
pub fn clock_step(time: &mut TimeFormatter, expected_unix_ns: i64, unix_ns: i64) -> String {
    let delta = i128::from(unix_ns) - i128::from(expected_unix_ns);
    let seconds = delta.unsigned_abs() as f64 / 1e9;
    let mut text = if delta < 0 {
        format!("the wall clock was set back by {seconds:.3} s, from ")
    } else {
        format!("the wall clock went forward by {seconds:.3} s (it was set, or the machine slept), from ")
    };
    time.push_clock(&mut text, expected_unix_ns);
    text.push_str(" to ");
    time.push_clock(&mut text, unix_ns);
    text
}

/// Describes one place of damage in a line.
#[must_use]
pub fn damage_line(damage: &Damage) -> String {
    match damage.len_bytes {
        0 => format!("offset {}: {}", damage.offset, escaped(&damage.reason)),
        len => format!("offset {}, {} bytes: {}", damage.offset, grouped(len), escaped(&damage.reason)),
    }
}

/// Lists the losses of a source in words.
#[must_use]
pub fn losses(source: &Source<'_>, found: &Tally) -> Vec<String> {
    let mut lost = Vec::new();
    let mut add = |count: u64, what: &str| {
        if count > 0 {
            lost.push(format!("{} {what}", grouped(count)));
        }
    };
    if source.loss.priority_overwritten > 0 {
        let kept = grouped(source.loss.priority_overwritten);
        add(source.loss.overwritten, &format!("overwritten ({kept} of them warnings and errors)"));
    } else {
        add(source.loss.overwritten, "overwritten");
    }
    let age =
        if source.min_age_ns > 0 { format!(" (older than {})", duration(source.min_age_ns)) } else { String::new() };
    add(source.left_out, &format!("left out{age}"));
    for ((_, reason), count) in DROP_REASONS.iter().zip(source.loss.dropped) {
        add(count, &format!("dropped ({reason})"));
    }
    add(source.loss.suppressed, "suppressed");
    add(found.pending, "being written at the end");
    add(found.damaged_events, "lost to damage");
    add(source.changed_segments.into(), "segments overwritten while they were read");
    if matches!(source.kind, Kind::Snapshot { complete: false, .. }) {
        lost.push("cut off: the end of the snapshot is missing".to_owned());
    }
    lost
}

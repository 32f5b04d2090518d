//! Counts of events by level, target, callsite or field, and the sum of losses.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::io::{self, Write};

use ttlog_core::Level;
use ttlog_core::ring::{EndKind, ProcessEnd};
use ttlog_read::FieldValue;
use ttlog_read::query::{ByValue, Key};
use ttlog_read::source::device::firmware::build_id_text;
use ttlog_read::source::{Ending, Source};
use ttlog_read::text::escape::{LineBreaks, push_escaped};
use ttlog_read::text::number::{counted, grouped};
use ttlog_read::text::time::{TimeFormatter, TimeStyle, When};
use ttlog_read::timeline::{Entry, Event, Mark, Timeline};

use super::chunks::Chunks;
use super::ending::{self, signal_name};
use super::sink::EventSink;
use super::span::push_name;
use super::{DROP_REASONS, kind_name};
use crate::render::json::push_string;
use crate::render::span_list::push_open_spans;
use crate::render::words::losses;
use crate::terminal::times;

/// Placeholder for a key that an event does not have.
const NONE: &str = "-";

/// Counts of events by key.
#[derive(Debug, Default)]
pub struct Stats {
    groups: Vec<Group>,
    by_key: HashMap<String, usize>,
    /// Group for each source and callsite, if the callsite determines it.
    by_callsite: HashMap<(usize, u16), usize>,
    total: u64,
    scratch: String,
}

/// A key to count by, with its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupKey {
    /// Name as typed.
    pub name: String,
    /// Parsed key.
    pub key: Key,
}

/// Format of the counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatsForm {
    /// A table, and the losses of each source.
    Text {
        /// Time format.
        style: TimeStyle,
        /// Whether the losses are left out.
        quiet: bool,
    },
    /// One JSON object.
    Json,
    /// One JSON object per line.
    Ndjson,
}

/// Counts events and writes the counts at the end.
#[derive(Debug)]
pub struct StatsSink<'o> {
    stats: Stats,
    keys: Vec<GroupKey>,
    form: StatsForm,
    chunks: Chunks<'o>,
}

impl<'o> StatsSink<'o> {
    /// Creates a sink that writes to `out`.
    #[must_use]
    pub fn new(keys: Vec<GroupKey>, form: StatsForm, out: &'o mut dyn Write) -> Self {
        StatsSink { stats: Stats::default(), keys, form, chunks: Chunks::new(out) }
    }
}

impl EventSink for StatsSink<'_> {
    fn takes_unread(&mut self, timeline: &Timeline<'_, '_>, entry: &Entry) -> bool {
        self.stats.count_known(timeline, entry)
    }

    fn event(&mut self, event: &Event<'_, '_>) -> io::Result<()> {
        self.stats.count_event(event, &self.keys);
        Ok(())
    }

    fn end(&mut self, timeline: &Timeline<'_, '_>) -> io::Result<()> {
        self.stats.sort(&self.keys);
        let (stats, keys, text) = (&self.stats, &self.keys, &mut self.chunks.text);
        match self.form {
            StatsForm::Text { style, quiet } => {
                stats.push_text(text, keys, &mut times::formatter(style, 6));
                if !quiet {
                    push_losses(text, timeline, &mut times::formatter(style, 6));
                }
            }
            StatsForm::Json => {
                text.push_str(&format!("{{\"total\":{},\"groups\":[\n", stats.total));
                text.push_str(&stats.json_groups(keys).join(",\n"));
                text.push_str("\n],\"sources\":[\n");
                text.push_str(&json_sources(timeline).join(",\n"));
                text.push_str("\n],\"gaps\":[\n");
                text.push_str(&json_gaps(timeline).join(",\n"));
                text.push_str("\n],\"clock_steps\":[\n");
                text.push_str(&json_clock_steps(timeline).join(",\n"));
                text.push_str("\n]}\n");
            }
            StatsForm::Ndjson => {
                let lines = stats.json_groups(keys).into_iter().chain(json_sources(timeline));
                for line in lines.chain(json_gaps(timeline)).chain(json_clock_steps(timeline)) {
                    text.push_str(&line);
                    text.push('\n');
                }
            }
        }
        self.chunks.finish()
    }
}

#[derive(Debug)]
struct Group {
    key: Vec<String>,
    count: u64,
    first: Moment,
    last: Moment,
}

/// Time of an event.
#[derive(Clone, Copy, Debug)]
struct Moment {
    /// Position in the timeline.
    key: i64,
    /// Time of the event.
    when: When,
}

impl Moment {
    /// Moment of a group without events.
    const NONE: Moment = Moment { key: 0, when: When::Clock(0) };
}

/// Returns whether events of one callsite can differ in this key.
fn varies(key: &Key) -> bool {
    matches!(key, Key::Message | Key::Thread | Key::Context | Key::Field(_)) || key.concerns_spans()
}

impl Stats {
    /// Counts an entry whose group its callsite determines, if an event of that callsite was counted before.
    fn count_known(&mut self, timeline: &Timeline<'_, '_>, entry: &Entry) -> bool {
        let source = timeline.parts[entry.part as usize].source as usize;
        let group = self.by_callsite.get(&(source, entry.callsite)).copied();
        if let Some(group) = group {
            self.count(group, timeline.source_of(entry), entry);
        }
        group.is_some()
    }

    /// Counts an event.
    fn count_event(&mut self, event: &Event<'_, '_>, keys: &[GroupKey]) {
        let group = self.group_of(event, keys);
        if !keys.iter().any(|key| varies(&key.key)) {
            self.by_callsite.insert((event.source_index, event.entry.callsite), group);
        }
        self.count(group, event.source, &event.entry);
    }

    fn count(&mut self, group: usize, source: &Source<'_>, entry: &Entry) {
        let group = &mut self.groups[group];
        let known = entry.time_known || source.session.is_some();
        let when = if known { source.when(entry.ticks) } else { When::Clock(entry.key) };
        let moment = Moment { key: entry.key, when };
        if group.count == 0 {
            group.first = moment;
        }
        group.last = moment;
        group.count += 1;
        self.total += 1;
    }

    /// Sorts the groups by size, largest first, and those of one size by their keys.
    fn sort(&mut self, keys: &[GroupKey]) {
        let mut order: Vec<_> =
            self.groups.iter().enumerate().map(|(index, group)| (group.rank(keys), index)).collect();
        order.sort();
        let order: Vec<_> = order.into_iter().map(|(_, index)| index).collect();
        let mut groups: Vec<_> = std::mem::take(&mut self.groups).into_iter().map(Some).collect();
        self.groups = order.into_iter().filter_map(|index| groups[index].take()).collect();
        // They hold indexes of groups, and no more events come.
        self.by_key.clear();
        self.by_callsite.clear();
    }

    fn group_of(&mut self, event: &Event<'_, '_>, keys: &[GroupKey]) -> usize {
        let mut text = std::mem::take(&mut self.scratch);
        text.clear();
        let mut ends = Vec::with_capacity(keys.len());
        for key in keys {
            push_key(&mut text, event, &key.key);
            ends.push(text.len());
            text.push('\u{0}');
        }
        let group = match self.by_key.get(&text) {
            Some(group) => *group,
            None => {
                let mut start = 0;
                let mut key = Vec::with_capacity(ends.len());
                for end in ends {
                    key.push(text[start..end].to_owned());
                    start = end + 1;
                }
                self.groups.push(Group { key, count: 0, first: Moment::NONE, last: Moment::NONE });
                self.by_key.insert(text.clone(), self.groups.len() - 1);
                self.groups.len() - 1
            }
        };
        self.scratch = text;
        group
    }

    /// Appends a table.
    pub fn push_text(&self, out: &mut String, keys: &[GroupKey], time: &mut TimeFormatter) {
        let mut rows =
            vec![vec!["count".to_owned(), "share".into(), "per second".into(), "first".into(), "last".into()]];
        rows[0].extend(keys.iter().map(|key| cell(&key.name)));
        for group in &self.groups {
            let mut row = vec![grouped(group.count), format!("{:.1} %", self.share(group) * 100.0)];
            row.push(group.rate().map_or_else(|| NONE.to_owned(), |rate| format!("{rate:.1}")));
            for at in [group.first, group.last] {
                let mut text = String::new();
                time.push_when(&mut text, at.when);
                row.push(text);
            }
            row.extend(group.key.iter().map(|part| cell(part)));
            rows.push(row);
        }
        let columns = rows[0].len();
        let widths: Vec<usize> =
            (0..columns).map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)).collect();
        for row in &rows {
            let mut line = String::new();
            for (column, cell) in row.iter().enumerate() {
                // Numbers are right-aligned, text left-aligned.
                let width = widths[column];
                let cell = if column < 3 { format!("{cell:>width$}") } else { format!("{cell:<width$}") };
                line.push_str(&cell);
                line.push_str("  ");
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out.push_str(&format!("{} events in {} groups\n", grouped(self.total), grouped(self.groups.len() as u64)));
    }

    fn share(&self, group: &Group) -> f64 {
        group.count as f64 / self.total.max(1) as f64
    }

    /// Returns the groups as JSON objects.
    #[must_use]
    pub fn json_groups(&self, keys: &[GroupKey]) -> Vec<String> {
        let mut time = TimeFormatter::rfc3339();
        self.groups
            .iter()
            .map(|group| {
                let mut out = "{\"key\":{".to_owned();
                for (index, (key, part)) in keys.iter().zip(&group.key).enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    push_string(&mut out, &key.name);
                    out.push(':');
                    push_string(&mut out, part);
                }
                out.push_str(&format!("}},\"count\":{},\"share\":{:?},\"first\":\"", group.count, self.share(group)));
                time.push_when(&mut out, group.first.when);
                out.push_str("\",\"last\":\"");
                time.push_when(&mut out, group.last.when);
                out.push_str("\",\"per_second\":");
                out.push_str(&group.rate().map_or_else(|| "null".to_owned(), |rate| format!("{rate:?}")));
                out.push('}');
                out
            })
            .collect()
    }
}

/// Place of one part of a key: levels by severity, worst first, and everything else by value.
type PartRank<'g> = (Option<Reverse<Level>>, ByValue<'g>);

impl Group {
    /// Place of the group: by size, then by its key.
    fn rank(&self, keys: &[GroupKey]) -> (Reverse<u64>, Vec<PartRank<'_>>) {
        let level = |part: &str, key: &GroupKey| part.parse().ok().filter(|_| key.key == Key::Level).map(Reverse);
        let parts = self.key.iter().zip(keys);
        (Reverse(self.count), parts.map(|(part, key)| (level(part, key), ByValue::new(part))).collect())
    }

    /// Events per second between the first and the last.
    fn rate(&self) -> Option<f64> {
        let span_ns = i128::from(self.last.key) - i128::from(self.first.key);
        (self.count > 1 && span_ns > 0).then(|| (self.count - 1) as f64 * 1e9 / span_ns as f64)
    }
}

fn cell(text: &str) -> String {
    let mut out = String::new();
    push_escaped(&mut out, if text.is_empty() { "\"\"" } else { text }, LineBreaks::Escape);
    out
}

/// Appends the values that the path of a key leads to.
fn push_field(out: &mut String, event: &Event<'_, '_>, path: &str) {
    let found = event.callsite.and_then(|callsite| callsite.find_field(path));
    let value = found.and_then(|(index, path)| Some((event.values.get(index)?.as_ref()?, path)));
    if !value.is_some_and(|(value, path)| push_inside(out, value, path)) {
        out.push_str(NONE);
    }
}

/// Appends the values inside of a field's value that `path` leads to, and returns whether there are any.
fn push_inside(out: &mut String, value: &FieldValue<'_>, path: &str) -> bool {
    let start = out.len();
    value.visit(path, &mut |value| {
        out.push_str(if out.len() > start { ", " } else { "" });
        value.push_plain(out);
    })
}

fn push_key(out: &mut String, event: &Event<'_, '_>, key: &Key) {
    let process = event.source.process.unwrap_or_default();
    let info = event.callsite.map(|callsite| callsite.info);
    match (key, info) {
        (Key::Level, Some(info)) => out.push_str(info.level.as_str()),
        (Key::Target, Some(info)) => out.push_str(info.target),
        (Key::Template, Some(info)) => out.push_str(info.message),
        (Key::File, Some(info)) => out.push_str(info.file),
        (Key::Line, Some(info)) => out.push_str(&info.line.to_string()),
        (Key::Message, Some(_)) => event.push_message(out),
        (Key::Callsite, Some(info)) => {
            out.push_str(&format!("{} {}:{} {}", info.level, info.file, info.line, info.message));
        }
        (Key::Callsite, None) => out.push_str(&format!("callsite {}", event.entry.callsite)),
        (Key::Thread, _) => match event.thread {
            Some((name, _)) if !name.is_empty() => out.push_str(name),
            _ => out.push_str(&format!("#{}", event.entry.context)),
        },
        (Key::Context, _) => out.push_str(&event.entry.context.to_string()),
        (Key::Service, _) => out.push_str(process.service),
        (Key::Host, _) => out.push_str(process.host),
        (Key::Pid, _) => out.push_str(&process.pid.to_string()),
        (Key::Boot, _) => match event.source.session {
            Some(session) => out.push_str(&session.boot.to_string()),
            None => out.push_str(NONE),
        },
        (Key::Span, _) => push_names(out, event),
        (Key::SpanName, _) => match event.spans().last() {
            Some(span) => push_name(out, span),
            None => out.push_str(NONE),
        },
        (Key::SpanField(_), _) => push_span_field(out, event, key.span_field().unwrap_or_default()),
        (Key::TraceId, _) => out.push_str(event.trace_id().as_deref().unwrap_or(NONE)),
        (Key::Field(name), Some(_)) => push_field(out, event, name),
        (_, None) => out.push_str(NONE),
    }
}

/// Appends the names of the spans that an event is in, outermost first.
fn push_names(out: &mut String, event: &Event<'_, '_>) {
    let path = event.spans();
    for (index, span) in path.iter().enumerate() {
        out.push_str(if index > 0 { ":" } else { "" });
        push_name(out, span);
    }
    out.push_str(if path.is_empty() { NONE } else { "" });
}

/// Appends a field of the innermost span that has it.
fn push_span_field(out: &mut String, event: &Event<'_, '_>, name: &str) {
    let mut values = event.spans().into_iter().rev().filter_map(|span| span.find_field(name));
    if !values.any(|(value, path)| push_inside(out, &value, path)) {
        out.push_str(NONE);
    }
}

/// Appends the contents and losses of each source.
pub fn push_losses(out: &mut String, timeline: &Timeline<'_, '_>, time: &mut TimeFormatter) {
    for (index, (source, found)) in timeline.sources.iter().zip(&timeline.found).enumerate() {
        let lost = losses(source, found);
        let lost = if lost.is_empty() { "nothing lost".to_owned() } else { lost.join(", ") };
        let spans = match found.span_records {
            0 => String::new(),
            count => format!(" ({} of them records of spans)", grouped(count)),
        };
        out.push_str(&format!("{}: {} events read{spans}; {lost}", cell(source.path), grouped(found.events)));
        if let Some(ending) = ending::of_source(timeline, index, time) {
            out.push_str(&format!("; process: {ending}"));
        }
        out.push('\n');
    }
    let missing: u64 = timeline
        .marks
        .iter()
        .map(|(_, mark)| match mark {
            Mark::Gap { count, .. } => *count,
            Mark::CompleteFrom { .. } | Mark::ClockStep { .. } => 0,
        })
        .sum();
    if missing > 0 {
        out.push_str(&format!("{} missing in gaps between events of the same thread\n", counted(missing, "event")));
    }
}

/// Returns the contents and losses of each source as JSON objects.
#[must_use]
pub fn json_sources(timeline: &Timeline<'_, '_>) -> Vec<String> {
    let mut time = TimeFormatter::rfc3339();
    let sources = timeline.sources.iter().zip(&timeline.found).enumerate().map(|(index, (source, found))| {
        let mut out = "{\"source\":".to_owned();
        push_string(&mut out, source.path);
        out.push_str(&format!(",\"kind\":\"{}\",\"ring_id\":\"{:016x}\"", kind_name(source), source.ring_id));
        if let Some(session) = &source.session {
            let build_id = build_id_text(source.process.map_or(&[][..], |process| process.build_id));
            let (boot, reason) = (session.boot, session.reset_reason);
            out.push_str(&format!(",\"boot\":{boot},\"reset_reason\":{reason},\"build_id\":\"{build_id}\""));
        }
        if let Some(process) = &source.process {
            for (key, value) in [("service", process.service), ("host", process.host)] {
                out.push_str(&format!(",\"{key}\":"));
                push_string(&mut out, value);
            }
            out.push_str(&format!(",\"pid\":{}", process.pid));
        }
        out.push_str(&format!(
            ",\"retained\":{},\"in_other_sources\":{},\"overwritten\":{},\"dropped\":{{",
            found.events + found.duplicates,
            found.duplicates,
            source.loss.overwritten
        ));
        for (index, ((reason, _), count)) in DROP_REASONS.iter().zip(source.loss.dropped).enumerate() {
            out.push_str(&format!("{}\"{reason}\":{count}", if index > 0 { "," } else { "" }));
        }
        out.push_str(&format!(
            "}},\"suppressed\":{},\"priority_overwritten\":{},\"left_out\":{},\"being_written\":{},\"damaged_events\":{},\"damaged\":{}",
            source.loss.suppressed,
            source.loss.priority_overwritten,
            source.left_out,
            found.pending,
            found.damaged_events,
            found.is_damaged(source)
        ));
        let completeness =
            [("complete_from", source.complete_from), ("priority_complete_from", source.priority_complete_from)];
        for (name, ticks) in completeness {
            out.push_str(&format!(",\"{name}\":"));
            if ticks == 0 {
                out.push_str("null");
            } else {
                out.push('"');
                time.push_when(&mut out, source.when(ticks));
                out.push('"');
            }
        }
        if let Some(filter) = source.filter {
            out.push_str(",\"level\":");
            push_string(&mut out, filter);
        }
        if found.span_records > 0 {
            out.push_str(&format!(",\"span_records\":{}", found.span_records));
            push_open_spans(&mut out, timeline, index);
        }
        out.push_str(",\"process\":");
        push_ending(&mut out, timeline, index, &mut time);
        out.push('}');
        out
    });
    sources.collect()
}

/// Returns the gaps between events of one thread as JSON objects.
#[must_use]
pub fn json_gaps(timeline: &Timeline<'_, '_>) -> Vec<String> {
    let mut gaps = Vec::new();
    for (_, mark) in &timeline.marks {
        let Mark::Gap { ring, context, count, when } = mark else { continue };
        let ring = &timeline.rings[*ring];
        let mut out = "{\"gap_before\":\"".to_owned();
        TimeFormatter::rfc3339().push_when(&mut out, *when);
        let ring_id = ring.sources.first().map_or(0, |&source| timeline.sources[source].ring_id);
        out.push_str(&format!("\",\"ring_id\":\"{ring_id:016x}\",\"context\":{context},\"thread\":"));
        push_string(&mut out, ring.context(*context).map_or("", |context| context.name.as_str()));
        out.push_str(&format!(",\"missing\":{count}}}"));
        gaps.push(out);
    }
    gaps
}

/// Returns the steps of the wall clock as JSON objects.
#[must_use]
pub fn json_clock_steps(timeline: &Timeline<'_, '_>) -> Vec<String> {
    let mut steps = Vec::new();
    let mut time = TimeFormatter::rfc3339();
    for (_, mark) in &timeline.marks {
        let Mark::ClockStep { ring, expected_unix_ns, unix_ns } = mark else { continue };
        let ring = &timeline.rings[*ring];
        let ring_id = ring.sources.first().map_or(0, |&source| timeline.sources[source].ring_id);
        let mut out = format!(
            "{{\"clock_step\":{},\"ring_id\":\"{ring_id:016x}\",\"from\":\"",
            i128::from(*unix_ns) - i128::from(*expected_unix_ns)
        );
        time.push_clock(&mut out, *expected_unix_ns);
        out.push_str("\",\"to\":\"");
        time.push_clock(&mut out, *unix_ns);
        out.push_str("\"}");
        steps.push(out);
    }
    steps
}

/// Appends what is known about the end and the panics of a process as a JSON object.
fn push_ending(out: &mut String, timeline: &Timeline<'_, '_>, index: usize, time: &mut TimeFormatter) {
    let source = &timeline.sources[index];
    let how = Ending::of(source);
    out.push_str(&format!("{{\"state\":\"{}\",\"text\":", ending::word(&how)));
    push_string(out, &ending::of_source(timeline, index, time).unwrap_or_default());
    if let Ending::Told(end) = how {
        if end.kind == EndKind::Signal {
            out.push_str(",\"signal\":");
            push_string(out, &signal_name(end.signal, source.process.map_or("", |process| process.os)));
            out.push_str(&format!(
                ",\"signal_number\":{},\"code\":{},\"address\":{}",
                end.signal, end.code, end.address
            ));
        }
        if end.kind == EndKind::Exit && end.code != ProcessEnd::STATUS_UNKNOWN {
            out.push_str(&format!(",\"status\":{}", end.code));
        }
        out.push_str(&format!(",\"thread_id\":{},\"context\":{}", end.os_thread_id, end.context));
        out.push_str(&format!(
            ",\"unix_ns\":{},\"sender_pid\":{},\"sender_uid\":{}",
            end.unix_ns, end.sender_pid, end.sender_uid
        ));
    }
    out.push_str(&format!(",\"panics\":{}}}", source.life.panics.count));
}

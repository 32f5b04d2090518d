//! Lists of spans: as a tree with durations, and the open ones of a process as JSON.

use std::io::{self, Write};

use ttlog_read::span::State;
use ttlog_read::text::escape::{LineBreaks, push_escaped};
use ttlog_read::text::number::grouped;
use ttlog_read::text::time::{TimeFormatter, When};
use ttlog_read::timeline::{SpanNode, SpanTree, Timeline};

use super::chunks::Chunks;
use super::json::{push_member, push_number, push_path, push_span, push_string};
use super::span::PathStyle;
use super::style::{BAD, DIM, MARK};
use super::text::{OPEN_SHOWN, TextOptions};
use super::words::{ENTERED, duration_ns, open_thread};
use crate::terminal::times;

/// Deepest level that is indented.
const DEPTH_SHOWN: usize = 32;

/// Writes a tree of spans as a table.
///
/// # Errors
/// Returns an error if writing fails.
pub fn write_text(
    tree: &SpanTree<'_, '_>,
    timeline: &Timeline<'_, '_>,
    options: &TextOptions,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut chunks = Chunks::new(out);
    let mut table = Table {
        time: times::formatter(options.style, if options.verbose { 9 } else { 6 }),
        end: timeline.end.unwrap_or(0),
        path: options.path_style(),
        start_width: 0,
    };
    table.start_width = tree.nodes.iter().map(|node| table.start(node).chars().count()).max().unwrap_or(0).max(5);
    if !tree.nodes.is_empty() {
        let width = table.start_width;
        let columns = ["total", "busy", "idle", "entered"].map(|name| format!("{name:>WIDTH$}")).concat();
        chunks.text.push_str(&format!("{:<width$}{columns}  span\n", "start"));
    }
    for node in &tree.nodes {
        table.push(&mut chunks.text, node, timeline);
        chunks.write()?;
    }
    if !options.quiet {
        push_counts(&mut chunks.text, tree);
    }
    chunks.finish()
}

/// Width of a column of numbers.
const WIDTH: usize = 12;

/// Appends a line with the numbers of spans.
fn push_counts(out: &mut String, tree: &SpanTree<'_, '_>) {
    let shown: Vec<_> = tree.nodes.iter().filter(|node| node.is_match).collect();
    let count = |state: State| grouped(shown.iter().filter(|node| node.span.state() == state).count() as u64);
    let (of, open) = (grouped(tree.total as u64), count(State::Open));
    out.push_str(&format!("── {} of {of} spans shown, {open} of them open", grouped(shown.len() as u64)));
    if shown.iter().any(|node| node.span.state() == State::Unknown) {
        let unknown = count(State::Unknown);
        out.push_str(&format!(", and {unknown} whose end may be overwritten"));
    }
    out.push('\n');
}

struct Table {
    time: TimeFormatter,
    /// Time of the last event, from which relative times count.
    end: i64,
    path: PathStyle,
    start_width: usize,
}

impl Table {
    /// Returns the time of a start.
    fn start(&mut self, node: &SpanNode<'_, '_>) -> String {
        let mut text = String::new();
        let life = node.span.life();
        match node.span.started() {
            Some(when) => self.time.push(&mut text, when, self.end.saturating_sub(life.first), life.ticks.0),
            None => text.push_str("before"),
        }
        text
    }

    fn push(&mut self, out: &mut String, node: &SpanNode<'_, '_>, timeline: &Timeline<'_, '_>) {
        let (life, start) = (node.span.life(), self.start(node));
        let width = self.start_width;
        // Of a span whose start or enter is overwritten, the numbers are lower limits.
        let at_least = |ns: i64, is_partial: bool| format!("{}{}", if is_partial { "≥ " } else { "" }, duration_ns(ns));
        let (total, busy) = (node.span.total_ns(), node.span.busy_ns());
        let is_partial = life.start_is_lost() || life.state() == State::Unknown;
        let numbers = [
            at_least(total, is_partial),
            at_least(busy, is_partial || life.busy_is_partial),
            duration_ns(total - busy),
            grouped(life.entered_count),
        ];
        out.push_str(&format!("{start:<width$}{}  ", numbers.map(|number| format!("{number:>WIDTH$}")).concat()));
        out.push_str(&"  ".repeat(node.depth.min(DEPTH_SHOWN)));
        if node.depth > DEPTH_SHOWN {
            out.push_str(&format!("[level {}] ", node.depth));
        }
        self.path.push_path(out, &[node.span]);
        out.push_str(&format!(" #{}", node.span.id()));
        match node.span.state() {
            State::Ended => {}
            State::Open => self.push_state(out, BAD, &open_text(node, timeline)),
            State::Unknown => self.push_state(out, MARK, "end unknown"),
        }
        if !node.is_match {
            self.push_state(out, DIM, "(not selected)");
        }
        out.push('\n');
    }

    fn push_state(&self, out: &mut String, style: anstyle::Style, text: &str) {
        out.push_str("  ");
        if self.path.colored {
            out.push_str(&format!("{style}{text}{style:#}"));
        } else {
            out.push_str(text);
        }
    }
}

/// Returns who is in an open span.
fn open_text(node: &SpanNode<'_, '_>, timeline: &Timeline<'_, '_>) -> String {
    let threads = timeline.threads_inside(&node.span);
    if threads.is_empty() {
        return "open, idle".to_owned();
    }
    if threads.iter().all(|(context, _)| *context == 0) {
        return format!("open, {ENTERED}");
    }
    let mut text = "open, in ".to_owned();
    for (index, (context, name)) in threads.iter().enumerate().take(OPEN_SHOWN) {
        text.push_str(if index > 0 { ", " } else { "" });
        if name.is_empty() {
            text.push_str(&format!("#{context}"));
        } else {
            push_escaped(&mut text, name, LineBreaks::Escape);
        }
    }
    if threads.len() > OPEN_SHOWN {
        text.push_str(&format!(" and {} more", threads.len() - OPEN_SHOWN));
    }
    text
}

/// Writes a tree of spans as an array of JSON objects, or as one object per line.
///
/// # Errors
/// Returns an error if writing fails.
pub fn write_json(
    tree: &SpanTree<'_, '_>,
    timeline: &Timeline<'_, '_>,
    is_array: bool,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut chunks = Chunks::new(out);
    chunks.text.push_str(if is_array { "[" } else { "" });
    let mut time = TimeFormatter::rfc3339();
    for (index, node) in tree.nodes.iter().filter(|node| node.is_match).enumerate() {
        if is_array {
            chunks.text.push_str(if index > 0 { ",\n" } else { "\n" });
        }
        push_node(&mut chunks.text, node, timeline, &mut time);
        chunks.text.push_str(if is_array { "" } else { "\n" });
        chunks.write()?;
    }
    chunks.text.push_str(if is_array { "\n]\n" } else { "" });
    chunks.finish()
}

fn push_node(out: &mut String, node: &SpanNode<'_, '_>, timeline: &Timeline<'_, '_>, time: &mut TimeFormatter) {
    let (span, life) = (&node.span, node.span.life());
    out.push_str("{\"span_id\":");
    push_number(out, span.id());
    out.push_str(",\"parent\":");
    match life.parent {
        0 => out.push_str("null"),
        parent => push_number(out, parent),
    }
    out.push_str(",\"depth\":");
    push_number(out, node.depth);
    let state = match span.state() {
        State::Ended => "ended",
        State::Open => "open",
        State::Unknown => "unknown",
    };
    push_member(out, "state", state);
    out.push_str(",\"start\":");
    match span.started() {
        Some(when @ When::Clock(unix_ns)) => {
            out.push('"');
            time.push_when(out, when);
            out.push_str("\",\"start_unix_ns\":");
            push_number(out, unix_ns);
        }
        _ => out.push_str("null,\"start_unix_ns\":null"),
    }
    let (total, busy) = (span.total_ns(), span.busy_ns());
    for (name, number) in [("total_ns", total), ("busy_ns", busy), ("idle_ns", total - busy)] {
        out.push_str(&format!(",\"{name}\":{number}"));
    }
    let is_partial = life.start_is_lost() || life.busy_is_partial || life.state() == State::Unknown;
    out.push_str(&format!(",\"partial\":{is_partial},\"entered\":{},\"inside\":[", life.entered_count));
    for (index, (context, name)) in timeline.threads_inside(span).into_iter().enumerate() {
        out.push_str(if index > 0 { "," } else { "" });
        out.push_str(&format!("{{\"context\":{context},\"thread\":"));
        push_string(out, name);
        out.push('}');
    }
    out.push(']');
    if !life.follows.is_empty() {
        let follows: Vec<_> = life.follows.iter().map(u64::to_string).collect();
        out.push_str(&format!(",\"follows_from\":[{}]", follows.join(",")));
    }
    if let Some(trace) = span.trace_id() {
        push_member(out, "trace_id", &trace);
    }
    let ids = span.trace_ids();
    for (name, id) in [("remote_parent", ids.remote_parent), ("known_as", ids.known_as)] {
        if id != 0 {
            push_member(out, name, &format!("{id:016x}"));
        }
    }
    if let Some(callsite) = span.callsite() {
        push_member(out, "level", callsite.info.level.as_str());
        push_member(out, "target", callsite.info.target);
        push_member(out, "file", callsite.info.file);
        out.push_str(&format!(",\"line\":{}", callsite.info.line));
    }
    if let Some(source) = span.source() {
        if let Some(process) = &source.process {
            push_member(out, "service", process.service);
            push_member(out, "host", process.host);
            out.push_str(&format!(",\"pid\":{}", process.pid));
        }
        push_member(out, "source", source.path);
    }
    out.push_str(",\"span\":");
    push_span(out, span);
    out.push('}');
}

/// Appends the open spans that the process of a source was busy with, as a member `open_spans`.
pub(super) fn push_open_spans(out: &mut String, timeline: &Timeline<'_, '_>, source: usize) {
    let open = timeline.open_spans(source);
    out.push_str(&format!(",\"open_span_count\":{},\"open_spans\":[", open.len()));
    for (index, open) in open.iter().enumerate().take(OPEN_SHOWN) {
        out.push_str(if index > 0 { ",{" } else { "{" });
        out.push_str(&format!("\"span_id\":{},\"thread\":", open.span.id()));
        match open.context {
            Some(context) => {
                push_string(out, &open_thread(timeline, source, open));
                out.push_str(&format!(",\"context\":{context}"));
            }
            None => out.push_str("null"),
        }
        out.push_str(&format!(",\"since_ns\":{},\"total_ns\":{}", open.since_ns, open.span.total_ns()));
        push_path(out, &open.span.path());
        out.push('}');
    }
    out.push(']');
}

//! Events as lines for people, with the losses between them.

use std::io::{self, Write};

use anstyle::Style;
use ttlog_read::event::secrets::WITHHELD;
use ttlog_read::event::value::{FieldValue, push_hex};
use ttlog_read::source::{Ending, Kind};
use ttlog_read::span::Action;
use ttlog_read::text::escape::{LineBreaks, escaped, push_escaped};
use ttlog_read::text::number::grouped;
use ttlog_read::text::time::{TimeFormatter, TimeStyle};
use ttlog_read::timeline::{Event, Mark, OpenSpan, Timeline};

use super::chunks::Chunks;
use super::owner::{push_owner, push_ring, same_owners, several_rings};
use super::sink::EventSink;
use super::span::{PathCache, PathStyle};
use super::style::{BAD, DIM, KEY, MARK, style_of};
use super::words::{
    ENTERED, clock_step, damage_line, duration_ns, losses, open_thread, push_action, push_context, session_text,
};
use super::{ending, kind_name};
use crate::terminal::times;

/// Maximum number of damaged places listed above the events.
const DAMAGE_SHOWN: usize = 5;
/// Maximum number of open spans listed above the events.
pub(super) const OPEN_SHOWN: usize = 10;

/// Options of text output.
#[derive(Clone, Debug)]
pub struct TextOptions {
    /// Time format.
    pub style: TimeStyle,
    /// Whether the text is colored.
    pub colored: bool,
    /// Whether all details are shown.
    pub verbose: bool,
    /// Whether the lines about files, gaps and losses are left out.
    pub quiet: bool,
    /// Treatment of line breaks in values.
    pub breaks: LineBreaks,
    /// Whether records of spans are shown as events.
    pub span_records: bool,
    /// Width of the terminal in columns; `None`: the output is no terminal.
    pub columns: Option<usize>,
}

impl TextOptions {
    /// Returns how paths of spans are written: they take half of the terminal at most.
    pub(super) fn path_style(&self) -> PathStyle {
        let columns = self.columns.filter(|_| !self.verbose).map(|columns| (columns / 2).max(24));
        PathStyle { colored: self.colored, breaks: self.breaks, columns }
    }
}

/// Writes events as text.
#[derive(Debug)]
pub struct TextSink<'o> {
    renderer: TextRenderer,
    /// Number of events missing before the next one, and the contexts they are from: ring and context.
    missing: u64,
    contexts: Vec<(usize, u32)>,
    quiet: bool,
    /// Whether a final line says how many events were shown.
    has_total: bool,
    /// Whether records of spans are shown as events.
    has_span_records: bool,
    chunks: Chunks<'o>,
}

impl<'o> TextSink<'o> {
    /// Creates a sink that writes to `out`. If not all events were shown, a final line can say how many were.
    #[must_use]
    pub fn new(options: &TextOptions, timeline: &Timeline<'_, '_>, has_total: bool, out: &'o mut dyn Write) -> Self {
        let renderer = TextRenderer {
            time: times::formatter(options.style, if options.verbose { 9 } else { 6 }),
            colored: options.colored,
            verbose: options.verbose,
            breaks: options.breaks,
            path_style: options.path_style(),
            paths: PathCache::default(),
            several_rings: several_rings(timeline),
            same_owners: same_owners(timeline),
            message: String::new(),
            scratch: String::new(),
        };
        let (quiet, chunks) = (options.quiet, Chunks::new(out));
        TextSink {
            renderer,
            missing: 0,
            contexts: Vec::new(),
            quiet,
            has_total,
            has_span_records: options.span_records,
            chunks,
        }
    }

    /// Writes what is missing, if anything is.
    fn push_gap(&mut self, timeline: &Timeline<'_, '_>) {
        if !self.contexts.is_empty() {
            self.renderer.push_gap(&mut self.chunks.text, timeline, self.missing, &self.contexts);
            self.missing = 0;
            self.contexts.clear();
        }
    }
}

impl EventSink for TextSink<'_> {
    fn source(&mut self, timeline: &Timeline<'_, '_>, index: usize) -> io::Result<()> {
        if !self.quiet {
            self.renderer.push_source(&mut self.chunks.text, timeline, index);
        }
        Ok(())
    }

    fn mark(&mut self, timeline: &Timeline<'_, '_>, mark: &Mark) -> io::Result<()> {
        if self.quiet {
            return Ok(());
        }
        if let Mark::Gap { ring, context, count, .. } = mark {
            self.missing += count;
            if !self.contexts.contains(&(*ring, *context)) {
                self.contexts.push((*ring, *context));
            }
            return Ok(());
        }
        self.push_gap(timeline);
        self.renderer.push_mark(&mut self.chunks.text, timeline, mark);
        Ok(())
    }

    fn before_event(&mut self, timeline: &Timeline<'_, '_>) {
        self.push_gap(timeline);
    }

    fn event(&mut self, event: &Event<'_, '_>) -> io::Result<()> {
        self.renderer.push_event(&mut self.chunks.text, event);
        self.chunks.write()
    }

    fn end(&mut self, timeline: &Timeline<'_, '_>) -> io::Result<()> {
        self.push_gap(timeline);
        if self.has_total && !self.quiet {
            let read = timeline.found.iter().map(|found| found.events).sum::<u64>();
            let span_records = timeline.found.iter().map(|found| found.span_records).sum::<u64>();
            let of = if self.has_span_records { read } else { read - span_records };
            self.renderer.push_total(&mut self.chunks.text, timeline.entries.len(), of);
        }
        self.chunks.finish()
    }
}

#[derive(Debug)]
struct TextRenderer {
    /// Time format.
    time: TimeFormatter,
    /// Whether the text is colored.
    colored: bool,
    /// Whether all details are shown.
    verbose: bool,
    /// Treatment of line breaks in values.
    breaks: LineBreaks,
    /// How paths of spans are written.
    path_style: PathStyle,
    /// Paths that were written already.
    paths: PathCache,
    /// Whether each line names the process of its event.
    several_rings: bool,
    /// Whether two processes have the same service and id.
    same_owners: bool,
    /// Scratch buffer for messages.
    message: String,
    /// Scratch buffer for times.
    scratch: String,
}

impl TextRenderer {
    fn styled(&self, out: &mut String, style: Style, write: impl FnOnce(&mut String)) {
        use std::fmt::Write as _;
        if self.colored {
            _ = write!(out, "{style}"); // cannot fail on a String
            write(out);
            _ = write!(out, "{style:#}"); // as above
        } else {
            write(out);
        }
    }

    fn line(&self, out: &mut String, style: Style, text: &str) {
        self.styled(out, style, |out| out.push_str(text));
        out.push('\n');
    }

    /// Appends an event and a line break.
    fn push_event(&mut self, out: &mut String, event: &Event<'_, '_>) {
        let mut text = std::mem::take(&mut self.scratch);
        text.clear();
        self.time.push(&mut text, event.when, event.before_end_ns, event.entry.ticks);
        self.styled(out, DIM, |out| out.push_str(&text));
        self.scratch = text;
        // The time is approximate: the origin of the clock reading is lost.
        out.push_str(if event.entry.time_known { " " } else { "~" });
        match event.callsite {
            Some(callsite) => {
                let level = callsite.info.level;
                self.styled(out, style_of(level), |out| {
                    out.push_str(&"     "[level.as_str().len().min(5)..]);
                    out.push_str(level.as_str());
                });
            }
            None => self.styled(out, BAD, |out| out.push_str("    ?")),
        }
        // Devices do not record which thread logged an event.
        let tells_thread = event.source.session.is_none()
            || event.entry.context != 0
            || event.thread.is_some_and(|(name, _)| !name.is_empty());
        if tells_thread {
            out.push(' ');
            self.push_thread(out, event);
        } else if self.several_rings {
            out.push(' ');
            push_owner(out, event.source, self.same_owners);
        }
        if event.span_id != 0 {
            let style = self.path_style;
            out.push_str(self.paths.text(event, |path| {
                let mut text = String::new();
                if !path.is_empty() {
                    text.push(' ');
                    style.push_path(&mut text, path);
                    text.push(':');
                }
                text
            }));
        }
        if let Some(action) = event.span_action() {
            push_action(out, action);
            self.push_fields(out, event, |_, _| matches!(action, Action::Update { .. } | Action::Repeat { .. }));
            if let (true, Some(trace)) = (self.verbose, event.trace_id()) {
                out.push_str("  ");
                self.styled(out, KEY, |out| out.push_str("trace_id"));
                out.push_str(&format!("={trace}"));
            }
        } else if let Some(callsite) = event.callsite {
            out.push(' ');
            self.styled(out, DIM, |out| {
                push_escaped(out, callsite.info.target, LineBreaks::Escape);
                out.push(':');
            });
            self.message.clear();
            event.push_message(&mut self.message);
            if !self.message.is_empty() {
                out.push(' ');
                push_escaped(out, &self.message, self.breaks);
            }
            self.push_fields(out, event, |index, value| {
                self.verbose || !callsite.template.uses(index) || has_sources(value)
            });
        }
        if let Some(damage) = &event.damage {
            out.push_str("  ");
            self.styled(out, BAD, |out| {
                out.push_str("[damaged: ");
                out.push_str(damage);
                if event.payload_withheld {
                    out.push_str("; bytes ");
                    out.push_str(WITHHELD);
                } else {
                    out.push_str("; bytes 0x");
                    push_hex(out, event.payload);
                }
                out.push(']');
            });
        }
        if let (true, Some(callsite)) = (self.verbose, event.callsite) {
            out.push_str("  ");
            self.styled(out, DIM, |out| {
                out.push_str("at ");
                push_escaped(out, callsite.info.file, LineBreaks::Escape);
                out.push(':');
                out.push_str(&callsite.info.line.to_string());
            });
        }
        out.push('\n');
    }

    /// Appends the fields of an event that are to be shown.
    fn push_fields(&self, out: &mut String, event: &Event<'_, '_>, is_shown: impl Fn(usize, &FieldValue<'_>) -> bool) {
        let mut gap = "  ";
        for (_, name, value) in event.indexed_fields().filter(|(index, _, value)| is_shown(*index, value)) {
            out.push_str(std::mem::replace(&mut gap, " "));
            self.styled(out, KEY, |out| push_escaped(out, name, LineBreaks::Escape));
            out.push('=');
            value.push_shown(out, self.breaks);
        }
    }

    fn push_thread(&self, out: &mut String, event: &Event<'_, '_>) {
        if self.several_rings {
            push_owner(out, event.source, self.same_owners);
            out.push('/');
        }
        let name = event.thread.map_or("", |(name, _)| name);
        push_context(out, name, event.entry.context);
        if self.verbose && !name.is_empty() {
            out.push('#');
            out.push_str(&event.entry.context.to_string());
        }
        if let (true, Some((_, id @ 1..))) = (self.verbose, event.thread) {
            out.push('[');
            out.push_str(&id.to_string());
            out.push(']');
        }
    }

    /// Appends a mark between two events, unless it is a gap.
    fn push_mark(&mut self, out: &mut String, timeline: &Timeline<'_, '_>, mark: &Mark) {
        match mark {
            Mark::Gap { .. } => {} // several of them are one line
            Mark::ClockStep { expected_unix_ns, unix_ns, .. } => {
                let text = clock_step(&mut self.time, *expected_unix_ns, *unix_ns);
                self.line(out, MARK, &format!("──── {text} ────"));
            }
            Mark::CompleteFrom { ring, when, kept, overwritten, left_out } => {
                let first = timeline.rings[*ring].sources.first().map(|&source| &timeline.sources[source]);
                let two_classes = first.is_some_and(|source| source.priority_segment_count > 0);
                let mut text = if *kept { "──── warnings and errors " } else { "──── " }.to_owned();
                text.push_str("complete from ");
                self.time.push_when(&mut text, *when);
                if let (true, Some(source)) = (self.several_rings, first) {
                    text.push_str(" for ");
                    push_owner(&mut text, source, self.same_owners);
                }
                text.push_str(match (kept, two_classes) {
                    (true, _) => ": some before this line may be missing",
                    (false, true) => ": events below WARN before this line may be missing",
                    (false, false) => ": events before this line may be missing",
                });
                let mut why = Vec::new();
                why.extend(
                    overwritten
                        .filter(|count| *count > 0 || *left_out == 0)
                        .map(|count| format!("{} overwritten", grouped(count))),
                );
                why.extend((*left_out > 0).then(|| format!("{} left out", grouped(*left_out))));
                if !why.is_empty() {
                    text.push_str(&format!(" ({})", why.join(", ")));
                }
                text.push_str(" ────");
                self.line(out, MARK, &text);
            }
        }
    }

    fn push_gap(&self, out: &mut String, timeline: &Timeline<'_, '_>, missing: u64, contexts: &[(usize, u32)]) {
        let events = if missing == 1 { "event" } else { "events" };
        let text = match contexts {
            [] => return,
            [(ring, context)] => {
                let name = timeline.rings[*ring].context(*context).map_or("", |context| context.name.as_str());
                let mut thread = String::new();
                push_context(&mut thread, name, *context);
                format!("… {} {events} of thread {thread} missing …", grouped(missing))
            }
            several => format!("… {} {events} of {} threads missing …", grouped(missing), several.len()),
        };
        self.line(out, MARK, &text);
    }

    /// Appends the description and losses of a source.
    fn push_source(&mut self, out: &mut String, timeline: &Timeline<'_, '_>, index: usize) {
        let (source, found) = (&timeline.sources[index], &timeline.found[index]);
        let mut text = format!("── {}: ", escaped(source.path));
        match (&source.session, &source.process) {
            (Some(session), _) => text.push_str(&session_text(source, session)),
            (None, None) => text.push_str(kind_name(source)),
            (None, Some(process)) => {
                let (kind, service) = (kind_name(source), escaped(process.service));
                text.push_str(&format!("{kind} of {service} (pid {}", process.pid));
                if !process.host.is_empty() {
                    text.push_str(&format!(" on {}", escaped(process.host)));
                }
                if self.same_owners {
                    text.push_str(", ring ");
                    push_ring(&mut text, source);
                }
                text.push(')');
            }
        }
        // A snapshot made in memory, only to be shown, has no creation time to print.
        if let Kind::Snapshot { reason, created_unix_ns: created_unix_ns @ 1.., .. } = &source.kind {
            text.push_str(&format!(", reason {}, made ", escaped(reason)));
            self.time.push_clock(&mut text, *created_unix_ns);
        }
        text.push_str(&format!(": {} events", grouped(found.events)));
        if found.span_records > 0 {
            text.push_str(&format!(" ({} of them records of spans)", grouped(found.span_records)));
        }
        if found.duplicates > 0 {
            text.push_str(&format!(" and {} that another recording has too", grouped(found.duplicates)));
        }
        self.line(out, DIM, &text);
        let how = Ending::of(source);
        // The line above already says that it runs or ran.
        let says_more = !matches!(how, Ending::Running | Ending::RanThen) || source.life.panics.count > 0;
        if let Some(text) = ending::of_source(timeline, index, &mut self.time).filter(|_| says_more) {
            self.line(out, if how.is_bad() { BAD } else { DIM }, &format!("   process: {text}"));
        }
        self.push_open_spans(out, timeline, index, &how);
        let lost = losses(source, found);
        if !lost.is_empty() {
            self.line(out, if found.is_damaged(source) { BAD } else { MARK }, &format!("   {}", lost.join(", ")));
        }
        let damage: Vec<_> = source.damage.iter().chain(&found.damage).collect();
        for place in damage.iter().take(DAMAGE_SHOWN) {
            self.line(out, BAD, &format!("   damaged: {}", damage_line(place)));
        }
        if damage.len() > DAMAGE_SHOWN {
            let rest = damage.len() - DAMAGE_SHOWN;
            self.line(out, BAD, &format!("   and {rest} more places; see ttlog-view verify"));
        }
    }

    /// Appends the open spans that the process was busy with at the end.
    fn push_open_spans(&self, out: &mut String, timeline: &Timeline<'_, '_>, index: usize, how: &Ending) {
        let open = timeline.open_spans(index);
        if open.is_empty() {
            return;
        }
        let title = match how {
            Ending::Running | Ending::RunningElsewhere => "in the middle of, now:",
            Ending::RanThen => "in the middle of, when the snapshot was made:",
            _ => "in the middle of, at the end:",
        };
        self.line(out, if how.is_bad() { BAD } else { DIM }, &format!("   {title}"));
        let thread = |open: &OpenSpan<'_, '_>| match open.context {
            Some(0) => ENTERED.to_owned(),
            _ => open_thread(timeline, index, open),
        };
        let threads: Vec<_> = open.iter().take(OPEN_SHOWN).map(thread).collect();
        let width = threads.iter().map(|thread| thread.chars().count()).max().unwrap_or(0);
        for (open, thread) in open.iter().zip(threads) {
            out.push_str(&format!("   {thread:<width$}  "));
            let columns = self.path_style.columns.map(|columns| 2 * columns);
            PathStyle { columns, ..self.path_style }.push_path(out, &open.span.path());
            let (since, total) = (duration_ns(open.since_ns), duration_ns(open.span.total_ns()));
            let at_least = if open.span.life().start_is_lost() { "at least " } else { "" };
            self.line(out, DIM, &format!("  for {since}, open for {at_least}{total}"));
        }
        if open.len() > OPEN_SHOWN {
            let rest = grouped((open.len() - OPEN_SHOWN) as u64);
            self.line(out, DIM, &format!("   and {rest} more open spans; see ttlog-view --spans"));
        }
    }

    /// Appends a closing line if not everything was shown.
    fn push_total(&self, out: &mut String, shown: usize, read: u64) {
        if shown as u64 != read {
            self.line(out, DIM, &format!("── {} of {} events shown", grouped(shown as u64), grouped(read)));
        }
    }
}

/// Returns whether a value is an error of which the message shows only the outermost text.
fn has_sources(value: &FieldValue<'_>) -> bool {
    match value {
        FieldValue::Error(texts, _) => texts.len() > 1,
        FieldValue::Some(value) => has_sources(value),
        _ => false,
    }
}

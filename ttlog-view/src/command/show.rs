//! The command without a name: shows events.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use ttlog_read::event::secrets::Secrets;
use ttlog_read::query::{Filter, Keep, Key, Limits, Query, Selected, UnknownField};
use ttlog_read::source::device::load::Firmwares;
use ttlog_read::source::{Input, Inputs, Source};
use ttlog_read::text::escape::{LineBreaks, error_line};
use ttlog_read::text::number::grouped;
use ttlog_read::text::time::TimeStyle;
use ttlog_read::timeline::{ShownEvents, Timeline};

use super::options::{ColorChoice, SecretArgs, TimeChoice};
use crate::render::drive::drive;
use crate::render::json::JsonSink;
use crate::render::sink::EventSink;
use crate::render::span_list;
use crate::render::stats::{GroupKey, StatsForm, StatsSink};
use crate::render::text::{TextOptions, TextSink};
use crate::render::words::damage_line;
use crate::terminal::progress::ProgressLine;
use crate::terminal::times::report_zone;
use crate::terminal::width;
use crate::terminal::{Outcome, complain};

/// Inputs and options of the command that shows events.
#[derive(Args, Debug)]
pub struct View {
    /// Snapshots and rings in any mix, directories of them, or `-` for standard input; a file can hold several
    #[arg(required = true, value_name = "FILE|DIR|GLOB")]
    pub inputs: Vec<String>,
    /// Options of showing events.
    #[command(flatten)]
    pub show: Show,
}

/// Options of showing events.
#[derive(Args, Debug)]
pub struct Show {
    /// Show only events that match: 'level>=warn', 'bytes>1MiB and path~=/upload' (repeatable; all must match)
    ///
    /// Conditions are KEY=VALUE, or have !=, >, >=, <, <=, ~= (contains), ~~= (regular expression) or `in (A, B)`
    /// instead of =. They are joined by `and`, `or`, `not` and parentheses. KEY is a field, or level, target, message,
    /// thread, span, span.FIELD, trace_id and so on. `ttlog-view help filter` explains all of it.
    ///
    /// Values that do not compare, and fields that nothing has, are reported on standard error.
    #[arg(short, long = "filter", value_name = "FILTER")]
    pub filters: Vec<Filter>,

    /// Show the last N of the matching events
    #[arg(short = 'n', long, value_name = "N", conflicts_with = "head")]
    pub limit: Option<usize>,

    /// Show the first N of the matching events
    #[arg(long, value_name = "N")]
    pub head: Option<usize>,

    /// Show events from this time on: a date, a time of day, or both (local, or with a zone), -5s before the last
    /// event, or a time as it is shown
    ///
    /// A time stands for the whole unit of its last digit: --until 12:03 includes that minute. For devices, times are
    /// `boot 2 +1.5 s`.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub since: Option<String>,

    /// Show events up to this time (same forms as --since)
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub until: Option<String>,

    /// Show the time before the last event, such as 5s or 2m; same as --since -5s
    #[arg(long, value_name = "DURATION", conflicts_with = "since")]
    pub last: Option<String>,

    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,

    /// Time format in text output
    #[arg(long, value_enum, default_value_t = TimeChoice::Local)]
    pub time: TimeChoice,

    /// Same as --time utc
    #[arg(long, conflicts_with = "time")]
    pub utc: bool,

    /// When to color text
    #[arg(long, value_enum, default_value_t = ColorChoice::Auto, value_name = "WHEN")]
    pub color: ColorChoice,

    /// Also show the source location, nanoseconds, contexts, and fields that the message already shows
    #[arg(short, long)]
    pub verbose: bool,

    /// Omit the lines about files, gaps and losses
    #[arg(short, long)]
    pub quiet: bool,

    /// Write line breaks and tabs in messages and values unescaped; other control characters stay escaped
    #[arg(long)]
    pub raw: bool,

    /// Show events once per snapshot, even if several snapshots of one ring contain them
    #[arg(long)]
    pub duplicates: bool,

    /// Show spans instead of events, as a tree: how long each was open, busy (a thread was in it) and idle, and how
    /// often it was entered; open ones first
    ///
    /// Filters select spans by their own fields; --since and --until those that were open at any time between; --limit
    /// N takes open ones first, then the latest.
    #[arg(long, conflicts_with_all = ["stats", "span_records"])]
    pub spans: bool,

    /// Also show the records of spans, where one starts, is entered, left, updated or ends, as events
    #[arg(long)]
    pub span_records: bool,

    /// Count events instead of showing them
    #[arg(long)]
    pub stats: bool,

    /// Keys to count by, separated by commas: level, target, callsite, thread, span, span.FIELD, … or a field name
    #[arg(long, value_name = "KEY", value_delimiter = ',', value_parser = parse_key, requires = "stats")]
    pub group_by: Vec<GroupKey>,

    /// Options about secrets.
    #[command(flatten)]
    pub secrets: SecretArgs,

    /// Firmware ELF file or dictionary, for device recordings (repeatable)
    ///
    /// Each session of a device (from one start of its firmware to the next) records the build id of its firmware.
    /// Its events are shown with the names from the file with this build id, or without names if there is none.
    #[arg(long = "elf", visible_alias = "dictionary", value_name = "ELF|DICTIONARY")]
    pub firmware: Vec<PathBuf>,
}

fn parse_key(name: &str) -> Result<GroupKey, String> {
    let name = name.trim();
    if name.is_empty() {
        return Err("empty key".to_owned());
    }
    Ok(GroupKey { name: name.to_owned(), key: Key::from_name(name) })
}

/// Output format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// One line per event, for people
    Text,
    /// One JSON array of all events
    Json,
    /// One JSON object per line
    Ndjson,
}

/// Parsed options. Only this type reads them.
#[derive(Debug)]
pub struct Request {
    query: Query,
    secrets: Secrets,
    format: Format,
    /// Keys to count by, if events are counted.
    stats: Option<Vec<GroupKey>>,
    /// Whether spans are shown instead of events.
    spans: bool,
    text: TextOptions,
}

impl Request {
    /// Parses the options.
    ///
    /// # Errors
    /// Returns a message that says which option is wrong.
    pub fn new(options: &Show) -> Result<Self, String> {
        let style = if options.utc { TimeStyle::Utc } else { options.time.into() };
        let keep = match (options.limit, options.head) {
            (Some(count), _) => Keep::Last(count),
            (None, Some(count)) => Keep::First(count),
            (None, None) => Keep::All,
        };
        let by_level = || vec![GroupKey { name: "level".to_owned(), key: Key::Level }];
        let group_by = || if options.group_by.is_empty() { by_level() } else { options.group_by.clone() };
        Ok(Request {
            query: Query {
                filter: options.filters.iter().cloned().collect(),
                keep,
                limits: limits(options, style)?,
                duplicates: options.duplicates,
                span_records: options.span_records,
            },
            secrets: options.secrets.secrets(),
            format: options.format,
            stats: options.stats.then(group_by),
            spans: options.spans,
            text: TextOptions {
                style,
                colored: options.color.is_on(),
                verbose: options.verbose,
                quiet: options.quiet,
                breaks: if options.raw { LineBreaks::Keep } else { LineBreaks::Escape },
                span_records: options.span_records,
                columns: width::columns(),
            },
        })
    }

    /// Returns which secrets are withheld.
    #[must_use]
    pub fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// Complains of fields in conditions and groups that nothing in the sources has.
    fn complain_of_unknown_fields(&self, sources: &[Source<'_>]) {
        let conditions = self.query.filter.conditions().iter().map(|condition| &condition.key);
        let groups = self.stats.iter().flatten().map(|group| &group.key);
        let selected = match (self.spans, self.query.span_records) {
            (true, _) => Selected::Spans,
            (false, true) => Selected::Records,
            (false, false) => Selected::Events,
        };
        for unknown in UnknownField::find(conditions.chain(groups), sources, selected) {
            complain(&unknown.sentence());
        }
    }

    fn show_spans(&self, timeline: &Timeline<'_, '_>, out: &mut dyn Write) -> io::Result<()> {
        let tree = timeline.span_tree(&self.query);
        for line in tree.mismatches.sentences(self.query.filter.conditions()) {
            complain(&line);
        }
        match self.format {
            Format::Text => span_list::write_text(&tree, timeline, &self.text, out),
            format => span_list::write_json(&tree, timeline, format == Format::Json, out),
        }
    }

    fn sink<'o>(
        &self,
        timeline: &Timeline<'_, '_>,
        has_total: bool,
        out: &'o mut dyn Write,
    ) -> Box<dyn EventSink + 'o> {
        match (&self.stats, self.format) {
            (Some(keys), format) => {
                // Positions relative to the end or in ticks mean little in a table of counts.
                let style = if self.text.style == TimeStyle::Utc { TimeStyle::Utc } else { TimeStyle::Local };
                let form = match format {
                    Format::Text => StatsForm::Text { style, quiet: self.text.quiet },
                    Format::Json => StatsForm::Json,
                    Format::Ndjson => StatsForm::Ndjson,
                };
                Box::new(StatsSink::new(keys.clone(), form, out))
            }
            (None, Format::Text) => Box::new(TextSink::new(&self.text, timeline, has_total, out)),
            (None, format) => Box::new(JsonSink::new(format == Format::Json, out)),
        }
    }
}

fn limits(options: &Show, style: TimeStyle) -> Result<Limits, String> {
    let mut limits = if style == TimeStyle::Utc { Limits::utc() } else { Limits::local() };
    if style != TimeStyle::Utc && (options.since.is_some() || options.until.is_some()) {
        report_zone();
    }
    if let Some(since) = &options.since {
        limits = limits.since(since).map_err(|error| format!("--since: {error}"))?;
    }
    if let Some(last) = &options.last {
        limits = limits.last(last).map_err(|error| format!("--last: {error}"))?;
    }
    if let Some(until) = &options.until {
        limits = limits.until(until).map_err(|error| format!("--until: {error}"))?;
    }
    Ok(limits)
}

/// Shows the events that the options select.
///
/// # Errors
/// Returns an error if writing to `out` fails.
pub fn run(options: &View, out: &mut dyn Write) -> io::Result<Outcome> {
    let request = match Request::new(&options.show) {
        Ok(request) => request,
        Err(line) => {
            complain(&line);
            return Ok(Outcome::Failed);
        }
    };
    let firmwares = Firmwares::load(&options.show.firmware);
    let inputs = Inputs::read(&options.inputs, &firmwares);
    let errors = [inputs.errors, firmwares.errors, inputs.remarks].concat();
    let outcome = Outcome::from(inputs.usability);
    Ok(outcome.max(show(&inputs.read, errors, &request, None, out)?))
}

/// Shows the events of the inputs, after messages about inputs that could not be read. With `shown`, shows only
/// events not shown before.
///
/// # Errors
/// Returns an error if writing to `out` fails.
pub fn show(
    inputs: &[Input],
    mut errors: Vec<String>,
    request: &Request,
    shown: Option<&mut ShownEvents>,
    out: &mut dyn Write,
) -> io::Result<Outcome> {
    let mut sources = Vec::new();
    for input in inputs {
        match Source::with_secrets(input, &request.secrets) {
            Ok(source) => sources.push(source),
            Err(error) => errors.push(error_line(input.path.as_ref(), &error)),
        }
    }
    let mut outcome = if errors.is_empty() { Outcome::Good } else { Outcome::Partial };
    for line in &errors {
        complain(line);
    }
    if sources.is_empty() {
        return Ok(Outcome::Failed);
    }
    let mut progress = ProgressLine::new();
    let (mut timeline, news) = match shown {
        // Of events, only the times are needed.
        _ if request.spans => {
            let none = Query { keep: Keep::Last(0), duplicates: request.query.duplicates, ..Query::default() };
            (Timeline::read(&sources, &none, &mut progress), None)
        }
        None => (Timeline::read(&sources, &request.query, &mut progress), None),
        Some(shown) => {
            let everything = Query { keep: Keep::All, limits: Limits::default(), ..request.query.clone() };
            let mut timeline = Timeline::read(&sources, &everything, &mut progress);
            let news = shown.take(&mut timeline);
            let keep = if news.is_first { request.query.keep } else { Keep::All };
            timeline.narrow(&request.query.limits, keep);
            (timeline, Some(news))
        }
    };
    progress.finish();
    if timeline.sources.iter().zip(&timeline.found).any(|(source, found)| found.is_damaged(source)) {
        outcome = Outcome::Partial;
    }
    if timeline.overflow > 0 {
        let overflow = grouped(timeline.overflow);
        complain(&format!(
            "{overflow} events are left out because there are too many; use --limit, --filter or fewer files"
        ));
        outcome = Outcome::Partial;
    }
    for line in timeline.mismatches.sentences(request.query.filter.conditions()) {
        complain(&line);
    }
    if news.as_ref().is_none_or(|news| news.is_first) {
        request.complain_of_unknown_fields(&sources);
        request.query.limits.sentence(timeline.undated).iter().for_each(|line| complain(line));
    }
    if timeline.span_overflow > 0 {
        let overflow = grouped(timeline.span_overflow);
        complain(&format!("{overflow} records of spans are ignored because there are too many; use fewer files"));
        outcome = Outcome::Partial;
    }
    if request.format != Format::Text || request.stats.is_some() || request.spans {
        complain_of_damage(&timeline);
    }
    if request.spans {
        request.show_spans(&timeline, out)?;
        return Ok(outcome);
    }
    let mut sink = request.sink(&timeline, news.is_none(), out);
    drive(&mut timeline, &request.query, news.as_ref(), sink.as_mut())?;
    Ok(outcome)
}

fn complain_of_damage(timeline: &Timeline<'_, '_>) {
    for (source, found) in timeline.sources.iter().zip(&timeline.found) {
        for damage in source.damage.iter().chain(&found.damage) {
            complain(&error_line(source.path.as_ref(), &damage_line(damage)));
        }
    }
}

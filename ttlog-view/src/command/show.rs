//! Showing events: the command without a name.

use std::collections::{HashMap, HashSet};
use std::io::{self, IsTerminal as _, Write};

use jiff::tz::TimeZone;

use crate::command::cli::{ColorChoice, Format, GroupKey, Show, TimeStyle, View};
use crate::event::secrets::Secrets;
use crate::query::condition::Key;
use crate::render::json::JsonRenderer;
use crate::render::stats::{Stats, json_clock_steps, json_gaps, json_sources, push_losses};
use crate::render::text::{TextRenderer, damage_line};
use crate::render::{Event, is_damaged};
use crate::source::device::detect::unfold;
use crate::source::{Inputs, Source, shown};
use crate::terminal::progress::Progress;
use crate::terminal::{Outcome, complain};
use crate::text::escape::LineBreaks;
use crate::text::time::{TimeFormatter, TimeLimit, grouped, parse_duration};
use crate::timeline::{Keep, Mark, Place, Query, Range, Timeline};

/// How much text is gathered before it is written.
const CHUNK_LEN: usize = 1 << 15;

/// Shows what the options ask for.
///
/// # Errors
/// Those of writing to `out`.
pub fn run(options: &View, out: &mut dyn Write) -> io::Result<Outcome> {
    let (inputs, outcome) = unfold(Inputs::read(&options.inputs), &options.show.firmware);
    Ok(outcome.max(show(inputs, &options.show, None, out)?))
}

/// Shows the events of what was read; with `seen`, only those that it has not.
///
/// # Errors
/// Those of writing to `out`.
pub fn show(inputs: Inputs, options: &Show, seen: Option<&mut Seen>, out: &mut dyn Write) -> io::Result<Outcome> {
    let zone = if options.utc || options.time == TimeStyle::Utc { TimeZone::UTC } else { TimeZone::system() };
    let limits = match limits_of(options, &zone) {
        Ok(limits) => limits,
        Err(line) => {
            complain(&line);
            return Ok(Outcome::Failed);
        }
    };
    let secrets = Secrets::new(&options.secrets);
    let mut errors = inputs.errors;
    let mut sources = Vec::new();
    for input in &inputs.read {
        match Source::with_secrets(input, &secrets) {
            Ok(source) => sources.push(source),
            Err(error) => errors.push(shown(input.path.as_ref(), &error)),
        }
    }
    let mut outcome = if errors.is_empty() { Outcome::Good } else { Outcome::Partial };
    for line in &errors {
        complain(line);
    }
    if sources.is_empty() {
        return Ok(Outcome::Failed);
    }
    let (timeline, again) = match seen {
        None => (read_timeline(&sources, options, limits, &zone), None),
        Some(seen) => {
            let mut timeline = read_all(&sources, options);
            let again = seen.take(&mut timeline);
            let keep = if again.is_first { keep_of(options) } else { Keep::All };
            timeline.narrow(limits.resolve(timeline.end.unwrap_or(0), &zone), keep);
            (timeline, Some(again))
        }
    };
    if timeline.sources.iter().zip(&timeline.found).any(|(source, found)| is_damaged(source, found)) {
        outcome = Outcome::Partial;
    }
    if timeline.overflow > 0 {
        let overflow = grouped(timeline.overflow);
        complain(&format!("{overflow} events are left out, there are too many; use --limit, --filter or fewer files"));
        outcome = Outcome::Partial;
    }
    if options.format != Format::Text || options.stats {
        complain_of_damage(&timeline);
    }
    match (options.stats, options.format) {
        (true, format) => show_stats(timeline, options, format, out)?,
        (false, Format::Text) => show_text(timeline, options, limits, again.as_ref(), out)?,
        (false, format) => show_json(timeline, format, out)?,
    }
    Ok(outcome)
}

/// Which events were shown already, where the same ring is shown again and again.
#[derive(Debug, Default)]
pub struct Seen {
    /// By ring and segment: places of events.
    segments: HashMap<(u64, u64), HashSet<u16>>,
    /// Sources that were told of, by ring and session.
    sessions: HashSet<(u64, u32)>,
}

impl Seen {
    /// Leaves the events in the timeline that were not seen before, and takes note of them.
    fn take(&mut self, timeline: &mut Timeline<'_, '_>) -> Again {
        let is_first = self.sessions.is_empty();
        let new_sources = timeline.sources.iter().map(|source| self.is_new(source)).collect();
        let (sources, parts) = (timeline.sources, &timeline.parts);
        let segment = |part: &crate::timeline::PartRef| {
            let source = &sources[part.source as usize];
            (source.ring_id, source.parts[part.part as usize].sequence)
        };
        // What a ring does not hold any more cannot come again.
        let rings: HashSet<u64> = sources.iter().map(|source| source.ring_id).collect();
        let held: HashSet<(u64, u64)> = parts.iter().map(segment).collect();
        self.segments.retain(|key, _| held.contains(key) || !rings.contains(&key.0));
        timeline.entries.retain(|entry| {
            self.segments.entry(segment(&parts[entry.part as usize])).or_default().insert(entry.payload_offset)
        });
        Again { is_first, new_sources }
    }

    /// Tells whether a source is told of for the first time.
    fn is_new(&mut self, source: &Source<'_>) -> bool {
        self.sessions.insert((source.ring_id, source.session.map_or(0, |session| session.boot)))
    }
}

/// What is new where the same ring is shown again.
#[derive(Debug)]
struct Again {
    /// Whether nothing was shown before.
    is_first: bool,
    /// For each source whether it was not told of before.
    new_sources: Vec<bool>,
}

/// The limits in time, as typed.
#[derive(Clone, Copy, Debug, Default)]
struct Limits {
    since: Option<TimeLimit>,
    until: Option<TimeLimit>,
}

impl Limits {
    fn resolve(self, end: i64, zone: &TimeZone) -> Range {
        let mut range = Range::ALL;
        if let Some(since) = self.since {
            bounds(&mut range, since).0 = since.resolve(end, zone);
        }
        if let Some(until) = self.until {
            bounds(&mut range, until).1 = until.resolve(end, zone);
        }
        range
    }

    /// Tells whether the limits mean something only once the last event is known.
    fn depend_on_end(self) -> bool {
        [self.since, self.until].into_iter().flatten().any(|limit| !matches!(limit, TimeLimit::At(_)))
    }
}

/// A time of the clock limits what the clock showed; so long before the end, what really lay between.
fn bounds(range: &mut Range, limit: TimeLimit) -> &mut (i64, i64) {
    if matches!(limit, TimeLimit::BeforeEnd(_)) { &mut range.place } else { &mut range.clock }
}

fn limits_of(options: &Show, zone: &TimeZone) -> Result<Limits, String> {
    let parse = |name: &str, text: &Option<String>| match text {
        Some(text) => TimeLimit::parse(text, zone).map(Some).map_err(|error| format!("--{name}: {error}")),
        None => Ok(None),
    };
    let mut since = parse("since", &options.since)?;
    if let Some(last) = &options.last {
        since = Some(TimeLimit::BeforeEnd(parse_duration(last).map_err(|error| format!("--last: {error}"))?));
    }
    Ok(Limits { since, until: parse("until", &options.until)? })
}

fn read_timeline<'s, 'a>(
    sources: &'s [Source<'a>],
    options: &Show,
    limits: Limits,
    zone: &TimeZone,
) -> Timeline<'s, 'a> {
    let keep = keep_of(options);
    let mut progress = Progress::new();
    let late = limits.depend_on_end();
    let query = Query {
        conditions: &options.filters,
        keep: if late { Keep::All } else { keep },
        range: if late { Range::ALL } else { limits.resolve(0, zone) },
        duplicates: options.duplicates,
    };
    let mut timeline = Timeline::read(sources, &query, &mut progress);
    if let (true, Some(end)) = (late, timeline.end) {
        timeline.narrow(limits.resolve(end, zone), keep);
    }
    progress.finish();
    timeline
}

/// Reads all events that fulfil the conditions, whatever the limits.
fn read_all<'s, 'a>(sources: &'s [Source<'a>], options: &Show) -> Timeline<'s, 'a> {
    let query =
        Query { conditions: &options.filters, keep: Keep::All, range: Range::ALL, duplicates: options.duplicates };
    Timeline::read(sources, &query, &mut Progress::new())
}

fn keep_of(options: &Show) -> Keep {
    match (options.limit, options.head) {
        (Some(count), _) => Keep::Last(count),
        (None, Some(count)) => Keep::First(count),
        (None, None) => Keep::All,
    }
}

fn complain_of_damage(timeline: &Timeline<'_, '_>) {
    for (source, found) in timeline.sources.iter().zip(&timeline.found) {
        for damage in source.damage.iter().chain(&found.damage) {
            complain(&shown(source.path.as_ref(), &damage_line(damage)));
        }
    }
}

fn formatter(options: &Show) -> TimeFormatter {
    let style = if options.utc { TimeStyle::Utc } else { options.time };
    TimeFormatter::new(style, if options.verbose { 9 } else { 6 })
}

/// Tells whether the events are of more than one ring; sessions of a device share theirs.
fn several_rings(timeline: &Timeline<'_, '_>) -> bool {
    let session_of = |source: &Source<'_>| source.session.map(|_| source.ring_id);
    let first = timeline.sources.first().and_then(session_of);
    timeline.rings.len() > 1 && (first.is_none() || timeline.sources.iter().any(|source| session_of(source) != first))
}

/// Tells whether text on standard output is coloured.
pub(crate) fn use_colour(choice: ColorChoice) -> bool {
    match choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => {
            let stdout = io::stdout();
            stdout.is_terminal() && anstream::AutoStream::choice(&stdout) != anstream::ColorChoice::Never
        }
    }
}

fn show_text(
    mut timeline: Timeline<'_, '_>,
    options: &Show,
    limits: Limits,
    again: Option<&Again>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut renderer = TextRenderer {
        time: formatter(options),
        colour: use_colour(options.color),
        verbose: options.verbose,
        breaks: if options.raw { LineBreaks::Keep } else { LineBreaks::Escape },
        several_rings: several_rings(&timeline),
        message: String::new(),
        scratch: String::new(),
    };
    let mut text = String::with_capacity(2 * CHUNK_LEN);
    if !options.quiet {
        let is_told = |index: &usize| again.is_none_or(|again| again.new_sources[*index]);
        for index in (0..timeline.sources.len()).filter(is_told) {
            renderer.push_source(&mut text, &timeline, index);
        }
    }
    let is_repeated = again.is_some_and(|again| !again.is_first);
    let marks = if options.quiet || is_repeated { Vec::new() } else { std::mem::take(&mut timeline.marks) };
    let marks = marks_in_view(&marks, &timeline, options, limits);
    let mut next_mark = 0;
    let (mut scratch, mut payload) = (Vec::new(), Vec::new());
    for index in 0..timeline.entries.len() {
        let entry = timeline.entries[index];
        let place: Place = (entry.key, entry.part, entry.payload_offset);
        let due = marks[next_mark..].iter().take_while(|(at, _)| *at <= place).count();
        if due > 0 {
            let marks: Vec<&Mark> = marks[next_mark..next_mark + due].iter().map(|(_, mark)| mark).collect();
            renderer.push_marks(&mut text, &timeline, &marks);
            next_mark += due;
        }
        timeline.payload(&entry, &mut scratch, &mut payload);
        renderer.push_event(&mut text, &Event::read(&timeline, entry, &payload));
        write_chunk(&mut text, out)?;
    }
    let rest: Vec<&Mark> = marks[next_mark..].iter().map(|(_, mark)| mark).collect();
    renderer.push_marks(&mut text, &timeline, &rest);
    if !options.quiet && again.is_none() {
        let read = timeline.found.iter().map(|found| found.events).sum();
        renderer.push_total(&mut text, timeline.entries.len(), read);
    }
    out.write_all(text.as_bytes())
}

/// Gives the marks that stand between the events that are shown. Where the view was cut, those outside it say nothing.
fn marks_in_view<'m>(
    marks: &'m [(Place, Mark)],
    timeline: &Timeline<'_, '_>,
    options: &Show,
    limits: Limits,
) -> &'m [(Place, Mark)] {
    let place = |entry: &crate::timeline::Entry| (entry.key, entry.part, entry.payload_offset);
    let (first, last) = (timeline.entries.first().map(place), timeline.entries.last().map(place));
    let cut_front = options.limit.is_some() || limits.since.is_some();
    let cut_back = options.head.is_some() || limits.until.is_some();
    let from = match first {
        Some(first) if cut_front => marks.partition_point(|(at, _)| *at <= first),
        None if cut_front || cut_back => marks.len(),
        _ => 0,
    };
    let to = match last {
        Some(last) if cut_back => marks.partition_point(|(at, _)| *at <= last).max(from),
        _ => marks.len(),
    };
    &marks[from..to]
}

fn show_json(mut timeline: Timeline<'_, '_>, format: Format, out: &mut dyn Write) -> io::Result<()> {
    let mut renderer = JsonRenderer::new();
    let array = format == Format::Json;
    let mut text = String::with_capacity(2 * CHUNK_LEN);
    text.push_str(if array { "[" } else { "" });
    let (mut scratch, mut payload) = (Vec::new(), Vec::new());
    for index in 0..timeline.entries.len() {
        let entry = timeline.entries[index];
        match (array, index) {
            (true, 0) => text.push('\n'),
            (true, _) => text.push_str(",\n"),
            (false, _) => {}
        }
        timeline.payload(&entry, &mut scratch, &mut payload);
        renderer.push(&mut text, &Event::read(&timeline, entry, &payload));
        if !array {
            text.push('\n');
        }
        write_chunk(&mut text, out)?;
    }
    text.push_str(if array { "\n]\n" } else { "" });
    out.write_all(text.as_bytes())
}

fn show_stats(mut timeline: Timeline<'_, '_>, options: &Show, format: Format, out: &mut dyn Write) -> io::Result<()> {
    let by_level = [GroupKey { name: "level".to_owned(), key: Key::Level }];
    let keys = if options.group_by.is_empty() { &by_level[..] } else { &options.group_by };
    let stats = Stats::count(&mut timeline, keys);
    let mut text = String::new();
    match format {
        Format::Text => {
            // Positions relative to the end or in ticks say little in a table of counts.
            let style = if options.utc || options.time == TimeStyle::Utc { TimeStyle::Utc } else { TimeStyle::Local };
            stats.push_text(&mut text, keys, &mut TimeFormatter::new(style, 6));
            if !options.quiet {
                push_losses(&mut text, &timeline, &mut TimeFormatter::new(style, 6));
            }
        }
        Format::Json => {
            text.push_str(&format!("{{\"total\":{},\"groups\":[\n", stats.total()));
            text.push_str(&stats.json_groups(keys).join(",\n"));
            text.push_str("\n],\"sources\":[\n");
            text.push_str(&json_sources(&timeline).join(",\n"));
            text.push_str("\n],\"gaps\":[\n");
            text.push_str(&json_gaps(&timeline).join(",\n"));
            text.push_str("\n],\"clock_steps\":[\n");
            text.push_str(&json_clock_steps(&timeline).join(",\n"));
            text.push_str("\n]}\n");
        }
        Format::Ndjson => {
            let lines = stats.json_groups(keys).into_iter().chain(json_sources(&timeline));
            for line in lines.chain(json_gaps(&timeline)).chain(json_clock_steps(&timeline)) {
                text.push_str(&line);
                text.push('\n');
            }
        }
    }
    out.write_all(text.as_bytes())
}

fn write_chunk(text: &mut String, out: &mut dyn Write) -> io::Result<()> {
    if text.len() >= CHUNK_LEN {
        out.write_all(text.as_bytes())?;
        text.clear();
    }
    Ok(())
}

//! The command `verify`: reports what of each recording in a file is intact, what is lost, and why.

use std::io::{self, Write};
use std::path::Path;

use clap::Args;
use ttlog_read::query::{Keep, Query};
use ttlog_read::source::separate::{Piece, description, rest_description, separate};
use ttlog_read::source::{Input, Kind, Source, open, read, read_stdin};
use ttlog_read::text::escape::error_line;
use ttlog_read::text::escape::escaped;
use ttlog_read::text::number::grouped;
use ttlog_read::text::time::TimeStyle;
use ttlog_read::text::time::duration;
use ttlog_read::timeline::{Mark, Tally, Timeline};

use crate::render::words::{clock_step, damage_line, session_text};
use crate::render::{DROP_REASONS, ending, kind_name};
use crate::terminal::progress::ProgressLine;
use crate::terminal::times;
use crate::terminal::{Outcome, complain};

/// Options of `verify`.
#[derive(Args, Debug)]
pub struct Verify {
    /// Snapshots and rings, or `-` for standard input
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<String>,
}

/// Checks each file.
///
/// # Errors
/// Returns an error if writing to `out` fails.
pub fn run(options: &Verify, out: &mut dyn Write) -> io::Result<Outcome> {
    let mut worst = Outcome::Good;
    for name in &options.files {
        let read = if name == "-" { read_stdin() } else { open(Path::new(name)).and_then(|file| read(&file)) };
        let outcome = match read {
            Ok(bytes) => verify_all(Input::new(name.clone(), bytes), out)?,
            Err(error) => {
                complain(&error_line(name.as_ref(), &error));
                Outcome::Failed
            }
        };
        worst = worst.max(outcome);
    }
    Ok(worst)
}

/// Checks each recording of a file.
fn verify_all(input: Input, out: &mut dyn Write) -> io::Result<Outcome> {
    let path = escaped(&input.path);
    let pieces = separate(input);
    let is_whole = pieces.len() == 1;
    let mut worst = Outcome::Good;
    for piece in pieces {
        let left_out = match piece {
            Piece::Recording(input) => {
                worst = worst.max(verify(&input, out)?);
                continue;
            }
            Piece::Other(input) if is_whole => return verify(&input, out),
            Piece::Memory(_) => continue,
            Piece::Other(input) => description(&input),
            Piece::TooMany(input) => rest_description(&input),
        };
        writeln!(out, "{path}: DAMAGED: {left_out}")?;
        worst = worst.max(Outcome::Partial);
    }
    Ok(worst)
}

fn verify(input: &Input, out: &mut dyn Write) -> io::Result<Outcome> {
    let source = match Source::new(input) {
        Ok(source) => source,
        Err(error) => {
            writeln!(out, "{}: UNUSABLE: {error}", escaped(&input.path))?;
            return Ok(Outcome::Failed);
        }
    };
    let sources = [source];
    // Everything is read; nothing is retained.
    let query = Query { keep: Keep::First(0), duplicates: true, ..Query::default() };
    let mut progress = ProgressLine::new();
    let timeline = Timeline::read(&sources, &query, &mut progress);
    progress.finish();
    let (source, found) = (&timeline.sources[0], &timeline.found[0]);
    let outcome = match found.is_damaged(source) {
        false => Outcome::Good,
        true if found.events > 0 || source.entry_count > 0 => Outcome::Partial,
        true => Outcome::Failed,
    };
    let verdict = match outcome {
        Outcome::Good => "intact",
        Outcome::Partial => "DAMAGED, but usable",
        Outcome::Failed => "UNUSABLE: nothing in it can be read",
    };
    writeln!(out, "{}: {verdict}", escaped(source.path))?;
    write_what(out, source, &timeline)?;
    write_counts(out, source, found, &timeline)?;
    for damage in source.damage.iter().chain(&found.damage) {
        writeln!(out, "  damage: {}", damage_line(damage))?;
    }
    if matches!(source.kind, Kind::Snapshot { complete: false, .. }) {
        writeln!(
            out,
            "  damage: cut off at offset {}: the end of the snapshot is missing",
            source.offset + source.len_bytes
        )?;
    }
    Ok(outcome)
}

fn write_what(out: &mut dyn Write, source: &Source<'_>, timeline: &Timeline<'_, '_>) -> io::Result<()> {
    let mut time = times::formatter(TimeStyle::Local, 6);
    write!(
        out,
        "  what: {}, format version {}, {} bytes",
        kind_name(source),
        source.format_version,
        grouped(source.len_bytes)
    )?;
    writeln!(
        out,
        ", ring {:016x} of {} segments of {} bytes",
        source.ring_id, source.segment_count, source.segment_len
    )?;
    if let Kind::Snapshot { reason, created_unix_ns, .. } = &source.kind {
        let mut at = String::new();
        time.push_clock(&mut at, *created_unix_ns);
        writeln!(out, "  made: {at}, reason {}", escaped(reason))?;
    }
    match &source.process {
        _ if source.session.is_some() => {
            let session = source.session.as_ref().map(|session| session_text(source, session)).unwrap_or_default();
            writeln!(out, "  by: a device, {session}")?;
        }
        Some(process) => {
            let (service, host, executable) =
                (escaped(process.service), escaped(process.host), escaped(process.executable));
            let mut at = String::new();
            time.push_clock(&mut at, process.start_unix_ns);
            writeln!(out, "  by: {service}, pid {} on {host}, {executable}, recording since {at}", process.pid)?;
        }
        None => writeln!(out, "  by: unknown, there is no process item")?,
    }
    if let Some(ending) = ending::of_source(timeline, 0, &mut time) {
        writeln!(out, "  process: {ending}")?;
    }
    if let Some(filter) = source.filter {
        writeln!(out, "  level: {}", escaped(filter))?;
    }
    Ok(())
}

fn write_counts(
    out: &mut dyn Write,
    source: &Source<'_>,
    found: &Tally,
    timeline: &Timeline<'_, '_>,
) -> io::Result<()> {
    let callsites = source.callsites.iter().count();
    writeln!(
        out,
        "  read: {} table entries, {} of them callsites; {} segments",
        grouped(source.entry_count),
        grouped(callsites as u64),
        grouped(source.parts.len() as u64)
    )?;
    let dropped: Vec<_> = DROP_REASONS
        .iter()
        .zip(source.loss.dropped)
        .filter(|(_, count)| *count > 0)
        .map(|((_, reason), count)| format!("{} {reason}", grouped(count)))
        .collect();
    let dropped_why = if dropped.is_empty() { String::new() } else { format!(" ({})", dropped.join(", ")) };
    writeln!(
        out,
        "  events: {} retained, {} overwritten, {} dropped{dropped_why}, {} suppressed, \
         {} being written at the end, {} lost to damage",
        grouped(found.events),
        grouped(source.loss.overwritten),
        grouped(source.loss.dropped_total()),
        grouped(source.loss.suppressed),
        grouped(found.pending),
        grouped(found.damaged_events),
    )?;
    if source.changed_segments > 0 {
        writeln!(out, "  {} segments were overwritten while they were read", source.changed_segments)?;
    }
    if source.priority_segment_count > 0 {
        let kept = grouped(source.loss.priority_overwritten);
        writeln!(
            out,
            "  of those overwritten {kept} were warnings and errors, which have {} segments of their own",
            source.priority_segment_count
        )?;
    }
    if source.left_out > 0 {
        writeln!(
            out,
            "  {} left out of the snapshot, for they were older than {}",
            grouped(source.left_out),
            duration(source.min_age_ns)
        )?;
    }
    for (_, mark) in &timeline.marks {
        match mark {
            Mark::CompleteFrom { when, kept, .. } => {
                let mut at = String::new();
                times::formatter(TimeStyle::Local, 6).push_when(&mut at, *when);
                writeln!(out, "  {}complete from: {at}", if *kept { "warnings and errors " } else { "" })?;
            }
            Mark::ClockStep { expected_unix_ns, unix_ns, .. } => {
                let mut time = times::formatter(TimeStyle::Local, 6);
                writeln!(out, "  clock: {}", clock_step(&mut time, *expected_unix_ns, *unix_ns))?;
            }
            Mark::Gap { ring, context, count, .. } => {
                let name = timeline.rings[*ring].context(*context).map_or("", |context| context.name.as_str());
                writeln!(out, "  gap: {} events of context {context} {}", grouped(*count), escaped(name))?;
            }
        }
    }
    Ok(())
}

//! Passes a timeline to a sink: sources first, then events and the marks between them, in order.

use std::io;
use std::ops::Range;

use ttlog_read::query::Query;
use ttlog_read::timeline::{Entry, EventRoom, News, Timeline};

use super::sink::EventSink;

/// Passes a timeline to a sink. With `news`, only events not shown before.
///
/// # Errors
/// Returns the errors of the sink.
pub fn drive(
    timeline: &mut Timeline<'_, '_>,
    query: &Query,
    news: Option<&News>,
    sink: &mut dyn EventSink,
) -> io::Result<()> {
    for index in 0..timeline.sources.len() {
        if news.is_none_or(|news| news.new_sources[index]) {
            sink.source(timeline, index)?;
        }
    }
    let is_repeated = news.is_some_and(|news| !news.is_first);
    let mut marks = if is_repeated { 0..0 } else { marks_in_view(timeline, query) };
    let mut room = EventRoom::default();
    for index in 0..timeline.entries.len() {
        let entry = timeline.entries[index];
        while marks.start < marks.end && timeline.marks[marks.start].0 <= entry.place() {
            sink.mark(timeline, &timeline.marks[marks.start].1)?;
            marks.start += 1;
        }
        sink.before_event(timeline);
        if !sink.takes_unread(timeline, &entry) {
            sink.event(&timeline.event(&entry, &mut room))?;
        }
    }
    for (_, mark) in &timeline.marks[marks] {
        sink.mark(timeline, mark)?;
    }
    sink.end(timeline)
}

/// Finds the marks between the events that are shown. If the view was cut, marks outside it are left out.
fn marks_in_view(timeline: &Timeline<'_, '_>, query: &Query) -> Range<usize> {
    let marks = &timeline.marks;
    let (first, last) = (timeline.entries.first().map(Entry::place), timeline.entries.last().map(Entry::place));
    let (cut_start, cut_end) = (query.cuts_start(), query.cuts_end());
    let from = match first {
        Some(first) if cut_start => marks.partition_point(|(at, _)| *at <= first),
        None if cut_start || cut_end => marks.len(),
        _ => 0,
    };
    let to = match last {
        Some(last) if cut_end => marks.partition_point(|(at, _)| *at <= last).max(from),
        _ => marks.len(),
    };
    from..to
}

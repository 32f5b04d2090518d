//! Annotations between events: where events are missing, and where the wall clock was set.

use super::entry::Place;
use super::ring::RingView;
use crate::source::Source;
use crate::text::time::When;

/// An annotation shown between two events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mark {
    /// The ring's events are complete from here on.
    CompleteFrom {
        /// Index of the ring.
        ring: usize,
        /// Time from which they are complete.
        when: When,
        /// Whether this applies to warnings and errors, which have segments of their own; otherwise to all other
        /// events.
        kept: bool,
        /// Number of earlier events that were overwritten, if known.
        overwritten: Option<u64>,
        /// Number of earlier events that a snapshot left out.
        left_out: u64,
    },
    /// The wall clock was set, or continued while the recording clock stood still (the machine slept).
    ClockStep {
        /// Index of the ring.
        ring: usize,
        /// Expected wall-clock time, in nanoseconds since 1970.
        expected_unix_ns: i64,
        /// Actual wall-clock time, in nanoseconds since 1970.
        unix_ns: i64,
    },
    /// Events of a context are missing.
    Gap {
        /// Index of the ring.
        ring: usize,
        /// The context.
        context: u32,
        /// Number of missing events.
        count: u64,
        /// Time of the event after the gap.
        when: When,
    },
}

/// Finds all marks after the segments of all rings were read. `span` holds the places of the first and last event.
pub(super) fn find_marks(
    sources: &[Source<'_>],
    rings: &mut [RingView],
    span: Option<(i64, i64)>,
) -> Vec<(Place, Mark)> {
    let mut marks = Vec::new();
    find_gaps(sources, rings, &mut marks);
    find_complete_from(sources, rings, &mut marks);
    if let Some(span) = span {
        find_steps(sources, rings, span, &mut marks);
    }
    marks.sort_by_key(|(place, _)| *place);
    marks
}

/// Finds the places where the indexes of a context's events jump.
fn find_gaps(sources: &[Source<'_>], rings: &mut [RingView], marks: &mut Vec<(Place, Mark)>) {
    for (index, ring) in rings.iter_mut().enumerate() {
        let of = |&source: &usize| main_overwritten(&sources[source]).saturating_add(sources[source].left_out);
        let overwritten = ring.sources.iter().map(of).fold(0, u64::saturating_add);
        let mut runs = std::mem::take(&mut ring.runs);
        runs.sort_by_key(|run| (run.context, run.start));
        let mut previous: Option<(u32, u64)> = None;
        for run in &runs {
            let expected = match previous {
                Some((context, end)) if context == run.context => end,
                // Events missing before the first one were overwritten, if anything was.
                _ if overwritten > 0 => run.start,
                _ => 0,
            };
            if run.start > expected {
                // Events present but without a known index can be the missing ones.
                let context = ring.index_of(run.context);
                let unindexed = &mut ring.contexts[context].unindexed;
                let count = run.start - expected;
                let explained = count.min(*unindexed);
                *unindexed -= explained;
                if count > explained {
                    marks.push((
                        run.first,
                        Mark::Gap { ring: index, context: run.context, count: count - explained, when: run.first_when },
                    ));
                }
            }
            let end = run
                .start
                .saturating_add(run.count)
                .max(previous.map_or(0, |(context, end)| if context == run.context { end } else { 0 }));
            previous = Some((run.context, end));
        }
    }
}

/// Finds where each ring's events become complete, for both classes. Sources of one ring complement each other where
/// they overlap.
fn find_complete_from(sources: &[Source<'_>], rings: &[RingView], marks: &mut Vec<(Place, Mark)>) {
    for (index, ring) in rings.iter().enumerate() {
        for kept in [false, true] {
            let stretches = ring
                .sources
                .iter()
                .map(|&source| Stretch::of(&sources[source], kept, |ticks| ring.key(sources, ticks)));
            let mut stretches: Vec<_> = stretches.collect();
            stretches.sort_unstable_by_key(|stretch| (stretch.from, stretch.until));
            let mut covered: Option<i64> = None;
            for stretch in stretches {
                let first = covered.is_none();
                if covered.is_none_or(|covered| stretch.from > covered) && stretch.from != i64::MIN {
                    let mark = Mark::CompleteFrom {
                        ring: index,
                        when: stretch.when,
                        kept,
                        overwritten: first.then_some(stretch.overwritten),
                        left_out: if first { stretch.left_out } else { 0 },
                    };
                    marks.push(((stretch.from, u32::MAX, u16::MAX), mark));
                }
                covered = Some(covered.map_or(stretch.until, |covered| covered.max(stretch.until)));
            }
        }
    }
}

/// Returns the time from which a ring's events below the priority class are all there, up to the newest one.
pub(super) fn complete_from(sources: &[Source<'_>], ring: &RingView) -> i64 {
    let stretches =
        ring.sources.iter().map(|&source| Stretch::of(&sources[source], false, |ticks| ring.key(sources, ticks)));
    let mut stretches: Vec<_> = stretches.collect();
    stretches.sort_unstable_by_key(|stretch| std::cmp::Reverse(stretch.until));
    let mut from = None;
    for stretch in stretches {
        from = match from {
            Some(from) if stretch.until >= from => Some(stretch.from.min(from)),
            None => Some(stretch.from),
            from => from,
        };
    }
    from.unwrap_or(i64::MIN)
}

/// A stretch of time in which a source has every event of a class.
struct Stretch {
    from: i64,
    until: i64,
    /// Start of the stretch.
    when: When,
    overwritten: u64,
    left_out: u64,
}

impl Stretch {
    fn of(source: &Source<'_>, kept: bool, key: impl Fn(u64) -> i64) -> Self {
        let (from, overwritten, left_out) = if kept {
            (source.priority_complete_from, source.loss.priority_overwritten, 0)
        } else {
            (source.complete_from, main_overwritten(source), source.left_out)
        };
        Stretch {
            from: if from == 0 { i64::MIN } else { key(from) },
            until: source.taken_at.map_or(i64::MAX, key),
            when: source.when(from),
            overwritten,
            left_out,
        }
    }
}

/// Returns the number of overwritten events outside the priority class.
fn main_overwritten(source: &Source<'_>) -> u64 {
    source.loss.overwritten.saturating_sub(source.loss.priority_overwritten)
}

/// Steps of one host's clock that are this near to each other in time and in length are the same step.
const SAME_STEP_NS: (u64, u64) = (2_000_000_000, 20_000_000);

/// Finds the places where the wall clock was set, within the range of the events.
fn find_steps(sources: &[Source<'_>], rings: &[RingView], (start, end): (i64, i64), marks: &mut Vec<(Place, Mark)>) {
    let mut steps: Vec<(i64, Mark, &str)> = Vec::new();
    for (index, ring) in rings.iter().enumerate() {
        let source = &sources[ring.newest];
        let host = source.process.map_or("", |process| process.host);
        for step in source.scale.steps() {
            let place = ring.key(sources, step.ticks);
            if (start..=end).contains(&place) {
                let (expected_unix_ns, unix_ns) = (step.expected_unix_ns, step.unix_ns);
                steps.push((place, Mark::ClockStep { ring: index, expected_unix_ns, unix_ns }, host));
            }
        }
    }
    steps.sort_by_key(|(place, ..)| *place);
    // Each recorder on the host saw the step.
    let delta = |mark: &Mark| match mark {
        Mark::ClockStep { expected_unix_ns, unix_ns, .. } => unix_ns.saturating_sub(*expected_unix_ns),
        _ => 0,
    };
    steps.dedup_by(|later, earlier| {
        later.2 == earlier.2
            && later.0.abs_diff(earlier.0) < SAME_STEP_NS.0
            && delta(&later.1).abs_diff(delta(&earlier.1)) < SAME_STEP_NS.1
    });
    marks.extend(steps.into_iter().map(|(place, mark, _)| ((place, 0, 0), mark)));
}

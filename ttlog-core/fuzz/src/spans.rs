//! A second fold of span records: for each span and each moment it goes through all records again, so it has neither
//! state to get wrong nor an index. Slow, so for short lists.

use std::collections::{BTreeMap, BTreeSet};

use ttlog_read::span::{Action, Span, SpanRecord, Spans, State};

/// Most spans that a context is in, and most enters of a span without a leave, that a reader must keep.
const INSIDE_MAX: usize = 1024;

/// An enter that no leave has undone.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Inside {
    context: u32,
    span: u64,
}

/// The records so far, as they are at one moment.
#[derive(Debug, Default)]
struct Moment {
    /// Enters in their order. Each list is bounded alone, so they are kept apart: by span, and by context.
    by_span: Vec<Inside>,
    by_context: Vec<Inside>,
}

impl Moment {
    fn enter(&mut self, entered: Inside) {
        push(&mut self.by_span, entered, |inside| inside.span == entered.span);
        push(&mut self.by_context, entered, |inside| inside.context == entered.context);
    }

    /// Returns the context that has left the span: this one, else the one that entered last, else none.
    fn leave(&mut self, leaving: Inside) -> Option<u32> {
        let own = self.by_span.iter().rposition(|inside| *inside == leaving);
        let position = own.or_else(|| self.by_span.iter().rposition(|inside| inside.span == leaving.span));
        let left = position.map(|position| self.by_span.remove(position).context);
        let from = Inside { context: left.unwrap_or(leaving.context), ..leaving };
        if let Some(position) = self.by_context.iter().rposition(|inside| *inside == from) {
            self.by_context.remove(position);
        }
        left
    }

    fn innermost(&self, context: u32) -> u64 {
        self.by_context.iter().rfind(|inside| inside.context == context).map_or(0, |inside| inside.span)
    }

    fn is_inside(&self, span: u64) -> bool {
        self.by_span.iter().any(|inside| inside.span == span)
    }
}

fn push(list: &mut Vec<Inside>, entered: Inside, is_same: impl Fn(&Inside) -> bool) {
    if list.iter().filter(|inside| is_same(inside)).count() == INSIDE_MAX {
        let oldest = list.iter().position(is_same).expect("counted");
        list.remove(oldest);
    }
    list.push(entered);
}

/// A span, by the records alone.
#[derive(Debug, Default, PartialEq)]
struct Life {
    start: Option<usize>,
    start_is_repeated: bool,
    parent: u64,
    updates: Vec<usize>,
    follows: Vec<u64>,
    ended: Option<i64>,
    entered_count: u64,
    last_entered: Option<i64>,
    last_left: Option<i64>,
    inside: Vec<u32>,
    has_moved: bool,
    busy_is_partial: bool,
    /// Times at which somebody began to be in it, and at which nobody was any more.
    busy: Vec<(i64, Option<i64>)>,
}

impl Life {
    fn of(id: u64, records: &[SpanRecord<usize>]) -> Life {
        let (mut life, mut moment, mut entered_by) = (Life::default(), Moment::default(), None);
        // 0 is the id of no span.
        for record in records.iter().filter(|record| record.span != 0) {
            let (here, at) = (Inside { context: record.context, span: record.span }, record.at);
            let is_own = record.span == id;
            let current = moment.innermost(record.context);
            match record.action {
                Action::Start { parent } | Action::Begin { parent }
                    if is_own && (life.start.is_none() || life.start_is_repeated) =>
                {
                    (life.start, life.parent) = (Some(record.entry), parent.unwrap_or(current));
                    life.start_is_repeated = false;
                }
                Action::Repeat { parent } if is_own && life.start.is_none() => {
                    (life.start, life.parent, life.start_is_repeated) = (Some(record.entry), parent, true);
                }
                Action::Update { follows } if is_own => {
                    life.updates.push(record.entry);
                    life.follows.extend(Some(follows).filter(|follows| *follows != 0));
                }
                _ => {}
            }
            match record.action {
                Action::Begin { .. } | Action::Enter => {
                    if is_own {
                        if !moment.is_inside(id) {
                            life.busy.push((at, None));
                        }
                        life.entered_count += 1;
                        life.last_entered = Some(at);
                        // 0 is the context of records whose thread is unknown.
                        life.has_moved |= entered_by.is_some_and(|by| by != 0 && by != record.context);
                        entered_by = Some(record.context);
                    }
                    moment.enter(here);
                }
                Action::Leave | Action::Finish => {
                    let left = moment.leave(here);
                    if is_own {
                        life.busy_is_partial |= left.is_none();
                        if !moment.is_inside(id) {
                            life.last_left = Some(at);
                            if let Some((_, until @ None)) = life.busy.last_mut() {
                                *until = Some(at);
                            }
                        }
                    }
                }
                _ => {}
            }
            if is_own && matches!(record.action, Action::End | Action::Finish) {
                life.ended = life.ended.or(Some(at));
            }
        }
        let own = moment.by_span.into_iter().filter(|inside| inside.span == id);
        life.inside = own.map(|inside| inside.context).collect();
        life
    }

    fn assert_same(&self, span: &Span<usize>) {
        let folded = Life {
            start: span.start,
            start_is_repeated: span.start_is_repeated,
            parent: span.parent,
            updates: span.updates.clone(),
            follows: span.follows.clone(),
            ended: span.ended,
            entered_count: span.entered_count,
            last_entered: span.last_entered,
            last_left: span.last_left,
            inside: span.inside.clone(),
            has_moved: span.has_moved,
            busy_is_partial: span.busy_is_partial,
            busy: self.busy.clone(),
        };
        assert_eq!(folded, *self, "{span:?}");
        for now in [span.last, i64::MIN, i64::MAX] {
            self.assert_durations(span, now);
        }
    }

    fn assert_durations(&self, span: &Span<usize>, now: i64) {
        let until = match span.state() {
            State::Ended => span.ended.unwrap(),
            State::Open => now,
            State::Unknown => span.last,
        };
        let total = i128::from(until) - i128::from(span.first);
        let expected = total.clamp(0, i128::from(i64::MAX));
        assert_eq!(i128::from(span.total_ns(now)), expected, "total at {now}: {span:?}");
        let inside = |&(from, left): &(i64, Option<i64>)| i128::from(left.unwrap_or(until)) - i128::from(from);
        let busy: i128 = self.busy.iter().map(inside).filter(|ns| *ns > 0).sum();
        assert_eq!(i128::from(span.busy_ns(now)), busy.min(expected), "busy at {now}: {span:?}");
    }
}

/// Requires that the fold of records, in order of time and with their index as `entry`, is what the records say.
pub fn assert_fold(records: &[SpanRecord<usize>], complete_from: i64) {
    let spans = Spans::fold(records.iter().copied(), complete_from);
    let ids: BTreeSet<u64> = spans.all().iter().map(|span| span.id).collect();
    assert_eq!(ids.len(), spans.all().len(), "an id twice");
    assert!(!ids.contains(&0));
    for span in spans.all() {
        let life = Life::of(span.id, records);
        life.assert_same(span);
        assert!(span.parent == 0 || ids.contains(&span.parent), "{span:?}");
        let is_certain = span.ended.is_some() || span.last >= complete_from;
        assert_eq!(span.state() == State::Unknown, !is_certain, "{span:?}");
    }
    assert!(records.iter().all(|record| record.span == 0 || ids.contains(&record.span)));
    assert_tree(&spans);
    assert_innermost(&spans, records);
}

/// Requires that the tree has each span once, each under its parent, and that paths end.
fn assert_tree(spans: &Spans<usize>) {
    let (mut listed, mut path) = (BTreeSet::new(), Vec::new());
    for node in spans.tree() {
        assert!(listed.insert(node.span.id), "twice in the tree: {:?}", node.span);
        assert!(node.depth <= path.len());
        path.truncate(node.depth);
        assert!(path.last().is_none_or(|above| *above == node.span.parent), "{:?} in {path:?}", node.span);
        path.push(node.span.id);
    }
    assert_eq!(listed.len(), spans.all().len());
    for span in spans.all() {
        let path = spans.path(span.id);
        assert!(path.len() <= ttlog_read::span::PATH_LEN_MAX && path.last().map(|last| last.id) == Some(span.id));
        assert!(path.windows(2).all(|pair| pair[1].parent == pair[0].id));
    }
}

/// Requires that the current span of each context is that of the records, at each of them and at the end.
fn assert_innermost(spans: &Spans<usize>, records: &[SpanRecord<usize>]) {
    let mut contexts: BTreeMap<u32, Known> = BTreeMap::new();
    let (mut moment, mut started) = (Moment::default(), BTreeSet::new());
    for record in records.iter().filter(|record| record.span != 0) {
        let here = Inside { context: record.context, span: record.span };
        let changed = match record.action {
            Action::Start { .. } => {
                started.insert(record.span);
                continue;
            }
            Action::Begin { .. } | Action::Enter => {
                if record.action != Action::Enter {
                    started.insert(record.span);
                }
                moment.enter(here);
                record.context
            }
            Action::Leave | Action::Finish => {
                let left = moment.leave(here);
                if left.is_none() && !started.contains(&record.span) {
                    contexts.entry(record.context).or_default().was_in(record.span);
                }
                left.unwrap_or(record.context)
            }
            _ => continue,
        };
        contexts.entry(changed).or_default().since.push((record.order, moment.innermost(changed)));
    }
    for record in records {
        let known = contexts.get(&record.context).map_or(0, |known| known.at(record.order));
        let current = spans.current_at(record.context, record.at, record.order);
        assert_eq!(current, known, "at {record:?} of {records:#?}");
    }
    let innermost = contexts.keys().filter_map(|&context| {
        let mut entered = moment.by_context.iter().rev().filter(|inside| inside.context == context);
        let open = entered.find(|inside| spans.get(inside.span).is_some_and(Span::is_open))?;
        Some((context, open.span))
    });
    assert!(spans.innermost().map(|(context, span)| (context, span.id)).eq(innermost));
}

/// The innermost span of a context over time.
#[derive(Debug)]
struct Known {
    /// The span that it was in from the record with this order on; 0: none.
    since: Vec<(u64, u64)>,
    /// Number of the above that no later record can explain.
    settled: usize,
}

impl Default for Known {
    fn default() -> Self {
        Known { since: vec![(0, 0)], settled: 0 }
    }
}

impl Known {
    /// Notes that it was in a span whenever it was in no other one: it leaves it, and its enter was overwritten.
    fn was_in(&mut self, span: u64) {
        self.since[self.settled..].iter_mut().filter(|(_, of)| *of == 0).for_each(|(_, of)| *of = span);
        self.settled = self.since.len();
    }

    fn at(&self, order: u64) -> u64 {
        self.since.iter().rfind(|(from, _)| *from <= order).map_or(0, |(_, span)| *span)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The fold and the naive one agree about records without any sense: a check of both that needs no fuzzer.
    #[test]
    fn random_records() {
        let mut last = 1_u64;
        let mut below = |end: u64| {
            last = last.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (last >> 33) % end
        };
        for _ in 0..2000 {
            let mut at = 0;
            let records: Vec<_> = (0..below(60) as usize)
                .map(|index| {
                    at += below(3) as i64;
                    let (span, other) = (below(6), below(6));
                    let action = match below(11) {
                        0 => Action::Start { parent: Some(other) },
                        1 => Action::Start { parent: None },
                        2 => Action::Begin { parent: Some(other) },
                        3 => Action::Begin { parent: None },
                        4 | 5 => Action::Enter,
                        6 => Action::Leave,
                        7 => Action::End,
                        8 => Action::Repeat { parent: other },
                        9 => Action::Finish,
                        _ => Action::Update { follows: other },
                    };
                    let (context, order, entry) = (below(3) as u32, index as u64, index);
                    SpanRecord { at, order, ticks: at as u64, context, span, action, entry }
                })
                .collect();
            assert_fold(&records, below(60) as i64);
        }
    }
}

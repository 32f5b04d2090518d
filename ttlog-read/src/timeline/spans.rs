//! The spans of a timeline: as a tree, and those that were open at the end.

use std::cmp::Reverse;
use std::collections::HashSet;

use super::Timeline;
use super::forest::{SpanNode, join};
use crate::query::{Extent, Keep, Mismatches, Query, selects_span};
use crate::source::{Life, RecordedSpans, SpanRef};
use crate::span::State;

/// Spans in the order of a tree: each before its children, open ones first, otherwise by time.
#[derive(Debug)]
pub struct SpanTree<'t, 'a> {
    /// The spans.
    pub nodes: Vec<SpanNode<'t, 'a>>,
    /// Number of spans that the query selects, including those left out.
    pub matched: usize,
    /// Number of all spans.
    pub total: usize,
    /// Spans that a condition could not compare.
    pub mismatches: Mismatches,
}

/// An open span that a thread was in, or that waited, at the end of the recording.
#[derive(Clone, Copy, Debug)]
pub struct OpenSpan<'t, 'a> {
    /// The span: the innermost one.
    pub span: SpanRef<'t, 'a>,
    /// The context that was in it; `None`: it was idle.
    pub context: Option<u32>,
    /// Time since the context entered it, or the last context left it, or it started, in nanoseconds.
    pub since_ns: i64,
}

impl<'a> Timeline<'_, 'a> {
    /// Returns the spans that the query selects, with their ancestors. A limit in time selects the spans that were open
    /// at any time within it. Of a number of spans to keep, [`Keep::Last`] takes open ones first, and then the latest.
    /// A span whose parent is in another process is below it, if both are here.
    #[must_use]
    pub fn span_tree(&self, query: &Query) -> SpanTree<'_, 'a> {
        let mut tree = SpanTree { nodes: Vec::new(), matched: 0, total: 0, mismatches: Mismatches::default() };
        let range = query.limits.resolve(Extent { end: self.end.unwrap_or(0), clock: self.clock_period() });
        let mut selected = Vec::new();
        for (index, of) in self.spans.iter().enumerate() {
            tree.total += of.folded().all().len();
            for span in of.iter(self.sources) {
                let life = span.life();
                let last = (life.state() != State::Open).then_some((life.last, life.ticks.1));
                let is_within =
                    span.source().is_some_and(|source| range.overlaps(source, (life.first, life.ticks.0), last));
                let thread = || self.thread_name(of, life.last_context, life.ticks.1);
                if is_within && selects_span(&query.filter, &span, thread(), &mut tree.mismatches) {
                    selected.push((life.is_open(), life.first, index, life.id));
                }
            }
        }
        tree.matched = selected.len();
        match query.keep {
            Keep::All => {}
            Keep::First(count) => {
                selected.sort_unstable_by_key(|&(_, first, index, id)| (first, index, id));
                selected.truncate(count);
            }
            Keep::Last(count) => {
                selected.sort_unstable_by_key(|&(is_open, first, index, id)| Reverse((is_open, first, index, id)));
                selected.truncate(count);
            }
        }
        let selected: HashSet<(usize, u64)> = selected.into_iter().map(|(.., index, id)| (index, id)).collect();
        for (index, of) in self.spans.iter().enumerate() {
            self.push_tree(&mut tree.nodes, of, |id| selected.contains(&(index, id)));
        }
        tree.nodes = join(tree.nodes);
        tree
    }

    /// Appends the selected spans of a ring and their ancestors.
    fn push_tree<'t>(
        &'t self,
        nodes: &mut Vec<SpanNode<'t, 'a>>,
        of: &'t RecordedSpans,
        is_selected: impl Fn(u64) -> bool,
    ) {
        let all = of.folded().tree();
        // Backwards, an ancestor comes after its descendants.
        let mut kept = vec![false; all.len()];
        let mut needed_depth = 0;
        for (at, node) in all.iter().enumerate().rev() {
            let has_kept_child = needed_depth == node.depth + 1;
            kept[at] = has_kept_child || is_selected(node.span.id);
            if kept[at] {
                needed_depth = node.depth;
            }
        }
        let kept = all.into_iter().zip(kept).filter(|(_, kept)| *kept);
        nodes.extend(kept.map(|(node, _)| SpanNode {
            span: of.view(self.sources, node.span),
            depth: node.depth,
            is_match: is_selected(node.span.id),
        }));
    }

    /// Returns the open spans that a process was busy with at the end of the recording, the most relevant first. These
    /// are the innermost span of each thread, first of the one that ended the process, then of the one that panicked
    /// last, then of the one that entered a span last; and then the spans without open children that no thread was in,
    /// such as tasks that wait.
    ///
    /// Of several sources of one ring, only that with the latest time has any.
    #[must_use]
    pub fn open_spans(&self, source: usize) -> Vec<OpenSpan<'_, 'a>> {
        let Some(of) = self.spans.iter().find(|of| of.source == source) else { return Vec::new() };
        let spans = of.folded();
        let Life { end, panics, .. } = self.sources[source].life;
        let ending = end.map_or(0, |end| end.context);
        let has_panicked = |context| {
            let known = self.ring_of(source).and_then(|ring| ring.context(context));
            known.is_some_and(|known| known.os_thread_id != 0 && known.os_thread_id == panics.last_os_thread_id)
        };
        let since = |at: i64| of.now().saturating_sub(at).max(0);
        let mut covered = HashSet::new();
        let mut inside = Vec::new();
        for (context, span) in spans.innermost() {
            covered.extend(spans.path(span.id).into_iter().map(|span| span.id));
            let at = span.last_entered.unwrap_or(span.first);
            let is_ending = context != 0 && context == ending;
            let rank = (!is_ending, !has_panicked(context), Reverse(at));
            let context = Some(context);
            inside.push((rank, OpenSpan { span: of.view(self.sources, span), context, since_ns: since(at) }));
        }
        inside.sort_by_key(|(rank, _)| *rank);
        let open = || spans.all().iter().filter(|span| span.is_open());
        covered.extend(open().map(|span| span.parent));
        let mut idle: Vec<_> = open().filter(|span| !covered.contains(&span.id) && span.inside.is_empty()).collect();
        let idle_from = |span: &crate::span::Span<u32>| span.last_left.unwrap_or(span.first);
        idle.sort_by_key(|span| Reverse((span.last, span.id)));
        let idle = idle.into_iter().map(|span| {
            let span_ref = of.view(self.sources, span);
            OpenSpan { span: span_ref, context: None, since_ns: since(idle_from(span)) }
        });
        inside.into_iter().map(|(_, open)| open).chain(idle).collect()
    }

    /// Returns the name that a context had at a time; empty if it had none, or the context is unknown.
    fn thread_name(&self, of: &RecordedSpans, context: u32, ticks: u64) -> &str {
        let Some(ring) = self.ring_of(of.source) else { return "" };
        ring.context(context).map_or("", |known| ring.name_of(known, ticks))
    }

    /// Returns the names of the threads that are in a span at the end, and the numbers of their contexts.
    #[must_use]
    pub fn threads_inside<'t>(&'t self, span: &SpanRef<'t, 'a>) -> Vec<(u32, &'t str)> {
        let mut contexts = span.life().inside.clone();
        contexts.sort_unstable();
        contexts.dedup();
        contexts.into_iter().map(|context| (context, self.thread_name(span.of(), context, u64::MAX))).collect()
    }
}

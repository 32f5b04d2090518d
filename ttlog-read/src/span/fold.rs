//! From records to spans.

use std::collections::HashMap;

use super::record::{Action, SpanRecord};

/// Most spans that a context is in at a time, and most enters of a span without a leave. Beyond that, which only a
/// hostile file needs, the oldest are forgotten.
const INSIDE_MAX: usize = 1024;

/// What is known of a span. `E` locates an event.
#[derive(Clone, Debug, PartialEq)]
pub struct Span<E> {
    /// Id, unique in its ring.
    pub id: u64,
    /// Its start, which has the name and the first values; `None`: overwritten.
    pub start: Option<SpanRecord<E>>,
    /// Id of its parent; 0: it has none, or its start is overwritten.
    pub parent: u64,
    /// Later values, oldest first.
    pub updates: Vec<E>,
    /// Ids of the spans that it follows from.
    pub follows: Vec<u64>,
    /// Time of its first record, in nanoseconds.
    pub first: i64,
    /// Time of its end, in nanoseconds; `None`: it is open.
    pub ended: Option<i64>,
    /// Time of the last leave that left no context in it, in nanoseconds.
    pub last_left: Option<i64>,
    /// Number of times that it was entered.
    pub entered_count: u64,
    /// Contexts that are in it, each as often as it entered without leaving.
    pub inside: Vec<u32>,
    /// Time during which at least one context was in it, up to its last leave, in nanoseconds.
    busy_ns: i64,
    /// Time from which a context is in it, in nanoseconds.
    busy_from: Option<i64>,
    /// Whether an enter is overwritten, so that the busy time is too short.
    pub busy_is_partial: bool,
}

impl<E> Span<E> {
    fn new(id: u64, first: i64) -> Self {
        Span {
            id,
            start: None,
            parent: 0,
            updates: Vec::new(),
            follows: Vec::new(),
            first,
            ended: None,
            last_left: None,
            entered_count: 0,
            inside: Vec::new(),
            busy_ns: 0,
            busy_from: None,
            busy_is_partial: false,
        }
    }

    /// Returns whether it has not ended.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.ended.is_none()
    }

    /// Returns the time from its first record to its end, or if it is open to `now`, in nanoseconds; never negative.
    #[must_use]
    pub fn total_ns(&self, now: i64) -> i64 {
        self.ended.unwrap_or(now).saturating_sub(self.first).max(0)
    }

    /// Returns the time during which at least one context was in it, in nanoseconds; never negative, and never more
    /// than the total.
    #[must_use]
    pub fn busy_ns(&self, now: i64) -> i64 {
        let until = self.ended.unwrap_or(now);
        let current = self.busy_from.map_or(0, |from| until.saturating_sub(from).max(0));
        self.busy_ns.saturating_add(current).min(self.total_ns(now))
    }

    fn enter(&mut self, context: u32, at: i64) {
        self.entered_count += 1;
        if self.inside.is_empty() {
            self.busy_from = Some(at);
        }
        push_bounded(&mut self.inside, context);
    }

    /// Leaves, and returns the context that has left: this one if it is in the span; else another one, as a guard can
    /// be dropped by another thread than the one that entered; `None` if none is in it.
    fn leave(&mut self, context: u32, at: i64) -> Option<u32> {
        let position = self.inside.iter().rposition(|&inside| inside == context);
        let left = position.or(self.inside.len().checked_sub(1)).map(|position| self.inside.remove(position));
        self.busy_is_partial |= left.is_none();
        if self.inside.is_empty() {
            self.last_left = Some(at);
            if let Some(from) = self.busy_from.take() {
                self.busy_ns = self.busy_ns.saturating_add(at.saturating_sub(from).max(0));
            }
        }
        left
    }
}

/// The spans of one ring.
#[derive(Clone, Debug)]
pub struct Spans<E> {
    spans: Vec<Span<E>>,
    index_of: HashMap<u64, usize>,
    /// Spans that each context has entered and not left, outermost first, at the end.
    stacks: HashMap<u32, Vec<u64>>,
}

impl<E> Default for Spans<E> {
    fn default() -> Self {
        Spans { spans: Vec::new(), index_of: HashMap::new(), stacks: HashMap::new() }
    }
}

impl<E: Copy> Spans<E> {
    /// Folds the records of one ring, which must be in order of time. Takes memory in proportion to their number.
    pub fn fold(records: impl IntoIterator<Item = SpanRecord<E>>) -> Self {
        let mut spans = Spans::default();
        for record in records {
            spans.push(record);
        }
        spans
    }

    fn push(&mut self, record: SpanRecord<E>) {
        // The id of no span. A hostile file can have it anywhere.
        if record.span == 0 {
            return;
        }
        let index = *self.index_of.entry(record.span).or_insert_with(|| {
            self.spans.push(Span::new(record.span, record.at));
            self.spans.len() - 1
        });
        let span = &mut self.spans[index];
        match record.action {
            Action::Start { parent } => {
                // A second start can only come from a hostile file.
                if span.start.is_none() {
                    span.start = Some(record);
                    span.parent = parent;
                }
            }
            Action::Restate { parent } => {
                if span.start.is_none() {
                    span.start = Some(record);
                    span.parent = parent;
                }
            }
            Action::Enter => {
                span.enter(record.context, record.at);
                push_bounded(self.stacks.entry(record.context).or_default(), record.span);
            }
            Action::Leave => {
                let left = span.leave(record.context, record.at);
                if let Some(stack) = left.and_then(|context| self.stacks.get_mut(&context)) {
                    if let Some(position) = stack.iter().rposition(|&entered| entered == record.span) {
                        stack.remove(position);
                    }
                }
            }
            Action::End => span.ended = Some(span.ended.unwrap_or(record.at)),
            Action::Update { follows } => {
                span.updates.push(record.entry);
                if follows != 0 {
                    span.follows.push(follows);
                }
            }
        }
    }

    /// Returns the spans, in order of their first records.
    #[must_use]
    pub fn all(&self) -> &[Span<E>] {
        &self.spans
    }

    /// Returns the span with this id.
    #[must_use]
    pub fn get(&self, id: u64) -> Option<&Span<E>> {
        self.index_of.get(&id).map(|&index| &self.spans[index])
    }

    /// Returns the contexts that are in a span at the end, each with the innermost one.
    pub fn innermost(&self) -> impl Iterator<Item = (u32, &Span<E>)> {
        let innermost = self.stacks.iter().filter_map(|(&context, stack)| Some((context, self.get(*stack.last()?)?)));
        let mut found: Vec<_> = innermost.collect();
        found.sort_by_key(|(context, _)| *context);
        found.into_iter()
    }
}

fn push_bounded<T>(list: &mut Vec<T>, item: T) {
    if list.len() == INSIDE_MAX {
        list.remove(0);
    }
    list.push(item);
}

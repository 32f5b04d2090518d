//! From records to spans.

use std::collections::HashMap;

use super::history::History;
use super::record::{Action, SpanRecord};

/// Most spans that a context is in at a time, and most enters of a span without a leave. Beyond that, which only a
/// hostile file needs, the oldest are forgotten.
const INSIDE_MAX: usize = 1024;

/// A span, as far as it is known. `E` locates an event.
#[derive(Clone, Debug, PartialEq)]
pub struct Span<E> {
    /// Id, unique in its ring.
    pub id: u64,
    /// Location of its start, which has the name and the first values; `None`: overwritten.
    pub start: Option<E>,
    /// Whether its start itself is overwritten, and `start` a later record that repeats name, parent and first values.
    pub start_is_repeated: bool,
    /// Id of its parent; 0: it has none, or its start is overwritten.
    pub parent: u64,
    /// Later values, oldest first.
    pub updates: Vec<E>,
    /// Ids of the spans that it follows from.
    pub follows: Vec<u64>,
    /// Time of its first record, in nanoseconds.
    pub first: i64,
    /// Time of its last record, or of the last event or child in it that shows that it existed, in nanoseconds.
    pub last: i64,
    /// Readings of the recording clock at these two times.
    pub ticks: (u64, u64),
    /// Time of its end, in nanoseconds; `None`: it has not ended, or its end is overwritten.
    pub ended: Option<i64>,
    /// Time at which it was entered last, in nanoseconds.
    pub last_entered: Option<i64>,
    /// Time of the last leave that left no context in it, in nanoseconds.
    pub last_left: Option<i64>,
    /// Number of times that it was entered.
    pub entered_count: u64,
    /// Contexts that are in it, each as often as it entered without leaving.
    pub inside: Vec<u32>,
    /// Context of its last record; 0: unknown.
    pub last_context: u32,
    /// Context that entered it last; 0: none, or unknown.
    entered_by: u32,
    /// Whether several contexts have entered it.
    pub has_moved: bool,
    /// Whether its end is certainly not overwritten.
    end_is_certain: bool,
    /// Time during which at least one context was in it, up to its last leave, in nanoseconds.
    busy_ns: i64,
    /// Time from which a context is in it, in nanoseconds.
    busy_from: Option<i64>,
    /// Whether an enter is overwritten, so that the busy time is too short.
    pub busy_is_partial: bool,
}

impl<E> Span<E> {
    fn new(id: u64, first: i64, ticks: u64) -> Self {
        Span {
            id,
            start: None,
            start_is_repeated: false,
            parent: 0,
            updates: Vec::new(),
            follows: Vec::new(),
            first,
            last: first,
            ticks: (ticks, ticks),
            ended: None,
            last_entered: None,
            last_left: None,
            entered_count: 0,
            inside: Vec::new(),
            last_context: 0,
            entered_by: 0,
            has_moved: false,
            end_is_certain: true,
            busy_ns: 0,
            busy_from: None,
            busy_is_partial: false,
        }
    }

    /// Returns whether its start is overwritten, whatever else is known of it.
    #[must_use]
    pub fn start_is_lost(&self) -> bool {
        self.start.is_none() || self.start_is_repeated
    }

    /// Returns whether it is open at the end of the recording.
    #[must_use]
    pub fn state(&self) -> State {
        match (self.ended, self.end_is_certain) {
            (Some(_), _) => State::Ended,
            (None, true) => State::Open,
            (None, false) => State::Unknown,
        }
    }

    /// Returns whether it is certainly open at the end of the recording.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.state() == State::Open
    }

    /// Returns the time up to which its durations count: its end, or `now`; if neither is certain, its last record.
    fn until(&self, now: i64) -> i64 {
        match self.state() {
            State::Ended => self.ended.unwrap_or(now),
            State::Open => now,
            State::Unknown => self.last,
        }
    }

    /// Returns the time from its first record to its end, or if it is open to `now`, in nanoseconds; never negative.
    #[must_use]
    pub fn total_ns(&self, now: i64) -> i64 {
        self.until(now).saturating_sub(self.first).max(0)
    }

    /// Returns the time during which at least one context was in it, in nanoseconds; never negative, and never more
    /// than the total.
    #[must_use]
    pub fn busy_ns(&self, now: i64) -> i64 {
        let until = self.until(now);
        let current = self.busy_from.map_or(0, |from| until.saturating_sub(from).max(0));
        self.busy_ns.saturating_add(current).min(self.total_ns(now))
    }

    fn enter(&mut self, context: u32, at: i64) {
        self.entered_count += 1;
        self.last_entered = Some(at);
        self.has_moved |= self.entered_by != 0 && self.entered_by != context;
        self.entered_by = context;
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

/// Whether a span is open at the end of the recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It has ended.
    Ended,
    /// It is open.
    Open,
    /// Its end can be among the overwritten events.
    Unknown,
}

/// The spans of one ring.
#[derive(Clone, Debug)]
pub struct Spans<E> {
    spans: Vec<Span<E>>,
    index_of: HashMap<u64, usize>,
    contexts: HashMap<u32, Inside>,
}

/// The spans that a context is in.
#[derive(Clone, Debug)]
struct Inside {
    /// Spans that it has entered and not left, outermost first.
    stack: Vec<u64>,
    history: History,
}

impl Inside {
    fn new() -> Self {
        Inside { stack: Vec::new(), history: History::new() }
    }

    fn enter(&mut self, span: u64, at: i64, order: u64) {
        push_bounded(&mut self.stack, span);
        self.history.change(at, order, span);
    }

    fn leave(&mut self, span: u64, at: i64, order: u64) {
        if let Some(position) = self.stack.iter().rposition(|&entered| entered == span) {
            self.stack.remove(position);
        }
        self.history.change(at, order, self.stack.last().copied().unwrap_or(0));
    }
}

impl<E> Default for Spans<E> {
    fn default() -> Self {
        Spans { spans: Vec::new(), index_of: HashMap::new(), contexts: HashMap::new() }
    }
}

impl<E: Copy> Spans<E> {
    /// Folds the records of one ring, which must be in order of time. Nothing was overwritten from the time
    /// `complete_from` on. Takes memory in proportion to the number of records.
    pub fn fold(records: impl IntoIterator<Item = SpanRecord<E>>, complete_from: i64) -> Self {
        let mut spans = Spans::default();
        for record in records {
            spans.push(record);
        }
        for span in &mut spans.spans {
            span.end_is_certain = span.last >= complete_from;
        }
        spans
    }

    fn push(&mut self, record: SpanRecord<E>) {
        let SpanRecord { at, order, ticks, context, action, .. } = record;
        let Some(index) = self.mention(record.span, at, ticks) else { return };
        let span = &mut self.spans[index];
        // A start is repeated by any context.
        if !matches!(action, Action::Mention | Action::Repeat { .. }) {
            span.last_context = context;
        }
        match action {
            Action::Start { parent } | Action::Begin { parent } => {
                let inside = self.contexts.entry(context).or_insert_with(Inside::new);
                // Its repetition can have the same time and come first. A second start only comes from a hostile file.
                let is_new = span.start_is_lost();
                if is_new {
                    (span.start, span.start_is_repeated) = (Some(record.entry), false);
                    span.parent = parent.or(inside.stack.last().copied()).unwrap_or(0);
                }
                let parent = span.parent;
                if matches!(action, Action::Begin { .. }) {
                    span.enter(context, at);
                    inside.enter(record.span, at, order);
                }
                if is_new {
                    self.mention(parent, at, ticks);
                }
            }
            Action::Repeat { parent } => {
                if span.start.is_none() {
                    span.start = Some(record.entry);
                    span.start_is_repeated = true;
                    span.parent = parent;
                    self.mention(parent, at, ticks);
                }
            }
            Action::Enter => {
                span.enter(context, at);
                self.contexts.entry(context).or_insert_with(Inside::new).enter(record.span, at, order);
            }
            Action::Leave | Action::Finish => {
                let (left, is_new) = (span.leave(context, at), span.start_is_lost());
                if action == Action::Finish {
                    span.ended = Some(span.ended.unwrap_or(at));
                }
                let inside = self.contexts.entry(left.unwrap_or(context)).or_insert_with(Inside::new);
                if left.is_none() && is_new {
                    inside.history.claim(record.span);
                }
                inside.leave(record.span, at, order);
            }
            Action::End => span.ended = Some(span.ended.unwrap_or(at)),
            Action::Update { follows } => {
                span.updates.push(record.entry);
                if follows != 0 {
                    span.follows.push(follows);
                }
            }
            Action::Mention => {}
        }
    }

    /// Notes that a span exists at a time, and returns its index. `None` for 0, which is the id of no span.
    fn mention(&mut self, id: u64, at: i64, ticks: u64) -> Option<usize> {
        if id == 0 {
            return None;
        }
        let index = *self.index_of.entry(id).or_insert_with(|| {
            self.spans.push(Span::new(id, at, ticks));
            self.spans.len() - 1
        });
        let span = &mut self.spans[index];
        if at >= span.last {
            (span.last, span.ticks.1) = (at, ticks);
        }
        Some(index)
    }

    /// Leaves of each span's updates only those that `needed` returns, which gets them oldest first.
    pub fn reduce_updates(&mut self, mut needed: impl FnMut(&[E]) -> Vec<E>) {
        for span in self.spans.iter_mut().filter(|span| span.updates.len() > 1) {
            span.updates = needed(&span.updates);
        }
    }

    /// Returns the id of the innermost span that a context was in at a time, by the order of its records; 0: none.
    #[must_use]
    pub fn current_at(&self, context: u32, at: i64, order: u64) -> u64 {
        self.contexts.get(&context).map_or(0, |inside| inside.history.at(at, order))
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

    /// Returns the contexts that are in an open span at the end, each with the innermost one.
    pub fn innermost(&self) -> impl Iterator<Item = (u32, &Span<E>)> {
        let innermost = self.contexts.iter().filter_map(|(&context, inside)| {
            let open = inside.stack.iter().rev().filter_map(|&id| self.get(id)).find(|span| span.is_open());
            Some((context, open?))
        });
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

//! A ring in the timeline: the contexts that recorded in it, and the places of their events.

use std::collections::HashMap;

use ttlog_core::record::ContextInfo;

use super::entry::Place;
use super::names::{History, Names};
use crate::source::Source;
use crate::text::time::When;

/// A ring, of which several sources can hold copies.
#[derive(Debug)]
pub struct RingView {
    /// Indexes of the sources, in the order given.
    pub sources: Vec<usize>,
    /// The source whose scale knows most steps of the wall clock.
    pub(super) newest: usize,
    /// The source being read, if each is read separately.
    pub(super) reading: usize,
    /// Steps of the wall clock after the end of this ring that other rings know of, in nanoseconds.
    pub(super) later_steps_ns: i64,
    /// Identity of the ring, for a session of a device.
    pub(super) session_of: Option<u64>,
    /// Shift from its clock to its place in the timeline, because of earlier sessions, in nanoseconds; `None` until
    /// its first event is read.
    pub(super) shift_ns: Option<i64>,
    pub(super) contexts: Vec<Context>,
    /// Index of each context in `contexts`.
    pub(super) by_id: HashMap<u32, usize>,
    pub(super) runs: Vec<Run>,
    pub(super) names: Names,
}

impl RingView {
    pub(super) fn new() -> Self {
        RingView {
            sources: Vec::new(),
            newest: 0,
            reading: 0,
            later_steps_ns: 0,
            session_of: None,
            shift_ns: None,
            contexts: Vec::new(),
            by_id: HashMap::new(),
            runs: Vec::new(),
            names: Names::default(),
        }
    }

    /// Returns the place of a tick count in the timeline.
    pub(super) fn key(&self, sources: &[Source<'_>], ticks: u64) -> i64 {
        let smooth_ns = sources[self.newest].scale.smooth_ns(ticks);
        smooth_ns.saturating_add(self.later_steps_ns).saturating_add(self.shift_ns.unwrap_or(0))
    }

    /// Returns the time of its last sign of life: an event, a reading of the wall clock, or the recorded end.
    pub(super) fn last_sign(&self, sources: &[Source<'_>]) -> i64 {
        let last_event = self.contexts.iter().flat_map(|context| context.last_keys).flatten().max();
        let others = self.sources.iter().flat_map(|&source| {
            let source = &sources[source];
            let end = source.life.end.map(|end| end.ticks);
            [Some(source.newest_anchor), end].into_iter().flatten().filter(|&ticks| ticks != 0)
        });
        others.map(|ticks| self.key(sources, ticks)).chain(last_event).max().unwrap_or(0)
    }

    /// Returns the name that the thread with this context (0: unknown) or system id (0: unknown) had at a time, if it
    /// had one. Of several threads that had the id, one after the other, the last.
    #[must_use]
    pub fn thread_name(&self, context: u32, os_thread_id: u64, ticks: u64) -> Option<&str> {
        let has_id = |context: &&Context| os_thread_id != 0 && context.os_thread_id == os_thread_id;
        let of_id = || self.contexts.iter().rev().find(has_id);
        let context = if context == 0 { of_id() } else { self.context(context).or_else(of_id) };
        context.map(|context| self.name_of(context, ticks)).filter(|name| !name.is_empty())
    }

    /// Returns the name that a context of this ring had at a time; can be empty.
    #[must_use]
    pub fn name_of(&self, context: &Context, ticks: u64) -> &str {
        context.history.at(&self.names, ticks)
    }

    /// Notes the identity that a context has from its next event on. Returns its index.
    pub(super) fn learn(&mut self, info: &ContextInfo<'_>) -> usize {
        let index = self.index_of(info.context);
        self.contexts[index].os_thread_id = info.os_thread_id;
        self.contexts[index].history.announce(&mut self.names, info.name);
        index
    }

    /// Puts the names of all contexts in order, after all segments were read.
    pub(super) fn finish_names(&mut self) {
        for context in &mut self.contexts {
            context.history.finish();
            context.name = context.history.at(&self.names, u64::MAX).to_owned();
        }
    }

    /// Returns the context with this id, if known.
    #[must_use]
    pub fn context(&self, id: u32) -> Option<&Context> {
        self.by_id.get(&id).map(|&index| &self.contexts[index])
    }

    /// Returns the index of a context, adding it if necessary.
    pub(super) fn index_of(&mut self, id: u32) -> usize {
        *self.by_id.entry(id).or_insert_with(|| {
            self.contexts.push(Context::default());
            self.contexts.len() - 1
        })
    }
}

/// A thread, task, core or interrupt that recorded.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// Its latest name; can be empty.
    pub name: String,
    /// The operating system's id of the thread; 0: unknown.
    pub os_thread_id: u64,
    /// Places of its last events, if any, in each of its runs: in segments of its own and in shared ones, outside and
    /// inside the priority class. The events of a run are in the order in which they were recorded.
    pub(super) last_keys: [Option<i64>; 4],
    /// Its names, and when it had them.
    pub(super) history: History,
    /// Number of events whose index in the context is unknown.
    pub(super) unindexed: u64,
}

/// Consecutive events of one context without a gap.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    pub(super) context: u32,
    pub(super) start: u64,
    pub(super) count: u64,
    pub(super) first: Place,
    /// Time of the first event.
    pub(super) first_when: When,
}

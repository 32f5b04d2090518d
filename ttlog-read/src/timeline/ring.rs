//! A ring as the timeline sees it: the contexts that recorded in it, and where their events stand.

use std::collections::HashMap;

use ttlog_core::record::ContextInfo;

use super::entry::Place;
use crate::source::Source;
use crate::text::time::When;

/// A ring, of which several sources can be pictures.
#[derive(Debug)]
pub struct RingView {
    /// Indexes of the sources, in the order given.
    pub sources: Vec<usize>,
    /// The source whose scale knows most of the wall clock's steps.
    pub(super) newest: usize,
    /// The source that is being read, where each is read by itself.
    pub(super) reading: usize,
    /// Steps of the wall clock after all of this ring, which others know of; in nanoseconds.
    pub(super) later_steps_ns: i64,
    /// Of a session of a device, the identity of its ring.
    pub(super) session_of: Option<u64>,
    /// How much later it stands than its clock says, for there are earlier sessions; `None` until its first event was met.
    pub(super) shift_ns: Option<i64>,
    pub(super) contexts: Vec<Context>,
    /// Where each context stands in `contexts`.
    pub(super) by_id: HashMap<u32, usize>,
    pub(super) runs: Vec<Run>,
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
        }
    }

    /// Returns where ticks stand in the timeline.
    pub(super) fn key(&self, sources: &[Source<'_>], ticks: u64) -> i64 {
        let smooth_ns = sources[self.newest].scale.smooth_ns(ticks);
        smooth_ns.saturating_add(self.later_steps_ns).saturating_add(self.shift_ns.unwrap_or(0))
    }

    /// Returns the name of the thread with this context (0: unknown) or system id (0: unknown), if it has one.
    #[must_use]
    pub fn thread_name(&self, context: u32, os_thread_id: u64) -> Option<&str> {
        let of_id = || self.contexts.iter().find(|context| os_thread_id != 0 && context.os_thread_id == os_thread_id);
        let context = if context == 0 { of_id() } else { self.context(context).or_else(of_id) };
        context.map(|context| context.name.as_str()).filter(|name| !name.is_empty())
    }

    /// Returns what is known of a context, if anything is.
    #[must_use]
    pub fn context(&self, id: u32) -> Option<&Context> {
        self.by_id.get(&id).map(|&index| &self.contexts[index])
    }

    /// Returns the index of a context, known from now on.
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
    /// The name it had last; may be empty.
    pub name: String,
    /// The operating system's id of the thread; 0: unknown.
    pub os_thread_id: u64,
    /// Where its last event stands, once there was one: of the priority class, and of the others.
    pub(super) last_keys: [Option<i64>; 2],
    /// Events of which it is not known which of the context's they are.
    pub(super) unindexed: u64,
}

impl Context {
    pub(super) fn learn(&mut self, info: &ContextInfo<'_>) {
        if self.name != info.name {
            info.name.clone_into(&mut self.name);
        }
        self.os_thread_id = info.os_thread_id;
    }
}

/// Events of one context that follow one another without a gap.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    pub(super) context: u32,
    pub(super) start: u64,
    pub(super) count: u64,
    pub(super) first: Place,
    /// When the first was.
    pub(super) first_when: When,
}

//! A small reader of spans, as a reference: what the ring says about each, and which span each event is in.

use std::collections::BTreeMap;

use ttlog_core::event::Role;

use super::common::Event;
use super::common::ring::RingContents;

/// A span in a ring.
#[derive(Debug, Default)]
pub struct Span {
    pub name: String,
    pub parent: u64,
    /// Values with their types; later ones replace earlier ones.
    pub values: BTreeMap<String, String>,
    pub started: usize,
    pub entered: usize,
    pub left: usize,
    pub ended: usize,
    pub follows: Vec<u64>,
    /// Trace and id of the parent in another process.
    pub remote: Option<(String, String)>,
    /// Trace and id under which other processes know it, as often as that was recorded.
    pub known: Vec<(String, String)>,
    /// Number of records.
    pub records: usize,
}

/// All spans of a ring by id, and its events with the spans that they are in.
#[derive(Debug, Default)]
pub struct Tree {
    pub spans: BTreeMap<u64, Span>,
    pub events: Vec<(u64, Event)>,
    /// The spans that each context is in at the end, innermost last.
    pub stacks: BTreeMap<u32, Vec<u64>>,
}

impl Tree {
    pub fn new(mut ring: RingContents) -> Tree {
        let mut tree = Tree::default();
        // Warnings have segments of their own.
        ring.events.sort_by_key(|event| event.ticks);
        for event in ring.events {
            tree.add(event.context, event.event);
        }
        tree
    }

    fn add(&mut self, context: u32, event: Event) {
        let stack = self.stacks.entry(context).or_default();
        let Some((_, role, _)) =
            event.values.iter().find(|(_, role, _)| !matches!(role, Role::Value | Role::Parent | Role::Span))
        else {
            let span = event.span(Role::Span).unwrap_or(stack.last().copied().unwrap_or(0));
            self.events.push((span, event));
            return;
        };
        let id = event.span(*role).unwrap();
        let span = self.spans.entry(id).or_default();
        span.records += 1;
        let values = event.values.iter().filter(|(_, role, value)| *role == Role::Value && value != "Absent");
        let values = values.map(|(name, _, value)| (name.clone(), value.clone()));
        let text = |role| event.values.iter().find(|(_, of, _)| *of == role).map(|(.., value)| value.clone());
        match role {
            Role::Start | Role::Begin => {
                span.started += 1;
                span.name = event.message.clone();
                span.parent = event.span(Role::Parent).unwrap();
                let later = std::mem::replace(&mut span.values, values.collect());
                span.values.extend(later);
            }
            Role::Update if event.span(Role::Parent).is_some() => {
                span.name = event.message.clone();
                span.parent = event.span(Role::Parent).unwrap();
                let later = std::mem::replace(&mut span.values, values.collect());
                span.values.extend(later);
            }
            Role::Update => {
                span.values.extend(values);
                span.follows.extend(event.span(Role::Follows));
                span.remote = span.remote.take().or(text(Role::Trace).zip(text(Role::RemoteParent)));
                span.known.extend(text(Role::Trace).zip(text(Role::KnownAs)));
            }
            _ => {}
        }
        if matches!(role, Role::Begin | Role::Enter) {
            span.entered += 1;
            stack.push(id);
        }
        if matches!(role, Role::Leave | Role::Finish) {
            span.left += 1;
            let at = stack.iter().rposition(|entered| *entered == id).unwrap_or_else(|| panic!("{id} in {stack:?}"));
            stack.remove(at);
        }
        if matches!(role, Role::End | Role::Finish) {
            span.ended += 1;
        }
    }

    /// Returns the only span of this name, and its id.
    pub fn span(&self, name: &str) -> (u64, &Span) {
        let found: Vec<_> = self.spans.iter().filter(|(_, span)| span.name == name).collect();
        assert_eq!(found.len(), 1, "{name} in {:#?}", self.spans);
        (*found[0].0, found[0].1)
    }

    /// Returns the name of a span; "-" for none.
    pub fn name(&self, id: u64) -> &str {
        if id == 0 { "-" } else { &self.spans[&id].name }
    }

    /// Returns the name of the span's parent.
    pub fn parent(&self, name: &str) -> &str {
        self.name(self.span(name).1.parent)
    }

    /// Returns the name of the span that the only event with this message is in.
    pub fn span_of(&self, message: &str) -> &str {
        let found: Vec<_> = self.events.iter().filter(|(_, event)| event.message == message).collect();
        assert_eq!(found.len(), 1, "{message} in {:#?}", self.events);
        self.name(found[0].0)
    }

    /// Returns the number of events with this message.
    pub fn count(&self, message: &str) -> usize {
        self.events.iter().filter(|(_, event)| event.message == message).count()
    }

    /// Requires that each span started and ended once, and was left as often as it was entered.
    pub fn assert_whole(&self) {
        for span in self.spans.values() {
            assert_eq!((span.started, span.entered, span.ended), (1, span.left, 1), "{span:?}");
        }
        assert!(self.stacks.values().all(Vec::is_empty), "{:?}", self.stacks);
    }
}

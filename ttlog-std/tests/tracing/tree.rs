//! A small reader of spans, as a reference: what the ring says about each.

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
    pub entered: usize,
    pub left: usize,
    pub ended: usize,
    pub follows: Vec<u64>,
}

/// All spans of a ring by id, and its events.
#[derive(Debug, Default)]
pub struct Tree {
    pub spans: BTreeMap<u64, Span>,
    pub events: Vec<Event>,
}

impl Tree {
    pub fn new(ring: RingContents) -> Tree {
        let mut tree = Tree::default();
        // Threads have segments of their own, so a span can end before it starts in the order of the ring.
        for event in ring.events.into_iter().map(|event| event.event) {
            tree.add(event);
        }
        tree
    }

    fn add(&mut self, event: Event) {
        let values = || {
            let own = event.values.iter().filter(|(_, role, value)| *role == Role::Value && value != "Absent");
            own.map(|(name, _, value)| (name.clone(), value.clone()))
        };
        // Also a start that is recorded again, because the ring can overwrite it.
        if let (Some(id), Some(parent)) =
            (event.span(Role::Start).or(event.span(Role::Update)), event.span(Role::Parent))
        {
            let span = self.spans.entry(id).or_default();
            span.name = event.message.clone();
            span.parent = parent;
            let later = std::mem::replace(&mut span.values, values().collect());
            span.values.extend(later);
        } else if let Some(id) = event.span(Role::Update) {
            let span = self.spans.entry(id).or_default();
            span.values.extend(values());
            span.follows.extend(event.span(Role::Follows));
        } else if let Some(id) = event.span(Role::Enter) {
            self.spans.entry(id).or_default().entered += 1;
        } else if let Some(id) = event.span(Role::Leave) {
            self.spans.entry(id).or_default().left += 1;
        } else if let Some(id) = event.span(Role::End) {
            self.spans.entry(id).or_default().ended += 1;
        } else {
            self.events.push(event);
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

    /// Returns the only event whose message has this text.
    pub fn event(&self, text: &str) -> &Event {
        let found: Vec<_> = self.events.iter().filter(|event| message(event) == Some(text)).collect();
        assert_eq!(found.len(), 1, "{text} in {:#?}", self.events);
        found[0]
    }

    /// Returns the name of the span that this event belongs to.
    pub fn span_of(&self, text: &str) -> &str {
        self.name(self.event(text).span(Role::Span).unwrap())
    }

    /// Returns the number of events whose message has this text.
    pub fn count(&self, text: &str) -> usize {
        self.events.iter().filter(|event| message(event) == Some(text)).count()
    }
}

/// Returns the text of the field `message`.
pub fn message(event: &Event) -> Option<&str> {
    event.fields.get("message").map(String::as_str)
}

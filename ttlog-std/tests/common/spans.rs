//! A small reader of spans, as a reference: what a ring says about each, and which span each event is in. It reads
//! native spans and those of `tracing`.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use ttlog_core::event::Role;
use ttlog_std::Recorder;

use super::ring::RingContents;
use super::{Event, Place};

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

/// All spans of a ring by id, and its events.
#[derive(Debug, Default)]
pub struct Tree {
    pub spans: BTreeMap<u64, Span>,
    pub events: Vec<Event>,
    /// For each event, the span that it is in: the one that it names, else the one that its context is in.
    inside: Vec<u64>,
    /// The spans that each context is in at the end, innermost last.
    pub stacks: BTreeMap<u32, Vec<u64>>,
    /// Number of times that a context left a span that it was not in. Guards of `tracing` can be dropped anywhere.
    pub strays: usize,
}

impl Tree {
    pub fn new(mut ring: RingContents) -> Tree {
        let mut tree = Tree::default();
        // Threads, and the warnings of each, have segments of their own.
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
            self.inside.push(event.span(Role::Span).unwrap_or(stack.last().copied().unwrap_or(0)));
            self.events.push(event);
            return;
        };
        let id = event.span(*role).unwrap();
        let span = self.spans.entry(id).or_default();
        span.records += 1;
        span.started += usize::from(matches!(role, Role::Start | Role::Begin));
        span.add_values(*role, &event);
        if matches!(role, Role::Begin | Role::Enter) {
            span.entered += 1;
            stack.push(id);
        }
        if matches!(role, Role::Leave | Role::Finish) {
            span.left += 1;
            match stack.iter().rposition(|entered| *entered == id) {
                Some(at) => drop(stack.remove(at)),
                None => self.strays += 1,
            }
        }
        span.ended += usize::from(matches!(role, Role::End | Role::Finish));
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

    /// Returns all events, each with the id of the span that it is in.
    pub fn events_inside(&self) -> impl Iterator<Item = (u64, &Event)> {
        self.inside.iter().copied().zip(&self.events)
    }

    /// Returns the events with this message, each with the id of the span that it is in.
    fn with_text(&self, text: &str) -> impl Iterator<Item = (u64, &Event)> {
        self.events_inside().filter(move |(_, event)| message(event).unwrap_or(&event.message) == text)
    }

    fn only(&self, text: &str) -> (u64, &Event) {
        let found: Vec<_> = self.with_text(text).collect();
        assert_eq!(found.len(), 1, "{text} in {:#?}", self.events);
        found[0]
    }

    /// Returns the only event with this message.
    pub fn event(&self, text: &str) -> &Event {
        self.only(text).1
    }

    /// Returns the name of the span that the only event with this message is in.
    pub fn span_of(&self, text: &str) -> &str {
        self.name(self.only(text).0)
    }

    /// Returns the number of events with this message.
    pub fn count(&self, text: &str) -> usize {
        self.with_text(text).count()
    }

    /// Requires that each span started and ended once, and was left as often as it was entered.
    pub fn assert_whole(&self) {
        for span in self.spans.values() {
            assert_eq!((span.started, span.entered, span.ended), (1, span.left, 1), "{span:?}");
        }
        assert!(self.strays == 0 && self.stacks.values().all(Vec::is_empty), "{:?}", self.stacks);
    }
}

impl Span {
    fn add_values(&mut self, role: Role, event: &Event) {
        let values = event.values.iter().filter(|(_, role, value)| *role == Role::Value && value != "Absent");
        let values = values.map(|(name, _, value)| (name.clone(), value.clone()));
        let text = |role| event.values.iter().find(|(_, of, _)| *of == role).map(|(.., value)| value.clone());
        match (role, event.span(Role::Parent)) {
            // Also a start that is recorded again, because the ring can overwrite it.
            (Role::Start | Role::Begin | Role::Update, Some(parent)) => {
                (self.name, self.parent) = (event.message.clone(), parent);
                let later = std::mem::replace(&mut self.values, values.collect());
                self.values.extend(later);
            }
            (Role::Update, None) => {
                self.values.extend(values);
                self.follows.extend(event.span(Role::Follows));
                self.remote = self.remote.take().or(text(Role::Trace).zip(text(Role::RemoteParent)));
                self.known.extend(text(Role::Trace).zip(text(Role::KnownAs)));
            }
            (Role::Start | Role::Begin, None) => panic!("no parent in {event:?}"),
            _ => {}
        }
    }
}

/// Overwrites a small ring in open spans, which the service thread records again meanwhile; then waits to be killed.
pub fn overwrite_and_wait(recorder: &Recorder) -> ! {
    // Not faster than the service thread looks: the ring lasts for half a second.
    let text = "x".repeat(1000);
    for _ in 0..3000 {
        ttlog_std::info!("filling", text);
        std::thread::sleep(Duration::from_micros(500));
    }
    assert!(recorder.loss().overwritten > 1000);
    // The service thread looks ten times a second.
    std::thread::sleep(Duration::from_millis(500));
    println!("ready");
    loop {
        std::thread::park();
    }
}

/// Kills a child that waits for it, and returns the events of its ring.
pub fn events_of_killed(place: &Place, mut child: Command) -> Vec<Event> {
    let mut child = child.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("ready")));
    child.kill().unwrap();
    child.wait().unwrap();
    RingContents::read(&place.ring_files()[0]).events.into_iter().map(|event| event.event).collect()
}

/// Returns the text of the field `message`, which events of `tracing` and `log` have.
pub fn message(event: &Event) -> Option<&str> {
    event.fields.get("message").map(String::as_str)
}

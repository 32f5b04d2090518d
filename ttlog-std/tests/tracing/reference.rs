//! Random programs, recorded by our layer and by a plain one beside it, which asks the registry: parents must agree.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::span::Attributes;
use tracing::{Dispatch, Event, Id, Span, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::prelude::*;
use tracing_subscriber::registry::LookupSpan;
use ttlog_core::event::Role;

use super::Case;
use super::common::Place;
use super::common::ring::RingContents;
use super::tree::Tree;

pub const CASES: &[Case] = &[("random", random)];

/// Numbers of the parents of spans and events, by the numbers of these; 0: none.
type Parents = BTreeMap<u64, u64>;

/// A layer that asks the registry.
#[derive(Clone, Default)]
struct Reference(Arc<Mutex<[Parents; 2]>>);

/// Number of a span, in the registry.
struct Number(u64);

/// Finds the field `number`.
struct Find(u64);

impl Visit for Find {
    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "number" {
            self.0 = value;
        }
    }
    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Reference {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut number = Find(0);
        attributes.record(&mut number);
        let span = context.span(id).unwrap();
        let parent = span.parent().map_or(0, |parent| parent.extensions().get::<Number>().unwrap().0);
        span.extensions_mut().insert(Number(number.0));
        self.0.lock().unwrap()[0].insert(number.0, parent);
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut number = Find(0);
        event.record(&mut number);
        let span = context.event_span(event).map_or(0, |span| span.extensions().get::<Number>().unwrap().0);
        self.0.lock().unwrap()[1].insert(number.0, span);
    }
}

/// A span that the program has, and how often the thread is in it.
struct Held {
    span: Span,
    depth: usize,
}

/// Numbers that look random, the same in each run of a seed.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end
    }
}

fn random() {
    let seed = std::env::var("TTLOG_TEST_SEED").unwrap().parse().unwrap();
    let recorder = ttlog_std::Recorder::builder().capacity_bytes(32 << 20).build().unwrap();
    let reference = Reference::default();
    let dispatch = Dispatch::new(tracing_subscriber::registry().with(reference.clone()).with(recorder.layer()));
    tracing::dispatcher::set_global_default(dispatch.clone()).unwrap();
    let mut random = Random(seed);
    let mut held: Vec<Held> = Vec::new();
    for number in 1..20_000_u64 {
        let index = random.below(held.len().max(1));
        let one = held.get_mut(index);
        match (random.below(10), one) {
            (0, Some(one)) => {
                let span = tracing::info_span!(parent: &one.span, "explicit", number);
                held.push(new(span));
            }
            (1, _) => held.push(new(tracing::info_span!(parent: None, "root", number))),
            (2, _) => held.push(new(tracing::info_span!("contextual", number))),
            (3 | 4, Some(one)) if one.depth < 3 => {
                dispatch.enter(&one.span.id().unwrap());
                one.depth += 1;
            }
            (5 | 6, Some(one)) if one.depth > 0 => {
                dispatch.exit(&one.span.id().unwrap());
                one.depth -= 1;
            }
            (7, Some(one)) if one.depth == 0 => drop(held.swap_remove(index)),
            (8, Some(one)) => tracing::info!(parent: &one.span, number, "explicit"),
            (9, _) => tracing::info!(parent: None, number, "root"),
            _ => tracing::info!(number, "contextual"),
        }
        if held.len() > 40 {
            held.retain(|one| one.depth > 0);
        }
    }
    let tree = Tree::new(RingContents::read(recorder.ring_path().unwrap()));
    let number = |id: u64| if id == 0 { 0 } else { parse(&tree.spans[&id].values["number"]) };
    let spans: Parents = tree.spans.values().map(|span| (parse(&span.values["number"]), number(span.parent))).collect();
    let events: Parents = tree
        .events
        .iter()
        .map(|event| (parse(event.value("number")), number(event.span(Role::Span).unwrap())))
        .collect();
    let expected = reference.0.lock().unwrap();
    assert!(spans.len() > 2000 && events.len() > 5000, "{} {}", spans.len(), events.len());
    assert_eq!([spans, events], *expected, "seed {seed}");
}

fn new(span: Span) -> Held {
    Held { span, depth: 0 }
}

fn parse(value: &str) -> u64 {
    value.strip_prefix("u64 ").unwrap().parse().unwrap()
}

#[test]
fn parents_are_those_that_the_registry_knows() {
    for seed in 1..6 {
        let place = Place::new(&format!("tracing-random-{seed}"));
        let mut command = place.child("random");
        command.env("TTLOG_TEST_SEED", seed.to_string());
        let output = super::common::finish(command);
        assert!(output.status.success(), "{}", super::common::stderr(&output));
    }
}

//! One program, as the mock of `tracing` expects it beside our layer, and as it is in the ring.

use tracing::field::Empty;
use tracing::{debug, info, info_span, warn};
use tracing_mock::{expect, layer};
use tracing_subscriber::prelude::*;
use ttlog_core::event::Role;

use super::tree::message;
use super::{Case, ring_of};

pub const CASES: &[Case] = &[("mock", mock)];

fn program() {
    let outer = info_span!("outer", answer = 42_u64, later = Empty);
    let in_outer = outer.enter();
    info!(price = 1.5, symbol = "ACME", "executed");
    let inner = tracing::debug_span!(target: "other", "inner", yes = true);
    inner.in_scope(|| {
        debug!("deep");
        warn!(parent: &outer, number = -5_i64, "of outer");
        info!(parent: None, "of none");
    });
    let root = info_span!(parent: None, "root");
    root.in_scope(|| info!("in root"));
    drop(in_outer);
    info!("in none");
    drop((inner, root, outer));
}

fn mock() {
    let recorder = ttlog_std::Recorder::builder().build().unwrap();
    let span = |name: &'static str| expect::span().named(name);
    let event = |text: &'static str| expect::event().with_fields(expect::msg(text));
    let outer = span("outer").with_ancestry(expect::is_contextual_root());
    let inner = span("inner").with_target("other").with_ancestry(expect::has_contextual_parent("outer"));
    let deep = event("deep").at_level(tracing::Level::DEBUG).with_ancestry(expect::has_contextual_parent("inner"));
    let fields = expect::field("price").with_value(&1.5).and(expect::field("symbol").with_value(&"ACME"));
    let executed = expect::event().with_fields(fields.and(expect::msg("executed")).only());
    let (mock, handle) = layer::mock()
        .new_span(outer.with_fields(expect::field("answer").with_value(&42_u64).only()))
        .enter(span("outer"))
        .event(executed.with_ancestry(expect::has_contextual_parent("outer")))
        .new_span(inner.with_fields(expect::field("yes").with_value(&true).only()))
        .enter(span("inner"))
        .event(deep)
        .event(event("of outer").with_ancestry(expect::has_explicit_parent("outer")))
        .event(event("of none").with_ancestry(expect::is_explicit_root()))
        .exit(span("inner"))
        .new_span(span("root").with_ancestry(expect::is_explicit_root()))
        .enter(span("root"))
        .event(event("in root").with_ancestry(expect::has_contextual_parent("root")))
        .exit(span("root"))
        .exit(span("outer"))
        .event(event("in none").with_ancestry(expect::is_contextual_root()))
        .only()
        .run_with_handle();
    let subscriber = tracing_subscriber::registry().with(mock).with(recorder.layer());
    tracing::subscriber::with_default(subscriber, program);
    handle.assert_finished();
}

#[test]
fn program_as_the_mock_expects_it() {
    let ring = ring_of("mock");
    assert_eq!(ring.loss.dropped_total(), 0);
    // What is in the segments kept for warnings comes last in the ring, so the order is that of the clock.
    let mut events: Vec<_> = ring.events.iter().collect();
    events.sort_by_key(|event| event.ticks);
    let names: std::collections::BTreeMap<u64, &str> = events
        .iter()
        .filter_map(|event| Some((event.event.span(Role::Start)?, event.event.message.as_str())))
        .collect();
    let name = |id: u64| names.get(&id).copied().unwrap_or("-");
    let own = |event: &super::common::Event| {
        let own = event.values.iter().filter(|(key, role, _)| *role == Role::Value && key != "message");
        own.map(|(key, _, value)| format!(" {key}={value}")).collect::<String>()
    };
    let lines: Vec<_> = events
        .iter()
        .map(|event| {
            let event = &event.event;
            for (role, verb) in [(Role::Enter, "enter"), (Role::Leave, "leave"), (Role::End, "end")] {
                if let Some(id) = event.span(role) {
                    return format!("{verb} {}", name(id));
                }
            }
            match (event.span(Role::Start), event.span(Role::Parent), event.span(Role::Span)) {
                (Some(id), Some(parent), _) => format!("new {} in {}{}", name(id), name(parent), own(event)),
                (_, _, Some(span)) => format!("{} in {}{}", message(event).unwrap(), name(span), own(event)),
                _ => panic!("{event:?}"),
            }
        })
        .collect();
    let expected = [
        "new outer in - answer=u64 42 later=Absent",
        "enter outer",
        "executed in outer price=F64(1.5) symbol=str ACME",
        "new inner in outer yes=Bool(true)",
        "enter inner",
        "deep in inner",
        "of outer in outer number=i64 -5",
        "of none in -",
        "leave inner",
        "new root in -",
        "enter root",
        "in root in root",
        "leave root",
        "leave outer",
        "in none in -",
        "end inner",
        "end root",
        "end outer",
    ];
    assert_eq!(lines, expected);
}

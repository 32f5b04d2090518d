//! Durations of spans in random programs on several threads, as the viewer shows them: between those that two layers
//! around ours have measured.
#![cfg(target_os = "linux")]

mod support;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value as Json;
use tracing::field::{Field, Visit};
use tracing::span::Attributes;
use tracing::{Dispatch, Id, Span, Subscriber, info_span};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::prelude::*;
use tracing_subscriber::registry::LookupSpan;

use support::{directory, view};

/// Environment variable with the seed of the program that a child runs.
const SEED: &str = "TTLOG_VIEW_DURATIONS_SEED";

const SPANS: u64 = 200;
const THREADS: u64 = 3;

#[derive(Clone, Copy, PartialEq)]
enum Step {
    Start,
    Enter,
    Leave,
    End,
}

/// A step of a span, and the times before and after our layer got it, in nanoseconds.
struct Measured {
    span: u64,
    step: Step,
    thread: u64,
    before: u64,
    after: u64,
}

thread_local! {
    static THREAD: Cell<u64> = const { Cell::new(0) };
    /// Time at which the outer layer got the step that is under way.
    static BEFORE: Cell<u64> = const { Cell::new(0) };
}

/// A layer that measures: `is_first` before our layer, the other one after it.
#[derive(Clone)]
struct Measures {
    is_first: bool,
    begun: Instant,
    steps: Arc<Mutex<Vec<Measured>>>,
}

/// Number of a span, in the registry.
struct Number(u64);

impl Visit for Number {
    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "number" {
            self.0 = value;
        }
    }
    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}

impl Measures {
    fn now(&self) -> u64 {
        self.begun.elapsed().as_nanos() as u64
    }

    fn measure<S: Subscriber + for<'a> LookupSpan<'a>>(&self, id: &Id, step: Step, context: &Context<'_, S>) {
        let now = self.now();
        if self.is_first {
            BEFORE.set(now);
            return;
        }
        let span = context.span(id).expect("it is not closed yet").extensions().get::<Number>().expect("a number").0;
        let (before, thread) = (BEFORE.get(), THREAD.get());
        self.steps.lock().unwrap().push(Measured { span, step, thread, before, after: now });
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Measures {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if self.is_first {
            let mut number = Number(0);
            attributes.record(&mut number);
            context.span(id).expect("it is new").extensions_mut().insert(number);
        }
        self.measure(id, Step::Start, &context);
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        self.measure(id, Step::Enter, &context);
    }

    fn on_exit(&self, id: &Id, context: Context<'_, S>) {
        self.measure(id, Step::Leave, &context);
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        self.measure(&id, Step::End, &context);
    }
}

/// Numbers that look random, the same in each run of a seed.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    /// Is busy for some microseconds.
    fn spin(&mut self) {
        let end = Instant::now() + Duration::from_nanos(self.below(20_000));
        while Instant::now() < end {}
    }
}

/// Not a test: entry point of the children.
#[test]
#[ignore = "run by the other test in a child process"]
fn child() {
    let Some(seed) = std::env::var(SEED).ok().and_then(|seed| seed.parse().ok()) else { return };
    let recorder = ttlog_std::Recorder::init(100_000, 100, "random");
    let first = Measures { is_first: true, begun: Instant::now(), steps: Arc::default() };
    let last = Measures { is_first: false, ..first.clone() };
    let layers = tracing_subscriber::registry().with(first.clone()).with(recorder.layer()).with(last);
    let dispatch = Dispatch::new(layers);
    tracing::dispatcher::set_global_default(dispatch.clone()).expect("the first one");
    run(seed, &dispatch);
    for Measured { span, step, thread, before, after } in &*first.steps.lock().unwrap() {
        println!("step {span} {} {thread} {before} {after}", *step as u8);
    }
    println!("ready");
}

/// Enters and leaves the same spans on several threads at once, in any order.
fn run(seed: u64, dispatch: &Dispatch) {
    let mut random = Random(seed);
    let mut spans: Vec<Span> = (1..=SPANS)
        .map(|number| {
            random.spin();
            info_span!(parent: None, "span", number)
        })
        .collect();
    std::thread::scope(|scope| {
        for thread in 1..=THREADS {
            let (spans, mut random) = (&spans, Random(seed * 1000 + thread));
            scope.spawn(move || {
                THREAD.set(thread);
                let mut inside: Vec<Id> = Vec::new();
                for _ in 0..3000 {
                    match random.below(2) {
                        0 if inside.len() < 8 => {
                            // A few of them more often, so that threads meet.
                            let end = if random.below(2) == 0 { 4 } else { SPANS - 5 };
                            let id = spans[random.below(end) as usize].id().expect("it is on");
                            dispatch.enter(&id);
                            inside.push(id);
                        }
                        _ if !inside.is_empty() => {
                            let index = random.below(inside.len() as u64) as usize;
                            dispatch.exit(&inside.swap_remove(index));
                        }
                        _ => {}
                    }
                    if random.below(4) == 0 {
                        random.spin();
                    }
                }
                inside.iter().for_each(|id| dispatch.exit(id));
            });
        }
    });
    while !spans.is_empty() {
        drop(spans.swap_remove(random.below(spans.len() as u64) as usize));
        random.spin();
    }
}

/// Least and greatest duration.
type Bounds = (u64, u64);

/// Returns the bounds of the total and the busy time of a span.
fn bounds(steps: &[Measured]) -> (Bounds, Bounds) {
    let only = |step| steps.iter().find(|of| of.step == step).expect("it has started and ended");
    let (start, end) = (only(Step::Start), only(Step::End));
    let total = (end.before.saturating_sub(start.after), end.after - start.before);
    // Which of a thread's enters a leave undoes makes no difference to the time that it was inside.
    let mut entered: BTreeMap<u64, Vec<&Measured>> = BTreeMap::new();
    let (mut least, mut greatest) = (Vec::new(), Vec::new());
    for step in steps {
        match step.step {
            Step::Enter => entered.entry(step.thread).or_default().push(step),
            Step::Leave => {
                let enter = entered.get_mut(&step.thread).and_then(Vec::pop).expect("it was entered");
                least.push((enter.after, step.before));
                greatest.push((enter.before, step.after));
            }
            _ => {}
        }
    }
    (total, (covered(least), covered(greatest)))
}

/// Returns the time that at least one of these covers.
fn covered(mut times: Vec<(u64, u64)>) -> u64 {
    times.sort_unstable();
    let (mut sum, mut up_to) = (0, 0);
    for (from, until) in times {
        sum += until.saturating_sub(from.max(up_to));
        up_to = up_to.max(until);
    }
    sum
}

/// Runs the program of a seed, and returns the steps of each span as measured.
fn measure(seed: u64, dir: &std::path::Path) -> BTreeMap<u64, Vec<Measured>> {
    let output = Command::new(std::env::current_exe().expect("this program has a path"))
        .args(["child", "--exact", "--nocapture", "--ignored", "--test-threads=1"])
        .env(SEED, seed.to_string())
        .env("TTLOG_DIR", dir.join("rings"))
        .env("TTLOG_SNAPSHOT_DIR", dir.join("snapshots"))
        .stderr(Stdio::inherit())
        .output()
        .expect("the test binary can be started");
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(output.status.success() && text.contains("ready"), "{text}");
    let mut steps: BTreeMap<u64, Vec<Measured>> = BTreeMap::new();
    for line in text.lines() {
        let Some((_, numbers)) = line.split_once("step ") else { continue };
        let numbers: Vec<u64> = numbers.split(' ').map(|number| number.parse().expect("a number")).collect();
        let [span, step, thread, before, after] = numbers[..] else { panic!("{line}") };
        let step = [Step::Start, Step::Enter, Step::Leave, Step::End][step as usize];
        steps.entry(span).or_default().push(Measured { span, step, thread, before, after });
    }
    steps.values_mut().for_each(|steps| steps.sort_by_key(|step| step.before));
    steps
}

#[test]
fn durations_are_those_that_other_layers_measure() {
    for seed in 1..=4 {
        let dir = directory(&format!("durations-{seed}"));
        let measured = measure(seed, &dir);
        assert_eq!(measured.len() as u64, SPANS);
        let shown = view(&dir, &["--spans", "--format", "ndjson", "rings"]);
        let mut count = 0;
        for line in shown.out.lines() {
            let span: Json = serde_json::from_str(line).expect("JSON");
            let number = |name: &str| span[name].as_u64().unwrap_or_else(|| panic!("{name} in {span}"));
            let steps = &measured[&span["span"]["number"].as_u64().expect("a number")];
            let (total, busy) = bounds(steps);
            assert_eq!(span["state"], "ended", "{span}");
            assert_eq!(number("entered"), steps.iter().filter(|step| step.step == Step::Enter).count() as u64);
            assert_within(number("total_ns"), total, &span);
            assert_within(number("busy_ns"), busy, &span);
            assert_eq!(number("idle_ns"), number("total_ns") - number("busy_ns"));
            count += 1;
        }
        assert_eq!(count, SPANS);
    }
}

/// Requires that a duration is within its bounds, but for the difference of the clocks.
fn assert_within(shown: u64, (least, greatest): Bounds, span: &Json) {
    let slack = 1000 + greatest / 500;
    assert!(
        (least.saturating_sub(slack)..=greatest + slack).contains(&shown),
        "{shown} not in {least}..={greatest}: {span}"
    );
}

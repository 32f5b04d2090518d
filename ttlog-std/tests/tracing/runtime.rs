//! Tasks of tokio, of both kinds of runtime: many at once, dropped midway, panicking, and killed.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;
use tokio::task::LocalSet;
use tracing::{Instrument as _, Span, info, info_span};
use ttlog_core::event::Role;

use super::common::Place;
use super::common::ring::RingContents;
use super::tree::Tree;
use super::{Case, WAY, install};

pub const CASES: &[Case] = &[("tokio", all), ("tokio-await", guards_held), ("tokio-kill", killed)];

/// Environment variable with the kind of runtime.
const KIND: &str = "TTLOG_TEST_RUNTIME";
const TASKS: u64 = 10_000;

fn runtime() -> Runtime {
    let mut builder = match std::env::var(KIND).as_deref() {
        Ok("current-thread") => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    builder.enable_time().build().unwrap()
}

/// Runs a case with each kind of runtime, and with the layer and the subscriber.
fn with_all(case: &str, check: impl Fn(RingContents)) {
    for kind in ["multi-thread", "current-thread"] {
        for way in ["layer", "subscriber"] {
            let place = Place::new(&format!("tracing-{case}-{kind}-{way}"));
            let mut command = place.child(case);
            command.env(KIND, kind).env(WAY, way);
            let output = super::common::finish(command);
            assert!(output.status.success(), "{kind}, {way}: {}", super::common::stderr(&output));
            check(RingContents::read(&place.ring_files()[0]));
        }
    }
}

/// The fates of tasks, by their numbers.
fn is_aborted(number: u64) -> bool {
    number % 10 == 3
}
fn panics(number: u64) -> bool {
    number % 100 == 7
}
fn blocks(number: u64) -> bool {
    number % 100 == 8
}

async fn work(number: u64, arrived: Arc<Semaphore>, go: Arc<Semaphore>) {
    info!(number, "begins");
    let step = async {
        arrived.add_permits(1);
        // All tasks are here, in two spans each.
        let _permit = go.acquire().await;
        tokio::task::yield_now().await;
        if panics(number) {
            std::panic::panic_any(number);
        }
        if blocks(number) {
            let span = Span::current();
            // A span of this task, entered on a thread for blocking work.
            tokio::task::spawn_blocking(move || span.in_scope(|| info!(number, "blocks"))).await.unwrap();
        }
    };
    step.instrument(info_span!("step", number)).await;
    Span::current().record("result", number);
    info!(number, "ends");
}

fn all() {
    let _recorder = match std::env::var(WAY).as_deref() {
        Ok("subscriber") => {
            let recorder = ttlog_std::Recorder::builder().capacity_bytes(32 << 20).build().unwrap();
            tracing::subscriber::set_global_default(ttlog_std::tracing::subscriber()).unwrap();
            recorder
        }
        _ => {
            use tracing_subscriber::prelude::*;
            let recorder = ttlog_std::Recorder::builder().capacity_bytes(32 << 20).build().unwrap();
            tracing_subscriber::registry().with(recorder.layer()).init();
            recorder
        }
    };
    std::panic::set_hook(Box::new(|_| ()));
    let runtime = runtime();
    let (arrived, go) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    runtime.block_on(async {
        let spawn = |number| {
            let span = info_span!("task", number, result = tracing::field::Empty);
            (number, tokio::spawn(work(number, arrived.clone(), go.clone()).instrument(span)))
        };
        let tasks: Vec<_> = (0..TASKS).map(spawn).collect();
        let _ = arrived.acquire_many(TASKS as u32).await.unwrap();
        tasks.iter().filter(|(number, _)| is_aborted(*number)).for_each(|(_, task)| task.abort());
        go.add_permits(TASKS as usize);
        for (number, task) in tasks {
            let result = task.await;
            assert_eq!(result.is_err(), is_aborted(number) || panics(number), "{number}");
        }
        // Left to the end of the runtime.
        for number in 0..100_u64 {
            tokio::spawn(std::future::pending::<()>().instrument(info_span!("abandoned", number)));
        }
        tokio::task::yield_now().await;
    });
    runtime.shutdown_timeout(Duration::from_secs(10));
    info!("after the runtime");
}

#[test]
fn ten_thousand_tasks_at_once() {
    with_all("tokio", |ring| {
        assert_eq!((ring.loss.dropped_total(), ring.loss.overwritten), (0, 0));
        let tree = Tree::new(ring);
        let of = |name: &str| tree.spans.values().filter(|span| span.name == name).count() as u64;
        assert_eq!((of("task"), of("step"), of("abandoned")), (TASKS, TASKS, 100));
        for span in tree.spans.values() {
            assert_eq!((span.entered, span.ended), (span.left, 1), "{span:?}");
            let number: u64 = span.values["number"].strip_prefix("u64 ").unwrap().parse().unwrap();
            if span.name == "step" {
                let task = &tree.spans[&span.parent];
                assert_eq!((task.name.as_str(), &task.values["number"]), ("task", &span.values["number"]));
            } else {
                assert_eq!(span.parent, 0);
                let ends = span.name == "task" && !is_aborted(number) && !panics(number);
                assert_eq!(span.values.contains_key("result"), ends, "{span:?}");
            }
        }
        for event in tree.events.iter().filter(|event| event.values.len() > 2) {
            let span = &tree.spans[&event.span(Role::Span).unwrap()];
            let name = if event.fields["message"] == "blocks" { "step" } else { "task" };
            assert_eq!((span.name.as_str(), span.values["number"].as_str()), (name, event.value("number")));
        }
        let numbers = || 0..TASKS;
        let ends = numbers().filter(|number| !is_aborted(*number) && !panics(*number)).count();
        assert_eq!((tree.count("begins") as u64, tree.count("ends")), (TASKS, ends));
        assert_eq!(tree.count("blocks"), numbers().filter(|number| blocks(*number)).count());
        assert_eq!(tree.name(tree.event("after the runtime").span(Role::Span).unwrap()), "-");
    });
}

fn guards_held() {
    let _recorder = install();
    let wrong = |number: u64| async move {
        let span = info_span!("wrong", number);
        // Held across `.await`, which leaves the span entered while other tasks run.
        let _guard = span.enter();
        for _ in 0..10 {
            tokio::task::yield_now().await;
            let _ = Span::current();
            info!(number, "amid");
        }
    };
    // The guards cannot be sent, so a thread polls them all, and two threads do so at once.
    std::thread::scope(|scope| {
        for thread in 0..2_u64 {
            scope.spawn(move || {
                let runtime = Builder::new_current_thread().build().unwrap();
                LocalSet::new().block_on(&runtime, async {
                    let tasks: Vec<_> = (0..500).map(|n| tokio::task::spawn_local(wrong(thread * 1000 + n))).collect();
                    // Some are dropped while their guards are held.
                    tokio::task::yield_now().await;
                    tasks.iter().step_by(7).for_each(|task| task.abort());
                    for task in tasks {
                        let _ = task.await; // those that were dropped
                    }
                });
                info!("afterwards");
            });
        }
    });
}

#[test]
fn guards_held_across_await() {
    for way in ["layer", "subscriber"] {
        let place = Place::new(&format!("tracing-tokio-await-{way}"));
        let mut command = place.child("tokio-await");
        command.env(WAY, way);
        let output = super::common::finish(command);
        assert!(output.status.success(), "{}", super::common::stderr(&output));
        let ring = RingContents::read(&place.ring_files()[0]);
        assert_eq!(ring.loss.dropped_total(), 0);
        // Per span, in its thread's order: busy from each entering to the leaving after it.
        let mut entered: BTreeMap<u64, u64> = BTreeMap::new();
        let mut busy: BTreeMap<u64, u64> = BTreeMap::new();
        for event in &ring.events {
            if let Some(id) = event.event.span(Role::Enter) {
                assert_eq!(entered.insert(id, event.ticks), None, "entered twice");
            } else if let Some(id) = event.event.span(Role::Leave) {
                let since = entered.remove(&id).expect("it was entered");
                *busy.entry(id).or_default() += event.ticks.checked_sub(since).expect("busy is not negative");
            }
        }
        assert!(entered.is_empty());
        let tree = Tree::new(ring);
        // But those that were dropped before they were polled.
        assert!(tree.spans.len() > 800 && tree.spans.len() == busy.len(), "{} {}", tree.spans.len(), busy.len());
        assert!(tree.spans.values().all(|span| (span.entered, span.left, span.ended) == (1, 1, 1)));
        for event in tree.events.iter().filter(|event| event.fields["message"] == "afterwards") {
            assert_eq!(event.span(Role::Span), Some(0), "no span is left on the thread");
        }
    }
}

fn killed() {
    let _recorder = install();
    runtime().block_on(async {
        for number in 0..100_u64 {
            let task = async move {
                for round in 0_u64.. {
                    async { info!(number, round, "works") }.instrument(info_span!("step", number, round)).await;
                    if number == 0 && round == 100 {
                        println!("ready");
                    }
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            };
            tokio::spawn(task.instrument(info_span!("task", number)));
        }
        std::future::pending::<()>().await;
    });
}

#[test]
fn killed_amid_tasks() {
    for kind in ["multi-thread", "current-thread"] {
        let place = Place::new(&format!("tracing-tokio-kill-{kind}"));
        let mut child = place.child("tokio-kill").env(KIND, kind).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().contains("ready")));
        child.kill().unwrap();
        child.wait().unwrap();
        let ring = RingContents::read(&place.ring_files()[0]);
        assert_eq!((ring.loss.dropped_total(), ring.loss.overwritten), (0, 0));
        let mut last = BTreeMap::new();
        for event in ring.events.iter().filter(|event| event.event.fields.contains_key("round")) {
            let Some(number) = event.event.fields.get("number") else { continue };
            let round: u64 = event.event.fields["round"].parse().unwrap();
            let known: &mut u64 = last.entry(number.clone()).or_default();
            *known = round.max(*known);
        }
        assert!(last.len() == 100 && last["0"] >= 100, "{last:?}");
        let tree = Tree::new(ring);
        let open: Vec<_> = tree.spans.values().filter(|span| span.ended == 0 && span.name == "task").collect();
        assert_eq!(open.len(), 100, "all tasks are open");
        // Each thread was in at most one step.
        let steps = tree.spans.values().filter(|span| span.ended == 0 && span.name == "step").count();
        assert!(steps <= 64, "{steps}");
    }
}

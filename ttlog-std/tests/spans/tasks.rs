//! Futures in spans, on executors of one thread and of several.

use std::future::{Future, pending, poll_fn};
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use ttlog_std::{InSpanExt as _, Span, SpanContext, info, info_span};

use super::{Case, install, tree_of};

pub const CASES: &[Case] =
    &[("many", many), ("one-thread", one_thread), ("drops", drops), ("local", local), ("panicking", panicking)];

const TASKS: u64 = 10_000;

/// Polls a future until it is ready.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return output;
        }
    }
}

async fn work(task: u64) {
    info!("begins", task);
    let outside = Span::current();
    tokio::task::yield_now().await;
    let step = async {
        assert_ne!(Span::current(), outside);
        tokio::task::yield_now().await;
        if task % 100 == 7 {
            std::panic::panic_any(task);
        }
        info!("step", task);
    };
    step.in_span(info_span!("step", task)).await;
    assert_eq!(Span::current(), outside);
    let inner =
        tokio::spawn(async move { info!("spawned", task) }.in_span(info_span!(parent: outside, "spawned", task)));
    inner.await.unwrap();
    info!("ends", task);
}

fn run(runtime: tokio::runtime::Runtime) {
    let _recorder = install();
    std::panic::set_hook(Box::new(|_| ()));
    runtime.block_on(async {
        let spawn = |task| tokio::spawn(work(task).in_span(info_span!("task", task)));
        let handles: Vec<_> = (0..TASKS).map(spawn).collect();
        for (task, handle) in handles.into_iter().enumerate() {
            // Some are dropped at an await, or before their first poll, or were done already.
            if task % 100 == 13 {
                handle.abort();
            }
            let _ = handle.await;
        }
        assert_eq!(Span::current(), SpanContext::NONE);
    });
    drop(runtime);
}

fn many() {
    run(tokio::runtime::Builder::new_multi_thread().worker_threads(4).build().unwrap());
}

fn one_thread() {
    run(tokio::runtime::Builder::new_current_thread().build().unwrap());
}

#[test]
fn ten_thousand_tasks() {
    for case in ["many", "one-thread"] {
        let tree = tree_of(case);
        tree.assert_whole();
        let named = |name: &str| tree.spans.values().filter(|span| span.name == name).count() as u64;
        assert_eq!(named("task"), TASKS);
        assert!(tree.count("ends") as u64 >= TASKS / 100 * 98, "{}", tree.count("ends"));
        for span in tree.spans.values().filter(|span| span.name != "task") {
            let task = &tree.spans[&span.parent];
            assert_eq!((task.name.as_str(), &task.values["task"]), ("task", &span.values["task"]));
        }
        for (span, event) in tree.events_inside() {
            let span = &tree.spans[&span];
            let expected = match event.message.as_str() {
                "step" | "spawned" => event.message.as_str(),
                _ => "task",
            };
            assert_eq!((span.name.as_str(), span.values["task"].as_str()), (expected, event.value("task")));
        }
    }
}

/// Logs when it is dropped.
struct LogsAtDrop(&'static str);

impl Drop for LogsAtDrop {
    fn drop(&mut self) {
        info!("dropped", what = self.0);
    }
}

fn drops() {
    let _recorder = install();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let never = |what: &'static str| async move {
        let _logs = LogsAtDrop(what);
        pending::<()>().await;
    };
    runtime.block_on(async {
        let slow = never("timed out").in_span(info_span!("timed out"));
        tokio::time::timeout(Duration::from_millis(5), slow).await.unwrap_err();
        // The first of two that is ready: the other is dropped midway.
        let mut loser = Box::pin(never("loser").in_span(info_span!("loser")));
        let mut winner = Box::pin(async { 7 }.in_span(info_span!("winner")));
        let first = poll_fn(|context| match loser.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(0),
            Poll::Pending => winner.as_mut().poll(context),
        });
        assert_eq!(first.await, 7);
    });
    // Never polled, and dropped on another thread than it was polled on.
    drop(never("unpolled").in_span(info_span!("unpolled")));
    let mut moved = Box::pin(never("moved").in_span(info_span!("moved")));
    assert!(moved.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    std::thread::spawn(move || drop(moved)).join().unwrap();
    // One that the runtime drops when it is shut down.
    runtime.spawn(never("shut down").in_span(info_span!("shut down")));
    runtime.block_on(tokio::task::yield_now());
    drop(runtime);
}

#[test]
fn futures_dropped_midway_end_their_spans() {
    let tree = tree_of("drops");
    tree.assert_whole();
    assert_eq!(tree.spans.len(), 6);
    let in_own: Vec<_> = tree.events_inside().map(|(span, event)| (tree.name(span), event.value("what"))).collect();
    assert_eq!(in_own.len(), 4, "what was never polled has nothing to drop: {in_own:?}");
    assert!(in_own.iter().all(|(span, what)| format!("str {span}") == *what), "{in_own:?}");
}

fn local() {
    let _recorder = install();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let local = tokio::task::LocalSet::new();
    // Guards across `.await` are left in another order than they were entered in. That is a mistake, which must not do
    // any harm.
    let task = |name: u64, yields: u64| async move {
        let span = info_span!("guard", name);
        let _guard = span.enter();
        for _ in 0..yields {
            tokio::task::yield_now().await;
        }
        let _inner = ttlog_std::info_scope!("inner", name);
        tokio::task::yield_now().await;
    };
    let tasks: Vec<_> = (0..100).map(|name| local.spawn_local(task(name, name * 7 % 5))).collect();
    local.block_on(&runtime, async {
        for task in tasks {
            task.await.unwrap();
        }
    });
    assert_eq!(Span::current(), SpanContext::NONE);
}

#[test]
fn guards_held_across_await_do_no_harm() {
    let tree = tree_of("local");
    tree.assert_whole();
    assert_eq!(tree.spans.len(), 200);
}

fn panicking() {
    let _recorder = install();
    std::panic::set_hook(Box::new(|_| ()));
    let future = async {
        let _logs = LogsAtDrop("panicking");
        panic!("on purpose");
    };
    let mut future = Box::pin(future.in_span(info_span!("panicking")));
    let poll = || future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(std::panic::catch_unwind(AssertUnwindSafe(poll)).is_err());
    assert_eq!(Span::current(), SpanContext::NONE);
    info!("between");
}

#[test]
fn panic_in_a_future_leaves_its_span() {
    let tree = tree_of("panicking");
    tree.assert_whole();
    assert_eq!((tree.span_of("dropped"), tree.span_of("between")), ("panicking", "-"));
}

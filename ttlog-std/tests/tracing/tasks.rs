//! Tasks: futures with spans, polled in turns by several threads, some of them dropped midway.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use tracing::{Instrument as _, info, info_span};
use ttlog_core::event::Role;

use super::tree::Tree;
use super::{Case, install, rings_of};

pub const CASES: &[Case] = &[("tasks", tasks)];

const TASKS: u64 = 10_000;
/// One of this number of tasks is dropped before its end, and one panics.
const DROPPED: u64 = 10;

/// Is ready at the second poll.
struct Once(bool);

impl Future for Once {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) { Poll::Ready(()) } else { Poll::Pending }
    }
}

async fn work(number: u64) {
    Once(false).await;
    let step = async {
        info!(number, "begins");
        Once(false).await;
        if number % DROPPED == 5 {
            std::panic::panic_any(number);
        }
        info!(number, "ends");
    };
    step.instrument(info_span!("step", number)).await;
}

/// A task: its number, how often it was polled, and its future.
type Task = (u64, usize, Pin<Box<dyn Future<Output = ()> + Send>>);

/// Polls tasks in turns until none is left.
fn run(tasks: &Mutex<VecDeque<Task>>, open: &AtomicUsize) {
    let mut context = Context::from_waker(Waker::noop());
    while open.load(Ordering::Relaxed) > 0 {
        let Some((number, polls, mut task)) = tasks.lock().unwrap().pop_front() else { continue };
        let polled = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| task.as_mut().poll(&mut context)));
        // After the second poll it is in its inner span.
        let is_dropped = number % DROPPED == 0 && polls == 1;
        if polled.is_ok_and(|polled| polled.is_pending()) && !is_dropped {
            tasks.lock().unwrap().push_back((number, polls + 1, task));
        } else {
            drop(task);
            open.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

fn tasks() {
    let _recorder = install();
    std::panic::set_hook(Box::new(|_| ()));
    let new = |number| -> Task { (number, 0, Box::pin(work(number).instrument(info_span!("task", number)))) };
    let tasks: VecDeque<Task> = (0..TASKS).map(new).collect();
    let (tasks, open) = (Mutex::new(tasks), AtomicUsize::new(TASKS as usize));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| run(&tasks, &open));
        }
    });
}

#[test]
fn ten_thousand_tasks_on_four_threads() {
    rings_of("tasks", |ring| {
        assert_eq!((ring.loss.dropped_total(), ring.loss.overwritten), (0, 0));
        let tree = Tree::new(ring);
        assert_eq!(tree.spans.values().filter(|span| span.name == "task").count() as u64, TASKS);
        for span in tree.spans.values() {
            assert_eq!((span.entered, span.ended), (span.left, 1), "{span:?}");
            if span.name == "step" {
                let task = &tree.spans[&span.parent];
                assert_eq!((task.name.as_str(), &task.values["number"]), ("task", &span.values["number"]));
            }
        }
        for event in &tree.events {
            let span = &tree.spans[&event.span(Role::Span).unwrap()];
            assert_eq!((span.name.as_str(), span.values["number"].as_str()), ("step", event.value("number")));
        }
        // All but the dropped ones, and those that panicked.
        assert_eq!((tree.count("begins") as u64, tree.count("ends") as u64), (TASKS, TASKS / DROPPED * (DROPPED - 2)));
    });
}

//! Ends: of the recorder, of threads, and of the process amid everything.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::ExitStatusExt as _;
use std::process::Stdio;

use ttlog_core::event::Role;
use ttlog_std::{Span, info, info_scope, info_span};

use super::common::Place;
use super::common::ring::RingContents;
use super::tree::Tree;
use super::{Case, install, tree_of};

pub const CASES: &[Case] =
    &[("kill", kill), ("open", open), ("shutdown", shutdown), ("thread-end", thread_end), ("fork", fork)];

fn kill() {
    let _recorder = ttlog_std::Recorder::init(100_000, 100, "test");
    for thread in 0..4_u64 {
        std::thread::spawn(move || {
            for round in 0_u64.. {
                let request = info_span!("request", thread, round);
                request.in_scope(|| {
                    let _scope = info_scope!("scope", round);
                    info!("handled", round);
                });
                if round == 1000 {
                    println!("ready");
                }
            }
        });
    }
    loop {
        std::thread::park();
    }
}

#[test]
fn killed_amid_open_spans() {
    let place = Place::new("spans-kill");
    let mut child = place.child("kill").stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("ready")));
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(9));
    let ring = RingContents::read(&place.ring_files()[0]);
    assert_eq!(ring.loss.dropped_total(), 0);
    // Of what is left, per thread and in its order: the cycle of records goes round without a gap, and ends anywhere.
    let mut contexts: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for event in &ring.events {
        contexts.entry(event.context).or_default().push(&event.event);
    }
    assert!(!contexts.is_empty());
    let cycle = [Role::Start, Role::Enter, Role::Begin, Role::Value, Role::Finish, Role::Leave, Role::End];
    for events in contexts.values() {
        let role = |event: &super::common::Event| event.values.first().map_or(Role::Value, |(_, role, _)| *role);
        let first = events.iter().position(|event| role(event) == Role::Start).unwrap();
        let mut open: Vec<u64> = Vec::new();
        for (index, event) in events[first..].iter().enumerate() {
            assert_eq!(role(event), cycle[index % 7], "{event:?}");
            match role(event) {
                role @ (Role::Start | Role::Begin) => {
                    assert_eq!(event.span(Role::Parent).unwrap(), open.last().copied().unwrap_or(0));
                    open.push(event.span(role).unwrap());
                }
                Role::Value => {}
                role => {
                    assert_eq!(event.span(role), open.last().copied());
                    open.truncate(open.len() - usize::from(matches!(role, Role::Finish | Role::End)));
                }
            }
        }
    }
}

fn open() {
    let _recorder = install();
    let _outer = info_scope!("outer", user = 7_u64);
    let _inner = info_scope!("inner");
    info!("the last event");
    // SAFETY: ends this process.
    unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
}

#[test]
fn open_spans_of_a_killed_process_are_there() {
    let place = Place::new("spans-open");
    let output = super::common::finish(place.child("open"));
    assert_eq!(output.status.signal(), Some(9));
    let tree = Tree::new(RingContents::read(&place.ring_files()[0]));
    let open: Vec<_> = tree.stacks.values().flatten().map(|id| tree.name(*id)).collect();
    assert_eq!(open, ["outer", "inner"]);
    assert_eq!((tree.span("outer").1.values["user"].as_str(), tree.span_of("the last event")), ("u64 7", "inner"));
}

fn shutdown() {
    let recorder = install();
    let span = info_span!("span");
    let scope = info_scope!("scope");
    let entered = span.enter();
    recorder.request_snapshot("before").wait().unwrap();
    assert!(recorder.shutdown());
    assert!(info_span!("after").is_none());
    ttlog_std::record!(span, x = 1_u8);
    drop(entered);
    drop(scope);
    assert!(span.in_scope(Span::current) == span.context());
    let _ = span.traceparent();
    drop(span);
}

#[test]
fn spans_outlive_the_recorder() {
    let place = Place::new("spans-shutdown");
    place.run("shutdown");
    let snapshot = super::common::Snapshot::read(&place.whole_snapshots()[0]);
    assert_eq!(snapshot.events.len(), 3, "{:?}", snapshot.events);
}

/// A value that logs when its thread ends, after other thread-locals are gone.
struct LogsAtEnd;

impl Drop for LogsAtEnd {
    fn drop(&mut self) {
        info!("at the end of the thread");
        let _scope = info_scope!("last");
        let span = info_span!("inner");
        span.in_scope(|| info!("in the last span"));
        assert_eq!(Span::current(), _scope.context());
    }
}

thread_local! {
    static FIRST: LogsAtEnd = const { LogsAtEnd };
}

fn thread_end() {
    let _recorder = install();
    std::thread::spawn(|| {
        FIRST.with(|_| ());
        info!("begins");
        // Deep enough for what is on the heap, so that this is destroyed too.
        let _scopes: Vec<_> = (0..100).map(|_| info_scope!("scope")).collect();
    })
    .join()
    .unwrap();
}

#[test]
fn spans_in_the_destructors_of_a_thread() {
    let tree = tree_of("thread-end");
    tree.assert_whole();
    assert_eq!((tree.span_of("at the end of the thread"), tree.span_of("in the last span")), ("-", "inner"));
    assert_eq!(tree.parent("inner"), "last");
}

fn fork() {
    let _recorder = install();
    let outer = info_scope!("outer");
    let before = outer.context().traceparent().unwrap();
    // SAFETY: the child only records events and ends.
    let pid = unsafe { libc::fork() };
    let mine = info_span!(parent: None, "own");
    let header = mine.traceparent().unwrap().to_string();
    assert_ne!(mine.traceparent().unwrap().trace_id(), before.trace_id());
    if pid == 0 {
        println!("in-child {header}");
        drop(mine);
        // SAFETY: ends this process.
        unsafe { libc::_exit(0) };
    }
    println!("in-parent {header}");
    let mut status = 0;
    // SAFETY: waits for the child.
    assert!(unsafe { libc::waitpid(pid, &raw mut status, 0) } == pid && status == 0);
}

#[test]
fn children_of_fork_make_other_ids() {
    let place = Place::new("spans-fork");
    let output = place.run("fork");
    let text = String::from_utf8(output.stdout).unwrap();
    let header = |who: &str| text.split(who).nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    assert_ne!(header("in-child ")[..35], header("in-parent ")[..35], "{text}");
}

//! Threads that were renamed: each event has the name that its thread had then, in all formats and filters.

mod support;

use std::cell::Cell;

use serde_json::Value as Json;
use ttlog_core::snapshot::Codec;

use support::{Recording, SECOND, SHOP, Thread, directory, view, write};

/// Number of events that fill several segments.
const MANY: u32 = 60;

/// Returns a ring with events of a thread that was renamed, between them an error that it recorded under its new name
/// before any other event did.
fn recording() -> Recording {
    let recording = Recording::on_a_server(5, 12, 4, 512, &SHOP);
    let (mut thread, told) = (Thread::new(1, "before"), Cell::new(0));
    let at = |n: u32| SECOND + u64::from(n) * 1000;
    (0..MANY).for_each(|n| recording.tick(&thread, at(n), n));
    thread.rename("after");
    recording.priority_refused(&thread, &told, at(MANY), 1);
    (MANY + 1..2 * MANY).for_each(|n| recording.tick(&thread, at(n), n));
    recording
}

fn events(run: &support::Run) -> Vec<Json> {
    assert_eq!(run.code, Some(0), "{}", run.err);
    run.out.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

#[test]
fn events_have_the_name_that_their_thread_had_then() {
    let dir = directory("names");
    write(&dir, "ring", &recording().image());
    write(&dir, "made.bin", &recording().snapshot("manual", 10 * SECOND, Codec::Lz4));
    for name in ["ring", "made.bin"] {
        let all = events(&view(&dir, &["--format", "ndjson", name]));
        assert_eq!(all.len(), 2 * MANY as usize);
        let (before, after) = all.split_at(MANY as usize);
        assert!(before.iter().all(|event| event["thread"] == "before"), "{before:?}");
        // The error told the new name before the next segment did.
        assert!(after.iter().all(|event| event["thread"] == "after"), "{after:?}");
        for (thread, expected) in [("before", before), ("after", after)] {
            let filter = format!("thread={thread}");
            assert_eq!(events(&view(&dir, &["--format", "ndjson", "-f", &filter, name])), expected, "{thread}");
            let text = view(&dir, &["-f", &filter, name]).out;
            assert_eq!(text.matches(&format!(" {thread} ")).count(), MANY as usize, "{text}");
        }
        let counts = view(&dir, &["--stats", "--group-by", "thread", name]).out;
        for thread in ["before", "after"] {
            let row = counts.lines().find(|line| line.contains(thread)).unwrap_or_else(|| panic!("{counts}"));
            assert!(row.contains(&MANY.to_string()), "{counts}");
        }
    }
}

//! Spans: paths of events, the tree, what a process was in the middle of, filters and counts.

mod support;

use serde_json::Value as Json;
use ttlog_core::ring::{EndKind, ProcessEnd};
use ttlog_core::snapshot::Codec;

use support::spans::web;
use support::{Recording, SECOND, START, Thread, compare, directory, view, write};

const MS: u64 = SECOND / 1000;

/// Returns the web server as a ring whose process was killed by a signal in the thread `worker-1`.
fn dead_web() -> Recording {
    let web = web(1);
    let end = ProcessEnd {
        signal: 11,
        code: 1,
        ticks: 1500 * MS,
        unix_ns: START + 1_500_000_000,
        os_thread_id: 102,
        context: 2,
        ..ProcessEnd::of(EndKind::Signal)
    };
    assert!(web.ring.stamp_end(&end));
    web
}

fn json(dir: &std::path::Path, arguments: &[&str]) -> Vec<Json> {
    let run = view(dir, &[arguments, &["--format", "ndjson"]].concat());
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""));
    run.out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// Returns the messages of the events that filters select.
fn messages(dir: &std::path::Path, filters: &[&str]) -> Vec<String> {
    let arguments: Vec<_> = filters.iter().flat_map(|filter| ["-f", *filter]).chain(["web.bin"]).collect();
    json(dir, &arguments).iter().map(|event| event["fields"]["n"].to_string()).collect()
}

#[test]
fn pictures() {
    let dir = directory("span_pictures");
    write(&dir, "web.bin", &dead_web().snapshot("recovered", 0, Codec::Lz4));
    for (arguments, kept) in [
        (&["web.bin"][..], "spans-events.txt"),
        (&["web.bin", "--span-records"], "spans-records.txt"),
        (&["web.bin", "--color", "always", "-q"], "spans-color.txt"),
        (&["web.bin", "--format", "ndjson"], "spans-events.ndjson"),
        (&["web.bin", "--spans"], "spans-tree.txt"),
        (&["web.bin", "--spans", "--format", "ndjson"], "spans-tree.ndjson"),
        (&["web.bin", "--stats", "--group-by", "span,span.id"], "spans-stats.txt"),
    ] {
        let run = view(&dir, arguments);
        assert_eq!((run.code, run.err.as_str()), (Some(0), ""), "{arguments:?}");
        compare(kept, &run.out);
    }
}

#[test]
fn a_ring_and_its_snapshots_show_the_same() {
    let dir = directory("span_copies");
    let web = dead_web();
    write(&dir, "a.ring", &web.image());
    write(&dir, "b.bin", &web.snapshot("recovered", 0, Codec::Lz4));
    write(&dir, "c.bin", &web.snapshot("recovered", 0, Codec::None));
    let tree = view(&dir, &["b.bin", "--spans"]).out;
    assert_eq!(view(&dir, &["a.ring", "--spans"]).out, tree);
    assert_eq!(view(&dir, &["a.ring", "b.bin", "c.bin", "--spans"]).out, tree);
    let all = view(&dir, &["a.ring", "b.bin", "--spans", "--duplicates"]).out;
    assert!(all.contains("── 10 of 10 spans shown, 6 of them open"), "{all}");
}

#[test]
fn filters_on_spans() {
    let dir = directory("span_filters");
    write(&dir, "web.bin", &web(1).snapshot("manual", 2 * SECOND, Codec::Lz4));
    for (filters, expected) in [
        (&["span=request"][..], &["null", "1", "2", "3"][..]),
        (&["span.name=query"], &["null", "1", "3"]),
        (&["span~=quer", "n>=0"], &["1", "3"]),
        (&["span!=request"], &["0", "4"]),
        (&["span=#5"], &["3"]),
        (&["span=#1"], &["null", "1", "2"]),
        (&["span!=#1"], &["0", "3", "4"]),
        (&["span.id=7"], &["null", "1", "2"]),
        (&["span.id>7"], &["3"]),
        (&["span.id<=7", "span.table=orders"], &["null", "1"]),
        (&["span.id!=7"], &["0", "3", "4"]),
        (&["span.status=200"], &["null", "1", "2"]),
        (&["span.fields.table=payments"], &["3"]),
        (&["fields.span=inner"], &["null"]),
        (&["rows=12"], &["null"]),
        (&["trace_id=0"], &[]),
        (&["span=request", "thread=worker-2"], &["2"]),
        (&["span.id=7 and n=2 or n=4"], &["2", "4"]),
        (&["not span=request"], &["0", "4"]),
        (&["span.id? > 7"], &["0", "3", "4"]),
        (&["exists(span.id) and not exists(rows)"], &["1", "2", "3"]),
        (&["n=0 or span in (query, none)"], &["0", "null", "1", "3"]),
        (&["not (span=query and not n=1)"], &["0", "1", "2", "4"]),
    ] {
        assert_eq!(messages(&dir, filters), expected, "{filters:?}");
    }
    let run = view(&dir, &["web.bin", "-f", "span.user>5", "-q"]);
    let line = "ttlog-view: 4 events have `span.user` as text that is no number; they do not match\n";
    assert_eq!((run.out.as_str(), run.err.as_str()), ("", line));
    let run = view(&dir, &["web.bin", "-f", "span=request", "--limit", "1", "-q"]);
    assert!(run.out.lines().count() == 1 && run.out.contains("n=3"), "{}", run.out);
    let run = view(&dir, &["web.bin", "-f", "span=request", "--until", "02:59:01.139", "-q"]);
    assert!(run.out.lines().count() == 1 && run.out.contains("rows"), "{}", run.out);
}

#[test]
fn a_field_that_nothing_has_is_reported() {
    let dir = directory("span_unknown_fields");
    write(&dir, "web.bin", &web(1).snapshot("manual", 2 * SECOND, Codec::Lz4));
    for (arguments, expected) in [
        (&["-f", "row=12"][..], "no event has a field `row`; similar: `rows`"),
        (&["-f", "user=ann"], "no event has a field `user`; similar: `span.user`"),
        (&["-f", "span.usr=ann", "-f", "span.usr!=bob"], "no span has a field `usr`; similar: `span.user`"),
        (&["--stats", "--group-by", "span.txble"], "no span has a field `txble`; similar: `span.table`"),
        (&["--spans", "-f", "usr=ann"], "no span has a field `usr`; similar: `user`"),
        (&["--spans", "-f", "rows=12"], "no span has a field `rows`"),
        (&["--span-records", "-f", "usr=ann"], "no event has a field `usr`; similar: `user`"),
    ] {
        let run = view(&dir, &[&["web.bin"], arguments].concat());
        assert_eq!((run.code, run.err), (Some(0), format!("ttlog-view: {expected}\n")), "{arguments:?}");
    }
    for arguments in [
        &["-f", "rows=12", "-f", "span.user=ann", "-f", "trace_id=1"][..],
        &["--stats", "--group-by", "span.table,n,level,span"],
        &["--spans", "-f", "user=ann"],
        &["--span-records", "-f", "user=ann"],
    ] {
        assert_eq!(view(&dir, &[&["web.bin"], arguments].concat()).err, "", "{arguments:?}");
    }
}

#[test]
fn records_of_spans_are_retained_events_that_are_shown_on_request() {
    let dir = directory("span_records");
    write(&dir, "web.bin", &web(1).snapshot("manual", 2 * SECOND, Codec::Lz4));
    let events = json(&dir, &["web.bin"]).len();
    let all = json(&dir, &["web.bin", "--span-records"]);
    let records = all.iter().filter(|event| event["span_record"].is_string()).count();
    let stats: Json = serde_json::from_str(&view(&dir, &["web.bin", "--stats", "--format", "json"]).out).expect("JSON");
    let source = &stats["sources"][0];
    assert_eq!((events, records, all.len()), (6, 19, 25));
    assert_eq!((&stats["total"], &source["retained"], &source["span_records"]), (&6.into(), &25.into(), &19.into()));
    let text = view(&dir, &["web.bin"]).out;
    assert!(text.contains(": 25 events (19 of them records of spans)\n") && !text.contains("events shown"), "{text}");
    let text = view(&dir, &["web.bin", "--limit", "2"]).out;
    assert!(text.ends_with("── 2 of 6 events shown\n"), "{text}");
    let text = view(&dir, &["web.bin", "--limit", "2", "--span-records"]).out;
    assert!(text.ends_with("── 2 of 25 events shown\n"), "{text}");
}

#[test]
fn spans_are_selected_like_events() {
    let dir = directory("span_selection");
    write(&dir, "web.bin", &web(1).snapshot("manual", 2 * SECOND, Codec::Lz4));
    let ids = |arguments: &[&str]| -> Vec<String> {
        let spans = json(&dir, &[&["web.bin", "--spans"], arguments].concat());
        spans.iter().map(|span| span["span_id"].to_string()).collect()
    };
    for (arguments, expected) in [
        (&[][..], &["3", "4", "5", "1", "2"][..]),
        (&["-f", "table=orders"], &["2"]),
        (&["-f", "span=request", "-f", "message=query"], &["5", "2"]),
        (&["-f", "status=200"], &["1"]),
        (&["-f", "level>=INFO"], &["3", "4", "1"]),
        (&["-f", "thread=worker-2"], &["3", "1"]),
        (&["--limit", "3"], &["3", "4", "5"]),
        (&["--head", "2"], &["1", "2"]),
        (&["--until", "02:59:01.115"], &["1", "2"]),
        (&["--since", "02:59:01.230"], &["3", "4", "5"]),
        (&["--since", "02:59:01.165", "--until", "02:59:01.3"], &["3", "1"]),
    ] {
        assert_eq!(ids(arguments), expected, "{arguments:?}");
    }
    // Ancestors show where a span belongs.
    let text = view(&dir, &["web.bin", "--spans", "-f", "table=orders"]).out;
    assert!(text.contains("request{id=7 user=\"ann\" status=200} #1  (not selected)\n"), "{text}");
    assert!(text.ends_with("── 1 of 5 spans shown, 0 of them open\n"), "{text}");
}

#[test]
fn secrets_of_spans_are_withheld() {
    let dir = directory("span_secrets");
    let web = Recording::of_spans(1, 8, 1024);
    web.know_spans();
    let main = Thread::new(1, "main");
    web.login(&main, SECOND, 1, "ann", "hunter2", "0AF7651916CD43DD8448EB211C80319C");
    web.enter(&main, SECOND, 1);
    web.checked(&main, SECOND, 1);
    write(&dir, "login.ring", &web.image());
    for arguments in [&[][..], &["--spans"], &["--format", "json"], &["--stats"], &["--span-records", "-v"]] {
        let run = view(&dir, &[&["login.ring"], arguments].concat());
        assert!(run.code == Some(0) && !run.out.contains("hunter2"), "{arguments:?}: {}", run.out);
    }
    let shown = view(&dir, &["login.ring", "--show-secrets"]).out;
    assert!(shown.contains("hunter2"), "{shown}");
    let count = |filter| json(&dir, &["login.ring", "-f", filter]).len();
    assert_eq!((count("span.password=hunter2"), count("span.password!=hunter2")), (0, 1));
    let trace = "trace_id=0af7651916cd43dd8448eb211c80319c";
    assert_eq!((count(trace), count("trace_id=0af7"), count("trace_id~=0AF7")), (1, 0, 1));
    // A field `name` does not take the place of the span's name.
    let event = &json(&dir, &["login.ring"])[0];
    assert_eq!((&event["span"]["name"], &event["span"]["fields.name"]), (&"login".into(), &"ann".into()));
}

#[test]
fn what_is_overwritten_is_unknown_and_not_open() {
    let dir = directory("span_wrapped");
    let web = Recording::of_spans(1, 4, 512);
    web.know_spans();
    let (main, other) = (Thread::new(1, "main"), Thread::new(2, "other"));
    web.request(&main, SECOND, 1, 0, 1, "old");
    web.enter(&main, SECOND, 1);
    for n in 0..200u64 {
        let at = SECOND + (n + 1) * MS;
        web.query(&main, at, 10 + n, 1, "orders");
        web.enter(&main, at, 10 + n);
        web.checked(&main, at, n as u32);
        web.leave(&main, at, 10 + n);
        web.end(&main, at, 10 + n);
    }
    web.loaded(&other, 2 * SECOND, 1, 5, "");
    write(&dir, "wrapped.ring", &web.image());
    let spans = json(&dir, &["wrapped.ring", "--spans"]);
    let root = &spans[0];
    assert_eq!((&root["span_id"], &root["state"], &root["span"]["name"]), (&1.into(), &"open".into(), &Json::Null));
    let is_whole = |span: &&Json| span["state"] == "ended" && span["depth"] == 1 && span["partial"] == false;
    let (whole, rest): (Vec<_>, Vec<_>) = spans[1..].iter().partition(is_whole);
    assert!(whole.len() > 5 && rest.len() <= 1 && rest.iter().all(|span| span["span"]["name"].is_null()), "{rest:?}");
    let events = json(&dir, &["wrapped.ring"]);
    let event = events.iter().rfind(|event| event["message"] == "checked").expect("an event");
    assert_eq!((&event["spans"][0]["name"], &event["spans"][1]["name"]), (&Json::Null, &"query".into()));
    let text = view(&dir, &["wrapped.ring"]).out;
    assert!(text.contains(" ?#1:query{table=\"orders\"}: shop::web: checked  n=199\n"), "{text}");
}

#[test]
fn many_open_spans_are_counted() {
    let dir = directory("span_many");
    let web = Recording::of_spans(1, 64, 4096);
    web.know_spans();
    let main = Thread::new(1, "main");
    for span in 1..=1500u64 {
        web.request(&main, SECOND + span * MS, span, 0, span as u32, "ann");
    }
    write(&dir, "many.ring", &web.image());
    let text = view(&dir, &["many.ring"]).out;
    assert!(text.contains("   and 1,490 more open spans; see ttlog-view --spans\n"), "{text}");
    assert_eq!(text.matches("\n   idle  request{id=").count(), 10, "{text}");
    assert!(text.contains("\n   idle  request{id=1500 "), "{text}");
}

#[test]
fn a_span_whose_end_may_be_overwritten_is_not_open() {
    let dir = directory("span_end_lost");
    let web = Recording::of_spans(1, 4, 512);
    web.know_spans();
    let (holder, busy) = (Thread::new(1, "holder"), Thread::new(2, "busy"));
    web.checked(&busy, SECOND, 0);
    // In the segment that its thread holds, so it stays.
    web.request(&holder, SECOND + MS, 1, 0, 1, "ann");
    web.end(&busy, SECOND + 2 * MS, 1);
    (3..300).for_each(|n| web.checked(&busy, SECOND + n * MS, n as u32));
    write(&dir, "lost.ring", &web.image());
    let spans = json(&dir, &["lost.ring", "--spans"]);
    assert!(spans.len() == 1 && spans[0]["state"] == "unknown" && spans[0]["partial"] == true, "{spans:?}");
    let text = view(&dir, &["lost.ring"]).out;
    assert!(!text.contains("in the middle of"), "{text}");
    let tree = view(&dir, &["lost.ring", "--spans"]).out;
    assert!(tree.contains("request{id=1 user=\"ann\"} #1  end unknown\n"), "{tree}");
    assert!(tree.ends_with("── 1 of 1 spans shown, 0 of them open, and 1 whose end may be overwritten\n"), "{tree}");
    // It is open if it shows activity later.
    web.enter(&holder, SECOND + 400 * MS, 1);
    write(&dir, "open.ring", &web.image());
    let text = view(&dir, &["open.ring"]).out;
    assert!(text.contains("\n   holder  request{id=1 user=\"ann\"}  for "), "{text}");
}

#[test]
fn the_thread_that_ended_the_process_comes_first() {
    let dir = directory("span_order");
    let order = |name: &str, web: &Recording| -> Vec<String> {
        write(&dir, name, &web.image());
        let text = view(&dir, &[name]).out;
        let lines = text.lines().skip_while(|line| !line.contains("in the middle of")).skip(1);
        lines.take(3).map(|line| line.split_whitespace().next().expect("a thread").to_owned()).collect()
    };
    let web = Recording::of_spans(1, 8, 1024);
    web.know_spans();
    for (context, name) in [(1, "first"), (2, "second"), (3, "third")] {
        let thread = Thread::new(context, name);
        let span = u64::from(context);
        web.request(&thread, SECOND + span * MS, span, 0, 1, "ann");
        web.enter(&thread, SECOND + span * MS, span);
    }
    assert_eq!(order("none.ring", &web), ["third", "second", "first"]);
    web.ring.count_panic(SECOND + 10 * MS, 102);
    assert_eq!(order("panic.ring", &web), ["second", "third", "first"]);
    assert!(web.ring.stamp_end(&ProcessEnd { signal: 11, context: 1, ..ProcessEnd::of(EndKind::Signal) }));
    assert_eq!(order("end.ring", &web), ["first", "second", "third"]);
}

//! Output of the program: expected texts, and properties.

mod support;

use serde_json::Value as Json;
use ttlog_core::event::{Cons, Nil};
use ttlog_core::snapshot::Codec;
use ttlog_read::query::Keep;

use support::{SECOND, compare, directory, id, shop, view, wrapped, write};

fn lines(text: &str) -> Vec<&str> {
    text.lines().collect()
}

#[test]
fn text_of_a_snapshot() {
    let dir = directory("text_of_a_snapshot");
    write(&dir, "shop.bin", &shop(1).snapshot("panic", 4 * SECOND, Codec::Lz4));
    let run = view(&dir, &["shop.bin"]);
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""));
    compare("shop.txt", &run.out);
    let run = view(&dir, &["shop.bin", "--verbose", "--utc"]);
    compare("shop-verbose.txt", &run.out);
    let run = view(&dir, &["shop.bin", "--quiet", "--time", "relative"]);
    compare("shop-relative.txt", &run.out);
    let run = view(&dir, &["shop.bin", "-q", "--time", "ticks", "--color", "always", "--head", "5"]);
    compare("shop-color.txt", &run.out);
}

#[test]
fn a_ring_and_its_snapshot_show_the_same_events() {
    let dir = directory("ring_and_snapshot");
    let recording = shop(1);
    write(&dir, "ring", &recording.image());
    write(&dir, "lz4", &recording.snapshot("manual", 4 * SECOND, Codec::Lz4));
    write(&dir, "none", &recording.snapshot("manual", 4 * SECOND, Codec::None));
    let of = |name: &str| {
        let run = view(&dir, &[name, "--format", "ndjson"]);
        assert_eq!((run.code, run.err.as_str()), (Some(0), ""));
        run.out.replace(&format!("\"source\":\"{name}\""), "")
    };
    assert_eq!(of("ring"), of("lz4"));
    assert_eq!(of("ring"), of("none"));
    assert_eq!(lines(&of("ring")).len(), 9);
}

#[test]
fn json_of_a_snapshot() {
    let dir = directory("json_of_a_snapshot");
    write(&dir, "shop.bin", &shop(1).snapshot("panic", 4 * SECOND, Codec::Lz4));
    let ndjson = view(&dir, &["shop.bin", "--format", "ndjson"]).out;
    compare("shop.ndjson", &ndjson);
    let array: Json = serde_json::from_str(&view(&dir, &["shop.bin", "--format", "json"]).out).expect("one JSON value");
    let each: Vec<Json> =
        ndjson.lines().map(|line| serde_json::from_str(line).expect("a JSON value per line")).collect();
    assert_eq!(array, Json::Array(each.clone()));
    let fields = &each.last().expect("there are events")["fields"];
    assert_eq!(fields["u128"].to_string(), u128::MAX.to_string());
    assert_eq!(fields["i128"].to_string(), i128::MIN.to_string());
    assert_eq!(fields["u64"].to_string(), u64::MAX.to_string());
    assert_eq!(fields["nan"], "NaN");
    assert_eq!(fields["none"], Json::Null);
    assert_eq!(each[7]["fields"]["error"], serde_json::json!(["card declined", "limit reached"]));
    let none = view(&dir, &["shop.bin", "--format", "json", "--filter", "level=WARN"]);
    assert_eq!(serde_json::from_str::<Json>(&none.out).expect("an empty array"), Json::Array(vec![]));
}

#[test]
fn gaps_and_completeness_are_shown_where_they_are() {
    let dir = directory("gaps");
    let recording = wrapped(2);
    write(&dir, "wrapped.bin", &recording.snapshot("manual", 10 * SECOND, Codec::Lz4));
    let run = view(&dir, &["wrapped.bin"]);
    assert_eq!(run.code, Some(0), "{}", run.err);
    compare("wrapped.txt", &run.out);
    assert!(run.out.contains("──── complete from 2026-01-31 02:59:"), "{}", run.out);
    // Every event is either retained or counted as lost.
    let overwritten = recording.ring.loss().overwritten;
    let shown = run.out.lines().filter(|line| line.contains("shop")).count() as u64 - 1;
    assert_eq!(shown + overwritten, 404);
    // If the view begins after the line, the line is not shown.
    let tail = view(&dir, &["wrapped.bin", "--limit", "3"]);
    assert!(!tail.out.contains("complete from"), "{}", tail.out);
}

#[test]
fn a_jump_in_a_threads_index_is_a_gap() {
    let dir = directory("index_jump");
    let recording = support::Recording::new(3, 8, 512);
    recording.know_shop();
    let thread = support::Thread::new(1, "worker\x1b[31m");
    for n in 0..60 {
        recording.tick(&thread, SECOND + u64::from(n), n);
    }
    let image = recording.image();
    // The second segment is lost: its header is damaged beyond repair.
    let header = *ttlog_core::RingImage::parse(&image).expect("a good ring").header();
    let start = header.segments_offset as usize + header.segment_len as usize;
    let mut damaged = image.clone();
    damaged[start..start + 48].fill(0x55);
    write(&dir, "ring", &damaged);
    let run = view(&dir, &["ring"]);
    assert_eq!(run.code, Some(1));
    let gap: Vec<_> = run.out.lines().filter(|line| line.starts_with('…')).collect();
    let shown = run.out.lines().filter(|line| line.contains("shop::timer")).count();
    assert_eq!(gap, [format!("… {} events of thread worker\\u{{1b}}[31m missing …", 60 - shown)]);
    assert!(run.out.contains(&format!("offset {start}")), "{}", run.out);
    let stats = view(&dir, &["ring", "--stats", "--format", "json"]).out;
    let stats: Json = serde_json::from_str(&stats).expect("one JSON value");
    assert_eq!(stats["gaps"][0]["missing"].as_u64(), Some(60 - shown as u64));
    assert_eq!(stats["gaps"][0]["thread"], "worker\u{1b}[31m");
}

#[test]
fn filters_narrow_what_is_shown() {
    let dir = directory("filters");
    write(&dir, "shop.bin", &shop(1).snapshot("panic", 4 * SECOND, Codec::Lz4));
    let count = |arguments: &[&str]| {
        let mut all = vec!["shop.bin", "--format", "ndjson"];
        for filter in arguments {
            all.extend(["--filter", filter]);
        }
        let run = view(&dir, &all);
        assert_eq!((run.code, run.err.as_str()), (Some(0), ""), "{arguments:?}");
        run.out.lines().count()
    };
    assert_eq!(count(&[]), 9);
    assert_eq!(count(&["level=ERROR"]), 1);
    assert_eq!(count(&["level>=INFO"]), 5);
    assert_eq!(count(&["level=warn"]), 0);
    assert_eq!(count(&["target=shop"]), 8);
    assert_eq!(count(&["target=shop::orders"]), 4);
    assert_eq!(count(&["target=shop::order"]), 0);
    assert_eq!(count(&["message~=took 2.5 ms"]), 1);
    assert_eq!(count(&["message=tick"]), 3);
    assert_eq!(count(&["id>=101"]), 3);
    assert_eq!(count(&["id>=101", "id!=102"]), 1);
    assert_eq!(count(&["id!=102"]), 7);
    assert_eq!(count(&["env=production"]), 1);
    assert_eq!(count(&["ms>1.25"]), 2);
    assert_eq!(count(&["thread=worker-1"]), 4);
    assert_eq!(count(&["context=1", "n<=1"]), 2);
    assert_eq!(count(&["error~=limit"]), 1);
    assert_eq!(count(&["u64=18446744073709551615"]), 1);
    assert_eq!(count(&["pid=4711", "service=shop", "host~=web"]), 9);
    assert_eq!(count(&["file~=payment"]), 1);
    assert_eq!(count(&["line<10"]), 5);
    assert_eq!(count(&["id>=101 and not id=102"]), 1);
    assert_eq!(count(&["level=error or message=tick"]), 4);
    assert_eq!(count(&["(level=error or message=tick) and n? <= 1"]), 3);
    assert_eq!(count(&["exists(id)"]), 4);
    assert_eq!((count(&["id in (101, 999)"]), count(&["id in (101, 102)"]), count(&["id not in (101)"])), (1, 3, 8));
    assert_eq!(count(&["error~~=(?i)LIMIT|quota"]), 1);
    let run = view(&dir, &["shop.bin", "--quiet", "--filter", "nothing=1"]);
    assert_eq!((run.code, run.out.as_str()), (Some(0), ""));
    assert_eq!(run.err, "ttlog-view: no event has a field `nothing`\n");
    let run = view(&dir, &["shop.bin", "--filter", "level=LOUD"]);
    assert_eq!(run.code, Some(2));
    assert!(run.err.contains("the levels are TRACE, DEBUG, INFO, WARN and ERROR"), "{}", run.err);
    let run = view(&dir, &["shop.bin", "--filter", "id>100 and message"]);
    assert_eq!(run.code, Some(2));
    assert!(run.err.contains("\n  id>100 and message\n                    ^\n"), "{}", run.err);
}

/// Every filter of the page is accepted.
#[test]
fn the_language_of_filters_is_explained() {
    let dir = directory("filter_help");
    let page = view(&dir, &["help", "filter"]);
    assert_eq!((page.code, page.err.as_str()), (Some(0), ""));
    assert!(page.out.contains(ttlog_read::query::FILTER_HELP.trim_end()), "{}", page.out);
    assert_eq!(view(&dir, &["filter"]).out, ttlog_read::query::FILTER_HELP);
    let examples: Vec<_> = page
        .out
        .lines()
        .skip_while(|line| !line.ends_with("`not`:"))
        .skip(2)
        .take_while(|line| !line.is_empty())
        .collect();
    assert_eq!(examples.len(), 4, "{}", page.out);
    for example in examples {
        example.parse::<ttlog_read::Filter>().unwrap_or_else(|error| panic!("{error}"));
    }
    assert!(page.out.lines().all(|line| line.chars().count() <= 80), "{}", page.out);
}

#[test]
fn limits_take_the_ends_and_times_the_middle() {
    let dir = directory("limits");
    let recording = wrapped(2);
    write(&dir, "w.bin", &recording.snapshot("manual", 10 * SECOND, Codec::Lz4));
    let run = |arguments: &[&str]| {
        let mut all = vec!["w.bin", "--format", "ndjson", "--filter", "thread=busy"];
        all.extend(arguments);
        let run = view(&dir, &all);
        assert_eq!(run.code, Some(0), "{}", run.err);
        let n =
            |line: &str| serde_json::from_str::<Json>(line).expect("JSON")["fields"]["n"].as_u64().expect("a number");
        run.out.lines().map(n).collect::<Vec<_>>()
    };
    let all = run(&[]);
    assert_eq!(*all.last().expect("there are events"), 399);
    assert!(all.windows(2).all(|pair| pair[0] < pair[1]));
    assert_eq!(run(&["--limit", "3"]), [397, 398, 399]);
    assert_eq!(run(&["--head", "2"]), all[..2]);
    assert_eq!(run(&["--limit", "0"]), [0; 0]);
    assert_eq!(run(&["--limit", "100000"]), all);
    assert_eq!(run(&["--last", "2ms"]), [397, 398, 399]);
    assert_eq!(run(&["--since", "-2ms", "--limit", "1"]), [399]);
    assert_eq!(run(&["--since", "-2ms", "--head", "1"]), [397]);
    assert_eq!(run(&["--since", "-2ms", "--until", "-1ms"]), [397, 398]);
    assert_eq!(run(&["--since", "2026-01-31T02:59:01.398Z"]), [398, 399]);
    assert_eq!(run(&["--since", "02:59:01.398", "--until", "02:59:01.3985"]), [398]);
    let bad = view(&dir, &["w.bin", "--since", "whenever"]);
    assert_eq!(bad.code, Some(2));
    assert!(bad.err.contains("--since: `whenever` is no time"), "{}", bad.err);
}

#[test]
fn progress_counts_the_matching_events_as_they_are_read() {
    struct Steps(Vec<usize>);
    impl ttlog_read::timeline::Progress for Steps {
        fn step(&mut self, index: usize, total: usize, events: usize) {
            assert!(index == self.0.len() && index < total);
            self.0.push(events);
        }
    }
    let recording = wrapped(2);
    let bytes = ttlog_read::source::Input::new("ring".to_owned(), recording.image().into());
    let sources = [ttlog_read::Source::new(&bytes).expect("a good ring")];
    let steps = |keep, filter: &str| {
        let filter = filter.parse().expect("a good filter");
        let query = ttlog_read::Query { filter, keep, ..ttlog_read::Query::default() };
        let mut steps = Steps(Vec::new());
        let timeline = ttlog_read::Timeline::read(&sources, &query, &mut steps);
        (steps.0, timeline.entries.len())
    };
    let (all, retained) = steps(Keep::All, "thread=busy");
    assert!(all.windows(2).all(|pair| pair[0] <= pair[1]), "{all:?}");
    assert!(all.iter().any(|&count| 0 < count && count < retained), "{all:?}");
    assert_eq!(*all.last().expect("there are segments"), retained);
    // Whatever is retained in the end.
    for keep in [Keep::Last(1), Keep::First(0)] {
        assert_eq!(steps(keep, "thread=busy").0, all);
    }
    assert_eq!(steps(Keep::All, "n<0"), (vec![0; all.len()], 0));
}

#[test]
fn several_files_merge_in_order_of_time() {
    let dir = directory("merge");
    write(&dir, "a.bin", &shop(1).snapshot("panic", 4 * SECOND, Codec::Lz4));
    let other = support::Recording::new(7, 4, 1024);
    other.know_shop();
    let thread = support::Thread::new(1, "main");
    for n in 0..4u32 {
        other.tick(&thread, 2 * SECOND + u64::from(n) * 1_000_000, n);
    }
    write(&dir, "b.ring", &other.image());
    let run = view(&dir, &["a.bin", "b.ring"]);
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""));
    compare("merged.txt", &run.out);
    let times = |arguments: &[&str]| {
        let run = view(&dir, arguments);
        let time =
            |line: &str| serde_json::from_str::<Json>(line).expect("JSON")["unix_ns"].as_i64().expect("a number");
        run.out.lines().map(time).collect::<Vec<_>>()
    };
    let merged = times(&["b.ring", "a.bin", "--format", "ndjson"]);
    assert_eq!(merged.len(), 13);
    assert!(merged.is_sorted());
    // A directory and a pattern select the same files.
    write(&dir, "notes.txt", b"neither snapshot nor ring");
    assert_eq!(times(&[".", "--format", "ndjson"]), merged);
    assert_eq!(times(&["*.[br]i*n*", "--format", "ndjson"]), merged);
    let nothing = view(&dir, &["*.nothing"]);
    assert_eq!((nothing.code, nothing.err.as_str()), (Some(2), "ttlog-view: *.nothing: no file matches\n"));
}

#[test]
fn snapshots_of_one_ring_show_each_event_once() {
    let dir = directory("same_ring");
    let recording = support::Recording::new(9, 8, 512);
    recording.know_shop();
    let thread = support::Thread::new(1, "main");
    let mut n = 0;
    let mut more = |count: u32| {
        for _ in 0..count {
            recording.tick(&thread, SECOND + u64::from(n), n);
            n += 1;
        }
    };
    more(40);
    write(&dir, "1.bin", &recording.snapshot("periodic", 2 * SECOND, Codec::Lz4));
    more(60);
    write(&dir, "2.bin", &recording.snapshot("panic", 3 * SECOND, Codec::Lz4));
    write(&dir, "3.ring", &recording.image());
    let count = |arguments: &[&str]| {
        let mut all = vec!["1.bin", "2.bin", "3.ring", "--format", "ndjson"];
        all.extend(arguments);
        view(&dir, &all).out.lines().count()
    };
    assert_eq!(count(&[]), 100);
    assert_eq!(count(&["--duplicates"]), 240);
}

#[test]
fn later_snapshots_continue_earlier_ones() {
    let dir = directory("continued");
    let recording = support::Recording::new(9, 4, 512);
    recording.know_shop();
    let thread = support::Thread::new(1, "main");
    for n in 0..400u32 {
        recording.tick(&thread, SECOND + u64::from(n) * 1000, n);
        if n % 40 == 39 {
            let name = format!("{:03}.bin", n);
            write(&dir, &name, &recording.snapshot("periodic", SECOND + u64::from(n) * 1000 + 1, Codec::Lz4));
        }
    }
    let run = view(&dir, &["."]);
    assert_eq!(run.code, Some(0), "{}", run.err);
    let ticks = run.out.lines().filter(|line| line.contains("shop::timer")).count();
    assert_eq!(ticks, 400, "the snapshots overlap, so that nothing is missing");
    assert!(!run.out.contains("complete from"), "{}", run.out);
    assert!(!run.out.contains('…'), "{}", run.out);
}

#[test]
fn control_characters_never_reach_the_terminal() {
    let dir = directory("escapes");
    let recording = support::Recording::new(5, 4, 4096);
    recording.know_shop();
    let thread = support::Thread::new(1, "evil\x1b]0;title\x07");
    let evil = "a\x1b[2J\r\nfake line\u{202e}\u{9b}1m\u{7f}";
    recording.order(&thread, SECOND, 1, evil, 1.0, evil);
    recording.values(&thread, SECOND, evil);
    write(&dir, "evil.bin", &recording.snapshot("pa\x1b[1mnic", 2 * SECOND, Codec::Lz4));
    for arguments in [
        &["evil.bin"][..],
        &["evil.bin", "--verbose"],
        &["evil.bin", "--raw"],
        &["evil.bin", "--format", "ndjson"],
        &["evil.bin", "--stats", "--group-by", "who,thread,message"],
        &["verify", "evil.bin"],
    ] {
        let run = view(&dir, arguments);
        assert_eq!(run.code, Some(0), "{}", run.err);
        let allowed = if arguments.contains(&"--raw") { "\n\t" } else { "\n" };
        let bad = run.out.chars().find(|c| (c.is_control() && !allowed.contains(*c)) || *c == '\u{202e}');
        assert_eq!(bad, None, "{arguments:?}: {}", run.out);
    }
    let text = view(&dir, &["evil.bin", "-q", "--limit", "2"]).out;
    assert_eq!(lines(&text).len(), 2, "{text}");
    assert!(text.contains("a\\u{1b}[2J\\r\\nfake line\\u{202e}\\u{9b}1m\\u{7f}"), "{text}");
    let raw = view(&dir, &["evil.bin", "-q", "--raw"]).out;
    assert!(raw.contains("\\r\nfake line\\u{202e}"), "{raw}");
}

#[test]
fn statistics() {
    let dir = directory("statistics");
    write(&dir, "shop.bin", &shop(1).snapshot("panic", 4 * SECOND, Codec::Lz4));
    write(&dir, "wrapped.bin", &wrapped(2).snapshot("manual", 10 * SECOND, Codec::Lz4));
    compare("stats.txt", &view(&dir, &["shop.bin", "--stats", "--group-by", "target"]).out);
    compare("stats-two.txt", &view(&dir, &["shop.bin", "wrapped.bin", "--stats", "--group-by", "level,thread"]).out);
    compare("stats-field.txt", &view(&dir, &["shop.bin", "--stats", "--group-by", "who"]).out);
    compare("stats-callsite.txt", &view(&dir, &["shop.bin", "--stats", "--group-by", "callsite"]).out);
    let json = view(&dir, &["wrapped.bin", "--stats", "--format", "json"]).out;
    let json: Json = serde_json::from_str(&json).expect("one JSON value");
    let of = |key: &str| json["sources"][0][key].as_u64().expect(key);
    assert_eq!(json["total"].as_u64(), Some(of("retained")));
    assert_eq!(of("retained") + of("overwritten"), 404);
    assert_eq!(json["sources"][0]["dropped"]["too_large"].as_u64(), Some(2));
    assert_eq!(of("suppressed"), 9);
    assert_eq!(json["groups"][0]["key"]["level"], "DEBUG");
    for line in view(&dir, &["wrapped.bin", "--stats", "--format", "ndjson"]).out.lines() {
        serde_json::from_str::<Json>(line).expect("a JSON value per line");
    }
}

#[test]
fn an_event_without_its_callsite_is_still_shown() {
    let dir = directory("no_callsite");
    let recording = support::Recording::new(6, 4, 1024);
    let thread = support::Thread::new(1, "main");
    recording.event(&thread, SECOND, id::TICK, Cons(0x0102_0304u32, Nil));
    write(&dir, "lost.bin", &recording.snapshot("panic", 2 * SECOND, Codec::Lz4));
    // Whether it contains secrets is unknown.
    let text = view(&dir, &["lost.bin", "-q"]).out;
    assert!(text.contains("[damaged: callsite 4 is not in the table; bytes <withheld>]"), "{text}");
    let text = view(&dir, &["lost.bin", "-q", "--show-secrets"]).out;
    assert!(text.contains("[damaged: callsite 4 is not in the table; bytes 0x0403020100000000]"), "{text}");
    let json: Json =
        serde_json::from_str(&view(&dir, &["lost.bin", "--format", "ndjson", "--show-secrets"]).out).expect("JSON");
    assert_eq!((&json["level"], &json["payload"]), (&Json::Null, &Json::from("0403020100000000")));
}

#[test]
fn inputs_that_are_no_recordings_are_named() {
    let dir = directory("bad_inputs");
    write(&dir, "text", b"hello");
    write(&dir, "empty", b"");
    write(&dir, "good.bin", &shop(1).snapshot("panic", 4 * SECOND, Codec::Lz4));
    let run = view(&dir, &["missing", "text", "empty", "/dev/null", "good.bin"]);
    assert_eq!(run.code, Some(1));
    for name in [
        "missing: ",
        "text: offset 5: neither a ring nor a snapshot",
        "empty: offset 0: ",
        "/dev/null: not a regular file",
    ] {
        assert!(run.err.contains(name), "{name}: {}", run.err);
    }
    assert!(run.out.contains("started"));
    assert_eq!(view(&dir, &["missing"]).code, Some(2));
    std::fs::create_dir(dir.join("sub")).expect("a directory can be made");
    assert_eq!(view(&dir, &["sub"]).code, Some(2));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    use std::io::Read as _;
    use std::process::{Command, Stdio};
    let dir = directory("broken_pipe");
    let recording = support::Recording::new(8, 64, 65_536);
    recording.know_shop();
    let thread = support::Thread::new(1, "main");
    for n in 0..100_000 {
        recording.tick(&thread, SECOND + u64::from(n), n);
    }
    write(&dir, "big.bin", &recording.snapshot("manual", 2 * SECOND, Codec::Lz4));
    let mut child = Command::new(env!("CARGO_BIN_EXE_ttlog-view"))
        .args(["big.bin"])
        .current_dir(&dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program can be run");
    let mut first = [0; 100];
    let mut stdout = child.stdout.take().expect("a pipe");
    stdout.read_exact(&mut first).expect("there is output");
    drop(stdout);
    let output = child.wait_with_output().expect("the program ends");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

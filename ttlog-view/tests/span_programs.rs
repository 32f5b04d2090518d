//! Programs that record spans with `tracing` and are killed in the middle of them: the viewer names the open spans.
#![cfg(target_os = "linux")]

mod support;

use std::future::Future;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::pin::Pin;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::task::{Context, Poll, Waker};

use serde_json::Value as Json;
use tracing::{Instrument as _, Span, field, info, info_span, warn};
use tracing_subscriber::prelude::*;

use support::{directory, view};

/// Environment variable with the case that a child runs.
const CASE: &str = "TTLOG_VIEW_SPAN_CASE";

/// Not a test: entry point of the children.
#[test]
#[ignore = "run by the other tests in a child process"]
fn child() {
    match std::env::var(CASE).as_deref() {
        Ok("server") => server(),
        Ok("stuck") => stuck_in_a_span(),
        Ok("native") => native(),
        Ok("long") => long(false),
        Ok("long panic") => long(true),
        _ => {}
    }
}

/// Runs a case until it reports that it is ready, and kills it.
fn kill(case: &str, dir: &Path) {
    kill_with(case, dir, &[]);
}

/// Runs a case in an environment until it reports that it is ready, kills it, and returns the report.
fn kill_with(case: &str, dir: &Path, variables: &[(&str, &str)]) -> String {
    let mut child = Command::new(std::env::current_exe().expect("this program has a path"))
        .args(["child", "--exact", "--nocapture", "--ignored", "--test-threads=1"])
        .env(CASE, case)
        .env("TTLOG_DIR", dir.join("rings"))
        .env("TTLOG_SNAPSHOT_DIR", dir.join("snapshots"))
        .env("TTLOG_RETAIN_FREE_PERCENT", "0")
        .envs(variables.iter().copied())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the test binary can be started");
    let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let report = lines.map_while(Result::ok).find(|line| line.contains("ready")).expect("it was ready before it ended");
    child.kill().expect("it runs");
    child.wait().expect("a child");
    report
}

/// Is ready at the poll with this number.
struct Polls(u32);

impl Future for Polls {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        self.0 -= 1;
        if self.0 == 0 { Poll::Ready(()) } else { Poll::Pending }
    }
}

async fn transfer(amount: u64) {
    info!(amount, "begins");
    let check = async {
        Polls(2).await;
        info!("checked");
        Polls(1000).await;
    };
    check.instrument(info_span!("check", account = "savings")).await;
}

/// Has served a thousand requests, is in one in a thread, and has a task that waits.
fn server() {
    let _recorder = ttlog_std::tracing::init("bank");
    for id in 0..1000u64 {
        info_span!("request", id, status = field::Empty).in_scope(|| {
            Span::current().record("status", 200);
            info!("served");
        });
    }
    // The task is polled by two threads, and then waits.
    let mut task: Pin<Box<dyn Future<Output = ()> + Send>> =
        Box::pin(transfer(250).instrument(info_span!("transfer", from = 1, to = 2)));
    for thread in ["poller-1", "poller-2"] {
        let polling = std::thread::Builder::new().name(thread.to_owned());
        let polled = polling.spawn(move || {
            assert!(task.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            task
        });
        task = polled.expect("a thread").join().expect("no panic");
    }
    let (sender, receiver) = channel();
    let worker = std::thread::Builder::new().name("worker".to_owned());
    worker.spawn(move || worker_main(&sender)).expect("a thread");
    receiver.recv().expect("the worker lives");
    println!("ready");
    std::thread::park();
    drop(task);
}

fn worker_main(ready: &Sender<()>) {
    let request = info_span!("request", id = 7777u64, user = %"ann", status = field::Empty);
    let _in_request = request.enter();
    let query = info_span!("query", table = "orders", rows = field::Empty).entered();
    query.record("rows", 12u64);
    warn!("slow");
    ready.send(()).expect("the main thread waits");
    loop {
        std::thread::park();
    }
}

fn stuck_in_a_span() {
    let _recorder = ttlog_std::tracing::init("bank");
    let _ = std::thread::Builder::new().name("worker".to_owned()).spawn(|| {
        let _span = info_span!("settle", batch = 3).entered();
        info!("settling");
        println!("ready");
        std::thread::park();
    });
    std::thread::park();
}

/// The path of the worker of [`server`].
const IN_WORKER: &str = r#"request{id=7777 user=ann}:query{table="orders" rows=12}"#;

/// Sends a request to another process, in a trace, and both wait for ever.
fn native() {
    let _recorder = ttlog_std::Recorder::init(10_000, 10, "bank");
    let header: Option<ttlog_std::Traceparent> = std::env::var(PARENT).ok().map(|text| text.parse().expect("a header"));
    let request = ttlog_std::info_span!(parent: header, "request", user = "ann", version = 2);
    let _entered = request.enter();
    ttlog_std::info!("accepted");
    let _scope = ttlog_std::debug_scope!("send", amount = 250_u64);
    ttlog_std::record!(request, status = 202_u16);
    ttlog_std::warn!("the other bank is slow");
    let header = request.traceparent().expect("a recorder");
    println!("ready {header}");
    std::thread::park();
}

/// Has two spans that are open for several times as long as the ring reaches back, and `panics` in them or waits.
fn long(panics: bool) {
    let recorder = ttlog_std::Recorder::builder().capacity_bytes(1 << 20).build().expect("a recorder");
    tracing_subscriber::registry().with(recorder.layer()).init();
    let _ = std::thread::Builder::new().name("worker".to_owned()).spawn(move || {
        let _connection = info_span!("connection", peer = "10.0.0.1").entered();
        let _request = info_span!("request", path = "/cart", id = 7).entered();
        let text = "x".repeat(1000);
        for _ in 0..3000 {
            ttlog_std::info!("filling", text);
            std::thread::sleep(std::time::Duration::from_micros(300));
        }
        assert!(!panics, "out of luck");
        println!("ready");
        std::thread::park();
    });
    std::thread::sleep(std::time::Duration::from_secs(3));
    println!("ready");
    std::thread::park();
}

/// Environment variable with the header of the request.
const PARENT: &str = "TTLOG_VIEW_SPAN_PARENT";

fn ring(dir: &Path) -> String {
    let rings: Vec<_> = std::fs::read_dir(dir.join("rings")).expect("a directory").map(Result::unwrap).collect();
    let ring = rings.iter().map(std::fs::DirEntry::path).find(|path| path.extension().is_some_and(|ext| ext == "ring"));
    ring.expect("its ring").to_str().expect("UTF-8").to_owned()
}

fn json(dir: &Path, arguments: &[&str]) -> Vec<Json> {
    let run = view(dir, &[arguments, &["--format", "ndjson"]].concat());
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""));
    run.out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn the_crash_names_the_open_spans_with_their_fields() {
    let dir = directory("span_program");
    kill("server", &dir);
    let ring = ring(&dir);
    let text = view(&dir, &[&ring, "--limit", "1"]).out;
    let open: Vec<_> = text.lines().skip_while(|line| !line.contains("in the middle of")).take(3).collect();
    let [title, worker, task] = open[..] else { panic!("{text}") };
    assert_eq!(title, "   in the middle of, at the end:");
    assert!(worker.starts_with(&format!("   worker  {IN_WORKER}  for ")), "{text}");
    assert!(task.starts_with("   idle    transfer{from=1 to=2}:check{account=\"savings\"}  for "), "{text}");
    assert!(text.contains(&format!(" WARN worker {IN_WORKER}: span_programs: slow\n")), "{text}");

    // The same from a snapshot.
    std::fs::create_dir(dir.join("made")).expect("the directory can be made");
    let recovered = view(&dir, &["recover", "rings", "--output", "made"]);
    assert_eq!(recovered.code, Some(0), "{}", recovered.err);
    let of_snapshot = view(&dir, &["made", "--limit", "1"]).out;
    assert!(of_snapshot.contains(&format!("\n   worker  {IN_WORKER}  for ")), "{of_snapshot}");
}

#[test]
fn the_tree_has_each_span_with_its_durations() {
    let dir = directory("span_program_tree");
    kill("server", &dir);
    let ring = ring(&dir);
    let spans = json(&dir, &[&ring, "--spans"]);
    let open: Vec<_> = spans.iter().take_while(|span| span["state"] == "open").collect();
    let names: Vec<_> = open.iter().map(|span| span["span"]["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["transfer", "check", "request", "query"]);
    let number = |span: &Json, member: &str| span[member].as_u64().unwrap_or_else(|| panic!("{member}: {span}"));
    for span in &spans {
        assert_eq!(number(span, "total_ns"), number(span, "busy_ns") + number(span, "idle_ns"), "{span}");
        assert_eq!((&span["partial"], number(span, "busy_ns") > 0), (&false.into(), true), "{span}");
    }
    assert_eq!((number(open[0], "entered"), number(open[1], "entered")), (2, 2));
    assert_eq!((&open[0]["inside"], &open[3]["inside"][0]["thread"]), (&Json::Array(vec![]), &"worker".into()));
    assert_eq!((&open[1]["parent"], number(open[1], "depth")), (&open[0]["span_id"], 1));
    let served = &spans[open.len()..];
    assert_eq!(served.len(), 1000);
    for (id, span) in served.iter().enumerate() {
        assert_eq!((&span["state"], number(&span["span"], "id")), (&"ended".into(), id as u64));
        assert_eq!(span["span"]["status"].to_string(), "200");
    }
}

#[test]
fn events_are_found_by_their_spans() {
    let dir = directory("span_program_filters");
    kill("server", &dir);
    let ring = ring(&dir);
    let messages = |filters: &[&str]| -> Vec<String> {
        let arguments: Vec<_> = filters.iter().flat_map(|filter| ["-f", *filter]).chain([ring.as_str()]).collect();
        json(&dir, &arguments).iter().map(|event| event["message"].as_str().expect("text").to_owned()).collect()
    };
    assert_eq!(messages(&["span=transfer"]), ["begins", "checked"]);
    assert_eq!(messages(&["span=check"]), ["checked"]);
    assert_eq!(messages(&["span.id>=998", "span.id<=999"]), ["served", "served"]);
    assert_eq!(messages(&["span.id=7777", "span.rows=12"]), ["slow"]);
    assert_eq!(messages(&["span=request", "thread=worker"]), ["slow"]);
    assert_eq!(messages(&["span.status=200"]).len(), 1000);
    let all = json(&dir, &[&ring]);
    assert!(all.iter().all(|event| event["fields"].get("span").is_none()), "ids of spans are no fields");
    let stats: Json = serde_json::from_str(&view(&dir, &[&ring, "--stats", "--format", "json"]).out).expect("JSON");
    let source = &stats["sources"][0];
    let number = |member: &str| source[member].as_u64().expect("a number");
    // Of each request: start, enter, update, leave, end.
    assert_eq!(number("retained"), all.len() as u64 + number("span_records"));
    assert_eq!(number("span_records"), 5 * 1000 + 2 * (1 + 2 * 2) + 2 + 2 + 1);
    assert_eq!(source["open_span_count"].to_string(), "2");
    assert_eq!(source["open_spans"][0]["span"]["table"], "orders");
}

#[test]
fn a_thread_that_is_stuck_in_a_span() {
    let dir = directory("span_program_stuck");
    kill("stuck", &dir);
    let text = view(&dir, &[&ring(&dir)]).out;
    assert!(text.contains("\n   worker  settle{batch=3}  for "), "{text}");
}

#[test]
fn native_spans_of_two_processes_are_one_tree() {
    let (one, two) = (directory("span_program_one"), directory("span_program_two"));
    let report = kill_with("native", &one, &[]);
    let header = report.split_whitespace().last().expect("a header");
    kill_with("native", &two, &[(PARENT, header)]);
    let (one, two) = (ring(&one), ring(&two));
    let trace = header.split('-').nth(1).expect("a trace");

    let text = view(Path::new("."), &[&one]).out;
    assert!(text.contains("\n   child  request{user=\"ann\" version=2 status=202}:send{amount=250}  for "), "{text}");
    let path = "request{user=\"ann\" version=2 status=202}";
    assert!(text.contains(&format!(" {path}:send{{amount=250}}: span_programs: the other bank is slow\n")), "{text}");
    assert!(text.contains(&format!(" {path}: span_programs: accepted\n")), "{text}");

    let spans = json(Path::new("."), &[&two, &one, "--spans"]);
    let lives: Vec<_> =
        spans.iter().map(|span| (span["depth"].to_string(), span["span"]["name"].as_str().unwrap())).collect();
    let lives: Vec<_> = lives.iter().map(|(depth, name)| (depth.as_str(), *name)).collect();
    assert_eq!(lives, [("0", "request"), ("1", "request"), ("2", "send"), ("1", "send")]);
    assert!(spans.iter().all(|span| span["trace_id"] == trace), "{spans:?}");
    assert_eq!(spans[1]["remote_parent"], spans[0]["known_as"]);
    let both = json(Path::new("."), &[&one, &two, "-f", &format!("trace_id={trace}")]);
    assert!(both.len() == 4 && both.iter().all(|event| event["trace_id"] == trace), "{both:?}");
    let none = format!("trace_id={}", trace.replace(|c: char| c != '0', "1"));
    assert_eq!(json(Path::new("."), &[&one, &two, "-f", &none]).len(), 0);
}

#[test]
fn spans_are_known_that_started_before_all_that_the_ring_holds() {
    const PATH: &str = r#"connection{peer="10.0.0.1"}:request{path="/cart" id=7}"#;
    let dir = directory("span_program_long");
    kill("long", &dir);
    let text = view(&dir, &[&ring(&dir), "--limit", "1"]).out;
    assert!(text.contains(&format!("   open  {PATH}  for ")) && text.contains(", open for at least "), "{text}");
    let spans = json(&dir, &[&ring(&dir), "--spans"]);
    let lives: Vec<_> = spans.iter().map(|span| (&span["state"], &span["partial"], &span["parent"])).collect();
    let open = (&"open".into(), &true.into());
    assert_eq!(lives, [(open.0, open.1, &Json::Null), (open.0, open.1, &spans[0]["span_id"])]);

    let dir = directory("span_program_long_panic");
    kill("long panic", &dir);
    let text = view(&dir, &[&ring(&dir), "--filter", "target=panic"]).out;
    assert!(text.contains(&format!(" ERROR worker {PATH}: panic: panicked at ")), "{text}");
    let panics = json(&dir, &[&ring(&dir), "--filter", "span.id=7", "--filter", "target=panic"]);
    assert_eq!(panics.len(), 2, "the panic and its backtrace");
}

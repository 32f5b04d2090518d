//! Filters of random shape over random events, against an evaluation that knows nothing of callsites, types of records
//! or shortcuts: it compares what an unfiltered reading returned, condition by condition.

#[path = "support/recording.rs"]
mod recording;

use std::path::PathBuf;

use fastrand::Rng;
use recording::{Recording, SECOND, Thread};
use ttlog_core::Level;
use ttlog_core::snapshot::Codec;
use ttlog_read::{FieldValue, Query, Secrets, Timeline};

/// An event, as far as the naive evaluation knows it.
#[derive(Clone, Debug, PartialEq)]
struct Seen {
    level: Level,
    target: String,
    message: String,
    thread: String,
    fields: Vec<(String, Simple)>,
}

#[derive(Clone, Debug, PartialEq)]
enum Simple {
    /// With its text.
    Number(f64, String),
    Text(String),
    /// An error: the texts of its chain.
    Texts(Vec<String>),
    /// No filter of this test looks at it.
    Other,
}

/// A filter, as a tree.
enum Tree {
    All(Vec<Tree>),
    Any(Vec<Tree>),
    Not(Box<Tree>),
    Is { key: &'static str, or_absent: bool, test: Test },
}

enum Test {
    Compare(&'static str, String),
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
}

const NAMES: [&str; 5] = ["ann", "bob", "carla", "and", "x or y"];
const KEYS: [&str; 9] = ["id", "who", "ms", "path", "n", "port", "message", "thread", "nothing"];

fn recording(random: &mut Rng) -> Recording {
    let recording = Recording::new(7, 64, 2048);
    recording.know_shop();
    let threads = [Thread::new(1, "main"), Thread::new(2, "worker")];
    for second in 0..random.u64(50..150) {
        let thread = &threads[random.usize(..2)];
        let (at, id) = (second * SECOND, random.u64(..12));
        match random.u8(..4) {
            0 => recording.refused(thread, at, id),
            1 => recording.tick(thread, at, random.u32(..12)),
            2 => recording.started(thread, at, random.u16(..12)),
            _ => {
                let path = ["/orders", "/orders/7", "/upload (big)", ""][random.usize(..4)];
                recording.order(thread, at, id, NAMES[random.usize(..5)], f64::from(random.u8(..24)) / 4.0, path);
            }
        }
    }
    recording
}

fn tree(random: &mut Rng, depth: usize) -> Tree {
    let nodes = |random: &mut Rng| (0..random.usize(2..4)).map(|_| tree(random, depth - 1)).collect();
    match random.u8(..if depth == 0 { 1 } else { 5 }) {
        1 => Tree::All(nodes(random)),
        2 => Tree::Any(nodes(random)),
        3 => Tree::Not(Box::new(tree(random, depth - 1))),
        _ => leaf(random),
    }
}

fn leaf(random: &mut Rng) -> Tree {
    let order = ["=", "!=", "<", "<=", ">", ">="];
    match random.u8(..8) {
        0 => {
            let level = ["TRACE", "debug", "Info", "warn", "ERROR"][random.usize(..5)];
            Tree::Is { key: "level", or_absent: false, test: Test::Compare(order[random.usize(..6)], level.to_owned()) }
        }
        1 => Tree::Is { key: KEYS[random.usize(..6)], or_absent: false, test: Test::Exists },
        2 => {
            let target = ["shop", "shop::orders", "orders", "shop::order"][random.usize(..4)];
            let operator = ["=", "!=", "~="][random.usize(..3)];
            Tree::Is { key: "target", or_absent: false, test: Test::Compare(operator, target.to_owned()) }
        }
        kind => {
            let key = KEYS[random.usize(..KEYS.len())];
            let is_number = matches!(key, "id" | "ms" | "n" | "port");
            let value = |random: &mut Rng| match is_number {
                true => random.u8(..12).to_string(),
                false => ["ann", "bob", "/orders", "main", "x or y", "and", "order", "limit reached", ""]
                    [random.usize(..9)]
                .to_owned(),
            };
            let or_absent = random.u8(..4) == 0;
            let values = |random: &mut Rng| (0..random.usize(1..4)).map(|_| value(random)).collect();
            let test = match kind {
                3 => Test::In(values(random)),
                4 => Test::NotIn(values(random)),
                5 => Test::Compare("~=", value(random)),
                6 => Test::Compare("~~=", format!("^{}.?", regex_of(&value(random)))),
                _ => Test::Compare(order[random.usize(..6)], value(random)),
            };
            Tree::Is { key, or_absent, test }
        }
    }
}

fn regex_of(text: &str) -> String {
    text.chars().flat_map(|c| [Some('\\').filter(|_| !c.is_alphanumeric() && c != ' '), Some(c)]).flatten().collect()
}

/// Writes a tree as people do: with more or less blanks, parentheses and quotes.
fn text(tree: &Tree, random: &mut Rng) -> String {
    let join = |nodes: &[Tree], words: [&str; 3], random: &mut Rng| {
        let texts: Vec<_> = nodes.iter().map(|node| grouped(node, random)).collect();
        texts.join(words[random.usize(..3)])
    };
    match tree {
        Tree::All(nodes) => join(nodes, [" and ", " AND ", "  && "], random),
        Tree::Any(nodes) => join(nodes, [" or ", " OR ", " ||  "], random),
        Tree::Not(node) => format!("not {}", grouped(node, random)),
        Tree::Is { key, or_absent, test } => {
            let absent = if *or_absent { "?" } else { "" };
            let blank = if random.bool() { " " } else { "" };
            let list = |values: &[String], random: &mut Rng| {
                let values: Vec<_> = values.iter().map(|value| quoted(value, true, random)).collect();
                values.join([",", ", "][random.usize(..2)])
            };
            match test {
                Test::Exists => format!("exists({blank}{key})"),
                Test::In(values) => format!("{key}{absent} in{blank}({})", list(values, random)),
                Test::NotIn(values) => format!("{key}{absent} not in {blank}({})", list(values, random)),
                Test::Compare(operator, value) => {
                    format!("{key}{absent}{blank}{operator}{blank}{}", quoted(value, false, random))
                }
            }
        }
    }
}

fn grouped(tree: &Tree, random: &mut Rng) -> String {
    match tree {
        Tree::Is { .. } if random.bool() => text(tree, random),
        _ => format!("({})", text(tree, random)),
    }
}

/// Numbers stay unquoted, because in quotes they are texts.
fn quoted(value: &str, must: bool, random: &mut Rng) -> String {
    let is_number = value.parse::<f64>().is_ok();
    let is_plain = !value.contains(" or ") && value != "and" && !value.contains(['"', '\\', '^', '.', ',']);
    match !is_number && (must && value.is_empty() || !is_plain || random.bool()) {
        true => format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"")),
        false => value.to_owned(),
    }
}

fn holds(tree: &Tree, event: &Seen) -> bool {
    match tree {
        Tree::All(nodes) => nodes.iter().all(|node| holds(node, event)),
        Tree::Any(nodes) => nodes.iter().any(|node| holds(node, event)),
        Tree::Not(node) => !holds(node, event),
        Tree::Is { key, or_absent, test } => {
            let value = match *key {
                "level" => return level_holds(event.level, test),
                "target" => return target_holds(&event.target, test),
                "message" => Some(Simple::Text(event.message.clone())),
                "thread" => Some(Simple::Text(event.thread.clone())),
                key => event.fields.iter().find(|(name, _)| name == key).map(|(_, value)| value.clone()),
            };
            match (test, value) {
                (Test::Exists, value) => value.is_some(),
                (_, None) if *or_absent => true,
                (Test::NotIn(_), None) => true,
                (Test::Compare(operator, _), None) => *operator == "!=",
                (_, None) => false,
                (Test::In(values), Some(value)) => values.iter().any(|wanted| compares(&value, "=", wanted)),
                (Test::NotIn(values), Some(value)) => !values.iter().any(|wanted| compares(&value, "=", wanted)),
                (Test::Compare(operator, wanted), Some(value)) => compares(&value, operator, wanted),
            }
        }
    }
}

fn level_holds(level: Level, test: &Test) -> bool {
    let Test::Compare(operator, wanted) = test else { panic!("levels are compared") };
    let severity = |name: &str| ["TRACE", "DEBUG", "INFO", "WARN", "ERROR"].iter().position(|level| *level == name);
    ordered(operator, severity(level.as_str()).cmp(&severity(&wanted.to_uppercase())))
}

fn target_holds(target: &str, test: &Test) -> bool {
    let Test::Compare(operator, wanted) = test else { panic!("targets are compared") };
    let is_below = target == wanted || target.starts_with(&format!("{wanted}::"));
    match *operator {
        "=" => is_below,
        "!=" => !is_below,
        _ => target.contains(wanted.as_str()),
    }
}

fn compares(value: &Simple, operator: &str, wanted: &str) -> bool {
    let number = |text: &str| text.parse::<f64>().ok();
    match (value, operator) {
        (value, "!=") => !compares(value, "=", wanted),
        (Simple::Other, _) => panic!("a filter looks at it"),
        (Simple::Texts(texts), _) => texts.iter().any(|text| compares(&Simple::Text(text.clone()), operator, wanted)),
        (Simple::Text(text), "~=") => text.contains(wanted),
        (Simple::Number(_, text), "~=") => text.contains(wanted),
        (Simple::Text(text), "~~=") => starts_with(text, wanted),
        (Simple::Number(_, text), "~~=") => starts_with(text, wanted),
        (Simple::Number(value, _), _) => number(wanted)
            .is_some_and(|wanted| value.partial_cmp(&wanted).is_some_and(|order| ordered(operator, order))),
        (Simple::Text(text), _) => match (number(text), number(wanted)) {
            (Some(value), Some(wanted)) => value.partial_cmp(&wanted).is_some_and(|order| ordered(operator, order)),
            (None, Some(_)) => false,
            _ => ordered(operator, text.as_str().cmp(wanted)),
        },
    }
}

/// All patterns of this test are `^TEXT.?`.
fn starts_with(text: &str, pattern: &str) -> bool {
    let plain = pattern.strip_prefix('^').and_then(|rest| rest.strip_suffix(".?")).expect("one of our own");
    text.starts_with(&plain.replace('\\', ""))
}

fn ordered(operator: &str, order: std::cmp::Ordering) -> bool {
    match operator {
        "=" => order.is_eq(),
        "!=" => order.is_ne(),
        "<" => order.is_lt(),
        "<=" => order.is_le(),
        ">" => order.is_gt(),
        _ => order.is_ge(),
    }
}

fn read(name: &str, query: &Query) -> Vec<Seen> {
    let inputs = ttlog_read::open(&[name]);
    let sources = inputs.sources(&Secrets::default()).expect("good sources");
    let mut timeline = Timeline::read(&sources, query, &mut ());
    let mut events = timeline.events();
    let mut all = Vec::new();
    while let Some(event) = events.next_event() {
        let simple = |value: &FieldValue<'_>| match value {
            FieldValue::Unsigned(value) => Simple::Number(*value as f64, value.to_string()),
            FieldValue::F64(value) => Simple::Number(*value, format!("{value:?}")),
            FieldValue::Str(text) => Simple::Text(text.text.to_owned()),
            FieldValue::Error(texts, _) => Simple::Texts(texts.iter().map(|text| text.text.to_owned()).collect()),
            _ => Simple::Other,
        };
        all.push(Seen {
            level: event.level().expect("a known callsite"),
            target: event.target().to_owned(),
            message: event.message(),
            thread: event.thread.map_or(String::new(), |(name, _)| name.to_owned()),
            fields: event.fields().map(|(name, value)| (name.to_owned(), simple(value))).collect(),
        });
    }
    all
}

#[test]
fn filters_select_what_a_naive_evaluation_selects() {
    let mut random = Rng::with_seed(fastrand::u64(..));
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("filters.bin");
    let name = path.to_str().expect("a path in UTF-8");
    let (mut selected, mut refused) = (0, 0);
    for _ in 0..20 {
        let recording = recording(&mut random);
        let bytes = match random.bool() {
            true => recording.image(),
            false => recording.snapshot("test", 1000 * SECOND, Codec::Lz4),
        };
        std::fs::write(&path, bytes).expect("the file can be written");
        let all = read(name, &Query::default());
        assert!(all.len() >= 50, "nothing was overwritten");
        for _ in 0..100 {
            let tree = tree(&mut random, 3);
            let text = text(&tree, &mut random);
            let filter = text.parse().unwrap_or_else(|error| panic!("{error}"));
            let expected: Vec<_> = all.iter().filter(|event| holds(&tree, event)).cloned().collect();
            let found = read(name, &Query { filter, ..Query::default() });
            if found != expected {
                let extra = found.iter().find(|event| !expected.contains(event));
                let missing = expected.iter().find(|event| !found.contains(event));
                panic!("{text}: selected, but does not match: {extra:#?}; matches, but is not selected: {missing:#?}");
            }
            selected += expected.len();
            refused += all.len() - expected.len();
        }
    }
    assert!(selected > 10_000 && refused > 10_000, "{selected} {refused}");
    std::fs::remove_file(&path).expect("our own file");
}

/// Each is one reading of 100,000 values, not 100,000 comparisons for each event.
#[test]
fn long_lists() {
    let recording = Recording::new(9, 64, 4096);
    recording.know_shop();
    let main = Thread::new(1, "main");
    (0..2000).for_each(|n| recording.order(&main, n * SECOND, n, ["ann", "bob"][n as usize % 2], 0.0, "/"));
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("lists.bin");
    let name = path.to_str().expect("a path in UTF-8");
    std::fs::write(&path, recording.image()).expect("the file can be written");
    let numbers: Vec<_> = (1000..101_000).map(|n| n.to_string()).collect();
    let filter: ttlog_read::Filter = format!("id in ({})", numbers.join(",")).parse().expect("a filter");
    assert_eq!(read(name, &Query { filter, ..Query::default() }).len(), 1000);
    let names: Vec<_> = (0..100_000).map(|n| format!("user-{n}")).collect();
    let filter: ttlog_read::Filter = format!("who in ({}, bob)", names.join(", ")).parse().expect("a filter");
    assert_eq!(read(name, &Query { filter, ..Query::default() }).len(), 1000);
    std::fs::remove_file(&path).expect("our own file");
}

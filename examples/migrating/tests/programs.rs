//! Runs the programs, and looks at what they print and at what they leave in the ring.
#![cfg(target_os = "linux")]

use std::path::PathBuf;
use std::process::Command;

use ttlog_read::{Query, Secrets, Timeline};

/// An ended program.
struct Run {
    /// Its output: stdout, then stderr.
    printed: String,
    /// Its directory, in which it has written files.
    directory: PathBuf,
    /// Its events in the ring, each as `LEVEL span{field=value …} target: message field=value …`.
    recorded: Vec<String>,
}

impl Run {
    /// Runs a program in a directory of its own.
    fn of(program: &str, executable: &str) -> Run {
        let directory = std::env::temp_dir().join(format!("ttlog-migrating-{program}-{}", std::process::id()));
        std::fs::create_dir(&directory).unwrap();
        let output = Command::new(executable)
            .current_dir(&directory)
            .env("TTLOG_DIR", directory.join("rings"))
            .env("RUST_LOG", "info")
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let printed = text(&output.stdout) + &text(&output.stderr);
        assert!(output.status.success(), "{program}: {printed}");
        Run { recorded: recorded(directory.join("rings").to_str().unwrap()), printed, directory }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory); // a leftover in the temp directory does no harm
    }
}

fn recorded(rings: &str) -> Vec<String> {
    let inputs = ttlog_read::open(&[rings]);
    let sources = inputs.sources(&Secrets::default()).unwrap();
    let mut timeline = Timeline::read(&sources, &Query::default(), &mut ());
    let mut events = timeline.events();
    let mut lines = Vec::new();
    while let Some(event) = events.next_event() {
        let mut line = event.level().map_or("?", |level| level.as_str()).to_owned();
        for span in event.spans() {
            let fields: Vec<_> = span.fields().iter().map(|(name, value)| format!("{name}={value}")).collect();
            line += &format!(" {}{{{}}}", span.name().unwrap_or("?"), fields.join(" "));
        }
        line += &format!(" {}: {}", event.target(), event.message());
        // The message is in the line already.
        for (name, value) in event.fields().filter(|(name, _)| *name != "message") {
            line += &format!(" {name}={value}");
        }
        lines.push(line);
    }
    lines
}

macro_rules! run {
    ($program:literal) => {
        Run::of($program, env!(concat!("CARGO_BIN_EXE_", $program)))
    };
}

/// The error that ends each story.
const ERROR: &str = "invalid digit found in string";

#[test]
fn log() {
    let before = run!("log-before");
    assert!(before.printed.contains(&format!("not paid order=4711 error={ERROR}")), "{}", before.printed);
    let after = run!("log-after");
    let expected = [
        "DEBUG log_after: paying order=4711 cents=3980".to_owned(),
        format!("ERROR audit: not paid order=4711 error=\"{ERROR}\""),
    ];
    assert_eq!(after.recorded, expected);
}

#[test]
fn env_logger() {
    let before = run!("env_logger-before");
    let after = run!("env_logger-after");
    for run in [&before, &after] {
        assert!(run.printed.contains("accepted order=4711") && run.printed.contains("slow"), "{}", run.printed);
    }
    let expected = [
        "INFO env_logger_after: accepted order=4711".to_owned(),
        "WARN env_logger_after: payment provider is slow".to_owned(),
    ];
    assert_eq!((before.recorded.len(), &after.recorded[..]), (0, &expected[..]));
}

#[test]
fn tracing() {
    let before = run!("tracing-before");
    let after = run!("tracing-after");
    for run in [&before, &after] {
        assert!(run.printed.contains("paying") && run.printed.contains("not paid"), "{}", run.printed);
    }
    let expected = [
        "INFO pay{order=4711 cents=3980} tracing_after: paying provider=\"acme\"".to_owned(),
        format!("ERROR tracing_after: not paid error=\"{ERROR}\""),
    ];
    assert_eq!(after.recorded, expected);
}

#[test]
fn slog() {
    let before = run!("slog-before");
    assert!(before.printed.contains("paying") && before.printed.contains(ERROR), "{}", before.printed);
    let after = run!("slog-after");
    let expected = [
        "INFO order{id=4711} slog_after: paying cents=3980".to_owned(),
        format!("ERROR order{{id=4711}} slog_after: not paid error=\"{ERROR}\""),
    ];
    assert_eq!(after.recorded, expected);
}

#[test]
fn log4rs() {
    let before = run!("log4rs-before");
    let lines = std::fs::read_to_string(before.directory.join("log/shop.log")).unwrap();
    assert!(lines.contains("accepted") && lines.lines().count() == 1, "{lines}");
    let after = run!("log4rs-after");
    assert_eq!(after.recorded, ["INFO log4rs_after: accepted order=4711"]);
}

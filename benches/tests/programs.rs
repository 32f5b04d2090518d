//! Runs the programs with little work, and checks their output and their errors.

use std::process::{Command, Output};

fn max_performance(arguments: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_max_performance"));
    command.args(arguments.split_whitespace()).output().expect("the program starts")
}

/// Returns the lines of a run that must succeed.
fn lines(arguments: &str) -> Vec<serde_json::Value> {
    let output = max_performance(arguments);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments}: {}\n{stderr}", output.status);
    let stdout = String::from_utf8(output.stdout).expect("text");
    stdout.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

/// Returns the message of a run that must fail.
fn complaint(arguments: &str, code: i32) -> String {
    let output = max_performance(arguments);
    assert_eq!(output.status.code(), Some(code), "{arguments}");
    assert!(output.stdout.is_empty(), "{arguments}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn number(line: &serde_json::Value, key: &str) -> f64 {
    line[key].as_f64().unwrap_or_else(|| panic!("no number {key} in {line}"))
}

#[test]
fn cost_reports_every_case_and_the_floor() {
    let lines = lines("cost --json --rounds 1 --events 1000");
    let names: Vec<_> = lines.iter().map(|line| line["name"].as_str().expect("a name")).collect();
    for name in [
        "floor",
        "event_0_fields",
        "event_3_fields",
        "event_3_fields_coarse",
        "event_3_fields_signals_off",
        "event_3_fields_warn",
        "event_string_64",
        "event_template",
        "disabled",
    ] {
        assert_eq!(names.iter().filter(|found| **found == name).count(), 1, "{name}");
    }
    for line in &lines {
        let [ns, floor, ratio] = ["ns_per_event", "floor_ns", "ratio"].map(|key| number(line, key));
        assert!(ns > 0.0 && floor > 0.0 && (ratio - ns / floor).abs() < 0.01 * ratio + 0.01, "{line}");
    }
    let bytes = |name: &str| number(lines.iter().find(|line| line["name"] == name).expect("a line"), "bytes_per_event");
    // A header word; with a header word, an f64, and one or two words of packed text and number; and with 65 packed
    // bytes.
    assert!((8.0..8.1).contains(&bytes("event_0_fields")));
    assert!((24.0..32.0).contains(&bytes("event_3_fields")));
    assert!((80.0..80.1).contains(&bytes("event_string_64")));
    assert_eq!(bytes("disabled"), 0.0);
}

#[test]
fn throughput_adds_up_with_any_number_of_threads() {
    for line in lines("throughput --threads 1,3,300 --rounds 1 --events 1000000 --json") {
        let [emitted, retained, overwritten, dropped] =
            ["emitted", "retained", "overwritten", "dropped"].map(|key| number(&line, key));
        assert!(emitted >= 1_000_000.0 && retained > 0.0, "{line}");
        assert_eq!(emitted, retained + overwritten + dropped, "{line}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn places_are_reported_side_by_side() {
    // Where the directory for temporary files is in memory, that of the build is not.
    let disk = format!("{}/places-{}", env!("CARGO_TARGET_TMPDIR"), std::process::id());
    std::fs::create_dir(&disk).expect("a directory");
    let lines = lines(&format!("places --rounds 2 --events 100000 --json --disk {disk}"));
    assert_eq!(lines.len(), 3);
    for line in &lines {
        assert!(number(line, "ns_per_event") > 0.0 && number(line, "retained") > 500_000.0, "{line}");
    }
    let complaint = complaint("places --disk /dev/shm", 1);
    assert!(complaint.contains("is in memory"), "{complaint}");
    std::fs::remove_dir(&disk).expect("nothing is left there");
}

#[test]
fn many_threads_and_rings_add_up() {
    for line in lines("concurrency --threads 300 --rings 100 --json") {
        let [emitted, retained, overwritten, dropped] =
            ["emitted", "retained", "overwritten", "dropped"].map(|key| number(&line, key));
        assert!(retained > 0.0);
        assert_eq!(emitted, retained + overwritten + dropped, "{line}");
    }
}

#[test]
fn tail_and_snapshot_report() {
    let lines_of_tail = lines("tail --calls 100000 --json");
    assert_eq!(lines_of_tail.len(), 3);
    assert!(lines_of_tail.iter().all(|line| number(line, "p50") <= number(line, "max")));
    assert!(number(&lines_of_tail[2], "snapshots") >= 1.0);
    let snapshot = &lines("snapshot --rounds 1 --json")[0];
    assert!(number(snapshot, "total_ms") > 0.0 && number(snapshot, "events") > 500_000.0, "{snapshot}");
}

#[test]
fn bad_input_is_reported_and_not_measured() {
    assert!(complaint("cost --case nonsense", 1).contains("no such case: nonsense; there are event_0_fields"));
    for (arguments, text) in [
        ("cost --rounds 0", "0 is not in 1..=1000"),
        ("cost --events ten", "invalid digit"),
        ("throughput --threads 0", "0 is not in 1..=1024"),
        ("throughput --threads 1,,2", "<THREADS>"),
        ("throughput --threads", "a value is required"),
        ("frobnicate", "unrecognized subcommand"),
    ] {
        let message = complaint(arguments, 2);
        assert!(message.contains(text), "{arguments}: {message}");
    }
}

#[test]
fn unusable_directory_is_reported() {
    let output = Command::new(env!("CARGO_BIN_EXE_max_performance"))
        .args(["cost", "--case", "event_0_fields"])
        .env("TTLOG_DIR", "/dev/null/rings")
        .output()
        .expect("the program starts");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("/dev/null/rings"));
}

#[test]
fn instructions_runs_every_case() {
    for case in ttlog_benches::workload::cases::ALL {
        let output =
            Command::new(env!("CARGO_BIN_EXE_instructions")).args([case.name, "2000"]).output().expect("a start");
        assert!(output.status.success(), "{}: {}", case.name, String::from_utf8_lossy(&output.stderr));
    }
    let output = Command::new(env!("CARGO_BIN_EXE_instructions")).args(["nonsense", "5"]).output().expect("a start");
    assert_eq!(output.status.code(), Some(1));
}

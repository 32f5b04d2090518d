//! The program as users run it: its output, what it leaves behind, and its exit codes.
#![cfg(target_os = "linux")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use clap::Parser as _;
use ttlog_view::command::cli::Cli;

/// A directory for one test, removed at its end.
struct Place(PathBuf);

impl Place {
    fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("ttlog simple test {test} {}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        Place(path)
    }

    fn make(&self, name: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::create_dir_all(&path).unwrap();
        path
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0); // a leftover in the temp directory harms nobody
    }
}

fn run(arguments: &[&str], directory: &Path) -> (Output, u32) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ttlog-simple"));
    command.args(arguments).arg(directory).env_remove("TTLOG_DIR");
    let child = command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let pid = child.id();
    (child.wait_with_output().unwrap(), pid)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn events_are_accounted_for_and_only_the_snapshot_stays() {
    let place = Place::new("good");
    let (tree, output) = (place.make("tree"), place.make("output"));
    for index in 0..20 {
        std::fs::write(tree.join(format!("{index}.txt")), "a line\n".repeat(index)).unwrap();
    }
    std::fs::write(tree.join("picture"), [0; 5000]).unwrap();
    let options = ["--after-ms", "200", "--threads", "3", "--ring-kib", "64", "--output", output.to_str().unwrap()];
    let (result, pid) = run(&options, &tree);
    let (stdout, stderr) = (text(&result.stdout), text(&result.stderr));
    assert_eq!(result.status.code(), Some(0), "{stdout}\n{stderr}");
    assert_eq!(stderr, "");
    let figures = stdout.lines().last().unwrap();
    assert!(figures.starts_with("every event is accounted for: counted "), "{figures}");
    assert!(figures.ends_with("<= counted + 3 threads"), "{figures}");
    assert!(stdout.contains(".txt: ") && stdout.contains("indexer-2"), "{stdout}");

    let names = |directory: &Path| std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let snapshots: Vec<PathBuf> = names(&output).collect();
    assert_eq!(snapshots.len(), 1, "{snapshots:?}");
    let run = format!("ttlog-simple-{pid}-");
    for parent in [Path::new("/dev/shm"), &std::env::temp_dir()] {
        let left = names(parent).find(|path| path.file_name().unwrap().to_string_lossy().starts_with(&run));
        assert_eq!(left, None);
    }
    // The printed commands are valid: they parse, and name the snapshot.
    let commands: Vec<&str> = stdout.lines().filter_map(|line| line.strip_prefix("  ttlog-view ")).collect();
    assert!(commands.len() >= 5, "{stdout}");
    for command in commands {
        let unquoted = Command::new("sh").args(["-c", &format!("printf '%s\\n' {command}")]).output().unwrap();
        let arguments = text(&unquoted.stdout);
        assert!(arguments.lines().any(|argument| Path::new(argument) == snapshots[0]), "{command}");
        Cli::try_parse_from(["ttlog-view"].into_iter().chain(arguments.lines())).unwrap();
    }
}

#[test]
fn unusable_input_is_reported() {
    let place = Place::new("bad");
    let (empty, full) = (place.make("empty"), place.make("full"));
    let file = full.join("file");
    std::fs::write(&file, "text").unwrap();
    let nowhere = place.0.join("nowhere");
    let nowhere_text = nowhere.to_str().unwrap();
    for (options, tree, message) in [
        (&[][..], &empty, "has no files to index"),
        (&[], &file, "is no directory"),
        (&[], &nowhere, "No such file or directory"),
        (&["--output", nowhere_text], &full, "which is no directory"),
        (&["--threads", "0"], &full, "--threads"),
    ] {
        let (result, _) = run(options, tree);
        let stderr = text(&result.stderr);
        assert_eq!(result.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(message), "{stderr}");
        assert_eq!(text(&result.stdout), "");
    }
}

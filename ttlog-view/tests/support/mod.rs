//! The program, run on [recordings](recording).
#![allow(dead_code, unreachable_pub, unused_imports)] // each test binary is a crate of its own and uses a part

pub mod device;
#[cfg(target_os = "linux")]
pub mod live;
#[path = "../../../ttlog-read/tests/support/recording.rs"]
mod recording;
#[path = "../../../ttlog-read/tests/support/spans.rs"]
pub mod spans;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

pub use recording::*;

/// Creates an empty directory for one test.
pub fn directory(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if path.exists() {
        std::fs::remove_dir_all(&path).expect("the directory of the last run can be removed");
    }
    std::fs::create_dir_all(&path).expect("the directory can be made");
    path
}

pub fn write(directory: &Path, name: &str, bytes: &[u8]) {
    std::fs::write(directory.join(name), bytes).expect("the file can be written");
}

/// Result of a run of the program.
pub struct Run {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

/// Runs the program in a directory, in the time zone UTC and without color.
pub fn view(directory: &Path, arguments: &[&str]) -> Run {
    let output: Output = Command::new(env!("CARGO_BIN_EXE_ttlog-view"))
        .args(arguments)
        .current_dir(directory)
        .env("TZ", "UTC")
        .env_remove("NO_COLOR")
        .env("COLUMNS", "100")
        .output()
        .expect("the program can be run");
    Run {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).expect("output is UTF-8"),
        err: String::from_utf8(output.stderr).expect("output is UTF-8"),
    }
}

/// Copies the viewer to a place that other users can reach.
///
/// By a process of its own: a child that another test starts meanwhile would hold the file open for writing, and a file
/// that is being written cannot be executed.
pub fn copy_of_viewer(directory: &Path) -> PathBuf {
    let program = directory.join("ttlog-view");
    let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_ttlog-view")).arg(&program).status();
    assert!(copied.expect("cp can be run").success(), "{} cannot be written", program.display());
    program
}

/// Compares with an expected text, or replaces that if `TTLOG_BLESS=1` is set.
pub fn compare(name: &str, actual: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name);
    if std::env::var_os("TTLOG_BLESS").is_some_and(|value| value == "1") {
        std::fs::write(&path, actual).expect("the kept text can be written");
        return;
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert!(
        kept == actual,
        "{} differs; read it and set TTLOG_BLESS=1 to keep it\n--- kept\n{kept}\n--- now\n{actual}",
        path.display()
    );
}

/// Reports that a test cannot run here, and why: on stderr, and as a line in the file named by `TTLOG_SKIP_FILE`,
/// from which `ci/test` counts and lists the skipped tests.
pub fn skip(reason: &str) {
    eprintln!("SKIPPED: {reason}");
    if let Some(path) = std::env::var_os("TTLOG_SKIP_FILE") {
        let mut file =
            std::fs::File::options().create(true).append(true).open(path).expect("the file of skipped tests");
        std::io::Write::write_all(&mut file, format!("{reason}\n").as_bytes()).expect("the file of skipped tests");
    }
}

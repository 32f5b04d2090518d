//! Reports tests that cannot do their work on this machine. The unit tests in `src` use it, too.

use std::io::Write as _;

/// Reports that a test is skipped, and why.
///
/// The line bypasses the harness and goes to stderr, so that it is visible although the test passes. It also goes to
/// the file named by `TTLOG_SKIP_FILE`, if set, which the checks use to count and list skipped tests.
pub fn skip(test: &str, reason: &str) {
    // The harness captures `eprintln!`, but not direct writes to stderr. If stderr is closed, nobody reads the line.
    let _ = std::io::stderr().write_all(format!("SKIPPED {test}: {reason}\n").as_bytes());
    if let Some(path) = std::env::var_os("TTLOG_SKIP_FILE") {
        let mut file =
            std::fs::File::options().create(true).append(true).open(path).expect("the file of skipped tests");
        file.write_all(format!("{test}: {reason}\n").as_bytes()).expect("the file of skipped tests");
    }
}

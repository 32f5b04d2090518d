//! Reports tests that cannot do their work on this machine. The unit tests in `src` use it, too.

use std::io::Write as _;

/// Reports that a test is skipped, and why.
///
/// The line goes to stderr past the harness, so that it is seen although the test passes; and into the file named by
/// `TTLOG_SKIP_FILE`, if that is set, by which the checks count and list what was skipped.
pub fn skip(test: &str, reason: &str) {
    // A harness captures what is printed, but not what is written. If stderr is closed, nobody is there to read the
    // line.
    let _ = std::io::stderr().write_all(format!("SKIPPED {test}: {reason}\n").as_bytes());
    if let Some(path) = std::env::var_os("TTLOG_SKIP_FILE") {
        let mut file =
            std::fs::File::options().create(true).append(true).open(path).expect("the file of skipped tests");
        file.write_all(format!("{test}: {reason}\n").as_bytes()).expect("the file of skipped tests");
    }
}

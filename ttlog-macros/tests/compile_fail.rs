//! The compile errors that misuse gives: their text, and the token they point at, compared with the files beside the cases.
//!
//! `TRYBUILD=overwrite cargo test -p ttlog-macros --test compile_fail` blesses new texts. The texts are ours and do not depend on the
//! compiler, but the places do: nightly compilers can point inside a message, stable ones point at the whole literal. So the
//! cases run on stable compilers from the one they were blessed with, 1.95, on; on others this test says that it was skipped.

use std::env;
use std::fs::File;
use std::io::Write as _;
use std::process::Command;

/// Reports that the test cannot do its work here, and why: on stderr, and as a line of the file that `TTLOG_SKIP_FILE` names, by which
/// `ci/test` counts and lists what was skipped.
fn skip(reason: &str) {
    eprintln!("SKIPPED: {reason}");
    if let Some(path) = env::var_os("TTLOG_SKIP_FILE") {
        let mut file = File::options().create(true).append(true).open(path).expect("the file of skipped tests");
        file.write_all(format!("{reason}\n").as_bytes()).expect("the file of skipped tests");
    }
}

/// The minor version of Rust that wrote the expected texts.
const BLESSED_MINOR: u32 = 95;

#[test]
fn misuse() {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = Command::new(rustc).arg("--version").output().expect("rustc runs");
    let version = String::from_utf8(version.stdout).expect("rustc speaks UTF-8");
    let release = version.split(' ').nth(1).expect("`rustc 1.2.3 (…)`");
    let minor: u32 = release.split('.').nth(1).and_then(|minor| minor.parse().ok()).expect("a minor version");
    if release.contains('-') || minor < BLESSED_MINOR {
        return skip(&format!(
            "misuse: compile errors are compared on stable Rust from 1.{BLESSED_MINOR} on; this is {release}"
        ));
    }
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}

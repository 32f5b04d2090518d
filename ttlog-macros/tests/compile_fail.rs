//! Compares the compile errors of misuse, text and place, with the files beside the cases.
//!
//! `TRYBUILD=overwrite cargo test -p ttlog-macros --test compile_fail` blesses new texts. The texts are ours and do not
//! depend on the compiler, but the places do: nightly compilers can point inside a message, stable ones point at the
//! whole literal. So the cases run on stable compilers from 1.95 on, which blessed them; other compilers skip this test
//! with a message.

use std::env;
use std::process::Command;

/// Minor version of the Rust that blessed the expected texts.
const BLESSED_MINOR: u32 = 95;

#[test]
fn misuse() {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = Command::new(rustc).arg("--version").output().expect("rustc runs");
    let version = String::from_utf8(version.stdout).expect("rustc speaks UTF-8");
    let release = version.split(' ').nth(1).expect("`rustc 1.2.3 (…)`");
    let minor: u32 = release.split('.').nth(1).and_then(|minor| minor.parse().ok()).expect("a minor version");
    if release.contains('-') || minor < BLESSED_MINOR {
        println!("skipped: compile errors are compared on stable Rust from 1.{BLESSED_MINOR} on; this is {release}");
        return;
    }
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}

//! Tells the crate which compiler builds it: two copies of it in one process (a program and its plugin) may hand each other Rust
//! types only if both were built by the same one.

use std::env;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let compiler = env::var_os("RUSTC").and_then(|rustc| Command::new(rustc).arg("-vV").output().ok());
    let text = compiler.filter(|output| output.status.success()).map(|output| output.stdout).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    // What is not known is empty, and then plugins are refused.
    println!("cargo::rustc-env=TTLOG_COMPILER={}", text.lines().collect::<Vec<_>>().join("; "));
}

//! Detects the compiler and the capabilities of the target, and passes them to the crate.

use std::env;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    compiler();
    let cfg = |name: &str| env::var(format!("CARGO_CFG_{name}")).unwrap_or_default();
    let has_feature = |name: &str| env::var_os(format!("CARGO_FEATURE_{name}")).is_some();
    let is_bare = cfg("TARGET_OS") == "none";

    // Read-modify-write operations that mask interrupts (`atomic`).
    println!("cargo::rustc-check-cfg=cfg(ttlog_masked)");
    println!("cargo::rustc-check-cfg=cfg(ttlog_no_swap)");
    let has_swap = cfg("TARGET_HAS_ATOMIC").split(',').any(|width| width == "32") || has_feature("CRITICAL_SECTION");
    if !has_swap && has_feature("SINGLE_CORE") {
        println!("cargo::rustc-cfg=ttlog_masked");
    } else if !has_swap {
        println!("cargo::rustc-cfg=ttlog_no_swap");
    }

    // Whether eight bytes can be stored at any address (`memory::word`).
    println!("cargo::rustc-check-cfg=cfg(ttlog_byte_stores)");
    let has_flag = |name: &str| env::var_os(format!("CARGO_CFG_{name}")).is_some();
    let is_wide_x86 = cfg("TARGET_ARCH") == "x86_64" && cfg("TARGET_POINTER_WIDTH") == "64";
    if is_wide_x86 && !["LOOM", "MIRI", "TTLOG_HALF_WORDS"].into_iter().any(has_flag) {
        println!("cargo::rustc-cfg=ttlog_byte_stores");
    }

    // How the id of a callsite, an address below 65,536, gets into a register (`device::callsite`). If there is no way,
    // callsites register themselves with a recorder, as on servers.
    println!("cargo::rustc-check-cfg=cfg(ttlog_device_callsites)");
    println!("cargo::rustc-check-cfg=cfg(ttlog_callsite_id, values(\"movw\", \"thumb1\", \"riscv\"))");
    let target = env::var("TARGET").unwrap_or_default();
    let id = match cfg("TARGET_ARCH").as_str() {
        "arm" if target.starts_with("thumbv6m") => Some("thumb1"),
        "arm" if ["thumbv7", "thumbv8", "armv7", "armv8"].iter().any(|start| target.starts_with(start)) => Some("movw"),
        "riscv32" => Some("riscv"),
        _ => None,
    };
    if let Some(id) = id.filter(|_| is_bare) {
        println!("cargo::rustc-cfg=ttlog_device_callsites");
        println!("cargo::rustc-cfg=ttlog_callsite_id=\"{id}\"");
    }
}

/// Two copies of the crate in one process (a program and its plugin) can exchange Rust types only if both were built by
/// the same compiler.
fn compiler() {
    let compiler = env::var_os("RUSTC").and_then(|rustc| Command::new(rustc).arg("-vV").output().ok());
    let text = compiler.filter(|output| output.status.success()).map(|output| output.stdout).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    // If the compiler is unknown, the text is empty and plugins are refused.
    println!("cargo::rustc-env=TTLOG_COMPILER={}", text.lines().collect::<Vec<_>>().join("; "));
}

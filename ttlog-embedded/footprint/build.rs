//! Writes the memory map, the linker arguments, and the functions with callsites: `calls.rs` with one of each kind, and
//! `more_KIND.rs` with `CALLSITE_COUNT` of one kind.

use std::env;
use std::fs;
use std::path::PathBuf;

/// Callsites that a program `more_*` has in addition to those of `calls`. Also in report.py.
const CALLSITE_COUNT: usize = 64;

/// Fits every machine it runs on; microbit has the least memory.
const MEMORY: &str = "MEMORY { FLASH : ORIGIN = 0, LENGTH = 256K  RAM : ORIGIN = 0x20000000, LENGTH = 16K }\n";

/// Kinds of events: name, and parameters of the function around the call, which are its arguments.
const KINDS: [(&str, &str); 4] =
    [("0", ""), ("u32", "a: u32"), ("u32_u8", "a: u32, b: u8"), ("4_u32", "a: u32, b: u32, c: u32, d: u32")];

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let write = |name: &str, text: &str| fs::write(out.join(name), text).expect("OUT_DIR can be written");

    write("memory.x", MEMORY);
    println!("cargo:rustc-link-search={}", out.display());
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-link-arg-bins=--nmagic");
    println!("cargo:rustc-link-arg-bins=-Tlink.x");
    if env::var_os("CARGO_FEATURE_DEFMT").is_some() {
        println!("cargo:rustc-link-arg-bins=-Tdefmt.x");
    }
    if env::var_os("CARGO_FEATURE_TTLOG").is_some() {
        println!("cargo:rustc-link-arg-bins=-Tttlog.x");
        println!("cargo:rustc-link-arg-bins=--build-id");
    }

    let mut calls = String::new();
    for (kind, parameters) in KINDS {
        calls += &function(&format!("call_{kind}"), parameters, &statement(kind, parameters));
        calls += &function(&format!("bare_{kind}"), parameters, "");

        let mut callsites = String::new();
        let mut names = String::new();
        for callsite in 0..CALLSITE_COUNT {
            let name = format!("callsite_{callsite}");
            callsites += &function(&name, parameters, &statement(&format!("{kind} {callsite}"), parameters));
            names += &name;
            names += ", ";
        }
        let types: Vec<&str> = named(parameters).map(|(_, kind)| kind).collect();
        let pointer = format!("extern \"C\" fn({})", types.join(", "));
        callsites += &format!("static CALLSITES: [{pointer}; {CALLSITE_COUNT}] = [{names}];\n");
        write(&format!("more_{kind}.rs"), &callsites);
    }
    write("calls.rs", &calls);
}

/// Returns a function that runs `statement`. The name in the assembler comment keeps empty functions from being merged.
fn function(name: &str, parameters: &str, statement: &str) -> String {
    let uses: String =
        named(parameters).map(|(name, _)| format!("core::arch::asm!(\"/* {{0}} */\", in(reg) {name});")).collect();
    format!(
        "#[unsafe(no_mangle)] #[inline(never)] pub extern \"C\" fn {name}({parameters}) {{
            // SAFETY: the assembler text has no instruction.
            unsafe {{ core::arch::asm!(\"/* {name} */\", out(\"lr\") _); {uses} }}
            {statement}
            // SAFETY: as above.
            unsafe {{ core::arch::asm!(\"/* end of {name} */\") }}
        }}\n"
    )
}

/// Returns the call of the log macro of the chosen recorder.
fn statement(text: &str, parameters: &str) -> String {
    let names: String = named(parameters).map(|(name, _)| format!(", {name}")).collect();
    if env::var_os("CARGO_FEATURE_DEFMT").is_some() {
        let formats: String = named(parameters).map(|(_, kind)| format!(" {{={kind}}}")).collect();
        format!("defmt::info!(\"event {text}{formats}\"{names});")
    } else if env::var_os("CARGO_FEATURE_TTLOG").is_some() {
        format!("ttlog_embedded::info!(\"event {text}\"{names});")
    } else {
        String::new()
    }
}

/// Returns name and type of each parameter.
fn named(parameters: &str) -> impl Iterator<Item = (&str, &str)> {
    parameters.split(", ").filter_map(|parameter| parameter.split_once(": "))
}

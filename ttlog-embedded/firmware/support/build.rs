//! Writes `memory.x` for the machine.

use std::path::PathBuf;
use std::{env, fs};

/// Feature, start and length of flash, start and length of RAM.
const MACHINES: [(&str, u32, u32, u32, u32); 8] = [
    ("MICROBIT", 0, 256 << 10, 0x2000_0000, 16 << 10),
    ("LM3S6965EVB", 0, 256 << 10, 0x2000_0000, 64 << 10),
    ("MPS2_AN385", 0, 4 << 20, 0x2000_0000, 4 << 20),
    ("MPS2_AN386", 0, 4 << 20, 0x2000_0000, 4 << 20),
    ("MPS2_AN500", 0, 4 << 20, 0x2000_0000, 4 << 20),
    // Addresses of the secure world, in which the core starts.
    ("MPS2_AN505", 0x1000_0000, 4 << 20, 0x3800_0000, 4 << 20),
    ("STM32VLDISCOVERY", 0x0800_0000, 128 << 10, 0x2000_0000, 8 << 10),
    ("RISCV_VIRT", 0x2000_0000, 1 << 20, 0x8000_0000, 64 << 10),
];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let mut chosen = MACHINES.iter().filter(|machine| env::var_os(format!("CARGO_FEATURE_{}", machine.0)).is_some());
    let (Some(&(name, flash, flash_len, ram, ram_len)), None) = (chosen.next(), chosen.next()) else {
        println!("cargo::error=exactly one feature must name the machine");
        return;
    };
    let mut script = format!(
        "MEMORY\n{{\n  FLASH : ORIGIN = {flash:#x}, LENGTH = {flash_len}\n  \
         RAM : ORIGIN = {ram:#x}, LENGTH = {ram_len}\n}}\n"
    );
    if name.starts_with("RISCV") {
        for (region, memory) in
            [("TEXT", "FLASH"), ("RODATA", "FLASH"), ("DATA", "RAM"), ("BSS", "RAM"), ("HEAP", "RAM"), ("STACK", "RAM")]
        {
            script.push_str(&format!("REGION_ALIAS(\"REGION_{region}\", {memory});\n"));
        }
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    if let Err(error) = fs::write(out.join("memory.x"), script) {
        println!("cargo::error=cannot write memory.x: {error}");
    }
    println!("cargo::rustc-link-search={}", out.display());
}

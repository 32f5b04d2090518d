//! Writes the linker script fragment `ttlog.x` where the linker finds it (`-Tttlog.x`).
//!
//! It puts the texts of callsites into sections that are not loaded, or into flash with the feature
//! `embedded-metadata`, and the build id into flash. It checks that the ring is in memory that is neither loaded nor
//! cleared.

use std::env;
use std::fs;
use std::path::PathBuf;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=TTLOG_FLASH_REGION");
    let var = |name: &str| env::var(name).unwrap_or_default();
    // Cores with registers that name the cause of a fault.
    println!("cargo::rustc-check-cfg=cfg(ttlog_fault_status)");
    if ["thumbv7", "thumbv8m.main"].iter().any(|start| var("TARGET").starts_with(start)) {
        println!("cargo::rustc-cfg=ttlog_fault_status");
    }
    let out = PathBuf::from(var("OUT_DIR"));
    // The names that cortex-m-rt and riscv-rt expect in memory.x.
    let usual = if var("CARGO_CFG_TARGET_ARCH").starts_with("riscv") { "REGION_RODATA" } else { "FLASH" };
    let region = env::var("TTLOG_FLASH_REGION").unwrap_or_else(|_| usual.to_owned());
    let script = script(&region, env::var_os("CARGO_FEATURE_EMBEDDED_METADATA").is_some());
    if let Err(error) = fs::write(out.join("ttlog.x"), script) {
        println!("cargo::error=cannot write ttlog.x to {}: {error}", out.display());
    }
    println!("cargo::rustc-link-search={}", out.display());
}

/// Returns the linker script. `region` is the memory of constants.
fn script(region: &str, embedded: bool) -> String {
    let entries = if embedded {
        format!(
            "SECTIONS
{{
  /* Texts of the callsites, in flash: the feature embedded-metadata. */
  .ttlog.entry : ALIGN(4) {{
    __ttlog_entries_start = .;
    KEEP(*(.ttlog.entry));
    __ttlog_entries_end = .;
    KEEP(*(.ttlog.text .ttlog.text.*));
    . = ALIGN(4);
  }} > {region}
}} INSERT AFTER .rodata;
"
        )
    } else {
        "SECTIONS
{
  /* Texts of the callsites: in the ELF file, not on the device. */
  .ttlog.entry 0 (INFO) : { KEEP(*(.ttlog.entry)); }
  .ttlog.text 0 (INFO) : { KEEP(*(.ttlog.text .ttlog.text.*)); }
}
__ttlog_entries_start = 0;
__ttlog_entries_end = 0;
"
        .to_owned()
    };
    format!(
        "/* Written by the build script of ttlog-embedded; docs/format.md of TTLog, section 3.3. */
SECTIONS
{{
  /* One byte per callsite; its address is the id. The first byte is unused, so ids begin with 1. Not loaded. */
  .ttlog.id 0 (INFO) : {{ BYTE(0) KEEP(*(.ttlog.id)); }}
}}
{entries}SECTIONS
{{
  .ttlog.build_id : ALIGN(4) {{
    KEEP(*(.ttlog.build_id.type));
    __ttlog_build_id_start = .;
    KEEP(*(.note.gnu.build-id));
    . = ALIGN(4);
    __ttlog_build_id_end = .;
  }} > {region}
}} INSERT AFTER .rodata;
ASSERT(SIZEOF(.ttlog.id) < 65534, \"ttlog: more than 65,533 uses of log macros in one firmware\");
ASSERT(__ttlog_build_id_end > __ttlog_build_id_start,
       \"ttlog: no build id; link with `-C link-arg=--build-id`, or a reader may use the names of another firmware\");
{}",
        ring_is_retained()
    )
}

/// Returns the checks that the runtime's linker script leaves the ring alone.
///
/// A section that no script mentions keeps its own name in the output. It would be loaded with the program: as zeros,
/// and in an image that reaches from flash to RAM.
fn ring_is_retained() -> String {
    // Beginning and end of the memory that start-up code clears, as cortex-m-rt and riscv-rt call them, esp-hal, and
    // others.
    const CLEARED: [(&str, &str); 4] =
        [("__sbss", "__ebss"), ("_bss_start", "_bss_end"), ("_sbss", "_ebss"), ("__bss_start__", "__bss_end__")];
    let mut checks = "
ASSERT(SIZEOF(.uninit.ttlog) == 0,
       \"ttlog: the linker script of the runtime has no section .uninit, so the ring would be loaded with the program \
         and cleared; declare recorder!(... region) and its memory in memory.x: docs/firmware.md, Ring placement\");
"
    .to_owned();
    for (start, end) in CLEARED {
        checks += &format!(
            "ASSERT(!DEFINED(_TTLOG_RING) || !DEFINED({start}) || !DEFINED({end}) || _TTLOG_RING < {start} || \
             _TTLOG_RING >= {end},
       \"ttlog: the ring is in memory that the start-up code clears, from {start} to {end}; declare \
         recorder!(... region) and its memory in memory.x: docs/firmware.md, Ring placement\");
"
        );
    }
    checks
}

//! Linker scripts of runtimes that would clear the ring, or load it with the program.

use std::path::Path;

use object::read::elf::{ElfFile32, ProgramHeader as _};
use ttlog_qemu::{Machine, link_with, machine};

/// A program with a ring, and one without.
const WITH_RING: &str = "sweep";
const WITHOUT_RING: &str = "hello";

/// Removes the section `.uninit` from a linker script.
fn without_uninit(script: &str) -> String {
    let start = script.find(".uninit (NOLOAD)").expect("the runtime has the section");
    let end = start + script[start..].find('}').expect("it ends");
    let rest = script[end + 1..].trim_start().trim_start_matches('>').trim_start();
    let rest = rest.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_'); // the name of its region
    let without = format!("{}{rest}", &script[..start]);
    assert!(!without.contains("*(.uninit"), "{without}");
    without
}

/// Returns the length of a flash image: from the lowest to the highest byte that is loaded.
fn image_len(elf: &Path) -> u64 {
    let bytes = std::fs::read(elf).expect("it was just made");
    let file = ElfFile32::<object::Endianness>::parse(&*bytes).expect("an ELF file");
    let endian = file.endian();
    let loaded = file
        .elf_program_headers()
        .iter()
        .filter(|header| header.p_type(endian) == object::elf::PT_LOAD && header.p_filesz(endian) > 0);
    let ranges = loaded.map(|header| {
        let start = u64::from(header.p_paddr(endian));
        (start, start + u64::from(header.p_filesz(endian)))
    });
    let (start, end) = ranges.fold((u64::MAX, 0), |(start, end), range| (start.min(range.0), end.max(range.1)));
    end.saturating_sub(start)
}

fn check(machine: &Machine, region: &str) {
    let usual = link_with(machine, WITH_RING, str::to_owned).expect("the usual script is good");
    assert!(image_len(&usual) < 256 << 10, "an image of {} bytes", image_len(&usual));
    // An orphan would be loaded, into an image that reaches from flash to RAM.
    let errors = link_with(machine, WITH_RING, without_uninit).expect_err("the ring would be loaded");
    assert!(errors.contains("ttlog: the linker script of the runtime has no section .uninit"), "{errors}");
    // A section in the wrong place would be cleared.
    let among_bss = |script: &str| {
        let section = format!(".uninit (NOLOAD) : ALIGN(8) {{ *(.uninit .uninit.*); }} > {region}");
        format!("{}\nSECTIONS {{ {section} }} INSERT AFTER .bss;\n", without_uninit(script))
    };
    let errors = link_with(machine, WITH_RING, among_bss).expect_err("the ring would be cleared");
    assert!(errors.contains("ttlog: the ring is in memory that the start-up code clears"), "{errors}");
    // A program without a ring in the section may have such a runtime.
    let without = link_with(machine, WITHOUT_RING, without_uninit).expect("there is no ring");
    assert!(image_len(&without) < 256 << 10, "an image of {} bytes", image_len(&without));
}

#[test]
fn cortex_m_without_uninit() {
    check(machine("lm3s6965evb"), "RAM");
}

#[test]
fn riscv_without_uninit() {
    check(machine("riscv-virt"), "REGION_BSS");
}

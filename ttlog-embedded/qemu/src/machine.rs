//! The machines of the tests.

/// A machine that QEMU knows, with the Rust target of its core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Name in tests.
    pub name: &'static str,
    /// Its core.
    pub core: &'static str,
    /// The target that its programs are built for.
    pub target: &'static str,
    /// The feature of the firmware for it.
    pub feature: &'static str,
    /// Address and length of a flash that QEMU gets as a file. If the length is 0, QEMU gets the ELF file.
    ///
    /// QEMU reloads what an ELF file puts into writable memory at each reset, and must then translate all code again: a
    /// reset takes 50 times longer.
    pub(crate) flash: (u32, u64),
    /// The program and the arguments that start it.
    pub(crate) emulator: &'static [&'static str],
    /// Where its RAM begins.
    pub ram_base: u32,
    /// Length of the RAM, or of its part in use.
    pub ram_len: u32,
}

macro_rules! arm {
    ($name:literal, $core:literal, $target:literal, $ram_base:literal, $ram_kib:literal) => {
        Machine {
            name: $name,
            core: $core,
            target: $target,
            feature: $name,
            flash: (0, 0),
            emulator: &["qemu-system-arm", "-M", $name],
            ram_base: $ram_base,
            ram_len: $ram_kib << 10,
        }
    };
}

/// All machines of the tests.
pub const MACHINES: [Machine; 10] = [
    arm!("microbit", "Cortex-M0", "thumbv6m-none-eabi", 0x2000_0000, 16),
    arm!("lm3s6965evb", "Cortex-M3", "thumbv7m-none-eabi", 0x2000_0000, 64),
    arm!("mps2-an385", "Cortex-M3", "thumbv7m-none-eabi", 0x2000_0000, 64),
    arm!("stm32vldiscovery", "Cortex-M3", "thumbv7m-none-eabi", 0x2000_0000, 8),
    arm!("mps2-an386", "Cortex-M4", "thumbv7em-none-eabihf", 0x2000_0000, 64),
    arm!("mps2-an500", "Cortex-M7", "thumbv7em-none-eabihf", 0x2000_0000, 64),
    arm!("mps2-an505", "Cortex-M33", "thumbv8m.main-none-eabihf", 0x3800_0000, 64),
    // Code for a Cortex-M0, on a machine that resets quickly.
    Machine {
        name: "lm3s6965evb-v6m",
        core: "Cortex-M3, code for Cortex-M0",
        target: "thumbv6m-none-eabi",
        feature: "lm3s6965evb",
        flash: (0, 0),
        emulator: &["qemu-system-arm", "-M", "lm3s6965evb"],
        ram_base: 0x2000_0000,
        ram_len: 64 << 10,
    },
    Machine {
        name: "riscv-virt",
        core: "RV32IMAC",
        target: "riscv32imac-unknown-none-elf",
        feature: "riscv-virt",
        flash: (0x2000_0000, 32 << 20),
        emulator: &["qemu-system-riscv32", "-M", "virt", "-bios", "none"],
        ram_base: 0x8000_0000,
        ram_len: 64 << 10,
    },
    Machine {
        name: "riscv-virt-imc",
        core: "RV32IMC, no atomics",
        target: "riscv32imc-unknown-none-elf",
        feature: "riscv-virt",
        flash: (0x2000_0000, 32 << 20),
        emulator: &["qemu-system-riscv32", "-M", "virt", "-bios", "none", "-cpu", "rv32,a=false"],
        ram_base: 0x8000_0000,
        ram_len: 64 << 10,
    },
];

/// Returns the machine of a name.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn machine(name: &str) -> &'static Machine {
    MACHINES.iter().find(|machine| machine.name == name).unwrap_or_else(|| panic!("no machine is called {name}"))
}

//! Interrupts of several priorities, the non-maskable one and the fault handler log, nested in each other.

use ttlog_qemu::{MACHINES, Run};

#[test]
fn all_handlers_log() {
    for machine in &MACHINES {
        let text = Run::new(machine, "handlers").finish().expect_success();
        println!("{}: {}", machine.name, text.trim_end());
        let events = if machine.name.starts_with("riscv") { 6 } else { 10 };
        assert_eq!(text, format!("{events} events in order\n"), "{}", machine.name);
    }
}

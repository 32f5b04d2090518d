//! Spans on devices: two records, across interrupts and a reset.

use ttlog_qemu::{MACHINES, Run};

#[test]
fn spans_of_all_machines() {
    for machine in &MACHINES {
        let text = Run::new(machine, "spans").finish().expect_success();
        println!("{}: {}", machine.name, text.trim_end());
        assert_eq!(text, "24 records of spans and events in order\n", "{}", machine.name);
    }
}

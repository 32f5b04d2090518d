//! The stack that a dump needs, as documented in `ttlog_embedded::dump`.

use ttlog_qemu::{Run, machine};

#[test]
fn dumps_need_little_stack() {
    let text = Run::new(machine("mps2-an385"), "stack").finish().expect_success();
    let used: Vec<usize> = text.split_whitespace().map(|word| word.parse().expect("a number")).collect();
    let [frames, text, packed] = used[..] else { panic!("{used:?}") };
    println!("frames {frames}, text {text}, compressed {packed}");
    // Less than the size of its buffers would mean that nothing was measured.
    assert!((350..=896).contains(&frames), "frames take {frames} bytes");
    assert!((420..=1_024).contains(&text), "lines of text take {text} bytes");
    assert!((8_192..=10_240).contains(&packed), "compressed frames take {packed} bytes");
}

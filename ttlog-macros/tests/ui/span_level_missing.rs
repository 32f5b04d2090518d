use ttlog_core::span;

fn main() {
    let _span = span!("one");
}

use ttlog_core::{info_span, record};

fn main() {
    let span = info_span!("one");
    record!(span);
}

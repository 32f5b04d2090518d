use ttlog_core::info_span;

fn main() {
    let _span = info_span!("one", x = 1_u8, x = 2_u8);
}

use ttlog_core::info_span;

fn main() {
    const NAME: &str = "name";
    let _span = info_span!(NAME, user = 7_u64);
}

use ttlog_core::info_span;

fn main() {
    let _span = info_span!(name: "one", "two");
}

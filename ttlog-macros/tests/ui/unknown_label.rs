use ttlog_core::info;

fn main() {
    info!(name: "x", "started");
}

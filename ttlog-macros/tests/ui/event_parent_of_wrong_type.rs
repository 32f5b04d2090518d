use ttlog_core::info;

fn main() {
    info!(parent: 5, "started");
}

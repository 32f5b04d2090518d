use ttlog_core::info;

fn main() {
    info!("started", port = , host = "a");
}

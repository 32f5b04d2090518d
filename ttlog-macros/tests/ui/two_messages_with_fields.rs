use ttlog_core::info;

fn main() {
    info!(port = 80, "started {}", 1, "listening");
}

use ttlog_core::info;

fn main() {
    info!(secret "token {}", 1);
}

use ttlog_core::info;

fn main() {
    let port = 80;
    info!(port, "started", %port);
}

use ttlog_core::info;

fn main() {
    info!("started", port = 65536u16);
}

use ttlog_core::info;

fn main() {
    info!("started", "" = 5);
}

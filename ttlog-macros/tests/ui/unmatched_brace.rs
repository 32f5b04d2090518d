use ttlog_core::info;

fn main() {
    info!("a } b");
}

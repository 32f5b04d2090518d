use ttlog_core::info;

fn main() {
    let port = 80;
    info!("started" port);
}

use ttlog_core::info;

fn main() {
    let (a, b) = (1, 2);
    info!("started", same = a = b);
}

use ttlog_core::info;

fn main() {
    let (a, b) = (1, 2);
    info!("b is {1}", a, b);
}

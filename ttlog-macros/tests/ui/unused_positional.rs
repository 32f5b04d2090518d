use ttlog_core::info;

fn main() {
    let (a, b) = (1, 2);
    info!("a is {}", a, a + b);
}

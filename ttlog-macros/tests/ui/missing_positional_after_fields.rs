use ttlog_core::info;

fn main() {
    let a = 1;
    info!(a, "{} left");
}

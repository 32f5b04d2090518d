use ttlog_core::info;

fn main() {
    let pins = [1234];
    info!("login", secret pins[0]);
}

use ttlog_core::info;

fn main() {
    let pin = 1234;
    info!("login", secret secret pin);
}

use ttlog_core::info;

fn main() {
    let names = ["a"];
    info!("started", names.len() = 5);
}

use ttlog_core::info;

fn main() {
    let name = "x";
    info!(format!("hello {name}"), name);
}

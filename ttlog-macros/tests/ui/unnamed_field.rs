use ttlog_core::info;

fn main() {
    let names = ["a"];
    info!(names.len(), "started");
}

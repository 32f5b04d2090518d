use ttlog_core::info;

fn main() {
    let ms = 1.5;
    info!("took {ms");
}

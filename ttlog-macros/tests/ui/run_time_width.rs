use ttlog_core::info;

fn main() {
    let (ms, width) = (1.5, 5);
    info!("took {ms:width$}");
}

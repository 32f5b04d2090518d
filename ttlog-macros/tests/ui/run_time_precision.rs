use ttlog_core::info;

fn main() {
    let (ms, precision) = (1.5, 5);
    info!("took {ms:.precision$}");
    info!("took {:.*}", precision, ms);
}

use ttlog_core::record;

fn main() {
    record!(status = 200);
}

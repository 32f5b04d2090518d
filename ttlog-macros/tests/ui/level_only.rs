use ttlog_core::event;

fn main() {
    event!(ttlog_core::Level::Info);
}

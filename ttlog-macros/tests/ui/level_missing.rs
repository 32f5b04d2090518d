use ttlog_core::event;

fn main() {
    event!("started");
}

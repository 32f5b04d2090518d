use ttlog_core::event;

fn main() {
    event!(5, "started");
}

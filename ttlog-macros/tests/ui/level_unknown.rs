use ttlog_core::{Level, event};

fn main() {
    event!(Level::Notice, "started");
}

use ttlog_core::instrument;

#[instrument(level = "loud")]
fn f(x: u8) -> u8 {
    x
}

fn main() {}

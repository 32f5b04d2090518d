use ttlog_core::instrument;

#[instrument(skip(y))]
fn f(x: u8) -> u8 {
    x
}

fn main() {}

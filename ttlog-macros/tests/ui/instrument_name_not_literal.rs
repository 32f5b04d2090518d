use ttlog_core::instrument;

#[instrument(name = x)]
fn f(x: u8) -> u8 {
    x
}

fn main() {}

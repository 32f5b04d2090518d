use ttlog_core::instrument;

#[instrument(skip(x), colour = 1)]
fn f(x: u8) -> u8 {
    x
}

fn main() {}

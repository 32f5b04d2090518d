use ttlog_core::instrument;

#[instrument]
const fn f(x: u8) -> u8 {
    x
}

fn main() {}

use ttlog_core::instrument;

#[instrument(level)]
fn f(x: u8) -> u8 {
    x
}

fn main() {}

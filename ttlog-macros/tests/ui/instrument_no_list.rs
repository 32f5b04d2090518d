use ttlog_core::instrument;

#[instrument(fields = 1)]
fn f(x: u8) -> u8 {
    x
}

fn main() {}

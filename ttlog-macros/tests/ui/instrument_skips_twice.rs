use ttlog_core::instrument;

#[instrument(skip_all, skip(x))]
fn f(x: u8) -> u8 {
    x
}

fn main() {}

use ttlog_core::instrument;

#[instrument(err(Pointer))]
fn f(x: u8) -> u8 {
    x
}

fn main() {}

use ttlog_core::instrument;

#[instrument(ret, ret)]
fn f(x: u8) -> u8 {
    x
}

fn main() {}

use ttlog_core::instrument;

#[instrument(skip(x), flavor = 1)]
fn f(x: u8) -> u8 {
    x
}

fn main() {}

use ttlog_core::instrument;

#[instrument]
struct S;

fn main() {}

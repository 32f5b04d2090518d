use ttlog_core::Value;

struct Opaque;

#[derive(Value)]
struct Field {
    id: u64,
    opaque: Opaque,
}

#[derive(Value)]
enum Variant {
    A,
    B(Vec<Opaque>),
}

#[derive(Value)]
struct Shown {
    #[value(display)]
    opaque: Opaque,
}

fn main() {}

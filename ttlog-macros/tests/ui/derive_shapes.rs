use ttlog_core::Value;

#[derive(Value)]
union Union {
    a: u8,
    b: i8,
}

#[derive(Value)]
enum Empty {}

#[derive(Value)]
#[value(transparent)]
struct TwoFields {
    a: u8,
    b: u8,
}

#[derive(Value)]
#[value(transparent)]
enum Transparent {
    A(u8),
}

#[derive(Value)]
#[value(transparent)]
struct Secret {
    #[value(secret)]
    a: u8,
}

#[derive(Value)]
struct List {
    value: u64,
    next: Option<Box<List>>,
}

#[derive(Value)]
enum Tree {
    Leaf,
    Node(Vec<Self>),
}

#[derive(Value)]
fn function() {}

fn main() {}

use ttlog_core::Value;

#[derive(Value)]
struct Unknown {
    #[value(hidden)]
    a: u8,
}

#[derive(Value)]
struct Twice {
    #[value(secret, secret)]
    a: u8,
}

#[derive(Value)]
struct Both {
    #[value(display, debug)]
    a: u8,
}

#[derive(Value)]
struct SkippedAndMore {
    #[value(skip, rename = "b")]
    a: u8,
}

#[derive(Value)]
struct SameName {
    #[value(rename = "b")]
    a: u8,
    b: u8,
}

#[derive(Value)]
struct NoName(#[value(rename = "b")] u8, u8);

#[derive(Value)]
struct EmptyName {
    #[value(rename = "")]
    a: u8,
}

#[derive(Value)]
#[value(secret)]
struct OnTheType {
    a: u8,
}

#[derive(Value)]
enum OnTheVariant {
    #[value(skip)]
    A,
}

fn main() {}

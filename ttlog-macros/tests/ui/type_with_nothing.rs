#[path = "../support/mod.rs"]
#[macro_use]
mod support;
pub use support::__private;

struct Opaque;

fn main() {
    let opaque = Opaque;
    info!("started", port = 80, opaque);
}
